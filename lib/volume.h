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
#define E4DF_VOLUME_REPORT 0x4 /* looks only: any mapping will do */

/*
 * Opens path at a byte offset, after all refusals of the man page: not ext,
 * mounted, busy, too short, a feature that is not on the allow list, errors,
 * not clean, orphans, journal to be replayed.  Without REPORT a usable
 * internal journal is demanded.  Nothing is written (but the MMP block, with
 * WRITE, on a file system that has one).  path and sink are borrowed for the
 * volume's life.  tap, if not NULL, sees each operation from before the first
 * write on.  Returns an E4DF_ET_ code, errno or a code of libext2fs;
 * where the sink was told why, it was told once.
 */
errcode_t e4df_volume_open(const char *path, uint64_t offset,
			   unsigned int flags, const struct e4df_gate_tap *tap,
			   struct e4df_sink *sink, struct e4df_volume **ret);

/*
 * Hands the MMP block back, where there is one: the end of all reading and
 * writing.  An error has been explained, but E4DF_ET_STOPPED, which follows
 * another.
 */
errcode_t e4df_volume_release(struct e4df_volume *vol);

/* Releases everything, without a write (but the MMP block's).  Accepts NULL. */
void e4df_volume_close(struct e4df_volume *vol);

ext2_filsys e4df_volume_fs(const struct e4df_volume *vol);
struct e4df_gate *e4df_volume_gate(const struct e4df_volume *vol);
struct e4df_sink *e4df_volume_sink(const struct e4df_volume *vol);

/* The superblock as it is on disk now (1024 bytes, borrowed). */
const struct ext2_super_block *e4df_volume_super(const struct e4df_volume *vol);

/* The block that holds the primary superblock, and where it begins in it. */
blk64_t e4df_volume_super_block(const struct e4df_volume *vol);
unsigned int e4df_volume_super_offset(const struct e4df_volume *vol);

/* A transaction that carried this superblock has been checkpointed. */
void e4df_volume_set_super(struct e4df_volume *vol,
			   const struct ext2_super_block *sb);

/*
 * Sets, or clears, needs_recovery on disk and makes that durable (I7).
 * Between the two the kernel and e2fsck replay the journal.
 */
errcode_t e4df_volume_begin(struct e4df_volume *vol);
errcode_t e4df_volume_end(struct e4df_volume *vol);

/* Reads the file system's metadata again from disk. */
errcode_t e4df_volume_reload(struct e4df_volume *vol);

#endif
