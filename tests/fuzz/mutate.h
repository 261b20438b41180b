/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How mutate knows an image: as parts of metadata, each with its place and
 * its kind, and with the bytes of the whole image in memory.
 */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H

#include <stdbool.h>
#include <stdint.h>
#include <ext2fs/ext2fs.h>

#include "../tools/prng.h"
#include "../tools/tool.h"

enum kind {
	SUPER,
	DESC,
	BLOCK_BITMAP,
	INODE_BITMAP,
	INODE,
	EXTENTS,  /* a block of an extent tree */
	INDIRECT, /* a block of block numbers */
	DIRECTORY,
	XATTR,
	JOURNAL,  /* its superblock */
	INTERNAL, /* what quota files and orphan files hold; MMP */
	UNDO_HEADER,
	UNDO_KEYS,
	BYTES, /* all of a file that is not known */
	KINDS,
};

struct part {
	enum kind kind;
	uint64_t at; /* bytes from the start of the image */
	size_t len;
	ext2_ino_t ino; /* whose it is, if it is a file's */
	dgrp_t group;	/* whose it is, if it is a group's */
	bool is_touched;
};

struct image {
	ext2_filsys fs; /* (owned) as it was before any change; or NULL */
	uint32_t block_size;
	uint32_t blocks, inodes; /* their numbers, 0 without fs */
	unsigned char *byte;	 /* (owned) a shared map of the file */
	uint64_t len;
	struct part *part; /* (owned) sorted by kind */
	size_t count, alloc;
	size_t first[KINDS + 1]; /* of each kind in part */
};

static inline void must(errcode_t err, const char *what)
{
	if (err)
		die("%s: %s", what, error_message(err));
}

void add_part(struct image *img, const struct part *part);

/* Finds all parts of an image that e2fsck finds nothing wrong with. */
void survey(struct image *img); /* survey.c */

/* The same of an undo file, or of a file that is not known. */
void survey_file(struct image *img); /* files.c */
void seal_undo(struct image *img, const struct part *part);

/* Makes the checksums of what was touched right again. */
void seal(struct image *img); /* seal.c */

#endif
