/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of `age' share. */
#ifndef TESTS_TOOLS_AGE_H
#define TESTS_TOOLS_AGE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "prng.h"
#include "tool.h"

enum {
	MAX_DIRS = 1000,
	FANOUT = 10,  /* directories in a directory */
	GROWING = 48, /* files written to at the same time */
	UNIT = 4096,  /* bytes come in units of this size */
	BUF_SIZE = 1 << 20,
	PIECE_MEAN = 24 << 10,
	PIECE_MAX = BUF_SIZE - 2 * UNIT,
	SIZE_MEDIAN = 16, /* KiB */
	SIZE_OCTAVES = 3,
	FILL_PERMILLE = 960,
	NAME_ROOM = 256,
	PATH_ROOM = 1200,
	TORN_EXTENTS = 20000,
	LARGE_PERCENT = 45, /* of the file system, all large files together */
	LARGE_PIECES = 25000,
	LARGE_HOLES = 3000,
	LARGE_MAX = 64,
};

struct file {
	uint64_t number; /* never used twice; the name derives from it */
	uint64_t key;	 /* the bytes derive from this */
	uint64_t size;	 /* bytes; all of it written */
	uint64_t goal;	 /* bytes; where it stops growing */
	bool whole;	 /* written at once */
};

struct ager {
	/* Immutable after the start */
	uint64_t seed;
	uint64_t max_bytes;
	uint64_t median_bytes;
	unsigned int target; /* per mille */
	unsigned int whole;  /* percent of the files */
	unsigned int large;  /* files of many pieces */
	unsigned int rounds;
	uint64_t extents; /* of an exotic file that has many; 0: by size */
	bool exotic;
	int root; /* descriptor of the directory */
	uint64_t block_size;
	uint64_t blocks;
	char *dir[MAX_DIRS]; /* owned paths */
	size_t dirs;

	/* Mutable */
	struct prng rng;
	struct file growing[GROWING];
	struct file *settled; /* owned */
	size_t count;
	size_t room;
	uint64_t numbers;  /* handed out so far */
	bool no_fallocate; /* not an extent mapped one */
	char *buf;	   /* owned, BUF_SIZE bytes */
};

/*
 * Passes the result of a system call on if it succeeded or there was no
 * space; there is no way on from any other error.
 */
static inline long must_or_full(long ret, const char *what, const char *name)
{
	if (ret < 0 && errno != ENOSPC)
		die("%s: %s: %s", name, what, strerror(errno));
	return ret;
}

static inline void must(long ret, const char *what, const char *name)
{
	if (ret < 0)
		die("%s: %s: %s", name, what, strerror(errno));
}

/* A name of random but repeatable length. */
void age_make_name(const char *prefix, uint64_t number, uint64_t mean,
		   char name[NAME_ROOM]);
void age_file_path(const struct ager *a, const struct file *file,
		   char path[PATH_ROOM]);

/* The @len bytes (up to PIECE_MAX) that belong at @pos of a file. */
const char *age_bytes(struct ager *a, uint64_t key, uint64_t pos, uint64_t len);

/* Returns false when the file system is full; some may have been written. */
bool age_put(struct ager *a, int fd, const char *name, uint64_t key,
	     uint64_t pos, uint64_t len);

/* Forces the kernel to choose blocks now. */
bool age_settle(struct ager *a, int fd, const char *name);

/* Where the file system cannot do that, the file stays an ordinary one. */
void age_change_space(int fd, const char *name, int mode, uint64_t pos,
		      uint64_t len);

void age_delete_to(struct ager *a, unsigned int permille);

/* One of each kind that grow and delete never make (-e). */
void age_make_exotic(struct ager *a);

#endif
