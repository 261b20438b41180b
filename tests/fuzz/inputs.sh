#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What else is handed to the program, damaged by mutate.c: undo files that are
# to be continued, external journals, lists for --order. None of them crashes
# it; if the run is refused not one byte of the file system has changed, and
# if not, e2fsck finds nothing and each file is as before.
#
#	FUZZ_SEEDS	as for fuzz.sh; again: make check
#			TESTS=tests/fuzz/inputs.sh FUZZ_SEEDS=N-N
#	FUZZ_VERBOSE	if set: say for each seed what came of it

: "${FUZZ_SEEDS:=60}" "${FUZZ_VERBOSE:=}"

. "${0%/*}/../lib.sh"

mutate()
{
	"$TOOLS/../fuzz/mutate" -s "$seed" "$@" >what ||
		fail "mutate fails with seed $seed"
}

# draw N: one of 0 to N-1, by the seed, in $drawn
draw()
{
	drawn=$((seed * 2654435761 % 4294967296 / 65536 % $1))
}

# ---- the file systems

# An undo file of two runs, and work for a third.
mkimg undo.base 8M -b 1024 -N 256 -J size=1
"$TOOLS/fragment" -s 2 -f 24 -p 70 -k 2 -m 128 undo.base
for ((i = 0; i < 2; i++)); do
	assert_exit 0 "$E4OFFDEFRAG" --max-write=1M -z undo.keys undo.base
done
assert_clean undo.base

mkimg journal.keys 4M -b 1024 -O journal_dev
mkimg journal.base 8M -b 1024 -N 256 -O ^has_journal
"$TOOLS/fragment" -s 3 -f 24 -p 70 -k 2 -m 128 journal.base
fsdebug journal.base "feature has_journal" "ssv journal_dev 0x0801" \
	"ssv journal_uuid 5a3f6d70-1d2c-4e9b-8a51-0e4f0ff5e700" >/dev/null

# What such a list can hold, and more.
printf '%s\n' '# first' /dir '<12>' 13 '*' '/*/*' '' 99999999999999999999 \
	'<' '<1' '//' / '[' '\' 'a[' '**/?' "/$(printf '%070000d' 0)" \
	"$(printf '/%.0s' {1..3000})" >list.keys
# with a NUL in it, line ends are none
{
	cat list.keys
	head -c 4000 undo.keys
} >nul.keys
cp undo.base list.base

contents()
{
	"$TOOLS/imgsum" -d "$1"
}
for kind in undo journal list; do
	contents $kind.base >$kind.sum
done

# ---- one seed

check()
{
	local kind=$1 got=0 options=("${@:2}")

	timeout -s KILL 60 "$E4OFFDEFRAG" "${options[@]}" img >out 2>err ||
		got=$?
	case $got in
	0) ;;
	4 | 8 | 16)
		cmp -s $kind.base img ||
			fail "seed $seed: $kind: status $got, but it has written"
		cmp -s keys keys.before ||
			fail "seed $seed: $kind: refused, but overwritten"
		;;
	*) cat err; fail "seed $seed: $kind: status $got: $(cat what)" ;;
	esac
	[ ! "$FUZZ_VERBOSE" ] || echo "seed $seed: $kind: $got: $(head -n 1 err)"
	[ $got = 0 ] || return 0
	contents img | cmp -s - $kind.sum ||
		fail "seed $seed: $kind: files have changed"
	if [ $kind = journal ]; then
		e2fsck -fn -j journal.keys img >fsck.out 2>&1 ||
			{ cat fsck.out; fail "seed $seed: not clean"; }
	else
		assert_clean img
	fi
}

# damage FILE: makes `keys' of it
damage()
{
	local size

	cp "$1" keys
	size=$(stat -c %s keys)
	draw 8
	case $drawn in
	0)
		draw 65521
		truncate -s $((drawn * 65536 % size)) keys
		;;
	1)
		draw 5000
		tail -c $drawn list.keys >keys
		;;
	*)
		mutate "${@:2}" keys
		;;
	esac
	cp keys keys.before
}

try_seed()
{
	echo "cut, or another file" >what
	case $((seed % 3)) in
	0)
		damage undo.keys -f
		cp undo.base img
		check undo -z keys
		;;
	1)
		damage journal.keys
		cp journal.base img
		check journal -j keys
		;;
	2)
		if [ $((seed % 2)) = 0 ]; then
			damage list.keys -f
		else
			damage nul.keys -f
		fi
		cp list.base img
		check list --order=keys
		;;
	esac
}

[[ $FUZZ_SEEDS == *-* ]] || FUZZ_SEEDS=1-$FUZZ_SEEDS
for range in $FUZZ_SEEDS; do
	for ((seed = ${range%-*}; seed <= ${range#*-}; seed++)); do
		try_seed
	done
done
