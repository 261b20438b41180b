#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The real program is killed at its Nth write or flush, for N over a whole run:
# before the write, or when half of it is done. Each time the kernel or e2fsck
# recovers what is left, nothing is lost, nothing is to be repaired, and
# another run ends where one that was not killed does.
#
# E4OFFDEFRAG_KILLS says how many of all N are tried (100; "all").

[ -n "${TMPDIR-}" ] || [ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

skip_without_iotrap
if why=$(skip_without_mount); then
	can_mount=yes
else
	can_mount=
	echo "recovered by e2fsck only, not by the kernel: $why"
fi

mkimg fresh 16M -b 1024
"$TOOLS/fragment" -s 6 -f 250 -p 80 -k 10 -x fresh
[ ! "$can_mount" ] || kernel_view fresh >kernel.fresh

note_whole_run fresh
cp fresh img
assert_exit 0 iotrap img "$E4OFFDEFRAG" --json img
read -r _ writes _ <iotrap.log
steps=$(member out steps_done)
[ "$steps" -ge 4 ] || fail "$steps steps are too few"

# recover HOW IMAGE
recover()
{
	local status=0

	case $1 in
	kernel)
		mkdir -p view
		mount -o loop "$2" view || fail "write $n: no mount"
		"$TOOLS/treesum" view >kernel.now
		unmount view
		assert_same kernel.fresh kernel.now \
			"what the kernel shows, write $n"
		;;
	preen)
		e2fsck -p "$2" >fsck.out 2>&1 || status=$?
		;;
	replay)
		e2fsck -y -E journal_only "$2" >fsck.out 2>&1 || status=$?
		;;
	esac
	[ $status -le 1 ] || {
		cat fsck.out >&2
		fail "write $n: status $status from e2fsck ($1)"
	}
	! needs_recovery "$2" || fail "write $n: not recovered ($1)"
}

ways="preen replay"
[ ! "$can_mount" ] || ways="preen kernel replay"
kills=${E4OFFDEFRAG_KILLS:-100}
[ "$kills" != all ] || kills=$((writes * 2))
count=0 halfway=0
for ((i = 0; i < kills; i++)); do
	# each twice, whole and half, if there are kills enough
	n=$((1 + i * writes / kills)) half=$((i % 2))
	cp fresh img
	assert_exit 137 iotrap img IOTRAP_KILL=$n IOTRAP_HALF=$half \
		"$E4OFFDEFRAG" -q img
	! needs_recovery img || halfway=$((halfway + 1))
	# shellcheck disable=SC2086 # words
	set -- $ways
	shift $((i % $#))
	recover "$1" img
	assert_intact img "write $n"
	assert_resumes img "write $n"
	count=$((count + 1))
done
echo "$count kills in $writes writes and flushes of $steps steps," \
	"$halfway with a journal to be replayed"
[ $((halfway * 2)) -gt $count ] || fail "too few in the middle"

# One more write than there are: nothing is killed.
cp fresh img
assert_exit 0 iotrap img IOTRAP_KILL=$((writes + 1)) "$E4OFFDEFRAG" -q img
