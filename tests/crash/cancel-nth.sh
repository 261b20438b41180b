#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGTERM comes before the Nth read, write or flush, for N over a whole run with
# --verify. The run ends soon: what reads goes no further, and of a step only
# what has to follow its commit is done. The file system is left clean, and
# another run ends where one that was not cancelled does.
#
# E4OFFDEFRAG_CANCELS says how many of all N are tried (60; "all").

[ -n "${TMPDIR-}" ] || [ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

skip_without_iotrap

mkimg fresh 16M -b 1024
"$TOOLS/fragment" -s 7 -f 250 -p 60 -k 10 -x fresh
# a boot sector and /boot, block maps and a swap file: all that is looked at
head -c 1024 /dev/urandom | dd of=fresh conv=notrunc status=none
head -c 200000 /dev/urandom >data
head -c 65536 /dev/zero >swap
mkswap -q swap 2>/dev/null || :
fsdebug fresh "mkdir boot" "write data boot/kernel" "write swap swap" \
	"feature -extents" "write data mapped" "feature extents" >/dev/null
assert_clean fresh

note_whole_run fresh
cp fresh img
assert_exit 0 iotrap img "$E4OFFDEFRAG" --verify --json img
read -r reads writes _ <iotrap.log
total=$((reads + writes))
steps=$(member out steps_done)
[ "$steps" -ge 4 ] || fail "$steps steps are too few"
# of the largest step, if it is three times as large as they are on average
most=$((writes / steps * 3))

# late STATUS: how much was read, written and flushed after the signal?
late()
{
	local status=$1 late phase
	read -r _ _ late _ <iotrap.log

	if [ "$status" = 0 ]; then
		# the last thing that is read was read already
		[ $late -le 1 ] || fail "operation $n: $late more, and no end"
		phase=done
	else
		assert_eq 32 "$status" "exit status, operation $n"
		assert_eq 1 "$(grep -c '^e4offdefrag: Cancelled while ' err)" \
			"lines of message, operation $n"
		phase=$(sed -n 's/.*Cancelled while //p' err)
		case $phase in
		moving)
			[ $late -le $most ] ||
				fail "operation $n: $late more, of $most"
			;;
		*)
			# opening reads a few blocks in one go
			[ $late -le 8 ] ||
				fail "operation $n: $late more while $phase"
			;;
		esac
	fi
	echo "$phase $late" >>phases
}

# cancel N leaves the exit status in $status.
cancel()
{
	cp fresh img
	status=0
	iotrap img IOTRAP_TERM="$1" "$E4OFFDEFRAG" --verify -q img \
		>out 2>err || status=$?
}

# The first operation after planning, which has few itself.
low=1 moving=$total
while [ $low -lt $moving ]; do
	n=$(((low + moving) / 2))
	cancel $n
	if grep -q 'while [osp][a-z]*ning' err; then
		low=$((n + 1))
	else
		moving=$n
	fi
done

cancels=${E4OFFDEFRAG_CANCELS:-60}
[ "$cancels" != all ] || cancels=$total
for ((i = 0; i < cancels; i++)); do
	# The phases are unlike in length: a half of all is at the start, at
	# the end, and around the end of planning.
	n=$((1 + i * total / cancels))
	if [ $cancels -lt $total ]; then
		case $((i % 6)) in
		1) n=$((1 + i * 60 / cancels)) ;;
		3) n=$((total - i * 60 / cancels)) ;;
		5) n=$((moving - 5 + i * 10 / cancels)) ;;
		esac
	fi
	cancel $n
	late $status
	! needs_recovery img || fail "operation $n: something to recover"
	assert_intact img "operation $n"
	assert_resumes img "operation $n"
done
echo "$cancels signals in $total operations of $steps steps:"
sort -k 1,1 -k 2n phases | awk '
	{ last = $NF; $NF = ""; n[$0]++; max[$0] = last }
	END {
		for (phase in n)
			print "  " phase "\t" n[phase] " times, at most " \
				max[phase] " operations more"
	}'
for phase in scanning planning moving verifying; do
	grep -q "^$phase" phases || fail "never cancelled while $phase"
done
