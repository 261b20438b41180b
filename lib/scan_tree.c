/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <ext2fs/ext3_extents.h>

#include "tree.h"

#define READ_BYTES (1 << 20)  /* one read at most */
#define GAP_BYTES  (64 << 10) /* read through, not around */
#define AHEAD	   128	      /* reads announced ahead, at most */

/* The end of the group of wanted blocks that begins at i and is one read. */
static size_t read_end(struct scan *s, const struct scan_blocks *b, size_t i)
{
	blk64_t bs = s->geometry.block_size, first = b->blk(s, b->ctx, i);
	blk64_t last = first, next;
	size_t end = i + 1;

	for (; end < b->count; end++, last = next) {
		next = b->blk(s, b->ctx, end);
		if (next < last || (next - last) * bs > GAP_BYTES ||
		    (next - first + 1) * bs > READ_BYTES)
			break;
	}
	return end;
}

/* From *next on, until so many reads are on their way. */
static void announce(struct scan *s, const struct scan_blocks *b, size_t *next,
		     unsigned int *pending)
{
	if (*pending > AHEAD / 2)
		return;
	for (; *pending < AHEAD && *next < b->count; ++*pending) {
		blk64_t first = b->blk(s, b->ctx, *next);
		size_t end = read_end(s, b, *next);

		e4df_gate_prefetch(s->gate, first,
				   b->blk(s, b->ctx, end - 1) - first + 1);
		*next = end;
	}
}

errcode_t e4df_scan_read_sorted(struct scan *s, const struct scan_blocks *b)
{
	unsigned int bs = s->geometry.block_size, pending = 0;
	size_t ahead = 0, end;
	errcode_t err = 0;
	char *buf;

	if (!b->count)
		return 0;
	buf = malloc(READ_BYTES > bs ? READ_BYTES : bs);
	if (!buf)
		return ENOMEM;
	for (size_t i = 0; i < b->count && !err; i = end) {
		blk64_t first = b->blk(s, b->ctx, i);

		announce(s, b, &ahead, &pending);
		end = read_end(s, b, i);
		err = e4df_event_check(s->sink);
		if (!err)
			err = e4df_gate_read(
				s->gate, first,
				b->blk(s, b->ctx, end - 1) - first + 1, buf);
		for (size_t k = i; k < end && !err; k++)
			err = b->visit(s, b->ctx, k,
				       buf + (b->blk(s, b->ctx, k) - first) *
						       bs);
		pending--;
	}
	free(buf);
	return err;
}

errcode_t e4df_scan_append(struct scan *s, const struct e4df_extent *e)
{
	errcode_t err;

	if (s->temp_count && !(e->flags & E4DF_EXTENT_TREE)) {
		struct e4df_extent *last = &s->temp[s->temp_count - 1];

		if (last->lblk + last->len == e->lblk &&
		    last->pblk + last->len == e->pblk &&
		    last->flags == e->flags &&
		    last->len <= UINT32_MAX - e->len) {
			last->len += e->len;
			return 0;
		}
	}
	err = e4df_grow(&s->temp, &s->temp_alloc, s->temp_count + 1,
			sizeof(*s->temp));
	if (!err)
		s->temp[s->temp_count++] = *e;
	return err;
}

static errcode_t add_piece(struct scan *s, const struct e4df_extent *e,
			   __u32 deep, __u32 level)
{
	errcode_t err = e4df_grow(&s->pieces, &s->piece_alloc,
				  s->piece_count + 1, sizeof(*s->pieces));

	if (!err)
		s->pieces[s->piece_count++] = (struct scan_piece){
			.extent = *e,
			.deep = deep,
			.level = level,
		};
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
				add_piece(s, &e, where->deep, 0);
	}
	return err;
}

static errcode_t scan_index(struct scan *s, const struct ext3_extent_idx *idx,
			    unsigned int count, const struct scan_node *where,
			    ext2_ino_t ino, __u32 level)
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
		err = e4df_grow(&s->nodes, &s->node_alloc, s->node_count + 1,
				sizeof(*s->nodes));
		if (err)
			break;
		s->nodes[s->node_count++] = node;
		err = add_piece(s, &e, where->deep, level + 1);
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

	if (ext2fs_le16_to_cpu(head->eh_magic) != EXT3_EXT_MAGIC ||
	    ext2fs_le16_to_cpu(head->eh_depth) != where->depth || !max ||
	    max > (bytes - sizeof(*head)) / sizeof(struct ext3_extent) ||
	    count > max || (!count && level)) {
		e4df_scan_damage(s, ino, where->pblk,
				 "invalid extent tree header");
		return 0;
	}
	if (where->depth)
		return scan_index(s, EXT_FIRST_INDEX(head), count, where, ino,
				  level);
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

/* By inode; data before mapping blocks, these from the root downwards. */
static int compare_pieces(const void *a, const void *b)
{
	const struct scan_piece *x = a, *y = b;

	if (x->deep != y->deep)
		return x->deep < y->deep ? -1 : 1;
	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	return (x->extent.lblk > y->extent.lblk) -
	       (x->extent.lblk < y->extent.lblk);
}

static errcode_t finish_deep(struct scan *s, const struct scan_deep *deep,
			     const struct scan_piece *p, size_t count)
{
	__u32 data = 0;
	errcode_t err = 0;

	s->temp_count = 0;
	for (size_t i = 0; i < count && !err; i++) {
		err = e4df_scan_append(s, &p[i].extent);
		if (!p[i].level)
			data = (__u32)s->temp_count;
	}
	if (!err)
		err = e4df_map_set_extents(s->map, deep->index, s->temp, data,
					   (__u32)s->temp_count - data);
	if (!err)
		e4df_scan_check_sectors(s, deep->index, deep->sectors,
					deep->has_xattr_block);
	return err;
}

errcode_t e4df_scan_trees(struct scan *s)
{
	errcode_t err = 0;
	size_t i, end;

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
	if (s->piece_count)
		qsort(s->pieces, s->piece_count, sizeof(*s->pieces),
		      compare_pieces);
	for (i = 0; i < s->piece_count && !err; i = end) {
		__u32 deep = s->pieces[i].deep;

		for (end = i;
		     end < s->piece_count && s->pieces[end].deep == deep; end++)
			;
		err = finish_deep(s, &s->deep[deep], &s->pieces[i], end - i);
	}
	return err;
}
