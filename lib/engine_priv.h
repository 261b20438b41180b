/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_priv - a run, for the engine's own files only
 *
 *	engine.c	the phases
 *	engine_move.c	one of them: the batches, in their order
 */
#ifndef E4DF_ENGINE_PRIV_H
#define E4DF_ENGINE_PRIV_H

#include <time.h>

#include "engine.h"
#include "journal.h"
#include "namespace.h"
#include "verify.h"

struct run {
	/* Immutable. */
	const struct e4df_options *options; /* (borrowed) */
	struct e4df_sink *sink;		    /* (borrowed) */
	struct timespec start;		    /* by the monotonic clock */
	/* Mutable: what the phases make, in their order. */
	struct e4df_volume *vol;      /* (owned) */
	struct e4df_map *map;	      /* (owned) */
	uint64_t scan_bytes;	      /* that reading it took */
	struct e4df_namespace *names; /* (owned) NULL behind the plan */
	__u32 *met;		      /* (owned) indices in readdir order */
	__u32 met_count;
	unsigned char *is_wanted; /* (owned) NULL if all are */
	struct e4df_order order;
	struct e4df_outcome *outcome; /* the caller's */
	struct e4df_journal *journal; /* (owned) NULL: in order, without */
	struct e4df_plan *plan;	      /* (owned) of what is still to do */
	unsigned char *seen;	      /* (owned) SEEN_ of each inode */
	struct e4df_digests *digests; /* (owned) before moving */
	struct e4df_mover *mover;     /* (owned) while the batches are done */
	uint64_t sample_bytes;	      /* read to measure a rate */
	int has_begun;		      /* to write */
};

#define SEEN_DONE    0x1 /* changed by a batch that is done */
#define SEEN_PLANNED 0x2 /* to be changed by the plan */

/* engine.c */

/* What is left as it is, and why. */
void engine_tell_skipped(struct run *run);
/* SEEN_, for all files that the batch changes. */
void engine_mark_seen(struct run *run, const struct e4df_batch *batch,
		      unsigned char flag);
/*
 * The files with these blocks stay; the rest is planned anew.  bad is empty
 * then.
 */
errcode_t engine_plan_without(struct run *run, struct e4df_runs *bad);
/* Where the run has come to, or would come; that cannot fail. */
void engine_take_end(struct run *run);

/* engine_move.c: the phase */
errcode_t engine_move(struct run *run);

#endif
