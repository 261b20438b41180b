#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file with a block that cannot be read stays where it is and is named, and
# all else is done.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

need_cmd debugfs e2fsprogs
: "${BADSECTORS:=$TOOLS/../fault/badsectors}"

# place IMAGE INODE LOGICAL
# Prints where that block of a file is.
place()
{
	debugfs -R "bmap <$2> $3" "$1" 2>/dev/null
}

# sectors INODE LOGICAL...
# Prints the second sector of those blocks of a file in fresh, 1 KiB each.
sectors()
{
	local ino=$1 lblk

	shift
	for lblk; do
		echo $(($(place fresh "$ino" "$lblk") * 2 + 1))
	done
}

# run_bad STATUS SECTORS [OPTION...]
# On a copy of fresh, named img, in which nothing may be lost. Leaves places
# and digests to compare.
run_bad()
{
	local status=$1 sectors=$2

	shift 2
	cp fresh img
	assert_exit "$status" env BAD_SECTORS="$sectors" "$BADSECTORS" "$@" img
	assert_clean img
	assert_eq "$(digest fresh)" "$(digest img)" "the files"
}

# assert_stays INODE LOGICAL
# This file was named, with that block, which is where it was. (Others may have
# been moved to make room, before that one was read.)
assert_stays()
{
	local block

	block=$(place fresh "$1" "$2")
	assert_grep "^e4offdefrag: inode $1, block $block: cannot be read" err
	assert_eq "$block" "$(place img "$1" "$2")" \
		"the place of block $2 of inode $1"
}

mkimg fresh 48M -b 1024 -J size=1
"$TOOLS/fragment" -s 1 -f 250 -p 60 -m 1024 -k 16 fresh
assert_exit 0 "$E4OFFDEFRAG" --json -n fresh
mv out plan.json
assert_eq 0 "$(member plan.json after fragmented_files)" "fragmented files"
mapfile -t worst < <(sed -nE 's/^      "inode": ([0-9]+),$/\1/p' plan.json)
[ ${#worst[@]} = 10 ] || fail "no ten fragmented files"
cp fresh whole
assert_exit 0 "$E4OFFDEFRAG" --json whole
[ "$(member out steps_done)" -gt 2 ] || fail "too few steps"

# -- one file: text

bad=$(sectors "${worst[0]}" 7)
run_bad 8 "$bad"
assert_stays "${worst[0]}" 7
assert_eq 2 "$(wc -l <err)" "lines of message"
assert_grep '^e4offdefrag: 1 file with blocks .* stays where it is; all' err
assert_grep '^ *1 file: has an unreadable block$' out
assert_grep '^Fragmented files  *[0-9]*  *1$' out
assert_grep '^Moved ' out
run_bad 8 "$bad" -q
assert_eq 2 "$(wc -l <err)" "lines of message with -q"
run_bad 8 "$bad" -v
assert_grep "^inode ${worst[0]}: has an unreadable block$" out

# -- what is left is done as soon as the block can be read

assert_exit 0 "$E4OFFDEFRAG" --json img
assert_eq 0 "$(member out after fragmented_files)" "fragmented files at last"
assert_clean img
assert_eq "$(digest fresh)" "$(digest img)" "the files at last"

# -- ten files, blocks at their ends and two in a row

bad=
for ino in "${worst[@]}"; do
	bad="$bad $(sectors "$ino" 5 6 0 | tr '\n' ' ')"
done
for verify in "" --verify; do
	run_bad 8 "$bad" --json $verify
	i=0
	for ino in "${worst[@]}"; do
		assert_grep "^e4offdefrag: inode $ino, block [0-9]*: cannot be" err
		for lblk in 5 6 0; do
			assert_eq "$(place fresh "$ino" $lblk)" \
				"$(place img "$ino" $lblk)" \
				"the place of block $lblk of inode $ino"
		done
		block=$(sed -n "s/.*inode $ino, block \([0-9]*\):.*/\1/p" err)
		[[ " $bad " == *" $((block * 2 + 1)) "* ]] ||
			fail "block $block can be read"
		assert_grep "^      \"block\": $block,$" out
		i=$((i + 1))
	done
	assert_eq 11 "$(wc -l <err)" "lines of message"
	assert_grep '^e4offdefrag: 10 files .* they are; all else is done$' err
	assert_eq 8 "$(member out error status)" "status"
	assert_eq 10 "$(member out after fragmented_files)" "fragmented files"
	assert_grep '"reason": "has an unreadable block"' out
	assert_eq "$(member out bytes_to_move)" "$(member out bytes_moved)" bytes
	assert_eq "$(member out steps_to_do)" "$(member out steps_done)" steps
done
[ "$(member out files_compared)" -gt 20 ] || fail "files were not compared"

# -- nothing but what cannot be read

mkimg fresh 16M -b 1024 -J size=1
seq 10000 >small
truncate -s 20480 small
seq 120000 >data
for i in {1..60}; do echo "write small s$i"; done >commands
for i in {1..60..2}; do echo "rm s$i"; done >>commands
mapfile -t commands <commands
fsdebug fresh "${commands[@]}" "write data e" >/dev/null
assert_exit 0 "$E4OFFDEFRAG" --json -n fresh
assert_eq 1 "$(member out before fragmented_files)" "fragmented files"
ino=$(inode fresh /e)
bad=$(sectors "$ino" 600)
for verify in "" --verify; do
	run_bad 8 "$bad" $verify
	assert_stays "$ino" 600
	assert_grep '^Nothing to do' out
done
cmp -s fresh img || fail "--verify: not one byte had to be written"

# -- metadata: nothing is written

table=$(dumpe2fs fresh 2>/dev/null |
	sed -nE '1,/Inode table/s/.*Inode table at ([0-9]+)-.*/\1/p')
cp fresh img
BAD_SECTORS=$((table * 2)) assert_unchanged img assert_exit 8 "$BADSECTORS" img
assert_eq 1 "$(wc -l <err)" "lines of message"
assert_grep "block $table .*while scanning: Input/output error" err

# -- a directory is read for the names of the worst files alone

root=$(sectors 2 0)
BAD_SECTORS=$root assert_exit 0 "$BADSECTORS" -c fresh
assert_eq "" "$(cat err)" "message about a name"
assert_grep "<inode $ino>" out

# -- but with a boot loader in place what is below /boot must be known

cp fresh img
poke img 0 'boot loader'
BAD_SECTORS=$root assert_unchanged img assert_exit 8 "$BADSECTORS" img
assert_eq 1 "$(wc -l <err)" "lines of message"
assert_grep "block $((root / 2)) .*while scanning" err

# -- is it a swap file?

truncate -s 409600 data
mkimg fresh 16M -b 1024 -J size=1
fsdebug fresh "write data swap" >/dev/null
ino=$(inode fresh /swap)
bad=$(sectors "$ino" 3)
for option in -c -n --verify; do
	run_bad 8 "$bad" $option
	assert_stays "$ino" 3
	assert_eq 2 "$(wc -l <err)" "lines of message with $option"
done
cmp fresh img
