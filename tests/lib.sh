# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced first by every shell test (bash):
#
#	. "${0%/*}/../lib.sh"
#
# It moves into an empty directory that is removed at the end, whatever the
# end is; what a test mounted or attached below that directory goes first.
# `make check' sets E4OFFDEFRAG (the program), TOOLS (the directory of the test
# tools) and srcdir. By hand: start the test from the build directory.
#
# A test fails by its exit status; status 77 is a skip, and the last line
# printed is the reason.

set -eEu -o pipefail
export LC_ALL=C TZ=UTC0
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

: "${srcdir:=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}"
: "${TOOLS:=$PWD/tests/tools}"
: "${E4OFFDEFRAG:=$PWD/e4offdefrag}"

# Whole images are written, flushed and compared again and again: in memory, if
# nobody says where and there is room: for two or three tests at a time, or for
# the MiB that a test asks for as $room before it sources this file.
has_room()
{
	local mib

	[ -w /dev/shm ] || return 1
	for mib in "$(df --output=avail -m /dev/shm | tail -n 1)" \
		"$(awk '/^MemAvailable:/ { print int($2 / 1024) }' \
			/proc/meminfo)"; do
		[ "${mib:-0}" -ge "${room:-3072}" ] || return 1
	done
}

if [ -z "${TMPDIR-}" ] && has_room; then
	export TMPDIR=/dev/shm
fi
tmp=$(mktemp -d "${TMPDIR:-/tmp}/e4offdefrag-test.XXXXXX")

cleanup()
{
	local status=$? left

	trap - EXIT ERR
	set +e
	cd /
	left=$(jobs -p)
	[ -z "$left" ] || kill -KILL $left 2>/dev/null
	wait 2>/dev/null
	if [ "$(id -u)" = 0 ]; then
		awk -v top="$tmp/" 'index($5, top) == 1 { print $5 }' \
			/proc/self/mountinfo | tac | while read -r left; do
			umount "$left" || umount -l "$left"
		done
		losetup -n -O NAME,BACK-FILE 2>/dev/null |
			awk -v top="$tmp/" 'index($2, top) == 1 { print $1 }' |
			while read -r left; do
				losetup -d "$left"
			done
	fi
	rm -rf "$tmp"
	exit $status
}
trap cleanup EXIT
trap 'echo "${0##*/}: line $LINENO: status $?" >&2' ERR
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$tmp"

# ---- how a test ends early

fail()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

skip()
{
	echo "$*"
	exit 77
}

# need_cmd COMMAND [DEBIAN-PACKAGE]
need_cmd()
{
	command -v "$1" >/dev/null || skip "needs $1 (Debian: ${2:-$1})"
}

skip_without_root()
{
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# Root and loop devices are there, and the kernel mounts ext4 from them.
skip_without_mount()
{
	local probe=$tmp/probe.img

	skip_without_root
	mkimg "$probe" 4M
	mkdir -p "$probe.d"
	mount -o loop,ro "$probe" "$probe.d" 2>/dev/null ||
		skip "needs loop devices and an ext4 kernel"
	unmount "$probe.d"
	rm -r "$probe" "$probe.d"
}

# unmount DIRECTORY
# Also waits for the end of the loop device, which another process can delay
# that has copied the mount; the file system is clean only then.
unmount()
{
	local loop file

	loop=$(awk -v dir="$(realpath "$1")" '$5 == dir {
		for (i = 6; $i != "-"; i++)
			;
		print $(i + 2)
	}' /proc/self/mountinfo)
	file=$(attached_to "$loop")
	umount "$1"
	wait_until not_attached "$loop" "$file"
}

# attached_to LOOP-DEVICE prints the file, if there is one.
attached_to()
{
	losetup -n -O BACK-FILE "$1" 2>/dev/null || :
}

# not_attached LOOP-DEVICE FILE
# Another test may have taken the device for a file of its own at once.
not_attached()
{
	[ "$(attached_to "$1")" != "$2" ]
}

# attach LOSETUP-ARGUMENT... leaves the name of the loop device in $loop.
attach()
{
	loop=$(losetup -f --show "$@")
}

# detach LOOP-DEVICE, and wait until it is
detach()
{
	local file

	file=$(attached_to "$1")
	losetup -d "$1"
	wait_until not_attached "$1" "$file"
}

# ---- images

# mkimg FILE SIZE [MKE2FS-OPTION...]
# An ext4 file system, unless the options say -t or -r. The same arguments make
# the same image, at any time and on any machine.
mkimg()
{
	local file=$1 size=$2 type=(-t ext4) args=()
	local extended=hash_seed=c0ffee00-0000-4000-8000-000000000001

	shift 2
	while [ $# -gt 0 ]; do
		case $1 in
		-E) # only the last one counts
			extended+=,$2
			shift
			;;
		-t | -r)
			type=("$1" "$2")
			shift
			;;
		*)
			args+=("$1")
			;;
		esac
		shift
	done
	rm -f "$file"
	truncate -s "$size" "$file"
	E2FSPROGS_FAKE_TIME=1600000000 mke2fs -q -F "${type[@]}" \
		-U 5a3f6d70-1d2c-4e9b-8a51-0e4f0ff5e700 -E "$extended" \
		"${args[@]}" "$file" 2>mke2fs.err || {
		cat mke2fs.err >&2
		fail "mke2fs ${args[*]} failed"
	}
}

# mkfragmented IMAGE FILES [MKE2FS-OPTION...]
# A file system of 24 MiB with so many of them.
mkfragmented()
{
	mkimg "$1" 24M "${@:3}"
	"$TOOLS/fragment" -s 7 -f "$2" -p 70 -m 1024 -k 4 "$1" >/dev/null
}

# poke FILE OFFSET BYTES
# Writes bytes, which are given as to printf.
poke()
{
	# shellcheck disable=SC2059 # the format is the point
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# fsdebug IMAGE COMMAND...
# Has debugfs change an image; prints what it says. Unlike debugfs itself it
# fails when a command does.
fsdebug()
{
	local image=$1

	shift
	printf '%s\n' "$@" >fsdebug.in
	debugfs -w -f fsdebug.in "$image" 2>fsdebug.err
	[ "$(wc -l <fsdebug.err)" = 1 ] && return
	cat fsdebug.err >&2
	fail "debugfs on $image: $*"
}

# digest IMAGE
# Prints what the files of an image are: names, contents, metadata.
digest()
{
	"$TOOLS/imgsum" "$1"
}

# ---- a run to which something happens

# skip_without_iotrap
# The program can be run by iotrap: it is neither static nor sanitized.
skip_without_iotrap()
{
	[ -e "$TOOLS/iotrap.so" ] || skip "tests/tools/iotrap.so is not built"
	! grep -q __asan_init "$E4OFFDEFRAG" ||
		skip "the program is sanitized, nothing can be preloaded"
	rm -f iotrap.log
	iotrap img "$E4OFFDEFRAG" --version >/dev/null
	[ -e iotrap.log ] ||
		skip "the program is static, nothing can be preloaded"
}

# iotrap FILE [VARIABLE=VALUE...] COMMAND...
# Runs it with tests/tools/iotrap.c, which says what the variables are, and what
# it leaves in iotrap.log.
iotrap()
{
	env LD_PRELOAD="$TOOLS/iotrap.so" IOTRAP_FILE="$1" \
		IOTRAP_LOG=iotrap.log "${@:2}"
}

# start_iotrap FILE [VARIABLE=VALUE...] COMMAND...
# The same in the background, with its outputs in out and err: returns when
# the first read or write has begun, with the process in $pid. A run has its
# locks by then; to open the target before could be in its way.
start_iotrap()
{
	rm -f iotrap.begun
	env LD_PRELOAD="$TOOLS/iotrap.so" IOTRAP_FILE="$1" \
		IOTRAP_LOG=iotrap.log IOTRAP_MARK=iotrap.begun \
		"${@:2}" >out 2>err &
	pid=$!
	wait_until [ -e iotrap.begun ]
}

# ---- a run that is caught in the middle

# wait_until COMMAND...
wait_until()
{
	local i

	for ((i = 0; i < 600; i++)); do
		"$@" && return
		sleep 0.1
	done
	fail "waited in vain for: $*"
}

# is_locked PROCESS: it holds the lock on its target
is_locked()
{
	grep -q "FLOCK.* $1 " /proc/locks
}

# is_stopped PROCESS: by a signal
is_stopped()
{
	grep -q '^State:.*stopped' "/proc/$1/status"
}

# in_parallel COMMAND...
# Each of them, a function and its arguments, in a directory of its own below
# this one, all at the same time; what they leave running ends with them.
in_parallel()
{
	local part pid pids='' failed=

	for part; do
		mkdir "${part// /-}"
		(
			trap 'kill -KILL $(jobs -p) 2>/dev/null || :' EXIT
			cd "${part// /-}"
			$part
		) &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait "$pid" || failed=yes
	done
	[ -z "$failed" ] || fail "not all parts have passed"
}

# hold_run ARGUMENT...
# Starts a run in the background (its process is $held) that gets no farther
# than to its first line of progress, with the target locked: nobody reads the
# lines, and the pipe is full. Its outputs go to held.out and held.err.
hold_run()
{
	rm -f held.fifo
	mkfifo held.fifo
	exec 8<>held.fifo
	dd if=/dev/zero of=held.fifo bs=4096 conv=notrunc oflag=nonblock \
		status=none 2>/dev/null || : # until it is full
	"$E4OFFDEFRAG" -C 8 "$@" >held.out 2>held.err &
	held=$!
	# Looking at the target itself could be in the way of the run.
	wait_until is_held
}

# Locked, and in a call of the system on file descriptor 8. A kernel that does
# not tell leaves only to wait for a while.
is_held()
{
	local fd=''

	is_locked "$held" || return
	if ! { read -r _ fd _ <"/proc/$held/syscall"; } 2>/dev/null; then
		sleep 1
		return 0
	fi
	[ "$fd" = 0x8 ]
}

# finish_run STATUS
finish_run()
{
	local got=0

	exec 7<held.fifo
	cat <&7 >/dev/null 8<&- &
	exec 7<&- 8<&-
	wait "$held" || got=$?
	[ "$got" = "$1" ] && return
	cat held.err >&2
	fail "exit status $got, not $1, of the run that was held"
}

# ---- a run that is struck at some moment

# measure_run FRESH ARGUMENT...
# Leaves in $length how many microseconds a run on img, a copy of that, takes:
# the shorter of two, as the first one may be slower than any to come.
measure_run()
{
	local fresh=$1 i start us

	shift
	length=
	for i in 1 2; do
		cp "$fresh" img
		start=${EPOCHREALTIME/./}
		assert_exit 0 "$E4OFFDEFRAG" "$@" img
		us=$((${EPOCHREALTIME/./} - start))
		[ "${length:-$us}" -lt $us ] || length=$us
	done
	last_miss='' misses=0
}

# nap MICROSECONDS
nap()
{
	sleep "$(printf '%d.%06d' $(($1 / 1000000)) $(($1 % 1000000)))"
}

# missed early|late
# A moment of $length was not within what was to be struck. Four times in a row
# in the same way: runs have become slower, or faster, than they were.
missed()
{
	[ "$1" = "$last_miss" ] || misses=0
	last_miss=$1 misses=$((misses + 1))
	[ $misses -ge 4 ] || return 0
	misses=0
	case $1 in
	early) length=$((length * 3 / 2)) ;;
	late) length=$((length * 2 / 3 + 1)) ;;
	esac
}

# ---- what must be true

# assert_eq WANTED FOUND [WHAT]
assert_eq()
{
	[ "$1" = "$2" ] && return
	printf 'wanted: %s\nfound:  %s\n' "$1" "$2" >&2
	fail "${3:-values differ}"
}

# assert_exit STATUS COMMAND...
# Leaves the two outputs in the files out and err of the current directory.
assert_exit()
{
	local want=$1 got=0

	shift
	"$@" >out 2>err || got=$?
	[ "$got" = "$want" ] && return
	printf -- '--- out\n' >&2
	tail -n 40 out >&2
	printf -- '--- err\n' >&2
	tail -n 40 err >&2
	fail "exit status $got, not $want: $*"
}

# assert_unchanged IMAGE COMMAND...
# The image has the same bytes after the command. Its status is passed on, so
# a refusal reads: assert_unchanged IMAGE assert_exit 8 COMMAND...
assert_unchanged()
{
	local image=$1 copy status=0

	shift
	copy=$(mktemp "$tmp/unchanged.XXXXXX")
	cp "$image" "$copy"
	"$@" || status=$?
	cmp "$copy" "$image" || fail "wrote to $image: $*"
	rm "$copy"
	return $status
}

# assert_grep PATTERN FILE
assert_grep()
{
	grep -q -e "$1" "$2" && return
	cat "$2" >&2
	fail "no line of $2 matches: $1"
}

# assert_refused STATUS PATTERN IMAGE [ARGUMENT...]
# With this exit status, one line of message that matches the pattern, no
# report, and not one byte of the image changed. An IMAGE?offset=N counts as
# the whole image.
assert_refused()
{
	local status=$1 pattern=$2

	shift 2
	assert_unchanged "${1%%\?*}" \
		assert_exit "$status" "$E4OFFDEFRAG" "${@:2}" "$1"
	assert_eq "" "$(cat out)" "standard output of the refusal of $*"
	assert_eq 1 "$(wc -l <err)" "lines of the refusal of $*"
	assert_grep "^e4offdefrag: .*$pattern" err
}

# assert_clean IMAGE
assert_clean()
{
	# status 0 also if free counts are wrong: what it asks counts, too
	if e2fsck -fn "$1" >fsck.out 2>&1 &&
		! grep '? no *$' fsck.out | grep -v 'Optimize? no *$'; then
		return
	fi
	cat fsck.out >&2
	fail "e2fsck finds errors in $1"
}
