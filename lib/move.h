/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * move - layer 5: copies the batches' data; touches no metadata
 *
 * Two buffers take turns: while what is in one is written, and while the batch
 * is committed, the other one is filled with what comes next, also of the
 * batches behind it.
 */
#ifndef E4DF_MOVE_H
#define E4DF_MOVE_H

#include "load.h"
#include "plan.h"
#include "volume.h"

struct e4df_mover;

/* The least memory that is enough. */
#define E4DF_MOVER_LEAST (16ULL << 20)

/*
 * What is read and written at once with so many bytes of memory; 0: a tenth of
 * what the machine has, up to 1 GiB.
 */
struct e4df_load_limits e4df_mover_limits(uint64_t memory,
					  unsigned int block_size);

/*
 * For the batches of a plan (borrowed), with threads and buffers.  They take no
 * more than so many bytes, or E4DF_MOVER_LEAST.  Returns ENOMEM.
 */
errcode_t e4df_mover_new(struct e4df_volume *vol, const struct e4df_plan *plan,
			 uint64_t memory, struct e4df_mover **ret);

/* Waits for what is being read.  Accepts NULL. */
void e4df_mover_free(struct e4df_mover *mover);

/*
 * Copies all moves of the plan's i-th batch; those before were copied in their
 * order, and are committed.  Read in physical order, written in physical order.
 * What is written is not durable before the commit's first flush (I3).  May
 * write exactly the blocks that the batch takes (I1, I2).  Adds to *done the
 * bytes copied.  If blocks cannot be read, some of each move that has such are
 * in `bad` (canonical), nothing more is written, and E4DF_ET_UNREADABLE is
 * returned.  Also errno, ENOMEM or E4DF_ET_CANCELLED; nothing refers to what
 * was written.  After an error the mover can only be freed.
 */
errcode_t e4df_mover_move(struct e4df_mover *mover, size_t i, uint64_t *done,
			  uint64_t total, struct e4df_runs *bad);

#endif
