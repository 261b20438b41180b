/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pure modules when memory runs out: the first allocation fails, the
 * second, and so on until all is well.  Each time the answer is ENOMEM, and
 * nothing is left behind.  Linked with --wrap for malloc and its kin.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"
#include "plan.h"
#include "tree.h"
#include "update.h"
#include "wrap.h"

static struct {
	unsigned long fail_at; /* 0 = never */
	unsigned long calls;
	long live; /* allocations not yet freed */
} memory;

static int is_refused(void)
{
	return ++memory.calls == memory.fail_at;
}

static void *count(void *p)
{
	memory.live += p != NULL;
	return p;
}

void *__wrap_malloc(size_t size)
{
	return is_refused() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return is_refused() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	void *p = is_refused() ? NULL : __real_realloc(old, size);

	return old ? p : count(p);
}

void __wrap_free(void *p)
{
	memory.live -= p != NULL;
	__real_free(p);
}

/* Something that allocates, and cleans up behind itself. */
typedef errcode_t (*job)(void *ctx);

/*
 * Returns the number of failures that it took.  Of many hundred allocations
 * not each one fails, but those of a growing distance.
 */
static unsigned long starve(job do_it, void *ctx)
{
	unsigned long n = 0, rounds = 0;
	errcode_t err = ENOMEM;

	while (err) {
		long live = memory.live;

		memory.calls = 0;
		n += 1 + n / 100;
		memory.fail_at = n;
		err = do_it(ctx);
		memory.fail_at = 0;
		if (err)
			assert_int_equal(err, ENOMEM);
		assert_int_equal(memory.live, live);
		rounds++;
	}
	return rounds - 1;
}

static errcode_t do_plan(void *ctx)
{
	const struct e4df_policy policy = { .batch_blocks = 300,
					    .log_blocks = 600 };
	struct e4df_plan *plan = NULL;
	errcode_t err = e4df_plan_build(ctx, &policy, &plan);

	if (err)
		assert_null(plan);
	e4df_plan_free(plan);
	return err;
}

static errcode_t do_fork(void *ctx)
{
	struct e4df_map *map = NULL;
	errcode_t err = e4df_map_fork(ctx, &map);

	if (err)
		assert_null(map);
	e4df_map_free(map);
	return err;
}

static struct e4df_map *make_map(unsigned int seed, unsigned int free_percent)
{
	struct prng rng = { seed };
	struct maps_recipe recipe = {
		.blocks = 900,
		.free_percent = free_percent,
		.file_blocks = 120,
		.scattered = 80,
		.odd_fixed = 3,
		.immovable = 5,
		.xattrs = seed < 4 ? 40 : 0,
		.owners = 8,
		.cluster_bits = seed < 4 ? 0 : 2,
	};

	return maps_random(&rng, &recipe);
}

static void plans(void **state)
{
	unsigned long failures = 0;

	(void)state;
	for (unsigned int seed = 0; seed < 8; seed++) {
		struct e4df_map *map = make_map(seed, 1 + 9 * seed);

		failures += starve(do_plan, map);
		e4df_map_free(map);
	}
	assert_true(failures > 500);
}

static void forks(void **state)
{
	struct e4df_map *map = make_map(1, 20);

	(void)state;
	assert_true(starve(do_fork, map) > 4);
	e4df_map_free(map);
}

struct step {
	struct e4df_map *map;
	const struct e4df_batch *batch;
};

static errcode_t do_prepare(void *ctx)
{
	struct step *step = ctx;
	struct e4df_update update = { .mappings = NULL };
	long live = memory.live;
	struct e4df_map *map;
	errcode_t err = e4df_map_fork(step->map, &map);

	if (err)
		return err;
	err = e4df_update_make(map, step->batch, &update);
	if (!err)
		err = e4df_map_prepare(map, &update);
	if (err)
		assert_true(e4df_map_is_equal(map, step->map));
	else {
		memory.fail_at = memory.calls + 1;
		e4df_map_apply(map, &update); /* cannot fail */
		assert_int_equal(memory.calls + 1, memory.fail_at);
	}
	e4df_update_release(&update);
	e4df_map_free(map);
	assert_int_equal(memory.live, live);
	return err;
}

static void prepares(void **state)
{
	const struct e4df_policy policy = { .batch_blocks = 300,
					    .log_blocks = 600 };
	struct step step = { .map = make_map(2, 30) };
	struct e4df_plan *plan;

	(void)state;
	assert_int_equal(e4df_plan_build(step.map, &policy, &plan), 0);
	assert_true(e4df_plan_count(plan) > 0);
	step.batch = e4df_plan_batch(plan, 0);
	assert_true(starve(do_prepare, &step) > 6);
	e4df_plan_free(plan);
	e4df_map_free(step.map);
}

static errcode_t do_pin(void *ctx)
{
	static const uint32_t inodes[] = { 0, 1, 2 };
	struct e4df_map *map;
	errcode_t err = e4df_map_fork(ctx, &map);

	if (err)
		return err;
	err = e4df_map_pin(map, inodes, 3, E4DF_WHY_UNREADABLE);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(e4df_map_inode(map, i)->why,
				 err ? E4DF_MOVABLE : E4DF_WHY_UNREADABLE);
	if (err)
		assert_true(e4df_map_is_equal(map, ctx));
	e4df_map_free(map);
	return err;
}

static void pins(void **state)
{
	struct e4df_map *map = maps_drawn(
		100, NULL, 0,
		(struct maps_file[]){ { 12, 0, 1, { { 9, 0, 0, 4 } } },
				      { 13, 0, 1, { { 20, 0, 0, 4 } } },
				      { 14, 0, 1, { { 30, 0, 0, 4 } } },
				      { .count = 0 } });

	(void)state;
	assert_true(starve(do_pin, map) > 6);
	e4df_map_free(map);
}

/* A map as scan makes it. */
static errcode_t do_build(void *ctx)
{
	const struct e4df_geometry g = { .blocks = 100000, .groups = 4 };
	const struct e4df_extent e[] = { { 9, 0, 0, 2 }, { 20, 0, 2, 2 } };
	struct e4df_runs fixed = E4DF_RUNS_INIT, unused = E4DF_RUNS_INIT;
	struct e4df_map *map;
	uint32_t index;
	errcode_t err = e4df_map_new(&g, &map);

	(void)ctx;
	if (err)
		return err;
	for (uint32_t i = 0; i < 40 && !err; i++) {
		err = e4df_map_add_inode(map, 11 + i, E4DF_REGULAR,
					 i % 2 ? E4DF_MOVABLE : E4DF_WHY_SWAP,
					 &index);
		if (!err)
			err = e4df_map_set_extents(map, index, e, 2, 0);
		if (!err)
			err = e4df_runs_push(&fixed, 100 + 3 * i, 2);
		if (!err)
			err = e4df_runs_push(&unused, 1000 + 3 * i, 2);
	}
	if (!err)
		err = e4df_map_finish(map, &fixed, &unused);
	e4df_runs_free(&fixed);
	e4df_runs_free(&unused);
	e4df_map_free(map);
	return err;
}

static errcode_t do_tree(void *ctx)
{
	const struct e4df_tree_owner owner = { .ino = 12, .has_csum = 1 };
	struct e4df_extent data[200], tree[3] = { { 0 } };
	static char root[E4DF_TREE_ROOT_BYTES], images[3 * 1024];

	(void)ctx;
	for (uint32_t i = 0; i < 200; i++)
		data[i] = (struct e4df_extent){ 5 + 2 * i, 0, i, 1 };
	return e4df_tree_build(&owner, 1024, data, 200, tree, 3, root, images);
}

static errcode_t do_runs(void *ctx)
{
	struct e4df_runs a = E4DF_RUNS_INIT, b = E4DF_RUNS_INIT;
	struct e4df_runs inverse = E4DF_RUNS_INIT;
	errcode_t err = 0;

	(void)ctx;
	for (blk64_t i = 0; i < 50 && !err; i++) {
		err = e4df_runs_push(&a, 4 * i, 2);
		if (!err)
			err = e4df_runs_push(&b, 4 * i + 1000, 2);
	}
	if (!err)
		err = e4df_runs_invert(&a, 0, 500, &inverse);
	if (!err) {
		size_t before = a.count;

		err = e4df_runs_update(&a, &a, &b);
		assert_int_equal(a.count, err ? before : b.count);
	}
	e4df_runs_free(&a);
	e4df_runs_free(&b);
	e4df_runs_free(&inverse);
	return err;
}

static void others(void **state)
{
	(void)state;
	assert_true(starve(do_build, NULL) > 8);
	assert_int_equal(starve(do_tree, NULL), 1);
	assert_true(starve(do_runs, NULL) > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans),    cmocka_unit_test(forks),
		cmocka_unit_test(prepares), cmocka_unit_test(pins),
		cmocka_unit_test(others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
