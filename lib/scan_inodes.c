/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <ext2fs/ext3_extents.h>

#include "crc32c.h"
#include "e4df_err.h"

#define TABLE_BYTES  (1 << 20) /* of an inode table, read at once */
#define AHEAD_BYTES  (8 << 20) /* announced ahead, */
#define AHEAD_GROUPS 1024      /* of so many groups */

/* What the walk along one group's inode table has counted. */
struct group_count {
	unsigned char *used; /* (owned) bitmap, as expected */
	unsigned int used_inodes;
	unsigned int directories;
};

/* Inodes of the group's table that may be in use. */
static unsigned int table_inodes(struct scan *s, dgrp_t group)
{
	unsigned int all = s->geometry.inodes_per_group, unused;

	if (!ext2fs_has_group_desc_csum(s->fs))
		return all;
	if (ext2fs_bg_flags_test(s->fs, group, EXT2_BG_INODE_UNINIT))
		return 0;
	unused = ext2fs_bg_itable_unused(s->fs, group);
	if (unused <= all)
		return all - unused;
	e4df_scan_damage(s, 0, 0, "group %u: more unused inodes than inodes",
			 group);
	return all;
}

static enum e4df_kind kind_of(struct scan *s, ext2_ino_t ino,
			      const struct ext2_inode_large *inode)
{
	struct ext2_super_block *sb = s->fs->super;

	if ((ino < EXT2_FIRST_INODE(sb) && ino != EXT2_ROOT_INO) ||
	    ino == sb->s_journal_inum || ino == sb->s_usr_quota_inum ||
	    ino == sb->s_grp_quota_inum || ino == sb->s_prj_quota_inum ||
	    (ext2fs_has_feature_orphan_file(sb) &&
	     ino == sb->s_orphan_file_inum))
		return E4DF_INTERNAL;
	if (LINUX_S_ISDIR(inode->i_mode))
		return E4DF_DIRECTORY;
	if (LINUX_S_ISLNK(inode->i_mode))
		return E4DF_SYMLINK;
	return E4DF_REGULAR;
}

static int compare_inos(const void *a, const void *b)
{
	const ext2_ino_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static enum e4df_why why_of(struct scan *s, ext2_ino_t ino, enum e4df_kind kind,
			    const struct ext2_inode_large *inode)
{
	if (kind == E4DF_INTERNAL)
		return E4DF_WHY_INTERNAL;
	if (inode->i_flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL) &&
	    !(s->flags & E4DF_SCAN_IMMUTABLE))
		return E4DF_WHY_IMMUTABLE;
	if (s->boot_count &&
	    bsearch(&ino, s->boot, s->boot_count, sizeof(ino), compare_inos))
		return E4DF_WHY_BOOT;
	if (!(inode->i_flags & EXT4_EXTENTS_FL) &&
	    !(s->flags & E4DF_SCAN_CONVERT) && s->geometry.blocks > 1ULL << 32)
		return E4DF_WHY_BLOCK_MAPPED;
	return E4DF_MOVABLE;
}

/* A swap file is whole pages, without holes (swapon would refuse it). */
static errcode_t note_swap(struct scan *s, __u32 index,
			   const struct ext2_inode_large *inode)
{
	__u64 size = EXT2_I_SIZE(inode);
	errcode_t err;

	if (e4df_map_inode(s->map, index)->kind != E4DF_REGULAR ||
	    size < 10 * 4096 || size % 4096)
		return 0;
	err = e4df_grow(&s->swap, &s->swap_alloc, s->swap_count + 1,
			sizeof(*s->swap));
	if (!err)
		s->swap[s->swap_count++] = index;
	return err;
}

static blk64_t sectors_of(struct scan *s, struct ext2_inode_large *inode)
{
	blk64_t blocks = ext2fs_inode_i_blocks(s->fs, EXT2_INODE(inode));

	if (ext2fs_has_feature_huge_file(s->fs->super) &&
	    (inode->i_flags & EXT4_HUGE_FILE_FL))
		blocks *= s->geometry.block_size / 512;
	return blocks;
}

/*
 * With ea_inode, i_blocks also counts the values of extended attributes that
 * lie in inodes of their own (the kernel's ext4_xattr_inode_alloc_quota).
 */
static void check_sectors(struct scan *s, __u32 index, blk64_t sectors,
			  int has_xattr_block)
{
	unsigned int per_block = s->geometry.block_size / 512 << s->bits;
	struct e4df_shape shape;
	blk64_t want;

	e4df_map_measure(s->map, index, &shape);
	want = shape.allocated * (s->geometry.block_size / 512) +
	       (has_xattr_block ? per_block : 0);
	if (sectors == want)
		return;
	if (ext2fs_has_feature_ea_inode(s->fs->super) && sectors > want &&
	    !((sectors - want) % per_block))
		return;
	e4df_scan_damage(s, e4df_map_inode(s->map, index)->ino, 0,
			 "i_blocks is %llu, should be %llu",
			 (unsigned long long)sectors, (unsigned long long)want);
}

/*
 * What is not written reads as zeros and is not copied; but of directories and
 * links libext2fs reads it, and e2fsck makes it written.
 */
static void check_written(struct scan *s, __u32 index)
{
	const struct e4df_inode *inode = e4df_map_inode(s->map, index);
	const struct e4df_extent *e = e4df_map_extents(s->map, index);

	if (inode->kind != E4DF_DIRECTORY && inode->kind != E4DF_SYMLINK)
		return;
	for (__u32 i = 0; i < inode->data; i++) {
		if (!(e[i].flags & E4DF_EXTENT_UNWRITTEN))
			continue;
		e4df_scan_damage(s, inode->ino, e[i].pblk,
				 "extent of a %s that is marked as not written",
				 inode->kind == E4DF_DIRECTORY ?
					 "directory" :
					 "symbolic link");
		return;
	}
}

void e4df_scan_check_mapping(struct scan *s, __u32 index, blk64_t sectors,
			     int has_xattr_block)
{
	check_sectors(s, index, sectors, has_xattr_block);
	check_written(s, index);
}

/* Decodes the root in place; deeper trees are read later, all together. */
static errcode_t scan_extents(struct scan *s, __u32 index,
			      struct ext2_inode_large *inode,
			      const struct scan_deep *deep)
{
	const struct ext3_extent_header *head = (void *)inode->i_block;
	struct scan_node root = {
		.end = 1ULL << 32,
		.deep = (__u32)s->deep_count,
		.depth = ext2fs_le16_to_cpu(head->eh_depth),
	};
	errcode_t err = e4df_scan_add_deep(s, deep);

	if (err)
		return err;
	s->temp_count = 0;
	if (root.depth > 5) {
		e4df_scan_damage(s, deep->ino, 0, "extent tree is too deep");
		return 0;
	}
	err = e4df_scan_node(s, head, sizeof(inode->i_block), &root, 0);
	if (root.depth)
		return err;
	s->deep_count--; /* it is not, and all is known of it */
	if (!err)
		err = e4df_map_set_extents(s->map, index, s->temp,
					   (__u32)s->temp_count, 0);
	if (!err)
		e4df_scan_check_mapping(s, index, deep->sectors,
					deep->has_xattr_block);
	return err;
}

/*
 * Inode 7 maps the reserved descriptor blocks of all groups, which are
 * metadata already; its own is the double indirect block alone.
 */
static errcode_t scan_resize(struct scan *s, __u32 index,
			     const struct ext2_inode_large *inode)
{
	struct e4df_extent e = {
		.pblk = inode->i_block[EXT2_DIND_BLOCK],
		.len = 1,
		.flags = E4DF_EXTENT_TREE,
	};

	if (!e.pblk)
		return 0;
	if (!e4df_scan_is_in_range(s, e.pblk, 1)) {
		e4df_scan_damage(s, EXT2_RESIZE_INO, e.pblk,
				 "block number out of range");
		return 0;
	}
	return e4df_map_set_extents(s->map, index, &e, 0, 1);
}

/* Does the root map anything, whatever i_blocks says? */
static int has_root(const struct ext2_inode_large *inode)
{
	const struct ext3_extent_header *head = (const void *)inode->i_block;

	if (inode->i_flags & EXT4_EXTENTS_FL)
		return head->eh_entries != 0;
	for (int i = 0; i < EXT2_N_BLOCKS; i++)
		if (inode->i_block[i])
			return 1;
	return 0;
}

/* Has the file system the feature that such a mapping needs? */
static void check_format(struct scan *s, ext2_ino_t ino, enum e4df_kind kind,
			 int is_block_map)
{
	struct ext2_super_block *sb = s->fs->super;

	if (is_block_map && ext2fs_has_feature_bigalloc(sb) &&
	    kind != E4DF_INTERNAL && kind != E4DF_SYMLINK)
		e4df_scan_damage(s, ino, 0,
				 "is mapped by blocks, not by extents, as the "
				 "feature bigalloc demands");
	if (!is_block_map && !ext2fs_has_feature_extents(sb))
		e4df_scan_damage(s, ino, 0,
				 "is mapped by extents, without the feature "
				 "extent");
}

static errcode_t scan_mapping(struct scan *s, ext2_ino_t ino,
			      struct ext2_inode_large *inode)
{
	blk64_t acl = ext2fs_file_acl_block(s->fs, EXT2_INODE(inode));
	enum e4df_kind kind = kind_of(s, ino, inode);
	enum e4df_why why = why_of(s, ino, kind, inode);
	struct scan_deep deep = {
		.generation = inode->i_generation,
		.sectors = sectors_of(s, inode),
		.ino = ino,
		.has_xattr_block = acl != 0,
		.is_block_map = !(inode->i_flags & EXT4_EXTENTS_FL),
	};
	__u32 index;
	errcode_t err = 0;

	if (acl)
		err = e4df_scan_note_xattr(s, ino, acl, why);
	if (err)
		return err;
	if (ino != EXT2_BAD_INO &&
	    (!ext2fs_inode_has_valid_blocks2(s->fs, EXT2_INODE(inode)) ||
	     !(LINUX_S_ISREG(inode->i_mode) || LINUX_S_ISDIR(inode->i_mode) ||
	       LINUX_S_ISLNK(inode->i_mode))))
		return 0;
	if (!ext2fs_inode_i_blocks(s->fs, EXT2_INODE(inode)) &&
	    !has_root(inode))
		return 0;
	err = e4df_map_add_inode(s->map, ino, kind, why, &index);
	if (!err && kind == E4DF_DIRECTORY)
		err = e4df_map_set_flags(s->map, index, inode->i_flags);
	if (err)
		return err;
	if (ino == EXT2_RESIZE_INO)
		return scan_resize(s, index, inode);
	check_format(s, ino, kind, deep.is_block_map);
	deep.index = index;
	if (deep.is_block_map)
		err = e4df_scan_block_map(s, index, inode, &deep);
	else
		err = scan_extents(s, index, inode, &deep);
	return err ? err : note_swap(s, index, inode);
}

/*
 * What is not right at once is asked of libext2fs, which knows the exceptions.
 * The inode is as before afterwards.
 */
static int is_checksum_right(struct scan *s, ext2_ino_t ino,
			     struct ext2_inode_large *inode)
{
	size_t size = EXT2_INODE_SIZE(s->fs->super);
	int has_high = size > EXT2_GOOD_OLD_INODE_SIZE &&
		       inode->i_extra_isize >= EXT4_INODE_CSUM_HI_EXTRA_END;
	__u16 low = inode->i_checksum_lo, high = 0;
	__u32 crc, want = low;

	if (!ext2fs_has_feature_metadata_csum(s->fs->super))
		return 1;
	crc = e4df_crc32c(s->fs->csum_seed, &ino, sizeof(ino));
	crc = e4df_crc32c(crc, &inode->i_generation, 4);
	inode->i_checksum_lo = 0;
	if (has_high) {
		high = inode->i_checksum_hi;
		want |= (__u32)high << 16;
		inode->i_checksum_hi = 0;
	}
	crc = e4df_crc32c(crc, inode, size);
	inode->i_checksum_lo = low;
	if (has_high)
		inode->i_checksum_hi = high;
	else
		crc &= 0xffff;
	return crc == want || ext2fs_inode_csum_verify(s->fs, ino, inode);
}

static errcode_t scan_inode(struct scan *s, struct group_count *count,
			    ext2_ino_t ino, struct ext2_inode_large *inode)
{
	unsigned int bit = (ino - 1) % s->geometry.inodes_per_group;
	int is_reserved = ino < EXT2_FIRST_INODE(s->fs->super);
	errcode_t err;

	if (!inode->i_links_count && !is_reserved)
		return 0;
	count->used[bit / 8] |= (unsigned char)(1 << bit % 8);
	count->used_inodes++;
	if (!inode->i_links_count && ino != EXT2_BAD_INO)
		return 0;
	if (!is_checksum_right(s, ino, inode)) {
		e4df_scan_damage(s, ino, 0, "wrong checksum");
		return 0;
	}
	if (LINUX_S_ISDIR(inode->i_mode))
		count->directories++;
	err = e4df_scan_quota_inode(s, ino, inode);
	return err ? err : scan_mapping(s, ino, inode);
}

static errcode_t walk_table(struct scan *s, struct group_count *count,
			    dgrp_t group, char *buf)
{
	unsigned int size = EXT2_INODE_SIZE(s->fs->super);
	unsigned int bs = s->geometry.block_size;
	unsigned int left = table_inodes(s, group);
	ext2_ino_t ino = group * s->geometry.inodes_per_group + 1;
	blk64_t blk = ext2fs_inode_table_loc(s->fs, group);
	errcode_t err = 0;

	while (left && !err) {
		unsigned int n = TABLE_BYTES / size;
		blk64_t blocks;

		if (n > left)
			n = left;
		blocks = ((blk64_t)n * size + bs - 1) / bs;
		err = e4df_event_check(s->sink);
		if (!err)
			err = e4df_gate_read(s->gate, blk, blocks, buf);
		for (unsigned int i = 0; i < n && !err; i++)
			err = scan_inode(s, count, ino++,
					 (void *)(buf + (size_t)i * size));
		blk += blocks;
		left -= n;
	}
	return err;
}

static errcode_t check_inode_bitmap(struct scan *s, dgrp_t group,
				    const struct group_count *count,
				    unsigned char *buf)
{
	unsigned int bytes = s->geometry.inodes_per_group / 8, byte = 0;
	blk64_t blk = ext2fs_inode_bitmap_loc(s->fs, group);
	unsigned int unused = s->geometry.inodes_per_group - count->used_inodes;
	errcode_t err;

	s->free_inodes += unused;
	if (ext2fs_bg_free_inodes_count(s->fs, group) != unused)
		e4df_scan_damage(s, 0, 0,
				 "group %u: %u free inodes, should "
				 "be %u",
				 group,
				 ext2fs_bg_free_inodes_count(s->fs, group),
				 unused);
	if (ext2fs_bg_used_dirs_count(s->fs, group) != count->directories)
		e4df_scan_damage(s, 0, 0,
				 "group %u: %u directories, should "
				 "be %u",
				 group, ext2fs_bg_used_dirs_count(s->fs, group),
				 count->directories);
	if (ext2fs_has_group_desc_csum(s->fs) &&
	    ext2fs_bg_flags_test(s->fs, group, EXT2_BG_INODE_UNINIT))
		return 0;
	err = e4df_gate_read(s->gate, blk, 1, buf);
	if (err)
		return err;
	if (!e4df_scan_is_inode_bitmap_right(s, group, buf))
		e4df_scan_damage(s, 0, blk,
				 "group %u: wrong checksum of the "
				 "inode bitmap",
				 group);
	if (!e4df_scan_is_padded(s, buf, s->geometry.inodes_per_group))
		e4df_scan_damage(s, 0, blk,
				 "group %u: bits behind the end of the inode "
				 "bitmap are not set",
				 group);
	while (byte < bytes && buf[byte] == count->used[byte])
		byte++;
	if (byte < bytes)
		e4df_scan_damage(
			s, group * s->geometry.inodes_per_group + byte * 8 + 1,
			blk,
			"inode bitmap of group %u differs from the "
			"inodes in use",
			group);
	return 0;
}

/* What is to be announced, as long as it is in one piece. */
struct ahead {
	dgrp_t group;  /* the next one */
	blk64_t bytes; /* announced and not yet read */
	blk64_t blk, len;
};

static void announce(struct scan *s, struct ahead *ahead, blk64_t blk,
		     blk64_t len)
{
	if (len && ahead->len && blk == ahead->blk + ahead->len) {
		ahead->len += len;
		return;
	}
	if (ahead->len)
		e4df_gate_prefetch(s->gate, ahead->blk, ahead->len);
	ahead->blk = blk;
	ahead->len = len;
}

/* Blocks of the group's inode table that will be read. */
static blk64_t table_blocks(struct scan *s, dgrp_t group)
{
	unsigned int bs = s->geometry.block_size;
	blk64_t inodes = s->geometry.inodes_per_group;

	if (ext2fs_has_group_desc_csum(s->fs)) {
		blk64_t unused = ext2fs_bg_itable_unused(s->fs, group);

		if (ext2fs_bg_flags_test(s->fs, group, EXT2_BG_INODE_UNINIT))
			return 0;
		inodes -= unused < inodes ? unused : 0;
	}
	return (inodes * EXT2_INODE_SIZE(s->fs->super) + bs - 1) / bs;
}

/*
 * Tells the kernel what comes next: bitmaps, which mostly lie together, then
 * tables, until enough is on its way.
 */
static void look_ahead(struct scan *s, struct ahead *ahead)
{
	dgrp_t from = ahead->group, end = from;
	blk64_t bs = s->geometry.block_size;

	if (ahead->bytes >= AHEAD_BYTES / 2)
		return;
	for (; end < s->geometry.groups && ahead->bytes < AHEAD_BYTES &&
	       end - from < AHEAD_GROUPS;
	     end++)
		ahead->bytes += table_blocks(s, end) * bs;
	for (dgrp_t g = from; g < end; g++)
		if (table_blocks(s, g))
			announce(s, ahead, ext2fs_inode_bitmap_loc(s->fs, g),
				 1);
	for (dgrp_t g = from; g < end; g++)
		if (table_blocks(s, g))
			announce(s, ahead, ext2fs_inode_table_loc(s->fs, g),
				 table_blocks(s, g));
	announce(s, ahead, 0, 0);
	ahead->group = end;
}

errcode_t e4df_scan_inode_tables(struct scan *s)
{
	struct group_count count = { .used = NULL };
	struct ahead ahead = { .group = 0 };
	unsigned int bs = s->geometry.block_size;
	dgrp_t groups = s->geometry.groups;
	char *buf = malloc(TABLE_BYTES + bs);
	errcode_t err = 0;

	count.used = malloc(bs);
	if (!buf || !count.used)
		err = ENOMEM;
	for (dgrp_t g = 0; g < groups && !err; g++) {
		if (g == ahead.group || ahead.bytes < AHEAD_BYTES / 2)
			look_ahead(s, &ahead);
		memset(count.used, 0, (s->geometry.inodes_per_group + 7) / 8);
		count.used_inodes = 0;
		count.directories = 0;
		err = walk_table(s, &count, g, buf);
		ahead.bytes -= table_blocks(s, g) * bs;
		if (!err)
			err = check_inode_bitmap(s, g, &count,
						 (unsigned char *)buf);
		e4df_event_advance(s->sink, g + 1, groups);
	}
	if (!err && s->free_inodes != s->fs->super->s_free_inodes_count)
		e4df_scan_damage(s, 0, 0,
				 "superblock: %u free inodes, should "
				 "be %llu",
				 s->fs->super->s_free_inodes_count,
				 (unsigned long long)s->free_inodes);
	free(count.used);
	free(buf);
	return err;
}
