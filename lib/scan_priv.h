/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan_priv - what the parts of scan share; no one else includes it
 *
 *	scan.c		the order of things
 *	scan_claims.c	each block has one owner
 *	scan_inodes.c	inode tables, roots, block maps
 *	scan_read.c	blocks read in their order, and many ahead
 *	scan_tree.c	mapping blocks, level by level
 *	scan_blockmap.c	those of block maps
 *	scan_xattrs.c	blocks of extended attributes
 *	scan_groups.c	group metadata, bitmaps and counts
 *	scan_pins.c	swap files and what lies below /boot
 *	scan_quota.c	what users, groups and projects use
 */
#ifndef E4DF_SCAN_PRIV_H
#define E4DF_SCAN_PRIV_H

#include "quota.h"
#include "scan.h"

/* An inode whose mapping does not fit into its root. */
struct scan_deep {
	__u32 index; /* in the map */
	__u32 generation;
	blk64_t sectors; /* i_blocks, in 512 bytes */
	ext2_ino_t ino;
	__u16 has_xattr_block;
	__u16 is_block_map;
};

/* A mapping block still to be read. */
struct scan_node {
	blk64_t pblk;
	blk64_t end; /* first lblk that does not belong to it */
	__u32 lblk;  /* first lblk that does */
	__u32 deep;  /* index of its inode in scan->deep */
	int depth;   /* 0 = leaf */
};

/* A level in a block map. */
#define SCAN_LEVEL_MAP 0x100U

/*
 * What one mapping block has told of a deep inode: extents or mapping blocks,
 * `count` of the pieces from `first` on, in their order.
 */
struct scan_chunk {
	size_t first;
	__u32 count;
	__u32 deep;
	__u32 level; /* 0 = data, else distance from the root */
	__u32 lblk;  /* of the first piece */
};

/* A reference to an xattr block. */
struct scan_xattr {
	blk64_t blk;
	ext2_ino_t ino;
	enum e4df_why why; /* the inode stays, if it does */
};

/* A quota file, and the usage as counted. */
struct scan_quota {
	ext2_ino_t ino; /* 0 = there is none */
	int is_file;	/* found, and a regular file */
	__u64 size;
	struct e4df_quota_usage *v; /* (owned) an id may repeat */
	size_t count, alloc;
};

struct scan {
	/* Immutable. */
	struct e4df_volume *vol; /* (borrowed) */
	ext2_filsys fs;		 /* (borrowed from vol) */
	struct e4df_gate *gate;	 /* (borrowed from vol) */
	struct e4df_sink *sink;	 /* (borrowed) */
	unsigned int flags;	 /* E4DF_SCAN_ */
	struct e4df_geometry geometry;
	unsigned int bits; /* a cluster is 2^bits blocks */
	/* Mutable. */
	struct e4df_map *map;	/* (owned) */
	struct e4df_runs fixed; /* metadata of the groups; as clusters once
				 * each block is known to be there once */
	struct scan_deep *deep; /* (owned) */
	size_t deep_count, deep_alloc;
	struct scan_node *nodes; /* (owned) the next level */
	size_t node_count, node_alloc;
	struct e4df_extent *pieces; /* (owned) */
	size_t piece_count, piece_alloc;
	struct scan_chunk *chunks; /* (owned) */
	size_t chunk_count, chunk_alloc;
	struct scan_xattr *xattrs; /* (owned) */
	size_t xattr_count, xattr_alloc;
	struct e4df_extent *temp; /* (owned) one inode's list */
	size_t temp_count, temp_alloc;
	ext2_ino_t *boot; /* (owned) sorted: below /boot */
	size_t boot_count, boot_alloc;
	ext2_ino_t *swap; /* (owned) may be swap files */
	size_t swap_count, swap_alloc;
	struct scan_quota quotas[E4DF_QUOTA_TYPES];
	blk64_t free_inodes;  /* as counted */
	unsigned long damage; /* findings so far */
};

#define SCAN_DAMAGE_TOLD 10 /* findings named before only counting */

/* Notes a contradiction in the file system; only the first few are told. */
void e4df_scan_damage(struct scan *s, ext2_ino_t ino, blk64_t blk,
		      const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Is [pblk, pblk + len) within the file system? */
int e4df_scan_is_in_range(const struct scan *s, blk64_t pblk, blk64_t len);

/* Is the block part of a superblock's copy, or of the descriptors behind it? */
int e4df_scan_is_copy(struct scan *s, blk64_t blk);

/* Are all bits of a bitmap's block from this one on set, as e2fsck wants? */
int e4df_scan_is_padded(const struct scan *s, const unsigned char *bitmap,
			unsigned int bits);

/* Has it the checksum that the group's descriptor says? */
int e4df_scan_is_inode_bitmap_right(struct scan *s, dgrp_t group, void *bitmap);

/* Blocks to be read, and who looks at them. */
struct scan_blocks {
	size_t count;
	blk64_t (*blk)(struct scan *s, void *ctx, size_t i);
	errcode_t (*visit)(struct scan *s, void *ctx, size_t i, void *block);
	void *ctx; /* (borrowed) handed to both */
};

/*
 * Calls visit for each block, in this order, which is best that of their
 * numbers: those that lie close together are read together, and the kernel is
 * told of many reads ahead.  A block number may repeat.
 */
errcode_t e4df_scan_read_sorted(struct scan *s, const struct scan_blocks *b);

/*
 * Do the sectors in i_blocks agree with the clusters of the inode's extents,
 * mapping blocks and xattr block?  Is a directory or link written?
 */
void e4df_scan_check_mapping(struct scan *s, __u32 index, blk64_t sectors,
			     int has_xattr_block);

/* Appends to the list in `temp`, joining what is adjacent and alike. */
errcode_t e4df_scan_append(struct scan *s, const struct e4df_extent *e);

/* A deep inode, the last of them from then on. */
errcode_t e4df_scan_add_deep(struct scan *s, const struct scan_deep *deep);

/* What is added from here on was told by another mapping block. */
errcode_t e4df_scan_start_chunk(struct scan *s, __u32 deep, __u32 level);

/* One extent, or one mapping block, of a deep inode. */
errcode_t e4df_scan_add_piece(struct scan *s, const struct e4df_extent *e);

/* All that is known of one deep inode, in order: it goes to the map. */
errcode_t e4df_scan_finish(struct scan *s, const struct scan_chunk *c,
			   size_t count);

/* To be read with the next level. */
errcode_t e4df_scan_add_node(struct scan *s, const struct scan_node *node);

/* A block map; its indirect blocks are read later, all together. */
errcode_t e4df_scan_block_map(struct scan *s, __u32 index,
			      struct ext2_inode_large *inode,
			      const struct scan_deep *deep);
/* The i-th of the nodes, an indirect block. */
errcode_t e4df_scan_indirect(struct scan *s, size_t i, const void *block);

/* Decodes one node; depth 0 goes to piece or temp, others to nodes. */
errcode_t e4df_scan_node(struct scan *s, const void *node, size_t bytes,
			 const struct scan_node *where, __u32 level);

/* An inode refers to an xattr block. */
errcode_t e4df_scan_note_xattr(struct scan *s, ext2_ino_t ino, blk64_t blk,
			       enum e4df_why why);

errcode_t e4df_scan_group_metadata(struct scan *s);
errcode_t e4df_scan_inode_tables(struct scan *s);
errcode_t e4df_scan_trees(struct scan *s);
errcode_t e4df_scan_xattrs(struct scan *s);
/* Every cluster once; *used becomes the ranges of used clusters. */
errcode_t e4df_scan_claims(struct scan *s, struct e4df_runs *used);
errcode_t e4df_scan_bitmaps(struct scan *s, const struct e4df_runs *used);
errcode_t e4df_scan_pin_tail(struct scan *s);
errcode_t e4df_scan_find_boot(struct scan *s);

/* Where the quota files are; then each inode in use counts for its owners, */
void e4df_scan_quota_start(struct scan *s);
errcode_t e4df_scan_quota_inode(struct scan *s, ext2_ino_t ino,
				struct ext2_inode_large *inode);
/* so do values in inodes, of an xattr block with refs owners from i on; */
errcode_t e4df_scan_quota_xattrs(struct scan *s, size_t i, size_t refs,
				 const void *block);
/* and the sums must be what the files say. */
errcode_t e4df_scan_quota_check(struct scan *s);

errcode_t e4df_scan_find_swap(struct scan *s);

#endif
