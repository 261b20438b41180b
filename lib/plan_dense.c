/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>

#define STEP 32 /* extents from one mark to the next */

/*
 * What a file maps, and so where its holes are, stays while it is planned.  A
 * file without holes needs nothing; one with holes has the dense positions of
 * every STEPth extent of the map, which are searched for from either side.
 */
errcode_t dense_init(struct batcher *b, __u32 inode)
{
	const struct e4df_extent *v = e4df_map_extents(b->map, inode);
	__u32 count = e4df_map_inode(b->map, inode)->data, sum = 0;
	struct file *f = &b->files[inode];
	errcode_t err;

	f->has_holes = count && v[count - 1].lblk + (blk64_t)v[count - 1].len !=
					f->blocks;
	if (!f->has_holes)
		return 0;
	err = e4df_grow(&b->sparse, &b->sparse_alloc, b->sparse_count + 1,
			sizeof(*b->sparse));
	if (!err)
		err = e4df_grow(&b->marks, &b->mark_alloc,
				b->mark_count + (count - 1) / STEP + 1,
				sizeof(*b->marks));
	if (err)
		return err;
	b->sparse[b->sparse_count++] = (struct sparse){
		.inode = inode,
		.marks = (__u32)b->mark_count,
	};
	for (__u32 i = 0; i < count; i++) {
		if (i % STEP == 0)
			b->marks[b->mark_count++] = sum;
		sum += v[i].len;
	}
	return 0;
}

/* The marks of a file with holes. */
static const __u32 *marks_of(const struct batcher *b, __u32 inode)
{
	size_t lo = 0, hi = b->sparse_count;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->sparse[mid].inode <= inode)
			lo = mid;
		else
			hi = mid;
	}
	return b->marks + b->sparse[lo].marks;
}

__u32 dense_extent(const struct e4df_extent *v, __u32 count, __u32 lblk)
{
	__u32 lo = 0, hi = count;

	while (lo < hi) {
		__u32 mid = lo + (hi - lo) / 2;

		if ((blk64_t)v[mid].lblk + v[mid].len > lblk)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

blk64_t dense_of(const struct batcher *b, __u32 inode, __u32 lblk)
{
	const struct e4df_extent *v = e4df_map_extents(b->map, inode);
	blk64_t sum;
	__u32 at, i;

	if (!b->files[inode].has_holes)
		return lblk;
	at = dense_extent(v, e4df_map_inode(b->map, inode)->data, lblk);
	sum = marks_of(b, inode)[at / STEP];
	for (i = at / STEP * STEP; i < at; i++)
		sum += v[i].len;
	return sum + (lblk - v[at].lblk);
}

/* The other way round: the logical block at a dense position. */
static __u32 lblk_of(const struct batcher *b, __u32 inode, __u32 dense)
{
	const struct e4df_extent *v = e4df_map_extents(b->map, inode);
	const __u32 *marks;
	__u32 lo = 0, hi = (e4df_map_inode(b->map, inode)->data - 1) / STEP + 1;
	__u32 at;

	if (!b->files[inode].has_holes)
		return dense;
	marks = marks_of(b, inode);
	while (hi - lo > 1) {
		__u32 mid = lo + (hi - lo) / 2;

		if (marks[mid] <= dense)
			lo = mid;
		else
			hi = mid;
	}
	at = marks[lo];
	for (v += (size_t)lo * STEP; at + v->len <= dense; v++)
		at += v->len;
	return v->lblk + (dense - at);
}

const struct e4df_extent *dense_find(const struct batcher *b, __u32 inode,
				     __u32 dense, blk64_t *begin)
{
	const struct e4df_extent *v = batcher_layout(b, inode);
	__u32 lblk;

	*begin = 0;
	if (!dense)
		return v;
	lblk = lblk_of(b, inode, dense);
	v += dense_extent(v, b->files[inode].data, lblk);
	*begin = dense - (lblk - v->lblk);
	return v;
}

int dense_is_in_place(const struct batcher *b, const struct e4df_span *n,
		      __u32 inode, blk64_t from, blk64_t start)
{
	return n->owner == inode && n->lblk != LBLK_TREE &&
	       n->key + from == start + dense_of(b, inode, n->lblk);
}
