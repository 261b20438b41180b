/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

/* A node's entries; each is for `span` blocks of the file. */
struct entries {
	const __u32 *v; /* (borrowed) */
	unsigned int count;
	__u32 deep;
	blk64_t lblk; /* of the first one */
	blk64_t span;
	int depth; /* of what they name; -1 = data */
};

static errcode_t add_mapping(struct scan *s, const struct entries *entries,
			     const struct e4df_extent *e, __u32 level)
{
	const struct scan_node node = {
		.pblk = e->pblk,
		.lblk = e->lblk,
		.deep = entries->deep,
		.depth = entries->depth,
	};
	errcode_t err = e4df_scan_add_node(s, &node);

	/* Between two of these are those that the first one names. */
	if (!err && node.depth)
		err = e4df_scan_start_chunk(s, node.deep, level);
	return err ? err : e4df_scan_add_piece(s, e);
}

/* The i-th, which is no hole.  *is_bad: it makes no sense. */
static errcode_t add_entry(struct scan *s, const struct entries *entries,
			   unsigned int i, __u32 level, int *is_bad)
{
	blk64_t blk = ext2fs_le32_to_cpu(entries->v[i]);
	blk64_t lblk = entries->lblk + i * entries->span;
	const struct e4df_extent e = {
		.pblk = blk & E4DF_PBLK_MAX,
		.lblk = (__u32)lblk,
		.len = 1,
		.flags = entries->depth < 0 ? 0 : E4DF_EXTENT_TREE,
	};

	if (!e4df_scan_is_in_range(s, blk, 1) || lblk >= UINT32_MAX) {
		e4df_scan_damage(s, s->deep[entries->deep].ino, blk,
				 "block number out of range");
		*is_bad = 1;
		return 0;
	}
	if (entries->depth >= 0)
		return add_mapping(s, entries, &e, level);
	/* e2fsck only warns of a copy with bad blocks, which stays one */
	if (s->deep[entries->deep].ino == EXT2_BAD_INO &&
	    e4df_scan_is_copy(s, blk))
		return 0;
	return e4df_scan_add_piece(s, &e);
}

/* Behind one that makes no sense the others are not looked at. */
static errcode_t add_entries(struct scan *s, const struct entries *entries)
{
	const __u32 *v = entries->v;
	__u32 level = 0;
	int is_bad = 0;
	errcode_t err = 0;

	if (entries->depth >= 0)
		level = SCAN_LEVEL_MAP |
			(__u32)(EXT2_TIND_BLOCK - entries->depth);
	if (entries->depth <= 0)
		err = e4df_scan_start_chunk(s, entries->deep, level);
	for (unsigned int i = 0; i < entries->count && !err && !is_bad; i++)
		if (v[i])
			err = add_entry(s, entries, i, level, &is_bad);
	return err;
}

static errcode_t add_root(struct scan *s, __u32 deep,
			  const struct ext2_inode_large *inode)
{
	struct entries e = {
		.v = inode->i_block,
		.count = EXT2_NDIR_BLOCKS,
		.deep = deep,
		.span = 1,
		.depth = -1,
	};
	errcode_t err = add_entries(s, &e);

	e.v = &inode->i_block[EXT2_IND_BLOCK];
	e.count = 1;
	e.lblk = EXT2_NDIR_BLOCKS;
	for (e.depth = 0; e.depth < 3 && !err; e.depth++) {
		e.span *= s->geometry.block_size / sizeof(__u32);
		err = add_entries(s, &e);
		e.lblk += e.span;
		e.v++;
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
	struct entries e = {
		.v = block,
		.count = s->geometry.block_size / sizeof(__u32),
		.deep = where.deep,
		.lblk = where.lblk,
		.span = 1,
		.depth = where.depth - 1,
	};

	if (i && s->nodes[i - 1].pblk == where.pblk) {
		e4df_scan_damage(s, s->deep[where.deep].ino, where.pblk,
				 "indirect block that is used twice");
		return 0;
	}
	for (int depth = 0; depth < where.depth; depth++)
		e.span *= e.count;
	return add_entries(s, &e);
}
