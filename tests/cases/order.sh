#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --order puts the files of a list first, in its order; --optimize all of them
# in that of a reader. Both leave nothing to a second run.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

mkimg fresh 64M -b 1024
"$TOOLS/fragment" -s 6 -f 300 -p 50 fresh
digest fresh >fresh.sum

# run ARGUMENT...
# On a copy of the image, which stays sound; a second run changes nothing.
run()
{
	cp fresh img
	assert_exit 0 "$E4OFFDEFRAG" "$@" img
	cp out first
	assert_clean img
	digest img | cmp fresh.sum - || fail "$* changed the files"
	assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" "$@" img
	assert_grep '^Nothing to do' out
}

# starts IMAGE
# Prints the first block of each inode on stdin.
starts()
{
	sed 's/.*/bmap <&> 0/' >bmap.in
	debugfs -f bmap.in "$1" 2>/dev/null | grep -x '[0-9]*'
}

# assert_ascending WHAT
# The inodes on stdin lie one behind the other.
assert_ascending()
{
	starts img >now
	sort -n now | cmp - now || fail "not in order: $1"
	[ "$(wc -l <now)" -ge 5 ] || fail "too few files: $1"
}

# The paths of regular files, in an order of their own.
debugfs -R 'ls -p /' fresh 2>/dev/null |
	awk -F/ '$3 ~ /^04/ && $6 ~ /^dir/ { print $6 }' | while read -r dir; do
	debugfs -R "ls -p /$dir" fresh 2>/dev/null |
		awk -F/ -v dir="$dir" '$3 ~ /^10/ && $7 > 4096 {
			print $2 "\t/" dir "/" $6
		}'
done | sort -k1.3 | sed -n 1,12p >some
cut -f1 some >some.ino
[ "$(wc -l <some)" = 12 ] || fail "the image is not as the test needs it"

# -- a list: paths, numbers, comments, what is not there, doubles

{
	echo "# a list"
	echo
	sed -n '1,4s/.*\t//p' some
	sed -n '5,6s/\t.*//p' some
	echo "/none/such"
	sed -n '7,8s/^\([0-9]*\)\t.*/<\1>/p' some
	sed -n '2s/.*\t//p' some
	echo "99999999"
	sed -n '9,12s/.*\t\///p' some
} >list
run --order=list
assert_grep '^2 entries of the list are not in the file system' first
assert_ascending --order <some.ino
# together: all but one directly behind another
paste -d' ' some.ino <(starts img <some.ino) | while read -r ino start; do
	places img "$ino" | grep -o '[0-9]*$' | tail -1
done >ends
[ "$(starts img <some.ino | awk 'NR > 1' | paste - <(sed '$d' ends) |
	awk '$1 - $2 <= 8' | wc -l)" -ge 9 ] || fail "the files are apart"
assert_exit 0 "$E4OFFDEFRAG" -v -n --order - fresh <list
assert_grep '^listed, but not in the file system: /none/such$' out
assert_exit 0 "$E4OFFDEFRAG" --json -n --order=list fresh
assert_grep '^  "unknown_entries": 2,$' out

# -- the same with NULs, where # is a name

cut -f2 some | tr '\n' '\0' >list.nul
run --order=list.nul
assert_ascending "--order with NULs" <some.ino
! grep 'of the list' first >&2 || fail "unknown entries with NULs"
printf '# a list\0' >list.nul
assert_exit 0 "$E4OFFDEFRAG" -v -n --order=list.nul fresh
assert_grep '^listed, but not in the file system: # a list$' out

# -- patterns, and a place elsewhere

dir=$(sed -n '1s/.*\t\/\([^/]*\)\/.*/\1/p' some)
echo "/$dir/*" >glob
run --order=glob --order-at=50
grep "/$dir/" some | cut -f1 | starts img >there
[ -s there ] || fail "nothing is in /$dir"
! awk '$1 < 32768' there | grep . >&2 || fail "--order-at: in front of it"

# -- lists that cannot be read

assert_refused 8 'list no-list cannot be read: No such file' fresh \
	--order=no-list
assert_refused 8 'cannot be read: Is a directory' fresh --order=.
assert_unchanged fresh assert_exit 8 "$E4OFFDEFRAG" --order=- fresh <&-
assert_grep 'list of the standard input cannot be read' err

# -- the order of a reader

# The regular files in a directory: inode, name and size.
ls_regular()
{
	debugfs -R "ls -p /$dir" fresh 2>/dev/null |
		awk -F/ '$3 ~ /^10/ && $7 > 1024 && !seen[$2]++ {
			print $2 "\t" $6 "\t" $7
		}'
}

# rising IMAGE
# Of the files on stdin, how many in a hundred lie behind the one before. Not
# all do: some fill the gaps between what is fixed, and some have another name
# that comes first.
rising()
{
	cut -f1 | starts "$1" |
		awk 'NR > 1 { all++; n += $1 > last } { last = $1 }
			END { print int(n * 100 / all) }'
}

# assert_sorted WHAT SORT-KEY...
assert_sorted()
{
	local what=$1 before after

	shift
	run --optimize "--sort=$what"
	before=$(ls_regular | sort -t$'\t' "$@" | rising fresh)
	after=$(ls_regular | sort -t$'\t' "$@" | rising img)
	[ "$after" -ge 65 ] && [ "$after" -gt $((before + 10)) ] ||
		fail "--sort=$what: $after % in order, $before % before"
}

assert_sorted name -k2,2
assert_sorted inode -k1,1n
assert_sorted size -k3,3n -s

# Times from 1960 to 2090, in no order: some are negative, some need more than
# 32 bits.
cp fresh untimed
ls_regular | awk '{
		at = sprintf("%.0f", -315619200 + NR * 37 % 61 * 67000000)
		print "sif <" $1 "> mtime @" at >"sif.in"
		print $0 "\t" at
	}' >timed
debugfs -w -f sif.in fresh >/dev/null 2>&1
digest fresh >fresh.sum
ls_regular()
{
	cat timed
}
assert_sorted mtime -k4,4n
sort -k4,4n timed | sed -n '1p;$p' | cut -f1 | starts img >ends
sort -n ends | cmp - ends || fail "--sort=mtime: the oldest is not in front"
cp untimed fresh
digest fresh >fresh.sum
run --optimize
assert_eq 0 "$(sed -nE 's/^Fragmented files +[0-9]+ +([0-9]+)$/\1/p' first)" \
	"fragmented files after --optimize"
cp img sorted
cp fresh img
assert_exit 0 "$E4OFFDEFRAG" --optimize --sort=readdir img
cmp img sorted || fail "readdir is not the default order"
run --optimize --order=list
assert_ascending "--optimize --order" <some.ino
