/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What moves make of a map, and moves that are not of this map. */
#include "update.h"

#include <string.h>

#include "e4df_err.h"
#include "maps.h"

#define TREE E4DF_EXTENT_TREE
#define OLD  E4DF_EXTENT_UNWRITTEN

static const struct e4df_range fixed[] = { { 0, 5 } };

/* Five extents and so a mapping block, and one extent. */
static const struct maps_file files[] = {
	{ 12,
	  E4DF_MOVABLE,
	  6,
	  { { 10, 0, 0, 4 },
	    { 20, OLD, 4, 2 },
	    { 30, 0, 6, 1 },
	    { 40, 0, 8, 1 },
	    { 50, 0, 10, 1 },
	    { 60, TREE, 0, 1 } } },
	{ 13, E4DF_MOVABLE, 1, { { 70, 0, 0, 9 } } },
	{ .count = 0 },
};

struct sample {
	struct e4df_move moves[4];
	struct e4df_change changes[2];
	blk64_t tree[3];
	struct e4df_batch batch;
};

/* The last three extents of one come together; the middle of the other goes. */
static void make_sample(struct sample *s)
{
	*s = (struct sample){
		.moves = { { .from = 40, .to = 80, .lblk = 8, .len = 1 },
			   { .from = 50, .to = 82, .lblk = 10, .len = 1 },
			   { .from = 73, .to = 90, .lblk = 3, .len = 2 },
			   { .from = 75, .to = 92, .lblk = 5, .len = 1 } },
		.changes = { { .moves = 2, .old_tree = 1, .tree = 1 },
			     { .inode = 1, .moves = 2 } },
		.tree = { 60, 85 },
	};
	s->batch = (struct e4df_batch){
		.moves = s->moves,
		.move_count = 4,
		.changes = s->changes,
		.change_count = 2,
		.tree = s->tree,
		.tree_count = 2,
	};
}

static void check_runs(const struct e4df_runs *runs,
		       const struct e4df_range *want, size_t count)
{
	assert_int_equal(runs->count, count);
	assert_memory_equal(runs->v, want, count * sizeof(*want));
}

/* Parts stay, and what has come together is one extent. */
static void moves(void **state)
{
	static const struct e4df_extent want[] = {
		{ 10, 0, 0, 4 }, { 20, OLD, 4, 2 }, { 30, 0, 6, 1 },
		{ 80, 0, 8, 1 }, { 82, 0, 10, 1 },  { 85, TREE, 0, 1 },
		{ 70, 0, 0, 3 }, { 90, 0, 3, 3 },   { 76, 0, 6, 3 },
	};
	static const struct e4df_range taken[] = {
		{ 80, 1 }, { 82, 1 }, { 85, 1 }, { 90, 3 }
	};
	static const struct e4df_range released[] = {
		{ 40, 1 }, { 50, 1 }, { 60, 1 }, { 73, 3 }
	};
	struct e4df_map *map = maps_drawn(100, fixed, 1, files);
	struct e4df_update u;
	struct sample s;

	(void)state;
	make_sample(&s);
	assert_int_equal(e4df_update_make(map, &s.batch, &u), 0);
	assert_int_equal(u.mapping_count, 2);
	assert_int_equal(u.mappings[0].data, 5);
	assert_int_equal(u.mappings[0].tree, 1);
	assert_int_equal(u.mappings[1].inode, 1);
	assert_int_equal(u.mappings[1].data, 3);
	assert_int_equal(u.mappings[1].first, 6);
	assert_int_equal(u.extent_count, 9);
	assert_memory_equal(u.extents, want, sizeof(want));
	check_runs(&u.taken, taken, 4);
	check_runs(&u.released, released, 4);
	e4df_update_release(&u);
	e4df_map_free(map);
}

/* With clusters of four blocks all of a cluster is taken and released. */
static void clusters(void **state)
{
	static const struct e4df_range taken[] = { { 80, 16 } };
	static const struct e4df_range released[] = {
		{ 40, 4 }, { 48, 4 }, { 60, 4 }, { 72, 4 }
	};
	struct e4df_runs runs = E4DF_RUNS_INIT;
	struct sample s;

	(void)state;
	make_sample(&s);
	assert_int_equal(e4df_batch_taken(&s.batch, 2, &runs), 0);
	check_runs(&runs, taken, 1);
	assert_int_equal(e4df_batch_released(&s.batch, 2, &runs), 0);
	check_runs(&runs, released, 4);
	e4df_runs_free(&runs);
}

static void refuse(const struct e4df_map *map, struct sample *s)
{
	struct e4df_update u;

	assert_int_equal(e4df_update_make(map, &s->batch, &u),
			 E4DF_ET_INCONSISTENT);
	make_sample(s);
}

/* Nothing is made of a map that has not what is to move. */
static void others(void **state)
{
	struct e4df_map *map = maps_drawn(100, fixed, 1, files);
	struct sample s;

	(void)state;
	make_sample(&s);
	s.moves[0].from++;
	refuse(map, &s);
	s.moves[1].lblk++; /* not mapped */
	refuse(map, &s);
	s.moves[3].lblk = 4; /* twice */
	s.moves[3].from = 74;
	refuse(map, &s);
	s.moves[3].len = 5; /* too long */
	refuse(map, &s);
	s.tree[0]++;
	refuse(map, &s);
	s.changes[0].old_tree = 0;
	refuse(map, &s);
	e4df_map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves),
		cmocka_unit_test(clusters),
		cmocka_unit_test(others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
