/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commit - layer 5: turns one batch into one transaction
 *
 * Every metadata block that the batch changes is staged in the journal with
 * its final checksum (I4): inode table blocks, mapping blocks, block bitmaps,
 * group descriptors, the superblock.  Touches no data.
 */
#ifndef E4DF_COMMIT_H
#define E4DF_COMMIT_H

#include "journal.h"
#include "map.h"
#include "volume.h"

/*
 * Commits and checkpoints; the batch's data has been written.  map is still
 * the layout before the batch.  On an error before the commit block nothing
 * has happened and e4df_journal_is_clean() says so.  Returns
 * E4DF_ET_INCONSISTENT if a bitmap is not as the map has it, E4DF_ET_TOO_LARGE
 * and what journal returns.
 */
errcode_t e4df_commit(struct e4df_volume *vol, struct e4df_journal *journal,
		      const struct e4df_map *map,
		      const struct e4df_batch *batch);

#endif
