/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>

#define FEWER 2	 /* times fewer blocks of files, for no more free runs */
#define FULL  20 /* nearly full: less than one in so many blocks is free */

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

/* A plan that may be dropped yet, and where it leads. */
struct draft {
	struct e4df_plan *plan; /* (owned) */
	struct e4df_map *after; /* (owned) */
};

static void draft_release(struct draft *d)
{
	e4df_plan_free(d->plan);
	e4df_map_free(d->after);
	*d = (struct draft){ .plan = NULL };
}

/*
 * Where nearly all is full there may not be more free runs than there are.
 * Elsewhere no file is left in pieces for the sake of a free run; and what was
 * cut short can always be finished, though it may have fewer of them now than
 * it ends with.
 */
static size_t most_free_runs(const struct e4df_map *map)
{
	const struct e4df_runs *now = e4df_map_free_blocks(map);
	blk64_t blocks = e4df_map_geometry(map)->blocks;

	return e4df_runs_blocks(now) * FULL < blocks ? now->count : SIZE_MAX;
}

/*
 * Does it copy no more, and leave no more free runs, than there may be?  These
 * do not count where it was asked for that files give up indirect blocks.
 */
static int is_within(const struct draft *d, const struct e4df_map *map,
		     const struct e4df_policy *policy)
{
	if (policy->max_blocks &&
	    e4df_plan_copy_blocks(d->plan) > policy->max_blocks)
		return 0;
	return policy->goal != E4DF_DEFRAG ||
	       policy->flags & E4DF_POLICY_CONVERT ||
	       e4df_map_free_blocks(d->after)->count <= most_free_runs(map);
}

/* Plans for those files only that are worth most, up to `most` blocks. */
static errcode_t plan_best(const struct e4df_map *map,
			   const struct e4df_policy *policy,
			   const struct gain *gains, __u32 count, blk64_t most,
			   struct draft *d)
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
	err = plan_all(map, &few, &d->plan, &d->after);
	free(is_wanted);
	return err;
}

/*
 * So few files that the plan keeps to its bounds, which is known only when
 * there is one.  So each run leaves all files whole that it has begun with, and
 * the next one goes on with the others.  At last only what a list asks for is
 * left, which may cost free runs.
 */
static errcode_t plan_few(const struct e4df_map *map,
			  const struct e4df_policy *policy, struct draft *d)
{
	struct gain *gains;
	blk64_t most = 0;
	__u32 count;
	errcode_t err = list_gains(map, policy, &gains, &count);

	if (err)
		return err;
	for (__u32 i = 0; i < count; i++)
		most += gains[i].blocks;
	if (!policy->max_blocks)
		most /= FEWER;
	else if (most > policy->max_blocks)
		most = policy->max_blocks;
	for (;;) {
		draft_release(d);
		err = plan_best(map, policy, gains, count, most, d);
		if (err || !most ||
		    (e4df_plan_count(d->plan) && is_within(d, map, policy)))
			break;
		most = policy->max_blocks ? most / 4 * 3 : most / FEWER;
	}
	free(gains);
	if (!err && !is_within(d, map, policy) &&
	    (policy->max_blocks || !policy->order_listed))
		plan_drop(d->plan, 0);
	return err;
}

/* *is_all: with nothing left out. */
static errcode_t plan_within(const struct e4df_map *map,
			     const struct e4df_policy *policy, struct draft *d,
			     int *is_all)
{
	errcode_t err = plan_all(map, policy, &d->plan, &d->after);

	*is_all = !err && is_within(d, map, policy);
	return err || *is_all ? err : plan_few(map, policy, d);
}

/*
 * What was left out for the sake of free runs may find room behind the rest.
 * So it is planned anew from there, as by a second run, until nothing comes of
 * it: then nothing comes of a second run either (P5).  Each time counts only by
 * fewer excess runs, or mapping blocks, so there is an end.
 */
errcode_t e4df_plan_build(const struct e4df_map *map,
			  const struct e4df_policy *policy,
			  struct e4df_plan **ret)
{
	struct draft all = { .plan = NULL }, more = { .plan = NULL };
	int is_all = 0;
	errcode_t err = plan_within(map, policy, &all, &is_all);
	int is_over = is_all || policy->max_blocks;

	if (!err && !is_all && policy->max_blocks)
		plan_set_limited(all.plan);
	if (!err && !e4df_plan_count(all.plan))
		is_over = 1;
	while (!err && !is_over) {
		err = plan_within(all.after, policy, &more, &is_all);
		is_over = is_all || err || !e4df_plan_count(more.plan);
		if (!err)
			err = plan_append(all.plan, more.plan);
		e4df_map_free(all.after);
		all.after = more.after;
		more.after = NULL;
		draft_release(&more);
	}
	if (!err) {
		*ret = all.plan;
		all.plan = NULL;
	}
	draft_release(&all);
	return err;
}
