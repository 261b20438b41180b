/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map - layer 3: the model of the file system, which block is whose
 *
 * Made by scan, read by everyone, changed only by what has moved.  Units are
 * blocks; with bigalloc all that is fixed or free is whole clusters, but
 * for a last one that is not whole itself: that is fixed.  Memory: 16 bytes
 * for each inode that owns blocks, 16 for each extent and each mapping block,
 * 16 for each range of free or fixed blocks, 36 for each xattr block and 4 for
 * each of its owners, 8 for each directory with flags; nothing for each block.
 * A fork has inodes and fixed ranges of its own, and extents of those inodes
 * that change.
 */
#ifndef E4DF_MAP_H
#define E4DF_MAP_H

#include "batch.h"

enum e4df_kind {
	E4DF_REGULAR,
	E4DF_DIRECTORY,
	E4DF_SYMLINK,
	E4DF_INTERNAL, /* the file system's own */
	E4DF_XATTR,    /* no inode, but a block of extended attributes */
};

/* Is it what a report calls a file? */
static inline int e4df_kind_is_file(enum e4df_kind kind)
{
	return kind < E4DF_INTERNAL;
}

/* Why an inode stays where it is; E4DF_MOVABLE if it does not. */
enum e4df_why {
	E4DF_MOVABLE,
	E4DF_WHY_INTERNAL,     /* journal, resize, quota, orphan file ... */
	E4DF_WHY_IMMUTABLE,    /* chattr +i or +a: boot loaders' block lists */
	E4DF_WHY_BOOT,	       /* below /boot, with a boot sector in use */
	E4DF_WHY_SWAP,	       /* a swap file: a resume offset may name it */
	E4DF_WHY_BLOCK_MAPPED, /* and cannot name all blocks that there are */
	E4DF_WHY_UNREADABLE,   /* the device cannot read a block of it */
	E4DF_WHY_LAST_CLUSTER, /* in the last one, which is not whole */
	E4DF_WHY_EXCLUDED,     /* the user wants it to stay */
	E4DF_WHY_NOT_WANTED,   /* movable, but not to be improved */
	E4DF_WHY_GOOD,	       /* the planner left runs that are long enough */
	E4DF_WHY_NO_ROOM,      /* the planner found no better place */
	E4DF_WHY_COUNT
};

/* The reason in words, for reports: "immutable or append-only". */
const char *e4df_why_text(enum e4df_why why);

struct e4df_inode {
	ext2_ino_t ino;	  /* of an xattr block: its first owner's */
	__u32 first;	  /* index of its first extent */
	__u32 data;	  /* number of data extents */
	__u32 tree : 23;  /* number of mapping blocks, behind the data */
	__u32 format : 1; /* enum e4df_format */
	__u32 kind : 3;	  /* enum e4df_kind */
	__u32 why : 5;	  /* enum e4df_why */
};
_Static_assert(sizeof(struct e4df_inode) == 16, "as the header says");

/* What of the superblock the pure modules need. */
struct e4df_geometry {
	blk64_t blocks;		 /* of the file system */
	blk64_t first_block;	 /* 1 with 1 KiB blocks, else 0 */
	unsigned int block_size; /* bytes */
	unsigned int blocks_per_group;
	unsigned int inodes_per_group;
	unsigned int inodes_per_block;
	unsigned int descs_per_block; /* group descriptors */
	unsigned int groups;
	unsigned int groups_per_flex; /* 1 without flex_bg */
	unsigned int cluster_bits;    /* a cluster is 2^n blocks; 0 without
				    * bigalloc */
	unsigned int quota_files;     /* set by e4df_map_set_quota() */
	blk64_t quota_blocks;	      /* of them all */
};

struct e4df_map;

errcode_t e4df_map_new(const struct e4df_geometry *geometry,
		       struct e4df_map **ret);
void e4df_map_free(struct e4df_map *map);

/*
 * A copy of a finished map, which borrows what does not change in it: lists of
 * extents, and all that is free.  So until it is freed that map must stay as
 * it is.  A fork of a fork borrows from the same map, and does not need the
 * other fork.  Returns ENOMEM.
 */
errcode_t e4df_map_fork(const struct e4df_map *map, struct e4df_map **ret);

/* Building, by scan only.  Inodes ascend; a list may be added later. */
errcode_t e4df_map_add_inode(struct e4df_map *map, ext2_ino_t ino,
			     enum e4df_kind kind, enum e4df_why why,
			     __u32 *index);
errcode_t e4df_map_set_extents(struct e4df_map *map, __u32 index,
			       const struct e4df_extent *extents, __u32 data,
			       __u32 tree);
void e4df_map_set_why(struct e4df_map *map, __u32 index, enum e4df_why why);
/*
 * An xattr block: behind all inodes, by first owner, as if it were a file of
 * one data block.  The owners ascend.  Its logical number is its
 * place in its cluster, which it keeps.
 */
errcode_t e4df_map_add_xattr(struct e4df_map *map, blk64_t pblk,
			     const ext2_ino_t *owners, __u32 count,
			     enum e4df_why why);
void e4df_map_set_format(struct e4df_map *map, __u32 index,
			 enum e4df_format format);

/* Those of a directory's i_flags that the order of its entries depends on. */
#define E4DF_DIRECTORY_FLAGS \
	(EXT2_INDEX_FL | EXT4_ENCRYPT_FL | EXT4_CASEFOLD_FL)
/* Of the inode added last.  Returns ENOMEM. */
errcode_t e4df_map_set_flags(struct e4df_map *map, __u32 index, __u32 flags);

void e4df_map_set_quota(struct e4df_map *map, unsigned int files,
			blk64_t blocks);

/* Ends building: fixed and free become the map's, and what the two allow. */
errcode_t e4df_map_finish(struct e4df_map *map, struct e4df_runs *fixed,
			  struct e4df_runs *free_blocks);

/*
 * Finished, and yet: from now on these inodes, which were movable, stay where
 * they are.  Returns ENOMEM, with the map as it was.
 */
errcode_t e4df_map_pin(struct e4df_map *map, const __u32 *index, size_t count,
		       enum e4df_why why);

/* Queries. */
const struct e4df_geometry *e4df_map_geometry(const struct e4df_map *map);
__u32 e4df_map_count(const struct e4df_map *map);
const struct e4df_inode *e4df_map_inode(const struct e4df_map *map,
					__u32 index);
/* data extents by lblk, then the mapping blocks, parents first */
const struct e4df_extent *e4df_map_extents(const struct e4df_map *map,
					   __u32 index);
/* those of all inodes; an inode's begin at `first`; not of a fork */
const struct e4df_extent *e4df_map_all_extents(const struct e4df_map *map);
/* metadata, and all blocks of inodes that are not movable */
const struct e4df_runs *e4df_map_fixed(const struct e4df_map *map);
/* the ranges between the fixed blocks, in which everything can move */
const struct e4df_runs *e4df_map_areas(const struct e4df_map *map);
const struct e4df_runs *e4df_map_free_blocks(const struct e4df_map *map);

/* E4DF_DIRECTORY_FLAGS of a directory. */
__u32 e4df_map_flags(const struct e4df_map *map, __u32 index);

/* The inodes that share the xattr block at an index. */
const ext2_ino_t *e4df_map_owners(const struct e4df_map *map, __u32 index,
				  __u32 *count);

/* The index of an inode number; count if the map does not have it. */
__u32 e4df_map_find(const struct e4df_map *map, ext2_ino_t ino);
/* The same for the xattr block whose first owner it is. */
__u32 e4df_map_find_xattr(const struct e4df_map *map, ext2_ino_t ino);

/* The fewest runs that a file of so many blocks can have here. */
__u32 e4df_map_ideal(const struct e4df_map *map, blk64_t blocks);

/*
 * An inode's data in figures.  Runs are those of clusters: what a cluster
 * holds besides, or leaves out, makes no more of them, because it cannot be
 * otherwise anywhere.
 */
struct e4df_shape {
	blk64_t blocks;
	blk64_t allocated; /* blocks in its clusters, mapping blocks' too */
	__u32 runs;
	__u32 ideal;
};

void e4df_map_measure(const struct e4df_map *map, __u32 index,
		      struct e4df_shape *ret);

/*
 * Makes room for what apply will add, so that it cannot fail behind the
 * commit.  Returns ENOMEM.
 */
errcode_t e4df_map_prepare(struct e4df_map *map,
			   const struct e4df_update *update);

/* It has happened.  Cannot fail after a prepare with the same update. */
void e4df_map_apply(struct e4df_map *map, const struct e4df_update *update);

/*
 * In parts, for what has happened together: one inode's new lists, and then
 * the blocks that all of it leaves free, which are taken over.  Returns ENOMEM
 * or E4DF_ET_OVERFLOW, with the inode as it was.
 */
errcode_t e4df_map_change(struct e4df_map *map,
			  const struct e4df_mapping *mapping,
			  const struct e4df_extent *extents);
void e4df_map_set_free(struct e4df_map *map, struct e4df_runs *free_blocks);

/*
 * Do two maps describe the same layout?  What can be read, or is excluded,
 * does not count.
 */
int e4df_map_is_equal(const struct e4df_map *a, const struct e4df_map *b);

#endif
