/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "spans.h"

#define PRICE_BYTES (1 << 20) /* that a free run less is worth */
#define WORSE	    4	      /* so many times the best: enough is tried */
#define NOBODY	    UINT32_MAX

/*
 * The target for files that are nearly in order: what is whole stays, and a
 * fragmented file goes to the hole behind the file before it, or where its
 * first run is, if there is one.  For the others there are the rest of the
 * holes, and what lies last is taken up to fill these with them.  What finds
 * none follows behind them, as it lay.
 *
 *	before	|aaa..bbbc..ddd.eeefffff..gggg......|
 *	after	|aaagggbbbcffddd.eee................|
 *
 * How much is taken up is tried out: it costs what has to be written, and a
 * free run that is left costs as much as PRICE_BYTES.
 */
struct piece {
	blk64_t start; /* where it is now */
	blk64_t need;  /* with its mapping blocks */
	__u32 inode, tree;
	__u32 before; /* the file before it that stays, or NOBODY */
};

struct closing {
	const struct batcher *b;
	struct piece *torn; /* (owned) fragmented files, in their order */
	struct piece *rear; /* (owned) whole files, the last one first */
	size_t torn_count, rear_count;
	struct e4df_runs room; /* what no file has that stays, or may */
	blk64_t price;
};

/* One way to close the holes. */
struct trial {
	const struct closing *c;
	struct target *t;   /* (borrowed) */
	blk64_t cut;	    /* from here on all that does not stay is packed */
	struct space holes; /* in front of it */
	struct e4df_runs behind;
	struct e4df_spans pool; /* key = need, len = 1 + index */
	struct piece *pieces;	/* (owned) torn ones, then the lifted */
	size_t count;
	unsigned char *is_done; /* (owned) of pieces */
	blk64_t cost;
};

static int compare_rear(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return (x->start < y->start) - (x->start > y->start);
}

static errcode_t add_extents(const struct batcher *b, __u32 inode,
			     struct e4df_runs *runs)
{
	const struct file *f = &b->files[inode];
	const struct e4df_extent *v = batcher_layout(b, inode);
	errcode_t err = 0;

	for (__u32 i = 0; i < f->data + f->tree && !err; i++)
		err = e4df_runs_push(runs, v[i].pblk, v[i].len);
	return err;
}

/* Parts the files into those that are torn and those that stay, or may. */
static errcode_t sort_out(struct closing *c, const __u32 *list, __u32 count)
{
	const struct batcher *b = c->b;
	struct e4df_runs stay = E4DF_RUNS_INIT;
	const struct e4df_runs *areas = e4df_map_areas(b->map);
	__u32 last = NOBODY;
	errcode_t err = 0;

	for (__u32 i = 0; i < count && !err; i++) {
		__u32 inode = list[i];
		struct piece p = {
			.start = batcher_layout(b, inode)->pblk,
			.inode = inode,
			.before = last,
		};
		int is_whole = b->files[inode].ideal > 1 ||
			       batcher_is_ideal(b, inode) ||
			       !plan_is_wanted(b->policy, inode);

		err = pack_tree(b, inode, &p.tree);
		p.need = b->files[inode].blocks + (blk64_t)p.tree;
		if (!is_whole)
			c->torn[c->torn_count++] = p;
		else if (b->files[inode].ideal == 1 &&
			 !layout_is_apart(b, inode))
			c->rear[c->rear_count++] = p;
		if (!err && is_whole)
			err = add_extents(b, inode, &stay);
		if (is_whole && !layout_is_apart(b, inode))
			last = inode;
	}
	e4df_runs_sort(&stay);
	if (!err)
		err = e4df_runs_copy(areas, &c->room);
	if (!err)
		err = e4df_runs_update(&c->room, &stay,
				       &(struct e4df_runs)E4DF_RUNS_INIT);
	if (c->rear_count)
		qsort(c->rear, c->rear_count, sizeof(*c->rear), compare_rear);
	e4df_runs_free(&stay);
	return err;
}

/* The holes in front, and behind them the rest. */
static errcode_t part_room(struct trial *r)
{
	const struct closing *c = r->c;
	struct e4df_runs all = E4DF_RUNS_INIT, front = E4DF_RUNS_INIT;
	errcode_t err = e4df_runs_copy(&c->room, &all);

	for (size_t i = c->torn_count; i < r->count && !err; i++)
		err = add_extents(c->b, r->pieces[i].inode, &all);
	e4df_runs_sort(&all);
	if (!err)
		err = e4df_runs_clip(&all, 0, r->cut, &front);
	if (!err)
		err = e4df_runs_clip(&all, r->cut, UINT64_MAX, &r->behind);
	for (size_t i = 0; i < front.count && !err; i++)
		err = space_add_free(&r->holes, front.v[i].start,
				     front.v[i].len);
	if (!err)
		err = space_index(&r->holes);
	e4df_runs_free(&front);
	e4df_runs_free(&all);
	return err;
}

static errcode_t put(struct trial *r, size_t i, blk64_t start)
{
	const struct piece *p = &r->pieces[i];
	errcode_t err = space_take(&r->holes, start, p->need, p->inode, 0);

	r->is_done[i] = 1;
	return err ? err :
		     target_place(r->t, r->c->b, p->inode, start, p->tree);
}

/* Where its first run is, else close behind the file before it. */
static int find_home(const struct trial *r, const struct piece *p, blk64_t *ret)
{
	const struct batcher *b = r->c->b;
	blk64_t front = layout_is_inline(b) ? p->tree : 0, end;
	const struct e4df_span *n;

	*ret = p->start - front;
	if (p->start >= front &&
	    space_free_part(&r->holes, *ret, p->need) == p->need)
		return 1;
	if (p->before == NOBODY)
		return 0;
	end = layout_end_of(b, p->before);
	n = e4df_spans_ceil(&r->holes.free_at, end);
	if (!n || n->key - end > layout_near(b) || n->len < p->need)
		return 0;
	*ret = n->key;
	return 1;
}

static errcode_t settle_homes(struct trial *r)
{
	errcode_t err = 0;

	for (size_t i = 0; i < r->c->torn_count && !err; i++) {
		blk64_t start;

		if (find_home(r, &r->pieces[i], &start))
			err = put(r, i, start);
	}
	return err;
}

static errcode_t fill_pool(struct trial *r)
{
	errcode_t err = 0;

	for (size_t i = 0; i < r->count && !err; i++)
		if (!r->is_done[i])
			err = e4df_spans_insert(&r->pool, r->pieces[i].need,
						i + 1, 0, 0);
	return err;
}

/* Takes the largest of the pool that fits into a hole. */
static errcode_t put_into(struct trial *r, blk64_t start, blk64_t len,
			  blk64_t *used)
{
	const struct e4df_span *n = e4df_spans_floor(&r->pool, len);
	size_t i;

	*used = 0;
	if (!n)
		return 0;
	i = n->len - 1;
	*used = n->key;
	e4df_spans_erase(&r->pool, n->key, n->len);
	return put(r, i, start);
}

/* First what is as long as its hole; then into the long holes what fits. */
static errcode_t fill_holes(struct trial *r)
{
	const struct e4df_spans *by = &r->holes.free_by;
	const struct e4df_span *n;
	blk64_t len = UINT64_MAX, start = 0, used;
	errcode_t err = 0;

	while ((n = e4df_spans_before(by, len, start)) && !err) {
		len = n->key;
		start = n->len;
		n = e4df_spans_floor(&r->pool, len);
		if (n && n->key == len)
			err = put_into(r, start, len, &used);
	}
	len = UINT64_MAX;
	start = 0;
	while ((n = e4df_spans_before(by, len, start)) && !err) {
		blk64_t at = n->len, end = at + n->key;

		len = n->key;
		start = at;
		do {
			err = put_into(r, at, end - at, &used);
			at += used;
		} while (used && at < end && !err);
	}
	return err;
}

/* What found no hole: the lifted as they lay, behind them the torn. */
static errcode_t pack_behind(struct trial *r)
{
	__u32 *list = malloc((r->count + 1) * sizeof(*list)), n = 0;
	errcode_t err;

	if (!list)
		return ENOMEM;
	for (size_t i = r->count; i > r->c->torn_count; i--)
		if (!r->is_done[i - 1])
			list[n++] = r->pieces[i - 1].inode;
	for (size_t i = 0; i < r->c->torn_count; i++)
		if (!r->is_done[i])
			list[n++] = r->pieces[i].inode;
	err = pack_files(r->t, r->c->b, list, n, &r->behind);
	free(list);
	return err;
}

/* How many blocks two ranges have in common. */
static blk64_t common(blk64_t a, blk64_t a_len, blk64_t b, blk64_t b_len)
{
	blk64_t lo = a > b ? a : b;
	blk64_t hi = a + a_len < b + b_len ? a + a_len : b + b_len;

	return lo < hi ? hi - lo : 0;
}

/*
 * Blocks to write for a slot.  A file that moves by less than its length goes
 * elsewhere first.
 */
static blk64_t price_slot(const struct batcher *b, const struct slot *slot)
{
	const struct file *f = &b->files[slot->inode];
	const struct e4df_extent *v = batcher_layout(b, slot->inode);
	blk64_t at = 0, sum = slot->len;

	for (__u32 i = 0; i < f->data; at += v[i++].len) {
		if (v[i].pblk + slot->from == slot->start + at)
			sum -= common(at, v[i].len, slot->from, slot->len);
		else if (common(v[i].pblk, v[i].len, slot->start, slot->len))
			sum += v[i].len;
	}
	return sum;
}

/* What is to be written, and the free runs, at their price. */
static errcode_t add_up(struct trial *r)
{
	struct e4df_runs used = E4DF_RUNS_INIT;
	errcode_t err = 0;

	r->cost = 0;
	for (size_t i = 0; i < r->t->count && !err; i++) {
		const struct slot *slot = &r->t->v[i];

		if (slot->from != SLOT_TREE)
			r->cost += price_slot(r->c->b, slot);
		if (slot->start >= r->cut)
			err = e4df_runs_push(&used, slot->start, slot->len);
	}
	e4df_runs_sort(&used);
	if (!err)
		err = e4df_runs_update(&r->behind, &used,
				       &(struct e4df_runs)E4DF_RUNS_INIT);
	r->cost += (r->holes.free_at.count + r->behind.count) * r->c->price;
	e4df_runs_free(&used);
	return err;
}

/*
 * Takes up so much from the rear, without files that are larger alone: it is
 * cheaper to leave such a one, and a hole on each side.
 */
static void choose_pieces(struct trial *r, blk64_t limit)
{
	const struct closing *c = r->c;
	blk64_t sum = 0;

	for (size_t i = 0; i < c->torn_count; i++)
		r->pieces[r->count++] = c->torn[i];
	if (c->rear_count)
		r->cut = c->rear->start + c->rear->need;
	for (size_t i = 0; i < c->rear_count && sum < limit; i++) {
		if (c->rear[i].need > limit)
			continue;
		sum += c->rear[i].need;
		r->pieces[r->count++] = c->rear[i];
		r->cut = c->rear[i].start;
	}
}

static errcode_t run_trial(struct trial *r, blk64_t limit)
{
	const struct closing *c = r->c;
	size_t most = c->torn_count + c->rear_count;
	errcode_t err;

	r->pieces = malloc((most + 1) * sizeof(*r->pieces));
	r->is_done = calloc(most + 1, 1);
	err = r->pieces && r->is_done ? target_init(r->t, c->b) : ENOMEM;
	if (!err)
		choose_pieces(r, limit);
	if (!err)
		err = part_room(r);
	if (!err)
		err = settle_homes(r);
	if (!err)
		err = fill_pool(r);
	if (!err)
		err = fill_holes(r);
	if (!err)
		err = pack_behind(r);
	if (!err)
		err = add_up(r);
	space_release(&r->holes);
	e4df_runs_free(&r->behind);
	e4df_spans_free(&r->pool);
	free(r->pieces);
	free(r->is_done);
	return err;
}

/* Takes up a half more each time, and keeps the cheapest. */
static errcode_t try_all(const struct closing *c, struct target *t)
{
	size_t most = c->torn_count + c->rear_count;
	blk64_t best = UINT64_MAX, limit = 0;
	int is_last = 0;
	errcode_t err = 0;

	while (!is_last && !err) {
		struct target other = { .v = NULL };
		struct trial r = { .c = c, .t = &other };

		err = run_trial(&r, limit);
		if (!err && r.cost < best) {
			struct target worse = *t;

			best = r.cost;
			*t = other;
			other = worse;
		}
		target_release(&other);
		is_last = r.cost / WORSE > best || r.count == most ||
			  c->b->policy->is_wanted != NULL;
		limit = limit ? limit + (limit + 1) / 2 : c->price;
	}
	return err;
}

/* No file is torn, and each area has one free run at most. */
static int is_closed(const struct closing *c)
{
	const struct e4df_runs *areas = e4df_map_areas(c->b->map);
	size_t open = 0;

	for (size_t i = 0; i < areas->count; i++)
		open += e4df_runs_is_touched(&c->room, areas->v[i].start,
					     areas->v[i].len) != 0;
	return !c->torn_count && c->room.count <= open;
}

errcode_t close_make(struct target *t, const struct batcher *b,
		     const __u32 *list, __u32 count)
{
	struct closing c = {
		.b = b,
		.price = 1 + (PRICE_BYTES / b->geometry->block_size >> b->bits),
	};
	errcode_t err;

	c.torn = malloc(((size_t)count + 1) * sizeof(*c.torn));
	c.rear = malloc(((size_t)count + 1) * sizeof(*c.rear));
	err = c.torn && c.rear ? sort_out(&c, list, count) : ENOMEM;
	if (!err && !is_closed(&c))
		err = try_all(&c, t);
	target_sort(t);
	e4df_runs_free(&c.room);
	free(c.torn);
	free(c.rear);
	return err;
}
