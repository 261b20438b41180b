/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xjournal - layer 1: a journal that we do not write must be idle
 *
 * What such a log still holds would be replayed over our changes.
 */
#ifndef E4DF_XJOURNAL_H
#define E4DF_XJOURNAL_H

#include "event.h"
#include "jbd2_disk.h"

/*
 * A journal that is marked clean in the superblock but holds a transaction is
 * dropped by the kernel and replayed by e2fsck -f; e2fsck -p stops at it.  An
 * error number in it is an error mark that has not reached the superblock.
 * Returns E4DF_ET_BAD_JOURNAL or E4DF_ET_ERROR_FS, explained.  What is not a
 * journal's superblock is left to who uses the journal.
 */
errcode_t e4df_xjournal_check_idle(const struct jbd2_super *jsb,
				   const char *path, struct e4df_sink *sink);

/*
 * Finds the external journal with this uuid, at `journal` if that is not NULL,
 * and looks whether it is idle.  path names the file system in messages.
 * Returns E4DF_ET_NO_JOURNAL, E4DF_ET_BAD_JOURNAL, E4DF_ET_ERROR_FS or errno,
 * explained.
 */
errcode_t e4df_xjournal_check(const char *journal, const unsigned char uuid[16],
			      const char *path, struct e4df_sink *sink);

#endif
