#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# File systems that the kernel has aged and filled to 95, 97, 99 and 99.9 %:
# the run ends, makes something better and nothing worse, leaves a clean file
# system with the same contents, and has nothing left to do.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

skip_without_mount

excess()
{
	echo $(($(member "$1" "$2" runs) - $(member "$1" "$2" ideal_runs)))
}

mkdir mnt
for percent in 95 97 99 99.9; do
	mkimg img 128M -m 0
	mount -o loop img mnt
	"$TOOLS/age" -s 5 -r 2 -d 8 -w 38 -m 8192 -t $percent mnt
	unmount mnt
	assert_clean img
	image_view img >before
	assert_exit 0 "$E4OFFDEFRAG" --json img
	mv out run.json
	assert_clean img
	image_view img >after
	assert_same before after "what is in the image, $percent % full"
	old=$(excess run.json before) now=$(excess run.json after)
	printf '%s %% full: %d -> %d excess runs, %d -> %d free runs\n' \
		$percent "$old" "$now" \
		"$(member run.json before free_runs)" \
		"$(member run.json after free_runs)"
	[ "$now" -lt "$old" ] || fail "$percent % full: nothing is better"
	[ "$(member run.json after free_runs)" -le \
		"$(member run.json before free_runs)" ] ||
		fail "$percent % full: more free runs"
	assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" --json img
	assert_eq 0 "$(member out steps_done)" "steps of a second run"
done
