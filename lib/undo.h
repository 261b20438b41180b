/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * undo - layer 0: old contents, saved before they are overwritten
 *
 * Keeps a file in the format of e2undo(8).  Before a range of the target is
 * written for the first time, what it held is in that file.  At any moment
 * e2undo can put back all that was saved so far; it takes the file for
 * complete only after e4df_undo_close().
 *
 * The module does not use undo_io_manager of libext2fs, which keeps the same
 * format, because in 1.47.0 that writes behind its buffer when it continues a
 * file whose last block of keys is full (and e2undo then refuses the file),
 * saves other blocks than are written at some offsets, reports success without
 * a channel when it cannot create the file, and never syncs it before the end.
 *
 * A failure is final: what is not saved yet can no longer be saved, and so
 * not be written.  What is saved can still be written, and the file be closed.
 * Memory: 40 bytes for each range that was written, and 1 MiB.
 */
#ifndef E4DF_UNDO_H
#define E4DF_UNDO_H

#include "event.h"

struct e4df_undo;

#define E4DF_UNDO_REPLACE 0x1 /* an old undo file that does not fit */

struct e4df_undo_options {
	const char *path;   /* (borrowed) of the undo file */
	unsigned int flags; /* E4DF_UNDO_ */
	const char *target; /* (borrowed) what is to be changed, for a note */
	int fd;		    /* (borrowed) open for reading */
	uint64_t offset;    /* bytes in it before the file system */
};

/*
 * Creates the undo file, or continues one that was finished and whose copy of
 * the superblock is the target's, so that e2undo takes back both.  Another
 * one is refused, or replaced with REPLACE.  Does not change a file that is
 * continued.  Returns E4DF_ET_UNDO, errno or ENOMEM, explained but for the
 * last.
 */
errcode_t e4df_undo_open(const struct e4df_undo_options *options,
			 struct e4df_sink *sink, struct e4df_undo **ret);

/*
 * To be called before bytes at an offset in the file system are written: what
 * of them is not saved is saved, in whole blocks.  Unless this returns 0 they
 * must not be written.  NULL does nothing.  Returns E4DF_ET_UNDO or errno,
 * told to the sink the first time, or ENOMEM.
 */
errcode_t e4df_undo_save(struct e4df_undo *undo, uint64_t offset,
			 uint64_t bytes);

/* What ended the saving; 0 = nothing did. */
errcode_t e4df_undo_failure(const struct e4df_undo *undo);

/*
 * To be called after they were written: e2undo demands that it finds the
 * superblock that was written last.  NULL does nothing.
 */
void e4df_undo_follow(struct e4df_undo *undo, uint64_t offset, size_t bytes,
		      const void *data);

/*
 * Makes the file durable, marks it as finished, tells the sink how to use it
 * and frees undo.  Removes a file that was created if nothing was saved.  NULL
 * does nothing.  Returns errno, explained, if the file may not be complete.
 */
errcode_t e4df_undo_close(struct e4df_undo *undo);

#endif
