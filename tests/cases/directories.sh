#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --directories=inline puts each directory in front of its first file, together
# (the default) all in front of the files; each lays out anew what the other
# has left, and nothing in a second run.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

# Names whose order is none that anything else has.
for dir in {1..24}; do
	name=tree/d$((dir * 41 % 97))
	mkdir -p $name
	for file in {1..5}; do
		yes "$dir $file" | head -c $((dir * file * 400 + 20000)) \
			>$name/f$((file * 31 % 89)) || :
	done
done

# make_image MKE2FS-OPTION...
make_image()
{
	rm -f fresh
	mkimg fresh 64M -b 1024 -d tree "$@"
	"$TOOLS/fragment" -s 6 -f 200 -p 50 fresh
	digest fresh >fresh.sum
}

# walk DIRECTORY DEPTH
# Prints "d" or "f" and the inode of all that is below it, as one who reads all of
# each directory by name meets it.
walk()
{
	local kind ino name

	debugfs -R "ls -p /$1" fresh 2>/dev/null |
		awk -F/ '$6 != "." && $6 != ".." && NF {
			print $6, $3 ~ /^04/ ? "d" : "f", $2
		}' | sort >"names.$2"
	while read -r name kind ino; do
		echo "$kind $ino"
		[ $kind = f ] || walk "${1:+$1/}$name" $(($2 + 1))
	done <"names.$2"
}

# count_inline
# Where directories come between two files, in how many of all such places do
# they lie there: "12 of 26".  128 KiB are not too far.
count_inline()
{
	data_ranges img >ranges
	awk '
		function is_behind(a, b) {
			return first[b] > last[a] && first[b] - last[a] <= 129
		}
		NR == FNR {
			if (NF > 1 && !($1 in first))
				first[$1] = $2
			if (NF > 1)
				last[$1] = $3
			next
		}
		!($2 in first) || seen[$2]++ { next }
		{
			close_by = close_by && is_behind(before, $2)
			before = $2
			if ($1 == "d") {
				dirs++
				next
			}
			if (dirs && files) {
				all++
				n += close_by
			}
			files++
			dirs = 0
			close_by = 1
		}
		END { print n + 0, "of", all + 0 }' ranges order
}

# run OPTION...
# On img, which stays sound; a second run changes nothing.
run()
{
	assert_exit 0 "$E4OFFDEFRAG" --json --optimize --sort=name "$@" img
	mv out first
	assert_clean img
	digest img | cmp fresh.sum - || fail "$* changed the files"
	assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" --json --optimize \
		--sort=name "$@" img
	assert_eq 0 "$(member out bytes_moved)" "a second run, $*"
	assert_eq 0 "$(member out steps_done)" "steps of a second run, $*"
}

# assert_inline MIN MAX WHAT
assert_inline()
{
	local n of all

	read -r n of all < <(count_inline)
	[ "$all" -ge 20 ] || fail "$3: only $all places for directories"
	[ $((n * 100)) -ge $((all * $1)) ] && [ $((n * 100)) -le $((all * $2)) ] ||
		fail "$3: $n $of $all directories are in front of their files"
}

# assert_moved WHAT
assert_moved()
{
	[ "$(member first bytes_moved)" -gt 1000000 ] ||
		fail "$1: only $(member first bytes_moved) bytes are moved"
}

for type in ext4 ext3; do
	make_image -t $type
	walk "" 0 >order
	cp fresh img
	run --directories=inline
	assert_inline 90 100 "$type, inline"
	run --directories=together
	assert_moved "$type, together behind inline"
	assert_inline 0 10 "$type, together"
	run --directories=inline
	assert_moved "$type, inline behind together"
	assert_inline 90 100 "$type, inline again"
	cp fresh img
	run
	cp img default
	cp fresh img
	run --directories=inline --directories=together
	cmp img default || fail "$type: together is not the default"
done

# -- with other options

cp fresh img
awk '$1 == "f" { print $2 }' order | shuf -n 8 --random-source=fresh >list
run --directories=inline --order=list
assert_inline 60 100 "with --order"
cp fresh img
run --directories=inline --path=/d41
cp fresh img
run --directories=inline --exclude=/d41
