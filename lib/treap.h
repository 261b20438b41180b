/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * treap - layer 0: an ordered set of block ranges that knows its longest
 *
 * A randomised binary search tree over (key, len), with the longest `len` of
 * every subtree, so that "the first range behind here that is long enough" is
 * one descent.  Priorities are a hash of the node's number: the same calls
 * give the same tree (no clock, no address in the outcome).
 * Memory: 40 bytes for each node.
 */
#ifndef E4DF_TREAP_H
#define E4DF_TREAP_H

#include <ext2fs/ext2fs.h>

struct e4df_node {
	blk64_t key;
	blk64_t len;
	blk64_t longest;   /* of the subtree */
	__u32 left, right; /* 0 = none */
	__u32 owner;	   /* the caller's */
	__u32 lblk;	   /* the caller's */
};

struct e4df_treap {
	struct e4df_node *nodes; /* (owned) [0] is not used */
	size_t alloc;
	size_t used; /* nodes ever handed out, + 1 */
	__u32 root;
	__u32 spare; /* list of erased nodes by `left` */
	size_t count;
};

#define E4DF_TREAP_INIT             \
	{                           \
		NULL, 0, 0, 0, 0, 0 \
	}

void e4df_treap_free(struct e4df_treap *treap);

/* Adds a range; (key, len) must not be there yet.  Returns ENOMEM. */
errcode_t e4df_treap_insert(struct e4df_treap *treap, blk64_t key, blk64_t len,
			    __u32 owner, __u32 lblk);

/* Removes the range (key, len), which must be there. */
void e4df_treap_erase(struct e4df_treap *treap, blk64_t key, blk64_t len);

/*
 * Queries return NULL where there is none; what they return is valid until
 * the next insert or erase.
 */

/* The last range with a key of at most `key`. */
const struct e4df_node *e4df_treap_floor(const struct e4df_treap *treap,
					 blk64_t key);
/* The last range before (key, len). */
const struct e4df_node *e4df_treap_before(const struct e4df_treap *treap,
					  blk64_t key, blk64_t len);
/* The first range with a key of at least `key`. */
const struct e4df_node *e4df_treap_ceil(const struct e4df_treap *treap,
					blk64_t key);
/* The first range with a key of at least `key` and at least `len` long. */
const struct e4df_node *e4df_treap_fit(const struct e4df_treap *treap,
				       blk64_t key, blk64_t len);
/* The first range behind (key, len). */
const struct e4df_node *e4df_treap_after(const struct e4df_treap *treap,
					 blk64_t key, blk64_t len);
/* The last range that is at least `len` long. */
const struct e4df_node *e4df_treap_fit_last(const struct e4df_treap *treap,
					    blk64_t len);
/* The longest len of all, 0 if empty. */
blk64_t e4df_treap_longest(const struct e4df_treap *treap);

#endif
