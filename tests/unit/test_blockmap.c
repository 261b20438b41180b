/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Maps are built over drawn extents, and read again by a decoder that is
 * written from the format's description, block by block.
 */
#include "blockmap.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define SPARE 3 /* mapping blocks beyond those that are asked for */

struct bench {
	unsigned int bs;
	struct e4df_extent *data; /* (owned) */
	__u32 count;
	struct e4df_extent *tree; /* (owned) */
	__u32 tree_count;
	unsigned char *images; /* (owned) */
	__u32 root[15];
	/* The decoder's. */
	__u32 extent, done; /* next data expected */
	__u32 met;	    /* mapping blocks, in their order */
};

static void expect_data(struct bench *b, blk64_t lblk, __u32 pblk)
{
	const struct e4df_extent *e = &b->data[b->extent];

	assert_true(b->extent < b->count);
	assert_int_equal(lblk, e->lblk + b->done);
	assert_int_equal(pblk, e->pblk + b->done);
	if (++b->done == e->len) {
		b->extent++;
		b->done = 0;
	}
}

/* What a number in a map of so many levels stands for. */
static void decode(struct bench *b, __u32 blk, int levels, blk64_t first)
{
	blk64_t per = b->bs / 4, span = 1;
	const __u32 *slot;
	int is_used = 0;

	if (!blk)
		return;
	if (!levels) {
		expect_data(b, first, blk);
		return;
	}
	assert_true(b->met < b->tree_count);
	assert_int_equal(blk, b->tree[b->met].pblk);
	slot = (const void *)(b->images + (size_t)b->met++ * b->bs);
	for (int i = 1; i < levels; i++)
		span *= per;
	for (blk64_t i = 0; i < per; i++) {
		is_used |= slot[i] != 0;
		decode(b, slot[i], levels - 1, first + i * span);
	}
	assert_true(is_used);
}

static void check(struct bench *b)
{
	blk64_t first = 12, per = b->bs / 4, span = 1;
	size_t bytes;

	b->tree_count = e4df_blockmap_blocks(b->data, b->count, b->bs);
	bytes = (size_t)(b->tree_count + SPARE) * b->bs;
	b->tree = calloc(b->tree_count + SPARE, sizeof(*b->tree));
	b->images = malloc(bytes);
	assert_true(b->tree && b->images);
	memset(b->images, 0xa5, bytes);
	for (__u32 i = 0; i < b->tree_count + SPARE; i++)
		b->tree[i].pblk = 0xfffff000 - 7 * i;
	e4df_blockmap_build(b->data, b->count, b->bs, b->tree, b->root,
			    b->images);
	for (size_t i = (size_t)b->tree_count * b->bs; i < bytes; i++)
		assert_int_equal(b->images[i], 0xa5);
	b->extent = 0;
	b->done = 0;
	b->met = 0;
	for (__u32 i = 0; i < 12; i++)
		decode(b, b->root[i], 0, i);
	for (int levels = 1; levels <= 3; levels++) {
		decode(b, b->root[11 + levels], levels, first);
		span *= per;
		first += span;
	}
	assert_int_equal(b->extent, b->count);
	assert_int_equal(b->met, b->tree_count);
	free(b->tree);
	free(b->images);
}

/* One extent at each place where a level begins or ends. */
static void edges(void **state)
{
	static const unsigned int sizes[] = { 1024, 2048, 4096 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		blk64_t n = sizes[s] / 4;
		blk64_t limit = e4df_blockmap_limit(sizes[s]);
		const struct {
			blk64_t lblk;
			__u32 len, blocks;
		} table[] = {
			{ 0, 1, 0 },
			{ 0, 12, 0 },
			{ 0, 13, 1 },
			{ 12, 1, 1 },
			{ 11, (__u32)n + 1, 1 },
			{ 11, (__u32)n + 2, 3 },
			{ 12 + n, 1, 2 },
			{ 12 + n, (__u32)n, 2 },
			{ 12 + n, (__u32)n + 1, 3 },
			{ 12 + n + n * n - 1, 1, 2 },
			{ 12 + n + n * n - 1, 2, 5 },
			{ 12 + n + n * n, 1, 3 },
			{ 12 + n + 2 * n * n - 1, 2, 5 },
			{ limit - 1, 1, 3 },
		};

		for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
			struct e4df_extent e = {
				.pblk = 77,
				.lblk = (__u32)table[i].lblk,
				.len = table[i].len,
			};
			struct bench b = {
				.bs = sizes[s],
				.data = &e,
				.count = 1,
			};

			check(&b);
			assert_int_equal(b.tree_count, table[i].blocks);
		}
	}
}

static void nothing(void **state)
{
	struct bench b = { .bs = 1024 };

	(void)state;
	memset(b.root, 0xff, sizeof(b.root));
	check(&b);
	assert_int_equal(b.tree_count, 0);
	for (int i = 0; i < 15; i++)
		assert_int_equal(b.root[i], 0);
}

static void limits(void **state)
{
	(void)state;
	assert_int_equal(e4df_blockmap_limit(1024),
			 12 + 256 + 65536 + 16777216);
	assert_int_equal(e4df_blockmap_limit(4096),
			 12 + 1024 + 1048576 + 1073741824);
	assert_int_equal(e4df_blockmap_limit(65536), 1ULL << 32);
}

/* Extents with gaps of all sizes between them. */
static void random_maps(void **state)
{
	struct prng rng = { 4711 };

	(void)state;
	for (int round = 0; round < 400; round++) {
		struct bench b = { .bs = round % 2 ? 1024 : 4096 };
		blk64_t limit = e4df_blockmap_limit(b.bs);
		blk64_t lblk = pick(&rng, 30), pblk = 1000;
		__u32 most = 1 + pick(&rng, 60);

		b.data = calloc(most, sizeof(*b.data));
		assert_non_null(b.data);
		while (b.count < most) {
			unsigned int gap = 1U << pick(&rng, 24);
			__u32 len = 1 + pick(&rng, chance(&rng, 10) ? 3000 : 9);

			lblk += pick(&rng, gap);
			if (lblk + len > limit)
				break;
			b.data[b.count++] = (struct e4df_extent){
				.pblk = pblk & E4DF_PBLK_MAX,
				.lblk = (__u32)lblk,
				.len = len,
			};
			lblk += len;
			pblk += len + pick(&rng, 99);
		}
		check(&b);
		free(b.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges),
		cmocka_unit_test(nothing),
		cmocka_unit_test(limits),
		cmocka_unit_test(random_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
