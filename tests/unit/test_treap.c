/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The treap beside a sorted array that is searched from end to end.
 */
#include "treap.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MOST 400

struct item {
	blk64_t key, len;
	__u32 owner, lblk;
};

struct model {
	struct item v[MOST];
	unsigned int count;
};

static int is_before(const struct item *a, blk64_t key, blk64_t len)
{
	return a->key < key || (a->key == key && a->len < len);
}

/* The place of (key, len); *is_there tells whether it is in use. */
static unsigned int model_find(const struct model *m, blk64_t key, blk64_t len,
			       int *is_there)
{
	unsigned int i = 0;

	while (i < m->count && is_before(&m->v[i], key, len))
		i++;
	*is_there = i < m->count && m->v[i].key == key && m->v[i].len == len;
	return i;
}

static void check_node(const struct e4df_node *node, const struct item *want)
{
	if (!want) {
		assert_null(node);
		return;
	}
	assert_non_null(node);
	assert_int_equal(node->key, want->key);
	assert_int_equal(node->len, want->len);
	assert_int_equal(node->owner, want->owner);
	assert_int_equal(node->lblk, want->lblk);
}

/* All queries, about one key and length. */
static void check_queries(const struct e4df_treap *treap, const struct model *m,
			  blk64_t key, blk64_t len)
{
	const struct item *floor = NULL, *before = NULL, *ceil = NULL;
	const struct item *fit = NULL;
	blk64_t longest = 0;

	for (unsigned int i = 0; i < m->count; i++) {
		const struct item *item = &m->v[i];

		if (item->key <= key)
			floor = item;
		if (is_before(item, key, len))
			before = item;
		if (!ceil && item->key >= key)
			ceil = item;
		if (!fit && item->key >= key && item->len >= len)
			fit = item;
		if (item->len > longest)
			longest = item->len;
	}
	check_node(e4df_treap_floor(treap, key), floor);
	check_node(e4df_treap_before(treap, key, len), before);
	check_node(e4df_treap_ceil(treap, key), ceil);
	check_node(e4df_treap_fit(treap, key, len), fit);
	assert_int_equal(e4df_treap_longest(treap), longest);
	assert_int_equal(treap->count, m->count);
}

static void toggle(struct e4df_treap *treap, struct model *m,
		   const struct item *item)
{
	int is_there;
	unsigned int at = model_find(m, item->key, item->len, &is_there);

	if (is_there) {
		e4df_treap_erase(treap, item->key, item->len);
		m->count--;
		memmove(&m->v[at], &m->v[at + 1],
			(m->count - at) * sizeof(m->v[0]));
	} else if (m->count < MOST) {
		assert_int_equal(e4df_treap_insert(treap, item->key, item->len,
						   item->owner, item->lblk),
				 0);
		memmove(&m->v[at + 1], &m->v[at],
			(m->count - at) * sizeof(m->v[0]));
		m->v[at] = *item;
		m->count++;
	}
}

static void churn(unsigned int seed, unsigned int keys, unsigned int lens)
{
	struct e4df_treap treap = E4DF_TREAP_INIT;
	struct model m = { .count = 0 };
	struct prng rng = { seed };

	for (unsigned int i = 0; i < 3000; i++) {
		struct item item = {
			.key = pick(&rng, keys),
			.len = 1 + pick(&rng, lens),
			.owner = (__u32)prng_next(&rng),
			.lblk = i,
		};

		if (m.count && chance(&rng, 45))
			item = m.v[pick(&rng, m.count)]; /* to be erased */
		toggle(&treap, &m, &item);
		check_queries(&treap, &m, pick(&rng, keys + 2),
			      pick(&rng, lens + 2));
	}
	while (m.count)
		toggle(&treap, &m, &m.v[m.count / 2]);
	check_queries(&treap, &m, 0, 0);
	e4df_treap_free(&treap);
}

static void random_operations(void **state)
{
	(void)state;
	churn(1, 1000, 100);
	churn(2, 30, 1000000); /* many of one key, as sets by length have */
	churn(3, 1000000, 3);
	churn(4, 1, 500);
}

static void extremes(void **state)
{
	struct e4df_treap treap = E4DF_TREAP_INIT;

	(void)state;
	assert_null(e4df_treap_floor(&treap, 5));
	assert_null(e4df_treap_before(&treap, 5, 5));
	assert_null(e4df_treap_ceil(&treap, 5));
	assert_null(e4df_treap_fit(&treap, 0, 0));
	assert_int_equal(e4df_treap_longest(&treap), 0);
	assert_int_equal(e4df_treap_insert(&treap, UINT64_MAX, 7, 1, 2), 0);
	assert_int_equal(e4df_treap_insert(&treap, 0, UINT64_MAX, 3, 4), 0);
	assert_int_equal(e4df_treap_floor(&treap, UINT64_MAX)->len, 7);
	assert_int_equal(e4df_treap_fit(&treap, 0, UINT64_MAX)->owner, 3);
	assert_null(e4df_treap_fit(&treap, 1, 8));
	e4df_treap_free(&treap);
	assert_int_equal(treap.count, 0);
	e4df_treap_free(&treap);
}

static unsigned int depth_of(const struct e4df_treap *treap, __u32 i)
{
	unsigned int left, right;

	if (!i)
		return 0;
	left = depth_of(treap, treap->nodes[i].left);
	right = depth_of(treap, treap->nodes[i].right);
	return 1 + (left > right ? left : right);
}

/* Ascending keys, the worst case of a plain tree, stay shallow. */
static void shallow(void **state)
{
	struct e4df_treap treap = E4DF_TREAP_INIT;

	(void)state;
	for (blk64_t i = 0; i < 100000; i++)
		assert_int_equal(e4df_treap_insert(&treap, 8 * i, 4, 0, 0), 0);
	assert_in_range(depth_of(&treap, treap.root), 17, 60);
	for (blk64_t i = 0; i < 99000; i++)
		e4df_treap_erase(&treap, 8 * i, 4);
	assert_int_equal(treap.count, 1000);
	assert_int_equal(e4df_treap_ceil(&treap, 0)->key, 8 * 99000);
	for (blk64_t i = 0; i < 99000; i++) /* in the places that are spare */
		assert_int_equal(e4df_treap_insert(&treap, 8 * i, 4, 0, 0), 0);
	assert_int_equal(treap.used, 100001);
	assert_in_range(depth_of(&treap, treap.root), 17, 60);
	e4df_treap_free(&treap);
}

/* The same calls give the same tree, node by node. */
static void deterministic(void **state)
{
	struct e4df_treap a = E4DF_TREAP_INIT, b = E4DF_TREAP_INIT;
	struct prng rng = { 5 };

	(void)state;
	for (unsigned int i = 0; i < 500; i++) {
		blk64_t key = prng_next(&rng);

		assert_int_equal(e4df_treap_insert(&a, key, 1 + i, i, i), 0);
		assert_int_equal(e4df_treap_insert(&b, key, 1 + i, i, i), 0);
	}
	assert_int_equal(a.root, b.root);
	assert_memory_equal(a.nodes + 1, b.nodes + 1, 500 * sizeof(*a.nodes));
	e4df_treap_free(&a);
	e4df_treap_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extremes),
		cmocka_unit_test(random_operations),
		cmocka_unit_test(shallow),
		cmocka_unit_test(deterministic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
