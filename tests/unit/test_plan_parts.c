/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the planner looks up beside the same, counted from one end to the
 * other.
 */
#include "plan_layout.h"

#include <stdlib.h>

#include "e4df_err.h"
#include "unit.h"

enum {
	FILES = 7,
	MOST = 200, /* extents of a file */
};

struct world {
	struct e4df_map *map; /* (owned) */
	struct e4df_policy policy;
	struct batcher b;
	blk64_t blocks[FILES];
};

/* A file whose extents are in no order, one in `holes` behind a hole. */
static void add_file(struct world *w, struct prng *rng, __u32 count,
		     unsigned int holes)
{
	struct e4df_extent e[MOST];
	__u32 lblk = 0, index = e4df_map_count(w->map);
	blk64_t start = 1 + ((blk64_t)index << 12), sum = 0;

	for (__u32 i = 0; i < count; i++) {
		__u32 len = 1 + pick(rng, 5);

		if (holes && !pick(rng, holes))
			lblk += 1 + pick(rng, 1000);
		e[i] = (struct e4df_extent){
			.pblk = (start + 16 * (i ^ 5)) & E4DF_PBLK_MAX,
			.lblk = lblk,
			.len = len,
		};
		lblk += len;
		sum += len;
	}
	assert_int_equal(e4df_map_add_inode(w->map, 12 + index, E4DF_REGULAR,
					    E4DF_MOVABLE, &index),
			 0);
	assert_int_equal(e4df_map_set_extents(w->map, index, e, count, 0), 0);
	w->blocks[index] = sum;
}

static void begin(struct world *w, struct prng *rng, __u32 count,
		  unsigned int holes)
{
	const struct e4df_geometry g = {
		.blocks = 1 << 20,
		.block_size = 4096,
		.blocks_per_group = 32768,
		.inodes_per_group = 2048,
		.inodes_per_block = 16,
		.descs_per_block = 64,
		.groups = 32,
		.groups_per_flex = 16,
	};
	struct e4df_runs fixed = E4DF_RUNS_INIT, unused = E4DF_RUNS_INIT;

	*w = (struct world){ .map = NULL };
	assert_int_equal(e4df_map_new(&g, &w->map), 0);
	for (unsigned int i = 0; i < FILES; i++)
		add_file(w, rng, count, i % 3 ? holes : 0);
	assert_int_equal(e4df_runs_push(&fixed, 0, 1), 0);
	assert_int_equal(e4df_runs_push(&unused, 1 << 16, 1 << 16), 0);
	assert_int_equal(e4df_map_finish(w->map, &fixed, &unused), 0);
	assert_int_equal(batcher_init(&w->b, w->map, &w->policy), 0);
}

static void end(struct world *w)
{
	batcher_release(&w->b);
	e4df_map_free(w->map);
}

/* Every block, from the first extent on. */
static void check_dense(const struct world *w, __u32 inode)
{
	const struct e4df_extent *e = batcher_layout(&w->b, inode);
	__u32 count = w->b.files[inode].data;
	blk64_t at = 0, begin;

	for (__u32 i = 0; i < count; at += e[i++].len)
		for (__u32 k = 0; k < e[i].len; k++) {
			struct e4df_span span = {
				.key = e[i].pblk + k,
				.owner = inode,
				.lblk = e[i].lblk + k,
			};

			assert_int_equal(dense_of(&w->b, inode, e[i].lblk + k),
					 at + k);
			assert_ptr_equal(dense_find(&w->b, inode, (__u32)at + k,
						    &begin),
					 &e[i]);
			assert_int_equal(begin, at);
			assert_true(dense_is_in_place(&w->b, &span, inode, at,
						      e[i].pblk));
			assert_false(dense_is_in_place(&w->b, &span, inode, at,
						       e[i].pblk + 1));
		}
	assert_int_equal(at, w->blocks[inode]);
}

/* Halves of extents go elsewhere, and what is mapped stays the same. */
static void tear(struct world *w, __u32 inode, struct prng *rng)
{
	assert_int_equal(batcher_touch(&w->b, inode), 0);
	for (unsigned int n = 0; n < 100; n++) {
		const struct file *f = &w->b.files[inode];
		const struct e4df_extent *e = &f->v[pick(rng, f->data)];
		__u32 len = (e->len + 1) / 2;
		struct e4df_extent piece = {
			.pblk = ((1 << 16) + 16 * n) & E4DF_PBLK_MAX,
			.lblk = e->lblk,
			.len = len,
		};

		assert_int_equal(
			batcher_edit(&w->b, inode, e->lblk, len, &piece, 1), 0);
	}
}

static void positions(void **state)
{
	struct prng rng = { 1 };

	(void)state;
	for (unsigned int holes = 0; holes < 8; holes++)
		for (__u32 count = 1; count <= MOST; count += 1 + count / 2) {
			struct world w;

			begin(&w, &rng, count, holes);
			for (__u32 i = 0; i < FILES; i++) {
				check_dense(&w, i);
				tear(&w, i, &rng);
				check_dense(&w, i);
			}
			end(&w);
		}
}

static const struct slot *search(const struct target *t, __u32 inode,
				 blk64_t dense)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->v[i].inode == inode &&
		    (t->v[i].from == SLOT_TREE ?
			     dense == SLOT_TREE :
			     dense >= t->v[i].from &&
				     dense < t->v[i].from + t->v[i].len))
			return &t->v[i];
	return NULL;
}

/* Files with no slot to many, with gaps, trees, and in any order. */
static void slots(void **state)
{
	struct prng rng = { 2 };
	__u32 first[20] = { 0 };
	struct target t = { .first = first };

	(void)state;
	for (__u32 k = 0; k < 19; k++) {
		__u32 inode = k * 7 % 19, from = pick(&rng, 3);

		for (unsigned int n = pick(&rng, k + 1); n; n--) {
			__u32 len = 1 + pick(&rng, 3);

			assert_int_equal(target_add(&t, inode, from, 1, len),
					 0);
			from += len + pick(&rng, 2);
		}
		if (chance(&rng, 50))
			assert_int_equal(target_add(&t, inode, SLOT_TREE, 1, 1),
					 0);
	}
	for (__u32 inode = 0; inode < 20; inode++) {
		for (blk64_t dense = 0; dense < 100; dense++)
			assert_ptr_equal(target_find(&t, inode, dense),
					 search(&t, inode, dense));
		assert_ptr_equal(target_find(&t, inode, SLOT_TREE),
				 search(&t, inode, SLOT_TREE));
	}
	free(t.v);
}

enum { BLOCKS = 120, NOBODY = 0xffff };

/* Space, and for each block whose it is. */
struct ground {
	struct space space;
	__u32 owner[BLOCKS + 1], lblk[BLOCKS + 1]; /* NOBODY: free */
};

/* Free ranges as long as can be, in both indices. */
static void check_free(const struct ground *g)
{
	const struct e4df_spans *by = &g->space.free_by;
	size_t count = 0;
	blk64_t sum = 0;

	for (blk64_t at = 0; at < BLOCKS; at++) {
		blk64_t len = 0;
		const struct e4df_span *n;

		while (g->owner[at + len] == NOBODY)
			len++;
		assert_int_equal(space_free_part(&g->space, at, BLOCKS), len);
		if (!len)
			continue;
		count++;
		sum += len;
		n = e4df_spans_floor(&g->space.free_at, at);
		assert_true(n && n->key == at && n->len == len);
		n = e4df_spans_after(by, len, at - 1);
		if (g->space.has_by)
			assert_true(n && n->key == len && n->len == at);
		at += len;
	}
	assert_int_equal(g->space.free_at.count, count);
	assert_int_equal(by->count, g->space.has_by ? count : 0);
	assert_int_equal(g->space.free_blocks, sum);
}

static void check_used(const struct ground *g)
{
	for (blk64_t at = 1; at < BLOCKS; at++) {
		const struct e4df_span *n = space_owner(&g->space, at);
		blk64_t skip = n ? at - n->key : 0;

		assert_int_equal(n != NULL, g->owner[at] != NOBODY);
		if (!n)
			continue;
		assert_int_equal(n->owner, g->owner[at]);
		assert_int_equal(n->lblk == LBLK_TREE ? LBLK_TREE :
							n->lblk + skip,
				 g->lblk[at]);
	}
}

/* One range, used or free as a whole, becomes another's, or free. */
static void trade(struct ground *g, struct prng *rng)
{
	blk64_t at = 1 + pick(rng, BLOCKS - 1), len = 1;
	blk64_t most = 1 + pick(rng, 12);
	int is_free = g->owner[at] == NOBODY;
	__u32 owner = pick(rng, 3), lblk = pick(rng, 1000);

	while (len < most && at + len < BLOCKS &&
	       (g->owner[at + len] == NOBODY) == is_free)
		len++;
	if (chance(rng, 20))
		lblk = LBLK_TREE;
	if (is_free) {
		assert_int_equal(space_take(&g->space, at, len, owner, lblk),
				 0);
	} else if (chance(rng, 50)) {
		assert_int_equal(space_change(&g->space, at, len, owner, lblk),
				 0);
	} else {
		assert_int_equal(space_give(&g->space, at, len), 0);
		owner = NOBODY;
	}
	for (__u32 i = 0; i < len; i++) {
		g->owner[at + i] = owner;
		g->lblk[at + i] = lblk == LBLK_TREE ? lblk : lblk + i;
	}
}

static void trades(void **state)
{
	struct prng rng = { 3 };

	(void)state;
	for (unsigned int round = 0; round < 4; round++) {
		struct ground g = { .space = { .free_blocks = BLOCKS - 1 } };

		for (blk64_t at = 1; at < BLOCKS; at++)
			g.owner[at] = NOBODY;
		assert_int_equal(space_add_free(&g.space, 1, BLOCKS - 1), 0);
		for (unsigned int i = 0; i < 2000; i++) {
			if (i == round * 500)
				assert_int_equal(space_index(&g.space), 0);
			trade(&g, &rng);
			check_free(&g);
			check_used(&g);
		}
		assert_int_equal(space_take(&g.space, 1, BLOCKS, 0, 0),
				 E4DF_ET_OVERFLOW);
		space_release(&g.space);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions),
		cmocka_unit_test(slots),
		cmocka_unit_test(trades),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
