/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mapping.h"

#include "blockmap.h"

__u32 e4df_mapping_blocks(enum e4df_format format,
			  const struct e4df_extent *data, __u32 count,
			  unsigned int block_size)
{
	if (format == E4DF_BLOCK_MAP)
		return e4df_blockmap_blocks(data, count, block_size);
	return e4df_tree_blocks(e4df_tree_entries(data, count), block_size);
}

errcode_t e4df_mapping_build(enum e4df_format format,
			     const struct e4df_tree_owner *owner,
			     unsigned int block_size,
			     const struct e4df_extent *data, __u32 data_count,
			     struct e4df_extent *tree, __u32 tree_count,
			     void *root, void *images)
{
	if (format == E4DF_EXTENTS)
		return e4df_tree_build(owner, block_size, data, data_count,
				       tree, tree_count, root, images);
	e4df_blockmap_build(data, data_count, block_size, tree, root, images);
	for (__u32 i = 0; i < tree_count; i++) {
		tree[i].lblk = 0;
		tree[i].len = 1;
		tree[i].flags = E4DF_EXTENT_TREE;
	}
	return 0;
}
