/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <ext2fs/ext3_extents.h>

#include "tree.h"

/* Makes e a part of the extent before, if they are adjacent and alike. */
static int join(struct e4df_extent *last, const struct e4df_extent *e)
{
	if (e->flags & E4DF_EXTENT_TREE || last->flags != e->flags ||
	    last->lblk + (blk64_t)last->len != e->lblk ||
	    last->pblk + last->len != e->pblk ||
	    last->len > UINT32_MAX - e->len)
		return 0;
	last->len += e->len;
	return 1;
}

errcode_t e4df_scan_append(struct scan *s, const struct e4df_extent *e)
{
	errcode_t err;

	if (s->temp_count && join(&s->temp[s->temp_count - 1], e))
		return 0;
	err = e4df_grow(&s->temp, &s->temp_alloc, s->temp_count + 1,
			sizeof(*s->temp));
	if (!err)
		s->temp[s->temp_count++] = *e;
	return err;
}

errcode_t e4df_scan_add_deep(struct scan *s, const struct scan_deep *deep)
{
	errcode_t err = e4df_grow(&s->deep, &s->deep_alloc, s->deep_count + 1,
				  sizeof(*s->deep));

	if (!err)
		s->deep[s->deep_count++] = *deep;
	return err;
}

errcode_t e4df_scan_start_chunk(struct scan *s, __u32 deep, __u32 level)
{
	errcode_t err;

	if (s->chunk_count && !s->chunks[s->chunk_count - 1].count)
		s->chunk_count--;
	err = e4df_grow(&s->chunks, &s->chunk_alloc, s->chunk_count + 1,
			sizeof(*s->chunks));
	if (!err)
		s->chunks[s->chunk_count++] = (struct scan_chunk){
			.first = s->piece_count,
			.deep = deep,
			.level = level,
		};
	return err;
}

errcode_t e4df_scan_add_piece(struct scan *s, const struct e4df_extent *e)
{
	struct scan_chunk *chunk = &s->chunks[s->chunk_count - 1];
	errcode_t err;

	if (chunk->count && join(&s->pieces[s->piece_count - 1], e))
		return 0;
	err = e4df_grow(&s->pieces, &s->piece_alloc, s->piece_count + 1,
			sizeof(*s->pieces));
	if (err)
		return err;
	if (!chunk->count++)
		chunk->lblk = e->lblk;
	s->pieces[s->piece_count++] = *e;
	return 0;
}

errcode_t e4df_scan_add_node(struct scan *s, const struct scan_node *node)
{
	errcode_t err = e4df_grow(&s->nodes, &s->node_alloc, s->node_count + 1,
				  sizeof(*s->nodes));

	if (!err)
		s->nodes[s->node_count++] = *node;
	return err;
}

static errcode_t scan_leaf(struct scan *s, const struct ext3_extent *leaf,
			   unsigned int count, const struct scan_node *where,
			   ext2_ino_t ino, int is_root)
{
	blk64_t next = where->lblk;
	errcode_t err = 0;

	for (unsigned int i = 0; i < count && !err; i++) {
		__u32 len = ext2fs_le16_to_cpu(leaf[i].ee_len);
		struct e4df_extent e = {
			.lblk = ext2fs_le32_to_cpu(leaf[i].ee_block),
			.pblk = ext2fs_le32_to_cpu(leaf[i].ee_start) |
				(blk64_t)ext2fs_le16_to_cpu(leaf[i].ee_start_hi)
					<< 32,
		};

		if (len > EXT_INIT_MAX_LEN) {
			len -= (__u32)EXT_INIT_MAX_LEN;
			e.flags = E4DF_EXTENT_UNWRITTEN;
		}
		e.len = len;
		if (!len || e.lblk < next ||
		    e.lblk + (blk64_t)len > where->end ||
		    !e4df_scan_is_in_range(s, e.pblk, len)) {
			e4df_scan_damage(s, ino, where->pblk,
					 "invalid extent %u: logical %u, "
					 "physical %llu, length %u",
					 i, e.lblk, (unsigned long long)e.pblk,
					 len);
			return 0;
		}
		next = e.lblk + (blk64_t)len;
		err = is_root ? e4df_scan_append(s, &e) :
				e4df_scan_add_piece(s, &e);
	}
	return err;
}

static errcode_t scan_index(struct scan *s, const struct ext3_extent_idx *idx,
			    unsigned int count, const struct scan_node *where,
			    ext2_ino_t ino)
{
	errcode_t err = 0;

	for (unsigned int i = 0; i < count && !err; i++) {
		struct scan_node node = {
			.lblk = ext2fs_le32_to_cpu(idx[i].ei_block),
			.end = where->end,
			.deep = where->deep,
			.depth = where->depth - 1,
			.pblk = ext2fs_le32_to_cpu(idx[i].ei_leaf) |
				(blk64_t)ext2fs_le16_to_cpu(idx[i].ei_leaf_hi)
					<< 32,
		};
		struct e4df_extent e = {
			.pblk = node.pblk & E4DF_PBLK_MAX,
			.lblk = node.lblk,
			.len = 1,
			.flags = E4DF_EXTENT_TREE,
		};

		if (i + 1 < count)
			node.end = ext2fs_le32_to_cpu(idx[i + 1].ei_block);
		/* Disjoint ranges: no block is read again for each parent. */
		if (node.lblk < where->lblk || node.lblk >= node.end ||
		    node.end > where->end ||
		    !e4df_scan_is_in_range(s, node.pblk, 1)) {
			e4df_scan_damage(s, ino, where->pblk,
					 "invalid extent index %u: logical "
					 "%u, block %llu",
					 i, node.lblk,
					 (unsigned long long)node.pblk);
			return 0;
		}
		err = e4df_scan_add_node(s, &node);
		if (!err)
			err = e4df_scan_add_piece(s, &e);
	}
	return err;
}

errcode_t e4df_scan_node(struct scan *s, const void *node, size_t bytes,
			 const struct scan_node *where, __u32 level)
{
	const struct ext3_extent_header *head = node;
	unsigned int count = ext2fs_le16_to_cpu(head->eh_entries);
	unsigned int max = ext2fs_le16_to_cpu(head->eh_max);
	ext2_ino_t ino = s->deep[where->deep].ino;
	errcode_t err = 0;

	if (ext2fs_le16_to_cpu(head->eh_magic) != EXT3_EXT_MAGIC ||
	    ext2fs_le16_to_cpu(head->eh_depth) != where->depth || !max ||
	    max > (bytes - sizeof(*head)) / sizeof(struct ext3_extent) ||
	    count > max || (!count && level)) {
		e4df_scan_damage(s, ino, where->pblk,
				 "invalid extent tree header");
		return 0;
	}
	if (where->depth || level)
		err = e4df_scan_start_chunk(s, where->deep,
					    where->depth ? level + 1 : 0);
	if (err)
		return err;
	if (where->depth)
		return scan_index(s, EXT_FIRST_INDEX(head), count, where, ino);
	return scan_leaf(s, EXT_FIRST_EXTENT(head), count, where, ino, !level);
}

static int compare_nodes(const void *a, const void *b)
{
	const struct scan_node *x = a, *y = b;

	if (x->pblk != y->pblk)
		return x->pblk < y->pblk ? -1 : 1;
	return (x->deep > y->deep) - (x->deep < y->deep);
}

static blk64_t node_block(struct scan *s, void *ctx, size_t i)
{
	(void)ctx;
	return s->nodes[i].pblk;
}

static errcode_t visit_node(struct scan *s, void *ctx, size_t i, void *block)
{
	const struct scan_node where = s->nodes[i];
	const struct scan_deep *deep = &s->deep[where.deep];
	unsigned int bs = s->geometry.block_size;
	struct e4df_tree_owner owner = {
		.ino = deep->ino,
		.generation = deep->generation,
		.csum_seed = s->fs->csum_seed,
		.has_csum = ext2fs_has_feature_metadata_csum(s->fs->super),
	};
	const struct ext3_extent_tail *tail =
		(void *)((char *)block + sizeof(struct ext3_extent_header) +
			 e4df_tree_fanout(bs) * sizeof(struct ext3_extent));

	(void)ctx;
	if (deep->is_block_map)
		return e4df_scan_indirect(s, i, block);
	if (owner.has_csum && ext2fs_le32_to_cpu(tail->et_checksum) !=
				      e4df_tree_checksum(&owner, block, bs)) {
		e4df_scan_damage(s, deep->ino, where.pblk,
				 "wrong checksum in an extent tree block");
		return 0;
	}
	/* Any level will do that is above 0 and grows towards the leaves. */
	return e4df_scan_node(s, block, bs, &where,
			      (__u32)(E4DF_TREE_MAX_DEPTH - where.depth));
}

/*
 * By inode; data before mapping blocks.  These go from the root downwards in
 * extent trees; in block maps, which have LEVEL_MAP, as a walk along the file
 * meets them.
 */
static int compare_chunks(const void *a, const void *b)
{
	const struct scan_chunk *x = a, *y = b;

	if (x->deep != y->deep)
		return x->deep < y->deep ? -1 : 1;
	if (!x->level != !y->level)
		return x->level ? 1 : -1;
	if (x->level & SCAN_LEVEL_MAP && x->lblk != y->lblk)
		return x->lblk < y->lblk ? -1 : 1;
	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	return (x->lblk > y->lblk) - (x->lblk < y->lblk);
}

errcode_t e4df_scan_finish(struct scan *s, const struct scan_chunk *c,
			   size_t count)
{
	const struct scan_deep *deep = &s->deep[c->deep];
	__u32 data = 0;
	errcode_t err = 0;

	s->temp_count = 0;
	for (size_t i = 0; i < count && !err; i++) {
		for (__u32 k = 0; k < c[i].count && !err; k++) {
			struct e4df_extent e = s->pieces[c[i].first + k];

			if (c[i].level & SCAN_LEVEL_MAP)
				e.lblk = 0;
			err = e4df_scan_append(s, &e);
		}
		if (!c[i].level)
			data = (__u32)s->temp_count;
	}
	if (!err)
		err = e4df_map_set_extents(s->map, deep->index, s->temp, data,
					   (__u32)s->temp_count - data);
	if (!err && deep->ino != EXT2_BAD_INO)
		e4df_scan_check_mapping(s, deep->index, deep->sectors,
					deep->has_xattr_block);
	return err;
}

static errcode_t finish_all(struct scan *s)
{
	size_t end;
	errcode_t err = 0;

	if (s->chunk_count)
		qsort(s->chunks, s->chunk_count, sizeof(*s->chunks),
		      compare_chunks);
	for (size_t i = 0; i < s->chunk_count && !err; i = end) {
		__u32 deep = s->chunks[i].deep;

		for (end = i;
		     end < s->chunk_count && s->chunks[end].deep == deep; end++)
			;
		err = e4df_scan_finish(s, &s->chunks[i], end - i);
	}
	free(s->pieces);
	free(s->chunks);
	free(s->nodes);
	free(s->deep);
	s->pieces = NULL;
	s->chunks = NULL;
	s->nodes = NULL;
	s->deep = NULL;
	return err;
}

errcode_t e4df_scan_trees(struct scan *s)
{
	errcode_t err = 0;

	while (s->node_count && !err) {
		size_t level = s->node_count;
		const struct scan_blocks blocks = {
			.count = level,
			.blk = node_block,
			.visit = visit_node,
		};

		qsort(s->nodes, level, sizeof(*s->nodes), compare_nodes);
		err = e4df_scan_read_sorted(s, &blocks);
		memmove(s->nodes, s->nodes + level,
			(s->node_count - level) * sizeof(*s->nodes));
		s->node_count -= level;
	}
	return err ? err : finish_all(s);
}
