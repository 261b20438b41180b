#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Power cuts on small file systems of different kinds, with a journal.

. "${0%/*}/images.sh"

# The smallest journal there is, so many small batches; trees of depth 2, some
# of which stay that deep; two groups; files that must make room for each
# other, in blocks that others have just left.
mkimg trees 16M -b 1024 -J size=1
"$TOOLS/fragment" -s 1 -f 40 -p 85 -m 2048 -k 1 trees
add_sparse trees wide 400
journaled trees "v3, 64 bits" --batches=10 --reused=1000 --depth=2 --each=6

# Nearly full: nothing moves but into what was cleared for it.
mkimg full 8M -b 1024 -J size=1
"$TOOLS/fragment" -s 11 -f 40 -p 97 -m 512 -k 4 full
journaled full "v3, 64 bits" --batches=5 --reused=500 --depth=1

# One block group: no other superblock than the one that is written; and a path
# in it that leaves no room for what keeps it from being torn.
mkimg single 16M -b 4096 -J size=4
"$TOOLS/fragment" -s 2 -f 60 -p 90 -m 512 -k 8 single
tune2fs -M "/$(printf '%062d' 0)" single >/dev/null
journaled single "v3, 64 bits" --batches=10 --reused=100 --each=8

# And a label that leaves none either.
mkimg label 16M -b 4096 -J size=4 -L sixteen-letters.
"$TOOLS/fragment" -s 2 -f 30 -p 60 -m 512 -k 8 label
tune2fs -M "/$(printf '%062d' 0)" label >/dev/null
journaled label "v3, 64 bits" --batches=2 --each=5 --random=6

# What is rare: unwritten and hollow files, blocks past the end, sparse files,
# shared xattr blocks. Newer features, descriptors in the groups, and a journal
# with fast commits.
mkimg rare 32M -b 1024 -J size=2 \
	-O meta_bg,^resize_inode,fast_commit,orphan_file,metadata_csum_seed
"$TOOLS/fragment" -s 4 -x -f 20 -p 75 -m 256 -k 2 rare
"$TOOLS/jsb" -f rare | grep -q 'fast commit' || fail "no fast commits"
journaled rare "v3, 64 bits" --batches=10 --each=4

# Groups whose bitmap on disk was never written.
make_short uninit -J size=1
journaled uninit "v3, 64 bits" --batches=1 --random=20
