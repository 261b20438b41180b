#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Power cuts without end: `make soak'. Each round draws a file system (block
# size, features, kind of journal, how full and in what pieces) and then its
# crash states from one seed, which is printed; with the same seed comes the
# same round. Where root is, about a quarter of the states is recovered by
# mounts.
#
#	SOAK_SECONDS	how long (600; 0: until SOAK_STATES or an interrupt)
#	SOAK_STATES	end as soon as so many were tried (0: no such limit)
#	SOAK_SEED	of the first round (drawn from the clock)
#	SOAK_JOBS	rounds at a time (one for each processor)
#	SOAK_KEEP	where to keep what fails, by seed (./soak-failures)
#	SOAK_ONLY	a seed: that round alone
#
# ^C ends it with the sum. Exit status 0 if all states were good.

: "${SOAK_SECONDS:=600}" "${SOAK_STATES:=0}" "${SOAK_ONLY:=}"
: "${SOAK_SEED:=$(date +%s)}" "${SOAK_JOBS:=$(nproc)}"
keep=$(realpath -m "${SOAK_KEEP:-soak-failures}")
: "${CRASH_MOUNTS:=3}"

. "${0%/*}/images.sh"

# ---- drawing

# one_of WORD...
# Leaves one of them, by the seed, in $drawn.
one_of()
{
	local n=$((RANDOM % $# + 1))

	drawn=${!n}
}

# between LOW HIGH
between()
{
	drawn=$(($1 + RANDOM % ($2 - $1 + 1)))
}

# Leaves $features and $inode, the inodes' size.
draw_features()
{
	one_of metadata_csum metadata_csum ^metadata_csum,uninit_bg \
		^metadata_csum,^uninit_bg
	features=$drawn
	one_of 128 256 256 512
	inode=$drawn
	if [ $features = metadata_csum ]; then
		one_of "" ,metadata_csum_seed ,orphan_file
		features=$features$drawn
	fi
	one_of ,extent,64bit ,extent,64bit ,extent,^64bit ,^extent,^64bit
	features=$features$drawn
	one_of "" "" ,meta_bg,^resize_inode ,^resize_inode ,^flex_bg \
		,sparse_super2 ,^dir_index ,^huge_file ,inline_data
	features=$features$drawn
	[ "$drawn" != ,inline_data ] || inode=256
}

# Leaves $log, what the run must make of the journal. (The kernel does the
# same: version 3 with checksums elsewhere, 64 bits with a 64-bit file system.)
draw_log()
{
	local bits

	one_of none v1 v2 v3
	log=$drawn
	one_of 32 64
	bits=$drawn
	"$TOOLS/jsb" -c $log -b $bits img >/dev/null
	round="$round; log $log, $bits bits"
	case $features in *,metadata_csum,*) log=v3 ;; esac
	case $features in *,64bit*) bits=64 ;; esac
	log="$log, $bits bits"
}

# The image `img'; $log is empty if the run must do without a journal.
draw_image()
{
	local bs size files percent piece exotic

	one_of 1024 1024 1024 2048 4096
	bs=$drawn
	draw_features
	one_of 8 8 12 16
	size=$drawn
	[ $bs = 1024 ] || size=$((size + 8))
	between 10 40
	files=$drawn
	between 50 97
	percent=$drawn
	one_of 1 1 2 4 8 16
	piece=$drawn
	one_of "" "" -x
	exotic=$drawn
	one_of has_journal has_journal has_journal has_journal ^has_journal
	[ "$drawn" = has_journal ] || features=${features/,orphan_file/}
	features=$drawn,$features
	set -- -b $bs -I $inode -O "$features" -N $((size * 16 + 64))
	[ "$drawn" != has_journal ] || set -- "$@" -J size=$((bs / 1024))
	round="$size MiB: mke2fs $*; fragment -f $files -p $percent -k $piece"
	round="$round $exotic"
	mkimg img ${size}M "$@"
	log=
	# nearly full it may be too full, and where little is in it in order
	"$TOOLS/fragment" -s $RANDOM -f $files -p $percent -m 1024 -k $piece \
		$exotic img 2>/dev/null &&
		! "$E4OFFDEFRAG" -n img | grep -q '^Nothing to do' || return 1
	[ "${features%%,*}" = has_journal ] || return 0
	draw_log
	one_of "" "" stale
	[ ! "$drawn" ] || make_stale img
	round="$round $drawn"
}

# ---- rounds

# round SEED FIRST-STATES
# One file system, and its states; prints what the summary needs.
round()
{
	RANDOM=$(($1 % 32749 + $1 / 32749 % 32749))
	draw_image || {
		echo "seed $1: $round: nothing to try"
		return 0
	}
	echo "seed $1: $round"
	set -- --seed="$1" --stop="$tmp/stop" \
		--each="${CRASH_EACH:-60}" --random="${CRASH_RANDOM:-16}"
	if [ $SOAK_SECONDS != 0 ]; then
		set -- "$@" --seconds=$((ends - $(date +%s) + 1))
	fi
	if [ "$log" ]; then
		journaled img "$log" "$@"
	else
		ordered img "$@"
	fi
}

is_time()
{
	[ $SOAK_SECONDS = 0 ] || [ "$(date +%s)" -lt $ends ]
}

# worker NUMBER
# Every job takes its own seeds: the first one, and SOAK_JOBS farther on.
worker()
{
	local seed=$((SOAK_SEED + $1)) status

	mkdir "job$1"
	cd "job$1" || return
	while is_time && [ ! -e "$tmp/stop" ]; do
		status=0
		(
			trap - EXIT ERR
			CRASH_KEEP=$keep/$seed
			round $seed
		) >round.out 2>&1 || status=$?
		cat round.out
		if [ $status != 0 ]; then
			echo "seed $seed: status $status"
			mkdir -p "$keep/$seed"
			cp round.out "$keep/$seed/"
			: >"$tmp/stop"
			: >"$tmp/failed"
		fi
		rm -rf ./*
		seed=$((seed + SOAK_JOBS))
	done
}

# ---- the sum

# Adds up the lines of all jobs, and shows each round with the total.
add_up()
{
	local line good=0 different=0 mounted=0 rounds=0 seconds

	trap '' INT TERM # the jobs end first
	while IFS= read -r line; do
		case $line in
		*" states good, "*)
			set -- $line
			good=$((good + $1))
			different=$((different + $4))
			mounted=$((mounted + $9))
			rounds=$((rounds + 1))
			seconds=$(($(date +%s) - started + 1))
			echo "  $line"
			echo "total: $good states, $((good * 60 / seconds))" \
				"states/min"
			if [ $SOAK_STATES != 0 ] &&
				[ $good -ge $SOAK_STATES ]; then
				: >"$tmp/stop"
			fi
			;;
		*) echo "$line" ;;
		esac
	done
	seconds=$(($(date +%s) - started + 1))
	echo "soak: $good states in $rounds rounds, $different of them" \
		"different images, $mounted by mount, in $seconds s:" \
		"$((good * 60 / seconds)) states/min; failed:" \
		"$([ -e "$tmp/failed" ] && echo yes || echo none)"
}

started=$(date +%s)
ends=$((started + SOAK_SECONDS))
if [ "$SOAK_ONLY" ]; then
	round "$SOAK_ONLY"
	exit
fi
echo "soak: seed $SOAK_SEED, $SOAK_JOBS jobs"
trap ': >"$tmp/stop"' INT TERM
for ((i = 0; i < SOAK_JOBS; i++)); do
	worker $i &
done > >(add_up)
sum=$!
wait || :
while kill -0 $sum 2>/dev/null; do
	wait $sum || :
done
[ ! -e "$tmp/failed" ]
