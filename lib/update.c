/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "update.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"
#include "mapping.h"

void e4df_update_release(struct e4df_update *update)
{
	free(update->mappings);
	free(update->extents);
	e4df_runs_free(&update->taken);
	e4df_runs_free(&update->released);
	memset(update, 0, sizeof(*update));
}

/* A list being made: what is adjacent and alike is one extent. */
struct list {
	struct e4df_extent *v; /* (borrowed) with room for all */
	__u32 count;
};

static void append(struct list *list, const struct e4df_extent *e)
{
	struct e4df_extent *last = list->v + list->count - 1;

	if (list->count && last->lblk + (blk64_t)last->len == e->lblk &&
	    last->pblk + last->len == e->pblk && last->flags == e->flags)
		last->len += e->len;
	else
		list->v[list->count++] = *e;
}

/* The part of an extent from lblk on, up to `end`. */
static struct e4df_extent part(const struct e4df_extent *e, blk64_t lblk,
			       blk64_t end)
{
	struct e4df_extent p = *e;

	p.pblk = (e->pblk + (lblk - e->lblk)) & E4DF_PBLK_MAX;
	p.lblk = (__u32)lblk;
	p.len = (__u32)(end - lblk);
	return p;
}

/* An extent without what moves, and this in its new place; *n moves are done.
 */
static errcode_t move_parts(const struct e4df_extent *e,
			    const struct e4df_move *move, __u32 count, __u32 *n,
			    struct list *list)
{
	blk64_t at = e->lblk, end = e->lblk + (blk64_t)e->len;
	struct e4df_extent p;

	for (; *n < count && move[*n].lblk < end; ++*n) {
		const struct e4df_move *m = &move[*n];

		if (m->lblk < at || m->len > end - m->lblk ||
		    m->from != e->pblk + (m->lblk - e->lblk))
			return E4DF_ET_INCONSISTENT;
		if (at < m->lblk) {
			p = part(e, at, m->lblk);
			append(list, &p);
		}
		at = m->lblk + (blk64_t)m->len;
		p = part(e, m->lblk, at);
		p.pblk = m->to & E4DF_PBLK_MAX;
		append(list, &p);
	}
	if (at < end) {
		p = part(e, at, end);
		append(list, &p);
	}
	return 0;
}

/* The mapping blocks get their lblk from the leaves that they map. */
static errcode_t name_tree(const struct e4df_map *map, enum e4df_format format,
			   const struct list *data, struct e4df_extent *tree,
			   __u32 count)
{
	unsigned int bs = e4df_map_geometry(map)->block_size;
	struct e4df_tree_owner nobody = { .ino = 0 };
	char root[E4DF_TREE_ROOT_BYTES];
	char *images;
	errcode_t err;

	if (!count)
		return 0;
	images = malloc((size_t)count * bs);
	if (!images)
		return ENOMEM;
	err = e4df_mapping_build(format, &nobody, bs, data->v, data->count,
				 tree, count, root, images);
	free(images);
	return err;
}

/*
 * The mapping blocks that are given up are those that the map has.  A change
 * tells their clusters: e2fsck has put some not at the start of theirs.
 */
static int is_tree(const struct e4df_map *map, const struct e4df_change *c,
		   const blk64_t *tree)
{
	unsigned int bits = e4df_map_geometry(map)->cluster_bits;
	const struct e4df_inode *inode = e4df_map_inode(map, c->inode);
	const struct e4df_extent *e =
		e4df_map_extents(map, c->inode) + inode->data;

	if (c->old_tree != inode->tree)
		return 0;
	for (__u32 i = 0; i < c->old_tree; i++)
		if (e[i].pblk >> bits != tree[i] >> bits)
			return 0;
	return 1;
}

/* One inode; its moves and mapping blocks begin at `move` and at `tree`. */
static errcode_t add_mapping(const struct e4df_map *map,
			     const struct e4df_change *c,
			     const struct e4df_move *move, const blk64_t *tree,
			     struct e4df_update *u)
{
	const struct e4df_extent *old = e4df_map_extents(map, c->inode);
	__u32 count = e4df_map_inode(map, c->inode)->data, done = 0;
	struct list data = { .v = u->extents + u->extent_count };
	errcode_t err = is_tree(map, c, tree) ? 0 : E4DF_ET_INCONSISTENT;

	for (__u32 i = 0; i < count && !err; i++)
		err = move_parts(&old[i], move, c->moves, &done, &data);
	if (!err && done < c->moves)
		err = E4DF_ET_INCONSISTENT;
	if (err)
		return err;
	for (__u32 i = 0; i < c->tree; i++)
		data.v[data.count + i] = (struct e4df_extent){
			.pblk = tree[c->old_tree + i] & E4DF_PBLK_MAX,
			.len = 1,
			.flags = E4DF_EXTENT_TREE,
		};
	u->mappings[u->mapping_count++] = (struct e4df_mapping){
		.inode = c->inode,
		.data = data.count,
		.tree = c->tree,
		.format = c->format,
		.first = u->extent_count,
	};
	u->extent_count += data.count + c->tree;
	return name_tree(map, c->format, &data, data.v + data.count, c->tree);
}

/* Each move makes three of one extent at most. */
static errcode_t reserve(const struct e4df_map *map,
			 const struct e4df_batch *batch, struct e4df_update *u)
{
	size_t most = 1 + 2 * batch->move_count + batch->tree_count;

	for (size_t i = 0; i < batch->change_count; i++)
		most += e4df_map_inode(map, batch->changes[i].inode)->data;
	u->mappings = malloc((batch->change_count + 1) * sizeof(*u->mappings));
	u->extents = malloc(most * sizeof(*u->extents));
	return u->mappings && u->extents ? 0 : ENOMEM;
}

errcode_t e4df_update_make(const struct e4df_map *map,
			   const struct e4df_batch *batch,
			   struct e4df_update *ret)
{
	unsigned int bits = e4df_map_geometry(map)->cluster_bits;
	const struct e4df_move *move = batch->moves;
	const blk64_t *tree = batch->tree;
	struct e4df_update u = { .mappings = NULL };
	errcode_t err = reserve(map, batch, &u);

	for (size_t i = 0; i < batch->change_count && !err; i++) {
		const struct e4df_change *c = &batch->changes[i];

		err = add_mapping(map, c, move, tree, &u);
		if (c->moves)
			move += c->moves;
		if (c->old_tree + c->tree)
			tree += c->old_tree + c->tree;
	}
	if (!err)
		err = e4df_batch_taken(batch, bits, &u.taken);
	if (!err)
		err = e4df_batch_released(batch, bits, &u.released);
	if (err)
		e4df_update_release(&u);
	else
		*ret = u;
	return err;
}
