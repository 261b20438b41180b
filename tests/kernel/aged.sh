#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The main job: a file system with default features on which the kernel has
# scattered thousands of files, and the free space as well, is brought to its
# ideal. In less than 64 MiB of memory, 16 MiB of which are for copying.

room=6144
. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

skip_without_mount
need_cmd e2freefrag e2fsprogs

mkimg img 1G
mkdir mnt
mount -o loop img mnt
"$TOOLS/age" -s 1 mnt
unmount mnt
cp img fresh

files=$(breaks img | sort -u | wc -l)
free=$(e2freefrag img | sed -n 's/^Avg\. free extent: \([0-9]*\) KB/\1/p')
echo "fragmented files: $files, mean free run: $free KiB"
[ "$files" -ge 2000 ] || fail "too few fragmented files"
[ "$free" -lt 64 ] || fail "the free space is not fragmented enough"

assert_whole_run img 4096
echo "moved: $(member run.json bytes_moved) bytes"

# A sanitizer has memory of its own.
if ! type -P time >/dev/null; then
	echo "GNU time is not here (Debian: time): memory is not measured"
elif ! grep -q __asan_init "$E4OFFDEFRAG"; then
	command time -f %M -o rss "$E4OFFDEFRAG" -q --memory=16M fresh
	echo "peak memory: $(cat rss) KiB"
	[ "$(cat rss)" -lt 65536 ] || fail "more memory than 64 MiB"
	cmp img fresh
fi
