/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * judge - is what a crash has left what was promised?
 *
 * JOURNALED: before any recovery the digest of all files is what it was, for
 * readers that ignore the journal (I10).  Recovery is that of the stock tools:
 * `e2fsck -p -E journal_only' (-p and not -y: that is what runs at boot, and
 * where -y asks, -p gives up), or a mount by the kernel.
 *
 * ORDERED: before any repair the digest of all files is what it was, no block
 * of them is marked as free, and, for the states that are mounted, what the
 * kernel shows is what it was as well.  Then `e2fsck
 * -p' repairs, or `e2fsck -fy' where -p gives up, which is counted apart.
 *
 * Either way `e2fsck -fn' must then find nothing at all to repair, and the
 * digest of all files, and the boot block, must be what they were (I8).
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

struct judge_options {
	const char *work;    /* (borrowed) the file's name */
	const char *journal; /* (borrowed) of an external one; NULL: none */
	const char *treesum; /* (borrowed) the tool; NULL: no mounts */
	int is_ordered;
	int is_converted; /* files may come to be mapped by extents */
};

struct judge {
	/* Immutable. */
	const struct judge_options *options; /* (borrowed) */
	struct disk *disk;		     /* (borrowed) */
	uint64_t files;			     /* their digest as they were */
	uint64_t view;	     /* of what the kernel showed; ordered */
	char boot[1024];     /* the boot block, which nobody else looks at */
	char *journal;	     /* (owned) what is in the external one */
	size_t journal_size; /* bytes */
	/* Mutable. */
	struct judge_set before; /* recovery, by kind of recovery */
	struct judge_set behind; /* recovery: found good */
	uint64_t recovered, checked;
	uint64_t gave_up;   /* times that e2fsck -p did */
	const char *reason; /* (borrowed) why bad */
};

/*
 * The disk must be at its start.  Runs programs in the current directory,
 * where it makes the files `log' and `view' and the directory `mnt'.
 */
void judge_open(struct judge *judge, struct disk *disk,
		const struct judge_options *options);
void judge_close(struct judge *judge);

/*
 * Recovers and checks the disk's work.  What the programs said is in the file
 * `log'; a bad image is left as the recovery left it.
 */
enum judge_verdict judge_work(struct judge *judge, enum judge_recovery how);

#endif
