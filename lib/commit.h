/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commit - layer 5: makes one batch happen
 *
 * Stages every metadata block that the update changes, with its final checksum
 * (I4): inode table blocks, mapping and xattr blocks, block bitmaps, group
 * descriptors, the superblock, and the usage in quota files, which counts
 * mapping blocks.  With a journal those that were in use are one transaction,
 * and mapping and xattr blocks, which are new, are written before it as data
 * are; without one all are written in an order in which no moment is dangerous.
 * Touches no data.
 */
#ifndef E4DF_COMMIT_H
#define E4DF_COMMIT_H

#include "journal.h"
#include "map.h"
#include "volume.h"

/*
 * Commits, and checkpoints; the batch's data has been written.  map is still
 * the layout before the batch, from which the update was made.  journal may be
 * NULL.  After an error e4df_journal_is_clean() or, without a journal, a gate
 * that is not stopped says that nothing has happened.  Returns
 * E4DF_ET_INCONSISTENT if a bitmap or an xattr block is not as the map has it,
 * E4DF_ET_TOO_LARGE, ENOMEM and what the gate returns.
 */
errcode_t e4df_commit(struct e4df_volume *vol, struct e4df_journal *journal,
		      const struct e4df_map *map,
		      const struct e4df_update *update);

#endif
