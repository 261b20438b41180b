/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster.h"

#include <stdlib.h>
#include <string.h>

#include "maps.h"

#define U E4DF_EXTENT_UNWRITTEN

static void check_same(const struct e4df_extent *have, uint32_t have_count,
		       const struct e4df_extent *want, uint32_t want_count)
{
	assert_int_equal(have_count, want_count);
	for (uint32_t i = 0; i < want_count; i++) {
		assert_int_equal(have[i].lblk, want[i].lblk);
		assert_int_equal(have[i].pblk, want[i].pblk);
		assert_int_equal(have[i].len, want[i].len);
		assert_int_equal(have[i].flags, want[i].flags);
	}
}

/* The picture in the header, and what lies around it, in other places. */
static void by_hand(void **state)
{
	static const struct e4df_extent data[] = {
		{ 34, 0, 14, 1 }, /* the third of its cluster alone */
		{ 96, 0, 16, 2 }, /* a hole, then one more of the cluster */
		{ 99, 0, 19, 1 }, { 75, 0, 23, 1 },  { 76, U, 24, 3 },
		{ 79, 0, 27, 6 }, { 200, 0, 40, 1 },
	};
	static const struct e4df_extent folded[] = {
		{ 8, 0, 3, 1 },
		{ 24, 0, 4, 1 },
		{ 18, 0, 5, 4 },
		{ 50, 0, 10, 1 },
	};
	/* each cluster elsewhere: 3 to 7; 4, 5, 6 to 30; 7, 8 to 90; 10 stays */
	static const struct e4df_extent elsewhere[] = {
		{ 7, 0, 3, 1 },
		{ 30, 0, 4, 3 },
		{ 90, 0, 7, 2 },
		{ 50, 0, 10, 1 },
	};
	static const struct e4df_extent spread[] = {
		{ 30, 0, 14, 1 },  { 120, 0, 16, 2 }, { 123, 0, 19, 1 },
		{ 127, 0, 23, 1 }, { 128, U, 24, 3 }, { 131, 0, 27, 1 },
		{ 360, 0, 28, 5 }, { 200, 0, 40, 1 },
	};
	struct e4df_extent out[16];
	uint32_t n;

	(void)state;
	assert_int_equal(e4df_cluster_find_bad(data, ARRAY_SIZE(data), 2),
			 ARRAY_SIZE(data));
	n = e4df_cluster_fold(data, ARRAY_SIZE(data), 2, out);
	check_same(out, n, folded, ARRAY_SIZE(folded));
	n = e4df_cluster_spread(data, ARRAY_SIZE(data), 2, elsewhere,
				ARRAY_SIZE(elsewhere), out);
	check_same(out, n, spread, ARRAY_SIZE(spread));
	assert_int_equal(e4df_cluster_pieces(data, ARRAY_SIZE(data)), 7);
	assert_int_equal(e4df_cluster_pieces(spread, ARRAY_SIZE(spread)), 7);
	assert_int_equal(e4df_cluster_pieces(NULL, 0), 0);
	assert_int_equal(e4df_cluster_fold(NULL, 0, 2, NULL), 0);
}

/* The end of what a file can have. */
static void far_end(void **state)
{
	const struct e4df_extent data = { (1ULL << 47) + 0xfffc, 0,
					  UINT32_MAX - 3, 4 };
	const struct e4df_extent place = { 5, 0, UINT32_MAX >> 4, 1 };
	struct e4df_extent out[2];

	(void)state;
	assert_int_equal(e4df_cluster_find_bad(&data, 1, 4), 1); /* none */
	assert_int_equal(e4df_cluster_fold(&data, 1, 4, out), 1);
	assert_int_equal(out[0].lblk, UINT32_MAX >> 4);
	assert_int_equal(out[0].len, 1);
	assert_int_equal(out[0].pblk, ((1ULL << 47) + 0xfffc) >> 4);
	assert_int_equal(e4df_cluster_spread(&data, 1, 4, &place, 1, out), 1);
	assert_int_equal(out[0].pblk, 5 * 16 + 12);
	assert_int_equal(out[0].lblk, UINT32_MAX - 3);
	assert_int_equal(out[0].len, 4);
}

static void bad_ones(void **state)
{
	static const struct e4df_extent shifted[] = { { 64, 0, 0, 4 },
						      { 69, 0, 4, 1 } };
	static const struct e4df_extent torn[] = { { 64, 0, 0, 2 },
						   { 70, 0, 2, 1 } };
	static const struct e4df_extent late[] = { { 64, 0, 0, 5 },
						   { 77, 0, 5, 1 } };
	static const struct e4df_extent right[] = { { 64, 0, 0, 2 },
						    { 66, U, 2, 1 },
						    { 76, 0, 4, 1 } };

	(void)state;
	assert_int_equal(e4df_cluster_find_bad(shifted, 2, 2), 1);
	assert_int_equal(e4df_cluster_find_bad(torn, 2, 2), 1);
	assert_int_equal(e4df_cluster_find_bad(late, 2, 2), 1);
	assert_int_equal(e4df_cluster_find_bad(right, 3, 2), 3);
	assert_int_equal(e4df_cluster_find_bad(shifted, 2, 0), 2);
	assert_int_equal(e4df_cluster_find_bad(torn, 2, 0), 2);
}

/* On random maps: spread undoes fold, and the map in clusters agrees. */
static void both_ways(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 60; seed++) {
		struct prng rng = { seed };
		struct maps_recipe recipe = {
			.blocks = 150 + pick(&rng, 400),
			.free_percent = 1 + pick(&rng, 60),
			.file_blocks = 1 + pick(&rng, 100),
			.scattered = pick(&rng, 101),
			.odd_fixed = pick(&rng, 8),
			.immovable = pick(&rng, 15),
			.cluster_bits = 1 + seed % 6,
		};
		struct e4df_map *map = maps_random(&rng, &recipe), *folded;
		unsigned int bits = recipe.cluster_bits;

		assert_int_equal(e4df_cluster_map(map, &folded), 0);
		assert_int_equal(e4df_map_count(folded), e4df_map_count(map));
		assert_int_equal(e4df_runs_blocks(e4df_map_free_blocks(folded))
					 << bits,
				 e4df_runs_blocks(e4df_map_free_blocks(map)));
		assert_int_equal(e4df_runs_blocks(e4df_map_areas(folded))
					 << bits,
				 e4df_runs_blocks(e4df_map_areas(map)));
		for (uint32_t i = 0; i < e4df_map_count(map); i++) {
			const struct e4df_inode *inode = e4df_map_inode(map, i);
			const struct e4df_inode *twin =
				e4df_map_inode(folded, i);
			const struct e4df_extent *e = e4df_map_extents(map, i);
			const struct e4df_extent *c =
				e4df_map_extents(folded, i);
			struct e4df_shape shape;
			struct e4df_extent *out = malloc(
				(inode->data + twin->data + 1) * sizeof(*out));
			uint32_t n;

			assert_non_null(out);
			if (inode->why == E4DF_MOVABLE) {
				n = e4df_cluster_spread(e, inode->data, bits, c,
							twin->data, out);
				check_same(out, n, e, inode->data);
				e4df_map_measure(map, i, &shape);
				assert_int_equal(shape.runs,
						 e4df_extents_runs(c,
								   twin->data));
				assert_int_equal(
					shape.allocated,
					(e4df_extents_blocks(c, twin->data) +
					 inode->tree)
						<< bits);
			}
			free(out);
		}
		e4df_map_free(folded);
		e4df_map_free(map);
	}
}

/* What cannot be otherwise is not a break: holes within a cluster. */
static void measures(void **state)
{
	static const struct {
		struct e4df_extent e[4];
		uint32_t count, runs;
	} table[] = {
		{ { { 64, 0, 0, 1 }, { 66, 0, 2, 1 }, { 68, 0, 4, 1 } }, 3, 1 },
		{ { { 67, 0, 3, 1 }, { 68, 0, 8, 1 } }, 2, 1 }, /* a hole */
		{ { { 64, 0, 0, 1 }, { 72, 0, 4, 1 } }, 2, 2 }, /* a gap */
		{ { { 68, 0, 0, 4 }, { 64, 0, 4, 4 } }, 2, 2 },
		{ { { 64, 0, 0, 2 }, { 66, U, 2, 6 } }, 2, 1 },
	};
	const struct e4df_geometry g = { .blocks = 120,
					 .groups = 1,
					 .cluster_bits = 2 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct e4df_runs fixed = E4DF_RUNS_INIT, none = E4DF_RUNS_INIT;
		struct e4df_shape shape;
		struct e4df_map *map;
		uint32_t index;

		assert_int_equal(e4df_map_new(&g, &map), 0);
		assert_int_equal(e4df_map_add_inode(map, 12, E4DF_REGULAR,
						    E4DF_WHY_SWAP, &index),
				 0);
		assert_int_equal(e4df_map_set_extents(map, index, table[i].e,
						      table[i].count, 0),
				 0);
		assert_int_equal(e4df_map_finish(map, &fixed, &none), 0);
		e4df_map_measure(map, index, &shape);
		assert_int_equal(shape.runs, table[i].runs);
		assert_int_equal(shape.ideal, 1);
		assert_int_equal(shape.allocated, 8);
		for (size_t k = 0; k < e4df_map_fixed(map)->count; k++) {
			assert_int_equal(e4df_map_fixed(map)->v[k].start % 4,
					 0);
			assert_int_equal(e4df_map_fixed(map)->v[k].len % 4, 0);
		}
		e4df_map_free(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_hand),  cmocka_unit_test(far_end),
		cmocka_unit_test(bad_ones), cmocka_unit_test(both_ways),
		cmocka_unit_test(measures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
