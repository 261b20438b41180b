/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>

void e4df_batch_release(struct e4df_batch *batch)
{
	free(batch->moves);
	free(batch->changes);
	free(batch->tree);
}

/* Less memory is not needed: where it is not given, the old stays good. */
static void *shrink(void *v, size_t count, size_t size)
{
	void *less = count ? realloc(v, count * size) : NULL;

	if (!count)
		free(v);
	return less || !count ? less : v;
}

void e4df_batch_shrink(struct e4df_batch *batch)
{
	batch->moves =
		shrink(batch->moves, batch->move_count, sizeof(*batch->moves));
	batch->changes = shrink(batch->changes, batch->change_count,
				sizeof(*batch->changes));
	batch->tree =
		shrink(batch->tree, batch->tree_count, sizeof(*batch->tree));
}

static errcode_t add_clusters(struct e4df_runs *runs, unsigned int bits,
			      blk64_t start, __u32 len)
{
	blk64_t first = start >> bits, last = (start + (len - 1)) >> bits;

	return e4df_runs_push(runs, first << bits, (last - first + 1) << bits);
}

errcode_t e4df_batch_taken(const struct e4df_batch *batch, unsigned int bits,
			   struct e4df_runs *ret)
{
	size_t at = 0; /* in the mapping blocks */
	errcode_t err = 0;

	ret->count = 0;
	for (size_t i = 0; i < batch->move_count && !err; i++)
		err = add_clusters(ret, bits, batch->moves[i].to,
				   batch->moves[i].len);
	for (size_t i = 0; i < batch->change_count && !err; i++) {
		at += batch->changes[i].old_tree;
		for (__u32 k = 0; k < batch->changes[i].tree && !err; k++)
			err = add_clusters(ret, bits, batch->tree[at++], 1);
	}
	e4df_runs_sort(ret);
	return err;
}

errcode_t e4df_batch_released(const struct e4df_batch *batch, unsigned int bits,
			      struct e4df_runs *ret)
{
	size_t at = 0; /* in the mapping blocks */
	errcode_t err = 0;

	ret->count = 0;
	for (size_t i = 0; i < batch->move_count && !err; i++)
		err = add_clusters(ret, bits, batch->moves[i].from,
				   batch->moves[i].len);
	for (size_t i = 0; i < batch->change_count && !err; i++) {
		for (__u32 k = 0; k < batch->changes[i].old_tree && !err; k++)
			err = add_clusters(ret, bits, batch->tree[at++], 1);
		at += batch->changes[i].tree;
	}
	e4df_runs_sort(ret);
	return err;
}

static int compare_from(const void *a, const void *b)
{
	const struct e4df_move *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

errcode_t e4df_batch_reads(const struct e4df_batch *batch,
			   struct e4df_move **ret, size_t *count)
{
	struct e4df_move *v = malloc((batch->move_count + 1) * sizeof(*v));
	size_t n = 0;

	if (!v)
		return ENOMEM;
	for (size_t i = 0; i < batch->move_count; i++)
		if (!batch->moves[i].flags)
			v[n++] = batch->moves[i];
	qsort(v, n, sizeof(*v), compare_from);
	*ret = v;
	*count = n;
	return 0;
}

blk64_t e4df_extents_blocks(const struct e4df_extent *v, __u32 count)
{
	blk64_t sum = 0;

	for (__u32 i = 0; i < count; i++)
		sum += v[i].len;
	return sum;
}

__u32 e4df_extents_runs(const struct e4df_extent *v, __u32 count)
{
	__u32 runs = 0;

	for (__u32 i = 0; i < count; i++)
		if (!i || v[i].pblk != v[i - 1].pblk + v[i - 1].len)
			runs++;
	return runs;
}
