/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "contents.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sum.h"

enum {
	READ_BLOCKS = 256,
	LINE_ROOM = 640,
};

enum state {
	WRITTEN = 'w',
	UNWRITTEN = 'u',
};

struct summer {
	struct contents *c; /* borrowed */
	ext2_filsys fs;	    /* borrowed from c */
	char *buf;	    /* owned, READ_BLOCKS blocks */
};

/* One inode, and what has been found out about it. */
struct subject {
	struct summer *s; /* borrowed */
	ext2_ino_t ino;
	struct ext2_inode_large *inode; /* borrowed */
	uint64_t data;			/* digest of map and bytes */
	uint64_t xattrs;		/* sum over the digests of all pairs */
	errcode_t err;			/* of a callback */
};

static errcode_t during(const struct subject *sub, const char *what,
			errcode_t err)
{
	if (err) {
		sub->s->c->ino = sub->ino;
		sub->s->c->what = what;
	}
	return err;
}

/* -- contents ----------------------------------------------------------- */

uint64_t contents_block(const void *data, unsigned int bytes)
{
	return sum_bytes(SUM_START, data, bytes);
}

/*
 * The bytes of the journal change with each mount.  The blocks of the bad
 * block inode may not be readable, and their place is what it says.  With
 * clusters and blocks of 1 KiB mke2fs 1.47.0 makes a resize inode that names
 * each block behind the one it means: bitmaps among them.
 */
static bool has_content(const struct subject *sub)
{
	ext2_filsys fs = sub->s->fs;

	return sub->ino != EXT2_BAD_INO &&
	       sub->ino != fs->super->s_journal_inum &&
	       (sub->ino != EXT2_RESIZE_INO ||
		!ext2fs_has_feature_bigalloc(fs->super));
}

static uint64_t block_sum(const struct subject *sub, blk64_t pblk, blk64_t i)
{
	const struct contents *c = sub->s->c;
	unsigned int bytes = sub->s->fs->blocksize;

	return c->block ? c->block(c->ctx, pblk + i) :
			  contents_block(sub->s->buf + i * bytes, bytes);
}

static errcode_t add_run(struct subject *sub, blk64_t lblk, blk64_t pblk,
			 blk64_t len, enum state state)
{
	ext2_filsys fs = sub->s->fs;
	bool has_bytes = state == WRITTEN && has_content(sub);
	errcode_t err = 0;
	blk64_t n, i;

	if (len > ext2fs_blocks_count(fs->super) ||
	    pblk > ext2fs_blocks_count(fs->super) - len)
		return during(sub, "mapping data", EXT2_ET_BAD_BLOCK_NUM);
	for (; len && !err; lblk += n, pblk += n, len -= n) {
		n = len < READ_BLOCKS ? len : READ_BLOCKS;
		if (has_bytes && !sub->s->c->block)
			err = io_channel_read_blk64(fs->io, pblk, (int)n,
						    sub->s->buf);
		for (i = 0; i < n && !err; i++) {
			sub->data = sum_word(sub->data, lblk + i);
			sub->data = sum_word(sub->data, state);
			if (sub->ino == EXT2_BAD_INO)
				sub->data = sum_word(sub->data, pblk + i);
			else if (has_bytes)
				sub->data = sum_word(sub->data,
						     block_sum(sub, pblk, i));
		}
	}
	return during(sub, "reading data", err);
}

static errcode_t add_extents(struct subject *sub)
{
	ext2_extent_handle_t tree;
	struct ext2fs_extent e;
	int next = EXT2_EXTENT_ROOT;
	errcode_t err, bad = 0;

	err = ext2fs_extent_open2(sub->s->fs, sub->ino, EXT2_INODE(sub->inode),
				  &tree);
	if (err)
		return during(sub, "opening the extents", err);
	while (!bad && !(err = ext2fs_extent_get(tree, next, &e))) {
		next = EXT2_EXTENT_NEXT;
		if (!(e.e_flags & EXT2_EXTENT_FLAGS_LEAF) ||
		    (e.e_flags & EXT2_EXTENT_FLAGS_SECOND_VISIT))
			continue;
		bad = add_run(sub, e.e_lblk, e.e_pblk, e.e_len,
			      e.e_flags & EXT2_EXTENT_FLAGS_UNINIT ? UNWRITTEN :
								     WRITTEN);
	}
	ext2fs_extent_free(tree);
	if (bad || err == EXT2_ET_EXTENT_NO_NEXT ||
	    err == EXT2_ET_NO_CURRENT_NODE)
		return bad;
	return during(sub, "walking the extents", err);
}

static int add_block(ext2_filsys fs, blk64_t *pblk, e2_blkcnt_t lblk,
		     blk64_t ref_blk, int ref_offset, void *priv)
{
	struct subject *sub = priv;

	(void)fs;
	(void)ref_blk;
	(void)ref_offset;
	sub->err = add_run(sub, (blk64_t)lblk, *pblk, 1, WRITTEN);
	return sub->err ? BLOCK_ABORT : 0;
}

static errcode_t add_contents(struct subject *sub)
{
	struct ext2_inode *inode = EXT2_INODE(sub->inode);
	errcode_t err;

	if (!ext2fs_inode_has_valid_blocks2(sub->s->fs, inode) ||
	    (inode->i_flags & EXT4_INLINE_DATA_FL)) {
		sub->data = sum_bytes(sub->data, inode->i_block,
				      sizeof(inode->i_block));
		return 0;
	}
	if (inode->i_flags & EXT4_EXTENTS_FL)
		return add_extents(sub);
	err = ext2fs_block_iterate3(sub->s->fs, sub->ino,
				    BLOCK_FLAG_DATA_ONLY | BLOCK_FLAG_READ_ONLY,
				    NULL, add_block, sub);
	return sub->err ? sub->err : during(sub, "walking the blocks", err);
}

/* -- extended attributes ------------------------------------------------ */

/* Adding up makes the order irrelevant: it carries no meaning. */
static int add_xattr(char *name, char *value, size_t len, void *priv)
{
	struct subject *sub = priv;
	uint64_t sum = sum_bytes(SUM_START, name, strlen(name));

	sub->xattrs += sum_bytes(sum, value, len);
	return 0;
}

static errcode_t add_xattrs(struct subject *sub)
{
	struct ext2_xattr_handle *xattrs;
	unsigned int raw = XATTR_HANDLE_FLAG_RAW;
	errcode_t err;

	err = ext2fs_xattrs_open(sub->s->fs, sub->ino, &xattrs);
	if (err)
		return during(sub, "opening xattrs", err);
	err = ext2fs_xattrs_flags(xattrs, &raw, NULL);
	if (!err)
		err = ext2fs_xattrs_read_inode(xattrs, sub->inode);
	if (!err)
		err = ext2fs_xattrs_iterate(xattrs, add_xattr, sub);
	ext2fs_xattrs_close(&xattrs);
	return during(sub, "reading xattrs", err);
}

/* -- lines -------------------------------------------------------------- */

static void emit(struct summer *s, const char *line)
{
	s->c->sum = sum_bytes(s->c->sum, line, strlen(line));
	if (s->c->line)
		s->c->line(s->c->ctx, line);
}

static void append(char *line, size_t *len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The longest line there can be has room. */
static void append(char *line, size_t *len, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line + *len, LINE_ROOM - *len, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= LINE_ROOM - *len)
		abort();
	*len += (size_t)n;
}

static void append_upper_half(char *line, size_t *len,
			      const struct ext2_inode_large *in)
{
	append(line, len,
	       " extra=%u cx=%x mx=%x ax=%x cr=%u crx=%x vhi=%u "
	       "proj=%u",
	       in->i_extra_isize, in->i_ctime_extra, in->i_mtime_extra,
	       in->i_atime_extra, in->i_crtime, in->i_crtime_extra,
	       in->i_version_hi, in->i_projid);
}

static errcode_t sum_inode(struct summer *s, ext2_ino_t ino,
			   struct ext2_inode_large *in)
{
	struct subject sub = { s, ino, in, SUM_START, 0, 0 };
	errcode_t err = add_contents(&sub);
	char line[LINE_ROOM];
	size_t len = 0;

	if (!err)
		err = add_xattrs(&sub);
	if (err && !s->c->is_tolerant)
		return err;
	if (err) {
		append(line, &len, "%u cannot be read", ino);
		emit(s, line);
		return 0;
	}
	append(line, &len,
	       "%u mode=%o links=%u uid=%u gid=%u size=%llu "
	       "atime=%u ctime=%u mtime=%u dtime=%u flags=%x gen=%u ver=%u",
	       ino, in->i_mode, in->i_links_count, inode_uid(*in),
	       inode_gid(*in), (unsigned long long)EXT2_I_SIZE(in), in->i_atime,
	       in->i_ctime, in->i_mtime, in->i_dtime,
	       in->i_flags & ~s->c->ignored_flags, in->i_generation,
	       in->osd1.linux1.l_i_version);
	if (EXT2_INODE_SIZE(s->fs->super) > EXT2_GOOD_OLD_INODE_SIZE)
		append_upper_half(line, &len, in);
	append(line, &len, " acl=%d xattrs=%016llx data=%016llx",
	       ext2fs_file_acl_block(s->fs, EXT2_INODE(in)) != 0,
	       (unsigned long long)sub.xattrs, (unsigned long long)sub.data);
	emit(s, line);
	return 0;
}

/* Marked in the bitmap, or alive after all. */
static bool is_in_use(struct summer *s, ext2_ino_t ino,
		      const struct ext2_inode_large *inode)
{
	return inode->i_links_count ||
	       ext2fs_test_inode_bitmap2(s->fs->inode_map, ino);
}

static bool is_quota(const struct summer *s, ext2_ino_t ino)
{
	struct ext2_super_block *sb = s->fs->super;

	return ext2fs_has_feature_quota(sb) &&
	       (ino == sb->s_usr_quota_inum || ino == sb->s_grp_quota_inum ||
		ino == sb->s_prj_quota_inum);
}

static errcode_t sum_all_inodes(struct summer *s,
				struct ext2_inode_large *inode, size_t size)
{
	struct subject whole = { .s = s };
	ext2_inode_scan scan;
	errcode_t err;

	err = ext2fs_open_inode_scan(s->fs, READ_BLOCKS, &scan);
	if (err)
		return during(&whole, "opening the scan", err);
	do {
		err = ext2fs_get_next_inode_full(scan, &whole.ino,
						 EXT2_INODE(inode), (int)size);
		if (err && whole.ino && s->c->is_tolerant)
			err = 0;
		else if (err)
			during(&whole, "reading it", err);
		else if (whole.ino && is_in_use(s, whole.ino, inode) &&
			 !is_quota(s, whole.ino))
			err = sum_inode(s, whole.ino, inode);
	} while (!err && whole.ino);
	ext2fs_close_inode_scan(scan);
	return err;
}

errcode_t contents_sum(struct contents *c)
{
	struct summer s = { .c = c, .fs = c->fs };
	size_t size = EXT2_INODE_SIZE(c->fs->super);
	struct ext2_inode_large *inode;
	errcode_t err = ENOMEM;

	if (size < sizeof(*inode))
		size = sizeof(*inode);
	inode = calloc(1, size);
	s.buf = calloc(READ_BLOCKS, c->fs->blocksize);
	c->sum = SUM_START;
	c->ino = 0;
	c->what = "starting";
	if (inode && s.buf)
		err = sum_all_inodes(&s, inode, size);
	free(inode);
	free(s.buf);
	return err;
}
