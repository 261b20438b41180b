/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "map.h"

#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"
#include "maps.h"

static struct e4df_map *random_map(unsigned int seed)
{
	struct prng rng = { seed };
	struct maps_recipe recipe = {
		.blocks = 200 + pick(&rng, 2000),
		.free_percent = 5 + pick(&rng, 60),
		.file_blocks = 1 + pick(&rng, 200),
		.scattered = pick(&rng, 101),
		.odd_fixed = pick(&rng, 9),
		.immovable = pick(&rng, 30),
		.xattrs = pick(&rng, 30),
		.owners = 1 + pick(&rng, 9),
	};

	return maps_random(&rng, &recipe);
}

static int compare_descending(const void *a, const void *b)
{
	const blk64_t *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

/* The fewest runs: the largest areas first. */
static uint32_t naive_ideal(const struct e4df_map *map, blk64_t blocks)
{
	const struct e4df_runs *areas = e4df_map_areas(map);
	blk64_t len[4000], sum = 0;
	uint32_t n = 0;

	assert_in_range(areas->count, 0, ARRAY_SIZE(len));
	for (size_t i = 0; i < areas->count; i++)
		len[i] = areas->v[i].len;
	qsort(len, areas->count, sizeof(*len), compare_descending);
	while (sum < blocks && n < areas->count)
		sum += len[n++];
	return n;
}

/* Areas are what is not fixed, and no file needs more runs than they allow. */
static void areas_and_ideal(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 40; seed++) {
		struct e4df_map *map = random_map(seed);
		const struct e4df_geometry *g = e4df_map_geometry(map);
		const struct e4df_runs *areas = e4df_map_areas(map);
		uint64_t *blocks = maps_spread(map);
		blk64_t room = e4df_runs_blocks(areas);

		for (blk64_t b = 0; b < g->blocks; b++)
			assert_int_equal(e4df_runs_is_inside(areas, b, 1),
					 blocks[b] != MAPS_FIXED);
		assert_int_equal(e4df_map_ideal(map, 0), 0);
		for (blk64_t n = 1; n <= room; n++)
			assert_int_equal(e4df_map_ideal(map, n),
					 naive_ideal(map, n));
		free(blocks);
		e4df_map_free(map);
	}
}

static void find(void **state)
{
	struct e4df_map *map = random_map(3);
	uint32_t count = e4df_map_count(map), inodes = count, index = 0;

	(void)state;
	/* xattr blocks are behind, and are not found */
	while (e4df_map_inode(map, inodes - 1)->kind == E4DF_XATTR)
		inodes--;
	assert_in_range(inodes, 4, count - 1);
	for (ext2_ino_t ino = 1;
	     ino < e4df_map_inode(map, inodes - 1)->ino + 10; ino++) {
		int is_there = index < inodes &&
			       e4df_map_inode(map, index)->ino == ino;

		assert_int_equal(e4df_map_find(map, ino),
				 is_there ? index : count);
		index += is_there ? 1 : 0;
	}
	assert_int_equal(index, inodes);
	e4df_map_free(map);
	e4df_map_free(NULL);
}

/* Each number; what is between them is not defined. */
#define TREE E4DF_EXTENT_TREE

static void same_geometry(const struct e4df_geometry *a,
			  const struct e4df_geometry *b)
{
	assert_int_equal(a->blocks, b->blocks);
	assert_int_equal(a->first_block, b->first_block);
	assert_int_equal(a->block_size, b->block_size);
	assert_int_equal(a->blocks_per_group, b->blocks_per_group);
	assert_int_equal(a->inodes_per_group, b->inodes_per_group);
	assert_int_equal(a->inodes_per_block, b->inodes_per_block);
	assert_int_equal(a->descs_per_block, b->descs_per_block);
	assert_int_equal(a->groups, b->groups);
	assert_int_equal(a->groups_per_flex, b->groups_per_flex);
	assert_int_equal(a->cluster_bits, b->cluster_bits);
	assert_int_equal(a->quota_files, b->quota_files);
	assert_int_equal(a->quota_blocks, b->quota_blocks);
}

/* What changes in a fork does not in the map whose lists it has, or back. */
static void check_apart(struct e4df_map *fork, const struct e4df_map *map,
			const struct e4df_map *again)
{
	static const struct e4df_extent e[] = { { 7, 0, 0, 1 },
						{ 9, 0, 1, 1 },
						{ 11, TREE, 0, 1 } };
	struct e4df_mapping m = { .data = 2, .tree = 1 };
	struct e4df_map *twin;

	for (m.inode = 0; m.inode < e4df_map_count(map); m.inode++) {
		assert_int_equal(e4df_map_change(fork, &m, e), 0);
		assert_int_equal(e4df_map_inode(fork, m.inode)->tree, 1);
		assert_memory_equal(e4df_map_extents(fork, m.inode), e,
				    sizeof(e));
	}
	assert_true(e4df_map_is_equal(map, again));
	assert_int_equal(e4df_map_fork(fork, &twin), 0);
	assert_true(e4df_map_is_equal(fork, twin));
	m.tree = 0;
	m.inode = 0;
	assert_int_equal(e4df_map_change(twin, &m, e + 1), 0);
	assert_memory_equal(e4df_map_extents(twin, 0), e + 1, 2 * sizeof(*e));
	assert_memory_equal(e4df_map_extents(fork, 0), e, sizeof(e));
	e4df_map_free(twin);
}

static void forks(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 60; seed++) {
		struct e4df_map *map = random_map(seed), *twin, *again;
		blk64_t room = e4df_runs_blocks(e4df_map_areas(map));

		again = random_map(seed);
		assert_int_equal(e4df_map_fork(map, &twin), 0);
		assert_true(e4df_map_is_equal(map, twin));
		assert_true(e4df_map_is_equal(twin, again));
		same_geometry(e4df_map_geometry(map), e4df_map_geometry(twin));
		for (blk64_t n = 0; n < room; n += 7)
			assert_int_equal(e4df_map_ideal(map, n),
					 e4df_map_ideal(twin, n));
		check_apart(twin, map, again);
		e4df_map_free(twin);
		e4df_map_free(map);
		e4df_map_free(again);
	}
}

static const struct e4df_range fixed[] = { { 0, 3 }, { 50, 2 } };

static struct maps_file drawn[] = {
	{ 12,
	  E4DF_MOVABLE,
	  3,
	  { { 10, 0, 0, 4 }, { 20, 0, 4, 2 }, { 30, TREE, 0, 1 } } },
	{ 13, E4DF_WHY_SWAP, 1, { { 40, 0, 0, 5 } } },
	{ 15, E4DF_MOVABLE, 1, { { 60, E4DF_EXTENT_UNWRITTEN, 7, 3 } } },
	{ .count = 0 },
};

static struct e4df_map *draw(const struct maps_file *files)
{
	return maps_drawn(100, fixed, ARRAY_SIZE(fixed), files);
}

/* Each difference counts, wherever it is. */
static void equality(void **state)
{
	struct e4df_map *map = draw(drawn);
	struct maps_file file[ARRAY_SIZE(drawn)];

	(void)state;
	for (int what = 0; what < 8; what++) {
		struct e4df_map *other;

		memcpy(file, drawn, sizeof(file));
		if (what == 1)
			file[2].ino++;
		else if (what == 2)
			file[0].extent[1].pblk++;
		else if (what == 3)
			file[2].extent[0].lblk++;
		else if (what == 4)
			file[2].extent[0].flags = 0;
		else if (what == 5)
			file[0].count--; /* no tree */
		else if (what == 6)
			file[1].why = E4DF_WHY_BOOT;
		else if (what == 7)
			file[2].count = 0; /* one file less */
		other = draw(file);
		assert_int_equal(e4df_map_is_equal(map, other), !what);
		assert_int_equal(e4df_map_is_equal(other, map), !what);
		e4df_map_free(other);
	}
	e4df_map_free(map);
}

/* So does each difference of an xattr block; and each keeps its owners. */
static void xattrs(void **state)
{
	static const struct maps_xattr some[] = {
		{ 70, 3, { 12, 40, 99 } },
		{ 5, 1, { 13 } },
		{ .count = 0 },
	};
	struct e4df_map *map =
		maps_drawn_shared(100, fixed, ARRAY_SIZE(fixed), drawn, some);
	struct maps_xattr other[ARRAY_SIZE(some)];
	const ext2_ino_t *owner;
	uint32_t count;

	(void)state;
	assert_int_equal(e4df_map_count(map), 5);
	assert_int_equal(e4df_map_inode(map, 3)->ino, 12);
	owner = e4df_map_owners(map, 3, &count);
	assert_int_equal(count, 3);
	assert_memory_equal(owner, some[0].owner, 3 * sizeof(*owner));
	owner = e4df_map_owners(map, 4, &count);
	assert_int_equal(count, 1);
	assert_int_equal(*owner, 13);
	assert_int_equal(e4df_map_extents(map, 4)->pblk, 5);
	for (int what = 0; what < 5; what++) {
		struct e4df_map *twin;

		memcpy(other, some, sizeof(other));
		if (what == 1)
			other[0].blk++;
		else if (what == 2)
			other[0].count--;
		else if (what == 3)
			other[0].owner[2]++;
		else if (what == 4)
			other[1].count = 0;
		twin = maps_drawn_shared(100, fixed, ARRAY_SIZE(fixed), drawn,
					 other);
		assert_int_equal(e4df_map_is_equal(map, twin), !what);
		assert_int_equal(e4df_map_is_equal(twin, map), !what);
		e4df_map_free(twin);
	}
	e4df_map_free(map);
}

/* What cannot move is fixed, and bounds the areas. */
static void immovable_is_fixed(void **state)
{
	struct e4df_map *map = draw(drawn);
	const struct e4df_runs *areas = e4df_map_areas(map);

	(void)state;
	assert_int_equal(areas->count, 3);
	assert_int_equal(areas->v[0].start, 3);
	assert_int_equal(areas->v[0].len, 37);
	assert_int_equal(areas->v[1].start, 45);
	assert_int_equal(areas->v[1].len, 5);
	assert_int_equal(areas->v[2].start, 52);
	assert_int_equal(areas->v[2].len, 48);
	assert_int_equal(e4df_runs_blocks(e4df_map_fixed(map)), 10);
	assert_int_equal(e4df_runs_blocks(e4df_map_free_blocks(map)),
			 100 - 10 - 7 - 3);
	assert_int_equal(e4df_map_ideal(map, 48), 1);
	assert_int_equal(e4df_map_ideal(map, 49), 2);
	assert_int_equal(e4df_map_ideal(map, 86), 3);
	e4df_map_free(map);
}

/* Pinned later is as immovable from the start; and yet the same layout. */
static void pins(void **state)
{
	static const uint32_t both[] = { 2, 0 };
	struct e4df_map *map = draw(drawn), *twin = draw(drawn), *want, *other;
	struct maps_file file[ARRAY_SIZE(drawn)];

	(void)state;
	memcpy(file, drawn, sizeof(file));
	file[0].why = file[2].why = E4DF_WHY_UNREADABLE;
	want = draw(file);
	file[2].extent[0].pblk++;
	other = draw(file);
	assert_int_equal(e4df_map_pin(map, both, 0, E4DF_WHY_UNREADABLE), 0);
	assert_int_equal(e4df_map_inode(map, 0)->why, E4DF_MOVABLE);
	assert_int_equal(e4df_map_pin(map, both, 2, E4DF_WHY_UNREADABLE), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(e4df_map_inode(map, i)->why, file[i].why);
	assert_int_equal(e4df_map_areas(map)->count,
			 e4df_map_areas(want)->count);
	assert_int_equal(e4df_runs_blocks(e4df_map_fixed(map)), 20);
	for (blk64_t n = 1; n <= 80; n++)
		assert_int_equal(e4df_map_ideal(map, n),
				 e4df_map_ideal(want, n));
	assert_true(e4df_map_is_equal(map, want));
	assert_true(e4df_map_is_equal(map, twin));
	assert_true(e4df_map_is_equal(twin, map));
	assert_false(e4df_map_is_equal(twin, other));
	e4df_map_free(map);
	e4df_map_free(twin);
	e4df_map_free(want);
	e4df_map_free(other);
}

/* An update in which two lists outgrow their place. */
static void apply(void **state)
{
	struct e4df_extent extents[] = {
		{ 70, 0, 0, 5 },
		{ 77, 0, 5, 1 },
		{ 90, TREE, 0, 1 },
		{ 92, TREE, 0, 1 },
		{ 61, E4DF_EXTENT_UNWRITTEN, 7, 1 },
		{ 80, E4DF_EXTENT_UNWRITTEN, 8, 2 },
	};
	struct e4df_mapping mappings[] = {
		{ .inode = 0, .data = 2, .tree = 2, .first = 0 },
		{ .inode = 2, .data = 2, .tree = 0, .first = 4 },
	};
	struct e4df_range taken[] = {
		{ 70, 5 }, { 77, 1 }, { 80, 2 }, { 90, 1 }, { 92, 1 },
	};
	struct e4df_range released[] = {
		{ 10, 4 }, { 20, 2 }, { 30, 1 }, { 60, 1 }, { 62, 1 },
	};
	struct e4df_update update = {
		.mappings = mappings,
		.mapping_count = 2,
		.extents = extents,
		.extent_count = 6,
		.taken = { taken, 5, 5 },
		.released = { released, 5, 5 },
	};
	struct maps_file after[] = {
		{ 12,
		  E4DF_MOVABLE,
		  4,
		  { extents[0], extents[1], extents[2], extents[3] } },
		drawn[1],
		{ 15, E4DF_MOVABLE, 2, { extents[4], extents[5] } },
		{ .count = 0 },
	};
	struct e4df_map *map = draw(drawn), *want = draw(after);

	(void)state;
	assert_int_equal(e4df_map_prepare(map, &update), 0);
	assert_false(e4df_map_is_equal(map, want));
	assert_int_equal(e4df_map_prepare(map, &update), 0); /* harmless */
	e4df_map_apply(map, &update);
	assert_true(e4df_map_is_equal(map, want));
	e4df_map_free(map);
	e4df_map_free(want);
}

static void limits(void **state)
{
	const struct e4df_geometry g = { .blocks = 10 };
	struct e4df_extent e = { 1, 0, 0, 1 };
	struct e4df_map *map;
	uint32_t index;

	(void)state;
	assert_int_equal(e4df_map_new(&g, &map), 0);
	assert_int_equal(e4df_map_add_inode(map, 11, E4DF_SYMLINK, E4DF_MOVABLE,
					    &index),
			 0);
	assert_int_equal(index, 0);
	assert_int_equal(e4df_map_set_extents(map, 0, &e, 0, 1U << 24),
			 E4DF_ET_OVERFLOW);
	assert_int_equal(e4df_map_set_extents(map, 0, &e, UINT32_MAX, 1),
			 E4DF_ET_OVERFLOW);
	e4df_map_set_why(map, 0, E4DF_WHY_IMMUTABLE);
	assert_int_equal(e4df_map_inode(map, 0)->why, E4DF_WHY_IMMUTABLE);
	assert_int_equal(e4df_map_inode(map, 0)->kind, E4DF_SYMLINK);
	e4df_map_free(map); /* not finished */
	for (int why = 0; why < E4DF_WHY_COUNT; why++)
		assert_non_null(e4df_why_text((enum e4df_why)why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(areas_and_ideal),
		cmocka_unit_test(find),
		cmocka_unit_test(forks),
		cmocka_unit_test(equality),
		cmocka_unit_test(xattrs),
		cmocka_unit_test(immovable_is_fixed),
		cmocka_unit_test(pins),
		cmocka_unit_test(apply),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
