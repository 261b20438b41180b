/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The set beside a sorted array that is searched from end to end.
 */
#include "spans.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MOST 1500 /* more than a tree of one level has */

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

static void check_span(const struct e4df_span *span, const struct item *want)
{
	if (!want) {
		assert_null(span);
		return;
	}
	assert_non_null(span);
	assert_int_equal(span->key, want->key);
	assert_int_equal(span->len, want->len);
	assert_int_equal(span->owner, want->owner);
	assert_int_equal(span->lblk, want->lblk);
}

/* All queries, about one key and length. */
static void check_queries(const struct e4df_spans *set, const struct model *m,
			  blk64_t key, blk64_t len)
{
	const struct item *floor = NULL, *before = NULL, *ceil = NULL;
	const struct item *after = NULL, *fit = NULL, *last = NULL;
	blk64_t longest = 0;

	for (unsigned int i = 0; i < m->count; i++) {
		const struct item *item = &m->v[i];

		if (item->key <= key)
			floor = item;
		if (is_before(item, key, len))
			before = item;
		if (!ceil && item->key >= key)
			ceil = item;
		if (!after && item->key >= key &&
		    (item->key > key || item->len > len))
			after = item;
		if (item->len >= len)
			last = item;
		if (!fit && item->key >= key && item->len >= len)
			fit = item;
		if (item->len > longest)
			longest = item->len;
	}
	check_span(e4df_spans_floor(set, key), floor);
	check_span(e4df_spans_before(set, key, len), before);
	check_span(e4df_spans_ceil(set, key), ceil);
	check_span(e4df_spans_after(set, key, len), after);
	check_span(e4df_spans_fit(set, key, len), fit);
	check_span(e4df_spans_fit_last(set, len), last);
	assert_int_equal(e4df_spans_longest(set), longest);
	assert_int_equal(set->count, m->count);
}

static void toggle(struct e4df_spans *set, struct model *m,
		   const struct item *item)
{
	int is_there;
	unsigned int at = model_find(m, item->key, item->len, &is_there);

	if (is_there) {
		e4df_spans_erase(set, item->key, item->len);
		m->count--;
		memmove(&m->v[at], &m->v[at + 1],
			(m->count - at) * sizeof(m->v[0]));
	} else if (m->count < MOST) {
		assert_int_equal(e4df_spans_insert(set, item->key, item->len,
						   item->owner, item->lblk),
				 0);
		memmove(&m->v[at + 1], &m->v[at],
			(m->count - at) * sizeof(m->v[0]));
		m->v[at] = *item;
		m->count++;
	}
}

/* Other values, for a range that may be there. */
static void change(struct e4df_spans *set, struct model *m, blk64_t key,
		   blk64_t len, __u32 owner)
{
	int is_there;
	unsigned int at = model_find(m, key, len, &is_there);

	if (is_there) {
		m->v[at].owner = owner;
		m->v[at].lblk = ~owner;
	}
	assert_int_equal(e4df_spans_change(set, key, len, owner, ~owner),
			 is_there);
}

/* A range becomes another between its neighbours: often as far as it can. */
static void replace(struct e4df_spans *set, struct model *m, struct prng *rng,
		    unsigned int lens)
{
	unsigned int at = pick(rng, m->count);
	struct item *item = &m->v[at];
	blk64_t lo = at ? item[-1].key : 0;
	blk64_t hi = at + 1 < m->count ? item[1].key : item->key + 9;
	struct e4df_span now = {
		.key = lo + pick(rng, (unsigned int)(hi - lo) + 1),
		.len = 1 + pick(rng, lens),
		.owner = (__u32)prng_next(rng),
		.lblk = at,
	};

	if (chance(rng, 60))
		now.key = chance(rng, 50) ? hi : lo;
	if ((at && !is_before(&item[-1], now.key, now.len)) ||
	    (at + 1 < m->count &&
	     !is_before(&(struct item){ now.key, now.len, 0, 0 }, item[1].key,
			item[1].len)))
		return;
	e4df_spans_replace(set, item->key, item->len, &now);
	*item = (struct item){ now.key, now.len, now.owner, now.lblk };
}

/* From end to end, by the neighbours alone. */
static void check_walk(const struct e4df_spans *set, const struct model *m)
{
	const struct e4df_span *span = e4df_spans_ceil(set, 0);

	for (unsigned int i = 0; i < m->count; i++) {
		check_span(span, &m->v[i]);
		span = e4df_spans_next(set, span);
	}
	assert_null(span);
}

/* How the sets change: what is added next, and how often one goes. */
struct way {
	unsigned int seed, keys, lens;
	unsigned int steps, erased_percent;
	int order; /* of the keys: 1 ascending, -1 descending, 0 any */
};

static struct item next_item(const struct way *way, struct prng *rng,
			     unsigned int i)
{
	blk64_t key = pick(rng, way->keys);

	if (way->order)
		key = way->order > 0 ? i : way->steps - i;
	return (struct item){
		.key = key,
		.len = 1 + pick(rng, way->lens),
		.owner = (__u32)prng_next(rng),
		.lblk = i,
	};
}

static void churn(const struct way *way)
{
	struct e4df_spans set = E4DF_SPANS_INIT;
	struct model *m = calloc(1, sizeof(*m));
	struct prng rng = { way->seed };

	assert_non_null(m);
	for (unsigned int i = 0; i < way->steps; i++) {
		struct item item = next_item(way, &rng, i);

		if (m->count && chance(&rng, way->erased_percent))
			item = m->v[pick(&rng, m->count)]; /* to be erased */
		toggle(&set, m, &item);
		change(&set, m, item.key, item.len + pick(&rng, 2), i);
		if (m->count && i % 3)
			replace(&set, m, &rng, way->lens);
		check_queries(&set, m, pick(&rng, way->keys + 2),
			      pick(&rng, way->lens + 2));
		if (i % 64 == 0)
			check_walk(&set, m);
	}
	while (m->count) {
		toggle(&set, m, &m->v[pick(&rng, m->count)]);
		check_queries(&set, m, pick(&rng, way->keys + 2),
			      pick(&rng, way->lens + 2));
	}
	check_walk(&set, m);
	e4df_spans_free(&set);
	free(m);
}

static void random_operations(void **state)
{
	static const struct way ways[] = {
		{ 1, 1000, 100, 4000, 45, 0 },
		/* many of one key, as sets by length have */
		{ 2, 30, 1000000, 6000, 30, 0 },
		{ 3, 1000000, 3, 6000, 20, 0 },
		{ 4, 1, 5000, 3000, 40, 0 },
		{ 5, 5000, 50, 5000, 10, 1 },
		{ 6, 5000, 50, 5000, 10, -1 },
		{ 7, 5000, 50, 5000, 48, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		churn(&ways[i]);
}

static void extremes(void **state)
{
	struct e4df_spans set = E4DF_SPANS_INIT;

	(void)state;
	assert_null(e4df_spans_floor(&set, 5));
	assert_null(e4df_spans_before(&set, 5, 5));
	assert_null(e4df_spans_ceil(&set, 5));
	assert_null(e4df_spans_after(&set, 5, 5));
	assert_null(e4df_spans_fit_last(&set, 0));
	assert_null(e4df_spans_fit(&set, 0, 0));
	assert_int_equal(e4df_spans_longest(&set), 0);
	assert_int_equal(e4df_spans_insert(&set, UINT64_MAX, 7, 1, 2), 0);
	assert_int_equal(e4df_spans_insert(&set, 0, UINT64_MAX, 3, 4), 0);
	assert_int_equal(e4df_spans_floor(&set, UINT64_MAX)->len, 7);
	assert_int_equal(e4df_spans_fit(&set, 0, UINT64_MAX)->owner, 3);
	assert_null(e4df_spans_fit(&set, 1, 8));
	e4df_spans_free(&set);
	assert_int_equal(set.count, 0);
	e4df_spans_free(&set);
}

/*
 * Leaves of 64 are full when keys ascend, and nearly so when they descend; they
 * go when they are empty, and what is spare is used again.
 */
static void compact_memory(void **state)
{
	struct e4df_spans set = E4DF_SPANS_INIT;
	blk64_t i;

	(void)state;
	for (i = 0; i < 100000; i++)
		assert_int_equal(e4df_spans_insert(&set, 8 * i, 4, 0, 0), 0);
	assert_int_equal(set.leaves.used, (100000 + 63) / 64);
	assert_int_equal(set.height, 2);
	for (i = 0; i < 99000; i++)
		e4df_spans_erase(&set, 8 * i, 4);
	assert_int_equal(set.count, 1000);
	assert_int_equal(set.height, 1);
	assert_int_equal(e4df_spans_ceil(&set, 0)->key, 8 * 99000);
	for (i = 99000; i--;)
		assert_int_equal(e4df_spans_insert(&set, 8 * i, 4, 0, 0), 0);
	assert_in_range(set.leaves.used, 1, 100000 / 54);
	while (set.count)
		e4df_spans_erase(&set, e4df_spans_ceil(&set, 0)->key, 4);
	assert_int_equal(set.height, 0);
	e4df_spans_free(&set);
}

/* The first one in each leaf is its longest. */
static blk64_t len_of(blk64_t i)
{
	return i % 64 ? 4 : 5;
}

static void add(struct e4df_spans *set, blk64_t first, blk64_t end)
{
	for (blk64_t i = first; i < end; i++)
		assert_int_equal(e4df_spans_insert(set, i, len_of(i), 0, 0), 0);
}

static void drop(struct e4df_spans *set, blk64_t first, blk64_t end)
{
	for (blk64_t i = first; i < end; i++)
		e4df_spans_erase(set, i, len_of(i));
}

/* In any order leaves are four fifths full: they lend each other room. */
static void lent_room(void **state)
{
	struct e4df_spans set = E4DF_SPANS_INIT;

	(void)state;
	for (blk64_t i = 0; i < 100000; i++)
		assert_int_equal(e4df_spans_insert(&set, i * 61813 % 100000, 4,
						   0, 0),
				 0);
	assert_in_range(set.leaves.used, 1, 100000 / 50);
	e4df_spans_free(&set);
}

/* Few are left of many: their leaves are joined, and others are spare. */
static void thin_out(blk64_t kept)
{
	struct e4df_spans set = E4DF_SPANS_INIT;
	unsigned int steps = 0;

	add(&set, 0, 6400);
	for (blk64_t i = 0; i < 6400; i++)
		if (i % 64 && i % 64 != kept)
			e4df_spans_erase(&set, i, len_of(i));
	add(&set, 6400, 6400 + 90 * 64);
	for (const struct e4df_span *n = e4df_spans_ceil(&set, 0); n;
	     n = e4df_spans_next(&set, n))
		steps++;
	assert_int_equal(steps, (kept ? 200 : 100) + 90 * 64);
	assert_int_equal(set.leaves.used, 100);
	e4df_spans_free(&set);
}

static void thinned_out(void **state)
{
	(void)state;
	thin_out(0);
	thin_out(63);
}

/*
 * The second inner node loses its first leaf, and what is added then is before
 * all that is left there; so it must still be found when this node has become
 * the rear of the first one.
 */
static void joined_nodes(void **state)
{
	struct e4df_spans set = E4DF_SPANS_INIT;

	(void)state;
	add(&set, 0, 96 * 64);
	assert_int_equal(set.height, 2);
	drop(&set, 64 * 64, 65 * 64);
	add(&set, 64 * 64 + 5, 64 * 64 + 6);
	drop(&set, 16 * 64, 64 * 64);
	assert_int_equal(set.height, 1);
	assert_int_equal(e4df_spans_floor(&set, 64 * 64 + 5)->key, 64 * 64 + 5);
	drop(&set, 64 * 64 + 5, 64 * 64 + 6);
	assert_int_equal(e4df_spans_floor(&set, 64 * 64 + 5)->key, 16 * 64 - 1);
	e4df_spans_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extremes),
		cmocka_unit_test(random_operations),
		cmocka_unit_test(compact_memory),
		cmocka_unit_test(lent_room),
		cmocka_unit_test(thinned_out),
		cmocka_unit_test(joined_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
