#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A signal ends the run with exit status 32 and a clean file system; what is
# left to do is done by the next run.

. "${0%/*}/../lib.sh"

mkimg fresh 96M
"$TOOLS/fragment" -s 2 -f 1500 -p 67 fresh
digest fresh >fresh.sum

# cancel SIGNAL ARGUMENT...
# Sends the signal twice as soon as the first progress is there. The run may
# be over before it arrives: then it is tried again.
cancel()
{
	local signal=$1 status try pid

	shift
	for try in {1..20}; do
		cp fresh img
		rm -f fifo
		mkfifo fifo
		"$E4OFFDEFRAG" -C 3 "$@" img 3>fifo >out 2>err &
		pid=$!
		{
			read -r _ || :
			kill -s "$signal" $pid 2>/dev/null || :
			kill -s "$signal" $pid 2>/dev/null || :
			cat >/dev/null
		} <fifo
		status=0
		wait $pid || status=$?
		assert_clean img
		digest img >img.sum
		cmp fresh.sum img.sum || fail "SIG$signal changed the files"
		[ $status = 0 ] || break
		echo "try $try: SIG$signal came too late"
	done
	assert_eq 32 $status "exit status after SIG$signal"
	assert_eq 1 "$(grep -c '^e4offdefrag: Cancelled while' err)" \
		"lines about SIG$signal"
}

cancel INT
cancel HUP --json
assert_grep '^    "status": 32,$' out
cancel TERM
assert_exit 0 "$E4OFFDEFRAG" img
assert_clean img
digest img | cmp fresh.sum - || fail "the next run changed the files"
assert_exit 0 "$E4OFFDEFRAG" -n img
assert_grep '^Nothing to do' out
