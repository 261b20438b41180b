/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

errcode_t e4df_grow(void *array, size_t *alloc, size_t need, size_t size)
{
	void *mem;
	size_t want = *alloc ? *alloc : 16;
	size_t bytes;

	if (need <= *alloc)
		return 0;
	while (want < need)
		if (__builtin_mul_overflow(want, 2, &want))
			return ENOMEM;
	if (__builtin_mul_overflow(want, size, &bytes))
		return ENOMEM;
	memcpy(&mem, array, sizeof(mem));
	mem = realloc(mem, bytes);
	if (!mem)
		return ENOMEM;
	memcpy(array, &mem, sizeof(mem));
	*alloc = want;
	return 0;
}

void e4df_runs_free(struct e4df_runs *runs)
{
	free(runs->v);
	memset(runs, 0, sizeof(*runs));
}

errcode_t e4df_runs_reserve(struct e4df_runs *runs, size_t more)
{
	size_t need;

	if (__builtin_add_overflow(runs->count, more, &need))
		return ENOMEM;
	return e4df_grow(&runs->v, &runs->alloc, need, sizeof(*runs->v));
}

errcode_t e4df_runs_push(struct e4df_runs *runs, blk64_t start, blk64_t len)
{
	blk64_t end;
	errcode_t err;

	if (!len)
		return 0;
	if (__builtin_add_overflow(start, len, &end))
		return E4DF_ET_OVERFLOW;
	if (runs->count) {
		struct e4df_range *last = &runs->v[runs->count - 1];

		if (last->start + last->len == start) {
			last->len += len;
			return 0;
		}
	}
	err = e4df_runs_reserve(runs, 1);
	if (err)
		return err;
	runs->v[runs->count++] = (struct e4df_range){ start, len };
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct e4df_range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->len > y->len) - (x->len < y->len);
}

blk64_t e4df_runs_sort(struct e4df_runs *runs)
{
	blk64_t shared = 0;
	size_t i, out = 0;

	if (!runs->count)
		return 0;
	qsort(runs->v, runs->count, sizeof(*runs->v), compare_ranges);
	for (i = 1; i < runs->count; i++) {
		struct e4df_range *last = &runs->v[out];
		const struct e4df_range *r = &runs->v[i];
		blk64_t end = last->start + last->len;

		if (r->start > end) {
			runs->v[++out] = *r;
			continue;
		}
		if (r->start + r->len > end) {
			shared += end - r->start;
			last->len = r->start + r->len - last->start;
		} else {
			shared += r->len;
		}
	}
	runs->count = out + 1;
	return shared;
}

size_t e4df_runs_find(const struct e4df_runs *runs, blk64_t blk)
{
	size_t lo = 0, hi = runs->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (runs->v[mid].start + runs->v[mid].len > blk)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

int e4df_runs_is_inside(const struct e4df_runs *runs, blk64_t start,
			blk64_t len)
{
	size_t i = e4df_runs_find(runs, start);

	return i < runs->count && runs->v[i].start <= start &&
	       runs->v[i].start + runs->v[i].len - start >= len;
}

int e4df_runs_is_touched(const struct e4df_runs *runs, blk64_t start,
			 blk64_t len)
{
	size_t i = e4df_runs_find(runs, start);

	return i < runs->count && runs->v[i].start < start + len;
}

blk64_t e4df_runs_blocks(const struct e4df_runs *runs)
{
	blk64_t sum = 0;

	for (size_t i = 0; i < runs->count; i++)
		sum += runs->v[i].len;
	return sum;
}

blk64_t e4df_runs_longest(const struct e4df_runs *runs)
{
	blk64_t max = 0;

	for (size_t i = 0; i < runs->count; i++)
		if (runs->v[i].len > max)
			max = runs->v[i].len;
	return max;
}

errcode_t e4df_runs_invert(const struct e4df_runs *runs, blk64_t start,
			   blk64_t len, struct e4df_runs *ret)
{
	struct e4df_runs out = E4DF_RUNS_INIT;
	blk64_t at = start, end = start + len;
	size_t i = e4df_runs_find(runs, start);
	errcode_t err;

	err = e4df_runs_reserve(&out, runs->count - i + 1);
	if (err)
		return err;
	for (; i < runs->count && runs->v[i].start < end; i++) {
		const struct e4df_range *r = &runs->v[i];

		if (r->start > at)
			e4df_runs_push(&out, at, r->start - at);
		at = r->start + r->len;
	}
	if (at < end)
		e4df_runs_push(&out, at, end - at);
	*ret = out;
	return 0;
}

/* Appends what begins before a block, from index *i on. */
static void push_before(struct e4df_runs *out, const struct e4df_runs *from,
			size_t *i, blk64_t blk)
{
	for (; *i < from->count && from->v[*i].start < blk; ++*i)
		e4df_runs_push(out, from->v[*i].start, from->v[*i].len);
}

errcode_t e4df_runs_update(struct e4df_runs *into, const struct e4df_runs *less,
			   const struct e4df_runs *more)
{
	struct e4df_runs out = E4DF_RUNS_INIT;
	size_t i, l = 0, m = 0;
	errcode_t err;

	/* Each range of `less` splits at most one range of `into`. */
	err = e4df_runs_reserve(&out, into->count + less->count + more->count);
	if (err)
		return err;
	for (i = 0; i < into->count; i++) {
		blk64_t at = into->v[i].start;
		blk64_t end = at + into->v[i].len;

		for (; l < less->count && less->v[l].start < end; l++) {
			push_before(&out, more, &m, at);
			e4df_runs_push(&out, at, less->v[l].start - at);
			at = less->v[l].start + less->v[l].len;
		}
		push_before(&out, more, &m, at);
		e4df_runs_push(&out, at, end - at);
	}
	push_before(&out, more, &m, UINT64_MAX);
	e4df_runs_free(into);
	*into = out;
	return 0;
}

errcode_t e4df_runs_copy(const struct e4df_runs *from, struct e4df_runs *to)
{
	errcode_t err = e4df_runs_reserve(to, from->count);

	for (size_t i = 0; i < from->count && !err; i++)
		err = e4df_runs_push(to, from->v[i].start, from->v[i].len);
	return err;
}

errcode_t e4df_runs_clip(const struct e4df_runs *from, blk64_t start,
			 blk64_t end, struct e4df_runs *to)
{
	errcode_t err = 0;

	for (size_t i = e4df_runs_find(from, start);
	     i < from->count && from->v[i].start < end && !err; i++) {
		blk64_t at = from->v[i].start;
		blk64_t stop = at + from->v[i].len;

		if (at < start)
			at = start;
		if (stop > end)
			stop = end;
		err = e4df_runs_push(to, at, stop - at);
	}
	return err;
}

void e4df_runs_divide(struct e4df_runs *runs, unsigned int bits)
{
	for (size_t i = 0; i < runs->count; i++) {
		struct e4df_range *r = &runs->v[i];
		blk64_t last = (r->start + (r->len - 1)) >> bits;

		r->start >>= bits;
		r->len = last - r->start + 1;
	}
	e4df_runs_sort(runs);
}

void e4df_runs_round(struct e4df_runs *runs, unsigned int bits, blk64_t end)
{
	e4df_runs_divide(runs, bits);
	for (size_t i = 0; i < runs->count; i++) {
		struct e4df_range *r = &runs->v[i];

		r->start <<= bits;
		r->len <<= bits;
		if (r->start < end && r->len > end - r->start)
			r->len = end - r->start;
	}
}
