/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spans_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runs.h"

void e4df_spans_free(struct e4df_spans *set)
{
	free(set->leaves.nodes);
	free(set->inners.nodes);
	memset(set, 0, sizeof(*set));
}

/* A leaf's edge has a new longest, and so has the leaf. */
static void set_longest(const struct e4df_spans *set, unsigned int level,
			struct edge *edge, blk64_t longest)
{
	edge->longest = longest;
	if (!level)
		leaf_of(set, edge->child)->longest = longest;
}

/* -- nodes -------------------------------------------------------------- */

static errcode_t reserve(struct e4df_spans_pool *pool, size_t more, size_t size)
{
	size_t need = (size_t)pool->used + 1 + more;

	return need > UINT32_MAX ?
		       ENOMEM :
		       e4df_grow(&pool->nodes, &pool->alloc, need, size);
}

/*
 * An insert adds one leaf at most, an inner node on each level, and a root:
 * with room for them nothing can fail half-way.
 */
static errcode_t reserve_nodes(struct e4df_spans *set)
{
	errcode_t err = reserve(&set->leaves, 1, sizeof(struct leaf));

	return err ? err :
		     reserve(&set->inners, set->height + 1,
			     sizeof(struct inner));
}

static __u32 new_leaf(struct e4df_spans *set)
{
	__u32 i = set->leaves.spare;

	if (i)
		set->leaves.spare = leaf_of(set, i)->next;
	else
		i = ++set->leaves.used;
	leaf_of(set, i)->count = 0;
	leaf_of(set, i)->prev = leaf_of(set, i)->next = 0;
	return i;
}

static __u32 new_inner(struct e4df_spans *set)
{
	__u32 i = set->inners.spare;

	if (i)
		set->inners.spare = inner_of(set, i)->next;
	else
		i = ++set->inners.used;
	inner_of(set, i)->count = 0;
	return i;
}

static void drop_leaf(struct e4df_spans *set, __u32 i)
{
	struct leaf *leaf = leaf_of(set, i);

	if (leaf->prev)
		leaf_of(set, leaf->prev)->next = leaf->next;
	if (leaf->next)
		leaf_of(set, leaf->next)->prev = leaf->prev;
	leaf->next = set->leaves.spare;
	leaf->count = 0;
	set->leaves.spare = i;
}

static void drop_inner(struct e4df_spans *set, __u32 i)
{
	inner_of(set, i)->next = set->inners.spare;
	set->inners.spare = i;
}

/* -- insert ------------------------------------------------------------- */

static void put_span(struct leaf *leaf, __u32 at, const struct e4df_span *span)
{
	memmove(leaf->v + at + 1, leaf->v + at,
		(leaf->count - at) * sizeof(*leaf->v));
	leaf->v[at] = *span;
	leaf->count++;
}

static void put_edge(struct inner *inner, __u32 at, const struct edge *edge)
{
	memmove(inner->v + at + 1, inner->v + at,
		(inner->count - at) * sizeof(*inner->v));
	inner->v[at] = *edge;
	inner->count++;
}

/* A new entry at the end of the last node: the next ones will follow. */
#define AT_END 0x1U

/*
 * Where a full node is cut: in the middle, but if entries are added in
 * ascending order at its end, so that these leave full nodes.
 */
static __u32 cut_of(__u32 at, __u32 count, unsigned int flags)
{
	return at == count && flags & AT_END ? count : count / 2;
}

/* A node that was full is two now; *more is the second. */
static void insert_in_leaf(struct e4df_spans *set, __u32 node,
			   const struct e4df_span *span, unsigned int flags,
			   struct edge *more)
{
	struct leaf *leaf = leaf_of(set, node), *other;
	__u32 at = rank_in_leaf(leaf, span->key, span->len), cut;

	remember(set, node);
	if (leaf->count < LEAF) {
		put_span(leaf, at, span);
		return;
	}
	more->child = new_leaf(set);
	other = leaf_of(set, more->child);
	cut = cut_of(at, leaf->count, flags);
	other->count = leaf->count - cut;
	memcpy(other->v, leaf->v + cut, other->count * sizeof(*other->v));
	leaf->count = cut;
	other->prev = node;
	other->next = leaf->next;
	if (leaf->next)
		leaf_of(set, leaf->next)->prev = more->child;
	leaf->next = more->child;
	if (at > cut || !other->count)
		put_span(other, at - cut, span);
	else
		put_span(leaf, at, span);
	more->key = other->v[0].key;
	more->len = other->v[0].len;
	set_longest(set, 0, more, spans_measure(set, 0, more->child));
}

static void insert_edge(struct e4df_spans *set, unsigned int level, __u32 node,
			__u32 at, const struct edge *edge, unsigned int flags,
			struct edge *more)
{
	struct inner *inner = inner_of(set, node), *other;
	__u32 cut;

	if (inner->count < INNER) {
		put_edge(inner, at, edge);
		return;
	}
	more->child = new_inner(set);
	other = inner_of(set, more->child);
	cut = cut_of(at, inner->count, flags);
	other->count = inner->count - cut;
	memcpy(other->v, inner->v + cut, other->count * sizeof(*other->v));
	inner->count = cut;
	if (at > cut || !other->count)
		put_edge(other, at - cut, edge);
	else
		put_edge(inner, at, edge);
	more->key = other->v[0].key;
	more->len = other->v[0].len;
	more->longest = spans_measure(set, level, more->child);
}

/* The first or last n ranges of a leaf go to the one before or behind it. */
static void shift(struct e4df_spans *set, struct edge *from, struct edge *to,
		  __u32 n)
{
	struct leaf *x = leaf_of(set, from->child);
	struct leaf *y = leaf_of(set, to->child);
	struct edge *second = from < to ? to : from;

	x->count -= n;
	if (from < to) {
		memmove(y->v + n, y->v, y->count * sizeof(*y->v));
		memcpy(y->v, x->v + x->count, n * sizeof(*y->v));
	} else {
		memcpy(y->v + y->count, x->v, n * sizeof(*y->v));
		memmove(x->v, x->v + n, x->count * sizeof(*x->v));
	}
	y->count += n;
	second->key = leaf_of(set, second->child)->v[0].key;
	second->len = leaf_of(set, second->child)->v[0].len;
	set_longest(set, 0, from, spans_measure(set, 0, from->child));
	set_longest(set, 0, to, spans_measure(set, 0, to->child));
}

/*
 * A full leaf is not cut in two while a neighbour has room: else sets that
 * lose ranges here and get some there would be half empty leaves.  Returns
 * whether any range is in another leaf now.
 */
static int relieve(struct e4df_spans *set, struct inner *inner, __u32 at)
{
	struct edge *edge = &inner->v[at], *other = NULL;
	__u32 count;

	if (leaf_of(set, edge->child)->count < LEAF)
		return 0;
	if (at + 1 < inner->count &&
	    leaf_of(set, edge[1].child)->count <= ROOMY)
		other = edge + 1;
	else if (at && leaf_of(set, edge[-1].child)->count <= ROOMY)
		other = edge - 1;
	if (!other)
		return 0;
	count = leaf_of(set, other->child)->count;
	shift(set, edge, other, (LEAF - count) / 2);
	return 1;
}

static void insert_below(struct e4df_spans *set, unsigned int level, __u32 node,
			 const struct e4df_span *span, unsigned int flags,
			 struct edge *more)
{
	struct edge split = { .child = 0 };
	struct edge *edge;
	__u32 at;

	if (!level) {
		insert_in_leaf(set, node, span, flags, more);
		return;
	}
	at = rank_in_inner(inner_of(set, node), span->key, span->len);
	if (level == 1 && relieve(set, inner_of(set, node), at))
		at = rank_in_inner(inner_of(set, node), span->key, span->len);
	edge = &inner_of(set, node)->v[at];
	if (at + 1 < inner_of(set, node)->count)
		flags &= ~AT_END;
	insert_below(set, level - 1, edge->child, span, flags, &split);
	if (split.child) {
		set_longest(set, level - 1, edge,
			    spans_measure(set, level - 1, edge->child));
		insert_edge(set, level, node, at + 1, &split, flags, more);
	} else if (span->len > edge->longest) {
		set_longest(set, level - 1, edge, span->len);
	}
}

/* Where nothing above the last leaf changes. */
static int insert_near(struct e4df_spans *set, const struct e4df_span *span)
{
	struct leaf *leaf = set->height ? last_leaf(set, span->key, span->len) :
					  NULL;

	if (!leaf || leaf->count == LEAF || span->len > leaf->longest)
		return 0;
	put_span(leaf, rank_in_leaf(leaf, span->key, span->len), span);
	set->count++;
	return 1;
}

/* The first leaf of all. */
static void plant(struct e4df_spans *set)
{
	leaf_of(set, 0)->count = leaf_of(set, 0)->next = 0;
	set->root = new_leaf(set);
}

errcode_t e4df_spans_insert(struct e4df_spans *set, blk64_t key, blk64_t len,
			    __u32 owner, __u32 lblk)
{
	const struct e4df_span span = { key, len, owner, lblk };
	struct edge more = { .child = 0 };
	errcode_t err;

	if (insert_near(set, &span))
		return 0;
	err = reserve_nodes(set);
	if (err)
		return err;
	if (!set->root)
		plant(set);
	insert_below(set, set->height, set->root, &span, AT_END, &more);
	if (more.child) {
		__u32 root = new_inner(set);
		struct edge first = { .child = set->root };

		set_longest(set, set->height, &first,
			    spans_measure(set, set->height, set->root));
		put_edge(inner_of(set, root), 0, &first);
		put_edge(inner_of(set, root), 1, &more);
		set->root = root;
		set->height++;
	}
	set->count++;
	return 0;
}

/* -- erase -------------------------------------------------------------- */

static __u32 count_of(const struct e4df_spans *set, unsigned int level,
		      __u32 node)
{
	return level ? inner_of(set, node)->count : leaf_of(set, node)->count;
}

static void drop_edge(struct inner *inner, __u32 at)
{
	inner->count--;
	memmove(inner->v + at, inner->v + at + 1,
		(inner->count - at) * sizeof(*inner->v));
}

/* The entries of b go behind those of a. */
static void join(struct e4df_spans *set, unsigned int level, struct edge *a,
		 const struct edge *b)
{
	if (level) {
		struct inner *x = inner_of(set, a->child);
		const struct inner *y = inner_of(set, b->child);

		memcpy(x->v + x->count, y->v, y->count * sizeof(*x->v));
		/* y's first had no bound of its own, as its first child */
		x->v[x->count].key = b->key;
		x->v[x->count].len = b->len;
		x->count += y->count;
		drop_inner(set, b->child);
	} else {
		struct leaf *x = leaf_of(set, a->child);
		const struct leaf *y = leaf_of(set, b->child);

		memcpy(x->v + x->count, y->v, y->count * sizeof(*x->v));
		x->count += y->count;
		drop_leaf(set, b->child);
	}
	if (b->longest > a->longest)
		set_longest(set, level, a, b->longest);
}

/* A child and the next one become one, if they are small. */
static int try_join(struct e4df_spans *set, unsigned int level,
		    struct inner *inner, __u32 at)
{
	if (at + 1 >= inner->count ||
	    count_of(set, level, inner->v[at].child) +
			    count_of(set, level, inner->v[at + 1].child) >
		    JOIN)
		return 0;
	join(set, level, &inner->v[at], &inner->v[at + 1]);
	drop_edge(inner, at + 1);
	return 1;
}

/* A child has lost an entry: it goes, or is joined to a neighbour. */
static void shrink(struct e4df_spans *set, unsigned int level,
		   struct inner *inner, __u32 at)
{
	__u32 left = count_of(set, level, inner->v[at].child);

	if (left > JOIN / 2)
		return;
	if (left) {
		if (!try_join(set, level, inner, at) && at)
			try_join(set, level, inner, at - 1);
		return;
	}
	if (level)
		drop_inner(set, inner->v[at].child);
	else
		drop_leaf(set, inner->v[at].child);
	drop_edge(inner, at);
}

static void take_span(struct leaf *leaf, __u32 at)
{
	leaf->count--;
	memmove(leaf->v + at, leaf->v + at + 1,
		(leaf->count - at) * sizeof(*leaf->v));
}

static void erase_below(struct e4df_spans *set, unsigned int level, __u32 node,
			blk64_t key, blk64_t len)
{
	struct inner *inner;
	__u32 at;

	if (!level) {
		remember(set, node);
		take_span(leaf_of(set, node),
			  rank_in_leaf(leaf_of(set, node), key, len));
		return;
	}
	inner = inner_of(set, node);
	at = rank_in_inner(inner, key, len);
	erase_below(set, level - 1, inner->v[at].child, key, len);
	if (inner->v[at].longest == len)
		set_longest(set, level - 1, &inner->v[at],
			    spans_measure(set, level - 1, inner->v[at].child));
	shrink(set, level - 1, inner, at);
}

/* Where nothing above the last leaf changes. */
static int erase_near(struct e4df_spans *set, blk64_t key, blk64_t len)
{
	struct leaf *leaf = set->height ? last_leaf(set, key, len) : NULL;

	if (!leaf || leaf->count - 1 <= JOIN / 2 || len == leaf->longest)
		return 0;
	take_span(leaf, rank_in_leaf(leaf, key, len));
	set->count--;
	return 1;
}

void e4df_spans_erase(struct e4df_spans *set, blk64_t key, blk64_t len)
{
	if (erase_near(set, key, len))
		return;
	erase_below(set, set->height, set->root, key, len);
	while (set->height && inner_of(set, set->root)->count == 1) {
		__u32 root = set->root;

		set->root = inner_of(set, root)->v[0].child;
		drop_inner(set, root);
		set->height--;
	}
	set->count--;
}

/* -- replace ------------------------------------------------------------ */

/* Which child of a node holds a range, and the edge to it. */
struct step {
	struct inner *inner;
	__u32 at;
};

/*
 * Moves the bounds on both sides of a child so that its range may become
 * `now`, which no other range lies before or behind.
 */
static void move_bounds(const struct step *step, const struct e4df_span *now)
{
	struct edge *edge = &step->inner->v[step->at];

	if (is_before(now->key, now->len, edge->key, edge->len)) {
		edge->key = now->key;
		edge->len = now->len;
	}
	if (step->at + 1 < step->inner->count &&
	    !is_before(now->key, now->len, edge[1].key, edge[1].len)) {
		edge[1].key = now->key;
		edge[1].len = now->len + 1;
	}
}

/* Where nothing above the last leaf changes. */
static int replace_near(struct e4df_spans *set, blk64_t key, blk64_t len,
			const struct e4df_span *now)
{
	struct leaf *leaf = set->height ? last_leaf(set, key, len) : NULL;
	__u32 at;

	if (!leaf || len == leaf->longest || now->len > leaf->longest)
		return 0;
	at = rank_in_leaf(leaf, key, len);
	if (!at && is_before(now->key, now->len, key, len))
		return 0;
	leaf->v[at] = *now;
	return 1;
}

void e4df_spans_replace(struct e4df_spans *set, blk64_t key, blk64_t len,
			const struct e4df_span *now)
{
	struct step path[MOST_LEVELS];
	__u32 node = set->root;
	struct leaf *leaf;

	if (replace_near(set, key, len, now))
		return;
	for (unsigned int level = set->height; level; level--) {
		struct step *step = &path[level - 1];

		step->inner = inner_of(set, node);
		step->at = rank_in_inner(step->inner, key, len);
		node = step->inner->v[step->at].child;
		move_bounds(step, now);
	}
	remember(set, node);
	leaf = leaf_of(set, node);
	leaf->v[rank_in_leaf(leaf, key, len)] = *now;
	for (unsigned int level = 0; level < set->height; level++) {
		struct edge *edge = &path[level].inner->v[path[level].at];

		if (now->len >= edge->longest)
			set_longest(set, level, edge, now->len);
		else if (edge->longest == len)
			set_longest(set, level, edge,
				    spans_measure(set, level, edge->child));
	}
}

int e4df_spans_change(struct e4df_spans *set, blk64_t key, blk64_t len,
		      __u32 owner, __u32 lblk)
{
	struct leaf *leaf;
	__u32 at;

	if (!set->count)
		return 0;
	leaf = spans_find_leaf(set, key, len);
	at = rank_in_leaf(leaf, key, len);
	if (at == leaf->count || leaf->v[at].key != key ||
	    leaf->v[at].len != len)
		return 0;
	leaf->v[at].owner = owner;
	leaf->v[at].lblk = lblk;
	return 1;
}
