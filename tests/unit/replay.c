/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "replay.h"

#include <stdlib.h>
#include <string.h>

#include "foresee.h"
#include "maps.h"
#include "tree.h"
#include "update.h"

/* A plan being carried out. */
struct replay {
	const struct e4df_policy *policy;
	struct e4df_map *map; /* (owned) follows by e4df_map_apply() */
	const struct e4df_batch *batch;
	struct e4df_update update; /* (owned) made of it and the map */
	blk64_t count;		   /* of blocks */
	uint64_t *before, *after;  /* (owned) each block, around the batch */
	unsigned int bits;	   /* a cluster is 2^bits blocks */
	blk64_t clusters;
	uint64_t *old, *now;	   /* (owned) each cluster, around the batch */
	unsigned char *is_changed; /* (owned) by inode: in this batch */
	blk64_t largest;	   /* file, in blocks */
};

static int is_used(uint64_t id)
{
	return id != MAPS_FREE;
}

/* Every logical block is there, in its old state, and the form is a scan's. */
static void check_data(const struct e4df_extent *old, uint32_t old_count,
		       const struct e4df_extent *now, uint32_t now_count)
{
	uint32_t i = 0, done = 0;

	for (uint32_t n = 0; n < now_count; n++) {
		const struct e4df_extent *e = &now[n];

		assert_int_not_equal(e->len, 0);
		for (uint32_t k = 0; k < e->len; k++) {
			assert_true(i < old_count);
			assert_int_equal(e->lblk + k, old[i].lblk + done);
			assert_int_equal(e->flags, old[i].flags);
			if (++done == old[i].len) {
				i++;
				done = 0;
			}
		}
		if (n && e[-1].lblk + e[-1].len == e->lblk &&
		    e[-1].flags == e->flags)
			assert_int_not_equal(e[-1].pblk + e[-1].len, e->pblk);
	}
	assert_int_equal(i, old_count);
}

static void check_tree(const struct replay *r, const struct e4df_extent *data,
		       const struct e4df_mapping *c)
{
	unsigned int bs = e4df_map_geometry(r->map)->block_size;
	const struct e4df_extent *tree = data + c->data;

	assert_int_equal(c->tree,
			 e4df_tree_blocks(e4df_tree_entries(data, c->data),
					  bs));
	for (uint32_t i = 0; i < c->tree; i++) {
		assert_int_equal(tree[i].len, 1);
		assert_int_equal(tree[i].flags, E4DF_EXTENT_TREE);
		assert_int_equal(r->old[tree[i].pblk >> r->bits],
				 MAPS_FREE); /* COW */
		assert_int_equal(tree[i].pblk & ((1U << r->bits) - 1), 0);
	}
	if (c->tree)
		assert_int_equal(tree[0].lblk, data[0].lblk);
}

/* The blocks after the batch, by its changes. */
static void change_all(struct replay *r)
{
	const struct e4df_update *u = &r->update;

	memcpy(r->after, r->before, r->count * sizeof(*r->after));
	memset(r->is_changed, 0, e4df_map_count(r->map));
	for (size_t i = 0; i < u->mapping_count; i++) {
		const struct e4df_mapping *c = &u->mappings[i];

		if (i)
			assert_true(c[-1].inode < c->inode);
		assert_int_equal(e4df_map_inode(r->map, c->inode)->why,
				 E4DF_MOVABLE);
		r->is_changed[c->inode] = 1;
	}
	for (blk64_t b = 0; b < r->count; b++)
		if (r->after[b] >> 32 && r->is_changed[(r->after[b] >> 32) - 1])
			r->after[b] = MAPS_FREE;
	for (size_t i = 0; i < u->mapping_count; i++) {
		const struct e4df_mapping *c = &u->mappings[i];
		const struct e4df_extent *now = u->extents + c->first;

		check_data(e4df_map_extents(r->map, c->inode),
			   e4df_map_inode(r->map, c->inode)->data, now,
			   c->data);
		check_tree(r, now, c);
		maps_claim(r->after, c->inode, now, c->data, c->tree);
	}
}

/*
 * What each cluster is: free, fixed, a mapping block's, or a logical cluster
 * of an inode, in which its blocks are at their places.  It is one of these
 * alone.
 */
static void fold(const struct replay *r, const uint64_t *blocks,
		 uint64_t *clusters)
{
	blk64_t mask = (1ULL << r->bits) - 1;

	memset(clusters, 0, r->clusters * sizeof(*clusters));
	for (blk64_t b = 0; b < r->count; b++) {
		uint64_t id = blocks[b], *c = &clusters[b >> r->bits];

		if (!is_used(id))
			continue;
		if (id >> 32 && (uint32_t)id != MAPS_TREE) {
			assert_int_equal((uint32_t)id & mask, b & mask);
			id = maps_id((uint32_t)(id >> 32) - 1,
				     (uint32_t)id >> r->bits);
		}
		if (id >> 32 && (uint32_t)id == MAPS_TREE)
			assert_int_equal(*c, MAPS_FREE);
		assert_true(*c == MAPS_FREE || *c == id);
		*c = id;
	}
}

/* The clusters used in one array and free in the other, as blocks. */
static struct e4df_runs difference(const struct replay *r, const uint64_t *used,
				   const uint64_t *unused)
{
	struct e4df_runs runs = E4DF_RUNS_INIT;

	for (blk64_t c = 0; c < r->clusters; c++)
		if (is_used(used[c]) && !is_used(unused[c]))
			assert_int_equal(e4df_runs_push(&runs, c << r->bits,
							1ULL << r->bits),
					 0);
	return runs;
}

static void check_same_runs(const struct e4df_runs *a,
			    const struct e4df_runs *b)
{
	assert_int_equal(a->count, b->count);
	if (a->count)
		assert_memory_equal(a->v, b->v, a->count * sizeof(*a->v));
}

/* taken and released are the difference; what is taken was free before. */
static void check_space(const struct replay *r)
{
	struct e4df_runs taken = difference(r, r->now, r->old);
	struct e4df_runs released = difference(r, r->old, r->now);

	check_same_runs(&taken, &r->update.taken);
	check_same_runs(&released, &r->update.released);
	e4df_runs_free(&taken);
	e4df_runs_free(&released);
	for (blk64_t c = 0; c < r->clusters; c++)
		if (r->old[c] != r->now[c])
			assert_true(r->old[c] == MAPS_FREE ||
				    r->now[c] == MAPS_FREE);
}

static int is_unwritten(const struct replay *r, uint64_t id)
{
	uint32_t index = (uint32_t)(id >> 32) - 1;
	const struct e4df_extent *e = e4df_map_extents(r->map, index);

	while (e->lblk + e->len <= (uint32_t)id)
		e++;
	return (e->flags & E4DF_EXTENT_UNWRITTEN) != 0;
}

static int is_xattr(const struct replay *r, uint64_t id)
{
	return id >> 32 &&
	       e4df_map_inode(r->map, (uint32_t)(id >> 32) - 1)->kind ==
		       E4DF_XATTR;
}

/* Each block that changes its place is moved there, once, if it is data. */
static void check_moves(const struct replay *r)
{
	const struct e4df_batch *batch = r->batch;
	blk64_t moved = 0, copied = 0, wanted = 0;

	for (size_t i = 0; i < batch->move_count; i++) {
		const struct e4df_move *m = &batch->moves[i];
		int flag = m->flags == E4DF_MOVE_UNWRITTEN;

		if (m->flags == E4DF_MOVE_XATTR) {
			assert_int_equal(m->len, 1);
			assert_true(is_xattr(r, r->before[m->from]));
			continue;
		}
		for (uint32_t k = 0; k < m->len; k++) {
			uint64_t id = r->before[m->from + k];

			assert_true(id >> 32 && (uint32_t)id != MAPS_TREE &&
				    !is_xattr(r, id));
			assert_true(r->after[m->to + k] == id);
			assert_true(r->old[(m->to + k) >> r->bits] ==
				    MAPS_FREE);
			assert_int_equal(is_unwritten(r, id), flag);
		}
		moved += m->len;
		copied += flag ? 0 : m->len;
	}
	for (blk64_t b = 0; b < r->count; b++)
		wanted += is_used(r->after[b]) &&
			  (uint32_t)r->after[b] != MAPS_TREE &&
			  !is_xattr(r, r->after[b]) &&
			  r->after[b] != r->before[b];
	assert_int_equal(moved, wanted);
	assert_int_equal(copied, batch->copy_blocks);
	assert_true(moved <= r->policy->batch_blocks || moved <= r->largest);
}

/* Marks one of a set of numbers; returns 1 the first time. */
static uint32_t mark(unsigned char *set, uint64_t n)
{
	uint32_t is_new = !set[n];

	set[n] = 1;
	return is_new;
}

/* Where an inode is: the number of the unit of a table that holds it. */
static uint64_t unit_of(const struct e4df_geometry *g, ext2_ino_t ino,
			uint32_t per_unit)
{
	uint32_t n = ino - 1;

	return n / g->inodes_per_group * g->inodes_per_group +
	       n % g->inodes_per_group / per_unit;
}

/*
 * An xattr block: the inode tables of all owners; and its image,
 * which a journal does not get.
 */
static uint32_t count_xattr(const struct replay *r, uint32_t index,
			    unsigned char *table)
{
	const struct e4df_geometry *g = e4df_map_geometry(r->map);
	uint32_t per_sector = 512 * g->inodes_per_block / g->block_size;
	uint32_t sum = r->policy->flags & E4DF_POLICY_ORDERED ? 1 : 0, count;
	const ext2_ino_t *owner = e4df_map_owners(r->map, index, &count);

	if (!per_sector)
		per_sector = 1;
	for (uint32_t i = 0; i < count; i++) {
		sum += mark(table, unit_of(g, owner[i], g->inodes_per_block));
		if (r->policy->flags & E4DF_POLICY_ORDERED)
			assert_int_equal(unit_of(g, owner[i], per_sector),
					 unit_of(g, owner[0], per_sector));
	}
	return sum;
}

/*
 * The metadata blocks that commit will stage, at most; with a journal those
 * that it will log, and apart from them the new mapping blocks.
 */
static void check_log(const struct replay *r)
{
	const struct e4df_geometry *g = e4df_map_geometry(r->map);
	unsigned char *table = calloc(r->count + 64 * 1024, 1);
	unsigned char *bitmap = calloc(g->groups, 1);
	unsigned char *desc = calloc(g->groups, 1);
	uint64_t sum = 1; /* the superblock */
	uint64_t quota = 0, made = 0;

	for (size_t i = 0; i < r->update.mapping_count; i++) {
		const struct e4df_mapping *c = &r->update.mappings[i];
		const struct e4df_inode *inode =
			e4df_map_inode(r->map, c->inode);

		made += c->tree;
		if (c->tree != inode->tree)
			quota += g->quota_files;
		sum += inode->kind == E4DF_XATTR ?
			       count_xattr(r, c->inode, table) :
			       mark(table, unit_of(g, inode->ino,
						   g->inodes_per_block));
	}
	for (blk64_t b = g->first_block; b < r->count; b++) {
		blk64_t group = (b - g->first_block) / g->blocks_per_group;

		if (is_used(r->before[b]) == is_used(r->after[b]))
			continue;
		sum += mark(bitmap, group);
		sum += mark(desc, group / g->descs_per_block);
	}
	sum += quota < g->quota_blocks ? quota : g->quota_blocks;
	if (r->policy->flags & E4DF_POLICY_ORDERED)
		sum += made;
	assert_in_range(sum, 1, r->policy->log_blocks);
	assert_in_range(made, 0, r->policy->log_blocks);
	free(table);
	free(bitmap);
	free(desc);
}

/* The map follows, and says the same as the array. */
static void check_apply(struct replay *r)
{
	const struct e4df_runs *unused;
	struct e4df_runs again = E4DF_RUNS_INIT;
	uint64_t *spread;

	assert_int_equal(e4df_map_prepare(r->map, &r->update), 0);
	e4df_map_apply(r->map, &r->update);
	spread = maps_spread(r->map);
	assert_memory_equal(spread, r->after, r->count * sizeof(*spread));
	free(spread);
	for (blk64_t c = 0; c < r->clusters; c++)
		if (!is_used(r->now[c]))
			assert_int_equal(e4df_runs_push(&again, c << r->bits,
							1ULL << r->bits),
					 0);
	unused = e4df_map_free_blocks(r->map);
	check_same_runs(unused, &again);
	e4df_runs_free(&again);
}

/* Without carrying it out, the same comes out. */
static void check_foresee(const struct e4df_map *map,
			  const struct e4df_plan *plan,
			  const struct e4df_map *done)
{
	struct e4df_map *foreseen;

	assert_int_equal(e4df_map_fork(map, &foreseen), 0);
	assert_int_equal(e4df_foresee(foreseen, plan), 0);
	assert_true(e4df_map_is_equal(foreseen, done));
	e4df_map_free(foreseen);
}

struct e4df_map *replay_plan(const struct e4df_map *map,
			     const struct e4df_policy *policy,
			     const struct e4df_plan *plan)
{
	const struct e4df_geometry *g = e4df_map_geometry(map);
	struct replay r = {
		.policy = policy,
		.count = g->blocks,
		.before = maps_spread(map),
		.after = malloc(g->blocks * 8),
		.bits = g->cluster_bits,
		.clusters = ((g->blocks - 1) >> g->cluster_bits) + 1,
		.is_changed = calloc(e4df_map_count(map) + 1, 1),
	};

	r.old = malloc(r.clusters * 8);
	r.now = malloc(r.clusters * 8);
	assert_true(r.after && r.is_changed && r.old && r.now);
	assert_int_equal(e4df_map_fork(map, &r.map), 0);
	for (uint32_t i = 0; i < e4df_map_count(map); i++) {
		blk64_t n = e4df_extents_blocks(e4df_map_extents(map, i),
						e4df_map_inode(map, i)->data);

		r.largest = n > r.largest ? n : r.largest;
	}
	for (size_t i = 0; i < e4df_plan_count(plan); i++) {
		r.batch = e4df_plan_batch(plan, i);
		assert_int_not_equal(r.batch->change_count, 0);
		assert_int_equal(e4df_update_make(r.map, r.batch, &r.update),
				 0);
		fold(&r, r.before, r.old);
		change_all(&r);
		fold(&r, r.after, r.now);
		check_space(&r);
		check_moves(&r);
		check_log(&r);
		check_apply(&r);
		e4df_update_release(&r.update);
		memcpy(r.before, r.after, r.count * sizeof(*r.before));
	}
	check_foresee(map, plan, r.map);
	free(r.before);
	free(r.after);
	free(r.old);
	free(r.now);
	free(r.is_changed);
	return r.map;
}

uint32_t replay_excess(const struct e4df_map *map, uint32_t index)
{
	struct e4df_shape shape;

	e4df_map_measure(map, index, &shape);
	return shape.runs > shape.ideal ? shape.runs - shape.ideal : 0;
}

static void check_same_array(const void *a, size_t a_count, const void *b,
			     size_t b_count, size_t size)
{
	assert_int_equal(a_count, b_count);
	if (a_count)
		assert_memory_equal(a, b, a_count * size);
}

void replay_check_same(const struct e4df_plan *a, const struct e4df_plan *b)
{
	blk64_t copied = 0;

	assert_int_equal(e4df_plan_count(a), e4df_plan_count(b));
	for (size_t i = 0; i < e4df_plan_count(a); i++) {
		const struct e4df_batch *x = e4df_plan_batch(a, i);
		const struct e4df_batch *y = e4df_plan_batch(b, i);

		check_same_array(x->moves, x->move_count, y->moves,
				 y->move_count, sizeof(*x->moves));
		check_same_array(x->tree, x->tree_count, y->tree, y->tree_count,
				 sizeof(*x->tree));
		check_same_array(x->changes, x->change_count, y->changes,
				 y->change_count, sizeof(*x->changes));
		copied += x->copy_blocks;
	}
	assert_int_equal(copied, e4df_plan_copy_blocks(a));
}
