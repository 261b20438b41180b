/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "spans.h"

#define WASTE_SHARE 200 /* of all blocks: holes that are left */

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
	struct layout_keyed *moving; /* (owned) largest first */
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
			c->moving[c->moving_count++] = (struct layout_keyed){
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
		      layout_compare);
	return err;
}

static errcode_t list_holes(struct compaction *c, blk64_t end,
			    const struct e4df_runs *kept)
{
	struct e4df_runs front = E4DF_RUNS_INIT;
	errcode_t err =
		e4df_runs_clip(e4df_map_areas(c->b->map), 0, end, &front);

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
		blk64_t need, start;
		int is_found = 0;

		err = pack_tree(c->b, inode, &tree);
		if (err)
			break;
		need = c->b->files[inode].blocks + (blk64_t)tree;
		if (c->b->files[inode].ideal <= 1)
			err = layout_take_hole(&c->holes, need, &start,
					       &is_found);
		if (!err && is_found) {
			err = target_place(c->t, c->b, inode, start, tree);
		} else {
			c->moving[left++] = c->moving[i];
			c->left += need;
		}
	}
	c->moving_count = left;
	return err;
}

/* What found no hole comes behind all that did. */
static errcode_t put_behind(struct compaction *c, blk64_t end)
{
	struct e4df_runs rear = E4DF_RUNS_INIT;
	__u32 *list = malloc(((size_t)c->moving_count + 1) * sizeof(*list));
	errcode_t err = list ? e4df_runs_clip(e4df_map_areas(c->b->map), end,
					      UINT64_MAX, &rear) :
			       ENOMEM;

	for (__u32 i = 0; i < c->moving_count && !err; i++)
		list[i] = c->moving[i].inode;
	if (!err)
		err = pack_files(c->t, c->b, list, c->moving_count, &rear);
	e4df_runs_free(&rear);
	free(list);
	return err;
}

/* All files in the order of their present places, as far as that can be. */
static errcode_t close_up(struct target *t, const struct batcher *b,
			  const __u32 *list, __u32 count, blk64_t end)
{
	struct layout_keyed *v = malloc(((size_t)count + 1) * sizeof(*v));
	__u32 *order = malloc(((size_t)count + 1) * sizeof(*order));
	errcode_t err = v && order ? 0 : ENOMEM;

	for (__u32 i = 0; i < count && !err; i++)
		v[i] = (struct layout_keyed){
			batcher_layout(b, list[i])->pblk,
			list[i],
			list[i],
		};
	if (!err)
		qsort(v, count, sizeof(*v), layout_compare);
	for (__u32 i = 0; i < count && !err; i++)
		order[i] = v[i].inode;
	if (!err)
		err = tight_make(t, b, order, count, end);
	free(v);
	free(order);
	return err;
}

/*
 * Files that are whole and in front stay, and what is behind, or in pieces,
 * fills the holes between them.  If too much finds no hole, all files close
 * up, the large ones wherever the end is nearest by it.
 */
errcode_t compact_make(struct target *t, const struct batcher *b,
		       const __u32 *list, __u32 count)
{
	struct compaction c = { .b = b, .t = t };
	struct e4df_runs kept = E4DF_RUNS_INIT;
	blk64_t end = 0;
	errcode_t err = 0;

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
		err = tight_end(b, list, count, &end);
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
			err = close_up(t, b, list, count, end);
	}
	e4df_spans_free(&c.holes);
	e4df_runs_free(&kept);
	free(c.moving);
	return err;
}
