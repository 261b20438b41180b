#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --convert-extents makes extent trees of block maps, and nothing else
# changes: files that cannot be better placed are converted as well, files
# that must not be moved are not. --move-immutable and --move-boot move what
# is left alone without them.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

need_cmd debugfs e2fsprogs

# view IMAGE: as image_view, without the flag for extents
view()
{
	image_view "$1" | sed -E '$d; s/ flags=/&0000000/
		s/ flags=0*([0-9a-f]{8}) / flags=\1 /
		s/ (flags=...)8/ \10/; s/ (flags=...)c/ \14/'
}

# mapped IMAGE WORD: how many inodes debugfs lists with BLOCKS or EXTENTS
mapped()
{
	image_view "$1" | sed -nE 's/^(2|[0-9]{2,}) .*/stat <\1>/p' >stat.in
	debugfs -f stat.in "$1" 2>/dev/null | grep -c "^$2:" || :
}

# -- without the feature

mkimg img 32M -b 1024 -O ^extent,^64bit
"$TOOLS/fragment" -s 3 -f 60 -p 60 -m 2048 -k 2 -x img >/dev/null
for mode in -v -n -c; do
	assert_refused 8 "feature extent.*tune2fs -O extent" img \
		--convert-extents $mode
done

# -- with it

for journal in has_journal ^has_journal; do
	for bs in 1024 4096; do
		mkimg img 32M -b $bs -O "^extent,^64bit,$journal"
		"$TOOLS/fragment" -s 3 -f 60 -p 60 -m 2048 -k 4 -x img >/dev/null
		assert_exit 0 "$E4OFFDEFRAG" -v img # in place, as block maps
		stubborn=$(grep -cE ': (immutable|swap)' out)
		tune2fs -O extent img >/dev/null
		view img >before
		[ "$(mapped img EXTENTS)" = 0 ] || fail "there are extents"
		blocks=$(mapped img BLOCKS)

		assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" img
		assert_exit 0 "$E4OFFDEFRAG" --json -n --convert-extents img
		sed -n '/^  "after"/,/^  }/p' out >predicted
		assert_exit 0 "$E4OFFDEFRAG" --json --convert-extents img
		sed -n '/^  "after"/,/^  }/p' out >reached
		assert_same predicted reached "-n and what was reached"
		assert_clean img
		view img >after
		assert_same before after "what is in the image"
		assert_eq "$blocks" \
			$(($(mapped img EXTENTS) + $(mapped img BLOCKS))) \
			"inodes with blocks"
		[ "$(mapped img BLOCKS)" -le $((stubborn + 2)) ] ||
			fail "$(mapped img BLOCKS) inodes were not converted"
		assert_small_trees img $bs
		assert_unchanged img \
			assert_exit 0 "$E4OFFDEFRAG" --convert-extents img
	done
done

# -- what is left alone unless asked for

mkimg img 32M -b 1024
"$TOOLS/fragment" -s 3 -f 60 -p 60 -m 2048 -k 2 -x img >/dev/null
image_view img >before
cp img fresh
assert_exit 0 "$E4OFFDEFRAG" -v img
sed -nE 's/^inode ([0-9]+): immutable or append-only$/\1/p' out >stuck
[ -s stuck ] || fail "no immutable file is fragmented"
cp fresh img
assert_exit 0 "$E4OFFDEFRAG" -v --move-immutable img
! grep ': immutable' out >&2 || fail "immutable files are left"
image_view img >after
assert_same before after "what is in the image"
assert_clean img
# shellcheck disable=SC2046 # words
places fresh $(cat stuck) >then
# shellcheck disable=SC2046 # words
places img $(cat stuck) >now
! cmp -s then now || fail "immutable files are where they were"

head -c 300000 /dev/urandom >core
mkimg img 32M -b 1024
"$TOOLS/fragment" -s 3 -f 60 -p 60 -m 2048 -k 2 img >/dev/null
fsdebug img "mkdir boot" "write core boot/core" >/dev/null
poke img 0 '\353\130'
assert_clean img
ino=$(inode img /boot/core)
cp img fresh
assert_exit 0 "$E4OFFDEFRAG" -v img
assert_grep "^inode $ino: below /boot" out
cp fresh img
assert_exit 0 "$E4OFFDEFRAG" -v --move-boot img
! grep "below /boot" out >&2 || fail "files below /boot are left"
! grep -qx "$ino" <(breaks img) || fail "the file below /boot is fragmented"
assert_clean img
