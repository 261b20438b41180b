/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tree - layer 3, pure: an inode's mapping as an extent tree on disk
 *
 * Builds the smallest tree bottom-up: leaves full, every level as narrow as
 * can be, so that e2fsck has nothing to optimise.  Format: the kernel's
 * Documentation/filesystems/ext4/ifork.rst and ext3_extents.h of libext2fs.
 */
#ifndef E4DF_TREE_H
#define E4DF_TREE_H

#include "batch.h"

#define E4DF_TREE_ROOT_BYTES 60 /* i_block */
#define E4DF_TREE_MAX_DEPTH  5

/* Entries that a mapping block of so many bytes holds. */
unsigned int e4df_tree_fanout(unsigned int block_size);

/* Extents on disk (32768 blocks at most, 32767 if unwritten) for a list. */
__u32 e4df_tree_entries(const struct e4df_extent *data, __u32 count);

/* Mapping blocks that a tree of so many entries needs; 0 up to 4 entries. */
__u32 e4df_tree_blocks(__u32 entries, unsigned int block_size);

struct e4df_tree_owner {
	ext2_ino_t ino;
	__u32 generation;
	__u32 csum_seed; /* of the file system */
	int has_csum;	 /* metadata_csum */
};

/*
 * Builds the tree for `data` extents over the mapping blocks tree[0 ... count)
 * (their pblk are the caller's choice, count as e4df_tree_blocks() says).
 * root takes E4DF_TREE_ROOT_BYTES for i_block; images takes count blocks, in
 * the order of tree[], parents first, checksums final.  Also sets each tree
 * block's lblk and flags as scan would find them.  Returns ENOMEM.
 */
errcode_t e4df_tree_build(const struct e4df_tree_owner *owner,
			  unsigned int block_size,
			  const struct e4df_extent *data, __u32 data_count,
			  struct e4df_extent *tree, __u32 tree_count,
			  void *root, void *images);

/* The checksum of a mapping block, as its tail must hold it. */
__u32 e4df_tree_checksum(const struct e4df_tree_owner *owner, const void *block,
			 unsigned int block_size);

#endif
