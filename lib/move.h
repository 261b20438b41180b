/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * move - layer 4: copies one batch's data; touches no metadata
 */
#ifndef E4DF_MOVE_H
#define E4DF_MOVE_H

#include "batch.h"
#include "volume.h"

/*
 * Copies all moves of the batch, in pieces of a bounded buffer: read in
 * physical order, written in physical order.  What is written is not durable
 * before the commit's first flush (I3).  May write exactly the blocks that
 * the batch takes (I1, I2).  Adds to *done the bytes copied.  If blocks cannot
 * be read, some of each move that has such are in `bad` (canonical), nothing
 * more is written, and E4DF_ET_UNREADABLE is returned.  Also errno, ENOMEM or
 * E4DF_ET_CANCELLED; nothing refers to what was written.
 */
errcode_t e4df_move(struct e4df_volume *vol, const struct e4df_batch *batch,
		    uint64_t *done, uint64_t total, struct e4df_runs *bad);

#endif
