/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blockmap - layer 3, pure: an inode's mapping as ext2 and ext3 have it
 *
 * 12 block numbers in the inode, then one of a block that holds numbers, one
 * of a block of such blocks, and one of a block of those.  0 is a hole.
 * Format: the kernel's Documentation/filesystems/ext4/blockmap.rst.
 *
 * The mapping blocks are in the order in which a reader meets them: each one
 * before those that it names, which is also the order of
 * ext2fs_block_iterate3().
 */
#ifndef E4DF_BLOCKMAP_H
#define E4DF_BLOCKMAP_H

#include "batch.h"

#define E4DF_BLOCKMAP_ROOT_BYTES 60 /* i_block */

/* Mapping blocks that these extents need; it matters only what is a hole. */
__u32 e4df_blockmap_blocks(const struct e4df_extent *data, __u32 count,
			   unsigned int block_size);

/* The first logical block that a map cannot have (2^32 at most). */
blk64_t e4df_blockmap_limit(unsigned int block_size);

/*
 * Builds the map of `data` extents, none behind the limit and no block number
 * above 2^32 - 1, over the mapping blocks tree[0 ... count) (their pblk are
 * the caller's choice, count as e4df_blockmap_blocks() says).  root takes
 * E4DF_BLOCKMAP_ROOT_BYTES for i_block; images takes one block for each of
 * tree[], in that order.
 */
void e4df_blockmap_build(const struct e4df_extent *data, __u32 data_count,
			 unsigned int block_size,
			 const struct e4df_extent *tree, void *root,
			 void *images);

#endif
