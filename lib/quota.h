/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * quota - layer 2, pure but for a reader: the files of the feature quota
 *
 * Hidden inodes hold what each user, group and project uses.  Format v2r1
 * (the kernel's fs/quota/quota_tree.c and quotaio_v2.h, e2fsprogs'
 * lib/support/quotaio_v2.h), little-endian, in blocks of 1024 bytes whatever
 * the file system's are:
 *
 *	block 0   0 magic, 4 version, 8 grace times and flags,
 *		  20 number of blocks, 24 first free block, 28 first block
 *		  with a free entry
 *	block 1   root of a tree of four levels; a node is 256 numbers of
 *		  blocks, chosen by one byte of the id, the highest first;
 *		  0 = nothing there
 *	leaf	  16 bytes of its own, then entries of 72 bytes; one leaf
 *		  serves many ids
 *
 * "Space" is in bytes.
 */
#ifndef E4DF_QUOTA_H
#define E4DF_QUOTA_H

#include "batch.h"

enum e4df_quota_type {
	E4DF_QUOTA_USER,
	E4DF_QUOTA_GROUP,
	E4DF_QUOTA_PROJECT,
	E4DF_QUOTA_TYPES
};

/* "user" ... */
const char *e4df_quota_name(enum e4df_quota_type type);

/* The inode of the quota file; 0 = none, as without the feature. */
ext2_ino_t e4df_quota_inode(const struct ext2_super_block *sb,
			    enum e4df_quota_type type);

/* Does this inode, which is in use, count for its owners? */
int e4df_quota_is_counted(const struct ext2_super_block *sb, ext2_ino_t ino,
			  const struct ext2_inode_large *inode);

/* Its user, group or project. */
__u32 e4df_quota_owner(const struct ext2_super_block *sb,
		       const struct ext2_inode_large *inode,
		       enum e4df_quota_type type);

struct e4df_quota_file {
	enum e4df_quota_type type;
	unsigned int block_size;	   /* of the file system */
	const struct e4df_extent *extents; /* (borrowed) data, by lblk */
	__u32 count;
	/* reads a block of the file system */
	errcode_t (*read)(void *ctx, blk64_t pblk, void *block);
	void *ctx; /* (borrowed) */
};

struct e4df_quota_usage {
	__u64 space;
	__u64 inodes;
	__u32 id;
};

/* What is wrong with a file, and in which of its blocks of 1024 bytes. */
struct e4df_quota_fault {
	const char *text; /* NULL = nothing */
	__u32 block;
};

/*
 * Calls visit for each entry, by id.  size is the file's, in bytes.  Returns
 * E4DF_ET_INCONSISTENT with *fault set, ENOMEM, or what read and visit return.
 */
errcode_t e4df_quota_walk(const struct e4df_quota_file *file, __u64 size,
			  errcode_t (*visit)(void *ctx,
					     const struct e4df_quota_usage *u),
			  void *ctx, struct e4df_quota_fault *fault);

/*
 * Finds the entry of an id: the block of the file system, and the byte in it.
 * Returns E4DF_ET_INCONSISTENT if there is none, ENOMEM, or what read returns.
 */
errcode_t e4df_quota_find(const struct e4df_quota_file *file, __u32 id,
			  blk64_t *pblk, unsigned int *offset);

/*
 * Changes the space of an entry, within one sector.  Returns
 * E4DF_ET_INCONSISTENT if it had less.
 */
errcode_t e4df_quota_add_space(void *entry, __s64 bytes);

#endif
