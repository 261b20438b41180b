/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>

#define OWN_RUNS      4		 /* longest runs of a file that may stay */
#define WINDOW_RANGES 8192	 /* used ranges looked at for a window */
#define SPARE_SHARE   4		 /* of a batch's data, cleared at once */
#define EFFORT	      (1U << 25) /* ranges looked at in one pass */
#define PIECE_COST    8		 /* blocks: a piece displaced costs metadata */

/* A cost that is not paid; a sum of WINDOW_RANGES such fits 64 bits. */
#define NEVER (1ULL << 44)

int choose_is_placeable(const struct batcher *b, __u32 inode)
{
	const struct file *f = &b->files[inode];

	return f->ideal == 1 && !f->is_waiting &&
	       e4df_spans_longest(&b->space.free_at) >= f->blocks;
}

/*
 * What it costs to get `len` blocks of a used range out of the way of a file
 * of `blocks`.  A fragmented file that finds its own place has to be moved in
 * any case.  A contiguous file moves as a whole, if it is not larger; where no
 * free run holds it, in pieces, and again to be whole.  What many own costs a
 * block of each of their inode tables.
 */
static blk64_t cost_of(const struct batcher *b, const struct e4df_span *n,
		       blk64_t len, blk64_t blocks)
{
	const struct file *f;

	if (n->owner == OWNER_PENDING)
		return 0;
	if (n->owner >= OWNER_FILES)
		return NEVER;
	f = &b->files[n->owner];
	if (f->is_waiting)
		return NEVER;
	if (n->lblk == LBLK_TREE)
		return PIECE_COST;
	if (!batcher_is_ideal(b, n->owner)) {
		if (choose_is_placeable(b, n->owner))
			return PIECE_COST;
		return f->is_whole ? NEVER : PIECE_COST + len;
	}
	if (f->blocks > blocks || f->ideal > 1)
		return NEVER;
	if (e4df_spans_longest(&b->space.free_at) < f->blocks) {
		if (f->is_whole)
			return NEVER;
		len *= 3;
	}
	return len + PIECE_COST + f->switches - 1;
}

/*
 * The cost of the file's dense positions [from, from + len) at `start`:
 * blocks to write for it, and for what is there now.  Gives up at `limit`.
 */
static blk64_t window_cost(const struct batcher *b, __u32 inode, blk64_t from,
			   blk64_t start, blk64_t len, blk64_t limit,
			   int *must_clear)
{
	blk64_t cost = len, at = start, end = start + len;
	const struct e4df_span *n = space_next(&b->space, at);

	*must_clear = 0;
	while (n && n->key < end && cost < limit) {
		blk64_t stop = n->key + n->len < end ? n->key + n->len : end;

		if (at < n->key)
			at = n->key;
		if (dense_is_in_place(b, n, inode, from, start)) {
			cost -= stop - at; /* stays */
		} else {
			cost += cost_of(b, n, stop - at,
					b->files[inode].blocks);
			*must_clear = 1;
		}
		at = stop;
		n = e4df_spans_next(&b->space.used, n);
	}
	return cost;
}

static void offer(struct place *best, blk64_t start, blk64_t len, blk64_t cost,
		  int must_clear)
{
	if (cost >= best->cost)
		return;
	best->piece[0] = (struct e4df_range){ start, len };
	best->count = 1;
	best->cost = cost;
	best->must_clear = must_clear;
}

/* Around each of its longest runs, so that this run stays. */
static void try_own_runs(const struct batcher *b, __u32 inode,
			 struct place *best)
{
	const struct e4df_runs *areas = e4df_map_areas(b->map);
	blk64_t blocks = b->files[inode].blocks;
	struct e4df_range top[OWN_RUNS] = { { 0, 0 } }; /* start, run's len */
	const struct e4df_extent *e = batcher_layout(b, inode);
	blk64_t run = 0, at = 0;

	for (__u32 left = b->files[inode].data; left--; at += (e++)->len) {
		int k = OWN_RUNS - 1;

		run += e->len;
		if (left && e[1].pblk == e->pblk + e->len)
			continue;
		if (e->pblk >= at && run > top[k].len) {
			for (; k && run > top[k - 1].len; k--)
				top[k] = top[k - 1];
			top[k] = (struct e4df_range){ e->pblk - at, run };
		}
		run = 0;
	}
	for (int k = 0; k < OWN_RUNS && top[k].len; k++) {
		int must_clear;
		blk64_t cost;

		if (!e4df_runs_is_inside(areas, top[k].start, blocks))
			continue;
		cost = window_cost(b, inode, 0, top[k].start, blocks,
				   best->cost, &must_clear);
		offer(best, top[k].start, blocks, cost, must_clear);
	}
}

/* A used range in the way of a window. */
struct obstacle {
	blk64_t start, end, cost;
};

/* The used ranges of an area, from `from` on, with what they cost. */
static errcode_t list_obstacles(const struct batcher *b, blk64_t from,
				blk64_t end, blk64_t blocks,
				struct obstacle **ret, __u32 *ret_count)
{
	struct obstacle *v = malloc(WINDOW_RANGES * sizeof(*v));
	const struct e4df_span *n = e4df_spans_ceil(&b->space.used, from);
	__u32 count = 0;

	if (!v)
		return ENOMEM;
	while (n && n->key < end && count < WINDOW_RANGES) {
		v[count++] = (struct obstacle){
			.start = n->key,
			.end = n->key + n->len,
			.cost = cost_of(b, n, n->len, blocks),
		};
		n = e4df_spans_next(&b->space.used, n);
	}
	*ret = v;
	*ret_count = count;
	return 0;
}

/*
 * Slides a window of `len` over the obstacles, beginning where the area or a
 * gap begins; those that it only touches count in full.
 */
static void slide(const struct obstacle *v, __u32 count, blk64_t from,
		  blk64_t end, blk64_t len, blk64_t blocks, struct place *best)
{
	blk64_t start = from, sum = blocks;
	__u32 lo = 0, hi = 0;

	for (;;) {
		while (hi < count && v[hi].start < start + len)
			sum += v[hi++].cost;
		if (start + len > end || hi == WINDOW_RANGES)
			return;
		offer(best, start, blocks, sum, 1);
		if (lo == count)
			return;
		start = v[lo].end;
		if (lo == hi)
			hi++; /* it was beyond the window */
		else
			sum -= v[lo].cost;
		lo++;
	}
}

/* The cheapest window near the goal; far away only if there is none. */
static errcode_t try_windows(struct batcher *b, blk64_t goal, blk64_t blocks,
			     blk64_t len, struct place *best)
{
	const struct e4df_runs *areas = e4df_map_areas(b->map);
	size_t first = e4df_runs_find(areas, goal);
	struct place found = { .cost = NEVER };
	blk64_t seen = 0;
	errcode_t err = 0;

	for (size_t i = 0; i <= areas->count && !err; i++) {
		const struct e4df_range *area =
			&areas->v[(first + i) % areas->count];
		blk64_t at = area->start, end = at + area->len;

		if (!i && goal > at && goal < end) {
			const struct e4df_span *n =
				space_owner(&b->space, goal);

			at = n ? n->key + n->len : goal;
		}
		while (at + len <= end && !err) {
			struct obstacle *v;
			__u32 count;

			err = list_obstacles(b, at, end, len, &v, &count);
			if (err)
				break;
			slide(v, count, at, end, len, blocks, &found);
			seen += count;
			b->effort += count;
			at = count == WINDOW_RANGES ? v[WINDOW_RANGES / 2].end :
						      end;
			free(v);
			if (seen >= WINDOW_RANGES && found.cost < NEVER)
				i = areas->count, at = end;
		}
	}
	if (found.cost < best->cost) {
		*best = found;
		best->spare = len - blocks;
	}
	return err;
}

/* For a file that no area holds: the largest areas, and a rest. */
static void try_areas(const struct batcher *b, __u32 inode, struct place *best)
{
	const struct e4df_runs *areas = e4df_map_areas(b->map);
	const struct file *f = &b->files[inode];
	blk64_t from = 0, below = UINT64_MAX, cost = 0;
	struct place all = { .cost = NEVER };
	int must_clear;

	if (f->ideal > MAX_PIECES)
		return;
	while (from < f->blocks) {
		blk64_t left = f->blocks - from;
		const struct e4df_range *pick = NULL;

		/* the next area by length, then by place */
		for (size_t i = 0; i < areas->count; i++) {
			const struct e4df_range *a = &areas->v[i];
			blk64_t rank = (a->len << 24) - i;

			if (rank < below && (!pick || a->len > pick->len))
				pick = a;
		}
		if (!pick || all.count == MAX_PIECES)
			return;
		below = (pick->len << 24) - (blk64_t)(pick - areas->v);
		if (left > pick->len)
			left = pick->len;
		cost += window_cost(b, inode, from, pick->start, left, NEVER,
				    &must_clear);
		all.piece[all.count++] = (struct e4df_range){
			pick->start,
			left,
		};
		from += left;
	}
	all.cost = cost;
	all.must_clear = 1;
	if (cost < best->cost)
		*best = all;
}

/* The longest free runs, as they are, if these are fewer than now. */
static void try_pieces(const struct batcher *b, __u32 inode, struct place *best)
{
	const struct file *f = &b->files[inode];
	__u32 runs = e4df_extents_runs(batcher_layout(b, inode), f->data);
	const struct e4df_span *n =
		e4df_spans_floor(&b->space.free_by, UINT64_MAX);
	struct place all = { .cost = f->blocks };
	blk64_t left = f->blocks;

	while (n && left && all.count + 1 < runs && all.count < MAX_PIECES) {
		blk64_t len = n->key < left ? n->key : left;

		all.piece[all.count++] = (struct e4df_range){ n->len, len };
		left -= len;
		n = e4df_spans_before(&b->space.free_by, n->key, n->len);
	}
	if (!left && all.cost < best->cost)
		*best = all;
}

blk64_t choose_goal(const struct batcher *b, __u32 inode)
{
	const struct e4df_geometry *g = b->geometry;
	blk64_t group =
		(e4df_map_inode(b->map, inode)->ino - 1) / g->inodes_per_group;

	return g->first_block + group * g->blocks_per_group;
}

/*
 * A window is chosen larger than needed, so that the files that follow find
 * room as well; where that is too much, as large as needed.
 */
static errcode_t try_clearing(struct batcher *b, blk64_t goal, blk64_t blocks,
			      struct place *best)
{
	blk64_t spare = b->policy->batch_blocks / SPARE_SHARE;
	errcode_t err = 0;

	if (blocks < spare)
		err = try_windows(b, goal, blocks, spare, best);
	if (!err && best->cost >= NEVER)
		err = try_windows(b, goal, blocks, blocks, best);
	return err;
}

errcode_t choose_place(struct batcher *b, __u32 inode, unsigned int flags,
		       struct place *ret, int *is_found)
{
	const struct file *f = &b->files[inode];
	blk64_t goal = choose_goal(b, inode), start;
	errcode_t err = 0;

	*ret = (struct place){ .cost = NEVER };
	if (f->ideal > 1) {
		if (flags & CHOOSE_CLEAR)
			try_areas(b, inode, ret);
	} else {
		if (space_find_near(&b->space, goal, f->blocks, &start))
			offer(ret, start, f->blocks, f->blocks, 0);
		if (ret->cost < NEVER || flags & CHOOSE_CLEAR)
			try_own_runs(b, inode, ret);
		if (ret->cost >= NEVER && flags & CHOOSE_CLEAR &&
		    b->effort < EFFORT)
			err = try_clearing(b, goal, f->blocks, ret);
	}
	if (!err && ret->cost >= NEVER && flags & CHOOSE_PIECES) {
		err = space_index(&b->space);
		if (!err)
			try_pieces(b, inode, ret);
	}
	*is_found = ret->cost < NEVER;
	return err;
}
