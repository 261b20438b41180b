/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk - an image that goes through thousands of crashes
 *
 * `base` is what is certainly on disk; it advances from flush to flush.
 * `work` is a file that e2fsck and the kernel can open.  Between two states
 * they are equal: what a state and its recovery changed in work is taken back
 * by comparing the two, which for small images is much faster than a copy and
 * needs no trust in what was changed.
 *
 * The digest of each block of base is kept, so that only what has changed is
 * read again.  An image is known by the sum of them, each with its place.
 */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include <stddef.h>
#include <stdint.h>

struct disk {
	/* Immutable. */
	size_t bytes;
	unsigned int unit;     /* bytes of a block */
	unsigned char *is_log; /* (owned) blocks of the log's contents */
	/* Mutable. */
	unsigned char *base; /* (owned) */
	unsigned char *work; /* (owned) the file, mapped */
	uint64_t *content;   /* (owned) contents_block() of base's */
	uint64_t sum;	     /* of base */
	uint64_t sum_no_log; /* of base, without the log's contents */
	/* Blocks in which work may differ from base. */
	size_t *changed; /* (owned) */
	size_t changed_count;
	unsigned char *is_changed; /* (owned) */
};

/*
 * Reads an image, and makes `work` a file of that name.  Whatever fails ends
 * the program, here and below.
 */
void disk_open(struct disk *disk, const char *image, const char *work);
void disk_close(struct disk *disk);

/* Base and work as the image is: as after disk_open(). */
void disk_rewind(struct disk *disk, const char *image);

/* Writes to work alone, or to both. */
void disk_poke(struct disk *disk, uint64_t offset, const void *data,
	       size_t bytes);
void disk_settle(struct disk *disk, uint64_t offset, const void *data,
		 size_t bytes);

/* Others have written to work: finds out where. */
void disk_look(struct disk *disk);

/*
 * What work is: the sum of all its blocks, or of all but the log's contents,
 * which nobody looks at once the log is empty.
 */
uint64_t disk_sum(const struct disk *disk);
uint64_t disk_sum_no_log(const struct disk *disk);

/* contents_block() of a block of work. */
uint64_t disk_content(const struct disk *disk, size_t unit);

/* Makes work equal to base again. */
void disk_undo(struct disk *disk);

#endif
