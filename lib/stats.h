/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stats - layer 4, pure: a map in figures
 *
 * A file here is a regular file, directory or symlink that owns blocks; the
 * file system's own inodes do not count.  It is fragmented if it has more
 * runs than its ideal.  The layout score is that of Smith and Seltzer
 * (USENIX 1996): of all blocks but the first of each file, the share that
 * lies directly behind its predecessor, or in the same run (map.h).
 *
 * The data's end is the smallest size to which resize2fs can shrink the file
 * system without moving a block of an inode, where the new last group is not
 * too small to be one.  Metadata of groups do not count, nor do the blocks of
 * the bad blocks and resize inodes: they go with their groups.
 */
#ifndef E4DF_STATS_H
#define E4DF_STATS_H

#include "map.h"

#define E4DF_WORST 10

struct e4df_worst {
	ext2_ino_t ino;
	__u32 runs;
	__u32 ideal;
	blk64_t blocks;
	enum e4df_why why;
};

struct e4df_stats {
	__u64 files;
	__u64 fragmented;
	__u64 runs;
	__u64 ideal_runs;
	__u64 blocks;		 /* of all files */
	__u64 fragmented_blocks; /* of the fragmented ones */
	__u64 followers;	 /* blocks but the first of each file */
	__u64 in_place;		 /* followers behind predecessors */
	__u64 free_blocks;
	__u64 free_runs;
	__u64 largest_free;	    /* blocks */
	blk64_t data_end;	    /* blocks up to the last one of a file */
	__u64 left[E4DF_WHY_COUNT]; /* fragmented files, by why they are
					 * left; [E4DF_MOVABLE] = not left */
	struct e4df_worst worst[E4DF_WORST]; /* most excess runs first */
	unsigned int worst_count;
};

void e4df_stats_take(const struct e4df_map *map, struct e4df_stats *stats);

/* 0.0 ... 1.0; 1.0 where no file has a second block. */
double e4df_stats_score(const struct e4df_stats *stats);

#endif
