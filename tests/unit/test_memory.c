/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a map takes, as its header says: bytes for each inode, extent, range,
 * xattr block and owner, and nothing for each block; and what planning takes
 * for each run.  All numbers are powers of two, to which vectors grow.  Linked
 * with --wrap for malloc and its kin.
 */
#include <malloc.h>
#include <stdlib.h>

#include "plan.h"
#include "tree.h"
#include "unit.h"
#include "wrap.h"

#define SLACK (64 << 10) /* of the allocator, and what there is once */

static size_t live; /* bytes allocated and not yet freed */
static size_t peak; /* the most that were */

static void *count(void *p)
{
	live += malloc_usable_size(p);
	if (peak < live)
		peak = live;
	return p;
}

void *__wrap_malloc(size_t size)
{
	return count(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return count(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	live -= malloc_usable_size(old);
	return count(__real_realloc(old, size));
}

void __wrap_free(void *p)
{
	live -= malloc_usable_size(p);
	__real_free(p);
}

struct load {
	blk64_t blocks;
	__u32 inodes;  /* a power of two, as are those that follow */
	__u32 extents; /* of each; one of them is a mapping block */
	__u32 holes;   /* free ranges */
	__u32 xattrs;
	__u32 owners; /* of each */
};

static void add_inodes(struct e4df_map *map, const struct load *l, blk64_t *at)
{
	struct e4df_extent e[16];
	__u32 index;

	for (__u32 i = 0; i < l->inodes; i++) {
		for (__u32 k = 0; k < l->extents; k++, *at += 2)
			e[k] = (struct e4df_extent){
				.pblk = *at & E4DF_PBLK_MAX,
				.lblk = k,
				.len = 1,
			};
		assert_int_equal(e4df_map_add_inode(map, 12 + i, E4DF_REGULAR,
						    E4DF_MOVABLE, &index),
				 0);
		assert_int_equal(e4df_map_set_extents(map, index, e,
						      l->extents - 1, 1),
				 0);
	}
}

static struct e4df_map *make(const struct load *l)
{
	const struct e4df_geometry g = {
		.blocks = l->blocks,
		.block_size = 4096,
		.blocks_per_group = 32768,
	};
	struct e4df_runs fixed = E4DF_RUNS_INIT, unused = E4DF_RUNS_INIT;
	ext2_ino_t owner[8] = { 12 };
	struct e4df_map *map;
	blk64_t at = 2;

	assert_int_equal(e4df_map_new(&g, &map), 0);
	add_inodes(map, l, &at);
	for (__u32 i = 0; i < l->xattrs; i++, at += 2) {
		for (__u32 k = 0; k < l->owners; k++)
			owner[k] = 12 + i * l->owners + k;
		assert_int_equal(e4df_map_add_xattr(map, at, owner, l->owners,
						    E4DF_MOVABLE),
				 0);
	}
	for (__u32 i = 0; i < l->holes; i++, at += 2)
		assert_int_equal(e4df_runs_push(&unused, at, 1), 0);
	assert_true(at < l->blocks);
	assert_int_equal(e4df_runs_push(&fixed, 0, 1), 0);
	assert_int_equal(e4df_map_finish(map, &fixed, &unused), 0);
	return map;
}

/* Exactly so many bytes, but for the slack, and all are given back. */
static void expect(const struct load *l, size_t bytes)
{
	size_t before = live;
	struct e4df_map *map = make(l);

	assert_in_range(live - before, bytes, bytes + SLACK);
	e4df_map_free(map);
	assert_int_equal(live, before);
}

static void inodes(void **state)
{
	const struct load l = { .blocks = 1 << 22,
				.inodes = 1 << 18,
				.extents = 4 };

	(void)state;
	expect(&l, (size_t)l.inodes * 16 + (size_t)l.inodes * l.extents * 16);
}

static void ranges(void **state)
{
	const struct load l = { .blocks = 1 << 22, .holes = 1 << 18 };

	(void)state;
	expect(&l, (size_t)l.holes * 16);
}

static void xattrs(void **state)
{
	const struct load l = { .blocks = 1 << 22,
				.xattrs = 1 << 17,
				.owners = 4 };

	(void)state;
	expect(&l, (size_t)l.xattrs * (36 + 4 * l.owners));
}

static void blocks(void **state)
{
	const struct load l = { .blocks = 1ULL << 44,
				.inodes = 1 << 10,
				.extents = 2 };

	(void)state;
	expect(&l, (size_t)l.inodes * (16 + 2 * 16));
}

enum {
	PIECES = 1 << 16, /* of two blocks, with one that is free behind */
	LARGE = 1 << 12,  /* pieces of one file, each sixteenth of all */
	SMALL = 4,	  /* pieces of each other one, far from each other */
	FILES = (PIECES - LARGE) / SMALL,
	FIRST = 100,   /* block */
	PER_RUN = 240, /* bytes, besides the map */
};

/* The place of a file's piece; the large one is file 0. */
static blk64_t place_of(__u32 file, __u32 piece)
{
	__u32 n = file ? piece * FILES + file - 1 : piece;

	return FIRST + 3 * (file ? n / 15 * 16 + n % 15 + 1 : 16ULL * n);
}

static void add_pieces(struct e4df_map *map, __u32 file)
{
	static struct e4df_extent e[LARGE + 32];
	__u32 count = file ? SMALL : LARGE, index;
	__u32 tree = e4df_tree_blocks(count, 4096);

	for (__u32 i = 0; i < count; i++)
		e[i] = (struct e4df_extent){
			.pblk = place_of(file, i) & E4DF_PBLK_MAX,
			.lblk = 2 * i,
			.len = 2,
		};
	for (__u32 i = 0; i < tree; i++)
		e[count + i] = (struct e4df_extent){
			.pblk = (FIRST + 3 * PIECES + i) & E4DF_PBLK_MAX,
			.flags = E4DF_EXTENT_TREE,
			.len = 1,
		};
	assert_int_equal(e4df_map_add_inode(map, 12 + file, E4DF_REGULAR,
					    E4DF_MOVABLE, &index),
			 0);
	assert_int_equal(e4df_map_set_extents(map, index, e, count, tree), 0);
}

static struct e4df_map *make_pieces(void)
{
	const struct e4df_geometry g = {
		.blocks = 1 << 18,
		.block_size = 4096,
		.blocks_per_group = 32768,
		.inodes_per_group = 2048,
		.inodes_per_block = 16,
		.descs_per_block = 64,
		.groups = 8,
		.groups_per_flex = 1,
	};
	blk64_t end = FIRST + 3 * PIECES + e4df_tree_blocks(LARGE, 4096);
	struct e4df_runs fixed = E4DF_RUNS_INIT, unused = E4DF_RUNS_INIT;
	struct e4df_map *map;

	assert_int_equal(e4df_map_new(&g, &map), 0);
	for (__u32 i = 0; i <= FILES; i++)
		add_pieces(map, i);
	for (__u32 i = 0; i < PIECES; i++)
		assert_int_equal(e4df_runs_push(&unused, FIRST + 3 * i + 2, 1),
				 0);
	assert_int_equal(e4df_runs_push(&unused, end, g.blocks - end), 0);
	assert_int_equal(e4df_runs_push(&fixed, 0, FIRST), 0);
	assert_int_equal(e4df_map_finish(map, &fixed, &unused), 0);
	return map;
}

/*
 * Planning takes so many bytes for a run, also where a file goes to its place
 * in many batches.
 */
static void plans(void **state)
{
	const struct e4df_policy policy = {
		.batch_blocks = 500,
		.log_blocks = 4000,
	};
	struct e4df_map *map = make_pieces();
	struct e4df_plan *plan;
	size_t before = live;

	(void)state;
	peak = live;
	assert_int_equal(e4df_plan_build(map, &policy, &plan), 0);
	assert_true(e4df_plan_count(plan) > 200);
	assert_in_range(peak - before, 1, (size_t)PER_RUN * PIECES);
	e4df_plan_free(plan);
	assert_int_equal(live, before);
	e4df_map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inodes), cmocka_unit_test(ranges),
		cmocka_unit_test(xattrs), cmocka_unit_test(blocks),
		cmocka_unit_test(plans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
