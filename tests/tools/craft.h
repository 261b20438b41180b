/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the tools make inodes on an image that is not mounted: with all their
 * blocks from the deck (deck.h), and all else drawn from the seed.
 */
#ifndef TESTS_TOOLS_CRAFT_H
#define TESTS_TOOLS_CRAFT_H

#include <stdbool.h>
#include <ext2fs/ext2fs.h>

#include "deck.h"
#include "prng.h"
#include "tool.h"

enum {
	FANOUT = 3, /* directories in each directory, 3 levels */
	NAME_ROOM = 256,
	WRITE_BLOCKS = 64,
	HOLLOW_EXTENTS = 1500, /* inserted ... */
	HOLLOW_KEEP = 40,      /* ... of which one in 40 stays */
};

struct run {
	blk64_t lblk;
	blk64_t pblk;
	blk64_t len; /* blocks */
	bool unwritten;
};

/* A file under construction: runs in logical order. */
struct file {
	ext2_ino_t dir;	 /* 0 for any */
	int mode;	 /* 0 for a regular file of everyone */
	uint64_t key;	 /* what its bytes derive from */
	uint64_t size;	 /* bytes */
	blk64_t blocks;	 /* of data, allocated */
	struct run *run; /* owned */
	size_t count;
	size_t room;
	bool swap;	 /* looks like a swap area */
	bool hollow;	 /* the tree is left nearly empty */
	bool block_map;	 /* indirect blocks, although extents can be had */
	bool to_the_end; /* bytes up to the end of the last block */
};

struct fragmenter {
	/* Immutable after the start */
	ext2_filsys fs; /* owned */
	uint64_t seed;
	uint64_t files;
	uint64_t max_bytes;
	uint64_t mean_run; /* blocks */
	unsigned int percent;
	blk64_t first; /* of the range that blocks are taken from */
	blk64_t last;
	blk64_t free_goal; /* the number of blocks that shall stay free */
	bool exotic;
	bool rare;

	/* Mutable */
	struct prng rng;
	struct deck deck;
	ext2_ino_t dir[FANOUT + FANOUT * FANOUT + FANOUT * FANOUT * FANOUT];
	size_t dirs;
	uint64_t names; /* handed out so far */
	uint64_t *buf;	/* owned, WRITE_BLOCKS blocks */
};

static inline void must(errcode_t err, const char *what)
{
	if (err)
		die("%s: %s", what, error_message(err));
}

/* Called by libext2fs for a block, which it then marks in use itself. */
errcode_t alloc_block(ext2_filsys fs, blk64_t goal, blk64_t *ret);

/* -- names and inodes -- */

/* A new name: a prefix, a number, and a tail of random length. */
void make_name(struct fragmenter *f, const char *prefix, uint64_t mean,
	       char name[NAME_ROOM]);
void link_name(struct fragmenter *f, ext2_ino_t dir, ext2_ino_t ino,
	       const char *name, int type);

/* Grows @dir if need be: not all of libext2fs does that by itself. */
void make_room(struct fragmenter *f, ext2_ino_t dir, const char *name);

/* The early directories are chosen far more often than the late ones. */
ext2_ino_t any_dir(struct fragmenter *f);
void set_clock(struct fragmenter *f);

void inode_read(struct fragmenter *f, ext2_ino_t ino,
		struct ext2_inode_large *inode);
void inode_write(struct fragmenter *f, ext2_ino_t ino,
		 struct ext2_inode_large *inode);

/* Writes a new inode without blocks and gives it a name. */
ext2_ino_t inode_create(struct fragmenter *f, ext2_ino_t dir, const char *name,
			int mode, struct ext2_inode_large *inode);
void add_hard_link(struct fragmenter *f, ext2_ino_t dir, ext2_ino_t ino,
		   uint64_t mean_name);

/* -- files -- */

struct file file_new(struct fragmenter *f, uint64_t size);

/* Blocks from the deck for [lblk, lblk + len), which must be behind the rest. */
void file_grow(struct fragmenter *f, struct file *file, blk64_t lblk,
	       blk64_t len, bool unwritten);

/* Writes data, mapping and inode, and ends the life of @file. */
ext2_ino_t file_finish(struct fragmenter *f, struct file *file,
		       const char *name, __u32 flags);

/* A file of @size bytes without holes. */
ext2_ino_t make_dense(struct fragmenter *f, const char *name, uint64_t size,
		      __u32 flags);

/* -- kinds of inodes, by name -- */

/* Single blocks, alternately from two pieces: every block an extent. */
void make_torn(struct fragmenter *f, const char *name, blk64_t extents);

void make_exotic(struct fragmenter *f); /* kinds.c */
void make_rare(struct fragmenter *f);	/* rare.c */

#endif
