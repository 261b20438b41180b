/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plans for small maps, as text.  A change of policy shows here first, and
 * its diff shows what it means.
 */
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"
#include "update.h"

static const struct e4df_policy policy = { .batch_blocks = 1000,
					   .log_blocks = 700 };

static void print_runs(FILE *out, const char *what,
		       const struct e4df_runs *runs)
{
	fprintf(out, "  %s", what);
	for (size_t i = 0; i < runs->count; i++)
		fprintf(out, " %llu+%llu", (unsigned long long)runs->v[i].start,
			(unsigned long long)runs->v[i].len);
	fprintf(out, "\n");
}

/* "<ino>: <lblk>+<len>@<pblk> ...", u for unwritten, t for mapping blocks */
static void print_change(FILE *out, const struct e4df_map *map,
			 const struct e4df_update *update,
			 const struct e4df_mapping *c)
{
	const struct e4df_extent *e = update->extents + c->first;

	const struct e4df_inode *inode = e4df_map_inode(map, c->inode);
	const char *what = inode->kind == E4DF_XATTR ? "xattr of " : "";

	fprintf(out, "  %s%u:", what, inode->ino);
	for (uint32_t i = 0; i < c->data + c->tree; i++, e++)
		fprintf(out, " %u+%u@%llu%s", e->lblk, e->len,
			(unsigned long long)e->pblk,
			e->flags & E4DF_EXTENT_TREE	 ? "t" :
			e->flags & E4DF_EXTENT_UNWRITTEN ? "u" :
							   "");
	fprintf(out, "\n");
}

/* The map follows. */
static void print_batch(FILE *out, struct e4df_map *map,
			const struct e4df_batch *b)
{
	struct e4df_update u;

	assert_int_equal(e4df_update_make(map, b, &u), 0);
	fprintf(out, "copies %llu\n", (unsigned long long)b->copy_blocks);
	for (size_t k = 0; k < u.mapping_count; k++)
		print_change(out, map, &u, &u.mappings[k]);
	for (size_t k = 0; k < b->move_count; k++) {
		const struct e4df_move *m = &b->moves[k];

		if (m->flags != E4DF_MOVE_XATTR)
			fprintf(out, "  move %llu+%u to %llu%s\n",
				(unsigned long long)m->from, m->len,
				(unsigned long long)m->to,
				m->flags ? " unwritten" : "");
	}
	print_runs(out, "takes", &u.taken);
	print_runs(out, "gives", &u.released);
	assert_int_equal(e4df_map_prepare(map, &u), 0);
	e4df_map_apply(map, &u);
	e4df_update_release(&u);
}

static char *print_plan(const struct e4df_map *map,
			const struct e4df_policy *by)
{
	struct e4df_plan *plan;
	struct e4df_map *now;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(e4df_plan_build(map, by, &plan), 0);
	assert_int_equal(e4df_map_fork(map, &now), 0);
	for (size_t i = 0; i < e4df_plan_count(plan); i++) {
		fprintf(out, "batch %zu, ", i + 1);
		print_batch(out, now, e4df_plan_batch(plan, i));
	}
	e4df_map_free(now);
	assert_int_equal(fclose(out), 0);
	e4df_plan_free(plan);
	return text;
}

static void check_map(struct e4df_map *map, const struct e4df_policy *by,
		      const char *want)
{
	char *text = print_plan(map, by);

	assert_string_equal(text, want);
	free(text);
	e4df_map_free(map);
}

static void check_text(blk64_t blocks, const struct e4df_range *fixed,
		       size_t fixed_count, const struct maps_file *files,
		       const char *want)
{
	check_map(maps_drawn(blocks, fixed, fixed_count, files), &policy, want);
}

/* Two files in turns: a piece of one goes to the end, and comes back. */
static void interleaved(void **state)
{
	static const struct e4df_range fixed[] = { { 0, 10 } };
	static const struct maps_file files[] = {
		{ 12, E4DF_MOVABLE, 2, { { 10, 0, 0, 4 }, { 18, 0, 4, 4 } } },
		{ 13, E4DF_MOVABLE, 2, { { 14, 0, 0, 4 }, { 22, 0, 4, 4 } } },
		{ .count = 0 },
	};

	(void)state;
	check_text(40, fixed, 1, files,
		   "batch 1, copies 4\n"
		   "  13: 0+4@36 4+4@22\n"
		   "  move 14+4 to 36\n"
		   "  takes 36+4\n"
		   "  gives 14+4\n"
		   "batch 2, copies 4\n"
		   "  12: 0+8@10\n"
		   "  move 18+4 to 14\n"
		   "  takes 14+4\n"
		   "  gives 18+4\n"
		   "batch 3, copies 4\n"
		   "  13: 0+8@18\n"
		   "  move 36+4 to 18\n"
		   "  takes 18+4\n"
		   "  gives 36+4\n");
}

/*
 * Its longest run stays; unwritten blocks move without being copied; a
 * needless tree goes.
 */
static void unwritten(void **state)
{
	static const struct maps_file files[] = {
		{ 12,
		  E4DF_MOVABLE,
		  4,
		  { { 10, 0, 0, 4 },
		    { 30, E4DF_EXTENT_UNWRITTEN, 4, 3 },
		    { 50, 0, 9, 1 },
		    { 60, E4DF_EXTENT_TREE, 0, 1 } } },
		{ .count = 0 },
	};

	(void)state;
	check_text(100, NULL, 0, files,
		   "batch 1, copies 1\n"
		   "  12: 0+4@10 4+3@14u 9+1@17\n"
		   "  move 30+3 to 14 unwritten\n"
		   "  move 50+1 to 17\n"
		   "  takes 14+4\n"
		   "  gives 30+3 50+1 60+1\n");
}

/* No free run is long enough: a window is cleared, in two batches. */
static void cleared(void **state)
{
	static const struct maps_file files[] = {
		{ 12, E4DF_MOVABLE, 2, { { 0, 0, 0, 4 }, { 12, 0, 4, 4 } } },
		{ 13, E4DF_MOVABLE, 1, { { 4, 0, 0, 2 } } },
		{ 14, E4DF_MOVABLE, 1, { { 20, 0, 0, 4 } } },
		{ .count = 0 },
	};
	static const struct e4df_range fixed[] = { { 10, 2 }, { 18, 2 } };

	(void)state;
	check_text(27, fixed, 2, files,
		   "batch 1, copies 2\n"
		   "  13: 0+2@8\n"
		   "  move 4+2 to 8\n"
		   "  takes 8+2\n"
		   "  gives 4+2\n"
		   "batch 2, copies 4\n"
		   "  12: 0+8@0\n"
		   "  move 12+4 to 4\n"
		   "  takes 4+4\n"
		   "  gives 12+4\n");
}

/*
 * Its longest run stays where the rest does not fit behind it: the smaller file
 * that is there goes, which is less to write.
 */
static void pushed(void **state)
{
	static const struct maps_file files[] = {
		{ 12, E4DF_MOVABLE, 2, { { 0, 0, 0, 12 }, { 30, 0, 12, 4 } } },
		{ 13, E4DF_MOVABLE, 1, { { 13, 0, 0, 2 } } },
		{ .count = 0 },
	};
	static const struct e4df_range fixed[] = { { 20, 2 }, { 24, 6 } };

	(void)state;
	check_text(60, fixed, 2, files,
		   "batch 1, copies 2\n"
		   "  13: 0+2@22\n"
		   "  move 13+2 to 22\n"
		   "  takes 22+2\n"
		   "  gives 13+2\n"
		   "batch 2, copies 4\n"
		   "  12: 0+16@0\n"
		   "  move 30+4 to 12\n"
		   "  takes 12+4\n"
		   "  gives 30+4\n");
}

/* A swap file stays, in pieces as it is; so does what is whole. */
static void in_place(void **state)
{
	static const struct maps_file files[] = {
		{ 12, E4DF_WHY_SWAP, 2, { { 5, 0, 0, 2 }, { 9, 0, 2, 2 } } },
		{ 13, E4DF_MOVABLE, 2, { { 20, 0, 0, 2 }, { 22, 0, 7, 2 } } },
		{ .count = 0 },
	};

	(void)state;
	check_text(40, NULL, 0, files, "");
}

/* Of two holes the one near the inode, though the other is tighter. */
static void near_its_inode(void **state)
{
	static const struct e4df_range fixed[] = { { 0, 20 },
						   { 29, 29869 },
						   { 29910, 90 } };
	static const struct maps_file files[] = {
		{ 12,
		  E4DF_MOVABLE,
		  2,
		  { { 29908, 0, 0, 2 }, { 29898, 0, 2, 2 } } },
		{ .count = 0 },
	};

	(void)state;
	check_text(30000, fixed, 3, files,
		   "batch 1, copies 4\n"
		   "  12: 0+4@20\n"
		   "  move 29908+2 to 20\n"
		   "  move 29898+2 to 22\n"
		   "  takes 20+4\n"
		   "  gives 29898+2 29908+2\n");
}

/*
 * An xattr block is in the way of the only window, and goes.  It stays, and
 * the file with it, if the log does not hold its owners, or if there is no
 * journal and they are in two sectors.
 */
static void displaced_xattr(void **state)
{
	static const struct e4df_range fixed[] = { { 0, 2 }, { 10, 2 } };
	static const struct maps_file files[] = {
		{ 12, E4DF_MOVABLE, 2, { { 2, 0, 0, 4 }, { 12, 0, 4, 2 } } },
		{ .count = 0 },
	};
	static const struct maps_xattr apart[] = {
		{ 6, 3, { 12, 40, 99 } },
		{ .count = 0 },
	};
	static const struct maps_xattr together[] = {
		{ 6, 2, { 13, 14 } },
		{ .count = 0 },
	};
	const char *goes = "batch 1, copies 0\n"
			   "  xattr of 12: 0+1@14\n"
			   "  takes 14+1\n"
			   "  gives 6+1\n"
			   "batch 2, copies 2\n"
			   "  12: 0+6@2\n"
			   "  move 12+2 to 6\n"
			   "  takes 6+2\n"
			   "  gives 12+2\n"
			   "batch 3, copies 0\n"
			   "  xattr of 12: 0+1@15\n"
			   "  takes 15+1\n"
			   "  gives 14+1\n";
	struct e4df_policy by = { .batch_blocks = 1000, .log_blocks = 9 };

	(void)state;
	check_map(maps_drawn_shared(16, fixed, 2, files, apart), &by, goes);
	by.log_blocks = 8;
	check_map(maps_drawn_shared(16, fixed, 2, files, apart), &by, "");
	by.log_blocks = 700;
	by.flags = E4DF_POLICY_ORDERED;
	check_map(maps_drawn_shared(16, fixed, 2, files, apart), &by, "");
	check_map(maps_drawn_shared(16, fixed, 2, files, together), &by,
		  "batch 1, copies 0\n"
		  "  xattr of 13: 0+1@14\n"
		  "  takes 14+1\n"
		  "  gives 6+1\n"
		  "batch 2, copies 2\n"
		  "  12: 0+6@2\n"
		  "  move 12+2 to 6\n"
		  "  takes 6+2\n"
		  "  gives 12+2\n"
		  "batch 3, copies 0\n"
		  "  xattr of 13: 0+1@15\n"
		  "  takes 15+1\n"
		  "  gives 14+1\n");
}

/*
 * Directories apart, and mapping blocks behind the data; or each directory in
 * front of the file that comes next, and mapping blocks in front of the data.
 */
static void directories(void **state)
{
	static const struct e4df_range fixed[] = { { 0, 10 } };
	static const struct maps_file files[] = {
		{ 2, E4DF_MOVABLE, 1, { { 40, 0, 0, 2 } } },
		{ 11, E4DF_MOVABLE, 1, { { 46, 0, 0, 1 } } },
		{ 12,
		  E4DF_MOVABLE,
		  6,
		  { { 30, 0, 0, 1 },
		    { 31, 0, 2, 1 },
		    { 32, 0, 4, 1 },
		    { 33, 0, 6, 1 },
		    { 34, 0, 8, 1 },
		    { 50, E4DF_EXTENT_TREE, 0, 1 } } },
		{ 13, E4DF_MOVABLE, 1, { { 24, 0, 0, 3 } } },
		{ .count = 0 },
	};
	static const uint32_t order[] = { 0, 2, 1, 3 };
	struct e4df_policy by = {
		.goal = E4DF_OPTIMIZE,
		.batch_blocks = 1000,
		.log_blocks = 700,
		.order = order,
		.order_count = 4,
	};

	(void)state;
	check_map(maps_drawn(60, fixed, 1, files), &by,
		  "batch 1, copies 11\n"
		  "  2: 0+2@10\n"
		  "  11: 0+1@12\n"
		  "  12: 0+1@13 2+1@14 4+1@15 6+1@16 8+1@17 0+1@18t\n"
		  "  13: 0+3@19\n"
		  "  move 40+2 to 10\n"
		  "  move 46+1 to 12\n"
		  "  move 30+1 to 13\n"
		  "  move 31+1 to 14\n"
		  "  move 32+1 to 15\n"
		  "  move 33+1 to 16\n"
		  "  move 34+1 to 17\n"
		  "  move 24+3 to 19\n"
		  "  takes 10+12\n"
		  "  gives 24+3 30+5 40+2 46+1 50+1\n");
	by.flags = E4DF_POLICY_INLINE;
	check_map(maps_drawn(60, fixed, 1, files), &by,
		  "batch 1, copies 11\n"
		  "  2: 0+2@10\n"
		  "  11: 0+1@18\n"
		  "  12: 0+1@13 2+1@14 4+1@15 6+1@16 8+1@17 0+1@12t\n"
		  "  13: 0+3@19\n"
		  "  move 40+2 to 10\n"
		  "  move 46+1 to 18\n"
		  "  move 30+1 to 13\n"
		  "  move 31+1 to 14\n"
		  "  move 32+1 to 15\n"
		  "  move 33+1 to 16\n"
		  "  move 34+1 to 17\n"
		  "  move 24+3 to 19\n"
		  "  takes 10+12\n"
		  "  gives 24+3 30+5 40+2 46+1 50+1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interleaved),
		cmocka_unit_test(unwritten),
		cmocka_unit_test(cleared),
		cmocka_unit_test(pushed),
		cmocka_unit_test(in_place),
		cmocka_unit_test(displaced_xattr),
		cmocka_unit_test(near_its_inode),
		cmocka_unit_test(directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
