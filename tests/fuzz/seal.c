/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mutate.h"

#include <string.h>

/* jbd2's; ext2fs.h does not declare the struct. */
enum {
	JOURNAL_INCOMPAT = 0x28,
	JOURNAL_CSUM_V2_V3 = 0x18,
	JOURNAL_CHECKSUM = 0xfc,
	JOURNAL_BYTES = 1024,
};

static void *desc_of(struct image *img, dgrp_t group)
{
	return ext2fs_group_desc(img->fs, img->fs->group_desc, group);
}

/* That of a bitmap is in its group's descriptor. */
static void seal_bitmap(struct image *img, const struct part *part)
{
	struct ext2_super_block *sb = img->fs->super;
	char *bitmap = (char *)img->byte + part->at;

	if (part->kind == BLOCK_BITMAP)
		ext2fs_block_bitmap_csum_set(img->fs, part->group, bitmap,
					     (int)EXT2_CLUSTERS_PER_GROUP(sb) /
						     8);
	else
		ext2fs_inode_bitmap_csum_set(img->fs, part->group, bitmap,
					     (int)EXT2_INODES_PER_GROUP(sb) /
						     8);
}

static void seal_groups(struct image *img)
{
	size_t from = img->first[DESC], end = img->first[INODE];

	for (size_t i = from; i < img->first[DESC + 1]; i++)
		memcpy(desc_of(img, img->part[i].group),
		       img->byte + img->part[i].at, img->part[i].len);
	for (size_t i = img->first[DESC + 1]; i < end; i++)
		if (img->part[i].is_touched) {
			seal_bitmap(img, &img->part[i]);
			img->part[from + img->part[i].group].is_touched = true;
		}
	for (size_t i = from; i < img->first[DESC + 1]; i++) {
		if (!img->part[i].is_touched)
			continue;
		ext2fs_group_desc_csum_set(img->fs, img->part[i].group);
		memcpy(img->byte + img->part[i].at,
		       desc_of(img, img->part[i].group), img->part[i].len);
	}
}

static void seal_journal(unsigned char *super)
{
	__u32 zero = 0, csum;

	if (!(super[JOURNAL_INCOMPAT + 3] & JOURNAL_CSUM_V2_V3))
		return;
	memcpy(super + JOURNAL_CHECKSUM, &zero, sizeof(zero));
	csum = ext2fs_cpu_to_be32(ext2fs_crc32c_le(~0U, super, JOURNAL_BYTES));
	memcpy(super + JOURNAL_CHECKSUM, &csum, sizeof(csum));
}

/* What is broken too much to have a checksum stays without one. */
static void seal_part(struct image *img, const struct part *part)
{
	void *at = img->byte + part->at;
	ext2_filsys fs = img->fs;

	switch (part->kind) {
	case SUPER:
		ext2fs_superblock_csum_set(fs, at);
		break;
	case INODE:
		ext2fs_inode_csum_set(fs, part->ino, at);
		break;
	case EXTENTS:
		ext2fs_extent_block_csum_set(fs, part->ino, at);
		break;
	case DIRECTORY:
		ext2fs_dir_block_csum_set(fs, part->ino, at);
		break;
	case XATTR:
		ext2fs_ext_attr_block_csum_set(fs, part->ino,
					       part->at / fs->blocksize, at);
		break;
	case JOURNAL:
		seal_journal(at);
		break;
	case INTERNAL:
		if (part->ino && part->ino == fs->super->s_orphan_file_inum)
			ext2fs_orphan_file_block_csum_set(
				fs, part->ino, part->at / fs->blocksize, at);
		else if (!part->ino)
			ext2fs_mmp_csum_set(fs, at);
		break;
	case UNDO_HEADER:
	case UNDO_KEYS:
		seal_undo(img, part);
		break;
	default:
		break;
	}
}

void seal(struct image *img)
{
	if (img->fs)
		seal_groups(img);
	for (size_t i = 0; i < img->count; i++)
		if (img->part[i].is_touched)
			seal_part(img, &img->part[i]);
}
