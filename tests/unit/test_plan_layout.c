/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What target layouts are like where it matters how good they are, not only
 * that they are right (test_plan_policies).
 */
#include "replay.h"

#include "maps.h"

enum {
	MOST = 400, /* files */
};

/* A map drawn by hand, file by file, from the first block on. */
struct drawing {
	struct maps_file files[MOST + 1];
	uint32_t order[MOST]; /* that of a reader: as they are drawn */
	unsigned int count;
	blk64_t at;
};

static void draw(struct drawing *d, uint32_t blocks)
{
	assert_true(d->count < MOST);
	d->files[d->count] = (struct maps_file){
		.ino = 12 + d->count,
		.why = E4DF_MOVABLE,
		.count = 1,
		.extent = { { d->at & E4DF_PBLK_MAX, 0, 0, blocks } },
	};
	d->order[d->count] = d->count;
	d->at += blocks;
	d->count++;
	d->files[d->count].count = 0;
}

static struct e4df_policy optimize(const struct drawing *d)
{
	return (struct e4df_policy){
		.goal = E4DF_OPTIMIZE,
		.batch_blocks = 4096,
		.log_blocks = 1000,
		.order = d->order,
		.order_count = d->count,
	};
}

static struct e4df_map *run(const struct e4df_map *map,
			    const struct e4df_policy *policy, blk64_t *copied)
{
	struct e4df_plan *plan;
	struct e4df_map *after;

	assert_int_equal(e4df_plan_build(map, policy, &plan), 0);
	after = replay_plan(map, policy, plan);
	*copied = e4df_plan_copy_blocks(plan);
	e4df_plan_free(plan);
	return after;
}

/* Files that lie in front of the one that comes before them. */
static unsigned int count_back(const struct e4df_map *map,
			       const struct drawing *d)
{
	blk64_t last = 0;
	unsigned int count = 0;

	for (unsigned int i = 0; i < d->count; i++) {
		blk64_t at = e4df_map_extents(map, d->order[i])->pblk;

		count += at < last;
		last = at;
	}
	return count;
}

/*
 * A large file does not fit into the rest of an area; the many that follow it
 * and do are not out of order among themselves.
 */
static void rest_in_order(void **state)
{
	static const struct e4df_range fixed[] = { { 0, 10 }, { 3000, 5 } };
	static struct drawing d;
	struct e4df_policy policy;
	struct e4df_map *map, *after;
	blk64_t copied;

	(void)state;
	d.at = 10;
	draw(&d, 900);
	draw(&d, 2050);
	d.at = 3005;
	draw(&d, 1000);
	for (unsigned int i = 0; i < 300; i++)
		draw(&d, 1 + i * 7 % 19);
	for (unsigned int i = 0; i < d.count; i++) /* nothing is in place */
		d.order[i] = i < 3 ? 2 - i : 2 + d.count - i;
	policy = optimize(&d);
	map = maps_drawn(12000, fixed, 2, d.files);
	assert_true(count_back(map, &d) > 200);
	after = run(map, &policy, &copied);
	assert_in_range(count_back(after, &d), 0, 6);
	e4df_map_free(map);
	e4df_map_free(after);
}

/* Areas that are not full. */
static unsigned int count_open(const struct e4df_map *map)
{
	const struct e4df_runs *areas = e4df_map_areas(map);
	unsigned int count = 0;

	for (size_t i = 0; i < areas->count; i++)
		count += e4df_runs_is_touched(e4df_map_free_blocks(map),
					      areas->v[i].start,
					      areas->v[i].len) ?
				 1 :
				 0;
	return count;
}

/* Of many plans together. */
struct effort {
	blk64_t copied;
	size_t batches, changes;
};

static void add_effort(const struct maps_recipe *recipe,
		       const struct e4df_policy *policy, unsigned int seed,
		       struct effort *sum)
{
	struct prng rng = { prng_mix(seed) };
	struct e4df_map *map = maps_random(&rng, recipe);
	struct e4df_plan *plan;

	assert_int_equal(e4df_plan_build(map, policy, &plan), 0);
	sum->copied += e4df_plan_copy_blocks(plan);
	sum->batches += e4df_plan_count(plan);
	for (size_t i = 0; i < e4df_plan_count(plan); i++)
		sum->changes += e4df_plan_batch(plan, i)->change_count;
	e4df_plan_free(plan);
	e4df_map_free(map);
}

/*
 * Mapping blocks are chosen when a batch closes; those that came to another
 * one's hole do not stay there.  They are few, or there were more batches.
 */
static void trees_settle(void **state)
{
	struct effort sum = { .copied = 0 };

	(void)state;
	for (unsigned int seed = 0; seed < 60; seed++) {
		struct prng rng = { prng_mix(seed) };
		struct maps_recipe recipe = {
			.blocks = 3000 + pick(&rng, 3000),
			.free_percent = 30 + pick(&rng, 20),
			.file_blocks = 10 + pick(&rng, 60),
			.scattered = 100,
		};
		struct e4df_policy policy = {
			.goal = E4DF_OPTIMIZE,
			.batch_blocks = 500 + pick(&rng, 1500),
			.log_blocks = 300,
		};
		struct e4df_map *map = maps_random(&rng, &recipe), *after;
		blk64_t copied;

		after = run(map, &policy, &copied);
		assert_int_equal(e4df_map_free_blocks(after)->count,
				 count_open(after));
		e4df_map_free(map);
		e4df_map_free(after);
		add_effort(&recipe, &policy, seed, &sum);
	}
	assert_in_range(sum.batches, 1, 530);
}

/*
 * Files in order, some of them gone since, and some grown: most stay, and yet
 * no hole is left, whether there is much room at the end or nearly none.
 */
static void little_changed(void **state)
{
	static const struct e4df_range fixed[] = { { 0, 10 } };
	static const blk64_t spare[] = { 20, 20000 };

	(void)state;
	for (unsigned int k = 0; k < 2; k++) {
		struct drawing d = { .at = 10 };
		struct e4df_policy policy;
		struct e4df_map *map, *after;
		blk64_t copied;

		for (unsigned int i = 0; i < 350; i++) {
			uint32_t blocks = 1 + i * 7 % 19;

			if (i % 35 == 17)
				d.at += blocks; /* gone */
			else
				draw(&d, blocks);
		}
		for (unsigned int i = 40; i < 300; i += 80) {
			struct maps_file *f = &d.files[i];

			f->count = 2;
			f->extent[1] = f->extent[0];
			f->extent[1].lblk = f->extent[0].len;
			f->extent[1].pblk = d.at++ & E4DF_PBLK_MAX;
			f->extent[1].len = 1;
		}
		policy = optimize(&d);
		map = maps_drawn(d.at + spare[k], fixed, 1, d.files);
		after = run(map, &policy, &copied);
		assert_in_range(copied, 50, 500);
		assert_int_equal(e4df_map_free_blocks(after)->count, 1);
		for (unsigned int i = 0; i < d.count; i++)
			assert_int_equal(replay_excess(after, i), 0);
		e4df_map_free(map);
		e4df_map_free(after);
	}
}

static blk64_t end_of(const struct e4df_map *map)
{
	blk64_t end = 0;

	for (uint32_t i = 0; i < e4df_map_count(map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(map, i);
		const struct e4df_extent *e = e4df_map_extents(map, i);

		for (uint32_t n = 0; n < inode->data; n++)
			if (e[n].pblk + e[n].len > end)
				end = e[n].pblk + e[n].len;
	}
	return end;
}

enum {
	DIRS = 11, /* inodes 1 to 11 */
	EACH = 9,  /* files in each */
};

/* Directories, each of one block and in front of its files in the order. */
struct forest {
	struct maps_file files[DIRS + DIRS * EACH + 1];
	uint32_t order[DIRS + DIRS * EACH];
};

/* Laid out by the block: nothing is where a reader wants it. */
static struct e4df_map *draw_forest(struct forest *f)
{
	static const struct e4df_range fixed[] = { { 0, 10 } };
	unsigned int n = 0;

	for (uint32_t i = 0; i < DIRS + DIRS * EACH; i++) {
		blk64_t place = 10 + 40 * (blk64_t)(i * 37 % 110);

		f->files[i] = (struct maps_file){
			.ino = 1 + i,
			.why = E4DF_MOVABLE,
			.count = 1,
			.extent = { { place & E4DF_PBLK_MAX, 0, 0,
				      i < DIRS ? 1 : 1 + i * 7 % 19 } },
		};
	}
	f->files[DIRS + DIRS * EACH].count = 0;
	for (uint32_t dir = 0; dir < DIRS; dir++) {
		f->order[n++] = dir;
		for (uint32_t i = 0; i < EACH; i++)
			f->order[n++] = DIRS + dir * EACH + i;
	}
	return maps_drawn(4420, fixed, 1, f->files);
}

/* Directories that end where the next one of the order begins. */
static unsigned int count_close(const struct e4df_map *map,
				const struct forest *f)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < DIRS; i++) {
		const uint32_t *at = &f->order[(size_t)i * (EACH + 1)];

		count += e4df_map_extents(map, at[0])->pblk + 1 ==
			 e4df_map_extents(map, at[1])->pblk;
	}
	return count;
}

/*
 * The map behind a run by that policy, after which nothing is left to do; it
 * borrows from the one before.
 */
static struct e4df_map *lay_out(const struct e4df_map *map,
				const struct forest *f, unsigned int flags,
				blk64_t *copied)
{
	const struct e4df_policy policy = {
		.goal = E4DF_OPTIMIZE,
		.flags = flags,
		.batch_blocks = 4096,
		.log_blocks = 1000,
		.order = f->order,
		.order_count = DIRS + DIRS * EACH,
	};
	struct e4df_map *after = run(map, &policy, copied), *again;
	blk64_t more;

	again = run(after, &policy, &more);
	assert_int_equal(more, 0);
	e4df_map_free(again);
	return after;
}

/*
 * Directories are brought together, or to their files, also where all else is
 * in order because they were laid out the other way.
 */
static void directories_switch(void **state)
{
	struct forest f;
	struct e4df_map *map[5] = { draw_forest(&f) };
	blk64_t copied;

	(void)state;
	for (unsigned int i = 1; i < 5; i++) {
		unsigned int flags = i % 2 ? E4DF_POLICY_INLINE : 0;

		map[i] = lay_out(map[i - 1], &f, flags, &copied);
		assert_true(copied > 0);
		assert_int_equal(count_close(map[i], &f), flags ? DIRS : 0);
		for (uint32_t k = 0; k < DIRS && !flags; k++)
			assert_int_equal(e4df_map_extents(map[i], k)->pblk,
					 10 + k);
	}
	for (unsigned int i = 5; i; i--)
		e4df_map_free(map[i - 1]);
}

/* For one directory that has grown not all files behind it move up. */
static void stray_directory(void **state)
{
	static const struct e4df_range fixed[] = { { 0, 10 } };
	struct forest f;
	struct e4df_map *map = draw_forest(&f), *after, *other;
	blk64_t copied;

	(void)state;
	after = lay_out(map, &f, E4DF_POLICY_INLINE, &copied);
	for (uint32_t i = 0; i < DIRS + DIRS * EACH; i++)
		f.files[i].extent[0] = *e4df_map_extents(after, i);
	e4df_map_free(after);
	e4df_map_free(map);
	f.files[4].extent[0].pblk = 3000;
	f.files[4].extent[0].len = 2;
	map = maps_drawn(4420, fixed, 1, f.files);
	other = lay_out(map, &f, E4DF_POLICY_INLINE, &copied);
	assert_in_range(copied, 0, 100);
	e4df_map_free(other);
	e4df_map_free(map);
}

/* A case for --compact: areas, files, and the nearest end that there can be. */
struct tight_case {
	struct e4df_range fixed[6]; /* up to a length of 0 */
	uint32_t files[12];	    /* blocks, up to 0 */
	blk64_t blocks;
	blk64_t end;
};

/* Where a file can be that comes behind others. */
static blk64_t skip_fixed(const struct tight_case *c, blk64_t at, uint32_t len)
{
	for (unsigned int i = 0; i < 6; i++) {
		const struct e4df_range *r = &c->fixed[i];

		if (at < r->start + r->len && r->start < at + len)
			at = r->start + r->len;
	}
	return at;
}

/* The files lie in their order, from a block on. */
static void check_tight(const struct tight_case *c, blk64_t at)
{
	struct drawing d = { .at = at };
	struct e4df_policy policy;
	struct e4df_map *map, *after;
	unsigned int fixed = 0;
	blk64_t copied;

	while (fixed < 6 && c->fixed[fixed].len)
		fixed++;
	for (unsigned int i = 0; c->files[i]; i++) {
		d.at = skip_fixed(c, d.at, c->files[i]);
		draw(&d, c->files[i]);
	}
	policy = optimize(&d);
	policy.goal = E4DF_COMPACT;
	map = maps_drawn(c->blocks, c->fixed, fixed, d.files);
	after = run(map, &policy, &copied);
	assert_int_equal(end_of(after), c->end);
	for (unsigned int i = 0; i < d.count; i++)
		assert_int_equal(replay_excess(after, i), 0);
	e4df_map_free(map);
	e4df_map_free(after);
}

/*
 * Few files of many sizes, and areas that hold some of them.  In the order in
 * which they lie, in front or behind, there is no way to the nearest end.
 */
static void ends_near(void **state)
{
	static const struct tight_case cases[] = {
		/* five fill the first area, the largest needs the last */
		{ { { 0, 8 }, { 170, 3 }, { 232, 3 }, { 238, 1 }, { 249, 2 } },
		  { 20, 42, 227, 59, 69, 14 },
		  1500,
		  251 + 227 },
		/* no file is left for the area of 40 but the one of 26 */
		{ { { 0, 12 }, { 161, 6 }, { 199, 133 } },
		  { 3, 70, 42, 71, 26, 6 },
		  900,
		  332 + 42 },
		/* two that are longer than half of the longest areas */
		{ { { 0, 10 }, { 500, 10 }, { 1500, 10 }, { 2000, 10 } },
		  { 40, 900, 800, 30, 20, 10, 60, 70, 80, 90, 100 },
		  6000,
		  2010 + 800 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		for (unsigned int k = 0; k < 2; k++)
			check_tight(&cases[i], k * cases[i].blocks / 2);
}

/*
 * The blocks of all would end in front of the last large file, but nothing can
 * be done about that: it stays, and so does all else but what lies behind.
 */
static void large_stay(void **state)
{
	static const struct e4df_range fixed[] = {
		{ 0, 10 },
		{ 500, 10 },
		{ 1500, 10 },
	};
	struct drawing d = { .at = 100 };
	struct e4df_policy policy;
	struct e4df_map *map, *after;
	blk64_t copied;

	(void)state;
	draw(&d, 300);
	d.at = 510;
	draw(&d, 900);
	d.at = 1510;
	draw(&d, 800);
	d.at = 3000;
	draw(&d, 50);
	policy = optimize(&d);
	policy.goal = E4DF_COMPACT;
	map = maps_drawn(4000, fixed, 3, d.files);
	after = run(map, &policy, &copied);
	assert_int_equal(end_of(after), 1510 + 800);
	assert_int_equal(copied, 50);
	e4df_map_free(map);
	e4df_map_free(after);
}

/*
 * How much moves twice, how often an inode changes, and in how many steps, is
 * a matter of degree: what was reached, and some spare.  On such small maps
 * some 5 % of it is for not having more free runs.
 */
static void little_effort(void **state)
{
	static const struct {
		uint32_t file_blocks; /* of the largest */
		struct effort most;
	} cases[] = {
		{ 100, { 236000, 220, 32600 } },
		{ 3000, { 311000, 450, 2310 } },
		{ 10000, { 196000, 322, 1100 } },
	};
	const struct e4df_policy policy = { .batch_blocks = 2000,
					    .log_blocks = 1000 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct maps_recipe recipe = {
			.blocks = 20000,
			.free_percent = 30,
			.file_blocks = cases[i].file_blocks,
			.scattered = 100,
		};
		struct effort sum = { .copied = 0 };

		for (unsigned int seed = 0; seed < 20; seed++)
			add_effort(&recipe, &policy, seed, &sum);
		assert_in_range(sum.copied, 1, cases[i].most.copied);
		assert_in_range(sum.batches, 1, cases[i].most.batches);
		assert_in_range(sum.changes, 1, cases[i].most.changes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rest_in_order),
		cmocka_unit_test(trees_settle),
		cmocka_unit_test(little_changed),
		cmocka_unit_test(directories_switch),
		cmocka_unit_test(stray_directory),
		cmocka_unit_test(ends_near),
		cmocka_unit_test(large_stay),
		cmocka_unit_test(little_effort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
