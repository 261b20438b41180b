/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * batch - layer 1: the plain records that map, plan, tree, move and commit
 * share
 *
 * A batch is one atomic step: data is copied to blocks that are free, then
 * one transaction switches all its inodes to their new places.  Units are
 * blocks unless a name says otherwise.
 */
#ifndef E4DF_BATCH_H
#define E4DF_BATCH_H

#include "runs.h"

/*
 * A range of one inode that is consecutive both logically and physically and
 * of one state.  On disk it may be several extents (32768 blocks at most for
 * each).  16 bytes.
 */
struct e4df_extent {
	blk64_t pblk : 48;
	blk64_t flags : 16;
	__u32 lblk;
	__u32 len;
};
_Static_assert(sizeof(struct e4df_extent) == 16, "the map counts on it");

#define E4DF_PBLK_MAX ((1ULL << 48) - 1)

#define E4DF_EXTENT_UNWRITTEN 0x1 /* allocated, reads as zeros */
#define E4DF_EXTENT_TREE      0x2 /* a mapping block of the inode */

/*
 * One piece of an inode's data that changes its place.  20 bytes: a plan is
 * made of them.
 */
struct e4df_move {
	blk64_t from : 48;
	blk64_t to : 48;
	__u32 lblk;
	__u32 len : 30;
	__u32 flags : 2; /* E4DF_MOVE_: nothing to copy, for that reason */
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct e4df_move) == 20, "as is said above");

#define E4DF_MOVE_MOST	    ((1U << 30) - 1) /* blocks */
#define E4DF_MOVE_UNWRITTEN 0x1		     /* reads as zeros */
#define E4DF_MOVE_XATTR	    0x2		     /* commit writes it */

/* How an inode's mapping is written on disk. */
enum e4df_format {
	E4DF_EXTENTS,
	E4DF_BLOCK_MAP, /* indirect blocks, as ext2 and ext3 have them */
};

/* What becomes of one inode. */
struct e4df_change {
	__u32 inode;	  /* index into the map */
	__u32 moves;	  /* number of them */
	__u32 old_tree;	  /* number of mapping blocks that it gives up */
	__u32 tree : 31;  /* number of those that it takes, parents first */
	__u32 format : 1; /* enum e4df_format */
};

/*
 * A batch holds only what does not follow from the map before it: the new
 * mappings are that map's, but for the moves (update.h).
 */
struct e4df_batch {
	struct e4df_move *moves; /* (owned) by change and lblk */
	size_t move_count;
	struct e4df_change *changes; /* (owned) by inode */
	size_t change_count;
	blk64_t *tree; /* (owned) by change: what it gives up (or the first
			* block of that one's cluster), what it takes */
	size_t tree_count;
	blk64_t copy_blocks; /* to read and to write */
};

/* Frees what the batch owns. */
void e4df_batch_release(struct e4df_batch *batch);

/* Gives back what the growing arrays have too much. */
void e4df_batch_shrink(struct e4df_batch *batch);

/*
 * What is free before and in use after, and what is in use before and free
 * after, both in whole clusters of 2^bits blocks.  *ret becomes that; its
 * memory is used again.  Returns ENOMEM.
 */
errcode_t e4df_batch_taken(const struct e4df_batch *batch, unsigned int bits,
			   struct e4df_runs *ret);
errcode_t e4df_batch_released(const struct e4df_batch *batch, unsigned int bits,
			      struct e4df_runs *ret);

/*
 * A copy of the moves with something to read, by source.  *ret is the
 * caller's to free.  Returns ENOMEM.
 */
errcode_t e4df_batch_reads(const struct e4df_batch *batch,
			   struct e4df_move **ret, size_t *count);

/* One inode's new mapping: `data` extents by lblk, then its `tree` blocks. */
struct e4df_mapping {
	__u32 inode; /* index into the map */
	__u32 data;  /* number of data extents */
	__u32 tree;  /* number of mapping blocks, parents first */
	enum e4df_format format;
	size_t first; /* index into the update's extents */
};

/* All that a batch makes of the map before it; made by e4df_update_make(). */
struct e4df_update {
	struct e4df_mapping *mappings; /* (owned) by inode */
	size_t mapping_count;
	struct e4df_extent *extents; /* (owned) of the mappings */
	size_t extent_count;
	struct e4df_runs taken;	   /* as the batch takes and */
	struct e4df_runs released; /* releases them */
};

/* Blocks, and physical runs, of a list of data extents. */
blk64_t e4df_extents_blocks(const struct e4df_extent *v, __u32 count);
__u32 e4df_extents_runs(const struct e4df_extent *v, __u32 count);

#endif
