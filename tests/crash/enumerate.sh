#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Power cuts: some thousand of the states in which one can leave the image,
# on small file systems of different kinds. enumerate.c says how.
#
# CRASH_EACH, CRASH_RANDOM, CRASH_ROUNDS and CRASH_MOUNTS ask for more; see
# its --each, --random, --rounds and --mounts.

. "${0%/*}/../lib.sh"

need_cmd debugfs e2fsprogs
: "${CRASH:=$TOOLS/../crash/enumerate}"

# crash IMAGE BATCHES [OPTION...]
# BATCHES is the least number of transactions that the run must have.
crash()
{
	local image=$1 batches=$2

	shift 2
	mkdir "$image.d"
	"$CRASH" --dir="$image.d" --imgsum="$TOOLS/imgsum" \
		--batches="$batches" --each="${CRASH_EACH:-12}" \
		--random="${CRASH_RANDOM:-2}" \
		--rounds="${CRASH_ROUNDS:-1}" \
		--mounts="${CRASH_MOUNTS:-0}" "$@" "$image" ||
		fail "$image: not every state is good"
	rm -r "$image.d"
}

# The smallest journal there is; trees of depth 2; two groups; files that must
# make room for each other.
mkimg trees 16M -b 1024 -J size=1
"$TOOLS/fragment" -s 1 -f 40 -p 80 -m 2048 -k 1 trees
crash trees 10 --each=6

# One block group: no other superblock than the one that is written; and a path
# in it that leaves no room for what keeps it from being torn.
mkimg single 16M -b 4096 -J size=4
"$TOOLS/fragment" -s 2 -f 60 -p 80 -m 512 -k 8 single
tune2fs -M "/$(printf '%062d' 0)" single >/dev/null
crash single 10

# As mke2fs made them in 2008: no checksums, so a log without any; inodes of
# 128 bytes; descriptors of 32.
mkimg old 16M -b 1024 -J size=1 -I 128 -O ^metadata_csum,^64bit,uninit_bg
"$TOOLS/fragment" -s 3 -f 40 -p 75 -m 2048 -k 1 old
crash old 10

# What is rare: unwritten and hollow files, blocks past the end, sparse files,
# shared xattr blocks. Newer features, descriptors in the groups.
mkimg rare 32M -b 1024 -J size=1 \
	-O meta_bg,^resize_inode,fast_commit,orphan_file,metadata_csum_seed
"$TOOLS/fragment" -s 4 -x -f 20 -p 60 -m 256 -k 2 rare
crash rare 10 --each=4

# Files in the first group's small gaps, and groups whose bitmap on disk was
# never written.
mkimg uninit 24M -b 1024 -J size=1 -G 1
seq 10000 19999 >small
truncate -s 37888 small
seq 100000 299999 >big
truncate -s 1200000 big
{
	for i in {1..150}; do echo "write small s$i"; done
	for i in {1..150..2}; do echo "rm s$i"; done
	echo "write big b1"
	echo "write big b2"
} >commands
E2FSPROGS_FAKE_TIME=1600000000 debugfs -w -f commands uninit \
	>/dev/null 2>debugfs.err
dumpe2fs uninit 2>/dev/null | grep -q 'Group 1:.*BLOCK_UNINIT' ||
	fail "no group is BLOCK_UNINIT"
crash uninit 1 --random=20

# A log full of old transactions, the first of them with the very id that is
# expected next, as after mke2fs -E lazy_journal_init; and a boot block that
# begins like a block of the journal, so that the block of the superblock
# needs an escape in the log.
mkimg stale 16M -b 4096 -J size=4
"$TOOLS/fragment" -s 5 -f 60 -p 80 -m 512 -k 8 stale
printf '\300\073\071\230' | dd of=stale conv=notrunc status=none
cp stale moved
"$E4OFFDEFRAG" moved >/dev/null
debugfs -R 'dump <8> log' moved 2>/dev/null
debugfs -R 'dump <8> super' stale 2>/dev/null
dd if=super of=log bs=4096 count=1 conv=notrunc status=none
dd if=log of=log bs=1 skip=$((4096 + 8)) seek=24 count=4 conv=notrunc \
	status=none # the id of the log's first transaction
debugfs -R 'ex <8>' stale 2>/dev/null | tr -d / |
	while read -r _ _ _ _ logical _ _ physical _ _ length _; do
		[ "$logical" != Length ] || continue # the headline
		dd if=log of=stale bs=4096 skip="$logical" \
			seek="$physical" count="$length" conv=notrunc status=none
	done
crash stale 10
