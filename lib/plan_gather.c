/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "e4df_err.h"

/*
 * A file that becomes whole gives up its mapping blocks, each of which may lie
 * between others' blocks, and so there may be more free runs in the end.  What
 * is small and lies between two free runs goes to a third one, or beside
 * others to free runs that it fills:
 *
 *	before	|aaa..b...ccc.ddd..eef|
 *	after	|aaa......cccbdddee..f|
 *
 * Only whole runs of a file move, so that no file has more of them by it.
 */
#define MOST_PIECES   16	 /* of a group */
#define WINDOW_PIECES 4		 /* where no free run ends the group */
#define WINDOWS	      (1U << 18) /* looked at in a round */
#define SAME_TRIED    8		 /* free runs of one length, for a piece */
#define ROUNDS	      16	 /* of groups of one price */
#define PRICE	      8		 /* blocks of a group, in the beginning */
#define PRICE_STEP    8		 /* times as many, from then on */
#define TIMES	      32	 /* that a plan is gathered */
#define SHARE	      50	 /* of the blocks that are copied anyway */
#define LEAST	      1024	 /* blocks, where that is less */

#define WITH_WINDOWS 0x1

/* Used blocks, all of which are to go elsewhere. */
struct group {
	blk64_t len, start;
};

/* A run of a file, or of one whose mapping blocks alone are in the group. */
struct piece {
	__u32 inode;
	__u32 first;	    /* extent of the run */
	blk64_t start, len; /* len 0: none */
	blk64_t to;
};

struct gather {
	struct batcher *b;
	size_t runs;	      /* free ones there will be, as far as known */
	size_t most;	      /* that there may be */
	blk64_t left;	      /* blocks that may be moved */
	blk64_t price;	      /* of them, for a group */
	struct group *groups; /* (owned) the smallest first */
	size_t count, alloc;
	struct piece piece[MOST_PIECES]; /* of the group in work */
	__u32 pieces;
	__u32 reserved;		  /* pieces that have a place */
	struct e4df_range *holes; /* (owned) reserved for mapping blocks */
	size_t hole_count, hole_alloc;
	size_t kept;	       /* holes of other groups */
	blk64_t hole_blocks;   /* in all */
	struct e4df_runs gone; /* (owned) what the group gives up */
};

static int compare_groups(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return (x->start > y->start) - (x->start < y->start);
}

static errcode_t add_group(struct gather *g, blk64_t start, blk64_t len)
{
	errcode_t err;

	if (len > g->price)
		return 0;
	err = e4df_grow(&g->groups, &g->alloc, g->count + 1,
			sizeof(*g->groups));
	if (!err)
		g->groups[g->count++] = (struct group){ len, start };
	return err;
}

/* What lies between two free runs of one area. */
static errcode_t list_gaps(struct gather *g)
{
	const struct space *space = &g->b->space;
	const struct e4df_runs *areas = e4df_map_areas(g->b->map);
	const struct e4df_span *n = e4df_spans_ceil(&space->free_at, 0);
	blk64_t end = 0, last = 0;
	errcode_t err = 0;

	for (; n && !err; n = e4df_spans_next(&space->free_at, n)) {
		if (n->key >= end) {
			size_t i = e4df_runs_find(areas, n->key);

			end = areas->v[i].start + areas->v[i].len;
		} else {
			err = add_group(g, last, n->key - last);
		}
		last = n->key + n->len;
	}
	return err;
}

/* The run of a file that begins there, if it may move and has not yet. */
static int find_piece(const struct gather *g, blk64_t at, struct piece *ret)
{
	const struct batcher *b = g->b;
	const struct e4df_span *n = space_owner(&b->space, at);
	const struct e4df_extent *v;
	const struct file *f;
	__u32 i;

	if (!n || n->key != at || n->owner >= OWNER_FILES)
		return 0;
	f = &b->files[n->owner];
	*ret = (struct piece){ .inode = n->owner };
	if (f->dirty)
		return 0;
	if (n->lblk == LBLK_TREE)
		return 1;
	v = batcher_layout(b, n->owner);
	i = dense_extent(v, f->data, n->lblk);
	if (i && v[i - 1].pblk + v[i - 1].len == at)
		return 0;
	ret->first = i;
	ret->start = at;
	do
		ret->len += v[i++].len;
	while (i < f->data && v[i].pblk == v[i - 1].pblk + v[i - 1].len);
	return ret->len <= e4df_spans_longest(&b->space.free_at);
}

static blk64_t end_of(const struct piece *p, blk64_t at)
{
	return at + (p->len ? p->len : 1);
}

/* A few runs side by side, wherever they are. */
static errcode_t list_windows(struct gather *g)
{
	const struct e4df_spans *used = &g->b->space.used;
	const struct e4df_span *n = e4df_spans_ceil(used, 0);
	__u32 seen = 0;
	errcode_t err = 0;

	for (; n && seen < WINDOWS && !err; n = e4df_spans_next(used, n)) {
		blk64_t at = n->key;
		struct piece p;

		for (int k = 0; k < WINDOW_PIECES && !err; k++, seen++) {
			if (!find_piece(g, at, &p))
				break;
			at = end_of(&p, at);
			if (at - n->key > g->price)
				break;
			err = add_group(g, n->key, at - n->key);
		}
	}
	return err;
}

static struct piece *find_inode(struct gather *g, __u32 inode)
{
	for (__u32 i = 0; i < g->pieces; i++)
		if (g->piece[i].inode == inode)
			return &g->piece[i];
	return NULL;
}

/* Is the group made of pieces, no two of one file? */
static int take_apart(struct gather *g, const struct group *group)
{
	blk64_t at = group->start, end = at + group->len;

	g->pieces = 0;
	while (at < end) {
		struct piece p, *same;

		if (!find_piece(g, at, &p))
			return 0;
		at = end_of(&p, at);
		same = find_inode(g, p.inode);
		if (same && same->len && p.len)
			return 0;
		if (same && p.len)
			*same = p;
		else if (!same && g->pieces < MOST_PIECES)
			g->piece[g->pieces++] = p;
		else if (!same)
			return 0;
	}
	return at == end;
}

/* Is the block free behind the open batch? */
static int is_free_then(const struct batcher *b, blk64_t blk)
{
	const struct e4df_span *n = space_owner(&b->space, blk);

	if (!n)
		return space_free_part(&b->space, blk, 1) > 0;
	return n->owner == OWNER_PENDING ||
	       (n->owner < OWNER_FILES && n->lblk == LBLK_TREE &&
		b->files[n->owner].dirty);
}

/* At how many of its ends a range touches what is free then. */
static int count_links(const struct batcher *b, blk64_t start, blk64_t len)
{
	return (start && is_free_then(b, start - 1) ? 1 : 0) +
	       is_free_then(b, start + len);
}

/*
 * The tightest free run; of several one that does not touch the group.  One
 * that does is filled from the other end, so that the group joins the rest.
 */
static int find_place(const struct gather *g, const struct group *group,
		      blk64_t len, int is_front, blk64_t *ret)
{
	const struct e4df_spans *by = &g->b->space.free_by;
	const struct e4df_span *n = e4df_spans_ceil(by, len), *best = n;
	blk64_t end = group->start + group->len;

	for (int i = 0; n && n->key == best->key && i < SAME_TRIED; i++) {
		if (n->len + n->key != group->start && n->len != end) {
			best = n;
			break;
		}
		n = e4df_spans_after(by, n->key, n->len);
	}
	if (!best)
		return 0;
	*ret = best->len;
	if (best->len >= end && !is_front)
		*ret += best->key - len;
	return 1;
}

/* Reserves what is free; *gain is how many free runs less there are then. */
static errcode_t reserve_range(struct gather *g, blk64_t start, blk64_t len,
			       int *gain)
{
	*gain += 1 - count_links(g->b, start, len);
	return space_take(&g->b->space, start, len, OWNER_RESERVED, 0);
}

static errcode_t add_hole(struct gather *g, blk64_t start, blk64_t len)
{
	errcode_t err = e4df_grow(&g->holes, &g->hole_alloc, g->hole_count + 1,
				  sizeof(*g->holes));

	if (err)
		return err;
	g->holes[g->hole_count++] = (struct e4df_range){ start, len };
	g->hole_blocks += len;
	return 0;
}

/* As build_batch will find it. */
static errcode_t reserve_tree(struct gather *g, const struct piece *p,
			      int *gain, int *is_found)
{
	const struct batcher *b = g->b;
	const struct file *f = &b->files[p->inode];
	const struct e4df_extent *v = batcher_layout(b, p->inode);
	int is_first = p->len && !p->first;
	blk64_t goal = (is_first ? p->to : v[0].pblk) + v[0].len, start;
	errcode_t err;

	*is_found = space_find_near(&b->space, goal, f->tree, &start);
	if (!*is_found)
		return 0;
	err = reserve_range(g, start, f->tree, gain);
	if (!err)
		err = add_hole(g, start, f->tree);
	for (__u32 i = 0; i < f->tree && !err; i++)
		err = e4df_runs_push(&g->gone, v[f->data + i].pblk, 1);
	return err;
}

/* Data must leave the blocks that are promised to mapping blocks. */
static int is_spare(const struct gather *g, blk64_t len)
{
	const struct batcher *b = g->b;

	return b->space.free_blocks + g->hole_blocks >= b->promised + len;
}

/* A whole file's mapping blocks follow it. */
static errcode_t reserve_piece(struct gather *g, const struct group *group,
			       struct piece *p, int *gain, int *is_found)
{
	const struct file *f = &g->b->files[p->inode];
	int has_tree = f->tree && p->len == f->blocks;
	errcode_t err = 0;

	*is_found = 1;
	if (p->len) {
		*is_found = is_spare(g, p->len) &&
			    find_place(g, group,
				       p->len + (has_tree ? f->tree : 0U),
				       has_tree, &p->to);
		if (!*is_found)
			return 0;
		err = reserve_range(g, p->to, p->len, gain);
		if (!err)
			err = e4df_runs_push(&g->gone, p->start, p->len);
	}
	g->reserved++;
	return err || !f->tree ? err : reserve_tree(g, p, gain, is_found);
}

/*
 * Places for all pieces, in which nobody is.  *is_good: there are, and there
 * will be less free runs by it; that is counted at the ends of what is taken
 * and of what is given up, one after the other.
 */
static errcode_t reserve(struct gather *g, const struct group *group, int *gain,
			 int *is_good)
{
	int is_found = 1;
	errcode_t err = 0;

	*gain = 0;
	g->reserved = 0;
	g->kept = g->hole_count;
	g->gone.count = 0;
	for (__u32 i = 0; i < g->pieces && is_found && !err; i++)
		err = reserve_piece(g, group, &g->piece[i], gain, &is_found);
	e4df_runs_sort(&g->gone);
	for (size_t i = 0; i < g->gone.count; i++)
		*gain += count_links(g->b, g->gone.v[i].start,
				     g->gone.v[i].len) -
			 1;
	*is_good = is_found && *gain > 0;
	return err;
}

static errcode_t drop_holes(struct gather *g, size_t kept)
{
	errcode_t err = 0;

	while (g->hole_count > kept && !err) {
		const struct e4df_range *r = &g->holes[--g->hole_count];

		g->hole_blocks -= r->len;
		err = space_give(&g->b->space, r->start, r->len);
	}
	return err;
}

/* From the piece `from` on. */
static errcode_t unreserve(struct gather *g, __u32 from)
{
	errcode_t err = 0;

	for (__u32 i = from; i < g->reserved && !err; i++)
		if (g->piece[i].len)
			err = space_give(&g->b->space, g->piece[i].to,
					 g->piece[i].len);
	return err;
}

/* The holes are free when mapping blocks are to come there. */
static errcode_t close_batch(struct gather *g)
{
	errcode_t err = drop_holes(g, 0);

	return err ? err : batcher_close(g->b);
}

/* Is there room in this batch, or in a new one? */
static errcode_t make_room(struct gather *g, const struct piece *p,
			   blk64_t need, int *has_room)
{
	struct batcher *b = g->b;
	errcode_t err = 0;

	*has_room = batcher_has_room(b, p->inode, p->len, need, 1);
	if (!*has_room) {
		err = close_batch(g);
		*has_room = !err &&
			    batcher_has_room(b, p->inode, p->len, need, 1);
	}
	return err;
}

/* Extent by extent, to what is reserved for it. */
static errcode_t move_piece(struct gather *g, const struct piece *p)
{
	struct batcher *b = g->b;
	blk64_t done = 0;
	errcode_t err = p->len ? 0 : batcher_rebuild_tree(b, p->inode);

	for (__u32 i = p->first; done < p->len && !err; i++) {
		struct e4df_extent old = batcher_layout(b, p->inode)[i];

		err = batcher_move(b, p->inode, &old, p->to + done, 0);
		done += old.len;
	}
	return err;
}

static errcode_t move_group(struct gather *g)
{
	int has_room = 1;
	__u32 i = 0;
	errcode_t err = 0;

	while (i < g->pieces && !err) {
		err = make_room(g, &g->piece[i], 0, &has_room);
		if (err || !has_room)
			break;
		err = move_piece(g, &g->piece[i++]);
	}
	return err ? err : unreserve(g, i);
}

/* Moves a group if there are less free runs by it. */
static errcode_t try_group(struct gather *g, const struct group *group)
{
	int gain, is_good, has_room = 1;
	errcode_t err;

	if (!take_apart(g, group))
		return 0;
	err = reserve(g, group, &gain, &is_good);
	if (!err)
		err = unreserve(g, 0);
	if (!err)
		err = drop_holes(g, g->kept);
	for (__u32 i = 0; i < g->pieces && is_good && has_room && !err; i++)
		err = make_room(g, &g->piece[i], g->piece[i].len, &has_room);
	if (err || !is_good || !has_room)
		return err;
	/* once more, as a batch may have been closed */
	err = reserve(g, group, &gain, &is_good);
	if (!err && is_good) {
		g->runs -= (size_t)gain;
		g->left -= group->len;
		return move_group(g);
	}
	if (!err)
		err = unreserve(g, 0);
	return err ? err : drop_holes(g, g->kept);
}

/* All groups, the smallest first; what each will have done is known behind. */
static errcode_t run_round(struct gather *g, unsigned int flags)
{
	const volatile sig_atomic_t *cancel = g->b->policy->cancel;
	errcode_t err;

	g->count = 0;
	err = list_gaps(g);
	if (!err && flags & WITH_WINDOWS)
		err = list_windows(g);
	if (!err && g->count)
		qsort(g->groups, g->count, sizeof(*g->groups), compare_groups);
	for (size_t i = 0; i < g->count && g->runs > g->most && !err; i++) {
		if (cancel && *cancel)
			err = E4DF_ET_CANCELLED;
		else if (g->groups[i].len <= g->left)
			err = try_group(g, &g->groups[i]);
	}
	if (!err)
		err = close_batch(g);
	g->runs = g->b->space.free_at.count;
	return err;
}

/* Rounds of one kind, while there are less free runs each time. */
static errcode_t run_rounds(struct gather *g, unsigned int flags)
{
	size_t before = SIZE_MAX;
	errcode_t err = 0;

	for (int n = 0; n < ROUNDS && g->runs < before && !err; n++) {
		before = g->runs;
		if (g->runs > g->most)
			err = run_round(g, flags);
	}
	return err;
}

/* Moves up to *blocks; that becomes what is left of them.  Cheap ones first. */
static errcode_t run(struct batcher *b, size_t most, blk64_t *blocks)
{
	struct gather g = {
		.b = b,
		.runs = b->space.free_at.count,
		.most = most,
		.left = *blocks,
	};
	errcode_t err = space_index(&b->space);

	for (g.price = PRICE; g.price <= g.left * PRICE_STEP && !err;
	     g.price *= PRICE_STEP) {
		err = run_rounds(&g, 0);
		if (!err)
			err = run_rounds(&g, WITH_WINDOWS);
	}
	*blocks = g.left;
	free(g.groups);
	free(g.holes);
	e4df_runs_free(&g.gone);
	return err;
}

static blk64_t rest_of(blk64_t most, blk64_t spent)
{
	return most > spent ? most - spent : 0;
}

/* Blocks that may be moved now. */
static blk64_t find_limit(const struct e4df_plan *plan,
			  const struct e4df_policy *policy, blk64_t spent)
{
	blk64_t copied = e4df_plan_copy_blocks(plan);
	blk64_t share = copied / SHARE, left;

	left = rest_of(share < LEAST ? LEAST : share, spent);
	if (policy->max_blocks && rest_of(policy->max_blocks, copied) < left)
		left = rest_of(policy->max_blocks, copied);
	return left;
}

/*
 * Where there are not too many free runs nothing is done, and so a plan that
 * keeps to that anyway stays as it is.  Nor does it begin anew where nothing
 * has changed, and as each time that it counts there are fewer free runs, and
 * in between fewer excess runs, there is an end even without TIMES.
 */
errcode_t gather_pass(struct e4df_plan *plan, struct e4df_map *map,
		      const struct e4df_policy *policy,
		      struct gathered *gathered, int *is_over)
{
	size_t runs = e4df_map_free_blocks(map)->count;
	blk64_t left = find_limit(plan, policy, gathered->blocks), before;
	struct batcher b;
	errcode_t err;

	*is_over = policy->goal != E4DF_DEFRAG || runs <= gathered->most ||
		   gathered->times == TIMES || !left ||
		   e4df_plan_count(plan) == gathered->batches;
	if (*is_over)
		return 0;
	err = batcher_init(&b, map, policy);
	before = left >>= b.bits;
	if (!err)
		err = run(&b, gathered->most, &left);
	*is_over = !b.batch_count || b.space.free_at.count >= runs;
	gathered->times++;
	if (!err && !*is_over) {
		gathered->blocks += (before - left) << b.bits;
		err = plan_keep(plan, &b, map);
	}
	gathered->batches = e4df_plan_count(plan);
	batcher_release(&b);
	return err;
}
