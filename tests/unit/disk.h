/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small image with a journal, in a directory of its own, behind a gate.
 */
#ifndef TESTS_UNIT_DISK_H
#define TESTS_UNIT_DISK_H

#include "gate.h"
#include "jbd2_disk.h"
#include "journal.h"
#include "unit.h"

#define DISK_LOG_MAX 16

struct disk {
	char dir[64];
	char path[80];
	int fd;
	unsigned int bs;
	io_channel io;
	struct e4df_gate *gate;
	struct e4df_extent log[DISK_LOG_MAX]; /* of the journal inode */
	__u32 log_extents;
	blk64_t *unused; /* (owned) free blocks of the file system */
	__u32 unused_count;
	struct e4df_finding last; /* that came to the sink; text is copied */
	char text[512];
	struct e4df_sink sink;
};

/* Are mke2fs and e2fsck there?  If not, says what is missing. */
int disk_has_tools(void);

/*
 * Makes an image with mke2fs's -O features, and a journal of 1024 blocks.
 * needs_recovery is set.
 */
void disk_make(struct disk *disk, unsigned int bs, const char *features);
void disk_remove(struct disk *disk);

/* Keeps a copy of the image, and goes back to it. */
void disk_save(const struct disk *disk);
void disk_restore(const struct disk *disk);

/* e2fsck with these options.  Returns its exit status. */
int disk_e2fsck(const struct disk *disk, const char *options);

/* A whole block, past the gate. */
void disk_read(const struct disk *disk, blk64_t blk, void *buf);
void disk_write(const struct disk *disk, blk64_t blk, const void *buf);

/* The block that holds a log block. */
blk64_t disk_log_block(const struct disk *disk, __u32 n);

/* The journal superblock, past the gate; its checksum is made to fit. */
void disk_read_jsb(const struct disk *disk, struct jbd2_super *jsb);
void disk_write_jsb(const struct disk *disk, struct jbd2_super *jsb);

#endif
