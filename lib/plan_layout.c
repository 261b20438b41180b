/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "spans.h"

#define NEAR_BYTES   (128 << 10) /* a reader's window: no seek within it */
#define ORDERLY	     90		 /* percent of the files, or gaps, in order */
#define LONG_BYTES   (1 << 20)	 /* of a free run */
#define LONG_PERCENT 95		 /* of the free blocks in such runs */

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

/* The listed files together, from the wanted block on, else before it. */
static errcode_t make_order(struct target *t, const struct batcher *b)
{
	const struct e4df_runs *areas = e4df_map_areas(b->map);
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
	err = e4df_runs_clip(areas, at, UINT64_MAX, &ranges);
	if (!err)
		err = e4df_runs_clip(areas, 0, at, &ranges);
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

int layout_compare(const void *a, const void *b)
{
	const struct layout_keyed *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->rank > y->rank) - (x->rank < y->rank);
}

static int is_directory(const struct batcher *b, __u32 inode)
{
	return e4df_map_inode(b->map, inode)->kind == E4DF_DIRECTORY;
}

int layout_is_inline(const struct batcher *b)
{
	return (b->policy->flags & E4DF_POLICY_INLINE) != 0;
}

int layout_is_apart(const struct batcher *b, __u32 inode)
{
	return is_directory(b, inode) && !layout_is_inline(b);
}

/* Directories to the front of their flex groups, in the sequence's order. */
static errcode_t place_directories(struct target *t, const struct batcher *b,
				   const __u32 *list, __u32 count,
				   struct e4df_runs *taken)
{
	struct layout_keyed *dirs = malloc(((size_t)count + 1) * sizeof(*dirs));
	__u32 *group = malloc(((size_t)count + 1) * sizeof(*group));
	__u32 n = 0, i = 0;
	errcode_t err = dirs && group ? 0 : ENOMEM;

	for (__u32 k = 0; k < count && !err; k++)
		if (layout_is_apart(b, list[k]))
			dirs[n++] = (struct layout_keyed){
				flex_of(b, list[k]),
				k,
				list[k],
			};
	if (!err)
		qsort(dirs, n, sizeof(*dirs), layout_compare);
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

/* All files, directories that are apart first, the others in the sequence. */
static errcode_t make_optimal(struct target *t, const struct batcher *b)
{
	struct e4df_runs taken = E4DF_RUNS_INIT, rest = E4DF_RUNS_INIT;
	__u32 *list, count, n = 0;
	errcode_t err = list_sequence(b, &list, &count);

	if (err)
		return err;
	err = place_directories(t, b, list, count, &taken);
	if (!err)
		err = e4df_runs_copy(e4df_map_areas(b->map), &rest);
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

/* All files, by what knows how. */
static errcode_t make_with(struct target *t, const struct batcher *b,
			   errcode_t (*make)(struct target *,
					     const struct batcher *,
					     const __u32 *, __u32))
{
	__u32 *list, count;
	errcode_t err = list_sequence(b, &list, &count);

	if (err)
		return err;
	err = make(t, b, list, count);
	free(list);
	return err;
}

errcode_t layout_make(struct target *t, const struct batcher *b,
		      unsigned int flags)
{
	if (flags & LAYOUT_ORDER)
		return make_order(t, b);
	if (flags & LAYOUT_CLOSE)
		return make_with(t, b, close_make);
	switch (b->policy->goal) {
	case E4DF_OPTIMIZE:
		return make_optimal(t, b);
	case E4DF_COMPACT:
		return make_with(t, b, compact_make);
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

/*
 * Where directories come between two files of the sequence, do they lie there?
 * This tells one way to lay them out from the other, as in the other one none
 * of them does.
 */
static void measure_gaps(const struct batcher *b, const __u32 *list,
			 __u32 count, struct layout_figures *f)
{
	int has_file = 0, has_dirs = 0, is_close = 1;

	for (__u32 i = 0; i < count; i++) {
		int is_dir = is_directory(b, list[i]);

		if (i && (is_dir || has_dirs))
			is_close &= is_behind(b, list[i - 1], list[i]);
		has_dirs |= is_dir;
		if (is_dir)
			continue;
		if (has_file && has_dirs) {
			f->gaps++;
			f->strays += is_close != layout_is_inline(b);
		}
		has_file = 1;
		has_dirs = 0;
		is_close = 1;
	}
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
		if (layout_is_apart(b, list[i]))
			continue;
		ret->files++;
		ret->jumps += last != UINT32_MAX &&
			      !is_behind(b, last, list[i]);
		last = list[i];
	}
	if (b->policy->goal == E4DF_OPTIMIZE)
		measure_gaps(b, list, count, ret);
	for (n = e4df_spans_ceil(&b->space.free_at, 0); n;
	     n = e4df_spans_next(&b->space.free_at, n))
		ret->long_free += n->len >= run ? n->len : 0;
	free(list);
	return 0;
}

int layout_is_orderly(const struct layout_figures *f)
{
	return f->jumps * 100 <= f->files * (100 - ORDERLY) &&
	       f->strays * 100 <= f->gaps * (100 - ORDERLY);
}

int layout_is_gathered(const struct batcher *b, const struct layout_figures *f)
{
	return f->long_free * 100 >= b->space.free_blocks * LONG_PERCENT ||
	       f->free_runs <= e4df_map_areas(b->map)->count;
}

errcode_t layout_take_hole(struct e4df_spans *holes, blk64_t need,
			   blk64_t *start, int *is_found)
{
	const struct e4df_span *n = e4df_spans_ceil(holes, need);
	struct e4df_span hole;

	*is_found = n != NULL;
	if (!n)
		return 0;
	hole = *n;
	*start = hole.len;
	e4df_spans_erase(holes, hole.key, hole.len);
	return hole.key == need ? 0 :
				  e4df_spans_insert(holes, hole.key - need,
						    hole.len + need, 0, 0);
}

static __u64 disorder(const struct layout_figures *f)
{
	return f->jumps + f->strays;
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
		return disorder(a) + a->excess + a->free_runs <
		       disorder(before) + before->excess + before->free_runs;
	if (a->excess + a->free_runs != before->excess + before->free_runs)
		return layout_is_orderly(a) &&
		       a->excess + a->free_runs <
			       before->excess + before->free_runs;
	return disorder(a) < disorder(before);
}
