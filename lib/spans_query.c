/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spans_priv.h"

blk64_t spans_measure(const struct e4df_spans *set, unsigned int level,
		      __u32 node)
{
	blk64_t longest = 0;

	if (level) {
		const struct inner *inner = inner_of(set, node);

		for (__u32 i = 0; i < inner->count; i++)
			if (inner->v[i].longest > longest)
				longest = inner->v[i].longest;
	} else {
		const struct leaf *leaf = leaf_of(set, node);

		for (__u32 i = 0; i < leaf->count; i++)
			if (leaf->v[i].len > longest)
				longest = leaf->v[i].len;
	}
	return longest;
}

/*
 * A leaf of a large set is in no cache, and each step of the search in it
 * would wait for memory: so they all are asked for at once.
 */
static struct leaf *fetch_leaf(const struct e4df_spans *set, __u32 node)
{
	struct leaf *leaf = leaf_of(set, node);

	for (unsigned int i = 0; i < LEAF; i += 4)
		__builtin_prefetch(&leaf->v[i]);
	return leaf;
}

struct leaf *spans_find_leaf(const struct e4df_spans *set, blk64_t key,
			     blk64_t len)
{
	struct leaf *leaf = last_leaf(set, key, len);
	__u32 node = set->root;

	if (leaf)
		return leaf;
	for (unsigned int level = set->height; level; level--) {
		const struct inner *inner = inner_of(set, node);

		node = inner->v[rank_in_inner(inner, key, len)].child;
	}
	remember(set, node);
	return fetch_leaf(set, node);
}

/* The leaf that (key, len) is or would be in, and where; NULL if none is. */
static const struct leaf *find_place(const struct e4df_spans *set, blk64_t key,
				     blk64_t len, __u32 *at)
{
	const struct leaf *leaf = set->count ? spans_find_leaf(set, key, len) :
					       NULL;

	*at = leaf ? rank_in_leaf(leaf, key, len) : 0;
	return leaf;
}

const struct e4df_span *e4df_spans_before(const struct e4df_spans *set,
					  blk64_t key, blk64_t len)
{
	__u32 at;
	const struct leaf *leaf = find_place(set, key, len, &at);

	if (!leaf)
		return NULL;
	if (at)
		return &leaf->v[at - 1];
	if (!leaf->prev)
		return NULL;
	leaf = leaf_of(set, leaf->prev);
	return &leaf->v[leaf->count - 1];
}

const struct e4df_span *e4df_spans_floor(const struct e4df_spans *set,
					 blk64_t key)
{
	return e4df_spans_before(set, key, UINT64_MAX);
}

/* The first that is not before (key, len). */
static const struct e4df_span *at_least(const struct e4df_spans *set,
					blk64_t key, blk64_t len)
{
	__u32 at;
	const struct leaf *leaf = find_place(set, key, len, &at);

	if (!leaf)
		return NULL;
	if (at < leaf->count)
		return &leaf->v[at];
	return leaf->next ? leaf_of(set, leaf->next)->v : NULL;
}

const struct e4df_span *e4df_spans_ceil(const struct e4df_spans *set,
					blk64_t key)
{
	return at_least(set, key, 0);
}

const struct e4df_span *e4df_spans_after(const struct e4df_spans *set,
					 blk64_t key, blk64_t len)
{
	return at_least(set, key, len + 1);
}

const struct e4df_span *e4df_spans_next(const struct e4df_spans *set,
					const struct e4df_span *span)
{
	const char *base = set->leaves.nodes;
	size_t node = (size_t)((const char *)span - base) / sizeof(struct leaf);
	const struct leaf *leaf = leaf_of(set, (__u32)node);

	if (span + 1 < leaf->v + leaf->count)
		return span + 1;
	return leaf->next ? leaf_of(set, leaf->next)->v : NULL;
}

static const struct e4df_span *fit(const struct e4df_spans *set,
				   unsigned int level, __u32 node, blk64_t key,
				   blk64_t len)
{
	const struct inner *inner;
	const struct leaf *leaf;

	if (!level) {
		leaf = leaf_of(set, node);
		for (__u32 i = rank_in_leaf(leaf, key, 0); i < leaf->count; i++)
			if (leaf->v[i].len >= len)
				return &leaf->v[i];
		return NULL;
	}
	inner = inner_of(set, node);
	for (__u32 i = rank_in_inner(inner, key, 0); i < inner->count; i++) {
		const struct e4df_span *found;

		if (inner->v[i].longest < len)
			continue;
		/* only in the first child can it be before the key */
		found = fit(set, level - 1, inner->v[i].child, key, len);
		if (found)
			return found;
	}
	return NULL;
}

const struct e4df_span *e4df_spans_fit(const struct e4df_spans *set,
				       blk64_t key, blk64_t len)
{
	return set->count ? fit(set, set->height, set->root, key, len) : NULL;
}

const struct e4df_span *e4df_spans_fit_last(const struct e4df_spans *set,
					    blk64_t len)
{
	__u32 node = set->root, i;
	const struct leaf *leaf;

	if (!set->count || e4df_spans_longest(set) < len)
		return NULL;
	for (unsigned int level = set->height; level; level--) {
		const struct inner *inner = inner_of(set, node);

		for (i = inner->count - 1; inner->v[i].longest < len; i--)
			;
		node = inner->v[i].child;
	}
	leaf = leaf_of(set, node);
	for (i = leaf->count - 1; leaf->v[i].len < len; i--)
		;
	return &leaf->v[i];
}

blk64_t e4df_spans_longest(const struct e4df_spans *set)
{
	return set->count ? spans_measure(set, set->height, set->root) : 0;
}
