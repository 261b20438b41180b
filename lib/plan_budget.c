/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>

/* A fragmented file, for the question whether it is worth its bytes. */
struct gain {
	__u32 excess, blocks, inode;
};

/* The most excess runs for each block first. */
static int compare_gains(const void *a, const void *b)
{
	const struct gain *x = a, *y = b;
	blk64_t p = (blk64_t)x->excess * y->blocks;
	blk64_t q = (blk64_t)y->excess * x->blocks;

	if (p != q)
		return p > q ? -1 : 1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

static errcode_t list_gains(const struct e4df_map *map,
			    const struct e4df_policy *policy, struct gain **ret,
			    __u32 *ret_count)
{
	__u32 count = e4df_map_count(map), n = 0;
	struct gain *v = malloc(((size_t)count + 1) * sizeof(*v));

	if (!v)
		return ENOMEM;
	for (__u32 i = 0; i < count; i++) {
		struct e4df_shape shape;

		if (!plan_is_wanted(policy, i))
			continue;
		e4df_map_measure(map, i, &shape);
		if (shape.runs > shape.ideal)
			v[n++] = (struct gain){
				shape.runs - shape.ideal,
				(__u32)shape.blocks,
				i,
			};
	}
	qsort(v, n, sizeof(*v), compare_gains);
	*ret = v;
	*ret_count = n;
	return 0;
}

/* Plans for those files only that are worth most, up to `most` blocks. */
static errcode_t plan_best(const struct e4df_map *map,
			   const struct e4df_policy *policy,
			   const struct gain *gains, __u32 count, blk64_t most,
			   struct e4df_plan **ret)
{
	unsigned char *is_wanted = calloc((size_t)e4df_map_count(map) + 1, 1);
	struct e4df_policy few = *policy;
	errcode_t err;

	if (!is_wanted)
		return ENOMEM;
	for (__u32 i = 0; i < count; i++) {
		if (gains[i].blocks > most)
			continue;
		most -= gains[i].blocks;
		is_wanted[gains[i].inode] = 1;
	}
	few.is_wanted = is_wanted;
	err = plan_all(map, &few, ret);
	free(is_wanted);
	return err;
}

/*
 * Within policy->max_blocks: so many files that the plan keeps to it, which is
 * known only when there is one.  So each run leaves all files whole that it
 * has begun with, and the next one goes on with the others.
 */
static errcode_t plan_within(const struct e4df_map *map,
			     const struct e4df_policy *policy,
			     struct e4df_plan **ret)
{
	struct gain *gains;
	blk64_t most = policy->max_blocks;
	__u32 count;
	errcode_t err = list_gains(map, policy, &gains, &count);

	if (err)
		return err;
	for (;;) {
		err = plan_best(map, policy, gains, count, most, ret);
		if (err || e4df_plan_copy_blocks(*ret) <= policy->max_blocks)
			break;
		if (!most) { /* not even what comes besides */
			plan_drop(*ret, 0);
			break;
		}
		e4df_plan_free(*ret);
		most = most / 4 * 3;
	}
	free(gains);
	return err;
}

errcode_t e4df_plan_build(const struct e4df_map *map,
			  const struct e4df_policy *policy,
			  struct e4df_plan **ret)
{
	struct e4df_plan *plan;
	errcode_t err = plan_all(map, policy, &plan);

	if (!err && policy->max_blocks &&
	    e4df_plan_copy_blocks(plan) > policy->max_blocks) {
		e4df_plan_free(plan);
		err = plan_within(map, policy, &plan);
		if (!err)
			plan_set_limited(plan);
	}
	if (!err)
		*ret = plan;
	return err;
}
