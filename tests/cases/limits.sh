#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --max-write and --time end a run in good order, say what is left, and other
# runs bring it to the same end; what -n says that a run takes is true.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

mkimg fresh 64M -b 1024
"$TOOLS/fragment" -s 8 -f 600 -p 60 fresh
note_whole_run fresh
all=$(member whole.json bytes_moved)

# more_until_done ARGUMENT...
# Runs until nothing is left; each run stops where it must, soundly.
more_until_done()
{
	cp fresh img
	for ((rounds = 0; rounds < 40; rounds++)); do
		assert_exit 0 "$E4OFFDEFRAG" --json "$@" img
		assert_intact img "$*"
		[ "$(member out stopped)" != null ] || break
	done
	[ $rounds -ge 2 ] && [ $rounds -lt 40 ] || fail "$rounds runs of $*"
	# where each file is may differ, how many are left may not
	assert_eq "$(member whole.json after fragmented_files)" \
		"$(member out after fragmented_files)" "files left by $*"
	assert_eq "$(member whole.json after runs)" \
		"$(member out after runs)" "runs left by $*"
}

# -- bytes

assert_exit 0 "$E4OFFDEFRAG" --json -n --max-write=$((all / 3)) fresh
assert_eq '"max-write"' "$(member out stopped)" "stopped, planned"
[ "$(member out bytes_to_move)" -le $((all / 3)) ] || fail "too much planned"
cp out planned
cp fresh img
assert_exit 0 "$E4OFFDEFRAG" --json --max-write=$((all / 3)) img
assert_eq "$(member planned bytes_to_move)" "$(member out bytes_moved)" \
	"bytes moved"
assert_eq "$(sed -n '/^  "after"/,/^  }/p' planned)" \
	"$(sed -n '/^  "after"/,/^  }/p' out)" "what was planned and reached"
! grep -q '"no better place"' out || fail "what is left has a wrong reason"
cp fresh img
assert_exit 0 "$E4OFFDEFRAG" --max-write=$((all / 3)) img
assert_grep '^Stopped at the limit of --max-write: [0-9]* fragmented files are' \
	out
assert_exit 0 "$E4OFFDEFRAG" -n --max-write=$((all / 3)) img
assert_grep '^Would stop at the limit of --max-write: ' out
cp fresh img
assert_exit 0 "$E4OFFDEFRAG" --json --max-write=1G img
assert_eq null "$(member out stopped)" "stopped, with a limit not reached"
assert_refused 8 'less than a block' fresh --max-write=1023
more_until_done --max-write=$((all / 3))

# -- seconds: with none, one step

more_until_done --time=0
cp fresh img
assert_exit 0 "$E4OFFDEFRAG" --json --time=0 img
assert_eq '"time"' "$(member out stopped)" "stopped"
assert_eq 1 "$(member out steps_done)" "steps done"
cp fresh img
assert_exit 0 "$E4OFFDEFRAG" --time=0 --verify -v img
assert_grep '^Moved .* in 1 of [0-9]* steps' out
assert_grep '^Stopped after [0-9]* s: [0-9]* fragmented files are left' out
! grep ': no better place$' out >&2 || fail "what is left has a wrong reason"
cp fresh img
assert_exit 0 "$E4OFFDEFRAG" --json --time=3600 img
assert_eq null "$(member out stopped)" "stopped, with time to spare"
assert_eq "$all" "$(member out bytes_moved)" "moved, with time to spare"

# -- what -n estimates

# assert_estimate [MKE2FS-OPTION...]
quota=
assert_estimate()
{
	local name plan real

	mkimg img 48M "$@"
	"$TOOLS/fragment" -s 9 -f 300 -p 60 -x img
	[ -z "$quota" ] || tune2fs -Q "$quota" img >/dev/null
	assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" --json -n --rate=1M img
	cp out planned
	assert_eq 1048576 "$(member planned rate)" "rate"
	assert_exit 0 "$E4OFFDEFRAG" --json img
	for name in read:read write:written; do
		plan=$(member planned "bytes_to_${name%:*}")
		real=$(member out "bytes_${name#*:}")
		[ $((plan * 100)) -ge $((real * 98)) ] &&
			[ $((plan * 2)) -le $((real * 3)) ] ||
			fail "$plan bytes to ${name%:*}, and $real in fact: $*"
		[ "$name" = read:read ] || [ "$plan" -ge "$real" ] ||
			fail "$plan bytes to write, and $real in fact: $*"
	done
	# 10 bytes a tenth of a microsecond: by the rate
	plan=$(($(member planned bytes_to_read) +
		$(member planned bytes_to_write)))
	assert_eq "$(((plan * 10 + (1 << 19)) >> 20))" \
		"$(member planned seconds | tr -d .)" "tenths of a second"
	assert_eq null "$(member out seconds)" "seconds, without -n"
}

assert_estimate
assert_estimate -b 1024
assert_estimate -O ^has_journal
assert_estimate -t ext3 -b 1024
assert_estimate -O bigalloc -C 16384
quota=usrquota,grpquota
assert_estimate -b 1024

# Measured: some rate, and nothing else differs from one time to the next.
for i in 1 2; do
	assert_exit 0 "$E4OFFDEFRAG" --json -n fresh
	[ "$(member out rate)" -gt 0 ] || fail "no rate"
	grep -v '^  "rate"\|^  "seconds"' out >dry.$i
done
cmp dry.1 dry.2 || fail "two dry runs differ"
assert_exit 0 "$E4OFFDEFRAG" -n --rate=2M fresh
assert_grep '^All in all about .* to read and at most .* to write' out
assert_grep '^At 2.0 MiB a second that takes about [0-9]*\.[0-9] s\.$' out
