/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan_layout.h"

struct e4df_plan {
	struct e4df_batch *batches; /* (owned) */
	size_t count, alloc;
	int is_limited;
};

void e4df_plan_free(struct e4df_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->count; i++)
		e4df_batch_release(&plan->batches[i]);
	free(plan->batches);
	free(plan);
}

size_t e4df_plan_count(const struct e4df_plan *plan)
{
	return plan->count;
}

const struct e4df_batch *e4df_plan_batches(const struct e4df_plan *plan)
{
	return plan->batches;
}

const struct e4df_batch *e4df_plan_batch(const struct e4df_plan *plan, size_t i)
{
	return &plan->batches[i];
}

int e4df_plan_is_limited(const struct e4df_plan *plan)
{
	return plan->is_limited;
}

void plan_set_limited(struct e4df_plan *plan)
{
	plan->is_limited = 1;
}

blk64_t e4df_plan_copy_blocks(const struct e4df_plan *plan)
{
	blk64_t sum = 0;

	for (size_t i = 0; i < plan->count; i++)
		sum += plan->batches[i].copy_blocks;
	return sum;
}

/* Takes over so many batches, if it can. */
static errcode_t add_batches(struct e4df_plan *plan, struct e4df_batch *v,
			     size_t *count)
{
	errcode_t err = e4df_grow(&plan->batches, &plan->alloc,
				  plan->count + *count, sizeof(*v));

	if (err || !*count)
		return err;
	memcpy(plan->batches + plan->count, v, *count * sizeof(*v));
	plan->count += *count;
	*count = 0;
	return 0;
}

errcode_t plan_append(struct e4df_plan *plan, struct e4df_plan *more)
{
	return add_batches(plan, more->batches, &more->count);
}

errcode_t plan_keep(struct e4df_plan *plan, struct batcher *b,
		    struct e4df_map *map)
{
	errcode_t err = batcher_apply(b, map);

	return err ? err : add_batches(plan, b->batches, &b->batch_count);
}

/*
 * Files that stay where they are can have more mapping blocks than they need:
 * the kernel does not take a level away when extents become fewer.  The next
 * such file from *index on; the number of all if there is none.
 */
static errcode_t find_bad_tree(const struct batcher *b, __u32 *index)
{
	__u32 count = e4df_map_count(b->map);
	int is_best = 1;
	errcode_t err = 0;

	for (; *index < count; ++*index) {
		if (e4df_map_inode(b->map, *index)->why == E4DF_MOVABLE &&
		    (b->policy->flags & E4DF_POLICY_CONVERT ||
		     plan_is_wanted(b->policy, *index)))
			err = mapping_check(b, *index, &is_best);
		if (err || !is_best)
			break;
	}
	return err;
}

static errcode_t rebuild_trees(struct batcher *b, __u32 i)
{
	errcode_t err = 0;

	while (i < e4df_map_count(b->map) && !err) {
		if (!batcher_has_room(b, i, 0, 0, 0))
			err = batcher_close(b);
		if (!err && batcher_has_room(b, i, 0, 0, 0))
			err = batcher_rebuild_tree(b, i);
		i++;
		if (!err)
			err = find_bad_tree(b, &i);
	}
	return err ? err : batcher_close(b);
}

/* Like a pass, for trees alone.  Counts only if it has rebuilt any. */
static errcode_t tree_pass(struct e4df_plan *plan, struct e4df_map *map,
			   const struct e4df_policy *policy, int *is_better)
{
	struct batcher b;
	__u32 first = 0;
	errcode_t err = batcher_init_files(&b, map, policy);

	if (!err)
		err = find_bad_tree(&b, &first);
	if (!err && first < e4df_map_count(map)) {
		err = batcher_init_space(&b);
		if (!err)
			err = rebuild_trees(&b, first);
	}
	*is_better = !err && b.batch_count;
	if (*is_better)
		err = plan_keep(plan, &b, map);
	batcher_release(&b);
	return err;
}

static unsigned int sweep_flags(enum e4df_goal goal, unsigned int layout)
{
	return (goal == E4DF_DEFRAG ? 0U : SWEEP_TREES) |
	       (layout & LAYOUT_CLOSE ? SWEEP_PATIENT : 0U);
}

/* Optimizing begins with the files in order, if they are, and their holes. */
static int is_due(const struct batcher *b, const struct layout_figures *now,
		  unsigned int layout)
{
	if (b->policy->goal != E4DF_OPTIMIZE)
		return 1;
	if (layout & LAYOUT_CLOSE)
		return layout_is_orderly(now);
	return !layout_is_orderly(now) || !layout_is_gathered(b, now);
}

static errcode_t try_layout(struct e4df_plan *plan, struct e4df_map *map,
			    const struct e4df_policy *policy,
			    unsigned int flags, int *is_better)
{
	struct layout_figures before, after;
	struct target target = { .v = NULL };
	struct batcher b;
	int is_done;
	errcode_t err = batcher_init_files(&b, map, policy);

	*is_better = 0;
	if (err || (policy->goal == E4DF_DEFRAG && !pass_excess(&b)))
		goto out;
	err = batcher_init_space(&b);
	if (!err)
		err = layout_measure(&b, &before);
	if (err || !is_due(&b, &before, flags))
		goto out;
	err = target_init(&target, &b);
	if (!err)
		err = layout_make(&target, &b, flags);
	if (!err)
		err = sweep_run(&b, &target, sweep_flags(policy->goal, flags),
				&is_done);
	if (!err)
		err = layout_measure(&b, &after);
	*is_better = !err && b.batch_count &&
		     layout_is_better(&b, &after, &before);
	if (*is_better)
		err = plan_keep(plan, &b, map);
out:
	target_release(&target);
	batcher_release(&b);
	return err;
}

/*
 * One pass of a target layout.  It counts only if the layout is better by its
 * own figures, so the passes come to an end.  Files for which there was no
 * room may be left in more pieces, which later passes have to make good.
 */
static errcode_t layout_pass(struct e4df_plan *plan, struct e4df_map *map,
			     const struct e4df_policy *policy, int *is_better)
{
	errcode_t err = 0;

	*is_better = 0;
	if (policy->goal == E4DF_OPTIMIZE)
		err = try_layout(plan, map, policy, LAYOUT_CLOSE, is_better);
	if (!err && !*is_better)
		err = try_layout(plan, map, policy, 0, is_better);
	return err;
}

/* Holds the listed files still from now on. */
static errcode_t pin_listed(struct e4df_map *map,
			    const struct e4df_policy *policy)
{
	__u32 *pins =
		malloc(((size_t)policy->order_listed + 1) * sizeof(*pins));
	size_t count = 0;
	errcode_t err;

	if (!pins)
		return ENOMEM;
	for (__u32 i = 0; i < policy->order_listed; i++)
		if (e4df_map_inode(map, policy->order[i])->why == E4DF_MOVABLE)
			pins[count++] = policy->order[i];
	err = e4df_map_pin(map, pins, count, E4DF_WHY_NO_ROOM);
	free(pins);
	return err;
}

/*
 * The listed files first.  Others may be broken up on the way, which the
 * passes that follow have to make good.
 */
static errcode_t order_pass(struct e4df_plan *plan, struct e4df_map *map,
			    const struct e4df_policy *policy, int *is_reached,
			    int *is_better)
{
	struct target target = { .v = NULL };
	struct batcher b;
	int is_done = 0;
	errcode_t err = batcher_init(&b, map, policy);

	if (!err)
		err = target_init(&target, &b);
	if (!err)
		err = layout_make(&target, &b, LAYOUT_ORDER);
	if (!err && sweep_is_over(&b, &target))
		is_done = 1;
	else if (!err)
		err = sweep_run(&b, &target, SWEEP_TREES, &is_done);
	*is_reached = !err && is_done;
	*is_better = *is_reached && b.batch_count;
	if (*is_better)
		err = plan_keep(plan, &b, map);
	target_release(&target);
	batcher_release(&b);
	return err || !is_done ? err : pin_listed(map, policy);
}

#define WITH_LAYOUT 0x1

/* Passes of all kinds, until none is better. */
static errcode_t run_passes(struct e4df_plan *plan, struct e4df_map *map,
			    const struct e4df_policy *policy,
			    unsigned int flags)
{
	int is_better = 1;
	errcode_t err = 0;

	while (!err && is_better) {
		is_better = 0;
		if (flags & WITH_LAYOUT)
			err = layout_pass(plan, map, policy, &is_better);
		if (!err && !is_better)
			err = pass_run(plan, map, policy, 0, &is_better);
		if (!err && !is_better)
			err = pass_run(plan, map, policy, CHOOSE_PIECES,
				       &is_better);
		if (!err && !is_better)
			err = tree_pass(plan, map, policy, &is_better);
	}
	return err;
}

/* Has any file more excess runs than it had? */
static int has_lost(const struct e4df_map *before, const struct e4df_map *after)
{
	for (__u32 i = 0; i < e4df_map_count(before); i++) {
		struct e4df_shape a, b;

		e4df_map_measure(before, i, &a);
		e4df_map_measure(after, i, &b);
		if (b.runs > b.ideal && b.runs > a.runs)
			return 1;
	}
	return 0;
}

int plan_is_wanted(const struct e4df_policy *policy, __u32 inode)
{
	return !policy->is_wanted || policy->is_wanted[inode];
}

void plan_drop(struct e4df_plan *plan, size_t count)
{
	while (plan->count > count)
		e4df_batch_release(&plan->batches[--plan->count]);
}

/*
 * With layouts, if in the end no file has lost by it; else without.  Both
 * begin with the same map, so that where neither changes anything a second
 * run does not either.  Nor does another round where the layouts stay: the
 * passes came to an end because none of them changes what is there now.
 */
static errcode_t one_round(struct e4df_plan *plan, struct e4df_map **map,
			   const struct e4df_policy *policy, int *is_over)
{
	size_t count = plan->count;
	struct e4df_map *copy = NULL;
	errcode_t err = e4df_map_fork(*map, &copy);

	*is_over = 1;
	if (!err)
		err = run_passes(plan, copy, policy, WITH_LAYOUT);
	if (!err && plan->count > count && !has_lost(*map, copy)) {
		e4df_map_free(*map);
		*map = copy;
	} else {
		e4df_map_free(copy);
		if (!err && plan->count > count) {
			plan_drop(plan, count);
			err = run_passes(plan, *map, policy, 0);
			*is_over = plan->count == count;
		}
	}
	return err;
}

errcode_t plan_all(const struct e4df_map *map, const struct e4df_policy *policy,
		   struct e4df_plan **ret, struct e4df_map **after)
{
	struct e4df_plan *plan = calloc(1, sizeof(*plan));
	struct e4df_policy units = *policy;
	struct e4df_map *copy = NULL;
	struct gathered gathered = {
		.most = e4df_map_free_blocks(map)->count,
	};
	int is_over = 0;
	int is_ordered = policy->goal != E4DF_DEFRAG || !policy->order_listed;
	unsigned int bits;
	errcode_t err;

	if (!plan)
		return ENOMEM;
	bits = e4df_map_geometry(map)->cluster_bits;
	units.batch_blocks >>= bits;
	units.good_run >>= bits;
	units.order_at >>= bits;
	err = e4df_map_fork(map, &copy);
	if (!err)
		err = xattr_pin(copy, policy);
	while (!err && !is_over) {
		size_t count = plan->count;
		int is_better = 0;

		if (!is_ordered)
			err = order_pass(plan, copy, &units, &is_ordered,
					 &is_better);
		if (!err && !is_better)
			err = one_round(plan, &copy, &units, &is_over);
		/* in another order there may be room for the list */
		if (!is_ordered && plan->count > count)
			is_over = 0;
		if (!err && is_over)
			err = gather_pass(plan, copy, &units, &gathered,
					  &is_over);
	}
	if (err) {
		e4df_map_free(copy);
		e4df_plan_free(plan);
	} else {
		*ret = plan;
		*after = copy;
	}
	return err;
}
