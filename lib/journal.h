/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal - layer 4: transactions in the file system's own jbd2 log
 *
 * Knows blocks, not ext4.  One transaction lives at a time, always at the
 * start of the log; it is checkpointed and the log emptied before the next
 * (I6).  The kernel and e2fsck replay it as they replay their own.
 *
 *	      start           add*, commit             checkpoint
 *	OPEN ------> CLEAN -----------------> COMMITTED ----------> CLEAN
 *	               |                                              |
 *	               +-------------------- stop --------------------+
 *
 * After any error of a write or flush: no more writes (the gate sees to it).
 */
#ifndef E4DF_JOURNAL_H
#define E4DF_JOURNAL_H

#include "batch.h"
#include "event.h"
#include "gate.h"

struct e4df_journal;

struct e4df_journal_options {
	struct e4df_gate *gate;	       /* (borrowed) */
	struct e4df_sink *sink;	       /* (borrowed) */
	const struct e4df_extent *log; /* (borrowed for open) */
	__u32 log_extents;	       /* the journal inode's data */
	unsigned int block_size;       /* bytes */
	int has_metadata_csum;	       /* then the log has V3 */
	int has_64bit;		       /* then the log has 64BIT */
};

/*
 * Checks the log and reads the first bytes of all its blocks, for a
 * transaction id that no stale block bears (I9).  Writes nothing.  Returns
 * E4DF_ET_NO_JOURNAL or E4DF_ET_BAD_JOURNAL, explained, E4DF_ET_CANCELLED,
 * errno or ENOMEM.
 */
errcode_t e4df_journal_open(const struct e4df_journal_options *options,
			    struct e4df_journal **ret);
void e4df_journal_close(struct e4df_journal *journal);

/* Images that one transaction can hold. */
__u32 e4df_journal_capacity(const struct e4df_journal *journal);

/* Opens the log: from now on recovery looks for a transaction (I7). */
errcode_t e4df_journal_start(struct e4df_journal *journal);

/* The image staged for a block in this transaction; NULL if none is. */
void *e4df_journal_find(const struct e4df_journal *journal, blk64_t blk);

/*
 * Stages a block: *image is a zeroed buffer of the block size (owned by the
 * journal), to be filled before commit.  The block must not be staged yet.
 * Returns ENOMEM or E4DF_ET_TOO_LARGE.
 */
errcode_t e4df_journal_add(struct e4df_journal *journal, blk64_t blk,
			   void **image);

/*
 * Logs all images, flushes (with them all data written before: I3), writes
 * the commit block, flushes.  When this returns 0 the transaction has
 * happened, whatever follows; else it has not, unless a flush failed.
 */
errcode_t e4df_journal_commit(struct e4df_journal *journal);

/* Writes all images in place, flushes, empties the log, flushes (I5, I6). */
errcode_t e4df_journal_checkpoint(struct e4df_journal *journal);

/* Forgets what is staged.  Not after commit. */
void e4df_journal_abandon(struct e4df_journal *journal);

/* Closes the log: nothing to recover. */
errcode_t e4df_journal_stop(struct e4df_journal *journal);

/* May stop be called, or is a committed transaction still to be replayed? */
int e4df_journal_is_clean(const struct e4df_journal *journal);

#endif
