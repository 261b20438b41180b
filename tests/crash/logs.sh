#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Power cuts with journals of every kind: no checksums, those of version 1, 2
# and 3, block numbers of 32 and 64 bits, blocks of 1 and 4 KiB, mapped by
# extents or as ext3 had it, and full of what was in it before.

. "${0%/*}/images.sh"

# small IMAGE BLOCK-SIZE [MKE2FS-OPTION...]
# The smallest file system there is room in, in pieces.
small()
{
	local image=$1 bs=$2 size=8M journal=1 run=2

	shift 2
	[ "$bs" = 1024 ] || size=16M journal=4 run=8
	mkimg "$image" $size -b "$bs" -J size=$journal -N 256 "$@"
	"$TOOLS/fragment" -s 6 -f 20 -p 70 -m 512 -k $run "$image"
}

# With metadata_csum the log gets what the kernel gives it, whatever it had.
for bs in 1024 4096; do
	for log in none v1 v2 v3; do
		for bits in 32 64; do
			image=log-$bs-$log-$bits
			small "$image" $bs -O ^metadata_csum,^64bit,uninit_bg
			"$TOOLS/jsb" -c $log -b $bits "$image" >/dev/null
			journaled "$image" "$log, $bits bits" --batches=2 \
				--each=4 --random=1
		done
	done
	small csum-$bs $bs -O ^64bit
	"$TOOLS/jsb" -c v1 csum-$bs >/dev/null
	journaled csum-$bs "v3, 32 bits" --batches=2
done

# As mke2fs made them in 2008: no checksums; inodes of 128 bytes, descriptors
# of 32.
mkimg old 16M -b 1024 -J size=1 -I 128 -O ^metadata_csum,^64bit,uninit_bg
"$TOOLS/fragment" -s 3 -f 40 -p 85 -m 2048 -k 1 old
journaled old "none, 32 bits" --batches=8 --depth=2 --each=6

# Files of ext3 that become files of ext4.
small convert 1024 -O ^extent,^64bit
tune2fs -O extent convert >/dev/null
journaled convert "v3, 32 bits" --convert --batches=2

# A journal that is mapped by indirect blocks, from before the file system had
# extents; and files from then.
mkimg ext3 16M -b 1024 -J size=1 -O ^extent,^64bit
"$TOOLS/fragment" -s 7 -f 20 -p 40 -m 512 -k 2 ext3
fsdebug ext3 "feature extent" >/dev/null
"$TOOLS/fragment" -s 8 -f 20 -p 75 -m 512 -k 1 ext3
debugfs -R "stat <8>" ext3 2>/dev/null | grep -q '(IND)' ||
	fail "the journal is not mapped by indirect blocks"
journaled ext3 "v3, 32 bits" --batches=5 --depth=1

# A log full of old transactions; and a boot block that begins like a block of
# the journal, so that the block of the superblock needs an escape in the log.
mkimg stale 16M -b 4096 -J size=4
"$TOOLS/fragment" -s 5 -f 60 -p 90 -m 512 -k 8 stale
printf '\300\073\071\230' | dd of=stale conv=notrunc status=none
make_stale stale
journaled stale "v3, 64 bits" --batches=10 --each=6

# The same where the log is new to checksums: no descriptor says what is old.
small stale-none 1024 -O ^metadata_csum,^64bit,uninit_bg
make_stale stale-none
journaled stale-none "none, 32 bits" --batches=2
