#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Multi-mount protection: a block in which whoever uses the file system leaves
# a number, so that other hosts keep off. The run takes part in it, and refuses
# what another one may be using. Taking it lasts eleven seconds at least, so
# the parts of this test run at the same time.

. "${0%/*}/../lib.sh"

CLEAN=ff4d4d50
FSCK=e24d4d50

# sequence FILE prints that number.
sequence()
{
	debugfs -R dump_mmp "$1" 2>/dev/null | sed -n 's/^sequence: //p'
}

# set_sequence FILE BYTES: little-endian; without checksums just so.
set_sequence()
{
	poke "$1" $((mmp + 4)) "$2"
}

# A run that has the file system leaves the number of e2fsck.
is_taken()
{
	[ "$(sequence "$1")" = $FSCK ]
}

# without_mmp FILE prints all bytes but those of the block.
without_mmp()
{
	head -c "$mmp" "$1"
	tail -c +$((mmp + 1025)) "$1"
}

mkimg fresh 16M -b 1024
"$TOOLS/fragment" -s 1 -f 100 -p 50 fresh
tune2fs -O mmp fresh >/dev/null
digest fresh >want
mkimg plain 16M -b 1024 -O ^metadata_csum
"$TOOLS/fragment" -s 1 -f 100 -p 50 plain
tune2fs -O mmp plain >/dev/null
mmp=$(debugfs -R dump_mmp plain 2>/dev/null | sed -n 's/^block_number: //p')
mmp=$((mmp * 1024))
assert_eq $CLEAN "$(sequence fresh)" "the number after tune2fs"

# A run as it should be; in the middle of it others are kept off.
whole_run()
{
	cp ../fresh img
	hold_run img
	wait_until is_taken img
	cp img copy
	assert_refused 8 "img is in use by another program" img
	finish_run 0
	assert_eq $CLEAN "$(sequence img)" "the number after the run"
	dumpe2fs -m img 2>&1 | grep -q 'MMP is clean' ||
		fail "dumpe2fs: the MMP block is not clean"
	assert_clean img
	digest img | cmp ../want - || fail "the run changed the files"
	# What another host sees in the meantime.
	assert_refused 8 "copy may be in use by another host .*clear_mmp" copy
}

# Looking does not take part, and does not wait.
looking()
{
	cp ../fresh img
	assert_unchanged img assert_exit 0 timeout 8 "$E4OFFDEFRAG" -c img
	assert_unchanged img assert_exit 0 timeout 8 "$E4OFFDEFRAG" -n img
	cp ../plain img
	set_sequence img '\x50\x4d\x4d\xe2'
	assert_refused 8 "img may be in use by another host .*clear_mmp" img
	set_sequence img '\x51\x4d\x4d\xe2' # no number at all
	assert_refused 8 "img may be in use by another host .*clear_mmp" img

	# The library would look for the block at the wrong place.
	head -c 1048576 /dev/zero >shifted
	cat ../fresh >>shifted
	assert_refused 8 "mmp, which is not supported at an offset; .*losetup" \
		"shifted?offset=1048576"
}

# Another host counts on.
in_use()
{
	local pid status=0 i=16

	cp ../plain img
	set_sequence img '\x10\0\0\0'
	"$E4OFFDEFRAG" img >out 2>err &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep 1
		i=$((i + 1))
		set_sequence img "$(printf '\\x%x\\0\\0\\0' $i)"
	done
	wait $pid || status=$?
	assert_eq 8 $status "exit status while another host counts"
	assert_grep '^e4offdefrag: img may be in use by another host' err
	without_mmp ../plain >before
	without_mmp img | cmp before - || fail "wrote to what is in use"
}

# A number that stays as it is was left by a crash.
stale()
{
	cp ../plain img
	set_sequence img '\x10\0\0\0'
	assert_exit 0 "$E4OFFDEFRAG" img
	assert_eq $CLEAN "$(sequence img)" "the number after the run"
	assert_clean img
}

# The block is handed back too if the file system turns out to be damaged.
damaged()
{
	cp ../plain img
	poke img $(($(debugfs -R stats img 2>/dev/null | sed -nE \
		's/.*block bitmap at ([0-9]+).*/\1/p' | sed 1q) * 1024 + 900)) \
		'\x01'
	cp img before
	assert_exit 4 "$E4OFFDEFRAG" img
	assert_eq $CLEAN "$(sequence img)" "the number after a refusal"
	without_mmp before >want
	without_mmp img | cmp want - || fail "wrote more than the MMP block"
}

# After a crash the block says so, and tune2fs clears it.
killed()
{
	cp ../fresh img
	hold_run img
	wait_until is_taken img
	kill -KILL "$held"
	finish_run 137
	assert_refused 8 "img may be in use by another host .*clear_mmp" img
	tune2fs -f -E clear_mmp img >/dev/null
	assert_exit 0 "$E4OFFDEFRAG" -p img
	assert_eq $CLEAN "$(sequence img)" "the number after the next run"
	assert_clean img
	digest img | cmp ../want - || fail "the runs changed the files"
}

pids=
for part in whole_run looking in_use stale damaged killed; do
	mkdir $part
	(
		trap 'kill -KILL $(jobs -p) 2>/dev/null || :' EXIT
		cd $part
		$part
	) &
	pids="$pids $!"
done
failed=
for pid in $pids; do
	wait "$pid" || failed=yes
done
[ -z "$failed" ] || fail "not all parts have passed"
