/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "craft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	EPOCH = 1600000000,
};

/* -- names and inodes --------------------------------------------------- */

errcode_t alloc_block(ext2_filsys fs, blk64_t goal, blk64_t *ret)
{
	struct fragmenter *f = fs->priv_data;

	(void)goal;
	if (!f->deck.count)
		return EXT2_ET_BLOCK_ALLOC_FAIL;
	*ret = deck_take(&f->deck, 1).pblk;
	return 0;
}

void make_name(struct fragmenter *f, const char *prefix, uint64_t mean,
	       char name[NAME_ROOM])
{
	uint64_t tail = prng_exponential(&f->rng, mean);
	int n = snprintf(name, NAME_ROOM, "%s%06llu", prefix,
			 (unsigned long long)f->names++);

	for (; tail && n < NAME_ROOM - 1; tail--)
		name[n++] = (char)('a' + prng_below(&f->rng, 26));
	name[n] = '\0';
}

void set_clock(struct fragmenter *f)
{
	f->fs->now = (time_t)(EPOCH + prng_below(&f->rng, 100000000));
}

void link_name(struct fragmenter *f, ext2_ino_t dir, ext2_ino_t ino,
	       const char *name, int type)
{
	errcode_t err = ext2fs_link(f->fs, dir, name, ino, type);

	if (err == EXT2_ET_DIR_NO_SPACE) {
		must(ext2fs_expand_dir(f->fs, dir), "expanding a directory");
		err = ext2fs_link(f->fs, dir, name, ino, type);
	}
	must(err, "linking a name");
}

void make_room(struct fragmenter *f, ext2_ino_t dir, const char *name)
{
	link_name(f, dir, EXT2_ROOT_INO, name, EXT2_FT_UNKNOWN);
	must(ext2fs_unlink(f->fs, dir, name, 0, 0), "making room for a name");
}

ext2_ino_t any_dir(struct fragmenter *f)
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

void inode_read(struct fragmenter *f, ext2_ino_t ino,
		struct ext2_inode_large *inode)
{
	must(ext2fs_read_inode_full(f->fs, ino, EXT2_INODE(inode),
				    sizeof(*inode)),
	     "reading an inode");
}

void inode_write(struct fragmenter *f, ext2_ino_t ino,
		 struct ext2_inode_large *inode)
{
	must(ext2fs_write_inode_full(f->fs, ino, EXT2_INODE(inode),
				     sizeof(*inode)),
	     "writing an inode");
}

ext2_ino_t inode_create(struct fragmenter *f, ext2_ino_t dir, const char *name,
			int mode, struct ext2_inode_large *inode)
{
	int type = LINUX_S_ISREG(mode)	? EXT2_FT_REG_FILE :
		   LINUX_S_ISLNK(mode)	? EXT2_FT_SYMLINK :
		   LINUX_S_ISSOCK(mode) ? EXT2_FT_SOCK :
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

void add_hard_link(struct fragmenter *f, ext2_ino_t dir, ext2_ino_t ino,
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

void file_grow(struct fragmenter *f, struct file *file, blk64_t lblk,
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
	/* nothing but zeros behind the end */
	if (start + bs > file->size && !file->to_the_end)
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

ext2_ino_t file_finish(struct fragmenter *f, struct file *file,
		       const char *name, __u32 flags)
{
	struct ext2_inode_large inode = { 0 };
	ext2_ino_t ino;

	ino = inode_create(f, file->dir ? file->dir : any_dir(f), name,
			   file->mode ? file->mode : LINUX_S_IFREG | 0644,
			   &inode);
	file_write_data(f, file);
	if (ext2fs_has_feature_extents(f->fs->super) && !file->block_map)
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

struct file file_new(struct fragmenter *f, uint64_t size)
{
	return (struct file){ .key = prng_next(&f->rng), .size = size };
}

ext2_ino_t make_dense(struct fragmenter *f, const char *name, uint64_t size,
		      __u32 flags)
{
	struct file file = file_new(f, size);
	size_t bs = f->fs->blocksize;

	file_grow(f, &file, 0, (size + bs - 1) / bs, false);
	return file_finish(f, &file, name, flags);
}
