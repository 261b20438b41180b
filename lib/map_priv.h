/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_priv - what a map is, for its own files only
 *
 *	map.c		what makes and changes a map
 *	map_query.c	what asks it
 */
#ifndef E4DF_MAP_PRIV_H
#define E4DF_MAP_PRIV_H

#include "map.h"

/* What the i_flags of a directory are, if not 0. */
struct flagged {
	__u32 index;
	__u32 flags;
};

struct e4df_map {
	/* Immutable once finished, but for pin. */
	struct e4df_geometry geometry;
	struct e4df_runs fixed;
	struct e4df_runs areas;
	blk64_t *reach;	    /* (owned) [k] = blocks in the k+1 largest
				 * areas */
	ext2_ino_t *owners; /* (owned) of all xattr blocks, in their order */
	size_t owner_count, owner_alloc;
	__u32 *owners_end; /* (owned) [k] = end of the k-th block's */
	size_t xattr_count, xattr_alloc; /* the last of the inodes */
	struct flagged *flagged;	 /* (owned) by index */
	size_t flagged_count, flagged_alloc;
	/* Mutable. */
	struct e4df_inode *inodes; /* (owned) by ino */
	size_t inode_count, inode_alloc;
	/* Lists: the first are another map's, all indices behind are here. */
	const struct e4df_extent *base; /* (borrowed) of a fork */
	size_t base_count;
	int is_fork;
	struct e4df_extent *extents; /* (owned) with gaps */
	size_t extent_count, extent_alloc;
	struct e4df_runs free_blocks;
	int borrows_free;	    /* of a fork: they are the other map's */
	struct e4df_runs next_free; /* made by prepare, for apply */
};

#endif
