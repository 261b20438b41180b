/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survey.h"

#include <stdlib.h>
#include <string.h>
#include <ext2fs/ext2fs.h>
#include <ext2fs/ext3_extents.h>

#include "../tools/must.h"

static ext2_filsys open_image(const char *image)
{
	ext2_filsys fs;

	must(ext2fs_open(image, EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES,
			 0, 0, unix_io_manager, &fs),
	     image);
	must(ext2fs_read_bitmaps(fs), image);
	return fs;
}

/* Files that move: an inode in use of that kind, with blocks of its own. */
static int is_file(ext2_filsys fs, ext2_ino_t ino, struct ext2_inode *inode)
{
	if (ino < EXT2_FIRST_INO(fs->super) && ino != EXT2_ROOT_INO)
		return 0;
	return inode->i_links_count &&
	       (LINUX_S_ISREG(inode->i_mode) || LINUX_S_ISDIR(inode->i_mode)) &&
	       ext2fs_inode_has_valid_blocks2(fs, inode);
}

struct walk {
	ext2_filsys fs;	      /* (owned) */
	ext2_inode_scan scan; /* (owned) */
	ext2_ino_t ino;
	struct ext2_inode inode;
};

static void walk_begin(struct walk *w, const char *image)
{
	w->fs = open_image(image);
	must(ext2fs_open_inode_scan(w->fs, 0, &w->scan), image);
}

/* The next file; 0 behind the last one. */
static int walk_next(struct walk *w)
{
	do
		must(ext2fs_get_next_inode(w->scan, &w->ino, &w->inode),
		     "scan");
	while (w->ino && !is_file(w->fs, w->ino, &w->inode));
	return w->ino != 0;
}

static void walk_end(struct walk *w)
{
	ext2fs_close_inode_scan(w->scan);
	ext2fs_free(w->fs);
}

static int mark(ext2_filsys fs, blk64_t *blk, e2_blkcnt_t lblk, blk64_t ref_blk,
		int ref_offset, void *data)
{
	(void)fs;
	(void)lblk;
	(void)ref_blk;
	(void)ref_offset;
	((unsigned char *)data)[*blk] = 1;
	return 0;
}

uint64_t survey_reused(const char *image, const struct record *r)
{
	struct walk w;
	unsigned char *is_used;
	uint64_t reused = 0;

	walk_begin(&w, image);
	is_used = must_alloc(calloc(ext2fs_blocks_count(w.fs->super), 1));
	while (walk_next(&w))
		must(ext2fs_block_iterate3(w.fs, w.ino, BLOCK_FLAG_READ_ONLY,
					   NULL, mark, is_used),
		     image);
	for (size_t i = 0; i < r->count; i++)
		for (size_t k = 0; k < r->v[i].count; k++) {
			const struct record_write *at = &r->v[i].v[k];
			size_t bs = w.fs->blocksize;

			for (size_t b = at->offset / bs;
			     b * bs < at->offset + at->bytes; b++) {
				reused += is_used[b];
				is_used[b] = 0;
			}
		}
	free(is_used);
	walk_end(&w);
	return reused;
}

void survey_depths(const char *image, uint64_t count[SURVEY_DEPTHS])
{
	struct walk w;

	memset(count, 0, SURVEY_DEPTHS * sizeof(*count));
	walk_begin(&w, image);
	while (walk_next(&w)) {
		struct ext3_extent_header head;

		if (!(w.inode.i_flags & EXT4_EXTENTS_FL))
			continue;
		memcpy(&head, w.inode.i_block, sizeof(head));
		if (head.eh_depth < SURVEY_DEPTHS)
			count[head.eh_depth]++;
	}
	walk_end(&w);
}

uint64_t survey_indirect(const char *image)
{
	struct walk w;
	uint64_t count = 0;

	walk_begin(&w, image);
	while (walk_next(&w))
		count += !(w.inode.i_flags &
			   (EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL));
	walk_end(&w);
	return count;
}
