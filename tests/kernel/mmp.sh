#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Multi-mount protection on a block device: what another host has written is
# seen, though the cache of this one does not know of it; then not one write
# more.  tests/cases/mmp.sh has all the rest.  Each wait takes eleven seconds,
# so the parts of this test run at the same time.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

skip_without_mount
why=$(skip_without_iotrap) || skip "$why"

CLEAN=ff4d4d50

# sequence prints the number in the block, by the image below the device.
sequence()
{
	od -An -tx4 -j $((mmp + 4)) -N 4 img | tr -d ' '
}

is_taken()
{
	[ "$(sequence)" != $CLEAN ]
}

# beneath BYTES: as another host does, which has a cache of its own
beneath()
{
	poke img $((mmp + 4)) "$1"
}

# direct BYTES: as another process does, which uses none
direct()
{
	dd if="$loop" of=sector bs=512 skip=$((mmp / 512)) count=1 \
		iflag=direct status=none
	poke sector 4 "$1"
	dd if=sector of="$loop" bs=512 seek=$((mmp / 512)) conv=notrunc \
		oflag=direct status=none
}

# start [VARIABLE=VALUE...]: a run on img as a device
start()
{
	attach img
	# the cache of the device has the block
	dd if="$loop" of=cached bs=1024 skip=$((mmp / 1024)) count=1 status=none
	start_iotrap "$loop" "$@" "$E4OFFDEFRAG" "$loop"
}

# take_over beneath|direct BYTES: what the run has written before is there, on
# the device as well as in its cache
take_over()
{
	sync "$loop"
	"$@"
	cp img before
}

# gives_way PATTERN: the run ends, and nothing has been written since `before'
gives_way()
{
	local status=0

	wait $pid || status=$?
	detach "$loop"
	assert_eq 8 $status "exit status"
	assert_grep "^e4offdefrag: $loop $1 another host" err
	assert_eq 1 "$(grep -c '^e4offdefrag: ' err)" "lines of message"
	cmp before img || fail "wrote to what is another's"
}

# The first wait: a number that may be a dead host's, but that one counts on.
looking()
{
	local i=16

	cp ../fresh img
	beneath '\x10\0\0\0'
	start
	while kill -0 $pid 2>/dev/null; do
		sleep 1
		i=$((i + 1))
		take_over "$1" "$(printf '\\x%x\\0\\0\\0' $i)"
	done
	gives_way "may be in use by"
	{ cmp -l ../fresh img || :; } >changed
	assert_eq "" "$(awk -v at=$mmp '$1 <= at || $1 > at + 1024' changed)" \
		"what was written elsewhere"
}

# The second: the run has put a number of its own into the block.
taking()
{
	cp ../fresh img
	start
	wait_until is_taken
	take_over "$1" '\x33\0\0\0'
	gives_way "may be in use by"
}

# In the middle, when one write is to follow the other: later than the interval
# behind the last look.
moving()
{
	cp ../fresh img
	start IOTRAP_STOP=1
	wait_until is_stopped $pid
	needs_recovery "$loop" || fail "not in the middle"
	sleep 1.2
	take_over "$1" '\x33\0\0\0'
	kill -CONT $pid
	gives_way "may have been taken over by"
	beneath '\x50\x4d\x4d\xff'
	e2fsck -p img >fsck.out 2>&1 || [ $? = 1 ] || fail "e2fsck -p: $?"
	assert_clean img
	digest img | cmp ../want - || fail "the run changed the files"
}

# Nobody else is there.
alone()
{
	cp ../fresh img
	start
	wait $pid || fail "exit status $? of a run on its own"
	detach "$loop"
	assert_eq $CLEAN "$(sequence)" "the number after the run"
	assert_clean img
	digest img | cmp ../want - || fail "the run changed the files"
}

mkimg fresh 16M -b 1024 -O ^metadata_csum
"$TOOLS/fragment" -s 1 -f 100 -p 70 fresh
tune2fs -O mmp -E mmp_update_interval=1 fresh >/dev/null
digest fresh >want
mmp=$(debugfs -R dump_mmp fresh 2>/dev/null | sed -n 's/^block_number: //p')
mmp=$((mmp * 1024))

in_parallel alone {looking,taking,moving}" "{beneath,direct}
