/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

blk64_t home_part(const struct batcher *b, blk64_t at, blk64_t len)
{
	const struct e4df_span *n = space_owner(&b->space, at);
	blk64_t left;

	if (!n)
		return space_free_part(&b->space, at, len);
	if (n->owner != OWNER_RESERVED || n->lblk != LBLK_OPEN)
		return 0;
	left = n->key + n->len - at;
	return left < len ? left : len;
}

/* Only what is free from the start of a piece on counts, as it is cut there. */
blk64_t home_missing(const struct batcher *b, const struct target *t,
		     const struct e4df_span *n, blk64_t at, blk64_t end)
{
	blk64_t sum = 0;

	if (n->lblk == LBLK_TREE || n->owner >= OWNER_FILES)
		return 0;
	while (at < end) {
		__u32 lblk = n->lblk + (__u32)(at - n->key);
		blk64_t dense = dense_of(b, n->owner, lblk);
		const struct slot *slot = target_find(t, n->owner, dense);
		blk64_t len = end - at;

		if (!slot)
			return sum + len;
		dense -= slot->from;
		if (len > slot->len - dense)
			len = slot->len - dense;
		sum += len -
		       space_free_part(&b->space, slot->start + dense, len);
		at += len;
	}
	return sum;
}
