/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <ext2fs/ext3_extents.h>

#include "crc32c.h"

#define ROOT_ENTRIES 4
#define HEADER	     sizeof(struct ext3_extent_header)
#define ENTRY	     sizeof(struct ext3_extent)

_Static_assert(HEADER == 12 && ENTRY == 12, "extent tree nodes");
_Static_assert(sizeof(struct ext3_extent_idx) == ENTRY, "same size");
_Static_assert(HEADER + ROOT_ENTRIES * ENTRY == E4DF_TREE_ROOT_BYTES, "root");

unsigned int e4df_tree_fanout(unsigned int block_size)
{
	return (unsigned int)((block_size - HEADER) / ENTRY);
}

static __u32 max_len(const struct e4df_extent *e)
{
	return e->flags & E4DF_EXTENT_UNWRITTEN ? EXT_UNINIT_MAX_LEN :
						  EXT_INIT_MAX_LEN;
}

__u32 e4df_tree_entries(const struct e4df_extent *data, __u32 count)
{
	__u32 sum = 0;

	for (__u32 i = 0; i < count; i++)
		sum += (data[i].len - 1) / max_len(&data[i]) + 1;
	return sum;
}

__u32 e4df_tree_blocks(__u32 entries, unsigned int block_size)
{
	__u32 fanout = e4df_tree_fanout(block_size), sum = 0;

	while (entries > ROOT_ENTRIES) {
		entries = (entries - 1) / fanout + 1;
		sum += entries;
	}
	return sum;
}

__u32 e4df_tree_checksum(const struct e4df_tree_owner *owner, const void *block,
			 unsigned int block_size)
{
	__u32 crc = e4df_crc32c(owner->csum_seed, &owner->ino, 4);

	crc = e4df_crc32c(crc, &owner->generation, 4);
	return e4df_crc32c(crc, block,
			   HEADER + e4df_tree_fanout(block_size) * ENTRY);
}

/* An entry of either kind, before it is known which node it goes to. */
struct entry {
	blk64_t pblk;
	__u32 lblk;
	__u16 len; /* as on disk; leaves only */
};

static struct entry *list_leaves(const struct e4df_extent *data, __u32 count,
				 __u32 entries)
{
	struct entry *list = malloc(((size_t)entries + 1) * sizeof(*list));
	__u32 n = 0;

	for (__u32 i = 0; list && i < count; i++) {
		__u32 max = max_len(&data[i]), done = 0;

		while (done < data[i].len) {
			__u32 len = data[i].len - done;

			if (len > max)
				len = max;
			list[n++] = (struct entry){
				.pblk = data[i].pblk + done,
				.lblk = data[i].lblk + done,
				.len = (__u16)(max == EXT_UNINIT_MAX_LEN ?
						       len + EXT_INIT_MAX_LEN :
						       len),
			};
			done += len;
		}
	}
	return list;
}

static void fill_node(void *node, const struct entry *list, __u32 count,
		      __u32 max, int depth)
{
	struct ext3_extent_header *head = node;

	head->eh_magic = ext2fs_cpu_to_le16(EXT3_EXT_MAGIC);
	head->eh_entries = ext2fs_cpu_to_le16((__u16)count);
	head->eh_max = ext2fs_cpu_to_le16((__u16)max);
	head->eh_depth = ext2fs_cpu_to_le16((__u16)depth);
	head->eh_generation = 0;
	for (__u32 i = 0; i < count; i++) {
		struct ext3_extent *leaf = EXT_FIRST_EXTENT(head) + i;
		struct ext3_extent_idx *index = EXT_FIRST_INDEX(head) + i;
		__u32 low = (__u32)list[i].pblk;
		__u16 high = (__u16)(list[i].pblk >> 32);

		if (depth) {
			index->ei_block = ext2fs_cpu_to_le32(list[i].lblk);
			index->ei_leaf = ext2fs_cpu_to_le32(low);
			index->ei_leaf_hi = ext2fs_cpu_to_le16(high);
			index->ei_unused = 0;
		} else {
			leaf->ee_block = ext2fs_cpu_to_le32(list[i].lblk);
			leaf->ee_len = ext2fs_cpu_to_le16(list[i].len);
			leaf->ee_start_hi = ext2fs_cpu_to_le16(high);
			leaf->ee_start = ext2fs_cpu_to_le32(low);
		}
	}
}

/*
 * Packs one level into `nodes` mapping blocks and replaces the list by the
 * entries of the level above.
 */
static void pack_level(const struct e4df_tree_owner *owner,
		       unsigned int block_size, struct entry *list, __u32 count,
		       int depth, struct e4df_extent *tree, __u32 nodes,
		       char *images)
{
	__u32 fanout = e4df_tree_fanout(block_size);

	for (__u32 n = 0; n < nodes; n++) {
		char *block = images + (size_t)n * block_size;
		struct ext3_extent_tail *tail =
			(void *)(block + HEADER + fanout * ENTRY);
		const struct entry *part = list + (size_t)n * fanout;
		__u32 left = count - n * fanout;

		memset(block, 0, block_size);
		fill_node(block, part, left < fanout ? left : fanout, fanout,
			  depth);
		if (owner->has_csum)
			tail->et_checksum = ext2fs_cpu_to_le32(
				e4df_tree_checksum(owner, block, block_size));
		tree[n].lblk = part->lblk;
		tree[n].len = 1;
		tree[n].flags = E4DF_EXTENT_TREE;
		list[n] = (struct entry){
			.pblk = tree[n].pblk,
			.lblk = part->lblk,
		};
	}
}

errcode_t e4df_tree_build(const struct e4df_tree_owner *owner,
			  unsigned int block_size,
			  const struct e4df_extent *data, __u32 data_count,
			  struct e4df_extent *tree, __u32 tree_count,
			  void *root, void *images)
{
	__u32 fanout = e4df_tree_fanout(block_size);
	__u32 count = e4df_tree_entries(data, data_count);
	__u32 at = tree_count;
	struct entry *list = list_leaves(data, data_count, count);
	int depth = 0;

	if (!list)
		return ENOMEM;
	for (; count > ROOT_ENTRIES; depth++) {
		__u32 nodes = (count - 1) / fanout + 1;

		at -= nodes; /* leaves last: parents first */
		pack_level(owner, block_size, list, count, depth, tree + at,
			   nodes, (char *)images + (size_t)at * block_size);
		count = nodes;
	}
	memset(root, 0, E4DF_TREE_ROOT_BYTES);
	fill_node(root, list, count, ROOT_ENTRIES, depth);
	free(list);
	return 0;
}
