/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Maps for tests: random ones, drawn by hand, and spread out block by block.
 */
#ifndef TESTS_UNIT_MAPS_H
#define TESTS_UNIT_MAPS_H

#include "map.h"
#include "unit.h"

struct maps_recipe {
	unsigned int blocks;	    /* of the file system */
	unsigned int free_percent;  /* 1 ... 99 */
	unsigned int free_permille; /* if not 0, then instead of that */
	unsigned int file_blocks;   /* of the largest file */
	unsigned int scattered;	    /* percent of the files in pieces */
	unsigned int odd_fixed;	    /* fixed ranges in odd places */
	unsigned int immovable;	    /* percent of the files */
	unsigned int xattrs;	    /* blocks of them, about */
	unsigned int owners;	    /* of an xattr block, at most */
	unsigned int cluster_bits;  /* then all numbers above are clusters */
};

/*
 * A map after the recipe; the same numbers give the same map.  With clusters
 * some of them hold less than they could, in several pieces and states, and
 * the last one may be incomplete.
 */
struct e4df_map *maps_random(struct prng *rng,
			     const struct maps_recipe *recipe);

/*
 * A map with one group of `blocks` blocks of 4 KiB.  `files` ends with a
 * count of 0; extents with E4DF_EXTENT_TREE come behind the data.  Inodes below
 * 12 are directories.  All blocks that are neither fixed nor a file's are free.
 */
struct maps_file {
	ext2_ino_t ino;
	enum e4df_why why;
	unsigned int count;
	struct e4df_extent extent[8];
};
struct e4df_map *maps_drawn(blk64_t blocks, const struct e4df_range *fixed,
			    size_t fixed_count, const struct maps_file *files);

/* The same with xattr blocks, by first owner, up to one without owners. */
struct maps_xattr {
	blk64_t blk;
	unsigned int count;
	ext2_ino_t owner[4];
};
struct e4df_map *maps_drawn_shared(blk64_t blocks,
				   const struct e4df_range *fixed,
				   size_t fixed_count,
				   const struct maps_file *files,
				   const struct maps_xattr *xattrs);

/*
 * What each block is: MAPS_FREE, MAPS_FIXED, or maps_id() of a movable
 * inode's block.  Fails the test where a block has two owners.  The caller
 * frees it.
 */
#define MAPS_FREE  0
#define MAPS_FIXED 1
#define MAPS_TREE  UINT32_MAX /* as lblk: a mapping block */

static inline uint64_t maps_id(uint32_t index, uint32_t lblk)
{
	return (uint64_t)(index + 1) << 32 | lblk;
}

uint64_t *maps_spread(const struct e4df_map *map);

/* Claims for an inode all its blocks in an array like maps_spread()'s. */
void maps_claim(uint64_t *blocks, uint32_t index,
		const struct e4df_extent *extents, uint32_t data,
		uint32_t tree);

#endif
