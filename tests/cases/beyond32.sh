#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file system of 22 TiB, as a sparse file: files that lie beyond block 2^32,
# around it, and that come from beyond; block maps, which cannot go there.

# ext4 itself has no files of that size with blocks of 4 KiB; tmpfs has.
if [ -z "${TMPDIR-}" ] && [ -w /dev/shm ]; then
	export TMPDIR=/dev/shm
fi
. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

size=22T
border=4294967296

truncate -s $size img 2>/dev/null ||
	skip "needs a directory for a sparse file of $size (TMPDIR)"

mkimg img $size -b 4096 -N 3000000 -m 0 -J size=64 -G 16384 \
	-O 64bit,^resize_inode,sparse_super2 \
	-E packed_meta_blocks=1,num_backup_sb=0,lazy_itable_init=1
"$TOOLS/fragment" -s 1 -f 100 -p 60 -k 16 -m 4096 -a \
	-r $((border - 150000))-$((border - 100001)) img
"$TOOLS/fragment" -s 2 -f 150 -p 60 -k 16 -m 2048 \
	-r $((border - 30000))-$((border + 60000)) img
"$TOOLS/fragment" -s 3 -f 30 -p 60 -k 16 -m 512 -r 5700000000-5700002000 img
assert_clean img

# layout WHEN
layout()
{
	"$TOOLS/imglayout" img >"layout.$1"
}

# count CONDITION FILE: of inode $1 ... low $6 high $7
count()
{
	awk -v border=$border "$1"' { n++ } END { print n + 0 }' "$2"
}

# assert_some NUMBER WHAT
assert_some()
{
	echo "$2: $1"
	[ "$1" -gt 0 ] || fail "none: $2"
}

# run OPTION...
# Does what -n says, and changes nothing but places; again does nothing.
run()
{
	image_view img >before
	layout before
	assert_exit 0 "$E4OFFDEFRAG" --json -n "$@" img
	assert_eq 0 "$(member out bytes_written)" "bytes written by -n"
	sed -n '/^  "after"/,/^  }/p' out >predicted
	assert_exit 0 "$E4OFFDEFRAG" --json -v --verify "$@" img
	mv out run.json
	mv err run.err
	sed -n '/^  "after"/,/^  }/p' run.json >reached
	assert_same predicted reached "-n and what was reached"
	image_view img >after
	layout after
	assert_clean img
	assert_exit 0 "$E4OFFDEFRAG" --json "$@" img
	assert_eq 0 "$(member out bytes_written)" "bytes written again"
	printf '%s files, %s -> %s runs, ideal %s\n' \
		"$(member run.json after files)" \
		"$(member run.json before runs)" \
		"$(member run.json after runs)" \
		"$(member run.json after ideal_runs)"
}

run
assert_same before after "what is in the image"
assert_some "$(count '$6 < border && $7 >= border' layout.before)" \
	"files on both sides before"
paste -d ' ' layout.before layout.after >both # ... $13 low $14 high
assert_eq 0 "$(count '$1 != $8' both)" "inodes that are not in both"
assert_some "$(count '$7 >= border && $14 < border' both)" \
	"files that came from beyond"
assert_some "$(count '$6 != $13 && $13 >= border' both)" \
	"files that were moved there"
assert_eq 0 "$(count '$4 > 1 && $6 < border && $7 >= border' layout.after)" \
	"files in pieces on both sides"

# Block maps stay where they are, and are named, unless they are converted.
sed -nE 's/^e4offdefrag: inode ([0-9]+): block-mapped beyond .*/\1/p' run.err \
	>maps
assert_some "$(wc -l <maps)" "block maps left"
sed -nE 's/^e4offdefrag: inode [0-9]+: //p' run.err | sort | uniq -c >reasons
cat reasons
! grep -v 'block-mapped beyond 2^32\|immutable\|swap file' reasons >&2 ||
	fail "files are left without a good reason"
run --convert-extents
while read -r ino; do
	assert_grep "^$ino extents [0-9]* 1 " layout.after
done <maps
# all but their flag is as before
sed -E 's/ flags=[0-9a-f]+ / /; $d' before >wanted
sed -E 's/ flags=[0-9a-f]+ / /; $d' after >found
assert_same wanted found "what is in the image after the conversion"
