/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "e4df_err.h"

errcode_t space_add_free(struct space *space, blk64_t start, blk64_t len)
{
	errcode_t err = e4df_spans_insert(&space->free_at, start, len, 0, 0);

	return err || !space->has_by ?
		       err :
		       e4df_spans_insert(&space->free_by, len, start, 0, 0);
}

static void drop_free(struct space *space, blk64_t start, blk64_t len)
{
	e4df_spans_erase(&space->free_at, start, len);
	if (space->has_by)
		e4df_spans_erase(&space->free_by, len, start);
}

/* A free range becomes longer or shorter, at either end. */
static errcode_t resize_free(struct space *space, blk64_t start, blk64_t len,
			     blk64_t new_start, blk64_t new_len)
{
	const struct e4df_span now = { .key = new_start, .len = new_len };

	e4df_spans_replace(&space->free_at, start, len, &now);
	if (!space->has_by)
		return 0;
	e4df_spans_erase(&space->free_by, len, start);
	return e4df_spans_insert(&space->free_by, new_len, new_start, 0, 0);
}

errcode_t space_index(struct space *space)
{
	const struct e4df_span *n = e4df_spans_ceil(&space->free_at, 0);
	errcode_t err = 0;

	if (space->has_by)
		return 0;
	for (; n && !err; n = e4df_spans_next(&space->free_at, n))
		err = e4df_spans_insert(&space->free_by, n->len, n->key, 0, 0);
	space->has_by = 1;
	return err;
}

/* An extent, by its place. */
struct place_of {
	blk64_t pblk;
	__u32 inode;
	__u32 at; /* in the inode's list */
};

static int compare_places(const void *a, const void *b)
{
	const struct place_of *x = a, *y = b;

	return (x->pblk > y->pblk) - (x->pblk < y->pblk);
}

/* All extents that can move, in the order in which they lie. */
static errcode_t list_used(const struct e4df_map *map, struct place_of **ret,
			   size_t *ret_count)
{
	size_t count = 0, n = 0;
	struct place_of *v;

	for (__u32 i = 0; i < e4df_map_count(map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(map, i);

		if (inode->why == E4DF_MOVABLE)
			count += (size_t)inode->data + inode->tree;
	}
	v = malloc((count + 1) * sizeof(*v));
	if (!v)
		return ENOMEM;
	for (__u32 i = 0; i < e4df_map_count(map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(map, i);
		const struct e4df_extent *e = e4df_map_extents(map, i);

		if (inode->why != E4DF_MOVABLE)
			continue;
		for (__u32 k = 0; k < inode->data + inode->tree; k++)
			v[n++] = (struct place_of){ e[k].pblk, i, k };
	}
	qsort(v, n, sizeof(*v), compare_places);
	*ret = v;
	*ret_count = n;
	return 0;
}

/* Added as they lie, which is quick and leaves no room in the nodes. */
static errcode_t add_files(struct space *space, const struct e4df_map *map)
{
	struct place_of *v;
	size_t count;
	errcode_t err = list_used(map, &v, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count && !err; i++) {
		__u32 data = e4df_map_inode(map, v[i].inode)->data;
		const struct e4df_extent *e =
			e4df_map_extents(map, v[i].inode) + v[i].at;

		err = e4df_spans_insert(&space->used, e->pblk, e->len,
					v[i].inode,
					v[i].at < data ? e->lblk : LBLK_TREE);
	}
	free(v);
	return err;
}

errcode_t space_init(struct space *space, const struct e4df_map *map)
{
	const struct e4df_runs *unused = e4df_map_free_blocks(map);
	errcode_t err = 0;

	*space = (struct space){ .free_blocks = e4df_runs_blocks(unused) };
	for (size_t i = 0; i < unused->count && !err; i++)
		err = space_add_free(space, unused->v[i].start,
				     unused->v[i].len);
	return err ? err : add_files(space, map);
}

void space_release(struct space *space)
{
	e4df_spans_free(&space->used);
	e4df_spans_free(&space->free_at);
	e4df_spans_free(&space->free_by);
}

errcode_t space_take(struct space *space, blk64_t start, blk64_t len,
		     __u32 owner, __u32 lblk)
{
	const struct e4df_span *n = e4df_spans_floor(&space->free_at, start);
	blk64_t from, whole, before, after;
	errcode_t err = 0;

	if (!n || n->key + n->len < start + len)
		return E4DF_ET_OVERFLOW;
	from = n->key;
	whole = n->len;
	before = start - from;
	after = whole - before - len;
	if (before)
		err = resize_free(space, from, whole, from, before);
	else if (after)
		err = resize_free(space, from, whole, start + len, after);
	else
		drop_free(space, from, whole);
	if (!err && before && after)
		err = space_add_free(space, start + len, after);
	space->free_blocks -= len;
	return err ? err :
		     e4df_spans_insert(&space->used, start, len, owner, lblk);
}

/* The rest of a used range, behind its first blocks. */
static struct e4df_span rest_of(const struct e4df_span *n, blk64_t skip)
{
	struct e4df_span rest = *n;

	rest.key += skip;
	rest.len -= skip;
	if (n->lblk != LBLK_TREE)
		rest.lblk += (__u32)skip;
	return rest;
}

/* Cuts out the part of one used range that begins at start. */
static errcode_t cut_one(struct space *space, blk64_t start, blk64_t len,
			 blk64_t *done)
{
	const struct e4df_span *n = e4df_spans_floor(&space->used, start);
	struct e4df_span whole, front, rest;

	if (!n || n->key + n->len <= start)
		return E4DF_ET_OVERFLOW;
	whole = front = *n;
	front.len = start - whole.key;
	if (len > whole.len - front.len)
		len = whole.len - front.len;
	rest = rest_of(&whole, front.len + len);
	*done = len;
	if (front.len)
		e4df_spans_replace(&space->used, whole.key, whole.len, &front);
	else if (rest.len)
		e4df_spans_replace(&space->used, whole.key, whole.len, &rest);
	else
		e4df_spans_erase(&space->used, whole.key, whole.len);
	if (!front.len || !rest.len)
		return 0;
	return e4df_spans_insert(&space->used, rest.key, rest.len, rest.owner,
				 rest.lblk);
}

static errcode_t cut(struct space *space, blk64_t start, blk64_t len)
{
	errcode_t err = 0;

	while (len && !err) {
		blk64_t done = 0;

		err = cut_one(space, start, len, &done);
		start += done;
		len -= done;
	}
	return err;
}

errcode_t space_change(struct space *space, blk64_t start, blk64_t len,
		       __u32 owner, __u32 lblk)
{
	errcode_t err;

	if (e4df_spans_change(&space->used, start, len, owner, lblk))
		return 0;
	err = cut(space, start, len);
	return err ? err :
		     e4df_spans_insert(&space->used, start, len, owner, lblk);
}

/* Blocks that no one uses are free, and one range with free neighbours. */
static errcode_t join_free(struct space *space, blk64_t start, blk64_t len)
{
	const struct e4df_span *n = e4df_spans_floor(&space->free_at, start);
	const struct e4df_span *behind =
		n ? e4df_spans_next(&space->free_at, n) :
		    e4df_spans_ceil(&space->free_at, start);
	blk64_t more = behind && behind->key == start + len ? behind->len : 0;
	struct e4df_span left;

	if (!n || n->key + n->len != start)
		return more ? resize_free(space, start + len, more, start,
					  len + more) :
			      space_add_free(space, start, len);
	left = *n;
	if (more)
		drop_free(space, start + len, more);
	return resize_free(space, left.key, left.len, left.key,
			   left.len + len + more);
}

errcode_t space_give(struct space *space, blk64_t start, blk64_t len)
{
	errcode_t err = cut(space, start, len);

	space->free_blocks += err ? 0 : len;
	return err ? err : join_free(space, start, len);
}

const struct e4df_span *space_owner(const struct space *space, blk64_t blk)
{
	const struct e4df_span *n = e4df_spans_floor(&space->used, blk);

	return n && n->key + n->len > blk ? n : NULL;
}

const struct e4df_span *space_next(const struct space *space, blk64_t blk)
{
	const struct e4df_span *n = space_owner(space, blk);

	return n ? n : e4df_spans_ceil(&space->used, blk);
}

blk64_t space_free_part(const struct space *space, blk64_t at, blk64_t len)
{
	const struct e4df_span *n = e4df_spans_floor(&space->free_at, at);
	blk64_t left;

	if (!n || n->key + n->len <= at)
		return 0;
	left = n->key + n->len - at;
	return left < len ? left : len;
}

int space_find_near(const struct space *space, blk64_t goal, blk64_t len,
		    blk64_t *ret)
{
	const struct e4df_span *n = e4df_spans_fit(&space->free_at, goal, len);

	if (!n)
		n = e4df_spans_fit(&space->free_at, 0, len);
	if (n)
		*ret = n->key;
	return n != NULL;
}

int space_find_tight(const struct space *space, blk64_t len, blk64_t *ret,
		     blk64_t *ret_len)
{
	const struct e4df_span *n = e4df_spans_ceil(&space->free_by, len);

	if (!n)
		n = e4df_spans_floor(&space->free_by, UINT64_MAX);
	if (!n)
		return 0;
	*ret = n->len; /* the start: see struct space */
	*ret_len = n->key;
	return 1;
}

int space_find_last(const struct space *space, blk64_t len, blk64_t *ret)
{
	const struct e4df_span *n = e4df_spans_fit_last(&space->free_at, len);

	if (n)
		*ret = n->key + n->len - len;
	return n != NULL;
}

int space_find_rear(const struct space *space, blk64_t len, blk64_t *ret,
		    blk64_t *ret_len)
{
	const struct e4df_span *n =
		e4df_spans_floor(&space->free_at, UINT64_MAX);

	if (!n)
		return 0;
	*ret_len = n->len < len ? n->len : len;
	*ret = n->key + n->len - *ret_len;
	return 1;
}

/* The end of what is pending without a break from a used range on. */
static blk64_t end_of_pending(const struct space *space,
			      const struct e4df_span *n, blk64_t end)
{
	blk64_t at = n->key + n->len;

	while (at < end && (n = e4df_spans_next(&space->used, n)) &&
	       n->key == at && n->owner == OWNER_PENDING)
		at = n->key + n->len;
	return at < end ? at : end;
}

errcode_t space_settle(struct space *space, struct e4df_runs *ranges)
{
	errcode_t err = 0;

	e4df_runs_sort(ranges);
	for (size_t i = 0; i < ranges->count && !err; i++) {
		blk64_t at = ranges->v[i].start;
		blk64_t end = at + ranges->v[i].len;

		while (at < end && !err) {
			const struct e4df_span *n = space_owner(space, at);
			blk64_t stop = n ? n->key + n->len : at + 1;

			if (stop > end)
				stop = end;
			if (n && n->owner == OWNER_PENDING) {
				stop = end_of_pending(space, n, end);
				err = space_give(space, at, stop - at);
			}
			at = stop;
		}
	}
	return err;
}

errcode_t space_unreserve(struct space *space)
{
	const struct e4df_span *n = e4df_spans_ceil(&space->used, 0);
	struct e4df_runs list = E4DF_RUNS_INIT;
	errcode_t err = 0;

	for (; n && !err; n = e4df_spans_next(&space->used, n))
		if (n->owner == OWNER_RESERVED)
			err = e4df_runs_push(&list, n->key, n->len);
	e4df_runs_sort(&list);
	for (size_t i = 0; i < list.count && !err; i++)
		err = space_give(space, list.v[i].start, list.v[i].len);
	e4df_runs_free(&list);
	return err;
}

/* What is reserved or pending still is not in use, whatever became of it. */
errcode_t space_list_free(const struct space *space,
			  const struct e4df_runs *areas, unsigned int bits,
			  struct e4df_runs *ret)
{
	const struct e4df_span *n = e4df_spans_ceil(&space->used, 0);
	struct e4df_runs out = E4DF_RUNS_INIT;
	errcode_t err = 0;

	for (size_t i = 0; i < areas->count && !err; i++) {
		blk64_t at = areas->v[i].start, end = at + areas->v[i].len;

		for (; n && n->key < end && !err;
		     n = e4df_spans_next(&space->used, n)) {
			if (n->owner >= OWNER_FILES)
				continue;
			err = e4df_runs_push(&out, at << bits,
					     (n->key - at) << bits);
			at = n->key + n->len;
		}
		if (!err)
			err = e4df_runs_push(&out, at << bits,
					     (end - at) << bits);
	}
	if (err)
		e4df_runs_free(&out);
	else
		*ret = out;
	return err;
}
