/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * contents - what an ext2/3/4 file system holds, without where it lies
 *
 * One line for each inode in use, in inode order: all of its metadata but the
 * place of its blocks, and a digest of its contents.  Contents are the mapped
 * blocks, behind the end of file too: logical number, written or unwritten,
 * and the bytes if written.  Physical block numbers, i_blocks and the number
 * of extents are left out, so a defragmenter must not change anything here.
 * The files of the feature quota, which hold sums over i_blocks, are left out,
 * too.
 *
 * Shares no code with the defragmenter, as it is to be its judge.
 */
#ifndef TESTS_TOOLS_CONTENTS_H
#define TESTS_TOOLS_CONTENTS_H

#include <stdint.h>
#include <ext2fs/ext2fs.h>

struct contents {
	/* Set by the caller. */
	ext2_filsys fs; /* (borrowed) open, its inode bitmap read */
	/* Takes each line; NULL for nobody. */
	void (*line)(void *ctx, const char *line);
	/* contents_block() of a block; NULL: it is read from fs. */
	uint64_t (*block)(void *ctx, blk64_t blk);
	void *ctx;	     /* (borrowed) of the two */
	__u32 ignored_flags; /* of inodes: taken for not set */
	int is_tolerant;     /* of what cannot be read: its line says so */
	/* Set by contents_sum(). */
	uint64_t sum;	  /* digest of all lines */
	ext2_ino_t ino;	  /* where it came to an end */
	const char *what; /* (borrowed) and with what */
};

/* The digest of a block's bytes. */
uint64_t contents_block(const void *data, unsigned int bytes);

/*
 * Goes through all inodes.  A journal that waits for recovery is ignored.
 * Returns ENOMEM and what libext2fs returns; then ino and what tell more.
 */
errcode_t contents_sum(struct contents *contents);

#endif
