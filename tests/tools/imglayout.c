/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imglayout - where the files of an ext2/3/4 image lie
 *
 * For each inode that has blocks of data, but for the file system's own, its
 * number, how they are mapped ("extents" or "blocks"), the depth of the tree,
 * the number of runs and of blocks of data, the lowest and the highest of
 * these.  A run goes on where the next block of the file is the next one on the
 * device, over a hole too.
 *
 * With -r for each inode in use its number and two digests: of its bytes, and
 * of those of its xattr block, as they are, of fields too that no one knows.
 * Only what must change with the place of blocks counts as zeros there.
 *
 * With -b the number of each block of data, a line each.
 *
 * With -f the size of a block, and then for each file of more than one run the
 * first block and the length of all extents, in any order.
 *
 * With -s a digest of the superblock without what says how much is free and
 * when that was written.
 *
 * Shares no code with the defragmenter, as it is to be its judge.
 *
 * cc -o imglayout imglayout.c -lext2fs -lcom_err
 */
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
};

/* One inode, and what has been found out about it. */
struct subject {
	ext2_filsys fs; /* borrowed */
	ext2_ino_t ino;
	struct ext2_inode_large *inode; /* borrowed */
	char *buf;			/* borrowed, a block */
	uint64_t runs;			/* of data */
	uint64_t blocks;		/* of data */
	blk64_t next;			/* the end of the last run */
	blk64_t low;			/* of all blocks of data */
	blk64_t high;
	bool is_listed; /* each block is printed */
	bool has_lines; /* each extent is printed */
	int depth;	/* of the tree */
};

static void must(errcode_t err, const char *what, ext2_ino_t ino)
{
	if (err)
		die("inode %u: %s: %s", ino, what, error_message(err));
}

/* -- where it lies ------------------------------------------------------ */

/* The next block; where clusters are allocated, one in the same or the next. */
static bool is_next(ext2_filsys fs, blk64_t last, blk64_t pblk)
{
	blk64_t from = EXT2FS_B2C(fs, last), to = EXT2FS_B2C(fs, pblk);

	if (EXT2FS_CLUSTER_RATIO(fs) == 1)
		return pblk == last + 1;
	return to == from || to == from + 1;
}

static void add_run(struct subject *sub, blk64_t pblk, blk64_t len)
{
	sub->runs += !sub->blocks || !is_next(sub->fs, sub->next - 1, pblk);
	sub->blocks += len;
	for (blk64_t i = 0; sub->is_listed && i < len; i++)
		printf("%llu\n", (unsigned long long)(pblk + i));
	if (sub->has_lines)
		printf("%llu %llu\n", (unsigned long long)pblk,
		       (unsigned long long)len);
	sub->next = pblk + len;
	if (pblk < sub->low)
		sub->low = pblk;
	if (pblk + len - 1 > sub->high)
		sub->high = pblk + len - 1;
}

static void add_extents(struct subject *sub)
{
	ext2_extent_handle_t tree;
	struct ext2_extent_info info;
	struct ext2fs_extent e;
	int next = EXT2_EXTENT_ROOT;
	errcode_t err;

	must(ext2fs_extent_open2(sub->fs, sub->ino, EXT2_INODE(sub->inode),
				 &tree),
	     "opening the extents", sub->ino);
	must(ext2fs_extent_get_info(tree, &info), "opening the extents",
	     sub->ino);
	sub->depth = info.max_depth;
	while (!(err = ext2fs_extent_get(tree, next, &e))) {
		next = EXT2_EXTENT_NEXT;
		if ((e.e_flags & EXT2_EXTENT_FLAGS_LEAF) &&
		    !(e.e_flags & EXT2_EXTENT_FLAGS_SECOND_VISIT))
			add_run(sub, e.e_pblk, e.e_len);
	}
	if (err != EXT2_ET_EXTENT_NO_NEXT && err != EXT2_ET_NO_CURRENT_NODE)
		must(err, "walking the extents", sub->ino);
	ext2fs_extent_free(tree);
}

static int add_block(ext2_filsys fs, blk64_t *pblk, e2_blkcnt_t lblk,
		     blk64_t ref_blk, int ref_offset, void *priv)
{
	(void)fs;
	(void)lblk;
	(void)ref_blk;
	(void)ref_offset;
	add_run(priv, *pblk, 1);
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

static void add_all(struct subject *sub)
{
	struct ext2_inode *inode = EXT2_INODE(sub->inode);

	if (!ext2fs_inode_has_valid_blocks2(sub->fs, inode) ||
	    (inode->i_flags & EXT4_INLINE_DATA_FL))
		return;
	if (inode->i_flags & EXT4_EXTENTS_FL) {
		add_extents(sub);
		return;
	}
	sub->depth = map_depth(inode);
	must(ext2fs_block_iterate3(sub->fs, sub->ino,
				   BLOCK_FLAG_DATA_ONLY | BLOCK_FLAG_READ_ONLY,
				   NULL, add_block, sub),
	     "walking the blocks", sub->ino);
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

static void show_layout(struct subject *sub)
{
	if (is_internal(sub->fs->super, sub->ino))
		return;
	add_all(sub);
	if (sub->blocks)
		printf("%u %s %d %llu %llu %llu %llu\n", sub->ino,
		       sub->inode->i_flags & EXT4_EXTENTS_FL ? "extents" :
							       "blocks",
		       sub->depth, (unsigned long long)sub->runs,
		       (unsigned long long)sub->blocks,
		       (unsigned long long)sub->low,
		       (unsigned long long)sub->high);
}

/* -- bytes as they are -------------------------------------------------- */

/* But flags, which a conversion of block maps changes. */
static uint64_t raw_inode(const struct subject *sub)
{
	ext2_filsys fs = sub->fs;
	size_t size = EXT2_INODE_SIZE(fs->super);
	struct ext2_inode_large *raw = must_alloc(malloc(size));
	uint64_t sum;

	memcpy(raw, sub->inode, size);
	raw->i_flags = raw->i_blocks = 0;
	raw->i_file_acl = 0;
	raw->osd2.linux2.l_i_blocks_hi = 0;
	raw->osd2.linux2.l_i_file_acl_high = 0;
	raw->osd2.linux2.l_i_checksum_lo = 0;
	memset(raw->i_block, 0, sizeof(raw->i_block)); /* that is contents */
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
	ext2_filsys fs = sub->fs;
	struct ext2_ext_attr_header *head = (void *)sub->buf;
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

static bool is_quota(ext2_filsys fs, ext2_ino_t ino)
{
	return ino == fs->super->s_usr_quota_inum ||
	       ino == fs->super->s_grp_quota_inum ||
	       ino == fs->super->s_prj_quota_inum;
}

static void show_blocks(struct subject *sub)
{
	sub->is_listed = true;
	if (!is_internal(sub->fs->super, sub->ino))
		add_all(sub);
}

static void show_fragmented(struct subject *sub)
{
	if (is_internal(sub->fs->super, sub->ino))
		return;
	add_all(sub);
	sub->has_lines = sub->runs > 1;
	if (sub->has_lines)
		add_all(sub);
}

static void show_raw(struct subject *sub)
{
	if (!is_quota(sub->fs, sub->ino)) /* they follow i_blocks */
		printf("%u raw=%016llx,%016llx\n", sub->ino,
		       (unsigned long long)raw_inode(sub),
		       (unsigned long long)raw_xattr_block(sub));
}

/* -- the frame ---------------------------------------------------------- */

static void show_all(ext2_filsys fs, void (*show)(struct subject *sub))
{
	size_t size = EXT2_INODE_SIZE(fs->super);
	struct subject sub;
	struct ext2_inode_large *inode;
	ext2_inode_scan scan;
	ext2_ino_t ino = 0;
	char *buf = must_alloc(malloc(fs->blocksize));

	if (size < sizeof(*inode))
		size = sizeof(*inode);
	inode = must_alloc(calloc(1, size));
	must(ext2fs_open_inode_scan(fs, READ_BLOCKS, &scan), "opening the scan",
	     0);
	for (;;) {
		must(ext2fs_get_next_inode_full(scan, &ino, EXT2_INODE(inode),
						(int)size),
		     "reading the inode behind", ino);
		if (!ino)
			break;
		if (!inode->i_links_count &&
		    !ext2fs_test_inode_bitmap2(fs->inode_map, ino))
			continue;
		sub = (struct subject){
			.fs = fs,
			.ino = ino,
			.inode = inode,
			.buf = buf,
			.low = UINT64_MAX,
		};
		show(&sub);
	}
	ext2fs_close_inode_scan(scan);
	free(inode);
	free(buf);
}

int main(int argc, char **argv)
{
	int opt, mode = 0;
	ext2_filsys fs;

	initialize_ext2_error_table();
	while ((opt = getopt(argc, argv, "bfrs")) != -1) {
		if (opt == '?')
			return EXIT_FAILURE;
		mode = opt;
	}
	if (optind != argc - 1)
		die("usage: imglayout [-b | -f | -r | -s] IMAGE");
	must(ext2fs_open(argv[optind], EXT2_FLAG_64BITS, 0, 0, unix_io_manager,
			 &fs),
	     argv[optind], 0);
	must(ext2fs_read_inode_bitmap(fs), argv[optind], 0);
	if (mode == 'f')
		printf("%u\n", fs->blocksize);
	if (mode == 's')
		printf("%016llx\n", (unsigned long long)raw_super(fs));
	else
		show_all(fs, mode == 'r' ? show_raw :
			     mode == 'b' ? show_blocks :
			     mode == 'f' ? show_fragmented :
					   show_layout);
	ext2fs_close_free(&fs);
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
