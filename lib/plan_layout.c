/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "spans.h"

#define NEAR_BYTES   (128 << 10) /* a reader's window: no seek within it */
#define ORDERLY	     90		 /* percent of the files behind the last one */
#define LONG_BYTES   (1 << 20)	 /* of a free run */
#define LONG_PERCENT 95		 /* of the free blocks in such runs */
#define WASTE_SHARE  200	 /* of all blocks: holes that compact leaves */

static int is_movable(const struct batcher *b, __u32 inode)
{
	return e4df_map_inode(b->map, inode)->why == E4DF_MOVABLE &&
	       b->files[inode].blocks;
}

/* Movable files: those of policy->order, then the others. */
static errcode_t list_sequence(const struct batcher *b, __u32 **ret,
			       __u32 *ret_count)
{
	__u32 count = e4df_map_count(b->map), n = 0;
	__u32 *list = malloc(((size_t)count + 1) * sizeof(*list));
	unsigned char *is_in = calloc((size_t)count + 1, 1);

	if (!list || !is_in) {
		free(list);
		free(is_in);
		return ENOMEM;
	}
	for (__u32 i = 0; i < b->policy->order_count; i++) {
		__u32 inode = b->policy->order[i];

		if (is_movable(b, inode) && !is_in[inode]) {
			list[n++] = inode;
			is_in[inode] = 1;
		}
	}
	for (__u32 i = 0; i < count; i++)
		if (is_movable(b, i) && !is_in[i])
			list[n++] = i;
	free(is_in);
	*ret = list;
	*ret_count = n;
	return 0;
}

/* The part of the areas in [from, to). */
static errcode_t clip_areas(const struct batcher *b, blk64_t from, blk64_t to,
			    struct e4df_runs *ranges)
{
	const struct e4df_runs *areas = e4df_map_areas(b->map);
	errcode_t err = 0;

	for (size_t i = 0; i < areas->count && !err; i++) {
		blk64_t start = areas->v[i].start;
		blk64_t end = start + areas->v[i].len;

		if (start < from)
			start = from;
		if (end > to)
			end = to;
		if (start < end)
			err = e4df_runs_push(ranges, start, end - start);
	}
	return err;
}

/* The listed files together, from the wanted block on, else before it. */
static errcode_t make_order(struct target *t, const struct batcher *b)
{
	blk64_t at = b->policy->order_at;
	struct e4df_runs ranges = E4DF_RUNS_INIT;
	__u32 *list, count, n = 0;
	errcode_t err = list_sequence(b, &list, &count);

	if (err)
		return err;
	for (__u32 i = 0; i < b->policy->order_listed; i++)
		n += is_movable(b, b->policy->order[i]) ? 1 : 0;
	if (n > count)
		n = count;
	err = clip_areas(b, at, UINT64_MAX, &ranges);
	if (!err)
		err = clip_areas(b, 0, at, &ranges);
	if (!err)
		err = pack_files(t, b, list, n, &ranges);
	e4df_runs_free(&ranges);
	free(list);
	return err;
}

/* The flex group that an inode belongs to. */
static blk64_t flex_of(const struct batcher *b, __u32 inode)
{
	const struct e4df_geometry *g = b->geometry;

	return (e4df_map_inode(b->map, inode)->ino - 1) / g->inodes_per_group /
	       g->groups_per_flex;
}

/* Where a flex group's directories can begin: its first area that has room. */
static const struct e4df_range *find_front(const struct batcher *b,
					   blk64_t flex, blk64_t need)
{
	const struct e4df_runs *areas = e4df_map_areas(b->map);
	const struct e4df_geometry *g = b->geometry;
	blk64_t size = (blk64_t)g->blocks_per_group * g->groups_per_flex;
	blk64_t start = g->first_block + flex * size;

	for (size_t i = e4df_runs_find(areas, start);
	     i < areas->count && areas->v[i].start < start + size; i++)
		if (areas->v[i].start >= start && areas->v[i].len >= need)
			return &areas->v[i];
	return NULL;
}

/* Directories of one flex group, one behind the other; the rest of list. */
static errcode_t place_group(struct target *t, const struct batcher *b,
			     const __u32 *dirs, __u32 count,
			     struct e4df_runs *taken)
{
	const struct e4df_range *front;
	blk64_t need = 0, at;
	__u32 tree;
	errcode_t err = 0;

	for (__u32 i = 0; i < count && !err; i++) {
		err = pack_tree(b, dirs[i], &tree);
		need += b->files[dirs[i]].blocks + (blk64_t)tree;
	}
	front = find_front(b, flex_of(b, dirs[0]), need);
	if (err || !front)
		return err;
	at = front->start;
	for (__u32 i = 0; i < count && !err; i++) {
		err = pack_tree(b, dirs[i], &tree);
		if (!err)
			err = target_place(t, b, dirs[i], at, tree);
		at += b->files[dirs[i]].blocks + (blk64_t)tree;
	}
	return err ? err : e4df_runs_push(taken, front->start, need);
}

/* For sorting: what by, and then the order that there was. */
struct keyed {
	blk64_t key;
	__u32 rank, inode;
};

static int compare_keyed(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->rank > y->rank) - (x->rank < y->rank);
}

int layout_is_directory(const struct batcher *b, __u32 inode)
{
	return e4df_map_inode(b->map, inode)->kind == E4DF_DIRECTORY;
}

/* Directories to the front of their flex groups, in the sequence's order. */
static errcode_t place_directories(struct target *t, const struct batcher *b,
				   const __u32 *list, __u32 count,
				   struct e4df_runs *taken)
{
	struct keyed *dirs = malloc(((size_t)count + 1) * sizeof(*dirs));
	__u32 *group = malloc(((size_t)count + 1) * sizeof(*group));
	__u32 n = 0, i = 0;
	errcode_t err = dirs && group ? 0 : ENOMEM;

	for (__u32 k = 0; k < count && !err; k++)
		if (layout_is_directory(b, list[k]))
			dirs[n++] = (struct keyed){
				flex_of(b, list[k]),
				k,
				list[k],
			};
	if (!err)
		qsort(dirs, n, sizeof(*dirs), compare_keyed);
	while (i < n && !err) {
		blk64_t flex = dirs[i].key;
		__u32 size = 0;

		for (; i < n && dirs[i].key == flex; i++)
			group[size++] = dirs[i].inode;
		err = place_group(t, b, group, size, taken);
	}
	e4df_runs_sort(taken);
	free(dirs);
	free(group);
	return err;
}

/* All files, directories first, the others in the sequence. */
static errcode_t make_optimal(struct target *t, const struct batcher *b)
{
	struct e4df_runs taken = E4DF_RUNS_INIT, rest = E4DF_RUNS_INIT;
	__u32 *list, count, n = 0;
	errcode_t err = list_sequence(b, &list, &count);

	if (err)
		return err;
	err = place_directories(t, b, list, count, &taken);
	if (!err)
		err = clip_areas(b, 0, UINT64_MAX, &rest);
	if (!err)
		err = e4df_runs_update(&rest, &taken,
				       &(struct e4df_runs)E4DF_RUNS_INIT);
	for (__u32 i = 0; i < count; i++)
		if (!t->first[list[i]])
			list[n++] = list[i];
	if (!err)
		err = pack_files(t, b, list, n, &rest);
	e4df_runs_free(&taken);
	e4df_runs_free(&rest);
	free(list);
	return err;
}

/* Where the areas' first `blocks` blocks end. */
static blk64_t find_end(const struct batcher *b, blk64_t blocks)
{
	const struct e4df_runs *areas = e4df_map_areas(b->map);

	for (size_t i = 0; i < areas->count; i++) {
		if (areas->v[i].len >= blocks)
			return areas->v[i].start + blocks;
		blocks -= areas->v[i].len;
	}
	return UINT64_MAX;
}

/* Is the file whole, and all of it before `end`? */
static int is_kept(const struct batcher *b, __u32 inode, blk64_t end)
{
	const struct file *f = &b->files[inode];
	const struct e4df_extent *v = batcher_layout(b, inode);

	if (!batcher_is_ideal(b, inode))
		return 0;
	for (__u32 i = 0; i < f->data + f->tree; i++)
		if (v[i].pblk + v[i].len > end)
			return 0;
	return 1;
}

/* What compact works with. */
struct compaction {
	const struct batcher *b;
	struct target *t;
	struct keyed *moving; /* (owned) largest first */
	__u32 moving_count;
	struct e4df_spans holes; /* by length, as struct space has them */
	blk64_t total, left;	 /* blocks of all, and of what found no hole */
};

static errcode_t list_moving(struct compaction *c, const __u32 *list,
			     __u32 count, blk64_t end, struct e4df_runs *kept)
{
	const struct batcher *b = c->b;
	errcode_t err = 0;

	for (__u32 i = 0; i < count && !err; i++) {
		const struct file *f = &b->files[list[i]];
		const struct e4df_extent *v = batcher_layout(b, list[i]);

		if (!is_kept(b, list[i], end)) {
			c->moving[c->moving_count++] = (struct keyed){
				UINT32_MAX - f->blocks,
				list[i],
				list[i],
			};
			continue;
		}
		for (__u32 k = 0; k < f->data + f->tree && !err; k++)
			err = e4df_runs_push(kept, v[k].pblk, v[k].len);
	}
	e4df_runs_sort(kept);
	if (c->moving_count)
		qsort(c->moving, c->moving_count, sizeof(*c->moving),
		      compare_keyed);
	return err;
}

static errcode_t list_holes(struct compaction *c, blk64_t end,
			    const struct e4df_runs *kept)
{
	struct e4df_runs front = E4DF_RUNS_INIT;
	errcode_t err = clip_areas(c->b, 0, end, &front);

	if (!err)
		err = e4df_runs_update(&front, kept,
				       &(struct e4df_runs)E4DF_RUNS_INIT);
	for (size_t i = 0; i < front.count && !err; i++)
		err = e4df_spans_insert(&c->holes, front.v[i].len,
					front.v[i].start, 0, 0);
	e4df_runs_free(&front);
	return err;
}

/* Each to the tightest hole, the largest first. */
static errcode_t fill_holes(struct compaction *c)
{
	__u32 left = 0;
	errcode_t err = 0;

	for (__u32 i = 0; i < c->moving_count && !err; i++) {
		__u32 inode = c->moving[i].inode, tree;
		const struct e4df_span *n;
		struct e4df_span hole;
		blk64_t need;

		err = pack_tree(c->b, inode, &tree);
		need = c->b->files[inode].blocks + (blk64_t)tree;
		n = e4df_spans_ceil(&c->holes, need);
		if (err || !n || c->b->files[inode].ideal > 1) {
			c->moving[left++] = c->moving[i];
			c->left += need;
			continue;
		}
		hole = *n;
		e4df_spans_erase(&c->holes, hole.key, hole.len);
		err = target_place(c->t, c->b, inode, hole.len, tree);
		if (!err && hole.key > need)
			err = e4df_spans_insert(&c->holes, hole.key - need,
						hole.len + need, 0, 0);
	}
	c->moving_count = left;
	return err;
}

/* What found no hole comes behind all that did. */
static errcode_t put_behind(struct compaction *c, blk64_t end)
{
	struct e4df_runs rear = E4DF_RUNS_INIT;
	__u32 *list = malloc(((size_t)c->moving_count + 1) * sizeof(*list));
	errcode_t err = list ? clip_areas(c->b, end, UINT64_MAX, &rear) :
			       ENOMEM;

	for (__u32 i = 0; i < c->moving_count && !err; i++)
		list[i] = c->moving[i].inode;
	if (!err)
		err = pack_files(c->t, c->b, list, c->moving_count, &rear);
	e4df_runs_free(&rear);
	free(list);
	return err;
}

/* All files in the order of their present places, without a hole. */
static errcode_t pack_all(struct target *t, const struct batcher *b,
			  const __u32 *list, __u32 count)
{
	const struct e4df_runs *areas = e4df_map_areas(b->map);
	struct keyed *v = malloc(((size_t)count + 1) * sizeof(*v));
	__u32 *order = malloc(((size_t)count + 1) * sizeof(*order));
	errcode_t err = v && order ? 0 : ENOMEM;

	for (__u32 i = 0; i < count && !err; i++)
		v[i] = (struct keyed){
			batcher_layout(b, list[i])->pblk,
			list[i],
			list[i],
		};
	if (!err)
		qsort(v, count, sizeof(*v), compare_keyed);
	for (__u32 i = 0; i < count && !err; i++)
		order[i] = v[i].inode;
	if (!err)
		err = pack_files(t, b, order, count, areas);
	free(v);
	free(order);
	return err;
}

/*
 * Files that are whole and in front stay, and what is behind, or in pieces,
 * fills the holes between them.  If too much finds no hole, all files close
 * up.
 */
static errcode_t make_compact(struct target *t, const struct batcher *b)
{
	struct compaction c = { .b = b, .t = t };
	struct e4df_runs kept = E4DF_RUNS_INIT;
	__u32 *list, count;
	blk64_t end = 0;
	errcode_t err = list_sequence(b, &list, &count);

	if (err)
		return err;
	c.moving = malloc(((size_t)count + 1) * sizeof(*c.moving));
	if (!c.moving)
		err = ENOMEM;
	for (__u32 i = 0; i < count && !err; i++) {
		__u32 tree;

		err = pack_tree(b, list[i], &tree);
		c.total += b->files[list[i]].blocks + (blk64_t)tree;
	}
	end = find_end(b, c.total);
	if (!err)
		err = list_moving(&c, list, count, end, &kept);
	if (!err)
		err = list_holes(&c, end, &kept);
	if (!err)
		err = fill_holes(&c);
	if (!err && c.left <= c.total / WASTE_SHARE) {
		err = put_behind(&c, end);
	} else if (!err) {
		target_release(t);
		err = target_init(t, b);
		if (!err)
			err = pack_all(t, b, list, count);
	}
	e4df_spans_free(&c.holes);
	e4df_runs_free(&kept);
	free(c.moving);
	free(list);
	return err;
}

/* All files in the sequence, of which most are in place. */
static errcode_t make_closed(struct target *t, const struct batcher *b)
{
	__u32 *list, count;
	errcode_t err = list_sequence(b, &list, &count);

	if (err)
		return err;
	err = close_make(t, b, list, count);
	free(list);
	return err;
}

errcode_t layout_make(struct target *t, const struct batcher *b,
		      unsigned int flags)
{
	if (flags & LAYOUT_ORDER)
		return make_order(t, b);
	if (flags & LAYOUT_CLOSE)
		return make_closed(t, b);
	switch (b->policy->goal) {
	case E4DF_OPTIMIZE:
		return make_optimal(t, b);
	case E4DF_COMPACT:
		return make_compact(t, b);
	case E4DF_DEFRAG:
		break;
	}
	return whole_make(t, b);
}

blk64_t layout_near(const struct batcher *b)
{
	return NEAR_BYTES / b->geometry->block_size >> b->bits;
}

blk64_t layout_end_of(const struct batcher *b, __u32 inode)
{
	const struct e4df_extent *last =
		&batcher_layout(b, inode)[b->files[inode].data - 1];

	return last->pblk + last->len;
}

/* Does the file begin where a reader is behind the one before? */
static int is_behind(const struct batcher *b, __u32 last, __u32 next)
{
	const struct e4df_runs *fixed = e4df_map_fixed(b->map);
	blk64_t near = layout_near(b), end = layout_end_of(b, last);
	blk64_t start = batcher_layout(b, next)->pblk;
	size_t i;

	if (start < end)
		return 0;
	/* what is fixed between them nobody can avoid */
	for (i = e4df_runs_find(fixed, end);
	     i < fixed->count && fixed->v[i].start < start; i++) {
		if (fixed->v[i].start - end > near)
			return 0;
		end = fixed->v[i].start + fixed->v[i].len;
	}
	return start <= end || start - end <= near;
}

errcode_t layout_measure(const struct batcher *b, struct layout_figures *ret)
{
	blk64_t run = LONG_BYTES / b->geometry->block_size >> b->bits;
	__u32 *list, count, last = UINT32_MAX;
	const struct e4df_span *n;
	errcode_t err = list_sequence(b, &list, &count);

	if (err)
		return err;
	*ret = (struct layout_figures){ .free_runs = b->space.free_at.count };
	for (__u32 i = 0; i < count; i++) {
		const struct file *f = &b->files[list[i]];
		const struct e4df_extent *v = batcher_layout(b, list[i]);
		__u32 runs = e4df_extents_runs(v, f->data);

		for (__u32 k = 0; k < f->data + f->tree; k++)
			if (v[k].pblk + v[k].len > ret->end)
				ret->end = v[k].pblk + v[k].len;
		ret->excess += runs > f->ideal ? runs - f->ideal : 0;
		if (layout_is_directory(b, list[i]))
			continue;
		ret->files++;
		ret->jumps += last != UINT32_MAX &&
			      !is_behind(b, last, list[i]);
		last = list[i];
	}
	for (n = e4df_spans_ceil(&b->space.free_at, 0); n;
	     n = e4df_spans_next(&b->space.free_at, n))
		ret->long_free += n->len >= run ? n->len : 0;
	free(list);
	return 0;
}

int layout_is_orderly(const struct layout_figures *f)
{
	return f->jumps * 100 <= f->files * (100 - ORDERLY);
}

int layout_is_gathered(const struct batcher *b, const struct layout_figures *f)
{
	return f->long_free * 100 >= b->space.free_blocks * LONG_PERCENT ||
	       f->free_runs <= e4df_map_areas(b->map)->count;
}

int layout_is_better(const struct batcher *b, const struct layout_figures *a,
		     const struct layout_figures *before)
{
	if (a->excess > before->excess)
		return 0;
	if (b->policy->goal == E4DF_DEFRAG)
		return a->excess < before->excess;
	if (b->policy->goal == E4DF_COMPACT)
		return a->end < before->end ||
		       (a->end == before->end &&
			a->excess + a->free_runs <
				before->excess + before->free_runs);
	if (!layout_is_orderly(before))
		return a->jumps + a->excess + a->free_runs <
		       before->jumps + before->excess + before->free_runs;
	if (a->excess + a->free_runs != before->excess + before->free_runs)
		return layout_is_orderly(a) &&
		       a->excess + a->free_runs <
			       before->excess + before->free_runs;
	return a->jumps < before->jumps;
}
