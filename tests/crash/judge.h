/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * judge - is what a crash has left what was promised?
 *
 * Recovery is that of the stock tools: `e2fsck -p -E journal_only' (-p and not
 * -y: that is what runs at boot, and where -y asks, -p gives up), or a mount
 * by the kernel.  Then `e2fsck -fn' must find nothing at all to repair, and
 * the digest of all files, and the boot block, must be what they were.
 *
 * Different crashes often leave the same image, and the same image is judged
 * once: crashes that look alike before the recovery are not recovered again,
 * and those that look alike behind it, but for what is left in the empty log,
 * are not checked again.
 */
#ifndef TESTS_CRASH_JUDGE_H
#define TESTS_CRASH_JUDGE_H

#include "disk.h"

enum judge_recovery {
	JUDGE_E2FSCK,
	JUDGE_MOUNT, /* needs root */
};

enum judge_verdict {
	JUDGE_GOOD,
	JUDGE_SEEN, /* as an earlier one, which was good */
	JUDGE_BAD,
};

/* A set of sums. */
struct judge_set {
	uint64_t *v; /* (owned) 0 = empty slot */
	size_t count, alloc;
};

struct judge {
	/* Immutable. */
	struct disk *disk;  /* (borrowed) */
	const char *work;   /* (borrowed) the file's name */
	const char *imgsum; /* (borrowed) the digest tool */
	char wanted[64];    /* its answer for the files as they were */
	char boot[1024];    /* the boot block, which nobody else looks at */
	/* Mutable. */
	struct judge_set before; /* recovery, by kind of recovery */
	struct judge_set behind; /* recovery: found good */
	uint64_t recovered, checked;
	const char *reason; /* (borrowed) why bad */
};

/*
 * The disk must be at its start.  Runs programs in the current directory,
 * where it makes the files `log' and `sum' and the directory `mnt'.
 */
void judge_open(struct judge *judge, struct disk *disk, const char *work,
		const char *imgsum);
void judge_close(struct judge *judge);

/*
 * Recovers and checks the disk's work.  What the programs said is in the file
 * `log'; a bad image is left as the recovery left it.
 */
enum judge_verdict judge_work(struct judge *judge, enum judge_recovery how);

#endif
