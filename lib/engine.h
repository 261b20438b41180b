/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine - layer 6: the phases in order, the batch loop, the cancel point
 *
 *	open      volume: fit and held?
 *	scan      the map, checked against the bitmaps
 *	plan      batches of moves, or none
 *	move      each batch: copy, commit, checkpoint      (writes)
 *	verify    scan again, compare with what was planned
 */
#ifndef E4DF_ENGINE_H
#define E4DF_ENGINE_H

#include <signal.h>

#include "event.h"
#include "gate.h"
#include "move.h"
#include "order.h"
#include "outcome.h"
#include "plan.h"
#include "scope.h"

#define E4DF_RUN_REPORT 0x1   /* open and scan only */
#define E4DF_RUN_DRY	0x2   /* plan as well, write nothing */
#define E4DF_RUN_REPAIR 0x4   /* e2fsck -p first if not clean */
#define E4DF_RUN_VERIFY 0x8   /* digest what moves, before, after */
#define E4DF_RUN_REUNDO 0x80  /* replace an undo file that does not fit */
#define E4DF_RUN_TIMED	0x100 /* stop behind a step when time is over */

/* What is moved, or done, besides. */
#define E4DF_RUN_MOVE_IMMUTABLE 0x10 /* immutable and append-only files */
#define E4DF_RUN_MOVE_BOOT	0x20 /* below /boot with a boot sector */
#define E4DF_RUN_CONVERT	0x40 /* block maps become extent trees */

#define E4DF_RUN_INLINE 0x200 /* E4DF_OPTIMIZE: directories among files */

enum e4df_phase {
	E4DF_PHASE_OPEN = 1,
	E4DF_PHASE_SCAN,
	E4DF_PHASE_PLAN,
	E4DF_PHASE_MOVE,
	E4DF_PHASE_VERIFY,
};

struct e4df_options {
	const char *path;    /* (borrowed) */
	uint64_t offset;     /* bytes, of the file system in path */
	const char *journal; /* (borrowed) an external one; NULL: look for it */
	const char *undo;    /* (borrowed) where old contents are saved; NULL:
			      * nowhere.  Of no use with REPORT and DRY */
	unsigned int flags;  /* E4DF_RUN_ */
	enum e4df_goal goal;
	uint64_t good_run;     /* bytes; longer runs are not joined; 0: all */
	uint64_t max_write;    /* bytes of data to copy; 0: no limit */
	uint64_t time;	       /* seconds from the start, with TIMED */
	uint64_t rate;	       /* bytes a second, with DRY; 0: measure it */
	uint64_t memory;       /* bytes for copying; 0: see move.h */
	unsigned int order_at; /* percent of the file system */
	struct e4df_scope_options scope;
	struct e4df_order_options order;
	const volatile sig_atomic_t *cancel; /* (borrowed) stop when set */
	const struct e4df_gate_tap *tap;     /* (borrowed) NULL for none */
};

/*
 * Does one run.  *ret is set as soon as the scan is done, also when an error
 * follows, so that what happened can be reported; it is the caller's to
 * free.  Errors: those of the phases, E4DF_ET_CANCELLED (the file system is
 * clean, the rest of the plan undone), E4DF_ET_VERIFY, E4DF_ET_UNREADABLE (all
 * else is done).  sink->now.name is the phase that failed.
 *
 * With max_write the plan copies no more; with TIMED at least one batch is
 * done, and none begun when the time is over.  Both end well, with `stopped`
 * set, and the next run goes on from there.
 *
 * Files with blocks that cannot be read are found when they are to be moved.
 * They then stay, and the rest is planned anew; the planned figures become
 * those of what is done and what the new plan is to do.
 */
errcode_t e4df_run(const struct e4df_options *options, struct e4df_sink *sink,
		   struct e4df_outcome **ret);

#endif
