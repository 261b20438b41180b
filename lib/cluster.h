/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cluster - layer 3, pure: layouts in clusters
 *
 * With the feature bigalloc blocks are allocated in clusters of 2^bits.  A
 * cluster belongs to one file, and to one logical cluster of it, in which
 * each block has the same place as in the physical one:
 *
 *	logical   | 16 17 18 19 | 20 21 22 23 |
 *	physical  | 96 97  . 99 |  .  .  . 75 |    bits = 2
 *
 * So a file's layout is which blocks it has and of which state, which never
 * changes, and where its clusters are.  fold takes the latter out of block
 * extents, and spread puts it back in.
 * Source: has_unaligned_cluster_map() in e2fsck/pass1.c; the kernel's
 * Documentation/filesystems/ext4/bigalloc.rst, get_implied_cluster_alloc() in
 * its fs/ext4/extents.c.
 */
#ifndef E4DF_CLUSTER_H
#define E4DF_CLUSTER_H

#include "map.h"

/* The first extent that breaks this rule; count if none does. */
__u32 e4df_cluster_find_bad(const struct e4df_extent *data, __u32 count,
			    unsigned int bits);

/*
 * The clusters of data extents that keep the rule, as extents in clusters,
 * without flags.  ret has room for count; returns how many it takes.
 */
__u32 e4df_cluster_fold(const struct e4df_extent *data, __u32 count,
			unsigned int bits, struct e4df_extent *ret);

/*
 * The blocks of data extents, with their states, in other clusters: all those
 * that they fold to, in any places.  ret has room for count + cluster_count;
 * returns how many it takes.  What is adjacent and alike is one extent.
 */
__u32 e4df_cluster_spread(const struct e4df_extent *data, __u32 count,
			  unsigned int bits, const struct e4df_extent *clusters,
			  __u32 cluster_count, struct e4df_extent *ret);

/* The pieces that data would be in if their places were no matter. */
__u32 e4df_cluster_pieces(const struct e4df_extent *data, __u32 count);

/*
 * A map in clusters: geometry, extents of movable inodes and all ranges are
 * numbered by clusters, inodes have the same index.  Returns ENOMEM.
 */
errcode_t e4df_cluster_map(const struct e4df_map *map, struct e4df_map **ret);

#endif
