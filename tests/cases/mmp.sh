#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Multi-mount protection: a block in which whoever uses the file system leaves
# a number, so that other hosts keep off. The run takes part in it, and refuses
# what another one may be using. Taking it lasts eleven seconds at least, so
# the parts of this test run at the same time.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

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

# time_of FILE prints the time in the block, a number of seconds.
time_of()
{
	od -An -tu4 -j $((mmp + 8)) -N 4 "$1" | tr -d ' '
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
"$TOOLS/fragment" -s 1 -f 100 -p 70 plain
cp plain patient
tune2fs -O mmp -E mmp_update_interval=1 plain >/dev/null
digest plain >plain.want
# who takes part in this one waits for 160 seconds
tune2fs -O mmp -E mmp_update_interval=100 patient >/dev/null
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
	cp ../patient img
	assert_unchanged img assert_exit 0 timeout 60 "$E4OFFDEFRAG" -c img
	assert_unchanged img assert_exit 0 timeout 60 "$E4OFFDEFRAG" -n img
	cp ../plain img
	set_sequence img '\x50\x4d\x4d\xe2'
	assert_refused 8 "img may be in use by another host .*clear_mmp" img
	set_sequence img '\x51\x4d\x4d\xe2' # no number at all
	assert_refused 8 "img may be in use by another host .*clear_mmp" img

}

# The block is looked for behind the offset.
shifted()
{
	head -c 1048576 /dev/zero >img
	cat ../plain >>img
	hold_run --json "img?offset=1048576"
	wait_until part_is_taken
	finish_run 0
	! grep -q '^  "steps_done": 0,' held.out || fail "nothing was done"
	tail -c +1048577 img >part
	assert_eq $CLEAN "$(sequence part)" "the number after the run"
	assert_clean part
	digest part | cmp ../plain.want - || fail "the run changed the files"
}

part_is_taken()
{
	[ "$(od -An -tx4 -j $((1048576 + mmp + 4)) -N 4 img)" = " $FSCK" ]
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

is_over()
{
	! kill -0 "$1" 2>/dev/null
}

# Who is asked to end while he waits does so, and has taken nothing.
cancelled()
{
	local pid status number

	for number in '\x10\0\0\0' '\x50\x4d\x4d\xff'; do
		cp ../patient img
		set_sequence img "$number"
		cp img before
		env --default-signal=HUP "$E4OFFDEFRAG" img >out 2>err &
		pid=$!
		wait_until is_locked $pid
		sleep 2
		kill -HUP $pid
		wait_until is_over $pid
		status=0
		wait $pid || status=$?
		assert_eq 32 $status "exit status"
		assert_eq "$(sequence before)" "$(sequence img)" "the number"
		without_mmp before >want
		without_mmp img | cmp want - || fail "wrote to it"
	done
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

# All the time the block is fresh: not older than one second, the file system's
# interval, and what one read or write of the slow device takes.
fresh_all_the_time()
{
	local pid phase age seen='' old=0 last=0 changes=0
	local start slowest=0

	cp ../plain img
	exec 3>lines
	start_iotrap img IOTRAP_READ_MS=20 IOTRAP_WRITE_MS=20 \
		"$E4OFFDEFRAG" --verify -C 3 img
	exec 3>&-
	wait_until is_taken img
	while kill -0 $pid 2>/dev/null; do
		start=$EPOCHSECONDS
		phase=$(tail -n 1 lines | cut -d ' ' -f 1)
		age=$(($(date +%s) - $(time_of img)))
		is_taken img || break
		[ $age -le $old ] || old=$age
		[ "$(time_of img)" = $last ] || changes=$((changes + 1))
		last=$(time_of img)
		seen="$seen $phase "
		sleep 0.1
		[ $((EPOCHSECONDS - start)) -le $slowest ] ||
			slowest=$((EPOCHSECONDS - start))
	done
	wait $pid || fail "exit status $? of a slow run"
	for phase in 2 4 5; do
		[[ $seen = *\ $phase\ *\ $phase\ * ]] ||
			fail "not seen in phase $phase: $seen"
	done
	# A machine that stands still lets this loop wait, too.
	[ $slowest -gt 0 ] || slowest=1
	[ $old -le $((2 + slowest)) ] || fail "the block is $old seconds old"
	[ $changes -ge 5 ] || fail "$changes changes of the block are too few"
	assert_eq $CLEAN "$(sequence img)" "the number after the run"
}

# Another host takes over in the middle, when one write is to follow the other:
# not one write more; the other one's number stays.
taken_over()
{
	local pid status=0

	cp ../plain img
	start_iotrap img IOTRAP_STOP=1 "$E4OFFDEFRAG" img
	wait_until is_stopped $pid
	needs_recovery img || fail "not in the middle"
	sleep 1.2
	set_sequence img '\x33\0\0\0'
	cp img before
	kill -CONT $pid
	wait $pid || status=$?
	assert_eq 8 $status "exit status after the take-over"
	assert_grep '^e4offdefrag: img may have been taken over by another' err
	assert_eq 1 "$(grep -c '^e4offdefrag: ' err)" "lines of message"
	cmp before img || fail "wrote to what is another's"
	# as e2fsck, and the next run, would find it
	set_sequence img '\x50\x4d\x4d\xff'
	e2fsck -p img >fsck.out 2>&1 || [ $? = 1 ] || fail "e2fsck -p: $?"
	assert_clean img
	digest img | cmp ../plain.want - || fail "the run changed the files"
}

# Another host takes over while threads have much to write.  Each of them may
# begin with one write more before that is seen, and what is not begun is left.
taken_over_copying()
{
	local pid status=0 mmp changed

	mkimg img 192M -b 4096 -O ^metadata_csum -J size=4
	"$TOOLS/fragment" -s 1 -f 40 -p 30 -m 8192 img
	tune2fs -O mmp -E mmp_update_interval=3 img >/dev/null
	mmp=$(debugfs -R dump_mmp img 2>/dev/null |
		sed -n 's/^block_number: //p')
	mmp=$((mmp * 4096))
	start_iotrap img IOTRAP_STOP=12 IOTRAP_WRITE_MS=400 "$E4OFFDEFRAG" img
	wait_until is_stopped $pid
	sleep 3.2
	set_sequence img '\x33\0\0\0'
	cp img before
	kill -CONT $pid
	wait $pid || status=$?
	assert_eq 8 $status "exit status after the take-over"
	changed=$({ cmp -l before img || :; } | awk '
		{ m[int($1 / 1048576)] }
		END { print length(m) }')
	[ "$changed" -le 16 ] ||
		fail "wrote to $changed MiB of what is another's"
}

# The same while it is stopped for nothing.
stopped()
{
	local pid

	cp ../plain img
	start_iotrap img IOTRAP_STOP=1 "$E4OFFDEFRAG" img
	wait_until is_stopped $pid
	sleep 2
	kill -CONT $pid
	wait $pid || fail "exit status $? after being stopped"
	assert_eq $CLEAN "$(sequence img)" "the number after the run"
	assert_clean img
}

# A read that fails is an end in order.
unreadable()
{
	local n

	cp ../plain img
	iotrap img "$E4OFFDEFRAG" img >/dev/null
	read -r n _ <iotrap.log
	cp ../plain img
	assert_exit 8 iotrap img IOTRAP_EIO=$((n - 20)) "$E4OFFDEFRAG" img
	assert_grep '^e4offdefrag: reading at block .* failed' err
	assert_eq $CLEAN "$(sequence img)" "the number after a read error"
	e2fsck -p img >fsck.out 2>&1 || fail "e2fsck -p: $?"
	assert_clean img
}

# Killed in the middle: everybody keeps off, until one says that he may.
killed_halfway()
{
	local status

	cp ../plain img
	assert_exit 137 iotrap img IOTRAP_KILL=12 "$E4OFFDEFRAG" img
	needs_recovery img || fail "not in the middle"
	cp img before
	status=0
	e2fsck -p img >out 2>&1 || status=$?
	[ $((status & 8)) = 8 ] || fail "exit status $status of e2fsck"
	assert_grep 'tune2fs -f -E clear_mmp' out
	if [ "$(id -u)" = 0 ]; then
		mkdir mnt
		! mount -o loop img mnt 2>/dev/null ||
			fail "the kernel mounts what e2fsck keeps off"
	fi
	cmp before img || fail "somebody has written"
	tune2fs -f -E clear_mmp img >out
	e2fsck -p img >out 2>&1 || [ $? = 1 ] || fail "e2fsck -p: $?"
	assert_clean img
	digest img | cmp ../plain.want - || fail "the run changed the files"
	assert_exit 0 "$E4OFFDEFRAG" img
	assert_eq $CLEAN "$(sequence img)" "the number after the next run"
}

parts="whole_run looking shifted in_use cancelled stale damaged killed"
if why=$(skip_without_iotrap); then
	parts="$parts fresh_all_the_time taken_over taken_over_copying"
	parts="$parts stopped unreadable killed_halfway"
else
	echo "not tried, what needs a slow or failing device: $why"
fi
in_parallel $parts
