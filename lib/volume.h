/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * volume - layer 2: the device, opened, held and found fit
 *
 * Owns the descriptor, the ext2_filsys (read-only for libext2fs: it can never
 * write by itself), the gate and the current superblock.
 */
#ifndef E4DF_VOLUME_H
#define E4DF_VOLUME_H

#include "gate.h"

struct e4df_volume;

#define E4DF_VOLUME_WRITE  0x1 /* a run that will write */
#define E4DF_VOLUME_REPAIR 0x2 /* run e2fsck -p if it is not clean */
#define E4DF_VOLUME_REPORT 0x4 /* looks only: needs no journal */
#define E4DF_VOLUME_REUNDO 0x8 /* replace an undo file that does not fit */

struct e4df_volume_options {
	const char *path;    /* (borrowed) device or image */
	uint64_t offset;     /* bytes, of the file system in it */
	const char *journal; /* (borrowed) where an external journal is; NULL:
			      * look for it */
	const char *undo;    /* (borrowed) the undo file of a run that will
			      * write; NULL: none */
	unsigned int flags;  /* E4DF_VOLUME_ */
	const struct e4df_gate_tap *tap; /* (borrowed) sees each operation
					  * from before the first write on;
					  * NULL for none */
};

/*
 * Opens a file system, after all refusals of the man page: not ext, mounted,
 * busy, too short, a feature that is not on the allow list, errors, not
 * clean, orphans, journal to be replayed, an external journal that cannot be
 * found.  Nothing is written (but the MMP block, with WRITE, on a file system
 * that has one).  What is borrowed, and the sink, must live as long as the
 * volume.  Returns an E4DF_ET_ code, errno or a code of libext2fs; where the
 * sink was told why, it was told once.
 */
errcode_t e4df_volume_open(const struct e4df_volume_options *options,
			   struct e4df_sink *sink, struct e4df_volume **ret);

/*
 * Hands the MMP block back, where there is one: the end of all reading and
 * writing.  An error has been explained, but E4DF_ET_STOPPED, which follows
 * another.
 */
errcode_t e4df_volume_release(struct e4df_volume *vol);

/*
 * Releases everything, without a write (but the MMP block's), and finishes the
 * undo file, which can fail (e4df_undo_close).  Accepts NULL.
 */
errcode_t e4df_volume_close(struct e4df_volume *vol);

ext2_filsys e4df_volume_fs(const struct e4df_volume *vol);
struct e4df_gate *e4df_volume_gate(const struct e4df_volume *vol);
struct e4df_sink *e4df_volume_sink(const struct e4df_volume *vol);

/* The superblock as it is on disk now (1024 bytes, borrowed). */
const struct ext2_super_block *e4df_volume_super(const struct e4df_volume *vol);

/* The block that holds the primary superblock, and where it begins in it. */
blk64_t e4df_volume_super_block(const struct e4df_volume *vol);
unsigned int e4df_volume_super_offset(const struct e4df_volume *vol);

/* The block of group descriptors with this number, of the primary copy. */
blk64_t e4df_volume_desc_block(const struct e4df_volume *vol, dgrp_t number);

/* The metadata on disk are now what this superblock counts. */
void e4df_volume_set_super(struct e4df_volume *vol,
			   const struct ext2_super_block *sb);

enum e4df_discipline {
	E4DF_JOURNALED, /* each change is a transaction in the journal */
	E4DF_ORDERED,	/* metadata are written in place, in a safe order */
};

/*
 * Marks the file system on disk as being changed, or as clean again, and makes
 * that durable (I7).  Between the two the kernel and e2fsck replay the journal
 * (JOURNALED: needs_recovery is set) or e2fsck -p looks for blocks that are
 * marked but not in use (ORDERED: the mark of a clean unmount is taken away).
 */
errcode_t e4df_volume_begin(struct e4df_volume *vol,
			    enum e4df_discipline discipline);
errcode_t e4df_volume_end(struct e4df_volume *vol,
			  enum e4df_discipline discipline);

/* Reads the file system's metadata again from disk. */
errcode_t e4df_volume_reload(struct e4df_volume *vol);

#endif
