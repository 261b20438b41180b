/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapping - layer 4, pure: an inode's mapping on disk, in the format it has
 *
 * An extent tree (tree.h) grows with the extents; a block map (blockmap.h)
 * has as many blocks for one layout as for another.
 */
#ifndef E4DF_MAPPING_H
#define E4DF_MAPPING_H

#include "tree.h"

/* Mapping blocks that these data extents need in a format. */
__u32 e4df_mapping_blocks(enum e4df_format format,
			  const struct e4df_extent *data, __u32 count,
			  unsigned int block_size);

/*
 * Builds the mapping, as e4df_tree_build() says: root takes i_block, images
 * one block for each of tree[].  Sets what scan would find in tree[] besides
 * the block numbers.  Returns ENOMEM.
 */
errcode_t e4df_mapping_build(enum e4df_format format,
			     const struct e4df_tree_owner *owner,
			     unsigned int block_size,
			     const struct e4df_extent *data, __u32 data_count,
			     struct e4df_extent *tree, __u32 tree_count,
			     void *root, void *images);

#endif
