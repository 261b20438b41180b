/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "cluster.h"
#include "mapping.h"

enum e4df_format mapping_format(const struct batcher *b, __u32 inode)
{
	return b->policy->flags & E4DF_POLICY_CONVERT ?
		       E4DF_EXTENTS :
		       e4df_map_inode(b->map, inode)->format;
}

errcode_t mapping_layout(struct layout *ret, const struct batcher *b,
			 __u32 inode, const struct e4df_extent *v, __u32 count)
{
	const struct e4df_extent *data = e4df_map_extents(b->blocks, inode);
	__u32 n = e4df_map_inode(b->blocks, inode)->data;

	*ret = (struct layout){ .v = v, .count = count };
	if (!b->bits)
		return 0;
	ret->own = malloc(((size_t)n + count + 1) * sizeof(*ret->own));
	if (!ret->own)
		return ENOMEM;
	ret->v = ret->own;
	ret->count = e4df_cluster_spread(data, n, b->bits, v, count, ret->own);
	return 0;
}

errcode_t mapping_blocks(const struct batcher *b, __u32 inode, __u32 *ret)
{
	struct layout layout;
	errcode_t err = mapping_layout(&layout, b, inode,
				       batcher_layout(b, inode),
				       b->files[inode].data);

	if (!err)
		*ret = e4df_mapping_blocks(mapping_format(b, inode), layout.v,
					   layout.count,
					   b->geometry->block_size);
	free(layout.own);
	return err;
}

/*
 * An upper bound: every extent may be split at the limit of the format.  With
 * bigalloc each extent of clusters cuts the file's blocks once more than holes
 * and changes of state do.
 */
__u32 mapping_bound(const struct batcher *b, __u32 inode, __u32 pieces)
{
	const struct file *f = &b->files[inode];
	blk64_t blocks;

	if (mapping_format(b, inode) == E4DF_BLOCK_MAP)
		return f->map_blocks;
	blocks = (blk64_t)f->blocks << b->bits;
	return e4df_tree_blocks(f->cuts + f->data + pieces +
					(__u32)(blocks / 32767) + 1,
				b->geometry->block_size);
}

errcode_t mapping_check(const struct batcher *b, __u32 inode, int *is_best)
{
	__u32 need = 0;
	errcode_t err = mapping_blocks(b, inode, &need);

	*is_best = e4df_map_inode(b->map, inode)->format ==
			   mapping_format(b, inode) &&
		   b->files[inode].tree <= need;
	return err;
}
