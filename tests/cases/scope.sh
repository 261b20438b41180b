#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --path, --min-size and --min-runs improve only what they choose; --exclude
# keeps files where they are, whatever happens; both say so in the report.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

mkimg fresh 64M -b 1024
"$TOOLS/fragment" -s 4 -f 400 -p 60 fresh
digest fresh >fresh.sum

# shape IMAGE
# Prints for each inode that owns blocks how many runs its data lies in.
shape()
{
	data_ranges "$1" | awk '
		function flush() { if (ino != "") print ino, runs }
		NF == 1 { flush(); ino = $1; runs = 0; last = ""; next }
		{
			if ($2 != last + 1)
				runs++
			last = $3
		}
		END { flush() }' | sort
}

# below IMAGE DIRECTORY
# Prints the inodes of a directory and all that is below it.
below()
{
	local image=$1 line mode ino name

	inode "$image" "$2"
	debugfs -R "ls -p \"$2\"" "$image" 2>/dev/null |
		while IFS=/ read -r _ ino mode _ _ name _; do
			case $name in
			"" | . | ..) continue ;;
			esac
			if [ "${mode:0:2}" = 04 ]; then
				below "$image" "$2/$name"
			else
				echo "$ino"
			fi
		done
}

# run ARGUMENT...
# On a copy of the image, which stays sound; leaves the shapes in now.
run()
{
	cp fresh img
	assert_exit 0 "$E4OFFDEFRAG" "$@" img
	assert_clean img
	digest img | cmp fresh.sum - || fail "$* changed the files"
	shape img >now
}

# moved prints how many bytes the run has moved.
moved()
{
	sed -nE 's/^Moved .* \(([0-9]+) bytes\) of .*/\1/p' out
}

# assert_spared FILE
# The inodes listed there lie in no more runs than before, and few of them in
# fewer: those that made room. All others that were fragmented lie in fewer.
assert_spared()
{
	join fresh.shape now | awk -v list="$1" '
		BEGIN { while ((getline ino <list) > 0) spared[ino] = 1 }
		($1 in spared) && $3 > $2 { print $1 " has lost"; bad = 1 }
		!($1 in spared) && $2 > 1 && $3 >= $2 {
			print $1 " has " $3 " runs of " $2; bad = 1
		}
		!($1 in spared) && $3 < $2 { n++ }
		($1 in spared) && $2 > 1 { all++; better += $3 < $2 }
		END { exit bad || !n || better * 2 > all }' >&2 || fail "the wrong files moved: $2"
}

shape fresh >fresh.shape
dir=$(debugfs -R 'ls -p /' fresh 2>/dev/null |
	awk -F/ '$3 ~ /^04/ && $6 ~ /^dir/ { print $6; exit }')
below fresh "/$dir" | sort >inside
cut -d' ' -f1 fresh.shape | sort | comm -23 - inside >outside
[ -s inside ] && [ -s outside ] || fail "the image is not as the test needs it"

# -- a path, and what is below it

run
all=$(moved)
run "--path=/$dir" -v
assert_grep 'not chosen$' out
assert_grep '^inode [0-9]*: not chosen$' out
assert_spared outside --path
for first in $(comm -12 inside <(awk '$2 > 1 { print $1 }' fresh.shape | sort)); do
	debugfs -R "stat <$first>" fresh 2>/dev/null >stat.out
	! grep -q 'Type: regular' stat.out || break
done
file=$(debugfs -R "ncheck $first" fresh 2>/dev/null | sed -n '2s/^[0-9]*\t//p')
run --path "$file"
cut -d' ' -f1 fresh.shape | grep -vx "$first" >others
assert_spared others "--path of a file"
# what moves more than that one file made room for it
[ "$(moved)" -lt $((all / 2)) ] || fail "$(moved) of $all bytes moved for one"
assert_refused 8 /none/such fresh "--path=/none/such"
assert_refused 8 'none is not there' fresh -n --path=none "--path=/$dir"
assert_refused 8 'not a directory' fresh -c --path="$file/x"

# -- sizes and runs

run --min-runs=8
awk '$2 < 8 { print $1 }' fresh.shape >few
assert_spared few --min-runs
run --min-runs=8 -c
left=$(sed -nE 's/^([0-9]+) files of .* would need.*/\1/p' out)
assert_eq "$(awk '$2 >= 8' fresh.shape | wc -l)" "$left" "-c --min-runs=8"
run --min-size=1T
assert_grep '^Nothing to do' out
cmp fresh img || fail "--min-size=1T wrote something"
run --min-size=200k
assert_grep 'not chosen$' out

# -- what is excluded stays, whatever the policy

name=${file##*/}
run --exclude="${name:0:6}[!x]*" --exclude=none -v
assert_grep '^nothing to exclude matches none$' out
places fresh "$first" >places.fresh
places img "$first" | cmp places.fresh - || fail "$file has moved"

# homes IMAGE
# Prints where what is in the directory lies, attributes too.
homes()
{
	local list

	mapfile -t list <inside
	places "$1" "${list[@]}"
	printf 'stat <%s>\n' "${list[@]}" >stat.in
	debugfs -f stat.in "$1" 2>/dev/null | grep '^File ACL: '
}

mkimg fresh 64M -b 1024
"$TOOLS/fragment" -s 4 -f 400 -p 60 -x fresh
"$TOOLS/share" -s 1 -b 40 -n 6 fresh
digest fresh >fresh.sum
for dir in $(debugfs -R 'ls -p /' fresh 2>/dev/null |
	awk -F/ '$3 ~ /^04/ && $6 ~ /^dir/ { print $6 }'); do
	below fresh "/$dir" | sort >inside
	homes fresh >homes.fresh
	grep -q 'ACL: [1-9]' homes.fresh && break
done
grep -q 'ACL: [1-9]' homes.fresh || fail "no attributes in the image"
for args in "" --optimize --compact --perfect; do
	# shellcheck disable=SC2086
	run --exclude="/$dir" -v $args
	assert_grep '^inode [0-9]*: excluded$' out
	homes img | cmp homes.fresh - || fail "--exclude $args: moved"
	# shellcheck disable=SC2086
	assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" -q \
		--exclude="/$dir" $args img
done
run
! homes img | cmp -s homes.fresh - || fail "they stay without --exclude, too"
