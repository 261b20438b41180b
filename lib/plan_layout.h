/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_layout - part of plan: target layouts, and getting there
 *
 *	plan_layout.c	which file is to be where, by the policy's goal
 *	plan_whole.c	for E4DF_DEFRAG: the fragmented files between the others
 *	plan_pack.c	one file behind the other, area by area
 *	plan_compact.c	for E4DF_COMPACT: everything to the front
 *	plan_tight.c	which end is the nearest, and what is large there
 *	plan_close.c	for E4DF_OPTIMIZE: what is nearly in order, with less
 *	plan_sweep.c	the batches that lead there
 *	plan_agenda.c	which slots are next
 *	plan_home.c	whether what is in the way can go to its own place
 *
 * Units are the batcher's.
 */
#ifndef E4DF_PLAN_LAYOUT_H
#define E4DF_PLAN_LAYOUT_H

#include "plan_priv.h"

#define SLOT_TREE UINT32_MAX /* as `from`: for the mapping blocks */

/* Where a run of a file, or its mapping blocks, are to be. */
struct slot {
	blk64_t start;
	__u32 len;
	__u32 inode;
	__u32 from; /* blocks that the file has before the run */
};

/* The slots of a file follow each other, its mapping blocks' last. */
struct target {
	struct slot *v; /* (owned) */
	size_t count, alloc;
	__u32 *first; /* (owned) [inode] = 1 + its first slot, 0 = none */
};

errcode_t target_init(struct target *t, const struct batcher *b);
void target_release(struct target *t);
errcode_t target_add(struct target *t, __u32 inode, __u32 from, blk64_t start,
		     __u32 len);
/* Brings the slots into their order. */
void target_sort(struct target *t);
/* Gives the file a range for its data and, behind or in front, its mapping. */
errcode_t target_place(struct target *t, const struct batcher *b, __u32 inode,
		       blk64_t start, __u32 tree);
/* The slot that a block belongs to, by its dense position; NULL for none. */
const struct slot *target_find(const struct target *t, __u32 inode,
			       blk64_t dense);

/* plan_pack.c */

/* Mapping blocks that the file needs when it is contiguous. */
errcode_t pack_tree(const struct batcher *b, __u32 inode, __u32 *ret);
/*
 * Packs these files in their order into the ranges, which ascend.  What does
 * not fit into the rest of a range comes first in the next one, and files that
 * follow take the rest, in their order as far as they fit.
 */
errcode_t pack_files(struct target *t, const struct batcher *b,
		     const __u32 *files, __u32 count,
		     const struct e4df_runs *ranges);

/* plan_home.c */

/*
 * How much, from its start on, can be written to in this batch: it is free, or
 * was when a window reserved it.
 */
blk64_t home_part(const struct batcher *b, blk64_t at, blk64_t len);
/*
 * Blocks in [at, end) of a used range that cannot go to their slots now, and
 * would move twice.
 */
blk64_t home_missing(const struct batcher *b, const struct target *t,
		     const struct e4df_span *n, blk64_t at, blk64_t end);

/* plan_sweep.c */

/* Are the file's blocks in this slot? */
int sweep_is_in_place(const struct batcher *b, const struct slot *slot);

/* Are all files there, wherever their mapping blocks are? */
int sweep_is_over(const struct batcher *b, const struct target *t);

/*
 * Moves every file that has slots there, from the first slot to the last.
 * What is in the way goes to its own slots if they are free, else as far back
 * as possible; each file is whole again at the end.  *is_done says whether the
 * target was reached; if not there was too little room, or too small a log.
 * Mapping blocks may end elsewhere, and leave a hole each; with SWEEP_TREES
 * they are written as often as it takes, at the cost of some metadata.  With
 * SWEEP_PATIENT a slot waits as long as others are free, for what is in its
 * way to have gone, at the cost of more and smaller batches.
 */
#define SWEEP_TREES   0x1
#define SWEEP_PATIENT 0x2
errcode_t sweep_run(struct batcher *b, const struct target *t,
		    unsigned int flags, int *is_done);

/* plan_agenda.c */

/* A slot that could be next, and what that costs. */
struct choice {
	blk64_t foreign; /* blocks in it that must go elsewhere */
	blk64_t missing; /* of these, to no place of their own */
	blk64_t len;
	size_t todo; /* its index */
	__u32 inode;
};

/* The slots that are not in place yet. */
struct agenda {
	const struct batcher *b;     /* (borrowed) */
	const struct target *target; /* (borrowed) */
	const struct slot **todo;    /* (owned) by place; NULL = done */
	size_t todo_count;
	size_t next;		     /* all before it are done */
	struct choice *choices;	     /* (owned) */
	size_t choice, choice_count; /* those before `choice` are taken */
};

/* Returns ENOMEM; to be released in any case. */
errcode_t agenda_init(struct agenda *a, const struct batcher *b,
		      const struct target *t);
void agenda_release(struct agenda *a);
/*
 * Begins anew with what is not in place; mapping blocks only if they do not go
 * there with their data.
 */
void agenda_fill(struct agenda *a);
/*
 * The next choice, as it is now; NULL if there is none.  With *may_list, which
 * is cleared then, the choices may be compared anew for it.
 */
struct choice *agenda_next(struct agenda *a, int *may_list);

/* plan_whole.c */

errcode_t whole_make(struct target *t, const struct batcher *b);

/* plan_close.c */

/* The files in their order, of which those that are whole stay, mostly. */
errcode_t close_make(struct target *t, const struct batcher *b,
		     const __u32 *list, __u32 count);

/* plan_compact.c */

/* All files in front of an end that is as near as can be. */
errcode_t compact_make(struct target *t, const struct batcher *b,
		       const __u32 *list, __u32 count);

/* plan_tight.c */

/*
 * From an end in front of which there are blocks enough to the nearest one in
 * front of which each file finds a place; the same if there is none.
 */
errcode_t tight_end(const struct batcher *b, const __u32 *list, __u32 count,
		    blk64_t *end);
/* All files in front of it, if they can, and mostly in their order. */
errcode_t tight_make(struct target *t, const struct batcher *b,
		     const __u32 *list, __u32 count, blk64_t end);

/* plan_layout.c */

/* For sorting: what by, and then the order that there was. */
struct layout_keyed {
	blk64_t key;
	__u32 rank, inode;
};
int layout_compare(const void *a, const void *b);

/*
 * Takes so many blocks from the start of the tightest of holes that are listed
 * by length, as struct space has it.  Returns ENOMEM.
 */
errcode_t layout_take_hole(struct e4df_spans *holes, blk64_t need,
			   blk64_t *start, int *is_found);

/*
 * Makes the target of one pass, by policy->goal; with LAYOUT_ORDER for the
 * listed files alone, with LAYOUT_CLOSE for files that are nearly in order.
 */
#define LAYOUT_ORDER 0x1
#define LAYOUT_CLOSE 0x2
errcode_t layout_make(struct target *t, const struct batcher *b,
		      unsigned int flags);

/* Are directories at their places in the sequence? */
int layout_is_inline(const struct batcher *b);
/* Is it a directory, and these elsewhere than the sequence has them? */
int layout_is_apart(const struct batcher *b, __u32 inode);
/* The gap, in blocks, that a reader passes without a seek. */
blk64_t layout_near(const struct batcher *b);
/* Where a file's data end; it has some. */
blk64_t layout_end_of(const struct batcher *b, __u32 inode);

/* A layout in figures. */
struct layout_figures {
	__u64 files; /* in the sequence, without directories that are apart */
	__u64 jumps; /* of them not close behind the one before */
	/* For E4DF_OPTIMIZE, else 0. */
	__u64 gaps;   /* between two files, where directories belong */
	__u64 strays; /* of these: such as hold them if they are to be apart,
		       * or do not if they are to be inline */
	__u64 excess; /* runs */
	__u64 free_runs;
	blk64_t end;	   /* behind the last block that can move */
	blk64_t long_free; /* free blocks in runs of 1 MiB and more */
};

/* Measures a batcher without an open batch.  Returns ENOMEM. */
errcode_t layout_measure(const struct batcher *b, struct layout_figures *ret);
/* Are the files so nearly in order that they are not laid out anew? */
int layout_is_orderly(const struct layout_figures *f);
/* Is the free space in long runs, nearly all of it, or in few? */
int layout_is_gathered(const struct batcher *b, const struct layout_figures *f);
/* Is a layout worth having, for policy->goal? */
int layout_is_better(const struct batcher *b, const struct layout_figures *a,
		     const struct layout_figures *before);

#endif
