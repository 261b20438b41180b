/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mutate.h"

#include <stdlib.h>
#include <string.h>

struct walk {
	struct image *img; /* borrowed */
	ext2_ino_t ino;
	bool is_dir, is_internal, has_extents;
};

void add_part(struct image *img, const struct part *part)
{
	if (part->at > img->len || part->len > img->len - part->at)
		die("a part of kind %d is not within the image", part->kind);
	if (img->count == img->alloc) {
		img->alloc = img->alloc * 2 + 256;
		img->part = must_alloc(
			realloc(img->part, img->alloc * sizeof(*img->part)));
	}
	img->part[img->count++] = *part;
}

static void add_block(struct image *img, enum kind kind, blk64_t blk,
		      ext2_ino_t ino, dgrp_t group)
{
	const struct part part = {
		.kind = kind,
		.at = blk * img->fs->blocksize,
		.len = img->fs->blocksize,
		.ino = ino,
		.group = group,
	};

	add_part(img, &part);
}

static void add_group(struct image *img, dgrp_t group)
{
	ext2_filsys fs = img->fs;
	size_t size = EXT2_DESC_SIZE(fs->super);
	unsigned int each = (unsigned int)EXT2_DESC_PER_BLOCK(fs->super);
	blk64_t blk = ext2fs_descriptor_block_loc2(
		fs, fs->super->s_first_data_block, group / each);
	const struct part desc = {
		.kind = DESC,
		.at = blk * fs->blocksize + group % each * size,
		.len = size,
		.group = group,
	};

	add_part(img, &desc);
	add_block(img, BLOCK_BITMAP, ext2fs_block_bitmap_loc(fs, group), 0,
		  group);
	add_block(img, INODE_BITMAP, ext2fs_inode_bitmap_loc(fs, group), 0,
		  group);
}

static int visit_block(ext2_filsys fs, blk64_t *blk, e2_blkcnt_t lblk,
		       blk64_t ref_blk, int ref_offset, void *priv)
{
	const struct walk *w = priv;

	(void)ref_blk;
	(void)ref_offset;
	if (lblk < 0)
		add_block(w->img, w->has_extents ? EXTENTS : INDIRECT, *blk,
			  w->ino, 0);
	else if (w->is_dir)
		add_block(w->img, DIRECTORY, *blk, w->ino, 0);
	else if (w->ino == fs->super->s_journal_inum && !lblk)
		add_block(w->img, JOURNAL, *blk, w->ino, 0);
	else if (w->is_internal && w->ino != fs->super->s_journal_inum)
		add_block(w->img, INTERNAL, *blk, w->ino, 0);
	return 0;
}

static bool is_internal(ext2_filsys fs, ext2_ino_t ino)
{
	struct ext2_super_block *sb = fs->super;

	return ino == sb->s_journal_inum || ino == sb->s_usr_quota_inum ||
	       ino == sb->s_grp_quota_inum || ino == sb->s_prj_quota_inum ||
	       (ext2fs_has_feature_orphan_file(sb) &&
		ino == sb->s_orphan_file_inum);
}

static void add_inode(struct image *img, ext2_ino_t ino)
{
	ext2_filsys fs = img->fs;
	unsigned int each = EXT2_INODES_PER_GROUP(fs->super);
	dgrp_t group = (ino - 1) / each;
	size_t size = EXT2_INODE_SIZE(fs->super);
	struct part part = { .kind = INODE, .len = size, .ino = ino };
	struct walk w = { .img = img, .ino = ino };
	struct ext2_inode inode;

	must(ext2fs_read_inode(fs, ino, &inode), "reading an inode");
	if (!inode.i_links_count && ino >= EXT2_FIRST_INODE(fs->super))
		return;
	part.at = ext2fs_inode_table_loc(fs, group) * fs->blocksize +
		  (ino - 1) % each * size;
	add_part(img, &part);
	if (ext2fs_file_acl_block(fs, &inode))
		add_block(img, XATTR, ext2fs_file_acl_block(fs, &inode), ino,
			  0);
	if (!ext2fs_inode_has_valid_blocks2(fs, &inode) ||
	    ino == EXT2_RESIZE_INO)
		return;
	w.is_dir = LINUX_S_ISDIR(inode.i_mode);
	w.is_internal = is_internal(fs, ino);
	w.has_extents = inode.i_flags & EXT4_EXTENTS_FL;
	must(ext2fs_block_iterate3(fs, ino, BLOCK_FLAG_READ_ONLY, NULL,
				   visit_block, &w),
	     "walking blocks");
}

void survey(struct image *img)
{
	const struct part super = { .kind = SUPER, .at = 1024, .len = 1024 };
	ext2_filsys fs = img->fs;

	add_part(img, &super);
	if (ext2fs_has_feature_journal_dev(fs->super)) {
		add_block(img, JOURNAL, 1024 / fs->blocksize + 1, 0, 0);
		return;
	}
	for (dgrp_t g = 0; g < fs->group_desc_count; g++)
		add_group(img, g);
	for (ext2_ino_t ino = 1; ino <= fs->super->s_inodes_count; ino++)
		if (ext2fs_test_inode_bitmap2(fs->inode_map, ino))
			add_inode(img, ino);
	if (ext2fs_has_feature_mmp(fs->super))
		add_block(img, INTERNAL, fs->super->s_mmp_block, 0, 0);
}
