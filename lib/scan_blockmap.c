/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

/* An entry's block, if there is one and it can be; *blk = 0 for a hole. */
static int is_block(struct scan *s, ext2_ino_t ino, blk64_t blk, blk64_t lblk)
{
	if (e4df_scan_is_in_range(s, blk, 1) && lblk < UINT32_MAX)
		return 1;
	e4df_scan_damage(s, ino, blk, "block number out of range");
	return 0;
}

/*
 * Entries of one node; each is for `span` blocks of the file from lblk on, and
 * for an indirect block of a depth, or for data if the depth is below 0.
 * Where one makes no sense, the others are not looked at.
 */
static errcode_t add_entries(struct scan *s, __u32 deep, const __u32 *entry,
			     unsigned int count, blk64_t lblk, blk64_t span,
			     int depth)
{
	const __u32 level = SCAN_LEVEL_MAP | (__u32)(EXT2_TIND_BLOCK - depth);
	errcode_t err = 0;

	if (depth <= 0)
		err = e4df_scan_start_chunk(s, deep, depth < 0 ? 0 : level);
	for (unsigned int i = 0; i < count && !err; i++, lblk += span) {
		struct e4df_extent e = {
			.pblk = ext2fs_le32_to_cpu(entry[i]),
			.lblk = (__u32)lblk,
			.len = 1,
			.flags = depth < 0 ? 0 : E4DF_EXTENT_TREE,
		};
		const struct scan_node node = {
			.pblk = e.pblk,
			.lblk = e.lblk,
			.deep = deep,
			.depth = depth,
		};

		if (!e.pblk)
			continue;
		if (!is_block(s, s->deep[deep].ino, e.pblk, lblk))
			return 0;
		if (depth >= 0)
			err = e4df_scan_add_node(s, &node);
		if (!err && depth > 0)
			err = e4df_scan_start_chunk(s, deep, level);
		if (!err)
			err = e4df_scan_add_piece(s, &e);
	}
	return err;
}

static errcode_t add_root(struct scan *s, __u32 deep,
			  const struct ext2_inode_large *inode)
{
	blk64_t per_block = s->geometry.block_size / sizeof(__u32);
	blk64_t lblk = EXT2_NDIR_BLOCKS, span = per_block;
	errcode_t err = add_entries(s, deep, inode->i_block, EXT2_NDIR_BLOCKS,
				    0, 1, -1);

	for (int depth = 0; depth < 3 && !err; depth++) {
		err = add_entries(s, deep,
				  &inode->i_block[EXT2_IND_BLOCK + depth], 1,
				  lblk, span, depth);
		lblk += span;
		span *= per_block;
	}
	return err;
}

/* Most are small: what has no indirect blocks is done with at once. */
errcode_t e4df_scan_block_map(struct scan *s, __u32 index,
			      struct ext2_inode_large *inode,
			      const struct scan_deep *deep)
{
	size_t nodes = s->node_count, chunks = s->chunk_count;
	size_t pieces = s->piece_count;
	errcode_t err;

	e4df_map_set_format(s->map, index, E4DF_BLOCK_MAP);
	err = e4df_scan_add_deep(s, deep);
	if (!err)
		err = add_root(s, (__u32)s->deep_count - 1, inode);
	if (err || s->node_count > nodes)
		return err;
	/* an empty chunk may have been left by the inode before */
	chunks -= chunks && !s->chunks[chunks - 1].count;
	err = e4df_scan_finish(s, &s->chunks[chunks], s->chunk_count - chunks);
	s->deep_count--;
	s->chunk_count = chunks;
	s->piece_count = pieces;
	return err;
}

/*
 * A block that is in a map twice is looked at once in each level: a map that
 * contains itself ends.
 */
errcode_t e4df_scan_indirect(struct scan *s, size_t i, const void *block)
{
	const struct scan_node where = s->nodes[i];
	unsigned int count = s->geometry.block_size / sizeof(__u32);
	blk64_t span = 1;

	if (i && s->nodes[i - 1].pblk == where.pblk) {
		e4df_scan_damage(s, s->deep[where.deep].ino, where.pblk,
				 "indirect block that is used twice");
		return 0;
	}
	for (int depth = 0; depth < where.depth; depth++)
		span *= count;
	return add_entries(s, where.deep, block, count, where.lblk, span,
			   where.depth - 1);
}
