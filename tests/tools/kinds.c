/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of inodes that fragment -x makes. */
#include "craft.h"

#include <string.h>

enum {
	MANY_EXTENTS = 20480, /* of one file: two levels even with 4k */
};

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

void make_torn(struct fragmenter *f, const char *name, blk64_t extents)
{
	struct file file = file_new(f, extents * f->fs->blocksize);
	struct piece hand[2] = { { 0, 0 }, { 0, 0 } }, *p;
	blk64_t lblk;

	for (lblk = 0; lblk < extents; lblk++) {
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
	file_finish(f, &file, name, 0);
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

void make_exotic(struct fragmenter *f)
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
	    f->free_goal + MANY_EXTENTS + MANY_EXTENTS / 2)
		make_torn(f, "exotic-torn", MANY_EXTENTS);
}
