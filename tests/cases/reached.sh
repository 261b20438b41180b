#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A run that is cut short reports the layout it has come to, and what reading
# takes there: what -c says of the file system afterwards.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

why=$(skip_without_iotrap) || skip "$why"

# layout REPORT OBJECT
layout()
{
	sed -n "/^  \"$2\": {/,/^  }/p" "$1" | sed '1d; $d'
}

# A run with that of the environment, which ends with one of these statuses;
# leaves what it has moved in $moved.
cut_short()
{
	local what=$1 status=0

	cp fresh img
	iotrap img "$what" "$E4OFFDEFRAG" --verify --json "${@:3}" img \
		>run.json 2>err || status=$?
	assert_eq "$2" $status "exit status with $what ${*:3}"
	[ "$(member run.json after)" != null ] || fail "no plan with $what"
	! needs_recovery img || fail "something to recover with $what"
	assert_exit 0 "$E4OFFDEFRAG" -c --json img
	layout run.json after >told
	layout out before >found
	assert_grep '"seeks"' told
	assert_same found told "the layout reached with $what ${*:3}"
	moved=$(member run.json bytes_moved)
}

mkimg fresh 96M
"$TOOLS/fragment" -s 5 -f 1500 -p 75 -k 12 fresh

for policy in --verify --optimize; do
	cp fresh img
	assert_exit 0 iotrap img "$E4OFFDEFRAG" --verify --json $policy img
	read -r reads writes _ <iotrap.log
	mv out whole.json
	all=$(member whole.json bytes_moved)

	# Cancelled: before the first step, and in the middle of them.
	halfway=0
	for part in 50 70 80 90 97; do
		cut_short IOTRAP_TERM=$(((reads + writes) * part / 100)) 32 \
			$policy
		[ "$moved" -gt 0 ] && [ "$moved" -lt "$all" ] || continue
		! cmp -s told <(layout run.json before) ||
			fail "nothing has changed"
		halfway=$((halfway + 1))
	done
	[ $halfway -ge 2 ] || fail "$halfway times halfway with $policy"
done
