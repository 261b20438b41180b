#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The process is killed at random moments, as the end of its memory is in a
# power cut. (What it has written survives here, so this is only a part of the
# proof.) Then the kernel mounts what is left, or e2fsck recovers it: nothing
# is lost, and the next run ends where an undisturbed one would. After SIGINT,
# SIGTERM and SIGHUP there is nothing to recover.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

kills=50 cancels=20

if why=$(skip_without_mount); then
	can_mount=yes
else
	can_mount=
	echo "recovered by e2fsck only, not by the kernel: $why"
fi

mkimg fresh 64M
"$TOOLS/fragment" -s 5 -f 1000 -p 75 -k 12 -x fresh
[ ! "$can_mount" ] || kernel_view fresh >kernel.fresh

note_whole_run fresh
[ "$(member whole.json steps_done)" -ge 8 ] || fail "too few steps"
measure_run fresh -q
RANDOM=1

# strike SIGNAL [OPTION...]
# Starts a run on a copy of the image and sends the signal, and soon again, at
# a random moment within the run. Leaves the exit status in $status.
strike()
{
	local pid

	delay=$(((RANDOM << 15 | RANDOM) % length)) # microseconds
	cp fresh img
	# SIGHUP may be ignored here, and so would be there
	env --default-signal=HUP "$E4OFFDEFRAG" -q "${@:2}" img 2>err &
	pid=$!
	nap $delay
	kill -s "$1" $pid 2>/dev/null || :
	kill -s "$1" $pid 2>/dev/null || :
	status=0
	{ wait $pid || status=$?; } 2>/dev/null
}

# mount_it IMAGE: the kernel replays the journal.
mount_it()
{
	mkdir -p view
	mount -o loop "$1" view
	"$TOOLS/treesum" view >kernel.now
	unmount view
	assert_same kernel.fresh kernel.now "what the kernel shows after $delay us"
	! needs_recovery "$1" || fail "the kernel has not recovered it"
	assert_clean "$1"
}

# recover IMAGE COMMAND...: the command may find something to repair.
recover()
{
	local image=$1 status=0

	shift
	"$@" "$image" >recover.out 2>&1 || status=$?
	[ $status -le 1 ] || {
		cat recover.out >&2
		fail "status $status after $delay us: $*"
	}
	! needs_recovery "$image" || fail "not recovered after $delay us: $*"
}

struck=0 untouched=0 halfway=0 over=0
while [ $struck -lt $kills ] || [ $((halfway * 2)) -lt $kills ]; do
	[ $((struck + untouched + over)) -lt $((kills * 6)) ] ||
		fail "$halfway of $struck kills hit the moves: too few"
	strike KILL
	if [ $status = 0 ]; then
		over=$((over + 1))
		missed late
		continue
	fi
	assert_eq 137 $status "exit status after $delay us"
	if cmp -s fresh img; then
		untouched=$((untouched + 1))
		missed early
		continue
	fi
	struck=$((struck + 1))
	! needs_recovery img || halfway=$((halfway + 1))
	if [ "$can_mount" ]; then
		cp img mounted
		mount_it mounted
		rm mounted
	fi
	if ((struck % 2)); then
		recover img e2fsck -p
	else
		recover img e2fsck -y -E journal_only
	fi
	assert_intact img "after $delay us"
	assert_resumes img "after $delay us"
done
echo "kills in a run of $length us: $untouched before its first write," \
	"$struck behind that, $halfway of them to be recovered; $over too late"

cancelled=0
for ((i = 0; i < cancels; i++)); do
	case $((i % 3)) in
	0) strike TERM ;;
	1) strike INT --verify ;;
	2) strike HUP --verify ;;
	esac
	case $status in
	0) ;;
	32) cancelled=$((cancelled + 1)) ;;
	*) # before main() was ready for signals
		[ $status -gt 128 ] && cmp -s fresh img ||
			fail "exit status $status after a signal at $delay us" ;;
	esac
	! needs_recovery img || fail "a cancelled run left something to recover"
	assert_intact img "after $delay us"
	assert_resumes img "after $delay us"
done
echo "$cancels signals: $cancelled runs cancelled"
[ $cancelled -gt 0 ] || fail "no signal came in time"
