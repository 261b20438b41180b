/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

#define TRIES 4 /* of a pass; in the last one no file may be broken up */

/* A file whose window is being cleared; it settles behind the next close. */
struct waiting {
	struct place place;
	__u32 inode;
};

struct pass {
	struct batcher batcher;
	unsigned int flags;	 /* CHOOSE_ */
	struct waiting *waiting; /* (owned) */
	size_t waiting_count, waiting_alloc;
	__u32 *order; /* (owned) files to improve */
	__u32 order_count;
};

/* Larger files first; equal ones by inode, as the map is. */
struct candidate {
	__u32 blocks, inode;
};

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->blocks != y->blocks)
		return x->blocks < y->blocks ? 1 : -1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

static errcode_t list_candidates(struct pass *p)
{
	const struct e4df_map *map = p->batcher.map;
	__u32 count = e4df_map_count(map), n = 0;
	struct candidate *list = malloc(((size_t)count + 1) * sizeof(*list));

	p->order = malloc(((size_t)count + 1) * sizeof(*p->order));
	if (!list || !p->order) {
		free(list);
		return ENOMEM;
	}
	for (__u32 i = 0; i < count; i++) {
		const struct file *f = &p->batcher.files[i];

		if (plan_is_wanted(p->batcher.policy, i) &&
		    e4df_map_inode(map, i)->why == E4DF_MOVABLE &&
		    e4df_extents_runs(e4df_map_extents(map, i), f->data) >
			    f->ideal)
			list[n++] = (struct candidate){ f->blocks, i };
	}
	qsort(list, n, sizeof(*list), compare_candidates);
	for (__u32 i = 0; i < n; i++)
		p->order[i] = list[i].inode;
	p->order_count = n;
	free(list);
	return 0;
}

/* Can the open batch move this file, taking `need` of the free blocks? */
static int has_room(struct pass *p, __u32 inode, blk64_t need)
{
	struct batcher *b = &p->batcher;

	return batcher_has_room(b, inode, b->files[inode].blocks, need,
				MAX_PIECES);
}

static errcode_t settle(struct pass *p, __u32 inode, const struct place *place)
{
	return window_settle(&p->batcher, inode, place);
}

/* Closes the batch, then moves in those whose windows are clear by it. */
static errcode_t flush(void *ctx)
{
	struct pass *p = ctx;
	errcode_t err = batcher_close(&p->batcher);

	for (size_t i = 0; i < p->waiting_count && !err; i++) {
		const struct waiting *w = &p->waiting[i];

		if (!has_room(p, w->inode, 0))
			err = batcher_close(&p->batcher);
		p->batcher.files[w->inode].is_waiting = 0;
		if (err)
			break;
		if (has_room(p, w->inode, 0))
			err = settle(p, w->inode, &w->place);
		else
			err = window_abandon(&p->batcher, &w->place);
	}
	p->waiting_count = 0;
	return err;
}

static errcode_t wait_for(struct pass *p, __u32 inode,
			  const struct place *place)
{
	errcode_t err = e4df_grow(&p->waiting, &p->waiting_alloc,
				  p->waiting_count + 1, sizeof(*p->waiting));

	if (err)
		return err;
	p->waiting[p->waiting_count++] = (struct waiting){
		.place = *place,
		.inode = inode,
	};
	p->batcher.files[inode].is_waiting = 1;
	return 0;
}

/*
 * Has the open batch given up so much that closing it may make room?  Small
 * batches cost flushes; large ones keep blocks pending, and more must be
 * cleared meanwhile.  1/256 was measured to be near the least of both.
 */
static int is_worth_closing(const struct batcher *b, blk64_t blocks)
{
	return b->cleared >= blocks ||
	       e4df_runs_blocks(&b->pending) > b->space.free_blocks / 256;
}

/*
 * Finds a place without clearing anything, if need be in a new batch: also
 * where taking it would leave too few blocks for the batch's mapping blocks.
 */
static errcode_t choose(struct pass *p, __u32 inode, struct place *place,
			int *is_found)
{
	struct batcher *b = &p->batcher;
	errcode_t err;

	err = choose_place(b, inode, p->flags, place, is_found);
	if (err || (*is_found ? has_room(p, inode, place->cost) :
				!is_worth_closing(b, b->files[inode].blocks)))
		return err;
	err = flush(p);
	return err ? err : choose_place(b, inode, p->flags, place, is_found);
}

/* One file: choose, then settle, or clear and wait. */
static errcode_t attend(struct pass *p, __u32 inode)
{
	struct batcher *b = &p->batcher;
	struct place place;
	int is_found;
	errcode_t err = 0;

	if (b->policy->cancel && *b->policy->cancel)
		return E4DF_ET_CANCELLED;
	if (batcher_is_ideal(b, inode) || b->files[inode].is_waiting)
		return 0;
	if (!has_room(p, inode, 0))
		err = flush(p);
	if (err || !has_room(p, inode, 0))
		return err;
	err = choose(p, inode, &place, &is_found);
	if (!err && !is_found)
		err = choose_place(b, inode, p->flags | CHOOSE_CLEAR, &place,
				   &is_found);
	if (err || !is_found)
		return err;
	if (!place.must_clear)
		return has_room(p, inode, place.cost) ?
			       settle(p, inode, &place) :
			       0;
	/* It must hold still itself while the window is cleared. */
	err = window_clear(b, inode, &place, flush, p, &is_found);
	return err || !is_found ? err : wait_for(p, inode, &place);
}

static errcode_t run_pass(struct pass *p)
{
	struct batcher *b = &p->batcher;
	errcode_t err = list_candidates(p);

	for (__u32 i = 0; i < p->order_count && !err; i++)
		err = attend(p, p->order[i]);
	/* grows while files that were in the way are broken up */
	for (size_t i = 0; i < b->broken_count && !err; i++)
		err = attend(p, b->broken[i]);
	if (!err)
		err = flush(p);
	return err ? err : batcher_close(b);
}

__u64 pass_excess(const struct batcher *b)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < e4df_map_count(b->map); i++) {
		const struct file *f = &b->files[i];
		__u32 runs = e4df_extents_runs(batcher_layout(b, i), f->data);

		if (e4df_map_inode(b->map, i)->why == E4DF_MOVABLE &&
		    runs > f->ideal)
			sum += runs - f->ideal;
	}
	return sum;
}

/*
 * Has any file more excess runs than in the map?  Such files are added to
 * those that must not be displaced in pieces.
 */
static int has_worse(const struct batcher *b, unsigned char *is_whole)
{
	int is_any = 0;

	for (__u32 i = 0; i < e4df_map_count(b->map); i++) {
		const struct file *f = &b->files[i];
		__u32 runs;

		if (!f->v)
			continue;
		runs = e4df_extents_runs(f->v, f->data);
		if (runs <= f->ideal ||
		    runs <= e4df_extents_runs(e4df_map_extents(b->map, i),
					      e4df_map_inode(b->map, i)->data))
			continue;
		is_whole[i] = 1;
		is_any = 1;
	}
	return is_any;
}

static errcode_t try_pass(struct e4df_plan *plan, struct e4df_map *map,
			  const struct e4df_policy *policy, unsigned int flags,
			  unsigned char *is_whole, int *is_better,
			  int *is_harmful)
{
	struct pass p = { .flags = flags };
	__u64 before = 0;
	errcode_t err = batcher_init_files(&p.batcher, map, policy);

	for (__u32 i = 0; !err && i < e4df_map_count(map); i++)
		p.batcher.files[i].is_whole = is_whole[i] != 0;
	if (!err)
		before = pass_excess(&p.batcher);
	if (before)
		err = batcher_init_space(&p.batcher);
	if (!err && before)
		err = run_pass(&p);
	*is_harmful = !err && has_worse(&p.batcher, is_whole);
	*is_better = !err && !*is_harmful && before &&
		     pass_excess(&p.batcher) < before;
	if (*is_better)
		err = plan_keep(plan, &p.batcher, map);
	batcher_release(&p.batcher);
	free(p.waiting);
	free(p.order);
	return err;
}

errcode_t pass_run(struct e4df_plan *plan, struct e4df_map *map,
		   const struct e4df_policy *policy, unsigned int flags,
		   int *is_better)
{
	size_t count = e4df_map_count(map);
	unsigned char *is_whole = calloc(count + 1, 1);
	int is_harmful = 1;
	errcode_t err = is_whole ? 0 : ENOMEM;

	for (int n = 1; n <= TRIES && is_harmful && !err; n++) {
		if (n == TRIES)
			memset(is_whole, 1, count);
		err = try_pass(plan, map, policy, flags, is_whole, is_better,
			       &is_harmful);
	}
	free(is_whole);
	return err;
}
