/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "e4df_err.h"

#define HOLES_TRIED 24	       /* the tightest ones, for a file */
#define OWN_SHARE   64	       /* of a part: its runs that may stay */
#define CHANGE_COST 2	       /* blocks, for an inode that changes */
#define NEAR_SHARE  8	       /* of a group: not far */
#define FAR_COST    2	       /* blocks, for each doubling from there on */
#define EFFORT	    (1U << 21) /* ranges looked at to displace others */
#define NEAR	    8192       /* ranges looked at for a file, beyond that */
#define SHARE	    64	       /* so many times as there are, in all */
#define NEVER	    (1ULL << 44)
#define FIXED	    UINT32_MAX

/*
 * The target of `defrag`: every file that is whole stays, with all files that
 * are not to be improved, and the others get the holes between them, in which
 * now only such files are, or nothing.  The largest choose first.
 */
struct whole {
	const struct batcher *b;
	struct target *t;
	struct space holes;   /* its used ranges are those that stay, and
				 * the slots that are given away; their lblk
				 * is what it takes to displace the file that
				 * stays, else FIXED */
	unsigned char *moves; /* (owned) [inode] */
	struct part *parts;   /* (owned) to be placed */
	size_t count, alloc;
	__u64 effort;	/* ranges looked at to make holes */
	blk64_t cursor; /* where to look next */
};

/* What is to be one run: a file, or what is between two long runs of it. */
struct part {
	__u32 inode;
	__u32 from, len; /* dense */
	__u32 tree;	 /* mapping blocks behind it */
	blk64_t behind;	 /* where the long run before it ends; 0 for none */
};

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->len != y->len)
		return x->len > y->len ? -1 : 1;
	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return (x->from > y->from) - (x->from < y->from);
}

static errcode_t add_part(struct whole *w, const struct part *part)
{
	errcode_t err = e4df_grow(&w->parts, &w->alloc, w->count + 1,
				  sizeof(*w->parts));

	if (!err)
		w->parts[w->count++] = *part;
	return err;
}

static errcode_t add_file(struct whole *w, __u32 inode)
{
	struct part part = {
		.inode = inode,
		.len = w->b->files[inode].blocks,
	};
	errcode_t err = pack_tree(w->b, inode, &part.tree);

	w->moves[inode] = 1;
	return err ? err : add_part(w, &part);
}

/* A range of a file stays where it is. */
static errcode_t keep_run(struct whole *w, __u32 inode, blk64_t from,
			  blk64_t start, blk64_t len)
{
	errcode_t err = space_take(&w->holes, start, len, inode, FIXED);

	return err ? err :
		     target_add(w->t, inode, (__u32)from, start, (__u32)len);
}

/* What lies between two long runs: one run stays, several become one. */
static errcode_t end_part(struct whole *w, struct part *part, __u32 runs,
			  blk64_t start)
{
	if (!part->len)
		return 0;
	if (runs == 1)
		return keep_run(w, part->inode, part->from, start, part->len);
	return add_part(w, part);
}

/* Long runs stay, and what is between them is a part. */
static errcode_t add_long(struct whole *w, __u32 inode)
{
	const struct file *f = &w->b->files[inode];
	const struct e4df_extent *v = batcher_layout(w->b, inode);
	struct part part = { .inode = inode };
	blk64_t run = 0, dense = 0, first = 0; /* start of the part's first */
	__u32 runs = 0;			       /* of the part */
	errcode_t err = 0;

	w->moves[inode] = 1;
	for (__u32 i = 0; i < f->data && !err; i++) {
		blk64_t stop = v[i].pblk + v[i].len;

		run += v[i].len;
		dense += v[i].len;
		if (i + 1 < f->data && v[i + 1].pblk == stop)
			continue;
		if (run >= w->b->policy->good_run) {
			err = end_part(w, &part, runs, first);
			if (!err)
				err = keep_run(w, inode, dense - run,
					       stop - run, run);
			part.from = (__u32)dense;
			part.len = 0;
			part.behind = stop;
			runs = 0;
		} else {
			part.len += (__u32)run;
			if (!runs++)
				first = stop - run;
		}
		run = 0;
	}
	return err ? err : end_part(w, &part, runs, first);
}

__u32 whole_goal(const struct e4df_extent *v, __u32 count, blk64_t good_run)
{
	blk64_t run = 0;
	__u32 goal = 0, longs = 0;
	int is_part = 0;

	for (__u32 i = 0; i < count; i++) {
		run += v[i].len;
		if (i + 1 < count && v[i + 1].pblk == v[i].pblk + v[i].len)
			continue;
		if (run >= good_run) {
			longs++;
			goal++;
			is_part = 0;
		} else {
			goal += !is_part;
			is_part = 1;
		}
		run = 0;
	}
	return longs ? goal : 1;
}

int e4df_plan_is_good(const struct e4df_map *map, __u32 index, blk64_t good_run)
{
	struct e4df_shape shape;
	__u32 goal;

	if (!good_run)
		return 0;
	e4df_map_measure(map, index, &shape);
	goal = whole_goal(e4df_map_extents(map, index),
			  e4df_map_inode(map, index)->data, good_run);
	return goal > 1 && shape.runs <= goal;
}

/* What it takes to displace a file that stays; FIXED if it must not be. */
static __u32 weight_of(const struct whole *w, __u32 inode)
{
	const struct file *f = &w->b->files[inode];
	blk64_t weight = f->blocks + CHANGE_COST * (blk64_t)f->switches;

	if (f->ideal > 1 || !batcher_is_ideal(w->b, inode) || weight > FIXED)
		return FIXED;
	return (__u32)weight;
}

/* A file's ranges are not for others, but for larger ones if it is whole. */
static errcode_t stay(struct whole *w, __u32 inode)
{
	const struct file *f = &w->b->files[inode];
	const struct e4df_extent *v = batcher_layout(w->b, inode);
	__u32 weight = weight_of(w, inode);
	errcode_t err = 0;

	for (__u32 i = 0; i < f->data + f->tree && !err; i++)
		err = space_take(&w->holes, v[i].pblk, v[i].len, inode, weight);
	return err;
}

static errcode_t list_parts(struct whole *w)
{
	const struct batcher *b = w->b;
	const struct e4df_runs *areas = e4df_map_areas(b->map);
	errcode_t err = 0;

	for (size_t i = 0; i < areas->count && !err; i++)
		err = space_add_free(&w->holes, areas->v[i].start,
				     areas->v[i].len);
	for (__u32 i = 0; i < e4df_map_count(b->map) && !err; i++) {
		if (e4df_map_inode(b->map, i)->why != E4DF_MOVABLE)
			continue;
		if (batcher_is_ideal(b, i) || !plan_is_wanted(b->policy, i))
			err = stay(w, i);
		else if (b->files[i].ideal == 1)
			err = add_file(w, i);
		else if (b->files[i].has_long)
			err = add_long(w, i);
		else
			err = stay(w, i);
	}
	if (!err)
		err = space_index(&w->holes);
	if (w->count)
		qsort(w->parts, w->count, sizeof(*w->parts), compare_parts);
	return err;
}

/*
 * Blocks to write, twice: those of the part that are not there yet, and
 * those of others that may have to go elsewhere first.  Gives up at `limit`.
 */
static blk64_t cost_of(const struct batcher *b, const struct part *part,
		       blk64_t start, blk64_t limit)
{
	blk64_t at = start, end = start + part->len + part->tree;
	blk64_t cost = 2 * (end - start);
	const struct e4df_span *n = space_next(&b->space, at);

	while (n && n->key < end && cost < limit) {
		blk64_t stop = n->key + n->len < end ? n->key + n->len : end;

		if (at < n->key)
			at = n->key;
		if (dense_is_in_place(b, n, part->inode, part->from, start))
			cost -= 2 * (stop - at);
		else
			cost += stop - at;
		n = e4df_spans_next(&b->space.used, n);
	}
	return cost;
}

/*
 * The places of a part in which some of it stays: those that are noted, and a
 * few others.
 */
struct homes {
	__u64 bits[64];
};

static __u64 *home_of(struct homes *h, blk64_t start, __u64 *bit)
{
	__u64 hash = start * 0x9e3779b97f4a7c15ULL;

	*bit = 1ULL << (hash >> 58);
	return &h->bits[hash >> 52 & 63];
}

static void note_home(struct homes *h, blk64_t start)
{
	__u64 bit, *word = home_of(h, start, &bit);

	*word |= bit;
}

static int is_home(struct homes *h, blk64_t start)
{
	__u64 bit, *word = home_of(h, start, &bit);

	return (*word & bit) != 0;
}

/* What it costs that a range which was to stay does not. */
static blk64_t window_price(const struct e4df_span *n, blk64_t need)
{
	return n->lblk > need / 2 ? NEVER : n->lblk;
}

/* The same for all that was to stay at a place. */
static blk64_t cost_of_way(const struct whole *w, blk64_t start, blk64_t need)
{
	const struct e4df_span *n;
	blk64_t cost = 0;

	if (!e4df_runs_is_inside(e4df_map_areas(w->b->map), start, need))
		return NEVER;
	for (n = space_next(&w->holes, start);
	     n && n->key < start + need && cost < NEVER;
	     n = e4df_spans_next(&w->holes.used, n))
		cost += window_price(n, need);
	return cost;
}

/*
 * What it costs readers that a file is far from its inode, and so from the
 * files that they read before it: as with a seek, less for each further group.
 * The share and the cost were measured: they leave the bytes to write as they
 * are, and fewer free runs, as files with the same goal come together.
 */
static blk64_t cost_of_distance(const struct batcher *b, __u32 inode,
				blk64_t start)
{
	blk64_t goal = choose_goal(b, inode), cost = 0;
	blk64_t far = start > goal ? start - goal : goal - start;

	far /= b->geometry->blocks_per_group / NEAR_SHARE + 1;
	for (; far; far >>= 1)
		cost += FAR_COST;
	return cost;
}

/*
 * A place, with what it costs to make way there.  Where nothing of the part can
 * stay, the cost only grows as one looks: most places need not be looked at at
 * all, or not to their ends.
 */
static void offer(const struct whole *w, const struct part *part,
		  struct homes *homes, blk64_t start, blk64_t way,
		  blk64_t *best, blk64_t *ret)
{
	blk64_t need = (blk64_t)part->len + part->tree;
	blk64_t cost = way + cost_of_distance(w->b, part->inode, start);
	int can_stay = is_home(homes, start);

	if (cost + (can_stay ? 0 : 2 * need) >= *best)
		return;
	cost += cost_of(w->b, part, start,
			can_stay ? UINT64_MAX : *best - cost);
	if (cost >= *best)
		return;
	*best = cost;
	*ret = start;
}

/* The places where one of its longer runs stays; all homes are noted. */
static void offer_own(const struct whole *w, const struct part *part,
		      struct homes *homes, blk64_t *best, blk64_t *ret)
{
	blk64_t need = (blk64_t)part->len + part->tree, run = 0;
	blk64_t dense, end = (blk64_t)part->from + part->len;
	const struct e4df_extent *e =
		dense_find(w->b, part->inode, part->from, &dense);

	for (; dense < end; e++) {
		blk64_t stop = e->pblk + e->len, start;

		run += e->len;
		dense += e->len;
		start = stop - (dense - part->from);
		note_home(homes, start);
		if (dense < end && e[1].pblk == stop)
			continue;
		if (run * OWN_SHARE > part->len && stop >= dense - part->from)
			offer(w, part, homes, start,
			      cost_of_way(w, start, need), best, ret);
		run = 0;
	}
}

/* The cheapest of its own places and of the ends of the tightest holes. */
static int find_place(const struct whole *w, const struct part *part,
		      blk64_t *ret)
{
	blk64_t need = (blk64_t)part->len + part->tree, best = NEVER;
	const struct e4df_spans *by = &w->holes.free_by;
	const struct e4df_span *n = e4df_spans_ceil(by, need);
	struct homes homes = { { 0 } };

	if (part->behind &&
	    space_free_part(&w->holes, part->behind, need) == need) {
		*ret = part->behind;
		return 1;
	}
	offer_own(w, part, &homes, &best, ret);
	for (int i = 0; n && i < HOLES_TRIED; i++) {
		blk64_t start = n->len, len = n->key;

		offer(w, part, &homes, start, 0, &best, ret);
		offer(w, part, &homes, start + len - need, 0, &best, ret);
		n = e4df_spans_after(by, len, start);
	}
	return best < NEVER;
}

/* The search for the window with the least to displace. */
struct search {
	blk64_t need;
	blk64_t best, start; /* the window, if best < NEVER */
	__u64 left;	     /* ranges that may still be looked at */
};

/*
 * The windows in [at, end), from where a range ends to the next such place.
 * Returns where it stopped looking.
 */
static blk64_t slide(const struct whole *w, struct search *s, blk64_t at,
		     blk64_t end)
{
	const struct e4df_span *lo, *hi;
	blk64_t sum = 0;

	lo = hi = e4df_spans_ceil(&w->holes.used, at);
	while (at + s->need <= end) {
		while (hi && hi->key < at + s->need) {
			if (!s->left)
				return at;
			s->left--;
			sum += window_price(hi, s->need);
			hi = e4df_spans_next(&w->holes.used, hi);
		}
		if (sum < s->best) {
			s->best = sum;
			s->start = at;
		}
		if (!lo || lo->key >= end)
			break;
		if (lo->key < at + s->need)
			sum -= window_price(lo, s->need);
		at = lo->key + lo->len;
		lo = e4df_spans_next(&w->holes.used, lo);
		if (hi && hi->key < at)
			hi = lo;
	}
	return end;
}

/* A file that was to stay becomes one that is placed. */
static errcode_t displace(struct whole *w, __u32 inode)
{
	const struct file *f = &w->b->files[inode];
	const struct e4df_extent *v = batcher_layout(w->b, inode);
	errcode_t err = 0;

	for (__u32 i = 0; i < f->data + f->tree && !err; i++)
		err = space_give(&w->holes, v[i].pblk, v[i].len);
	return err ? err : add_file(w, inode);
}

/*
 * Looks everywhere, as long as that has not been too much in all; from then
 * on in what comes next, so that the time for a file does not grow with the
 * file system.
 */
static void search(struct whole *w, struct search *s)
{
	const struct e4df_runs *areas = e4df_map_areas(w->b->map);
	int is_all = w->effort < EFFORT;
	size_t first = is_all ? 0 : e4df_runs_find(areas, w->cursor);

	s->best = NEVER;
	s->left = is_all ? UINT64_MAX : NEAR;
	if (w->effort >= EFFORT + SHARE * (__u64)w->holes.used.count)
		return;
	for (size_t i = 0; i < areas->count && s->left; i++) {
		const struct e4df_range *area =
			&areas->v[(first + i) % areas->count];
		__u64 left = s->left;
		blk64_t at = area->start;

		if (!is_all && !i && w->cursor > at) {
			const struct e4df_span *n =
				space_owner(&w->holes, w->cursor);

			at = n ? n->key + n->len : w->cursor;
		}
		w->cursor = slide(w, s, at, area->start + area->len);
		w->effort += left - s->left;
	}
}

/* There is no hole that is large enough: where is one made most cheaply? */
static int find_window(struct whole *w, blk64_t need, blk64_t *ret)
{
	struct search s = { .need = need };

	search(w, &s);
	*ret = s.start;
	return s.best < NEVER;
}

/* Files that were to stay at a place are placed anew. */
static errcode_t make_way(struct whole *w, blk64_t start, blk64_t need)
{
	blk64_t at = start;
	errcode_t err = 0;

	while (at < start + need && !err) {
		const struct e4df_span *n = space_next(&w->holes, at);

		if (!n || n->key >= start + need)
			break;
		at = n->key + n->len;
		err = displace(w, n->owner);
	}
	return err;
}

static errcode_t place_part(struct whole *w, const struct part *part)
{
	blk64_t need = (blk64_t)part->len + part->tree, start;
	struct part copy = *part; /* displacing adds to them */
	errcode_t err;

	if (!find_place(w, part, &start) && !find_window(w, need, &start))
		return 0;
	err = make_way(w, start, need);
	if (!err)
		err = space_take(&w->holes, start, need, copy.inode, FIXED);
	if (!err)
		err = target_add(w->t, copy.inode, copy.from, start, copy.len);
	if (!err && copy.tree)
		err = target_add(w->t, copy.inode, SLOT_TREE, start + copy.len,
				 copy.tree);
	return err;
}

errcode_t whole_make(struct target *t, const struct batcher *b)
{
	struct whole w = { .b = b, .t = t };
	errcode_t err;

	w.moves = calloc((size_t)e4df_map_count(b->map) + 1, 1);
	err = w.moves ? list_parts(&w) : ENOMEM;
	for (size_t i = 0; i < w.count && !err; i++)
		err = place_part(&w, &w.parts[i]);
	target_sort(t);
	space_release(&w.holes);
	free(w.parts);
	free(w.moves);
	return err;
}
