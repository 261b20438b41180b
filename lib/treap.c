/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "treap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runs.h"

void e4df_treap_free(struct e4df_treap *treap)
{
	free(treap->nodes);
	memset(treap, 0, sizeof(*treap));
}

/* splitmix64's finaliser: well mixed, and the same everywhere. */
static __u64 priority(__u32 node)
{
	__u64 x = node * 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static int is_before(const struct e4df_node *node, blk64_t key, blk64_t len)
{
	return node->key < key || (node->key == key && node->len < len);
}

static void refresh(struct e4df_node *nodes, __u32 i)
{
	struct e4df_node *n = &nodes[i];
	blk64_t longest = n->len;

	if (n->left && nodes[n->left].longest > longest)
		longest = nodes[n->left].longest;
	if (n->right && nodes[n->right].longest > longest)
		longest = nodes[n->right].longest;
	n->longest = longest;
}

/* All before (key, len) to *left, the rest to *right. */
static void split(struct e4df_node *nodes, __u32 i, blk64_t key, blk64_t len,
		  __u32 *left, __u32 *right)
{
	if (!i) {
		*left = *right = 0;
		return;
	}
	if (is_before(&nodes[i], key, len)) {
		split(nodes, nodes[i].right, key, len, &nodes[i].right, right);
		*left = i;
	} else {
		split(nodes, nodes[i].left, key, len, left, &nodes[i].left);
		*right = i;
	}
	refresh(nodes, i);
}

/* Everything in `a` is before everything in `b`. */
static __u32 merge(struct e4df_node *nodes, __u32 a, __u32 b)
{
	if (!a || !b)
		return a ? a : b;
	if (priority(a) > priority(b)) {
		nodes[a].right = merge(nodes, nodes[a].right, b);
		refresh(nodes, a);
		return a;
	}
	nodes[b].left = merge(nodes, a, nodes[b].left);
	refresh(nodes, b);
	return b;
}

static errcode_t new_node(struct e4df_treap *treap, __u32 *ret)
{
	errcode_t err;

	if (treap->spare) {
		*ret = treap->spare;
		treap->spare = treap->nodes[*ret].left;
		return 0;
	}
	if (!treap->used)
		treap->used = 1;
	if (treap->used >= UINT32_MAX)
		return ENOMEM;
	err = e4df_grow(&treap->nodes, &treap->alloc, treap->used + 1,
			sizeof(*treap->nodes));
	if (!err)
		*ret = (__u32)treap->used++;
	return err;
}

errcode_t e4df_treap_insert(struct e4df_treap *treap, blk64_t key, blk64_t len,
			    __u32 owner, __u32 lblk)
{
	__u32 i, left, right;
	errcode_t err = new_node(treap, &i);

	if (err)
		return err;
	treap->nodes[i] = (struct e4df_node){
		.key = key,
		.len = len,
		.longest = len,
		.owner = owner,
		.lblk = lblk,
	};
	split(treap->nodes, treap->root, key, len, &left, &right);
	treap->root = merge(treap->nodes, merge(treap->nodes, left, i), right);
	treap->count++;
	return 0;
}

static __u32 erase(struct e4df_node *nodes, __u32 i, blk64_t key, blk64_t len,
		   __u32 *gone)
{
	struct e4df_node *n = &nodes[i];

	if (n->key == key && n->len == len) {
		*gone = i;
		return merge(nodes, n->left, n->right);
	}
	if (is_before(n, key, len))
		n->right = erase(nodes, n->right, key, len, gone);
	else
		n->left = erase(nodes, n->left, key, len, gone);
	refresh(nodes, i);
	return i;
}

void e4df_treap_erase(struct e4df_treap *treap, blk64_t key, blk64_t len)
{
	__u32 gone = 0;

	treap->root = erase(treap->nodes, treap->root, key, len, &gone);
	treap->nodes[gone].left = treap->spare;
	treap->spare = gone;
	treap->count--;
}

const struct e4df_node *e4df_treap_before(const struct e4df_treap *treap,
					  blk64_t key, blk64_t len)
{
	const struct e4df_node *best = NULL;
	__u32 i = treap->root;

	while (i) {
		const struct e4df_node *n = &treap->nodes[i];

		if (is_before(n, key, len)) {
			best = n;
			i = n->right;
		} else {
			i = n->left;
		}
	}
	return best;
}

const struct e4df_node *e4df_treap_floor(const struct e4df_treap *treap,
					 blk64_t key)
{
	return e4df_treap_before(treap, key, UINT64_MAX);
}

const struct e4df_node *e4df_treap_ceil(const struct e4df_treap *treap,
					blk64_t key)
{
	const struct e4df_node *best = NULL;
	__u32 i = treap->root;

	while (i) {
		const struct e4df_node *n = &treap->nodes[i];

		if (n->key >= key) {
			best = n;
			i = n->left;
		} else {
			i = n->right;
		}
	}
	return best;
}

const struct e4df_node *e4df_treap_after(const struct e4df_treap *treap,
					 blk64_t key, blk64_t len)
{
	const struct e4df_node *best = NULL;
	__u32 i = treap->root;

	while (i) {
		const struct e4df_node *n = &treap->nodes[i];

		if (is_before(n, key, len) ||
		    (n->key == key && n->len == len)) {
			i = n->right;
		} else {
			best = n;
			i = n->left;
		}
	}
	return best;
}

static const struct e4df_node *fit(const struct e4df_node *nodes, __u32 i,
				   blk64_t key, blk64_t len)
{
	const struct e4df_node *n = &nodes[i], *found;

	if (!i || n->longest < len)
		return NULL;
	if (n->key < key)
		return fit(nodes, n->right, key, len);
	found = fit(nodes, n->left, key, len);
	if (found)
		return found;
	return n->len >= len ? n : fit(nodes, n->right, key, len);
}

const struct e4df_node *e4df_treap_fit(const struct e4df_treap *treap,
				       blk64_t key, blk64_t len)
{
	return treap->root ? fit(treap->nodes, treap->root, key, len) : NULL;
}

const struct e4df_node *e4df_treap_fit_last(const struct e4df_treap *treap,
					    blk64_t len)
{
	const struct e4df_node *nodes = treap->nodes;
	__u32 i = treap->root;

	if (!i || nodes[i].longest < len)
		return NULL;
	for (;;) {
		const struct e4df_node *n = &nodes[i];

		if (n->right && nodes[n->right].longest >= len)
			i = n->right;
		else if (n->len >= len)
			return n;
		else
			i = n->left;
	}
}

blk64_t e4df_treap_longest(const struct e4df_treap *treap)
{
	return treap->root ? treap->nodes[treap->root].longest : 0;
}
