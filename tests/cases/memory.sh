#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Memory grows with what there is in a file system, not with its size: -c and
# -n on the same files in 1 GiB and in 512 GiB, where one bit for each block
# would be 16 MiB.

. "${0%/*}/../lib.sh"

type -P time >/dev/null || skip 'needs the program time'

# A sanitizer would count what has been freed, too.
export ASAN_OPTIONS=${ASAN_OPTIONS-}:quarantine_size_mb=1

# peak OPTION IMAGE: resident memory, in KiB
peak()
{
	"$(type -P time)" -o peak -f %M "$E4OFFDEFRAG" -q "$@" || fail "$*"
	tail -n 1 peak
}

for size in 1 512; do
	truncate -s ${size}G img.$size
	mke2fs -q -F -t ext4 -N 65536 -m 0 -J size=4 -O ^resize_inode \
		-E lazy_itable_init=1,lazy_journal_init=1 img.$size
	"$TOOLS/fragment" -s 1 -f 300 -p 60 -k 4 -m 64 -r 200000-250000 \
		img.$size
	assert_clean img.$size
done
for option in -c -n; do
	small=$(peak $option img.1)
	large=$(peak $option img.512)
	echo "$option: $small KiB in 1 GiB, $large KiB in 512 GiB"
	[ "$large" -lt $((small + 4096)) ] ||
		fail "$option: memory grows with the number of blocks"
done
