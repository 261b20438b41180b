#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the other tests rely on, for every kind of inode: imgsum or imglayout -r
# sees each change of what a file system holds, in the right inode, be it one
# byte of a block behind the end of a file.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

need_cmd debugfs e2fsprogs

# view IMAGE: all that a run must not change
view()
{
	image_view "$1" && "$TOOLS/imglayout" -r "$1"
}

# Without checksums, so that what differs can be read nevertheless.
bs=2048
mkimg fresh 64M -b $bs -I 512 \
	-O ^metadata_csum,uninit_bg,verity,encrypt,ea_inode,project
"$TOOLS/fragment" -s 5 -f 50 -p 60 -m 512 -k 4 -a fresh
assert_clean fresh
view fresh >before
"$TOOLS/imglayout" -s fresh >super.before
sed -nE 's/^([0-9]+) mode=.*/\1/p' before | xargs echo ncheck -c >ncheck.in
debugfs -f ncheck.in fresh >names 2>/dev/null

# inode_of PATTERN: the number of the first inode with such a name
inode_of()
{
	sed -nE "s,^([0-9]+)[[:space:]].*/$1( .*)?\$,\\1,p" names | sed -n 1p
}

# flip BYTE [BYTES]: changes them, in a copy
flip()
{
	cp fresh img
	tail -c +$(($1 + 1)) img | head -c "${2:-1}" | tr '\0-\377' '\1-\377\0' |
		dd of=img bs=1 seek="$1" conv=notrunc status=none || :
}

# seen WHAT INODE...
# The change is seen in the lines of those inodes, and in no others.
seen()
{
	local what=$1 lines

	shift
	view img >after
	lines=$({ diff before after || :; } |
		sed -nE 's/^> ([0-9]+) .*/\1/p' | sort -nu | xargs)
	assert_eq "$(printf '%s\n' "$@" | sort -n | xargs)" "$lines" \
		"inodes that differ: $what"
	echo "$what: inode $*"
}

# seen_or_refused WHAT INODE...
# The attributes of the first of them may be unreadable: hashes do not fit.
seen_or_refused()
{
	if view img >after 2>err; then
		seen "$@"
	else
		assert_grep "inode $2: reading xattrs" err
		echo "$1: inode $2 is refused"
	fi
}

# in_block WHAT INODE LOGICAL-BLOCK OFFSET
in_block()
{
	local blk

	blk=$(debugfs -R "bmap <$2> $3" fresh 2>/dev/null)
	[ "$blk" -gt 0 ] || fail "inode $2 has no block $3"
	flip $((blk * bs + $4))
	seen "$1" "$2"
}

# in_inode WHAT INODE OFFSET
in_inode()
{
	local blk at

	read -r blk at < <(debugfs -R "imap <$2>" fresh 2>/dev/null |
		sed -nE 's/.*at block ([0-9]+), offset (0x[0-9a-f]+)/\1 \2/p')
	flip $((blk * bs + at + $3))
	seen "$1" "$2"
}

# ---- blocks

in_block "data, the last byte" "$(inode_of exotic-append)" 9 $((bs - 1))
in_block "a Merkle tree behind the end" "$(inode_of rare-verity)" 101 5
in_block "data below indirect blocks" "$(inode_of rare-block-map)" 2060 0
in_block "the last block" "$(inode_of rare-vast)" 4294967294 0
in_block "a name in a directory" "$(inode_of rare-many-names)" 3 9
secret=$(inode_of 'rare-encrypted[^/]*')
in_block "a name in ciphertext" "$secret" 0 40
file=$(debugfs -R "ls -l <$secret>" fresh 2>/dev/null |
	awk '$2 == "100644" && $6 > 5000 { print $1; exit }')
in_block "ciphertext" "$file" 1 77
file=$(debugfs -R "ls -l <$secret>" fresh 2>/dev/null |
	awk '$2 == "120777" { print $1; exit }')
in_block "the target of an encrypted link" "$file" 0 50

# ---- inodes

file=$(inode_of exotic-immutable)
in_inode "a field without a use" "$file" $((0x70))
in_inode "nanoseconds" "$file" $((0x88))
in_inode "the version" "$file" $((0x24))
in_inode "the project" "$(inode_of rare-project)" $((0x9c))
in_inode "an encryption policy" "$secret" $((128 + 32 + 4 + 16))
in_inode "a byte behind it" "$secret" $((128 + 32 + 4 + 100))

# ---- attributes, and their blocks

file=$(inode_of exotic-xattr-large)
blk=$(debugfs -R "stat <$file>" fresh 2>/dev/null |
	sed -nE 's/^File ACL: ([0-9]+).*/\1/p')
flip $((blk * bs + bs - 3))
seen_or_refused "a value in an xattr block" "$file"
flip $((blk * bs + 200))
seen "a byte between names and values" "$file"

file=$(inode_of rare-ea-inode)
value=$(sed -nE 's/^([0-9]+) mode=100600 .*size=8192 .* flags=280000 .*/\1/p' \
	before)
blk=$(debugfs -R "bmap <$value> 2" fresh 2>/dev/null)
flip $((blk * bs + 9))
seen_or_refused "a value in an inode" "$file" "$value"

# ---- the superblock

flip 1144 # its label
"$TOOLS/imglayout" -s img >super.after
! cmp -s super.before super.after || fail "a change of the label is not seen"
flip $((1024 + 0x158)) # free blocks: not to be seen
"$TOOLS/imglayout" -s img >super.after
assert_same super.before super.after "a superblock but for what is free"
