/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "readcost.h"

#include <stdlib.h>
#include <string.h>

#include "blockmap.h"
#include "tree.h"
#include "unit.h"

#define MS   1000000ULL /* in nanoseconds */
#define BYTE 10ULL	/* 100 MB/s */

struct file {
	enum e4df_format format;
	uint32_t data, tree;
	struct e4df_extent e[24];
};

static struct e4df_map *new_map(unsigned int block_size, blk64_t blocks)
{
	const struct e4df_geometry g = {
		.blocks = blocks,
		.block_size = block_size,
		.groups = 1,
	};
	struct e4df_map *map;

	assert_int_equal(e4df_map_new(&g, &map), 0);
	return map;
}

static void add_file(struct e4df_map *map, enum e4df_format format,
		     const struct e4df_extent *e, uint32_t data, uint32_t tree)
{
	uint32_t i;

	assert_int_equal(e4df_map_add_inode(map, 12 + e4df_map_count(map),
					    E4DF_REGULAR, E4DF_MOVABLE, &i),
			 0);
	assert_int_equal(e4df_map_set_extents(map, i, e, data, tree), 0);
	e4df_map_set_format(map, i, format);
}

static void finish(struct e4df_map *map)
{
	struct e4df_runs fixed = E4DF_RUNS_INIT, unused = E4DF_RUNS_INIT;

	assert_int_equal(e4df_map_finish(map, &fixed, &unused), 0);
}

/* All files of a map, in its order. */
static struct e4df_readcost take_map(const struct e4df_map *map)
{
	uint32_t count = e4df_map_count(map);
	uint32_t *order = calloc(count + 1, sizeof(*order));
	struct e4df_readcost cost;

	assert_non_null(order);
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	memset(&cost, 0xff, sizeof(cost));
	e4df_readcost_take(map, order, count, &cost);
	free(order);
	return cost;
}

/* These files on a device of `blocks` blocks. */
static struct e4df_readcost take(unsigned int block_size, blk64_t blocks,
				 const struct file *files, unsigned int count)
{
	struct e4df_map *map = new_map(block_size, blocks);
	struct e4df_readcost cost;

	for (unsigned int i = 0; i < count; i++)
		add_file(map, files[i].format, files[i].e, files[i].data,
			 files[i].tree);
	finish(map);
	cost = take_map(map);
	e4df_map_free(map);
	return cost;
}

#define TAKE(files) take(4096, 1000000, files, ARRAY_SIZE(files))

static void assert_cost(const struct e4df_readcost *c, uint64_t requests,
			uint64_t seeks, uint64_t distance, uint64_t blocks)
{
	assert_int_equal(c->requests, requests);
	assert_int_equal(c->seeks, seeks);
	assert_int_equal(c->distance, distance);
	assert_int_equal(c->blocks, blocks);
}

static void nothing(void **state)
{
	const struct file empty = { E4DF_EXTENTS, 0, 0, { { 0 } } };
	struct e4df_readcost c = take(4096, 100, &empty, 0);

	(void)state;
	assert_cost(&c, 0, 0, 0, 0);
	assert_int_equal(c.nsec, 0);
	c = take(4096, 100, &empty, 1);
	assert_cost(&c, 0, 0, 0, 0);
	assert_int_equal(c.nsec, 0);
}

/* 32 blocks of 4 KiB each, where the file is divided by 32. */
static void windows(void **state)
{
	const struct file front[] = {
		{ E4DF_EXTENTS, 1, 0, { { 0, 0, 0, 64 } } }
	};
	const struct file odd[] = {
		{ E4DF_EXTENTS, 1, 0, { { 0, 0, 31, 66 } } }
	};
	const struct file within[] = {
		{ E4DF_EXTENTS, 1, 0, { { 0, 0, 32, 32 } } }
	};
	const struct file two[] = { { E4DF_EXTENTS, 1, 0, { { 0, 0, 0, 8 } } },
				    { E4DF_EXTENTS, 1, 0, { { 8, 0, 0, 8 } } } };
	struct e4df_readcost c = TAKE(front);

	(void)state;
	assert_cost(&c, 2, 0, 0, 64);
	assert_int_equal(c.nsec, 64 * 4096 * BYTE);
	c = TAKE(odd);
	assert_cost(&c, 4, 0, 0, 66);
	c = TAKE(within);
	assert_cost(&c, 1, 0, 0, 32);
	c = take(1024, 1000000, front, 1);
	assert_cost(&c, 1, 0, 0, 64);
	c = take(65536, 1000000, front, 1);
	assert_cost(&c, 32, 0, 0, 64);
	c = TAKE(two);
	assert_cost(&c, 2, 0, 0, 16);
}

static void holes(void **state)
{
	/* a hole within a window parts nothing, from one to the next it does */
	const struct file hole[] = {
		{ E4DF_EXTENTS,
		  3,
		  0,
		  { { 0, 0, 0, 2 }, { 2, 0, 9, 2 }, { 4, 0, 40, 2 } } }
	};
	const struct file jump[] = {
		{ E4DF_EXTENTS, 2, 0, { { 0, 0, 0, 2 }, { 3, 0, 2, 2 } } }
	};
	const struct file unwritten[] = {
		{ E4DF_EXTENTS,
		  3,
		  0,
		  { { 0, 0, 0, 2 },
		    { 2, E4DF_EXTENT_UNWRITTEN, 2, 4 },
		    { 6, 0, 6, 2 } } },
		{ E4DF_EXTENTS, 1, 0, { { 90, E4DF_EXTENT_UNWRITTEN, 0, 4 } } }
	};
	struct e4df_readcost c = TAKE(hole);

	(void)state;
	assert_cost(&c, 2, 0, 0, 6);
	c = TAKE(jump);
	assert_cost(&c, 2, 1, 1, 4);
	c = TAKE(unwritten);
	assert_cost(&c, 2, 1, 4, 4);
}

/* The time of one block read at `to` when the heads are behind block 9. */
static uint64_t seek_time(blk64_t to, blk64_t blocks)
{
	const struct file files[] = {
		{ E4DF_EXTENTS, 1, 0, { { 0, 0, 0, 10 } } },
		{ E4DF_EXTENTS, 1, 0, { { to & E4DF_PBLK_MAX, 0, 0, 1 } } }
	};
	struct e4df_readcost c = take(4096, blocks, files, 2);

	assert_cost(&c, 2, to != 10, to > 10 ? to - 10 : 10 - to, 11);
	return c.nsec - 11 * 4096 * BYTE;
}

static void seeks(void **state)
{
	(void)state;
	assert_int_equal(seek_time(10, 1000000), 0);
	/* a gap is passed over: 40.96 us for each block of it */
	assert_int_equal(seek_time(11, 1000000), 4096 * BYTE);
	assert_int_equal(seek_time(10 + 195, 1000000), 195 * 4096 * BYTE);
	/* up to what a seek takes, but never backwards */
	assert_int_equal(seek_time(10 + 196, 1000000), 8001000);
	assert_int_equal(seek_time(9, 1000000), 8 * MS);
	assert_int_equal(seek_time(0, 1000000), 8 * MS);
	assert_int_equal(seek_time(10 + 500000, 1000000), 12 * MS);
	assert_int_equal(seek_time(10 + 999985, 1000000), 15999000);
	/* on a small device also long gaps, of which the ends are far apart */
	assert_int_equal(seek_time(10 + 380, 400), 380 * 4096 * BYTE);
	assert_int_equal(seek_time(10 + 382, 400), 15640000);
	/* on the largest one nothing wraps */
	assert_int_equal(seek_time(E4DF_PBLK_MAX - 1, E4DF_PBLK_MAX), 15999000);
}

/* The heads begin at block 0. */
static void first_seek(void **state)
{
	const struct file far[] = {
		{ E4DF_EXTENTS, 1, 0, { { 500000, 0, 0, 1 } } }
	};
	struct e4df_readcost c = TAKE(far);

	(void)state;
	assert_cost(&c, 1, 1, 500000, 1);
	assert_int_equal(c.nsec, 12 * MS + 4096 * BYTE);
}

/* Each node before what it maps, in the middle of a run and of a window. */
static void trees(void **state)
{
	const struct file flat[] = { { E4DF_EXTENTS,
				       1,
				       2,
				       { { 1, 0, 0, 64 },
					 { 0, E4DF_EXTENT_TREE, 0, 1 },
					 { 500, E4DF_EXTENT_TREE, 40, 1 } } } };
	/* 900 is above 910 and 920; 930 maps only a hole */
	const struct file deep[] = { { E4DF_EXTENTS,
				       2,
				       5,
				       { { 100, 0, 0, 8 },
					 { 108, 0, 8, 8 },
					 { 900, E4DF_EXTENT_TREE, 0, 1 },
					 { 901, E4DF_EXTENT_TREE, 30, 1 },
					 { 910, E4DF_EXTENT_TREE, 0, 1 },
					 { 920, E4DF_EXTENT_TREE, 8, 1 },
					 { 930, E4DF_EXTENT_TREE, 30, 1 } } } };
	/* a node for what is not written is read as well */
	const struct file unwritten[] = {
		{ E4DF_EXTENTS,
		  1,
		  2,
		  { { 1, E4DF_EXTENT_UNWRITTEN, 0, 64 },
		    { 0, E4DF_EXTENT_TREE, 0, 1 },
		    { 1, E4DF_EXTENT_TREE, 40, 1 } } }
	};
	struct e4df_readcost c = TAKE(flat);

	(void)state;
	/* 0, 1-32, 33-40, 500, 41-64 */
	assert_cost(&c, 5, 2, 459 + 460, 66);
	c = TAKE(deep);
	/* 900, 910, 100-107, 920, 108-115, 901, 930 */
	assert_cost(&c, 7, 7, 900 + 9 + 811 + 812 + 813 + 785 + 28, 21);
	c = TAKE(unwritten);
	assert_cost(&c, 2, 0, 0, 2);
}

/* With 1 KiB blocks: 12, and 256, and 256^2 of them, and beyond. */
static void block_maps(void **state)
{
	const struct file direct[] = {
		{ E4DF_BLOCK_MAP, 1, 0, { { 0, 0, 0, 12 } } }
	};
	/* as ext3 has it, in two windows: 12, 1, 116, 12 */
	const struct file ext3[] = { { E4DF_BLOCK_MAP,
				       2,
				       1,
				       { { 0, 0, 0, 12 },
					 { 13, 0, 12, 128 },
					 { 12, E4DF_EXTENT_TREE, 0, 1 } } } };
	/* one run to both sides of each boundary, nodes behind each other */
	const struct file all[] = { { E4DF_BLOCK_MAP,
				      1,
				      9,
				      { { 1000, 0, 11, 257 + 65536 + 256 + 1 },
					{ 0, E4DF_EXTENT_TREE, 0, 1 },
					{ 1, E4DF_EXTENT_TREE, 0, 1 },
					{ 2, E4DF_EXTENT_TREE, 0, 1 },
					{ 3, E4DF_EXTENT_TREE, 0, 1 },
					{ 4, E4DF_EXTENT_TREE, 0, 1 },
					{ 5, E4DF_EXTENT_TREE, 0, 1 },
					{ 6, E4DF_EXTENT_TREE, 0, 1 },
					{ 7, E4DF_EXTENT_TREE, 0, 1 },
					{ 8, E4DF_EXTENT_TREE, 0, 1 } } } };
	struct e4df_readcost c = take(1024, 100000, direct, 1);

	(void)state;
	assert_cost(&c, 1, 0, 0, 12);
	c = take(1024, 100000, ext3, 1);
	assert_cost(&c, 4, 0, 0, 141);
	c = take(1024, 100000, all, 1);
	assert_int_equal(c.blocks, 66050 + 9);
	/* 517 windows, cut where a node is read: at 12, 268 ... 1804 */
	assert_int_equal(c.requests, 9 + 517 + 8);
}

/* What the boundaries of the levels need, node for node. */
static void block_map_levels(void **state)
{
	static const struct {
		uint32_t lblk[3];
		unsigned int nodes; /* that are met before the last block */
	} jumps[] = {
		{ { 0, 1, 11 }, 0 },
		{ { 0, 11, 12 }, 1 },
		{ { 12, 13, 267 }, 1 },
		{ { 0, 267, 268 }, 3 },
		{ { 267, 268, 523 }, 3 },
		{ { 268, 523, 524 }, 3 },
		{ { 268, 524, 65803 }, 4 },
		{ { 12, 65803, 65804 }, 6 },
		{ { 0, 65804, 66059 }, 3 },
		{ { 65804, 66060, 131339 }, 5 },
		{ { 65804, 131339, 131340 }, 6 },
		{ { 65804, 131340, 16843019 }, 7 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(jumps); i++) {
		/* enough nodes, from block 0 on; data far behind */
		struct file f = { E4DF_BLOCK_MAP, 3, 9, { { 0 } } };
		struct e4df_extent *e = f.e;
		struct e4df_readcost c;
		uint64_t before;

		for (uint32_t k = 0; k < 3; k++)
			e[k] = (struct e4df_extent){ 5000 + 10 * k, 0,
						     jumps[i].lblk[k], 1 };
		for (uint32_t k = 0; k < 9; k++)
			e[3 + k] = (struct e4df_extent){ 100 * (k + 1),
							 E4DF_EXTENT_TREE, 0,
							 1 };
		/* behind the last block the heads go back to the first of
		 * the rest: if that lies 7 farther on, so much less, and once
		 * more on the way to the next of them */
		c = take(1024, 17000000, &f, 1);
		before = c.distance;
		e[3 + jumps[i].nodes].pblk += 7;
		c = take(1024, 17000000, &f, 1);
		assert_int_equal(before - c.distance, 14);
		assert_int_equal(c.requests, 12);
	}
}

/* What was met in one file is not met in the next one. */
static void two_block_maps(void **state)
{
	const struct file files[] = {
		{ E4DF_BLOCK_MAP,
		  2,
		  1,
		  { { 0, 0, 0, 12 },
		    { 13, 0, 12, 10 },
		    { 12, E4DF_EXTENT_TREE, 0, 1 } } },
		{ E4DF_BLOCK_MAP,
		  2,
		  1,
		  { { 23, 0, 0, 12 },
		    { 36, 0, 12, 10 },
		    { 35, E4DF_EXTENT_TREE, 0, 1 } } },
		{ E4DF_BLOCK_MAP,
		  1,
		  1,
		  { { 47, 0, 12, 10 }, { 46, E4DF_EXTENT_TREE, 0, 1 } } },
		{ E4DF_EXTENTS,
		  1,
		  1,
		  { { 58, 0, 12, 10 }, { 57, E4DF_EXTENT_TREE, 12, 1 } } },
		{ E4DF_BLOCK_MAP,
		  1,
		  1,
		  { { 69, 0, 12, 10 }, { 68, E4DF_EXTENT_TREE, 0, 1 } } },
	};
	struct e4df_readcost c = take(1024, 1000, files, 5);

	(void)state;
	assert_cost(&c, 3 + 3 + 2 + 2 + 2, 0, 0, 79);
}

/* Where the last file ended counts; so does the order. */
static void orders(void **state)
{
	static const uint32_t there[] = { 0, 1, 2 }, back[] = { 2, 1, 0 };
	struct e4df_map *map = new_map(4096, 1000);
	struct e4df_readcost c;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		add_file(map, E4DF_EXTENTS,
			 &(struct e4df_extent){ 10 * i, 0, 0, 10 }, 1, 0);
	finish(map);
	e4df_readcost_take(map, there, 3, &c);
	assert_cost(&c, 3, 0, 0, 30);
	e4df_readcost_take(map, back, 3, &c);
	assert_cost(&c, 3, 3, 20 + 20 + 20, 30);
	e4df_readcost_take(map, back, 2, &c);
	assert_cost(&c, 2, 2, 20 + 20, 20);
	e4df_map_free(map);
}

/* From end to end until no sum can hold it. */
static void sums(void **state)
{
	enum { WAYS = 70000 };
	uint32_t *order = calloc(WAYS, sizeof(*order));
	struct e4df_map *map = new_map(65536, E4DF_PBLK_MAX);
	struct e4df_readcost c;

	(void)state;
	assert_non_null(order);
	add_file(map, E4DF_EXTENTS, &(struct e4df_extent){ 0, 0, 0, 1 }, 1, 0);
	add_file(map, E4DF_EXTENTS,
		 &(struct e4df_extent){ E4DF_PBLK_MAX - 1, 0, 0, 1 }, 1, 0);
	finish(map);
	for (uint32_t i = 0; i < WAYS; i++)
		order[i] = i % 2;
	e4df_readcost_take(map, order, 65537, &c);
	assert_int_equal(c.distance, 32768ULL * (E4DF_PBLK_MAX - 2) +
					     32768ULL * E4DF_PBLK_MAX);
	e4df_readcost_take(map, order, WAYS, &c);
	assert_true(c.distance == UINT64_MAX);
	assert_int_equal(c.seeks, WAYS - 1);
	free(order);
	e4df_map_free(map);
}

/* The same block by block, from lists of what has been read. */
struct slow {
	const struct e4df_geometry *g;
	uint64_t at, file, window; /* of the last block; file 0: a node */
	uint64_t number;	   /* of the file */
	struct e4df_readcost cost;
};

static void slow_read(struct slow *s, blk64_t pblk, uint64_t file,
		      uint64_t window)
{
	if (!file || s->file != file || s->window != window || s->at != pblk)
		s->cost.requests++;
	if (s->at != pblk) {
		s->cost.seeks++;
		s->cost.distance += pblk > s->at ? pblk - s->at : s->at - pblk;
	}
	s->cost.blocks++;
	s->at = pblk + 1;
	s->file = file;
	s->window = window;
}

/* Numbers for the blocks that lead to a logical block, from the root on. */
static unsigned int path_of(uint64_t slots, uint64_t lblk, uint64_t path[3])
{
	if (lblk < 12)
		return 0;
	lblk -= 12;
	if (lblk < slots) {
		path[0] = 1;
		return 1;
	}
	lblk -= slots;
	if (lblk < slots * slots) {
		path[0] = 2;
		path[1] = 1ULL << 32 | lblk / slots;
		return 2;
	}
	lblk -= slots * slots;
	path[0] = 3;
	path[1] = 2ULL << 32 | lblk / slots / slots;
	path[2] = 3ULL << 32 | lblk / slots;
	return 3;
}

static void slow_nodes(struct slow *s, const struct file *f, uint64_t lblk,
		       unsigned char *is_read, uint64_t last[3])
{
	uint64_t path[3];
	unsigned int depth;

	if (f->format == E4DF_EXTENTS) {
		for (uint32_t i = 0; i < f->tree; i++)
			if (!is_read[i] && f->e[f->data + i].lblk <= lblk) {
				slow_read(s, f->e[f->data + i].pblk, 0, 0);
				is_read[i] = 1;
			}
		return;
	}
	depth = path_of(s->g->block_size / 4, lblk, path);
	for (unsigned int i = 0; i < depth; i++) {
		uint32_t k = 0;

		if (last[i] == path[i])
			continue;
		last[i] = path[i];
		while (k < f->tree && is_read[k])
			k++;
		if (k == f->tree)
			continue;
		is_read[k] = 1;
		slow_read(s, f->e[f->data + k].pblk, 0, 0);
	}
}

static void slow_file(struct slow *s, const struct file *f)
{
	unsigned char is_read[ARRAY_SIZE(f->e)] = { 0 };
	uint64_t last[3] = { 0 };

	s->number++;
	for (uint32_t i = 0; i < f->data; i++)
		for (uint32_t k = 0; k < f->e[i].len; k++) {
			uint64_t lblk = f->e[i].lblk + (uint64_t)k;

			slow_nodes(s, f, lblk, is_read, last);
			if (!(f->e[i].flags & E4DF_EXTENT_UNWRITTEN))
				slow_read(s, f->e[i].pblk + k, s->number,
					  lblk * s->g->block_size >> 17);
		}
	for (uint32_t i = 0; i < f->tree; i++)
		if (!is_read[i])
			slow_read(s, f->e[f->data + i].pblk, 0, 0);
}

/* A place for a node: sometimes directly behind what was read last. */
static blk64_t some_place(struct prng *rng, blk64_t next)
{
	return chance(rng, 40) ? next : pick(rng, 100000);
}

/* Levels of a tree, each as wide as the one above or wider. */
static void random_tree(struct prng *rng, struct file *f, uint64_t end)
{
	unsigned int levels = pick(rng, E4DF_TREE_MAX_DEPTH + 1), width = 1;

	for (; levels; levels--) {
		uint64_t at = f->e[0].lblk;

		width += pick(rng, 3);
		for (unsigned int i = 0; i < width; i++) {
			if (f->data + f->tree == ARRAY_SIZE(f->e))
				return;
			f->e[f->data + f->tree++].lblk = (uint32_t)at;
			at += 1 + pick(rng, (unsigned int)end / width + 1);
		}
	}
}

static void random_file(struct prng *rng, struct file *f)
{
	uint64_t lblk = chance(rng, 50) ? pick(rng, 14) : pick(rng, 140000);
	blk64_t next = pick(rng, 100000);

	memset(f, 0, sizeof(*f));
	f->format = chance(rng, 50) ? E4DF_BLOCK_MAP : E4DF_EXTENTS;
	f->data = 1 + pick(rng, 5);
	for (uint32_t i = 0; i < f->data; i++) {
		struct e4df_extent *e = &f->e[i];

		next = some_place(rng, next);
		*e = (struct e4df_extent){
			.pblk = next & E4DF_PBLK_MAX,
			.flags = chance(rng, 15) ? E4DF_EXTENT_UNWRITTEN : 0,
			.lblk = (uint32_t)lblk,
			.len = 1 + pick(rng, chance(rng, 30) ? 700 : 20),
		};
		next += e->len;
		lblk += e->len;
		if (chance(rng, 60))
			lblk += pick(rng, chance(rng, 40) ? 70000 : 300);
	}
	if (f->format == E4DF_EXTENTS)
		random_tree(rng, f, lblk);
	else
		f->tree = pick(rng, 9);
	for (uint32_t i = 0; i < f->tree; i++) {
		struct e4df_extent *e = &f->e[f->data + i];

		next = some_place(rng, next);
		e->pblk = next++ & E4DF_PBLK_MAX;
		e->flags = E4DF_EXTENT_TREE;
		e->len = 1;
	}
}

static void random_files(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 3000; seed++) {
		struct prng rng = { seed };
		struct e4df_map *map = new_map(1024U << pick(&rng, 3), 120000);
		struct slow s = { .g = e4df_map_geometry(map) };
		struct e4df_readcost c;

		for (unsigned int n = 1 + pick(&rng, 4); n; n--) {
			struct file f;

			random_file(&rng, &f);
			add_file(map, f.format, f.e, f.data, f.tree);
			slow_file(&s, &f);
		}
		finish(map);
		c = take_map(map);
		assert_cost(&c, s.cost.requests, s.cost.seeks, s.cost.distance,
			    s.cost.blocks);
		e4df_map_free(map);
	}
}

/* Trees as they are on disk, with levels that are full. */
static void built_trees(void **state)
{
	const struct e4df_tree_owner owner = { .ino = 12 };
	enum { COUNT = 400 }; /* two levels, of 1 and 5 nodes */
	struct e4df_extent e[COUNT + 6];
	static char root[E4DF_TREE_ROOT_BYTES], images[6 * 1024];
	struct e4df_map *map = new_map(1024, 100000);
	struct e4df_readcost c;

	(void)state;
	assert_int_equal(e4df_tree_blocks(COUNT, 1024), 6);
	for (uint32_t i = 0; i < COUNT; i++) {
		/* behind each node the 84 that it maps, with holes */
		e[i] = (struct e4df_extent){ 2 + i + i / 84, 0, 200 * i, 1 };
	}
	e[COUNT].pblk = 0;
	for (uint32_t i = 0; i < 5; i++)
		e[COUNT + 1 + i].pblk = 1 + 85 * i;
	assert_int_equal(e4df_tree_build(&owner, 1024, e, COUNT, e + COUNT, 6,
					 root, images),
			 0);
	add_file(map, E4DF_EXTENTS, e, COUNT, 6);
	finish(map);
	c = take_map(map);
	assert_cost(&c, COUNT + 6, 0, 0, COUNT + 6);
	e4df_map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),
		cmocka_unit_test(windows),
		cmocka_unit_test(holes),
		cmocka_unit_test(seeks),
		cmocka_unit_test(first_seek),
		cmocka_unit_test(trees),
		cmocka_unit_test(block_maps),
		cmocka_unit_test(block_map_levels),
		cmocka_unit_test(two_block_maps),
		cmocka_unit_test(orders),
		cmocka_unit_test(sums),
		cmocka_unit_test(random_files),
		cmocka_unit_test(built_trees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
