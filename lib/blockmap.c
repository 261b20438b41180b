/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "blockmap.h"

#include <string.h>

#define DIRECT EXT2_NDIR_BLOCKS
#define LEVELS 3 /* of mapping blocks, at most */

_Static_assert(EXT2_N_BLOCKS == DIRECT + LEVELS, "i_block");
_Static_assert(EXT2_N_BLOCKS * 4 == E4DF_BLOCKMAP_ROOT_BYTES, "i_block");

/* A walk along the data that meets every mapping block once. */
struct walk {
	/* Immutable. */
	const struct e4df_extent *data; /* (borrowed) */
	__u32 count;
	unsigned int block_size;
	const struct e4df_extent *tree; /* (borrowed) NULL: only counts */
	char *images;			/* (borrowed) one block each */
	/* Mutable. */
	__u32 next; /* mapping block */
	__u32 i;    /* extent, */
	__u32 done; /* and blocks of it that are mapped */
};

static blk64_t per_block(const struct walk *w)
{
	return w->block_size / 4;
}

/* The next logical block that is mapped; above all others at the end. */
static blk64_t next_lblk(const struct walk *w)
{
	return w->i < w->count ? (blk64_t)w->data[w->i].lblk + w->done :
				 UINT64_MAX;
}

/* Goes on to the first mapped block at or behind `end`. */
static void skip_to(struct walk *w, blk64_t end)
{
	while (w->i < w->count &&
	       (blk64_t)w->data[w->i].lblk + w->data[w->i].len <= end) {
		w->i++;
		w->done = 0;
	}
	if (next_lblk(w) < end)
		w->done = (__u32)(end - w->data[w->i].lblk);
}

/* Block numbers of data, for `slots` logical blocks from `first` on. */
static void map_data(struct walk *w, __u32 *slot, blk64_t first, blk64_t slots)
{
	while (slot && next_lblk(w) < first + slots) {
		const struct e4df_extent *e = &w->data[w->i];
		blk64_t at = next_lblk(w);

		slot[at - first] =
			ext2fs_cpu_to_le32((__u32)(e->pblk + w->done));
		skip_to(w, at + 1);
	}
	skip_to(w, first + slots);
}

/*
 * One subtree of so many levels of mapping blocks, which maps the logical
 * blocks from `first` on.  Returns the number of its root, 0 if it maps none.
 */
static __u32 map_subtree(struct walk *w, int levels, blk64_t first)
{
	blk64_t span = 1; /* logical blocks of one slot */
	__u32 *slot = NULL;
	__u32 root = 0;

	for (int i = 1; i < levels; i++)
		span *= per_block(w);
	if (next_lblk(w) >= first + span * per_block(w))
		return 0;
	if (w->tree) {
		root = (__u32)w->tree[w->next].pblk;
		slot = (void *)(w->images + (size_t)w->next * w->block_size);
		memset(slot, 0, w->block_size);
	}
	w->next++;
	if (levels == 1) {
		map_data(w, slot, first, per_block(w));
		return root;
	}
	while (next_lblk(w) < first + span * per_block(w)) {
		blk64_t n = (next_lblk(w) - first) / span;
		__u32 child = map_subtree(w, levels - 1, first + n * span);

		if (slot)
			slot[n] = ext2fs_cpu_to_le32(child);
	}
	return root;
}

static void map_all(struct walk *w, __u32 *root)
{
	blk64_t first = DIRECT, span = 1;

	map_data(w, root, 0, DIRECT);
	for (int levels = 1; levels <= LEVELS; levels++) {
		__u32 blk = map_subtree(w, levels, first);

		span *= per_block(w);
		first += span;
		if (root)
			root[DIRECT + levels - 1] = ext2fs_cpu_to_le32(blk);
	}
}

blk64_t e4df_blockmap_limit(unsigned int block_size)
{
	blk64_t n = block_size / 4;
	blk64_t limit = DIRECT + n + n * n + n * n * n;

	return limit < 1ULL << 32 ? limit : 1ULL << 32;
}

__u32 e4df_blockmap_blocks(const struct e4df_extent *data, __u32 count,
			   unsigned int block_size)
{
	struct walk w = {
		.data = data,
		.count = count,
		.block_size = block_size,
	};

	map_all(&w, NULL);
	return w.next;
}

void e4df_blockmap_build(const struct e4df_extent *data, __u32 data_count,
			 unsigned int block_size,
			 const struct e4df_extent *tree, void *root,
			 void *images)
{
	struct walk w = {
		.data = data,
		.count = data_count,
		.block_size = block_size,
		.tree = tree,
		.images = images,
	};
	__u32 slots[EXT2_N_BLOCKS] = { 0 };

	map_all(&w, slots);
	memcpy(root, slots, sizeof(slots));
}
