/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>

void e4df_batch_release(struct e4df_batch *batch)
{
	free(batch->moves);
	free(batch->changes);
	free(batch->extents);
	e4df_runs_free(&batch->taken);
	e4df_runs_free(&batch->released);
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
		if (!(batch->moves[i].flags & E4DF_EXTENT_UNWRITTEN))
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
