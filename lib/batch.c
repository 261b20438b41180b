/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "batch.h"

#include <stdlib.h>

void e4df_batch_release(struct e4df_batch *batch)
{
	free(batch->moves);
	free(batch->changes);
	free(batch->extents);
	e4df_runs_free(&batch->taken);
	e4df_runs_free(&batch->released);
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
