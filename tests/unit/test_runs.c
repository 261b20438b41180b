/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"
#include "unit.h"

#define SPACE 300 /* blocks of the naive model */

static void push(struct e4df_runs *runs, blk64_t start, blk64_t len)
{
	assert_int_equal(e4df_runs_push(runs, start, len), 0);
}

/* Ascending, disjoint and apart. */
static void check_canonical(const struct e4df_runs *runs)
{
	for (size_t i = 0; i < runs->count; i++) {
		assert_int_not_equal(runs->v[i].len, 0);
		if (i)
			assert_true(runs->v[i - 1].start + runs->v[i - 1].len <
				    runs->v[i].start);
	}
}

/* The vector says the same as a byte for each block. */
static void check_model(const struct e4df_runs *runs, const char *model)
{
	blk64_t at = 0;

	check_canonical(runs);
	for (size_t i = 0; i < runs->count; i++) {
		for (; at < runs->v[i].start; at++)
			assert_false(model[at]);
		for (; at < runs->v[i].start + runs->v[i].len; at++)
			assert_true(model[at]);
	}
	for (; at < SPACE; at++)
		assert_false(model[at]);
}

static struct e4df_runs from_model(const char *model)
{
	struct e4df_runs runs = E4DF_RUNS_INIT;

	for (blk64_t b = 0; b < SPACE; b++)
		if (model[b])
			push(&runs, b, 1);
	check_model(&runs, model);
	return runs;
}

/* Stretches of blocks, set with a probability of `percent`. */
static void make_model(struct prng *rng, char *model, unsigned int percent)
{
	unsigned int at = 0;

	memset(model, 0, SPACE);
	while (at < SPACE) {
		unsigned int len = 1 + pick(rng, 12);

		if (len > SPACE - at)
			len = SPACE - at;
		memset(model + at, chance(rng, percent), len);
		at += len;
	}
}

static void pushes_join(void **state)
{
	struct e4df_runs runs = E4DF_RUNS_INIT;

	(void)state;
	push(&runs, 10, 5);
	push(&runs, 15, 0);
	push(&runs, 15, 2);
	push(&runs, 20, 1);
	assert_int_equal(runs.count, 2);
	assert_int_equal(runs.v[0].len, 7);
	assert_int_equal(e4df_runs_blocks(&runs), 8);
	assert_int_equal(e4df_runs_longest(&runs), 7);
	assert_int_equal(e4df_runs_push(&runs, UINT64_MAX, 1),
			 E4DF_ET_OVERFLOW);
	assert_int_equal(e4df_runs_push(&runs, 2, UINT64_MAX),
			 E4DF_ET_OVERFLOW);
	push(&runs, UINT64_MAX - 1, 1);
	assert_int_equal(runs.count, 3);
	e4df_runs_free(&runs);
	assert_int_equal(runs.count, 0);
	assert_null(runs.v);
	assert_int_equal(e4df_runs_blocks(&runs), 0);
	assert_int_equal(e4df_runs_longest(&runs), 0);
	e4df_runs_free(&runs);
}

/* Ranges in any order, overlapping: sort counts what they share. */
static void sort_counts(void **state)
{
	struct prng rng = { 1 };

	(void)state;
	for (int round = 0; round < 500; round++) {
		struct e4df_runs runs = E4DF_RUNS_INIT;
		char model[SPACE] = { 0 };
		blk64_t sum = 0, distinct = 0;

		for (unsigned int i = pick(&rng, 40); i; i--) {
			unsigned int len = 1 + pick(&rng, 20);
			unsigned int start = pick(&rng, SPACE - len);

			push(&runs, start, len);
			memset(model + start, 1, len);
			sum += len;
		}
		for (int b = 0; b < SPACE; b++)
			distinct += model[b] != 0;
		assert_int_equal(e4df_runs_sort(&runs), sum - distinct);
		check_model(&runs, model);
		assert_int_equal(e4df_runs_blocks(&runs), distinct);
		assert_int_equal(e4df_runs_sort(&runs), 0);
		e4df_runs_free(&runs);
	}
}

static void check_range(const struct e4df_runs *runs, const char *model,
			unsigned int start, unsigned int len)
{
	int all = 1, any = 0;

	for (unsigned int b = start; b < start + len; b++) {
		all &= model[b] != 0;
		any |= model[b] != 0;
	}
	assert_int_equal(e4df_runs_is_inside(runs, start, len), all);
	assert_int_equal(e4df_runs_is_touched(runs, start, len), any);
}

static void queries(void **state)
{
	struct prng rng = { 2 };

	(void)state;
	for (int round = 0; round < 60; round++) {
		char model[SPACE];
		struct e4df_runs runs;

		make_model(&rng, model, pick(&rng, 101));
		runs = from_model(model);
		for (unsigned int b = 0; b < SPACE; b++) {
			size_t i = e4df_runs_find(&runs, b);

			if (i)
				assert_true(runs.v[i - 1].start +
						    runs.v[i - 1].len <=
					    b);
			if (i < runs.count)
				assert_true(runs.v[i].start + runs.v[i].len >
					    b);
			check_range(&runs, model, b, 1 + pick(&rng, SPACE - b));
		}
		e4df_runs_free(&runs);
	}
}

static void inversion(void **state)
{
	struct prng rng = { 3 };

	(void)state;
	for (int round = 0; round < 500; round++) {
		unsigned int start = pick(&rng, SPACE);
		unsigned int len = pick(&rng, SPACE - start + 1);
		struct e4df_runs runs, inverse;
		char model[SPACE];

		make_model(&rng, model, pick(&rng, 101));
		runs = from_model(model);
		assert_int_equal(e4df_runs_invert(&runs, start, len, &inverse),
				 0);
		for (unsigned int b = 0; b < SPACE; b++)
			model[b] = !model[b] && b >= start && b < start + len;
		check_model(&inverse, model);
		e4df_runs_free(&runs);
		e4df_runs_free(&inverse);
	}
}

/* (into minus less) plus more. */
static void updates(void **state)
{
	struct prng rng = { 4 };

	(void)state;
	for (int round = 0; round < 1000; round++) {
		char into_model[SPACE], less_model[SPACE], more_model[SPACE];
		struct e4df_runs into, less, more;

		make_model(&rng, into_model, pick(&rng, 101));
		make_model(&rng, less_model, pick(&rng, 101));
		make_model(&rng, more_model, pick(&rng, 101));
		for (int b = 0; b < SPACE; b++) {
			less_model[b] &= into_model[b];
			/* what goes may come back elsewhere only */
			more_model[b] &= !into_model[b];
		}
		into = from_model(into_model);
		less = from_model(less_model);
		more = from_model(more_model);
		assert_int_equal(e4df_runs_update(&into, &less, &more), 0);
		for (int b = 0; b < SPACE; b++)
			into_model[b] = (into_model[b] && !less_model[b]) ||
					more_model[b];
		check_model(&into, into_model);
		e4df_runs_free(&into);
		e4df_runs_free(&less);
		e4df_runs_free(&more);
	}
}

/* After a reserve so many pushes leave the memory where it is. */
static void reserve(void **state)
{
	struct e4df_runs runs = E4DF_RUNS_INIT;
	struct e4df_range *v;

	(void)state;
	push(&runs, 1, 1);
	assert_int_equal(e4df_runs_reserve(&runs, 1000), 0);
	v = runs.v;
	for (blk64_t i = 0; i < 1000; i++)
		push(&runs, 10 + 2 * i, 1);
	assert_ptr_equal(runs.v, v);
	assert_int_equal(e4df_runs_reserve(&runs, SIZE_MAX), ENOMEM);
	assert_int_equal(e4df_runs_reserve(&runs, SIZE_MAX / 2), ENOMEM);
	assert_ptr_equal(runs.v, v);
	assert_int_equal(runs.count, 1001);
	e4df_runs_free(&runs);
}

static void grow(void **state)
{
	uint32_t *array = NULL;
	size_t alloc = 0;

	(void)state;
	assert_int_equal(e4df_grow(&array, &alloc, 0, sizeof(*array)), 0);
	assert_null(array);
	for (uint32_t i = 0; i < 5000; i++) {
		assert_int_equal(
			e4df_grow(&array, &alloc, i + 1, sizeof(*array)), 0);
		assert_true(alloc > i && alloc <= 2 * ((size_t)i + 8));
		array[i] = i;
	}
	for (uint32_t i = 0; i < 5000; i++)
		assert_int_equal(array[i], i);
	assert_int_equal(e4df_grow(&array, &alloc, SIZE_MAX / 8,
				   sizeof(*array) * 16),
			 ENOMEM);
	assert_int_equal(array[4999], 4999);
	free(array);
}

/* In larger units: what is touched is in, and no more. */
static void units(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 200; seed++) {
		struct prng rng = { seed };
		char model[SPACE], rounded[SPACE] = { 0 }, unit[SPACE] = { 0 };
		unsigned int bits = pick(&rng, 7);
		struct e4df_runs a, b;

		make_model(&rng, model, pick(&rng, 101));
		a = from_model(model);
		b = from_model(model);
		for (unsigned int i = 0; i < SPACE; i++)
			unit[i >> bits] |= model[i];
		for (unsigned int i = 0; i < SPACE; i++)
			rounded[i] = unit[i >> bits];
		e4df_runs_divide(&a, bits);
		check_model(&a, unit);
		e4df_runs_round(&b, bits, SPACE);
		check_model(&b, rounded);
		e4df_runs_free(&a);
		e4df_runs_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pushes_join), cmocka_unit_test(sort_counts),
		cmocka_unit_test(queries),     cmocka_unit_test(inversion),
		cmocka_unit_test(updates),     cmocka_unit_test(reserve),
		cmocka_unit_test(units),       cmocka_unit_test(grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
