#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each read, write, flush and allocation of a run fails once, on small file
# systems of different kinds. faults.c says how.
#
# FAULT_POINTS is about how many of each kind fail, on each image; 0 = all.

. "${0%/*}/../lib.sh"

need_cmd debugfs e2fsprogs
: "${FAULTS:=$TOOLS/../fault/faults}"

# fault IMAGE BATCHES [OPTION...]
# BATCHES is the least number of transactions that the run must have.
fault()
{
	local image=$1 batches=$2

	shift 2
	mkdir "$image.d"
	"$FAULTS" --dir="$image.d" \
		--batches="$batches" --points="${FAULT_POINTS:-24}" "$@" \
		"$image" || fail "$image: a failure does harm"
	rm -r "$image.d"
}

# With checksums, and mapping blocks.
mkimg one 6M -b 1024 -J size=1 -N 128
"$TOOLS/fragment" -s 1 -f 12 -p 92 -m 700 -k 2 one
fault one 8

# Blocks of 4 KiB, no checksums, one group.
mkimg old 10M -b 4096 -J size=4 -N 128 -O ^metadata_csum,^64bit
"$TOOLS/fragment" -s 2 -f 30 -p 85 -m 512 -k 12 old
fault old 6

# Without a journal the metadata are written in order.  (With dir_index, e2fsck
# -p would give a large directory an index.)
mkimg ordered 6M -b 1024 -N 128 -O ^has_journal,^dir_index
"$TOOLS/fragment" -s 4 -f 12 -p 75 -m 700 -k 3 ordered
fault ordered 1 --ordered

# What is read besides: directories below /boot, a possible swap file, all that
# moves for its digest.
mkimg boot 6M -b 1024 -J size=1 -N 128
"$TOOLS/fragment" -s 3 -f 8 -p 60 -m 400 -k 6 boot
truncate -s 81920 data
fsdebug boot "mkdir boot" "mkdir boot/grub" "write data boot/grub/core" \
	"write data swap" >/dev/null
poke boot 0 'boot loader'
fault boot 3 --verify

# Names, and an order by them: files that stay, and files that come first.
mkimg chosen 6M -b 1024 -J size=1 -N 128
"$TOOLS/fragment" -s 5 -f 14 -p 50 -m 300 -k 4 chosen
fault chosen 2 --choose
