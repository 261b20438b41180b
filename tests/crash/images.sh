# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced first by the tests of power cuts, in place of lib.sh: how an image is
# made, and put through its crashes. enumerate.c says what these are.
#
# CRASH_EACH, CRASH_RANDOM and CRASH_ROUNDS ask for more; see its --each,
# --random and --rounds. One state in CRASH_MOUNTS is recovered by the kernel,
# where that is possible; 0 is none.

# A thousand small writes and flushes: in memory if there is room.
if [ -z "${TMPDIR-}" ] && [ -w /dev/shm ] &&
	[ "$(df --output=avail -m /dev/shm | tail -n 1)" -gt 500 ]; then
	export TMPDIR=/dev/shm
fi
. "${BASH_SOURCE[0]%/*}/../lib.sh"

need_cmd debugfs e2fsprogs
: "${CRASH:=$TOOLS/../crash/enumerate}"

if why=$(skip_without_mount); then
	mounts=${CRASH_MOUNTS:-10}
else
	mounts=0
	echo "recovered by e2fsck only, not by the kernel: $why"
fi

# enumerate IMAGE [OPTION...]
# A later option replaces an earlier one.
enumerate()
{
	local image=$1

	shift
	mkdir "$image.d"
	"$CRASH" --dir="$image.d" --each="${CRASH_EACH:-10}" \
		--random="${CRASH_RANDOM:-2}" --rounds="${CRASH_ROUNDS:-1}" \
		--mounts="$mounts" "$@" "$image" && return
	[ ! -e "$image.d/failed.img" ] || keep "$image"
	fail "$image: not every state is good"
}

# keep IMAGE: what is needed to look at a failure, for who names a place for it
keep()
{
	[ "${CRASH_KEEP-}" ] || return 0
	mkdir -p "$CRASH_KEEP"
	cp "$1" "$CRASH_KEEP/${1##*/}"
	cp "$1.d/failed.img" "$CRASH_KEEP/${1##*/}.failed"
	echo "kept: $CRASH_KEEP/${1##*/} and .failed"
}

# journaled IMAGE LOG [OPTION...]
# The run must leave a log of that kind, in the words of tools/jsb.c.
journaled()
{
	local image=$1 log=$2

	shift 2
	enumerate "$image" "$@"
	assert_eq "version 2, checksum $log, empty" \
		"$("$TOOLS/jsb" "$image.d/run.img")" "the log of $image"
	rm -r "$image.d"
}

# ordered IMAGE [OPTION...]
# A repair by e2fsck must not find directories that it would rather index: that
# is no fault. What the kernel shows takes long to read, so there are fewer
# mounts.
ordered()
{
	local image=$1 seldom=$((mounts * 2))

	shift
	tidy "$image"
	enumerate "$image" --ordered --treesum="$TOOLS/treesum" \
		--mounts=$seldom "$@"
	rm -r "$image.d"
}

tidy()
{
	E2FSPROGS_FAKE_TIME=1600000000 e2fsck -fyD "$@" >fsck.out 2>&1 ||
		[ $? = 1 ] || fail "e2fsck -D fails: $(cat fsck.out)"
}

# add_sparse IMAGE NAME BLOCKS
# A file with every second block, so that its tree stays as large as it is.
add_sparse()
{
	local bs

	bs=$(dumpe2fs -h "$1" 2>/dev/null | sed -n 's/^Block size: *//p')
	rm -f sparse
	truncate -s $((2 * bs * $3)) sparse
	for ((i = 0; i < $3; i++)); do
		printf 'block %d of %s' $i "$2"  |
			dd of=sparse bs="$bs" seek=$((2 * i)) conv=notrunc,sync \
				status=none
	done
	E2FSPROGS_FAKE_TIME=1600000000 fsdebug "$1" "write sparse $2" >/dev/null
}

# make_stale IMAGE
# Fills the log with old transactions, the first of them with the very id that
# is expected next, as after mke2fs -E lazy_journal_init.
make_stale()
{
	local image=$1 bs

	bs=$(dumpe2fs -h "$1" 2>/dev/null | sed -n 's/^Block size: *//p')
	cp "$image" moved
	"$E4OFFDEFRAG" moved >/dev/null
	debugfs -R 'dump <8> log' moved 2>/dev/null
	debugfs -R 'dump <8> super' "$image" 2>/dev/null
	dd if=super of=log bs="$bs" count=1 conv=notrunc status=none
	dd if=log of=log bs=1 skip=$((bs + 8)) seek=24 count=4 conv=notrunc \
		status=none # the id of the log's first transaction
	debugfs -R 'ex <8>' "$image" 2>/dev/null | tr -d / |
		while read -r _ _ _ _ logical _ _ physical _ _ length _; do
			[ "$logical" != Length ] || continue # the headline
			dd if=log of="$image" bs="$bs" skip="$logical" \
				seek="$physical" count="$length" \
				conv=notrunc status=none
		done
	"$TOOLS/jsb" -t 2 "$image" >/dev/null # a new checksum, if it has one
	rm moved log super
}

# make_short IMAGE [MKE2FS-OPTION...]
# Little to do, one batch: files in the first group's small gaps; and groups
# whose bitmap on disk was never written.
make_short()
{
	local image=$1

	shift
	mkimg "$image" 24M -b 1024 -G 1 "$@"
	seq 10000 19999 >small
	truncate -s 37888 small
	seq 100000 299999 >big
	truncate -s 1200000 big
	{
		for i in {1..180}; do echo "write small s$i"; done
		for i in {1..180..2}; do echo "rm s$i"; done
		echo "write big b1"
		echo "write big b2"
	} >commands
	E2FSPROGS_FAKE_TIME=1600000000 debugfs -w -f commands "$image" \
		>/dev/null 2>debugfs.err
	dumpe2fs "$image" 2>/dev/null | grep -q 'Group [12]:.*BLOCK_UNINIT' ||
		fail "no group is BLOCK_UNINIT"
}
