#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# File systems with damaged metadata: each seed draws one of the file systems
# below, what is done to it (mutate.c) and how the program is run on it. Must
# be true of any bytes:
#
# - no crash, no finding of a sanitizer, no hang, no more memory than usual;
# - with -n, and if the run is refused, not one byte changes; -n and the run
#   end with the same status;
# - what e2fsck finds nothing wrong with is not refused as inconsistent, and
#   after the run e2fsck finds nothing, each file as before;
# - if the run is not refused although e2fsck finds something, it finds no
#   more afterwards, and all that could be read before is as before;
# - where a journal waits, the run without -p is refused, and with -p it leaves
#   what e2fsck -p leaves.
#
# `make check' tries a few seeds; `make fuzz' those of FUZZ_SEEDS.
#
#	FUZZ_SEEDS	the number of seeds, or words: FIRST-LAST, or a seed N as
#			N-N
#	FUZZ_JOBS	seeds at a time (one for each processor)
#	FUZZ_KEEP	where to keep what fails, by seed; a seed alone, always
#	FUZZ_VERBOSE	if set: say for each seed what came of it

# Behind the first ones those that have found something.
: "${FUZZ_SEEDS:=1-180 10076-10076 11337-11337 17160-17160 20995-20995
	41905-41905}"
: "${FUZZ_JOBS:=$(nproc)}" "${FUZZ_VERBOSE:=}"
keep=${FUZZ_KEEP:+$(realpath -m "$FUZZ_KEEP")}

. "${0%/*}/../lib.sh"

# ---- the file systems

small=(-b 1024 -N 256 -J size=1)

# make_base NAME
make_base()
{
	local filling=(-x -f 24 -p 70 -k 2 -m 128) size=8M
	local options=("${small[@]}")

	case $1 in
	ext4 | dirty) ;;
	blocks4k)
		size=16M
		options=(-b 4096 -N 256 -J size=4)
		filling=(-x -f 24 -p 60 -k 8 -m 400)
		;;
	plain) options+=(-O "^metadata_csum,^64bit,uninit_bg") ;;
	groups) options+=(-O "^metadata_csum,^flex_bg" -g 2048) ;;
	ext3) options+=(-t ext3 -I 128) filling=(-f 30 -p 80 -k 2 -m 400) ;;
	ext2) options=(-t ext2 -b 1024 -N 256) filling=(-x -f 24 -p 80 -k 2) ;;
	bigalloc) options+=(-O bigalloc -C 4096) filling=(-f 30 -k 4 -m 400) ;;
	clusters)
		options+=(-O "bigalloc,^metadata_csum" -C 4096)
		filling=(-f 30 -k 4 -m 400)
		;;
	inline) options+=(-I 512 -O inline_data,ea_inode) ;;
	new)
		options+=(-O "orphan_file,metadata_csum_seed,fast_commit")
		options+=(-O "meta_bg,^resize_inode")
		;;
	esac
	mkimg "$1" $size "${options[@]}"
	"$TOOLS/fragment" -s 1 "${filling[@]}" "$1"
	case $1 in
	quota) tune2fs -O quota -Q usrquota,grpquota "$1" >/dev/null ;;
	plain) "$TOOLS/share" -s 1 "$1" ;;
	esac
	E2FSPROGS_FAKE_TIME=1600000000 e2fsck -fyD "$1" >fsck.out 2>&1 ||
		[ $? = 1 ] || fail "$1: $(cat fsck.out)"
	assert_clean "$1"
	[ "$1" != dirty ] || leave_waiting "$1"
}

# leave_waiting IMAGE: a block of a file is right only in the journal.
leave_waiting()
{
	local block

	block=$(debugfs -R "ex <30>" "$1" 2>/dev/null |
		awk '$1 == "0/" && $2 == 0 { print $8; exit }')
	head -c 1024 /dev/zero | tr '\0' x >block
	fsdebug "$1" jo "jw -b ${block:-4000} block" jc >/dev/null
}

bases=(ext4 blocks4k plain groups ext3 ext2 bigalloc clusters quota inline new)
modes=("" "" --optimize --compact --convert-extents "--perfect --move-immutable"
	"--order=list --move-boot" "--exclude=*a* --sort=size --optimize"
	"--optimize --directories=inline")

# ---- one seed

# bad TEXT: ends the seed.
bad()
{
	echo "seed $seed: $base $mode: $*"
	sed 's/^/  /' what
	echo "  again: make fuzz FUZZ_SEEDS=$seed-$seed"
	keep
	: >"$tmp/failed"
	return 1
}

keep()
{
	[ "$keep" ] || return 0
	mkdir -p "$keep/$seed"
	cp -f damaged img what ./*.err ./*.out "$keep/$seed/"
}

# run NAME OPTION...: on img; leaves the exit status in $got.
run()
{
	local name=$1

	shift
	got=0
	$limit timeout -s KILL 60 "$E4OFFDEFRAG" "$@" img >"$name.out" \
		2>"$name.err" || got=$?
	case $got in
	0 | 4 | 8) ;;
	*) bad "$* ends with status $got: $(tail -n 1 "$name.err")" ;;
	esac
}

# problems IMAGE FILE: their number, by e2fsck, in $found
problems()
{
	local status=0

	timeout -s KILL 60 e2fsck -fn "$1" >"$2" 2>&1 || status=$?
	found=$(grep '? no *$' "$2" | grep -cv 'Optimize? no *$') || :
	if [ $found = 0 ] && [ $status != 0 ]; then
		found=1
	fi
}

# Not the last line, which is the sum of all.
contents()
{
	"$TOOLS/imgsum" -dk "$1" 2>&1 | sed '$d; / cannot be read$/d' || :
}

# What e2fsck finds nothing wrong with, because it does not look: the depth of a
# mapping block, which the kernel wants right; the attributes of reserved
# inodes, and the upper half of an attribute block's number; bad blocks among
# the metadata, with clusters; a journal in indirect blocks whose inode is
# larger; the tree in a quota file; a symbolic link that is not written.
is_known_refusal()
{
	[ $got = 8 ] || grep -q \
		-e 'invalid extent tree header' \
		-e 'inode [1-9], .*xattr block' -e 'xattr block out of range' \
		-e 'claimed twice, also by inode 1$' \
		-e 'the journal inode is damaged' \
		-e 'quota file' -e 'extent of a symbolic link' run.err
}

judge_refusal()
{
	cmp -s damaged img || bad "status $got, but it has written" || return
	[ $before != 0 ] || is_known_refusal ||
		bad "refused, although clean: $(tail -n 1 run.err)" || return
	result="refused ($got, e2fsck: $before)"
}

# Where e2fsck 1.47.0 gives up, or finds a second name of a directory, which
# depends on the order of the blocks; where it computes with a number that was
# never set.
is_uncertain()
{
	grep -q -e ': aborted$' -e 'is a link to directory' \
		-e 'illegal extended attribute value inode' before.out
}

judge_run()
{
	contents damaged >damaged.sum
	contents img >img.sum
	# with --convert-extents the flag is another one
	if [[ $mode == *--convert-extents ]]; then
		sed -i 's/ flags=[0-9a-f]*//' ./*.sum
	fi
	# which may name the superblock then
	if grep -q '^Resize inode not valid' before.out; then
		sed -i '/^7 /s/ data=.*//' ./*.sum
	fi
	diff damaged.sum img.sum >sum.out || [ $? = 1 ]
	! grep -q '^<' sum.out || bad "files have changed" || return
	problems img after.out
	[ "$found" -le "$before" ] || is_uncertain ||
		bad "e2fsck finds $found, before $before" || return
	result="done (e2fsck: $before, then $found)"
	cmp -s damaged img && result="$result, nothing to do" || :
}

try_waiting()
{
	run plan -n || return
	cmp -s damaged img || bad "-n has written" || return
	# shellcheck disable=SC2086 # words
	run run -p $mode || return
	timeout -s KILL 60 e2fsck -p damaged >repair.out 2>&1 || :
	problems damaged before.out
	before=$found
	if [ $got = 0 ]; then
		judge_run || return
	else
		result="refused ($got, e2fsck: $before)"
	fi
	[ ! "$FUZZ_VERBOSE" ] ||
		echo "seed $seed: $base $mode: $result: $(tail -n 1 run.err)"
}

try_seed()
{
	local base=${bases[seed % ${#bases[@]}]} draw mode got found before
	local plan result

	[ $((seed % 40)) != 39 ] || base=dirty
	draw=$(((seed * 2654435761 >> 7) % 1048576))
	mode=${modes[draw % ${#modes[@]}]}
	[ $((draw >> 8 & 1)) = 0 ] || mode="--verify $mode"
	cp "$tmp/$base" damaged
	# libext2fs itself can crash on a block that it is to seal: then it, and
	# those behind it, keep their wrong checksums
	got=0
	"$tmp/mutate" -s "$seed" damaged >what 2>mutate.err || got=$?
	[ $got = 0 ] || [ $got -gt 128 ] || fail "mutate: seed $seed"
	# Odd, but right again.
	if [ $((draw >> 9 & 3)) = 0 ]; then
		timeout -s KILL 60 e2fsck -fy damaged >repair.out 2>&1 || :
		# it may have written far behind the end
		truncate -s "$(stat -c %s "$tmp/$base")" damaged
		echo "e2fsck -fy" >>what
	fi
	cp damaged img
	if [ "$base" = dirty ]; then
		try_waiting || :
		return 0
	fi
	problems damaged before.out
	before=$found
	if [ $((draw >> 11 & 3)) = 0 ]; then
		run report -c || return 0
	fi
	# shellcheck disable=SC2086 # words
	run plan -n $mode || return 0
	cmp -s damaged img || bad "-n has written" || return 0
	plan=$got
	# shellcheck disable=SC2086
	run run $mode || return 0
	[ $plan = $got ] || bad "status $plan with -n, then $got" || return 0
	if [ $got = 0 ]; then
		judge_run || return 0
	else
		judge_refusal || return 0
	fi
	[ ${#seeds[@]} != 1 ] || keep
	if [ "$FUZZ_VERBOSE" ]; then
		echo "seed $seed: $base $mode: $result: $(tail -n 1 run.err)"
		[ "$got" = 0 ] || echo "    $(head -n 1 run.err)"
		[ "$got" != 0 ] || awk '/\? no *$/ {
			print "    " (/^(Fix|Clear|Salvage)/ ? last " " : "") $0
		} { last = $0 }' before.out
	fi
}

# ---- all of them

# worker NUMBER
worker()
{
	mkdir "$tmp/job$1"
	cd "$tmp/job$1" || return
	cp "$tmp/list" .
	for ((i = $1; i < ${#seeds[@]}; i += FUZZ_JOBS)); do
		seed=${seeds[i]}
		try_seed
	done
	: >"$tmp/done$1"
}

[[ $FUZZ_SEEDS == *-* ]] || FUZZ_SEEDS=1-$FUZZ_SEEDS
seeds=()
for range in $FUZZ_SEEDS; do
	mapfile -t -O ${#seeds[@]} seeds < <(seq "${range%-*}" "${range#*-}")
done
cp "$TOOLS/../fuzz/mutate" mutate
# A journal that e2fsck makes anew bears it.
export E2FSPROGS_FAKE_TIME=$EPOCHSECONDS
# The address space of a sanitized program is larger than that.
limit=
grep -q __asan_init "$E4OFFDEFRAG" || limit="prlimit --as=1073741824"
printf '%s\n' /dir '<12>' '*' >list
for base in "${bases[@]}" dirty; do
	make_base "$base"
done
for ((i = 0; i < FUZZ_JOBS; i++)); do
	worker $i &
done
wait
for ((i = 0; i < FUZZ_JOBS; i++)); do
	[ -e done$i ] || fail "a job has ended too soon"
done
[ ! -e failed ] || fail "some of the seeds $FUZZ_SEEDS have failed"
echo "${#seeds[@]} seeds: all good"
