/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * runs - layer 0: vectors of block ranges, sorted by start, never touching
 *
 * A vector made by push in ascending order, or by sort, is canonical: ranges
 * ascend, do not overlap and do not touch.  All queries need that form.
 * All numbers are blocks.  Memory: 16 bytes for each range.
 */
#ifndef E4DF_RUNS_H
#define E4DF_RUNS_H

#include <stddef.h>
#include <ext2fs/ext2fs.h>

struct e4df_range {
	blk64_t start; /* first block */
	blk64_t len;   /* number of blocks, never 0 */
};

struct e4df_runs {
	struct e4df_range *v; /* (owned) */
	size_t count;
	size_t alloc;
};

#define E4DF_RUNS_INIT     \
	{                  \
		NULL, 0, 0 \
	}

/* Frees the vector's memory and leaves it empty. */
void e4df_runs_free(struct e4df_runs *runs);

/*
 * Appends a range; one that begins where the last one ends is joined to it.
 * len 0 is ignored.  Returns ENOMEM, or E4DF_ET_OVERFLOW if start + len wraps.
 */
errcode_t e4df_runs_push(struct e4df_runs *runs, blk64_t start, blk64_t len);

/*
 * Makes a vector canonical after pushes in any order.  Returns the number of
 * blocks that two or more ranges had in common (0 when all were disjoint).
 */
blk64_t e4df_runs_sort(struct e4df_runs *runs);

/* The index of the first range that ends behind blk; count if none does. */
size_t e4df_runs_find(const struct e4df_runs *runs, blk64_t blk);

/* Is all of [start, start + len) in one range?  (len > 0) */
int e4df_runs_is_inside(const struct e4df_runs *runs, blk64_t start,
			blk64_t len);

/* Does any block of [start, start + len) belong to a range? */
int e4df_runs_is_touched(const struct e4df_runs *runs, blk64_t start,
			 blk64_t len);

/* The sum of all lengths. */
blk64_t e4df_runs_blocks(const struct e4df_runs *runs);

/* The longest range's length, 0 for an empty vector. */
blk64_t e4df_runs_longest(const struct e4df_runs *runs);

/*
 * Writes [start, start + len) minus the ranges to *ret (overwritten, to be
 * freed by the caller).  Returns ENOMEM.
 */
errcode_t e4df_runs_invert(const struct e4df_runs *runs, blk64_t start,
			   blk64_t len, struct e4df_runs *ret);

/*
 * into := (into minus less) plus more; all three canonical, less a subset of
 * into, more disjoint from the rest.  Returns ENOMEM with into unchanged.
 */
errcode_t e4df_runs_update(struct e4df_runs *into, const struct e4df_runs *less,
			   const struct e4df_runs *more);

/*
 * From blocks to units of 2^bits blocks: what a range touches is in.  divide
 * counts in units from then on, round in blocks still, none of them from
 * `end` on.  The vector is made canonical.
 */
void e4df_runs_divide(struct e4df_runs *runs, unsigned int bits);
void e4df_runs_round(struct e4df_runs *runs, unsigned int bits, blk64_t end);

/* Appends all ranges, or what of them is in [start, end).  Returns ENOMEM. */
errcode_t e4df_runs_copy(const struct e4df_runs *from, struct e4df_runs *to);
errcode_t e4df_runs_clip(const struct e4df_runs *from, blk64_t start,
			 blk64_t end, struct e4df_runs *to);

/*
 * Makes room for `more` further ranges, so that as many pushes cannot fail.
 * Returns ENOMEM.
 */
errcode_t e4df_runs_reserve(struct e4df_runs *runs, size_t more);

/*
 * Grows *array (of *alloc elements of `size` bytes) to hold at least `need`
 * elements, by doubling.  Shared by all growing vectors of the library.
 * Returns ENOMEM with everything unchanged.
 */
errcode_t e4df_grow(void *array, size_t *alloc, size_t need, size_t size);

#endif
