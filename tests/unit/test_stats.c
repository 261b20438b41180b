/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stats.h"

#include <stdlib.h>

#include "maps.h"

static int is_near(double a, double b)
{
	double diff = a - b;

	return diff < 1e-9 && diff > -1e-9;
}

/* Counted by hand: nine followers, six of them in place. */
static void by_hand(void **state)
{
	static const struct maps_file files[] = {
		/* 3 runs; a hole does not end a run, a jump does */
		{ 12,
		  E4DF_MOVABLE,
		  4,
		  { { 10, 0, 0, 3 },
		    { 13, 0, 9, 2 },
		    { 20, 0, 11, 1 },
		    { 17, 0, 12, 1 } } },
		{ 13, E4DF_MOVABLE, 1, { { 30, 0, 5, 1 } } }, /* 1 block */
		/* one run of two states, and a mapping block, not counted */
		{ 14,
		  E4DF_WHY_BOOT,
		  3,
		  { { 40, 0, 0, 1 },
		    { 41, E4DF_EXTENT_UNWRITTEN, 1, 1 },
		    { 50, E4DF_EXTENT_TREE, 0, 1 } } },
		/* fragmented and fixed */
		{ 15, E4DF_WHY_SWAP, 2, { { 60, 0, 0, 1 }, { 70, 0, 1, 2 } } },
		{ .count = 0 },
	};
	struct e4df_map *map = maps_drawn(100, NULL, 0, files);
	struct e4df_stats s;

	(void)state;
	e4df_stats_take(map, &s);
	assert_int_equal(s.files, 4);
	assert_int_equal(s.blocks, 7 + 1 + 2 + 3);
	assert_int_equal(s.runs, 3 + 1 + 1 + 2);
	assert_int_equal(s.ideal_runs, 4);
	assert_int_equal(s.fragmented, 2);
	assert_int_equal(s.fragmented_blocks, 10);
	assert_int_equal(s.followers, 9);
	assert_int_equal(s.in_place, 6);
	assert_true(is_near(e4df_stats_score(&s), 6.0 / 9));
	assert_int_equal(s.left[E4DF_MOVABLE], 1);
	assert_int_equal(s.left[E4DF_WHY_SWAP], 1);
	assert_int_equal(s.left[E4DF_WHY_BOOT], 0);
	assert_int_equal(s.worst_count, 2);
	assert_int_equal(s.worst[0].ino, 12);
	assert_int_equal(s.worst[0].runs, 3);
	assert_int_equal(s.worst[0].ideal, 1);
	assert_int_equal(s.worst[0].blocks, 7);
	assert_int_equal(s.worst[1].ino, 15);
	assert_int_equal(s.worst[1].why, E4DF_WHY_SWAP);
	assert_int_equal(s.free_blocks, 100 - 13 - 1);
	assert_int_equal(s.free_runs, 9);
	assert_int_equal(s.largest_free, 28);
	assert_int_equal(s.data_end, 72);
	e4df_map_free(map);
}

/* Nothing to be out of order is in perfect order. */
static void empty(void **state)
{
	static const struct maps_file none[] = { { .count = 0 } };
	struct e4df_map *map = maps_drawn(10, NULL, 0, none);
	struct e4df_stats s;

	(void)state;
	e4df_stats_take(map, &s);
	assert_int_equal(s.files, 0);
	assert_int_equal(s.worst_count, 0);
	assert_int_equal(s.largest_free, 10);
	assert_int_equal(s.data_end, 0);
	assert_true(is_near(e4df_stats_score(&s), 1));
	e4df_map_free(map);
}

/* The file system's own, xattr blocks, and what has no blocks are no files. */
static void internal(void **state)
{
	const struct e4df_geometry g = { .blocks = 100, .groups = 1 };
	const struct e4df_extent e[] = { { 5, 0, 0, 1 }, { 9, 0, 1, 1 } };
	const ext2_ino_t owners[] = { 12, 13 };
	struct e4df_runs fixed = E4DF_RUNS_INIT, unused = E4DF_RUNS_INIT;
	struct e4df_map *map;
	struct e4df_stats s;
	uint32_t i;

	(void)state;
	assert_int_equal(e4df_map_new(&g, &map), 0);
	assert_int_equal(e4df_map_add_inode(map, 8, E4DF_INTERNAL,
					    E4DF_WHY_INTERNAL, &i),
			 0);
	assert_int_equal(e4df_map_set_extents(map, i, e, 2, 0), 0);
	assert_int_equal(
		e4df_map_add_inode(map, 12, E4DF_REGULAR, E4DF_MOVABLE, &i), 0);
	assert_int_equal(e4df_map_add_xattr(map, 20, owners, 2, E4DF_MOVABLE),
			 0);
	assert_int_equal(e4df_map_finish(map, &fixed, &unused), 0);
	e4df_stats_take(map, &s);
	assert_int_equal(s.files, 0);
	assert_int_equal(s.fragmented, 0);
	assert_int_equal(s.free_runs, 0);
	assert_int_equal(s.data_end, 21);
	e4df_map_free(map);
}

/* The files with the most excess runs, in order, inode by inode. */
static void worst_list(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 60; seed++) {
		struct prng rng = { seed };
		struct maps_recipe recipe = {
			.blocks = 300 + pick(&rng, 2000),
			.free_percent = 20,
			.file_blocks = 1 + pick(&rng, 90),
			.scattered = pick(&rng, 101),
			.odd_fixed = pick(&rng, 4),
		};
		struct e4df_map *map = maps_random(&rng, &recipe);
		struct e4df_stats s;
		unsigned int n = 0, last = UINT32_MAX;
		ext2_ino_t ino = 0;

		e4df_stats_take(map, &s);
		assert_int_equal(s.worst_count, s.fragmented < E4DF_WORST ?
							s.fragmented :
							E4DF_WORST);
		for (; n < s.worst_count; n++) {
			uint32_t excess = s.worst[n].runs - s.worst[n].ideal;

			assert_true(excess < last ||
				    (excess == last && s.worst[n].ino > ino));
			last = excess;
			ino = s.worst[n].ino;
		}
		for (uint32_t i = 0; i < e4df_map_count(map); i++) {
			const struct e4df_inode *inode = e4df_map_inode(map, i);
			const struct e4df_extent *e = e4df_map_extents(map, i);
			blk64_t size = e4df_extents_blocks(e, inode->data);
			uint32_t runs = e4df_extents_runs(e, inode->data);
			uint32_t ideal = e4df_map_ideal(map, size);

			n = 0;
			while (n < s.worst_count &&
			       s.worst[n].ino != inode->ino)
				n++;
			if (n == s.worst_count && runs > ideal)
				assert_true(runs - ideal < last ||
					    (runs - ideal == last &&
					     inode->ino > ino));
		}
		e4df_map_free(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_hand),
		cmocka_unit_test(empty),
		cmocka_unit_test(internal),
		cmocka_unit_test(worst_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
