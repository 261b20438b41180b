/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imgsum - what an ext2/3/4 image holds, without where it lies
 *
 * One line for each inode in use, in inode order: all of its metadata but the
 * place of its blocks, and a digest of its contents.  Contents are the mapped
 * blocks, behind the end of file too: logical number, written or unwritten,
 * and the bytes if written.  Physical block numbers, i_blocks and the number
 * of extents are left out, so a defragmenter must not change anything here.
 * "raw" is a digest of the inode's bytes, and of those of its xattr block, as
 * they are: of fields too that no one knows.  Only what must change with the
 * place of blocks counts as zeros there.  The files of the feature quota, which
 * hold sums over i_blocks, are left out.  The last line is a digest of all
 * lines.
 *
 * With -l the lines tell the layout instead: for each inode with blocks its
 * number, how they are mapped ("extents" or "blocks"), the depth of the tree,
 * the number of runs and of blocks of data, the lowest and the highest of
 * these.  A run goes on where the next block of the file is the next one on the
 * device, over a hole too.
 *
 * With -s there is one line only, a digest of the superblock without what says
 * how much is free and when that was written.
 *
 * The image is only read; a journal that waits for recovery is ignored.
 * Shares no code with the defragmenter, as it is to be its judge.
 *
 * cc -o imgsum imgsum.c -lext2fs -lcom_err
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ext2fs/ext2fs.h>

#include "sum.h"
#include "tool.h"

enum {
	READ_BLOCKS = 256,
	LINE_ROOM = 640,
};

enum state {
	WRITTEN = 'w',
	UNWRITTEN = 'u',
};

struct summer {
	ext2_filsys fs; /* owned */
	char *buf;	/* owned, READ_BLOCKS blocks */
	bool print;
	bool layout;
	uint64_t lines; /* digest of all lines so far */
};

/* One inode, and what has been found out about it. */
struct subject {
	struct summer *s; /* borrowed */
	ext2_ino_t ino;
	struct ext2_inode_large *inode; /* borrowed */
	uint64_t data;			/* digest of map and bytes */
	uint64_t xattrs;		/* sum over the digests of all pairs */
	uint64_t runs;			/* of data */
	uint64_t blocks;		/* of data */
	blk64_t next;			/* the end of the last run */
	blk64_t low;			/* of all blocks of data */
	blk64_t high;
	int depth; /* of the tree */
};

static void must(errcode_t err, const char *what, ext2_ino_t ino)
{
	if (err)
		die("inode %u: %s: %s", ino, what, error_message(err));
}

/* -- contents ----------------------------------------------------------- */

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

/* The next block; where clusters are allocated, one in the same or the next. */
static bool is_next(ext2_filsys fs, blk64_t last, blk64_t pblk)
{
	blk64_t from = EXT2FS_B2C(fs, last), to = EXT2FS_B2C(fs, pblk);

	if (EXT2FS_CLUSTER_RATIO(fs) == 1)
		return pblk == last + 1;
	return to == from || to == from + 1;
}

static void add_run(struct subject *sub, blk64_t lblk, blk64_t pblk,
		    blk64_t len, enum state state)
{
	ext2_filsys fs = sub->s->fs;
	blk64_t n, i;

	sub->runs += !sub->blocks || !is_next(fs, sub->next - 1, pblk);
	sub->blocks += len;
	sub->next = pblk + len;
	if (pblk < sub->low)
		sub->low = pblk;
	if (pblk + len - 1 > sub->high)
		sub->high = pblk + len - 1;
	for (; len && !sub->s->layout; lblk += n, pblk += n, len -= n) {
		n = len < READ_BLOCKS ? len : READ_BLOCKS;
		if (state == WRITTEN && has_content(sub))
			must(io_channel_read_blk64(fs->io, pblk, (int)n,
						   sub->s->buf),
			     "reading data", sub->ino);
		for (i = 0; i < n; i++) {
			sub->data = sum_word(sub->data, lblk + i);
			sub->data = sum_word(sub->data, state);
			if (sub->ino == EXT2_BAD_INO)
				sub->data = sum_word(sub->data, pblk + i);
			else if (state == WRITTEN && has_content(sub))
				sub->data = sum_bytes(sub->data,
						      sub->s->buf +
							      i * fs->blocksize,
						      fs->blocksize);
		}
	}
}

static void add_extents(struct subject *sub)
{
	ext2_extent_handle_t tree;
	struct ext2_extent_info info;
	struct ext2fs_extent e;
	int next = EXT2_EXTENT_ROOT;
	errcode_t err;

	must(ext2fs_extent_open2(sub->s->fs, sub->ino, EXT2_INODE(sub->inode),
				 &tree),
	     "opening the extents", sub->ino);
	must(ext2fs_extent_get_info(tree, &info), "opening the extents",
	     sub->ino);
	sub->depth = info.max_depth;
	while (!(err = ext2fs_extent_get(tree, next, &e))) {
		next = EXT2_EXTENT_NEXT;
		if (!(e.e_flags & EXT2_EXTENT_FLAGS_LEAF) ||
		    (e.e_flags & EXT2_EXTENT_FLAGS_SECOND_VISIT))
			continue;
		add_run(sub, e.e_lblk, e.e_pblk, e.e_len,
			e.e_flags & EXT2_EXTENT_FLAGS_UNINIT ? UNWRITTEN :
							       WRITTEN);
	}
	if (err != EXT2_ET_EXTENT_NO_NEXT && err != EXT2_ET_NO_CURRENT_NODE)
		must(err, "walking the extents", sub->ino);
	ext2fs_extent_free(tree);
}

static int add_block(ext2_filsys fs, blk64_t *pblk, e2_blkcnt_t lblk,
		     blk64_t ref_blk, int ref_offset, void *priv)
{
	(void)fs;
	(void)ref_blk;
	(void)ref_offset;
	add_run(priv, (blk64_t)lblk, *pblk, 1, WRITTEN);
	return 0;
}

/* How many levels of indirect blocks there are. */
static int map_depth(const struct ext2_inode *inode)
{
	int depth = EXT2_N_BLOCKS - EXT2_IND_BLOCK;

	while (depth && !inode->i_block[EXT2_IND_BLOCK + depth - 1])
		depth--;
	return depth;
}

static void add_contents(struct subject *sub)
{
	struct ext2_inode *inode = EXT2_INODE(sub->inode);

	sub->depth = map_depth(inode);
	if (!ext2fs_inode_has_valid_blocks2(sub->s->fs, inode) ||
	    (inode->i_flags & EXT4_INLINE_DATA_FL))
		sub->data = sum_bytes(sub->data, inode->i_block,
				      sizeof(inode->i_block));
	else if (inode->i_flags & EXT4_EXTENTS_FL)
		add_extents(sub);
	else
		must(ext2fs_block_iterate3(sub->s->fs, sub->ino,
					   BLOCK_FLAG_DATA_ONLY |
						   BLOCK_FLAG_READ_ONLY,
					   NULL, add_block, sub),
		     "walking the blocks", sub->ino);
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

static void add_xattrs(struct subject *sub)
{
	struct ext2_xattr_handle *xattrs;
	unsigned int raw = XATTR_HANDLE_FLAG_RAW;

	must(ext2fs_xattrs_open(sub->s->fs, sub->ino, &xattrs),
	     "opening xattrs", sub->ino);
	must(ext2fs_xattrs_flags(xattrs, &raw, NULL), "opening xattrs",
	     sub->ino);
	must(ext2fs_xattrs_read_inode(xattrs, sub->inode), "reading xattrs",
	     sub->ino);
	must(ext2fs_xattrs_iterate(xattrs, add_xattr, sub), "reading xattrs",
	     sub->ino);
	must(ext2fs_xattrs_close(&xattrs), "closing xattrs", sub->ino);
}

/* -- bytes as they are -------------------------------------------------- */

/* Flags have a field of their own: a conversion of block maps changes them. */
static uint64_t raw_inode(const struct subject *sub)
{
	ext2_filsys fs = sub->s->fs;
	size_t size = EXT2_INODE_SIZE(fs->super);
	struct ext2_inode_large *raw = must_alloc(malloc(size));
	uint64_t sum;

	memcpy(raw, sub->inode, size);
	raw->i_flags = raw->i_blocks = 0;
	raw->i_file_acl = 0;
	raw->osd2.linux2.l_i_blocks_hi = 0;
	raw->osd2.linux2.l_i_file_acl_high = 0;
	raw->osd2.linux2.l_i_checksum_lo = 0;
	memset(raw->i_block, 0, sizeof(raw->i_block)); /* in "data" */
	if (size > EXT2_GOOD_OLD_INODE_SIZE &&
	    ext2fs_has_feature_metadata_csum(fs->super))
		raw->i_checksum_hi = 0;
	sum = sum_bytes(SUM_START, raw, size);
	free(raw);
	return sum;
}

/* Its checksum has the block's number in it. */
static uint64_t raw_xattr_block(const struct subject *sub)
{
	ext2_filsys fs = sub->s->fs;
	struct ext2_ext_attr_header *head = (void *)sub->s->buf;
	blk64_t blk = ext2fs_file_acl_block(fs, EXT2_INODE(sub->inode));

	if (!blk)
		return 0;
	must(io_channel_read_blk64(fs->io, blk, 1, head),
	     "reading the xattr block", sub->ino);
	head->h_checksum = 0;
	return sum_bytes(SUM_START, head, fs->blocksize);
}

/* Free blocks, the time of writing, and 4 bytes behind the mount path. */
static uint64_t raw_super(ext2_filsys fs)
{
	struct ext2_super_block super = *fs->super;

	super.s_free_blocks_count = super.s_free_blocks_hi = 0;
	super.s_wtime = 0;
	super.s_wtime_hi = 0;
	super.s_checksum = 0;
	if (!memchr(super.s_last_mounted, 0, sizeof(super.s_last_mounted) - 4))
		return sum_bytes(SUM_START, &super, sizeof(super));
	memset(super.s_last_mounted + sizeof(super.s_last_mounted) - 4, 0, 4);
	return sum_bytes(SUM_START, &super, sizeof(super));
}

/* -- lines -------------------------------------------------------------- */

static void emit(struct summer *s, const char *line)
{
	s->lines = sum_bytes(s->lines, line, strlen(line));
	if (s->print)
		puts(line);
}

static void append(char *line, size_t *len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void append(char *line, size_t *len, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line + *len, LINE_ROOM - *len, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= LINE_ROOM - *len)
		die("line too long");
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

/* The file system's own, which a layout is not about. */
static bool is_internal(struct ext2_super_block *super, ext2_ino_t ino)
{
	return (ino < EXT2_FIRST_INODE(super) && ino != EXT2_ROOT_INO) ||
	       ino == super->s_journal_inum || ino == super->s_usr_quota_inum ||
	       ino == super->s_grp_quota_inum ||
	       ino == super->s_prj_quota_inum ||
	       (ext2fs_has_feature_orphan_file(super) &&
		ino == super->s_orphan_file_inum);
}

static void sum_inode(struct summer *s, ext2_ino_t ino,
		      struct ext2_inode_large *in)
{
	struct subject sub = {
		.s = s,
		.ino = ino,
		.inode = in,
		.data = SUM_START,
		.low = UINT64_MAX,
	};
	char line[LINE_ROOM];
	size_t len = 0;

	add_contents(&sub);
	if (s->layout) {
		append(line, &len, "%u %s %d %llu %llu %llu %llu", ino,
		       in->i_flags & EXT4_EXTENTS_FL ? "extents" : "blocks",
		       sub.depth, (unsigned long long)sub.runs,
		       (unsigned long long)sub.blocks,
		       (unsigned long long)sub.low,
		       (unsigned long long)sub.high);
		if (sub.blocks && !is_internal(s->fs->super, ino))
			emit(s, line);
		return;
	}
	add_xattrs(&sub);
	append(line, &len,
	       "%u mode=%o links=%u uid=%u gid=%u size=%llu "
	       "atime=%u ctime=%u mtime=%u dtime=%u flags=%x gen=%u ver=%u",
	       ino, in->i_mode, in->i_links_count, inode_uid(*in),
	       inode_gid(*in), (unsigned long long)EXT2_I_SIZE(in), in->i_atime,
	       in->i_ctime, in->i_mtime, in->i_dtime, in->i_flags,
	       in->i_generation, in->osd1.linux1.l_i_version);
	if (EXT2_INODE_SIZE(s->fs->super) > EXT2_GOOD_OLD_INODE_SIZE)
		append_upper_half(line, &len, in);
	append(line, &len,
	       " acl=%d raw=%016llx,%016llx xattrs=%016llx "
	       "data=%016llx",
	       ext2fs_file_acl_block(s->fs, EXT2_INODE(in)) != 0,
	       (unsigned long long)raw_inode(&sub),
	       (unsigned long long)raw_xattr_block(&sub),
	       (unsigned long long)sub.xattrs, (unsigned long long)sub.data);
	emit(s, line);
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

static void sum_all_inodes(struct summer *s)
{
	size_t size = EXT2_INODE_SIZE(s->fs->super);
	struct ext2_inode_large *inode;
	ext2_inode_scan scan;
	ext2_ino_t ino;

	if (size < sizeof(*inode))
		size = sizeof(*inode);
	inode = must_alloc(calloc(1, size));
	must(ext2fs_open_inode_scan(s->fs, READ_BLOCKS, &scan),
	     "opening the scan", 0);
	for (;;) {
		must(ext2fs_get_next_inode_full(scan, &ino, EXT2_INODE(inode),
						(int)size),
		     "reading the inode behind", ino);
		if (!ino)
			break;
		if (is_in_use(s, ino, inode) && !is_quota(s, ino))
			sum_inode(s, ino, inode);
	}
	ext2fs_close_inode_scan(scan);
	free(inode);
}

static void open_image(struct summer *s, const char *name)
{
	errcode_t err = ext2fs_open(name, EXT2_FLAG_64BITS, 0, 0,
				    unix_io_manager, &s->fs);

	if (err)
		die("%s: %s", name, error_message(err));
	err = ext2fs_read_inode_bitmap(s->fs);
	if (err)
		die("%s: %s", name, error_message(err));
	s->buf = must_alloc(calloc(READ_BLOCKS, s->fs->blocksize));
}

int main(int argc, char **argv)
{
	struct summer s = { .lines = SUM_START };
	bool super = false;
	int opt;

	initialize_ext2_error_table();
	while ((opt = getopt(argc, argv, "dls")) != -1) {
		if (opt == 'd')
			s.print = true;
		else if (opt == 'l')
			s.print = s.layout = true;
		else if (opt == 's')
			super = true;
		else
			return EXIT_FAILURE;
	}
	if (optind != argc - 1)
		die("usage: imgsum [-d | -l | -s] IMAGE[?offset=BYTES]");
	open_image(&s, argv[optind]);
	if (super)
		s.lines = raw_super(s.fs);
	else
		sum_all_inodes(&s);
	printf("%016llx\n", (unsigned long long)s.lines);
	ext2fs_close_free(&s.fs);
	free(s.buf);
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
