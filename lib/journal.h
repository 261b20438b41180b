/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal - layer 4: transactions in the file system's own jbd2 log
 *
 * Knows blocks, not ext4.  One transaction lives at a time, always at the
 * start of the log; it is checkpointed and the log emptied before the next
 * (I6).  The kernel and e2fsck replay it as they replay their own.
 *
 *	      start              commit                checkpoint
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
#include "stage.h"

struct e4df_journal;

struct e4df_journal_options {
	struct e4df_gate *gate;	       /* (borrowed) */
	struct e4df_sink *sink;	       /* (borrowed) */
	const struct e4df_extent *log; /* (borrowed for open) */
	__u32 log_extents;	       /* the journal inode's data */
	blk64_t size;		       /* blocks, by the size of the inode */
	unsigned int block_size;       /* bytes */
	int has_metadata_csum;	       /* then the log has V3 */
	int has_64bit;		       /* then the log has 64BIT */
};

/*
 * Checks the log and reads the first bytes of all its blocks, for a
 * transaction id that no stale block bears (I9).  Writes nothing.  Returns
 * E4DF_ET_NO_JOURNAL for a log that is sound but of no use (explained by a
 * note), E4DF_ET_BAD_JOURNAL or E4DF_ET_FEATURE, explained, E4DF_ET_CANCELLED,
 * errno or ENOMEM.
 */
errcode_t e4df_journal_open(const struct e4df_journal_options *options,
			    struct e4df_journal **ret);
void e4df_journal_close(struct e4df_journal *journal);

/* Images that one transaction can hold. */
__u32 e4df_journal_capacity(const struct e4df_journal *journal);

/* Opens the log: from now on recovery looks for a transaction (I7). */
errcode_t e4df_journal_start(struct e4df_journal *journal);

/*
 * Logs all images of a sealed stage, flushes (with them all data written
 * before: I3), writes the commit block, flushes.  When this returns 0 the
 * transaction has happened, whatever follows; else it has not, unless a flush
 * failed.  Returns E4DF_ET_TOO_LARGE and ENOMEM, before any write, and what
 * the gate returns.
 */
errcode_t e4df_journal_commit(struct e4df_journal *journal,
			      const struct e4df_stage *stage);

/*
 * Writes the images of the same stage in place, flushes, empties the log,
 * flushes (I5, I6).  Nothing but I/O can fail.
 */
errcode_t e4df_journal_checkpoint(struct e4df_journal *journal,
				  const struct e4df_stage *stage);

/* Closes the log: nothing to recover. */
errcode_t e4df_journal_stop(struct e4df_journal *journal);

/* May stop be called, or is a committed transaction still to be replayed? */
int e4df_journal_is_clean(const struct e4df_journal *journal);

#endif
