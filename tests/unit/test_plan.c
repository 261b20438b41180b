/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The promises of plan, on hundreds of random maps.
 */
#include "replay.h"

#include "maps.h"

/* Fewer excess runs or mapping blocks; what was at its ideal stays there. */
static void check_gain(const struct e4df_map *before,
		       const struct e4df_map *after, size_t batches)
{
	uint64_t old = 0, now = 0, old_tree = 0, now_tree = 0;

	for (uint32_t i = 0; i < e4df_map_count(before); i++) {
		old += replay_excess(before, i);
		now += replay_excess(after, i);
		old_tree += e4df_map_inode(before, i)->tree;
		now_tree += e4df_map_inode(after, i)->tree;
		if (!replay_excess(before, i))
			assert_int_equal(replay_excess(after, i), 0);
	}
	assert_true(now <= old);
	if (batches && now == old)
		assert_true(now_tree < old_tree);
}

/* All promises on one map.  Returns the number of batches. */
static size_t check_plan(const struct e4df_map *map,
			 const struct e4df_policy *policy, int is_easy)
{
	struct e4df_plan *plan, *twin, *second;
	struct e4df_map *after;
	size_t count;

	assert_int_equal(e4df_plan_build(map, policy, &plan), 0);
	assert_int_equal(e4df_plan_build(map, policy, &twin), 0);
	replay_check_same(plan, twin); /* P4 */
	count = e4df_plan_count(plan);
	after = replay_plan(map, policy, plan);
	check_gain(map, after, count);
	assert_int_equal(e4df_plan_build(after, policy, &second), 0);
	assert_int_equal(e4df_plan_count(second), 0); /* P5 */
	for (uint32_t i = 0; is_easy && i < e4df_map_count(after); i++)
		if (e4df_map_inode(after, i)->why == E4DF_MOVABLE)
			assert_int_equal(replay_excess(after, i), 0);
	e4df_plan_free(plan);
	e4df_plan_free(twin);
	e4df_plan_free(second);
	e4df_map_free(after);
	return count;
}

/* Any map, nearly full or nearly empty, with a log of any size. */
static void anything_goes(void **state)
{
	size_t batches = 0;

	(void)state;
	for (unsigned int seed = 0; seed < 350; seed++) {
		struct prng rng = { seed };
		struct maps_recipe recipe = {
			.blocks = 150 + pick(&rng, 1 + pick(&rng, 3000)),
			.free_percent = 1 + pick(&rng, 60),
			.file_blocks = 1 + pick(&rng, 400),
			.scattered = pick(&rng, 101),
			.odd_fixed = pick(&rng, 8),
			.immovable = pick(&rng, 15),
		};
		struct e4df_policy policy = {
			.batch_blocks = 1 + pick(&rng, 2000),
			.log_blocks =
				1 + pick(&rng, chance(&rng, 50) ? 60 : 700),
		};
		struct e4df_map *map = maps_random(&rng, &recipe);

		if (chance(&rng, 50))
			e4df_map_set_quota(map, 1 + pick(&rng, 3),
					   1 + pick(&rng, 50));
		batches += check_plan(map, &policy, 0);
		e4df_map_free(map);
	}
	assert_true(batches > 350); /* else this was no test */
}

/* The same with bigalloc; all sizes of the recipe are clusters. */
static void clusters(void **state)
{
	static const unsigned int bits[] = { 1, 2, 4, 6 };
	size_t batches = 0;

	(void)state;
	for (unsigned int seed = 0; seed < 200; seed++) {
		struct prng rng = { seed };
		int is_easy = chance(&rng, 25);
		struct maps_recipe recipe = {
			.blocks = 150 + pick(&rng, 1 + pick(&rng, 1200)),
			.free_percent = (is_easy ? 35 : 1) + pick(&rng, 30),
			.file_blocks = 1 + pick(&rng, is_easy ? 30 : 200),
			.scattered = pick(&rng, 101),
			.odd_fixed = is_easy ? 0 : pick(&rng, 8),
			.immovable = is_easy ? 0 : pick(&rng, 15),
			.xattrs = pick(&rng, is_easy ? 10 : 60),
			.owners = 1 + pick(&rng, 20),
			.cluster_bits = bits[seed % 4],
		};
		struct e4df_policy policy = {
			.batch_blocks = 1 + pick(&rng, 10000),
			.log_blocks = is_easy ? 700 : 1 + pick(&rng, 500),
		};
		struct e4df_map *map = maps_random(&rng, &recipe);

		batches += check_plan(map, &policy, is_easy);
		e4df_map_free(map);
	}
	assert_true(batches > 200);
}

/* Where a third is free and no file is large, all reach their ideal. */
static void easy_maps(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 80; seed++) {
		struct prng rng = { seed };
		struct maps_recipe recipe = {
			.blocks = 600 + pick(&rng, 3000),
			.free_percent = 30 + pick(&rng, 40),
			.file_blocks = 1 + pick(&rng, 50),
			.scattered = 60 + pick(&rng, 40),
		};
		struct e4df_policy policy = {
			.batch_blocks = 100 + pick(&rng, 2000),
			.log_blocks = 700,
		};
		struct e4df_map *map = maps_random(&rng, &recipe);

		check_plan(map, &policy, 1);
		e4df_map_free(map);
	}
}

/* One per cent free, all in pieces: still not nothing. */
static void nearly_full(void **state)
{
	size_t batches = 0;

	(void)state;
	for (unsigned int seed = 0; seed < 30; seed++) {
		struct prng rng = { seed };
		struct maps_recipe recipe = {
			.blocks = 1500 + pick(&rng, 1500),
			.free_percent = 1,
			.file_blocks = 60,
			.scattered = 90,
		};
		struct e4df_policy policy = {
			.batch_blocks = 4096,
			.log_blocks = 700,
		};
		struct e4df_map *map = maps_random(&rng, &recipe);

		batches += check_plan(map, &policy, 0) > 0;
		e4df_map_free(map);
	}
	assert_in_range(batches, 25, 30);
}

/* Xattr blocks in the way, with a journal and without one. */
static void shared_xattrs(void **state)
{
	size_t batches = 0;

	(void)state;
	for (unsigned int seed = 0; seed < 200; seed++) {
		struct prng rng = { seed };
		struct maps_recipe recipe = {
			.blocks = 300 + pick(&rng, 2500),
			.free_percent = 2 + pick(&rng, 50),
			.file_blocks = 1 + pick(&rng, 60),
			.scattered = pick(&rng, 101),
			.odd_fixed = pick(&rng, 5),
			.immovable = pick(&rng, 15),
			.xattrs = 1 + pick(&rng, 100),
			.owners = 1 + pick(&rng, chance(&rng, 50) ? 2 : 60),
		};
		struct e4df_policy policy = {
			.flags = chance(&rng, 40) ? E4DF_POLICY_ORDERED : 0,
			.batch_blocks = 1 + pick(&rng, 2000),
			.log_blocks =
				1 + pick(&rng, chance(&rng, 50) ? 40 : 700),
		};
		struct e4df_map *map = maps_random(&rng, &recipe);

		batches += check_plan(map, &policy, 0);
		e4df_map_free(map);
	}
	assert_true(batches > 200);
}

/* They keep no file from its ideal, as long as the log holds their owners. */
static void easy_xattrs(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 80; seed++) {
		struct prng rng = { seed };
		struct maps_recipe recipe = {
			.blocks = 600 + pick(&rng, 3000),
			.free_percent = 40 + pick(&rng, 40),
			.file_blocks = 1 + pick(&rng, 50),
			.scattered = 60 + pick(&rng, 40),
			.xattrs = 1 + pick(&rng, 100),
			.owners = 1 + pick(&rng, 100),
		};
		struct e4df_policy policy = {
			.batch_blocks = 100 + pick(&rng, 2000),
			.log_blocks = 700,
		};
		struct e4df_map *map = maps_random(&rng, &recipe);

		check_plan(map, &policy, 1);
		e4df_map_free(map);
	}
}

/* An empty file system, and one without a movable file. */
static void nothing_to_do(void **state)
{
	const struct e4df_policy policy = { .batch_blocks = 1000,
					    .log_blocks = 1000 };
	const struct maps_file none[] = { { .count = 0 } };
	const struct maps_file one[] = {
		{ 12, E4DF_WHY_BOOT, 2, { { 10, 0, 0, 1 }, { 30, 0, 1, 1 } } },
		{ .count = 0 },
	};
	struct e4df_map *map = maps_drawn(100, NULL, 0, none);

	(void)state;
	assert_int_equal(check_plan(map, &policy, 1), 0);
	e4df_map_free(map);
	map = maps_drawn(100, NULL, 0, one);
	assert_int_equal(check_plan(map, &policy, 1), 0);
	e4df_map_free(map);
	e4df_plan_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_to_do),
		cmocka_unit_test(anything_goes),
		cmocka_unit_test(clusters),
		cmocka_unit_test(easy_maps),
		cmocka_unit_test(nearly_full),
		cmocka_unit_test(shared_xattrs),
		cmocka_unit_test(easy_xattrs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
