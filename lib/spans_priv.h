/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spans_priv - the nodes of spans, for its own files only
 *
 *	spans.c		what changes a set
 *	spans_query.c	what asks it
 */
#ifndef E4DF_SPANS_PRIV_H
#define E4DF_SPANS_PRIV_H

#include "spans.h"

enum {
	LEAF = 64,  /* ranges in a leaf */
	INNER = 64, /* children of an inner node */
	JOIN = 56,  /* neighbours that have no more are made one */
	ROOMY = 52, /* a leaf that has no more takes some of a full one */
	MOST_LEVELS = 16,
};

/*
 * Number 0 is none; its `next` is the leaf that was looked at last, also by a
 * query, as what comes next is often there.
 */
struct leaf {
	__u32 count;	  /* 0 if it is spare; else only of the root */
	__u32 prev, next; /* 0 = none; of a spare one: the next spare one */
	blk64_t longest;  /* as its edge has it; not of the root */
	struct e4df_span v[LEAF];
};

/* A child: nothing in it is before (key, len), all that precedes it is. */
struct edge {
	blk64_t key, len; /* of the first child they count as the least */
	blk64_t longest;
	__u32 child; /* a leaf if this is the lowest level */
};

struct inner {
	__u32 count;
	__u32 next; /* of a spare one: the next spare one */
	struct edge v[INNER];
};

static inline struct leaf *leaf_of(const struct e4df_spans *set, __u32 i)
{
	return (struct leaf *)set->leaves.nodes + i;
}

static inline struct inner *inner_of(const struct e4df_spans *set, __u32 i)
{
	return (struct inner *)set->inners.nodes + i;
}

static inline int is_before(blk64_t a_key, blk64_t a_len, blk64_t key,
			    blk64_t len)
{
	return a_key < key || (a_key == key && a_len < len);
}

/* The number of ranges before (key, len). */
static inline __u32 rank_in_leaf(const struct leaf *leaf, blk64_t key,
				 blk64_t len)
{
	__u32 lo = 0, hi = leaf->count;

	while (lo < hi) {
		__u32 mid = lo + (hi - lo) / 2;

		if (is_before(leaf->v[mid].key, leaf->v[mid].len, key, len))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The child that (key, len) is or would be in. */
static inline __u32 rank_in_inner(const struct inner *inner, blk64_t key,
				  blk64_t len)
{
	__u32 lo = 0, hi = inner->count;

	while (hi - lo > 1) {
		__u32 mid = lo + (hi - lo) / 2;

		if (is_before(key, len, inner->v[mid].key, inner->v[mid].len))
			hi = mid;
		else
			lo = mid;
	}
	return lo;
}

/*
 * The leaf that was looked at last, if (key, len) is or would be in it for
 * certain: neither before its first range nor behind all but its last one.
 */
static inline struct leaf *last_leaf(const struct e4df_spans *set, blk64_t key,
				     blk64_t len)
{
	struct leaf *leaf = leaf_of(set, leaf_of(set, 0)->next);
	__u32 count = leaf->count;

	if (!count || is_before(key, len, leaf->v[0].key, leaf->v[0].len) ||
	    !is_before(key, len, leaf->v[count - 1].key,
		       leaf->v[count - 1].len))
		return NULL;
	return leaf;
}

static inline void remember(const struct e4df_spans *set, __u32 node)
{
	leaf_of(set, 0)->next = node;
}

/* The longest below a node; a leaf if the level is 0. */
blk64_t spans_measure(const struct e4df_spans *set, unsigned int level,
		      __u32 node);
/* The leaf that (key, len) is or would be in; the set is not empty. */
struct leaf *spans_find_leaf(const struct e4df_spans *set, blk64_t key,
			     blk64_t len);

#endif
