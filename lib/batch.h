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

/* One piece of data to copy. */
struct e4df_move {
	blk64_t from;
	blk64_t to;
	__u32 len;
	__u32 flags; /* E4DF_EXTENT_UNWRITTEN: nothing to copy */
};

/* How an inode's mapping is written on disk. */
enum e4df_format {
	E4DF_EXTENTS,
	E4DF_BLOCK_MAP, /* indirect blocks, as ext2 and ext3 have them */
};

/* One inode's new mapping: `data` extents by lblk, then its `tree` blocks. */
struct e4df_change {
	__u32 inode; /* index into the map */
	__u32 data;  /* number of data extents */
	__u32 tree;  /* number of mapping blocks, parents first */
	enum e4df_format format;
	size_t first; /* index into the batch's extents */
};

struct e4df_batch {
	struct e4df_move *moves; /* (owned) */
	size_t move_count;
	struct e4df_change *changes; /* (owned) by inode */
	size_t change_count;
	struct e4df_extent *extents; /* (owned) the new mappings */
	size_t extent_count;
	struct e4df_runs taken;	   /* free before, in use after */
	struct e4df_runs released; /* in use before, free after; both are whole
				    * clusters */
	blk64_t copy_blocks;	   /* blocks to read and to write */
};

/* Frees what the batch owns. */
void e4df_batch_release(struct e4df_batch *batch);

/*
 * A copy of the moves with something to read, by source.  *ret is the
 * caller's to free.  Returns ENOMEM.
 */
errcode_t e4df_batch_reads(const struct e4df_batch *batch,
			   struct e4df_move **ret, size_t *count);

/* Blocks, and physical runs, of a list of data extents. */
blk64_t e4df_extents_blocks(const struct e4df_extent *v, __u32 count);
__u32 e4df_extents_runs(const struct e4df_extent *v, __u32 count);

#endif
