#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Power cuts on file systems with bigalloc: clusters that hold several extents,
# a hole or unwritten blocks, mapping blocks and xattr blocks with a cluster
# each, and a group whose bitmap was never written.

. "${0%/*}/images.sh"

# crash IMAGE BATCHES [OPTION...]
crash()
{
	local image=$1 batches=$2

	shift 2
	e2fsck -fn "$image" >fsck.out 2>&1 || fail "$image is not clean"
	journaled "$image" "v3, 64 bits" --batches="$batches" --each=6 "$@"
}

# Trees, whose blocks take a cluster each; what is rare.
mkimg trees 24M -b 1024 -O bigalloc -C 4096 -J size=1
"$TOOLS/fragment" -s 1 -f 40 -p 70 -m 1024 -k 4 -x trees
crash trees 8 --each=3

# Groups with metadata of their own. There is no resize inode: in groups with
# blocks of 1 KiB it maps, as mke2fs makes it, blocks that are none of its own.
mkimg groups 24M -b 1024 -O bigalloc,^resize_inode -C 16384 -J size=1 -G 1 \
	-g 512
"$TOOLS/fragment" -s 2 -f 40 -p 80 -m 512 -k 16 groups
crash groups 4

# A file of pieces, each within a cluster or across two, that goes to a group
# whose bitmap was never written.
mkimg uninit 17M -b 1024 -O bigalloc,^resize_inode,^has_journal -C 4096 -G 1 \
	-g 2048
seq 10000 19999 >small
truncate -s 37888 small
seq 100000 299999 >big
truncate -s 1200000 big
{
	for i in {1..157}; do echo "write small s$i"; done
	for i in {1..157..2}; do echo "rm s$i"; done
	echo "write big b1"
	echo "write big b2"
	for i in {1..90}; do
		echo "punch b1 $((i * 11)) $((i * 11 + i % 5))"
		echo "punch b2 $((i * 9)) $((i * 9 + i % 7))"
		echo "fallocate b2 $((i * 9)) $((i * 9 + i % 3))"
	done
	echo "write big b3"
	for i in {1..26}; do echo "write small t$i"; done
} >commands
E2FSPROGS_FAKE_TIME=1600000000 debugfs -w -f commands uninit \
	>/dev/null 2>debugfs.err
dumpe2fs uninit 2>/dev/null | grep -q 'Group 1:.*BLOCK_UNINIT' ||
	fail "group 1 is not BLOCK_UNINIT"
cp uninit moved
"$E4OFFDEFRAG" -q moved
! dumpe2fs moved 2>/dev/null | grep 'Group 1:.*BLOCK_UNINIT' ||
	fail "nothing moved to group 1"
ordered uninit --batches=1 --random=20

# Without a journal.
mkimg ordered 16M -b 1024 -O bigalloc,^has_journal -C 4096 -N 256
"$TOOLS/fragment" -s 5 -f 30 -p 60 -m 512 -k 4 -x ordered
ordered ordered --batches=3 --each=4
