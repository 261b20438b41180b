/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fragment - fill a fresh ext2/3/4 image so that it is badly fragmented
 *
 * Needs no root and no mount: everything goes through libext2fs.  All blocks
 * (data, extent tree, directory, xattr) come from a shuffled deck of small
 * pieces of free space (deck.h), so that what stays free ends up as scattered
 * as the files.  All else is drawn from the seed as well: the same seed on the
 * same fresh image gives the same bytes.
 *
 * The result is clean for e2fsck -fn.  With -x it may remark that one extent
 * tree "could be narrower": that tree was made so on purpose.
 *
 * cc -o fragment fragment.c -lext2fs -lcom_err
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ext2fs/ext2fs.h>

#include "deck.h"
#include "prng.h"
#include "tool.h"

enum {
	FANOUT = 3,  /* directories in each directory, 3 levels */
	LINKS = 400, /* names in the wide directory */
	NAME_ROOM = 256,
	WRITE_BLOCKS = 64,
	MANY_EXTENTS = 20480,  /* of one file: two levels even with 4k */
	HOLLOW_EXTENTS = 1500, /* inserted ... */
	HOLLOW_KEEP = 40,      /* ... of which one in 40 stays */
	EPOCH = 1600000000,
};

struct run {
	blk64_t lblk;
	blk64_t pblk;
	blk64_t len; /* blocks */
	bool unwritten;
};

/* A file under construction: runs in logical order. */
struct file {
	uint64_t key;	 /* what its bytes derive from */
	uint64_t size;	 /* bytes */
	blk64_t blocks;	 /* of data, allocated */
	struct run *run; /* owned */
	size_t count;
	size_t room;
	bool swap;   /* looks like a swap area */
	bool hollow; /* the tree is left nearly empty */
};

struct fragmenter {
	/* Immutable after the start */
	ext2_filsys fs; /* owned */
	uint64_t seed;
	uint64_t files;
	uint64_t max_bytes;
	uint64_t mean_run; /* blocks */
	unsigned int percent;
	bool exotic;

	/* Mutable */
	struct prng rng;
	struct deck deck;
	ext2_ino_t dir[FANOUT + FANOUT * FANOUT + FANOUT * FANOUT * FANOUT];
	size_t dirs;
	uint64_t names; /* handed out so far */
	uint64_t *buf;	/* owned, WRITE_BLOCKS blocks */
};

static void must(errcode_t err, const char *what)
{
	if (err)
		die("%s: %s", what, error_message(err));
}

/* -- names and inodes --------------------------------------------------- */

/* Called by libext2fs for a block, which it then marks in use itself. */
static errcode_t alloc_block(ext2_filsys fs, blk64_t goal, blk64_t *ret)
{
	struct fragmenter *f = fs->priv_data;

	(void)goal;
	if (!f->deck.count)
		return EXT2_ET_BLOCK_ALLOC_FAIL;
	*ret = deck_take(&f->deck, 1).pblk;
	return 0;
}

/* A new name: a prefix, a number, and a tail of random length. */
static void make_name(struct fragmenter *f, const char *prefix, uint64_t mean,
		      char name[NAME_ROOM])
{
	uint64_t tail = prng_exponential(&f->rng, mean);
	int n = snprintf(name, NAME_ROOM, "%s%06llu", prefix,
			 (unsigned long long)f->names++);

	for (; tail && n < NAME_ROOM - 1; tail--)
		name[n++] = (char)('a' + prng_below(&f->rng, 26));
	name[n] = '\0';
}

static void set_clock(struct fragmenter *f)
{
	f->fs->now = (time_t)(EPOCH + prng_below(&f->rng, 100000000));
}

static void link_name(struct fragmenter *f, ext2_ino_t dir, ext2_ino_t ino,
		      const char *name, int type)
{
	errcode_t err = ext2fs_link(f->fs, dir, name, ino, type);

	if (err == EXT2_ET_DIR_NO_SPACE) {
		must(ext2fs_expand_dir(f->fs, dir), "expanding a directory");
		err = ext2fs_link(f->fs, dir, name, ino, type);
	}
	must(err, "linking a name");
}

/* Grows @dir if need be: not all of libext2fs does that by itself. */
static void make_room(struct fragmenter *f, ext2_ino_t dir, const char *name)
{
	link_name(f, dir, EXT2_ROOT_INO, name, EXT2_FT_UNKNOWN);
	must(ext2fs_unlink(f->fs, dir, name, 0, 0), "making room for a name");
}

/* The early directories are chosen far more often than the late ones. */
static ext2_ino_t any_dir(struct fragmenter *f)
{
	return f->dir[prng_below(&f->rng, 1 + prng_below(&f->rng, f->dirs))];
}

static void inode_stamp(struct fragmenter *f, struct ext2_inode_large *inode)
{
	struct prng *rng = &f->rng;

	set_clock(f);
	inode->i_uid = (__u16)prng_below(rng, 2000);
	inode->i_gid = (__u16)prng_below(rng, 2000);
	inode->i_atime = (__u32)(EPOCH + prng_below(rng, 100000000));
	inode->i_mtime = (__u32)(EPOCH + prng_below(rng, 100000000));
	inode->i_ctime = (__u32)(EPOCH + prng_below(rng, 100000000));
	inode->i_generation = (__u32)prng_next(rng);
	inode->osd1.linux1.l_i_version = (__u32)prng_below(rng, 1000);
}

/* What lies in the upper half of an inode, if there is one. */
static void inode_stamp_extra(struct fragmenter *f,
			      struct ext2_inode_large *inode)
{
	if (EXT2_INODE_SIZE(f->fs->super) <= EXT2_GOOD_OLD_INODE_SIZE)
		return;
	inode->i_atime_extra = (__u32)prng_below(&f->rng, 1000000000) << 2;
	inode->i_mtime_extra = (__u32)prng_below(&f->rng, 1000000000) << 2;
	inode->i_ctime_extra = (__u32)prng_below(&f->rng, 1000000000) << 2;
	inode->i_crtime_extra = (__u32)prng_below(&f->rng, 1000000000) << 2;
}

static void inode_read(struct fragmenter *f, ext2_ino_t ino,
		       struct ext2_inode_large *inode)
{
	must(ext2fs_read_inode_full(f->fs, ino, EXT2_INODE(inode),
				    sizeof(*inode)),
	     "reading an inode");
}

static void inode_write(struct fragmenter *f, ext2_ino_t ino,
			struct ext2_inode_large *inode)
{
	must(ext2fs_write_inode_full(f->fs, ino, EXT2_INODE(inode),
				     sizeof(*inode)),
	     "writing an inode");
}

/* Writes a new inode without blocks and gives it a name. */
static ext2_ino_t inode_create(struct fragmenter *f, ext2_ino_t dir,
			       const char *name, int mode,
			       struct ext2_inode_large *inode)
{
	int type = LINUX_S_ISREG(mode)	? EXT2_FT_REG_FILE :
		   LINUX_S_ISFIFO(mode) ? EXT2_FT_FIFO :
		   LINUX_S_ISCHR(mode)	? EXT2_FT_CHRDEV :
					  EXT2_FT_BLKDEV;
	ext2_ino_t ino;

	must(ext2fs_new_inode(f->fs, dir, mode, NULL, &ino), "taking an inode");
	ext2fs_inode_alloc_stats2(f->fs, ino, +1, 0);
	inode->i_mode = (__u16)mode;
	inode->i_links_count = 1;
	inode_stamp(f, inode);
	must(ext2fs_write_new_inode(f->fs, ino, EXT2_INODE(inode)),
	     "writing a new inode");
	link_name(f, dir, ino, name, type);
	inode_read(f, ino, inode);
	inode_stamp_extra(f, inode);
	inode_write(f, ino, inode);
	return ino;
}

static void add_hard_link(struct fragmenter *f, ext2_ino_t dir, ext2_ino_t ino,
			  uint64_t mean_name)
{
	struct ext2_inode_large inode;
	char name[NAME_ROOM];

	make_name(f, "link", mean_name, name);
	link_name(f, dir, ino, name, EXT2_FT_REG_FILE);
	inode_read(f, ino, &inode);
	inode.i_links_count++;
	inode_write(f, ino, &inode);
}

/* -- files -------------------------------------------------------------- */

static void file_grow(struct fragmenter *f, struct file *file, blk64_t lblk,
		      blk64_t len, bool unwritten)
{
	struct piece p;

	for (; len; lblk += p.len, len -= p.len) {
		p = deck_take(&f->deck, len);
		ext2fs_block_alloc_stats_range(f->fs, p.pblk, (blk_t)p.len, +1);
		file->blocks += p.len;
		if (p.len > len) /* the end of the last cluster */
			p.len = len;
		if (file->count == file->room) {
			file->room = file->room * 2 + 16;
			file->run = must_alloc(realloc(
				file->run, file->room * sizeof(*file->run)));
		}
		file->run[file->count++] =
			(struct run){ lblk, p.pblk, p.len, unwritten };
	}
}

static void file_fill_block(struct fragmenter *f, const struct file *file,
			    blk64_t lblk, uint64_t *block)
{
	size_t bs = f->fs->blocksize;
	uint64_t start = lblk * bs;
	char *byte = (char *)block;

	prng_fill(block, bs / sizeof(*block), file->key, lblk);
	if (file->swap && lblk == 1024 / bs) {
		__u32 header[2] = { 1, (__u32)(file->size / 4096 - 1) };

		memset(byte + 1024 % bs, 0, bs - 1024 % bs);
		memcpy(byte + 1024 % bs, header, sizeof(header));
	}
	if (file->swap && lblk == 4086 / bs)
		memcpy(byte + 4086 % bs, "SWAPSPACE2", 10);
	if (start + bs > file->size) /* nothing but zeros behind the end */
		memset(byte + (file->size - start), 0,
		       (size_t)(start + bs - file->size));
}

static void file_write_data(struct fragmenter *f, const struct file *file)
{
	size_t words = f->fs->blocksize / sizeof(*f->buf);
	blk64_t done, n, i;
	size_t k;

	for (k = 0; k < file->count; k++) {
		const struct run *run = &file->run[k];

		for (done = 0; !run->unwritten && done < run->len; done += n) {
			n = run->len - done;
			if (n > WRITE_BLOCKS)
				n = WRITE_BLOCKS;
			for (i = 0; i < n; i++)
				file_fill_block(f, file, run->lblk + done + i,
						f->buf + i * words);
			must(io_channel_write_blk64(f->fs->io, run->pblk + done,
						    (int)n, f->buf),
			     "writing data");
		}
	}
}

static void extent_append(ext2_extent_handle_t tree, const struct run *run)
{
	struct ext2fs_extent extent = {
		.e_lblk = run->lblk,
		.e_pblk = run->pblk,
		.e_len = (__u32)run->len,
		.e_flags = run->unwritten ? EXT2_EXTENT_FLAGS_UNINIT : 0,
	};

	must(ext2fs_extent_insert(tree, EXT2_EXTENT_INSERT_AFTER, &extent),
	     "inserting an extent");
	must(ext2fs_extent_fix_parents(tree), "fixing an extent tree");
}

/*
 * Blows the tree up with placeholders for every second block, and takes them
 * out again: nodes that hold nearly nothing remain.  The file has a block at
 * each multiple of 2 * HOLLOW_KEEP.
 */
static void file_map_hollow(ext2_extent_handle_t tree, const struct file *file)
{
	struct run run;
	blk64_t i;

	for (i = 0; i < HOLLOW_EXTENTS; i++) {
		run = file->run[i / HOLLOW_KEEP];
		run.lblk = 2 * i;
		extent_append(tree, &run);
	}
	for (i = 0; i < HOLLOW_EXTENTS; i++) {
		if (i % HOLLOW_KEEP == 0)
			continue;
		must(ext2fs_extent_goto(tree, 2 * i), "finding an extent");
		must(ext2fs_extent_delete(tree, 0), "deleting an extent");
		must(ext2fs_extent_fix_parents(tree), "fixing an extent tree");
	}
}

static void file_map_extents(struct fragmenter *f, const struct file *file,
			     ext2_ino_t ino, struct ext2_inode_large *inode)
{
	ext2_extent_handle_t tree;
	size_t i;

	must(ext2fs_extent_open2(f->fs, ino, EXT2_INODE(inode), &tree),
	     "making an extent tree");
	if (file->hollow)
		file_map_hollow(tree, file);
	else
		for (i = 0; i < file->count; i++)
			extent_append(tree, &file->run[i]);
	ext2fs_extent_free(tree);
}

static void file_map_blocks(struct fragmenter *f, const struct file *file,
			    ext2_ino_t ino, struct ext2_inode_large *inode)
{
	blk64_t i, pblk;
	size_t k;

	for (k = 0; k < file->count; k++) {
		const struct run *run = &file->run[k];

		for (i = 0; i < run->len; i++) {
			pblk = run->pblk + i;
			must(ext2fs_bmap2(f->fs, ino, EXT2_INODE(inode), NULL,
					  BMAP_SET | BMAP_ALLOC, run->lblk + i,
					  NULL, &pblk),
			     "mapping a block");
		}
	}
}

/* Writes data, mapping and inode, and ends the life of @file. */
static ext2_ino_t file_finish(struct fragmenter *f, struct file *file,
			      const char *name, __u32 flags)
{
	struct ext2_inode_large inode = { 0 };
	ext2_ino_t ino;

	ino = inode_create(f, any_dir(f), name, LINUX_S_IFREG | 0644, &inode);
	file_write_data(f, file);
	if (ext2fs_has_feature_extents(f->fs->super))
		file_map_extents(f, file, ino, &inode);
	else
		file_map_blocks(f, file, ino, &inode);
	must(ext2fs_iblk_add_blocks(f->fs, EXT2_INODE(&inode),
				    file->blocks / f->deck.unit),
	     "counting blocks");
	must(ext2fs_inode_size_set(f->fs, EXT2_INODE(&inode),
				   (ext2_off64_t)file->size),
	     "setting a size");
	inode.i_flags |= flags;
	inode_write(f, ino, &inode);
	free(file->run);
	return ino;
}

static struct file file_new(struct fragmenter *f, uint64_t size)
{
	return (struct file){ .key = prng_next(&f->rng), .size = size };
}

static ext2_ino_t make_dense(struct fragmenter *f, const char *name,
			     uint64_t size, __u32 flags)
{
	struct file file = file_new(f, size);
	size_t bs = f->fs->blocksize;

	file_grow(f, &file, 0, (size + bs - 1) / bs, false);
	return file_finish(f, &file, name, flags);
}

/* -- the exotic ones ---------------------------------------------------- */

static void make_sparse(struct fragmenter *f, const char *name, bool unwritten)
{
	blk64_t unit = f->deck.unit, lblk = 0, len;
	struct file file = file_new(f, 0);
	unsigned int i;

	for (i = 0; i < 60; i++) {
		len = unit * (1 + prng_below(&f->rng, 6));
		file_grow(f, &file, lblk, len, unwritten && i % 2);
		lblk += len;
		if (!unwritten || i % 5 == 4)
			lblk += unit * (1 + prng_below(&f->rng, 50));
	}
	file.size = lblk * f->fs->blocksize; /* ends with a hole */
	file_finish(f, &file, name, 0);
}

/* Unwritten blocks past the end of file, as FALLOC_FL_KEEP_SIZE leaves. */
static void make_keep_size(struct fragmenter *f)
{
	blk64_t unit = f->deck.unit;
	struct file file = file_new(f, (20 * unit - 1) * f->fs->blocksize + 77);

	file_grow(f, &file, 0, 20 * unit, false);
	file_grow(f, &file, 20 * unit, 30 * unit, true);
	file_finish(f, &file, "exotic-keep-size", 0);
}

static void make_hollow(struct fragmenter *f)
{
	struct file file =
		file_new(f, 2ULL * HOLLOW_EXTENTS * f->fs->blocksize);
	blk64_t lblk;

	for (lblk = 0; lblk < 2 * HOLLOW_EXTENTS; lblk += 2 * HOLLOW_KEEP)
		file_grow(f, &file, lblk, 1, false);
	file.hollow = true;
	file_finish(f, &file, "exotic-hollow-tree", 0);
}

/* Single blocks, alternately from two pieces: every block an extent. */
static void make_torn(struct fragmenter *f)
{
	struct file file =
		file_new(f, (uint64_t)MANY_EXTENTS * f->fs->blocksize);
	struct piece hand[2] = { { 0, 0 }, { 0, 0 } }, *p;
	blk64_t lblk;

	for (lblk = 0; lblk < MANY_EXTENTS; lblk++) {
		p = &hand[lblk % 2];
		if (!p->len)
			*p = deck_take(&f->deck, DECK_PIECE_MAX);
		deck_put(&f->deck, (struct piece){ p->pblk++, 1 });
		p->len--;
		file_grow(f, &file, lblk, 1, false);
	}
	for (p = hand; p < hand + 2; p++)
		if (p->len)
			deck_put(&f->deck, *p);
	file_finish(f, &file, "exotic-torn", 0);
}

static void make_swap(struct fragmenter *f)
{
	struct file file = file_new(f, 64 * 4096);
	size_t bs = f->fs->blocksize;

	file.swap = true;
	file_grow(f, &file, 0, (file.size + bs - 1) / bs, false);
	file_finish(f, &file, "exotic-swapfile", 0);
}

/* Attributes small enough for the inode, too large for it, or both. */
static void make_xattrs(struct fragmenter *f, const char *name, bool small,
			bool large)
{
	struct ext2_xattr_handle *xattrs;
	char value[600];
	ext2_ino_t ino = make_dense(f, name, 3000, 0);
	size_t i;

	for (i = 0; i < sizeof(value); i++)
		value[i] = (char)prng_next(&f->rng);
	must(ext2fs_xattrs_open(f->fs, ino, &xattrs), "opening xattrs");
	must(ext2fs_xattrs_read(xattrs), "reading xattrs");
	if (small)
		must(ext2fs_xattr_set(xattrs, "user.small", value, 20),
		     "setting an xattr");
	if (large)
		must(ext2fs_xattr_set(xattrs, "user.large", value,
				      sizeof(value)),
		     "setting an xattr");
	must(ext2fs_xattrs_write(xattrs), "writing xattrs");
	must(ext2fs_xattrs_close(&xattrs), "closing xattrs");
}

static void make_node(struct fragmenter *f, const char *name, int mode,
		      __u32 device)
{
	struct ext2_inode_large inode = { .i_block[0] = device };

	inode_create(f, any_dir(f), name, mode, &inode);
}

/* The number of blocks that shall stay free. */
static blk64_t free_goal(const struct fragmenter *f)
{
	return ext2fs_blocks_count(f->fs->super) / 100 * (100 - f->percent);
}

static void make_exotic(struct fragmenter *f)
{
	struct ext2_super_block *super = f->fs->super;

	make_dense(f, "exotic-empty", 0, 0);
	make_sparse(f, "exotic-sparse", false);
	make_swap(f);
	make_dense(f, "exotic-immutable", 99999, EXT2_IMMUTABLE_FL);
	make_dense(f, "exotic-append", 99999, EXT2_APPEND_FL);
	make_node(f, "exotic-fifo", LINUX_S_IFIFO | 0600, 0);
	make_node(f, "exotic-char", LINUX_S_IFCHR | 0600, 0x0103);
	make_node(f, "exotic-block", LINUX_S_IFBLK | 0600, 0x0801);
	if (ext2fs_has_feature_xattr(super)) {
		make_xattrs(f, "exotic-xattr-small", true, false);
		make_xattrs(f, "exotic-xattr-large", false, true);
		make_xattrs(f, "exotic-xattr-both", true, true);
	}
	if (!ext2fs_has_feature_extents(super))
		return;
	make_sparse(f, "exotic-unwritten", true);
	make_keep_size(f);
	if (f->deck.unit > 1) /* needs single blocks of their own */
		return;
	make_hollow(f);
	if (ext2fs_free_blocks_count(super) >
	    free_goal(f) + MANY_EXTENTS + MANY_EXTENTS / 2)
		make_torn(f);
}

/* -- the filling -------------------------------------------------------- */

static uint64_t file_size(const struct fragmenter *f, uint64_t number,
			  uint64_t scale)
{
	struct prng rng = { prng_mix(f->seed) + number };
	uint64_t size = prng_lognormal(&rng, 1 << 20, 2) * scale >> 20;

	return size < 1024 ? 1024 : size > f->max_bytes ? f->max_bytes : size;
}

/* The scale of sizes with which @files files take about @blocks blocks. */
static uint64_t find_scale(const struct fragmenter *f, blk64_t blocks)
{
	uint64_t low = 1, high = UINT64_C(1) << 30, scale, i;
	blk64_t sum, n;

	while (low < high) {
		scale = low + (high - low) / 2;
		for (sum = i = 0; i < f->files && sum < blocks; i++) {
			n = file_size(f, i, scale) / f->fs->blocksize + 1;
			sum += n + n / 256 + (n > EXT2_NDIR_BLOCKS);
		}
		if (sum < blocks)
			low = scale + 1;
		else
			high = scale;
	}
	return low;
}

static void make_dirs(struct fragmenter *f)
{
	char name[NAME_ROOM];
	ext2_ino_t parent, near, ino;
	size_t i;

	for (i = 0; i < sizeof(f->dir) / sizeof(*f->dir); i++) {
		parent = i < FANOUT ? EXT2_ROOT_INO : f->dir[i / FANOUT - 1];
		set_clock(f);
		make_name(f, "dir", 10, name);
		make_room(f, parent, name);
		/* spread over the groups */
		near = (ext2_ino_t)prng_below(&f->rng,
					      f->fs->super->s_inodes_count);
		must(ext2fs_new_inode(f->fs, 1 + near, LINUX_S_IFDIR, NULL,
				      &ino),
		     "taking an inode");
		must(ext2fs_mkdir(f->fs, parent, ino, name), "making a dir");
		f->dir[f->dirs++] = ino;
	}
}

static void make_long_symlink(struct fragmenter *f)
{
	char name[NAME_ROOM], target[1000];
	ext2_ino_t dir = any_dir(f);
	size_t i, len = 61 + (size_t)prng_below(&f->rng, 900);

	for (i = 0; i < len; i++)
		target[i] = (char)('a' + prng_below(&f->rng, 26));
	target[len] = '\0';
	make_name(f, "symlink", 10, name);
	set_clock(f);
	make_room(f, dir, name);
	must(ext2fs_symlink(f->fs, dir, 0, name, target), "making a symlink");
}

static void fill(struct fragmenter *f)
{
	struct ext2_super_block *super = f->fs->super;
	blk64_t goal = free_goal(f);
	blk64_t free_blocks = ext2fs_free_blocks_count(super);
	uint64_t scale, i, n, size, spare;
	char name[NAME_ROOM];
	ext2_ino_t ino;

	scale = find_scale(f, free_blocks > goal ? free_blocks - goal : 1);
	for (i = 0; ext2fs_free_blocks_count(super) > goal; i++) {
		spare = ext2fs_free_blocks_count(super) - goal;
		size = file_size(f, i, scale);
		if (size > spare * f->fs->blocksize)
			size = spare * f->fs->blocksize;
		make_name(f, "file", 20, name);
		ino = make_dense(f, name, size, 0);
		for (n = 0; i == 0 && n < LINKS; n++)
			add_hard_link(f, f->dir[1], ino, 120);
		if (i % 3 == 0)
			add_hard_link(f, any_dir(f), ino, 60);
		if (i % 10 == 0)
			make_long_symlink(f);
	}
}

/* -- the frame ---------------------------------------------------------- */

static void open_image(struct fragmenter *f, const char *name)
{
	uint64_t kib_per_block;
	ext2_filsys fs;

	must(ext2fs_open(name, EXT2_FLAG_RW | EXT2_FLAG_64BITS, 0, 0,
			 unix_io_manager, &fs),
	     name);
	if (ext2fs_has_feature_quota(fs->super))
		die("%s: the quota feature is not supported", name);
	must(ext2fs_read_bitmaps(fs), "reading bitmaps");
	fs->priv_data = f;
	ext2fs_set_alloc_block_callback(fs, alloc_block, NULL);
	f->fs = fs;
	kib_per_block = fs->blocksize / 1024;
	f->mean_run = (f->mean_run + kib_per_block - 1) / kib_per_block;
	f->buf = must_alloc(calloc(WRITE_BLOCKS, fs->blocksize));
	f->rng.state = prng_mix(f->seed);
}

static const char *parse(struct fragmenter *f, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "s:f:p:k:m:x")) != -1) {
		if (opt == 's')
			f->seed = parse_number(optarg, 0, UINT64_MAX);
		else if (opt == 'f')
			f->files = parse_number(optarg, 1, 100000000);
		else if (opt == 'p')
			f->percent = (unsigned int)parse_number(optarg, 1, 99);
		else if (opt == 'k')
			f->mean_run = parse_number(optarg, 1, 1 << 20);
		else if (opt == 'm')
			f->max_bytes = parse_number(optarg, 1, 1 << 30) * 1024;
		else if (opt == 'x')
			f->exotic = true;
		else
			exit(EXIT_FAILURE);
	}
	if (optind != argc - 1)
		die("usage: fragment [-s seed] [-f files] [-p percent-full] "
		    "[-k mean-run-kib] [-m max-file-kib] [-x] IMAGE");
	return argv[optind];
}

int main(int argc, char **argv)
{
	struct fragmenter f = {
		.seed = 1,
		.files = 500,
		.percent = 70,
		.mean_run = 16,
		.max_bytes = 16 << 20,
	};

	initialize_ext2_error_table();
	open_image(&f, parse(&f, argc, argv));
	deck_build(&f.deck, f.fs, &f.rng, f.mean_run);
	make_dirs(&f);
	if (f.exotic)
		make_exotic(&f);
	fill(&f);
	must(ext2fs_close_free(&f.fs), "closing the image");
	free(f.deck.piece);
	free(f.buf);
	return EXIT_SUCCESS;
}
