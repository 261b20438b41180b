#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Power cuts where no journal can be used: every file can be read before any
# repair, and e2fsck -p repairs what is left to repair.

. "${0%/*}/images.sh"

# fragmented IMAGE BLOCK-SIZE [MKE2FS-OPTION...]
fragmented()
{
	local image=$1 bs=$2

	shift 2
	mkimg "$image" 8M -b "$bs" -N 256 "$@"
	"$TOOLS/fragment" -s 7 -f 30 -p 80 -m 512 -k $((bs / 1024)) "$image"
}

for bs in 1024 4096; do
	for csum in metadata_csum ^metadata_csum,uninit_bg \
		^metadata_csum,^uninit_bg; do
		image=ordered-$bs-$csum
		fragmented "$image" $bs -O "^has_journal,$csum"
		ordered "$image" --batches=3 --reused=50 --each=5 --random=1
	done
done

# Trees of depth 2, two groups.
mkimg trees 16M -b 1024 -O ^has_journal -N 256
"$TOOLS/fragment" -s 1 -f 30 -p 75 -m 2048 -k 1 trees
add_sparse trees wide 400
ordered trees --batches=5 --reused=1000 --depth=2 --each=4

# Inodes of two sectors: what changes of them is in the first. And the rare
# kinds of files.
fragmented inodes 4096 -O ^has_journal -I 1024
ordered inodes --batches=3
mkimg rare 16M -b 1024 -O ^has_journal
"$TOOLS/fragment" -s 4 -x -f 20 -p 60 -m 256 -k 2 rare
ordered rare --batches=3 --each=4

# ext2 as it was: all files mapped by indirect blocks.
mkimg ext2 8M -b 1024 -N 256 -I 128 \
	-O ^has_journal,^extent,^64bit,^metadata_csum,^flex_bg,^huge_file
"$TOOLS/fragment" -s 9 -f 30 -p 75 -m 512 -k 1 ext2
ordered ext2 --batches=2

# The same, as its files become files of ext4.
mkimg convert 8M -b 1024 -N 256 -O ^has_journal,^extent,^64bit
"$TOOLS/fragment" -s 9 -f 30 -p 75 -m 512 -k 1 convert
tune2fs -O extent convert >/dev/null
ordered convert --convert --batches=2 --mounts=0

# Groups whose bitmap on disk was never written.
make_short uninit -O ^has_journal
ordered uninit --batches=1 --random=10

# A journal of version 1, and one that is not in the file system. (The kernel
# wants the features of version 2, and the other file.)
fragmented version1 1024 -J size=1
"$TOOLS/jsb" -t 1 version1 >/dev/null
ordered version1 --batches=3 --mounts=0
uuid=0b5a2f1e-7c1d-4f7e-8f5c-63a4d5e1c0de # on no device: e2fsck looks there
mkimg log 4M -b 4096 -O journal_dev -U $uuid
fragmented external 4096 -O ^has_journal
fsdebug external "feature has_journal" "ssv journal_dev 0x0801" \
	"ssv journal_uuid $uuid" >/dev/null
tidy -j log external
enumerate external --ordered --batches=3 --mounts=0 --journal=log
