/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file that becomes whole leaves the hole of its mapping block: what is small
 * moves into it where else there would be more free runs than before.
 */
#include "replay.h"

#include "maps.h"

/* Indices of the files drawn below. */
enum { LARGE, TORN, SMALL };

/*
 *	10        20          70 71          121  122          132   397
 *	|.........|LLLLLLLLLLL|t |LLLLLLLLLLL|S   |TTTTTTTTTTTT|LLLLL|...
 *
 * The torn file lies backwards, and fills the first free run.  Its mapping
 * block and its data become free, and there is a free run more than before; a
 * file of one block lies beside the data, or between the two.
 */
static struct e4df_map *draw_in(blk64_t blocks, blk64_t small, blk64_t torn,
				enum e4df_why why)
{
	static const struct e4df_range fixed[] = { { 0, 10 } };
	struct maps_file files[] = {
		[LARGE] = { .ino = 12, .why = E4DF_WHY_IMMUTABLE, .count = 3 },
		[TORN] = { .ino = 13, .count = 6 },
		[SMALL] = { .ino = 14, .why = why, .count = 1 },
		{ .count = 0 },
	};
	blk64_t second = small == 71 ? torn : small;

	files[LARGE].extent[0] = (struct e4df_extent){ 20, 0, 0, 50 };
	files[LARGE].extent[1] =
		(struct e4df_extent){ 71, 0, 50, (__u32)(second - 71) };
	files[LARGE].extent[2] =
		(struct e4df_extent){ (torn + 10) & E4DF_PBLK_MAX, 0, 200,
				      (__u32)(387 - torn) };
	if (small == 71) {
		files[LARGE].extent[1] = files[LARGE].extent[2];
		files[LARGE].count = 2;
	}
	for (unsigned int i = 0; i < 5; i++)
		files[TORN].extent[i] = (struct e4df_extent){
			(torn + 8 - 2 * i) & E4DF_PBLK_MAX, 0, 2 * i, 2
		};
	files[TORN].extent[5] =
		(struct e4df_extent){ 70, E4DF_EXTENT_TREE, 0, 1 };
	files[SMALL].extent[0] =
		(struct e4df_extent){ small & E4DF_PBLK_MAX, 0, 0, 1 };
	return maps_drawn(blocks, fixed, 1, files);
}

static struct e4df_map *draw(blk64_t small, blk64_t torn, enum e4df_why why)
{
	return draw_in(400, small, torn, why);
}

static struct e4df_policy defrag(void)
{
	return (struct e4df_policy){
		.batch_blocks = 4096,
		.log_blocks = 1000,
	};
}

/* What the policy makes of the map, from which that borrows. */
static struct e4df_map *run(const struct e4df_map *map,
			    const struct e4df_policy *policy)
{
	struct e4df_plan *plan;
	struct e4df_map *after;

	assert_int_equal(e4df_map_free_blocks(map)->count, 2);
	assert_int_equal(e4df_plan_build(map, policy, &plan), 0);
	after = replay_plan(map, policy, plan);
	e4df_plan_free(plan);
	assert_int_equal(e4df_plan_build(after, policy, &plan), 0);
	assert_int_equal(e4df_plan_count(plan), 0);
	e4df_plan_free(plan);
	return after;
}

/* Returns where the small file is in the end; the map is freed. */
static blk64_t check(struct e4df_map *map, const struct e4df_policy *policy,
		     uint32_t excess)
{
	struct e4df_map *after = run(map, policy);
	blk64_t at = e4df_map_extents(after, SMALL)->pblk;

	assert_int_equal(replay_excess(after, TORN), excess);
	assert_int_equal(e4df_map_free_blocks(after)->count, 2);
	e4df_map_free(after);
	e4df_map_free(map);
	return at;
}

static void fills_hole(void **state)
{
	struct e4df_policy policy = defrag();

	(void)state;
	assert_int_equal(check(draw(121, 122, E4DF_MOVABLE), &policy, 0), 70);
	policy.flags = E4DF_POLICY_ORDERED;
	assert_int_equal(check(draw(121, 122, E4DF_MOVABLE), &policy, 0), 70);
}

static void joins_two(void **state)
{
	struct e4df_policy policy = defrag();

	(void)state;
	assert_int_not_equal(check(draw(71, 72, E4DF_MOVABLE), &policy, 0), 71);
}

/* What is not to be improved makes way; what must not move does not. */
static void keeps_to_policy(void **state)
{
	static const unsigned char is_wanted[] = { 1, 1, 0 };
	struct e4df_policy policy = defrag();

	(void)state;
	check(draw(121, 122, E4DF_WHY_EXCLUDED), &policy, 4);
	policy.is_wanted = is_wanted;
	assert_int_equal(check(draw(121, 122, E4DF_MOVABLE), &policy, 0), 70);
	policy.is_wanted = NULL;
	policy.max_blocks = 10; /* those of the torn file */
	assert_int_equal(check(draw(121, 122, E4DF_MOVABLE), &policy, 4), 121);
	policy.max_blocks = 11;
	assert_int_equal(check(draw(121, 122, E4DF_MOVABLE), &policy, 0), 70);
}

/* Where more is free, free runs are no reason to leave it torn. */
static void spares_room(void **state)
{
	struct e4df_policy policy = defrag();
	struct e4df_map *map = draw_in(2000, 121, 122, E4DF_WHY_EXCLUDED);
	struct e4df_map *after = run(map, &policy);

	(void)state;
	assert_int_equal(replay_excess(after, TORN), 0);
	assert_true(e4df_map_free_blocks(after)->count > 2);
	e4df_map_free(after);
	e4df_map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_hole),
		cmocka_unit_test(joins_two),
		cmocka_unit_test(keeps_to_policy),
		cmocka_unit_test(spares_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
