#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The list of bad blocks: what it names stays where it is.  A block of a copy of
# the superblock, or of the descriptors behind it, may be in it; e2fsck only
# warns of that.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

need_cmd debugfs e2fsprogs

# make_bad BLOCK...
# A file system of four groups with files in pieces, and these bad blocks.
make_bad()
{
	printf '%s\n' "$@" >bad
	mkimg img 32M -b 1024 -N 512 -l bad
	# mke2fs 1.47 counts a block that was reserved as used twice
	e2fsck -fy img >/dev/null 2>&1 || :
	"$TOOLS/fragment" -s 7 -f 60 -p 70 -m 1024 -k 4 img >/dev/null
	assert_clean img
}

# bad_blocks: as the image lists them
bad_blocks()
{
	dumpe2fs -b img 2>/dev/null
}

# copies: what is in the copies in the groups 1 and 3
copies()
{
	dd if=img bs=1024 skip=8193 count=257 status=none | sha256sum
	dd if=img bs=1024 skip=24577 count=257 status=none | sha256sum
}

# stays BLOCK...
stays()
{
	local mode

	make_bad "$@"
	copies >copies
	cp img fresh
	image_view img >before
	for mode in --verify --optimize --compact; do
		cp fresh img
		assert_exit 0 "$E4OFFDEFRAG" --json "$mode" img
		mv out run.json
		[ "$(member run.json steps_done)" -gt 0 ] ||
			fail "nothing was done: $*"
		image_view img >after
		assert_same before after "what is in img: $*"
		assert_eq "$(cat bad)" "$(bad_blocks)" "bad blocks"
		copies | cmp copies - || fail "a copy was written: $*"
	done
}

stays 9000 20000
stays 8193              # the superblock,
stays 8194 24578        # the descriptors,
stays 8199              # what is kept for more of them,
stays 8449 8450 8451    # and what lies behind all these

# refused PATTERN BLOCK: if this one were bad
refused()
{
	cp fresh img
	fsdebug img "set_inode_field <1> block[0] $2" >/dev/null
	assert_unchanged img assert_exit 4 "$E4OFFDEFRAG" img
	assert_grep "$1" err
}

make_bad 9000
cp img fresh
debugfs -R stats fresh 2>/dev/null >stats
table=$(sed -nE 's/.*inode table at ([0-9]+).*/\1/p' stats | sed 1q)
bitmap=$(sed -nE 's/.*block bitmap at ([0-9]+).*/\1/p' stats | sed 1q)
refused "block claimed twice" 1
refused "block claimed twice" 2
refused "block claimed twice" "$table"
refused "block claimed twice" "$bitmap"
