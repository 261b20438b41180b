/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spans - layer 0: an ordered set of block ranges that knows its longest
 *
 * A B+ tree over (key, len) with the longest `len` below every child, so that
 * "the first range behind here that is long enough" is one descent.  Neighbours
 * lie side by side in leaves, and a walk from one to the next costs nothing.
 * What comes in ascending order, or close together, costs one leaf and no
 * descent; a query remembers its leaf for that, so a set is for one thread.
 * The same calls give the same tree (no clock, no address in the outcome).
 * Memory: 24 bytes for each range, about 30 with the room in the leaves, and at
 * worst 50; added in ascending order they leave none.
 */
#ifndef E4DF_SPANS_H
#define E4DF_SPANS_H

#include <ext2fs/ext2fs.h>

struct e4df_span {
	blk64_t key;
	blk64_t len;
	__u32 owner; /* the caller's */
	__u32 lblk;  /* the caller's */
};

/* How nodes are kept: by number, from 1; 0 = none. */
struct e4df_spans_pool {
	void *nodes; /* (owned) [0] is not used */
	size_t alloc;
	__u32 used;  /* nodes ever handed out */
	__u32 spare; /* list of those given back */
};

struct e4df_spans {
	struct e4df_spans_pool leaves;
	struct e4df_spans_pool inners;
	__u32 root;
	unsigned int height; /* of inner nodes above the leaves */
	size_t count;	     /* of ranges */
};

#define E4DF_SPANS_INIT                                       \
	{                                                     \
		{ NULL, 0, 0, 0 }, { NULL, 0, 0, 0 }, 0, 0, 0 \
	}

void e4df_spans_free(struct e4df_spans *set);

/* Adds a range; (key, len) must not be there yet.  Returns ENOMEM. */
errcode_t e4df_spans_insert(struct e4df_spans *set, blk64_t key, blk64_t len,
			    __u32 owner, __u32 lblk);

/* Removes the range (key, len), which must be there. */
void e4df_spans_erase(struct e4df_spans *set, blk64_t key, blk64_t len);

/* Gives the range (key, len), if it is there, other values of the caller. */
int e4df_spans_change(struct e4df_spans *set, blk64_t key, blk64_t len,
		      __u32 owner, __u32 lblk);

/*
 * The range (key, len), which must be there, becomes another one.  No other
 * may lie between the two.
 */
void e4df_spans_replace(struct e4df_spans *set, blk64_t key, blk64_t len,
			const struct e4df_span *now);

/*
 * Queries return NULL where there is none; what they return is valid until
 * the next insert, erase or replace.
 */

/* The last range with a key of at most `key`. */
const struct e4df_span *e4df_spans_floor(const struct e4df_spans *set,
					 blk64_t key);
/* The first range with a key of at least `key`. */
const struct e4df_span *e4df_spans_ceil(const struct e4df_spans *set,
					blk64_t key);
/* The last range before (key, len), and the first one behind it. */
const struct e4df_span *e4df_spans_before(const struct e4df_spans *set,
					  blk64_t key, blk64_t len);
const struct e4df_span *e4df_spans_after(const struct e4df_spans *set,
					 blk64_t key, blk64_t len);
/* The neighbour of a range that a query has returned. */
const struct e4df_span *e4df_spans_next(const struct e4df_spans *set,
					const struct e4df_span *span);
/* The first range with a key of at least `key` and at least `len` long. */
const struct e4df_span *e4df_spans_fit(const struct e4df_spans *set,
				       blk64_t key, blk64_t len);
/* The last range that is at least `len` long. */
const struct e4df_span *e4df_spans_fit_last(const struct e4df_spans *set,
					    blk64_t len);
/* The longest len of all, 0 if empty. */
blk64_t e4df_spans_longest(const struct e4df_spans *set);

#endif
