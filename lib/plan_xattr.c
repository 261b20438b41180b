/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>

#define SECTOR_BYTES 512 /* written completely or not at all */

/* In how many units of a group's inode table the owners lie; they ascend. */
static __u32 count_units(const struct e4df_map *map, __u32 index,
			 unsigned int per_unit)
{
	unsigned int per_group = e4df_map_geometry(map)->inodes_per_group;
	__u32 count, units = 0, group = 0, unit = 0;
	const ext2_ino_t *owner = e4df_map_owners(map, index, &count);

	for (__u32 i = 0; i < count; i++) {
		__u32 g = (owner[i] - 1) / per_group;
		__u32 u = (owner[i] - 1) % per_group / per_unit;

		units += !i || g != group || u != unit;
		group = g;
		unit = u;
	}
	return units;
}

__u32 xattr_switches(const struct e4df_map *map, __u32 index)
{
	return 1 + count_units(map, index,
			       e4df_map_geometry(map)->inodes_per_block);
}

/*
 * All owners must switch at once.  A transaction can do that if the log holds
 * it: besides the switches the superblock, and a bitmap and descriptors for
 * the old and for the new place.  Without a journal only a sector can.  If a
 * power cut left some owners with one block and some with the other, neither
 * would have the number of owners that it tells, and that is something that
 * e2fsck -p does not repair by itself.
 */
static int is_stuck(const struct e4df_map *map, __u32 index,
		    const struct e4df_policy *policy)
{
	const struct e4df_geometry *g = e4df_map_geometry(map);
	unsigned int inode_bytes = g->block_size / g->inodes_per_block;
	unsigned int per_sector =
		inode_bytes < SECTOR_BYTES ? SECTOR_BYTES / inode_bytes : 1;
	blk64_t quota;

	if (policy->flags & E4DF_POLICY_ORDERED &&
	    count_units(map, index, per_sector) > 1)
		return 1;
	quota = (blk64_t)xattr_switches(map, index) * g->quota_files;
	if (quota > g->quota_blocks)
		quota = g->quota_blocks;
	return xattr_switches(map, index) + 5 + quota > policy->log_blocks;
}

errcode_t xattr_pin(struct e4df_map *map, const struct e4df_policy *policy)
{
	__u32 *stuck = NULL;
	size_t count = 0, alloc = 0;
	errcode_t err = 0;

	for (__u32 i = 0; i < e4df_map_count(map) && !err; i++) {
		const struct e4df_inode *inode = e4df_map_inode(map, i);

		if (inode->kind != E4DF_XATTR || inode->why != E4DF_MOVABLE ||
		    !is_stuck(map, i, policy))
			continue;
		err = e4df_grow(&stuck, &alloc, count + 1, sizeof(*stuck));
		if (!err)
			stuck[count++] = i;
	}
	if (!err && count)
		err = e4df_map_pin(map, stuck, count, E4DF_WHY_NO_ROOM);
	free(stuck);
	return err;
}
