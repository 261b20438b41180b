#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Progress goes where it was asked for, and nowhere else; an output that
# cannot be written is told, and disturbs nothing.

. "${0%/*}/../lib.sh"

mkimg fresh 48M
"$TOOLS/fragment" -s 1 -f 300 -p 60 fresh

cp fresh plain.img
assert_exit 0 "$E4OFFDEFRAG" plain.img
assert_eq "" "$(cat err)" "standard error that is not a terminal"
[ -s out ] || fail "no report"

# Was the run of before.img what the run of plain.img was?
assert_same_result()
{
	cmp plain.img "$1" || fail "$1 is not what it is without $2"
}

# -- -C fd: "phase current max device"

cp fresh lines.img
exec 3>lines
assert_exit 0 "$E4OFFDEFRAG" -C 3 lines.img
exec 3>&-
assert_eq "" "$(cat err)" "standard error with -C 3"
assert_same_result lines.img "-C"
[ -s lines ] || fail "no progress"
! grep -vxE '[1-5] [0-9]+ [1-9][0-9]* lines\.img' lines ||
	fail "these lines are not as in e2fsck"
awk '
$1 < phase { print "phase " $1 " comes after " phase; exit 1 }
$1 > phase { at = 0 }
$2 < at { print "phase " $1 ": " $2 " comes after " at; exit 1 }
$2 > $3 { print "phase " $1 ": " $2 " is behind " $3; exit 1 }
{ phase = $1; at = $2; end[$1] = $3; last[$1] = $2 }
END {
	if (!(2 in end) || !(4 in end)) {
		print "no lines for phase 2, or 4"
		exit 1
	}
	for (i in end)
		if (last[i] != end[i]) {
			print "phase " i " ends at " last[i] " of " end[i]
			exit 1
		}
}' lines || fail "the lines do not say how far the run is"

# -- who reads the progress can go away

cp fresh pipe.img
exec 3> >(exec true)
wait $!
assert_exit 0 "$E4OFFDEFRAG" -C 3 pipe.img
exec 3>&-
assert_same_result pipe.img "a broken pipe"

# -- nor does a disk that is full of the progress

cp fresh pipe.img
exec 3>/dev/full
assert_exit 0 "$E4OFFDEFRAG" -C 3 pipe.img
exec 3>&-
assert_same_result pipe.img "a full disk under the progress"

# -- a line for people

assert_exit 0 "$E4OFFDEFRAG" -c -C 0 fresh
assert_grep $'\r' err
assert_eq "" "$(sed -E 's/.*\r *\r//' err)" "what the line leaves behind"
if command -v script >/dev/null; then
	terminal()
	{
		: >typescript
		script -qec "'$E4OFFDEFRAG' $* fresh >/dev/null" typescript \
			</dev/null >/dev/null || fail "on a terminal: $*"
		sed '/^Script /d' typescript | tr -d '\n'
	}
	[[ $(terminal -c) = *$'\r'* ]] || fail "no progress on a terminal"
	for args in "-c -q" "-c -v" "-c --json"; do
		assert_eq "" "$(terminal "$args")" "on a terminal with $args"
	done
fi

# -- standard output cannot be written

for args in "" "-v" "--json"; do
	cp fresh full.img
	# shellcheck disable=SC2086
	assert_exit 8 sh -c 'exec "$0" "$@" >/dev/full' \
		"$E4OFFDEFRAG" $args full.img
	assert_grep '^e4offdefrag: .*standard output: No space left' err
	assert_same_result full.img "a full standard output"
done
for args in -c -n --help --version; do
	assert_unchanged fresh assert_exit 8 sh -c 'exec "$0" "$@" >/dev/full' \
		"$E4OFFDEFRAG" $args fresh
	assert_grep '^e4offdefrag: .*standard output: No space left' err
done
assert_exit 0 sh -c 'exec "$0" "$@" >/dev/full' "$E4OFFDEFRAG" -qc fresh

# -- the same with what is left of a small disk, and with a broken pipe

if [ "$(id -u)" = 0 ] && mkdir small &&
	mount -t tmpfs -o size=4k none small 2>/dev/null; then
	cp fresh full.img
	head -c 4000 /dev/zero >small/filling
	assert_exit 8 sh -c 'exec "$0" "$@" >small/report' \
		"$E4OFFDEFRAG" -v full.img
	assert_grep '^e4offdefrag: .*standard output: No space left' err
	assert_same_result full.img "a standard output that fills up"
	umount small
else
	echo "a disk that fills up: not tried, needs root"
fi
cp fresh broken.img
exec 4> >(exec true)
wait $!
status=0
"$E4OFFDEFRAG" -v broken.img >&4 2>err || status=$?
exec 4>&-
assert_eq 8 $status "exit status with a broken pipe as standard output"
assert_grep '^e4offdefrag: .*standard output: Broken pipe' err
assert_same_result broken.img "a broken pipe as standard output"

# -- without a standard error, all else is as ever

for closed in '2>&-' '2>/dev/full'; do
	cp fresh mute.img
	status=0
	eval '"$E4OFFDEFRAG" -v -C 0 mute.img >out '"$closed" || status=$?
	assert_eq 0 $status "exit status with $closed"
	assert_grep '^Moved ' out
	assert_same_result mute.img "$closed"
done

# -- no standard streams at all: none of the messages goes into the image

cp fresh closed.img
status=0
"$E4OFFDEFRAG" closed.img <&- >&- 2>&- || status=$?
assert_eq 8 "$status" "exit status without standard streams"
assert_same_result closed.img "standard streams"
