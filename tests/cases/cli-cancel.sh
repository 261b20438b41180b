#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A signal ends the run with exit status 32 and a clean file system; what is
# left to do is done by the next run.

. "${0%/*}/../lib.sh"

mkimg fresh 96M
"$TOOLS/fragment" -s 2 -f 1500 -p 67 fresh
digest fresh >fresh.sum

measure_run fresh -q

# cancel SIGNAL ARGUMENT...
# Sends the signal twice at a moment within the run. A moment that is too
# early finds no handler yet, one that is too late no run: then the next one,
# a little later in the measured length each, which wraps around.
cancel()
{
	local signal=$1 status try pid us

	shift
	for try in {1..60}; do
		us=$((length * (try * 7 % 20 + 1) / 20))
		cp fresh img
		# SIGHUP may be ignored here, and so would be there
		env --default-signal=HUP "$E4OFFDEFRAG" "$@" img >out 2>err &
		pid=$!
		nap $us
		kill -s "$signal" $pid 2>/dev/null || :
		kill -s "$signal" $pid 2>/dev/null || :
		status=0
		{ wait $pid || status=$?; } 2>/dev/null
		if [ $status -gt 128 ]; then
			missed early
			continue
		fi
		assert_clean img
		digest img >img.sum
		cmp fresh.sum img.sum || fail "SIG$signal changed the files"
		[ $status = 0 ] || break
		missed late
	done
	assert_eq 32 $status "exit status after SIG$signal ($us of $length us)"
	assert_eq 1 "$(grep -c '^e4offdefrag: Cancelled while' err)" \
		"lines about SIG$signal"
}

# A run may end between the moment and the signal.
is_stopped_or_over()
{
	is_stopped "$1" || ! grep -q '^State:.*[RSD] (' "/proc/$1/status"
} 2>/dev/null

# Stopped at any moment, and continued: nothing else happens.
cp img done.img
stops=0
for ((i = 1; stops < 5; i++)); do
	[ $i -le 60 ] || fail "only $stops runs were stopped"
	cp fresh img
	"$E4OFFDEFRAG" -q img &
	pid=$!
	nap $((length * (i % 6) / 6))
	# The terminal's SIGTSTP has no effect on a process whose group has no
	# parent that could continue it; both stop in the same way.
	kill -TSTP $pid 2>/dev/null && kill -STOP $pid 2>/dev/null || :
	wait_until is_stopped_or_over $pid
	if is_stopped $pid 2>/dev/null; then
		stops=$((stops + 1))
	else
		missed late
	fi
	sleep 0.1
	kill -CONT $pid 2>/dev/null || :
	wait $pid || fail "exit status $? after it was stopped"
	cmp img done.img || fail "stopped and continued: another result"
done

cancel INT
cancel HUP --json
assert_grep '^    "status": 32,$' out
cancel TERM
assert_exit 0 "$E4OFFDEFRAG" img
assert_clean img
digest img | cmp fresh.sum - || fail "the next run changed the files"
assert_exit 0 "$E4OFFDEFRAG" -n img
assert_grep '^Nothing to do' out
