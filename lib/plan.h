/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan - layer 4, pure: which blocks go where, in which batches
 *
 * A pass makes a target from the map, a place for each file that is to move,
 * and then the batches that lead there (plan_layout.h):
 *
 *	defrag	  files that are whole stay, and runs of good_run and longer;
 *		  the fragmented files choose among the holes between them, the
 *		  largest first, by what is there already and what is in the
 *		  way.  Smaller files make way where there is no hole, and
 *		  where it lets more of a larger one stay;
 *	compact	  files that are whole and in front stay, and those behind them
 *		  fill the holes; where too much finds none, all close up;
 *	optimize  all files in their order, directories at the front of their
 *		  flex groups, or with INLINE at their places in the order, and
 *		  then mapping blocks in front of what they map; where all are
 *		  nearly so, only fragmented files move, and as many from the
 *		  rear as it takes to close the holes.
 *
 * Cost is counted in blocks to write.  What the targets leave fragmented goes
 * through the files one by one: to a free run, around one of its own runs, to
 * a window that is cleared first, or to fewer and larger pieces.
 *
 * Each pass works on the layout that the one before would leave, until one
 * improves nothing; that one is dropped.  So a second run, which would begin
 * with the same pass, changes nothing (P5), and the outcome depends on nothing
 * but the map and the policy (P4).  No file ends with more excess runs than it
 * had, but for those that a list asks to make room.  Extent trees that are
 * larger than need be are rebuilt, and block maps converted, when no data is
 * left to move.
 *
 * Where defrag would leave more free runs than there were, small runs of files
 * fill some of them or leave the place between two, each as a whole: with up to
 * 2 % of the blocks that are copied, or 1024 if that is more, and within
 * max_blocks.  That is enough for file systems in use; it need not be for a map
 * of nothing but odd ends.  Where less than 5 % is free such a plan is made again
 * for half of the files, those that are worth most for their blocks, and so on,
 * and then anew from there: so there are never more, but for what a list takes,
 * and with E4DF_POLICY_CONVERT.  A plan that leaves no more of them anyway is not
 * changed.
 *
 * An xattr block is never fragmented, and only moves out of the way.  One
 * whose owners cannot all switch to a new place at once stays.
 *
 * With bigalloc all of this is done in clusters (cluster.h), each of which
 * moves as a whole.
 *
 * Blocks that a batch gives up are not taken again in the same batch (I2, I5).
 *
 * Memory: a plan takes 20 bytes for each move, 16 for each file that a batch
 * changes, and 8 for each mapping block.  While it is made the space takes 30
 * for each used range and twice that for each free one, and each inode 72;
 * files that have changed, 16 for each extent.
 */
#ifndef E4DF_PLAN_H
#define E4DF_PLAN_H

#include <signal.h>

#include "map.h"

#define E4DF_POLICY_CONVERT 0x1 /* block maps become extent trees */
#define E4DF_POLICY_ORDERED 0x2 /* no journal: sectors switch one by one */
#define E4DF_POLICY_INLINE  0x4 /* for E4DF_OPTIMIZE: directories among files */

/* What a plan is for. */
enum e4df_goal {
	E4DF_DEFRAG,   /* every file to its ideal, with the fewest bytes */
	E4DF_OPTIMIZE, /* all files in their order, free space in few runs */
	E4DF_COMPACT,  /* everything to the front, files contiguous */
};

struct e4df_policy {
	enum e4df_goal goal;
	unsigned int flags;   /* E4DF_POLICY_ */
	blk64_t batch_blocks; /* data after which a batch is closed */
	__u32 log_blocks;     /* metadata blocks of one transaction; with
			       * a journal without new mapping blocks, of
			       * which there may be as many besides */
	blk64_t good_run;     /* blocks; a run as long as this is not moved
			       * only to be joined; 0: every run is */
	blk64_t max_blocks;   /* data to copy at most; 0: no limit */
	/*
	 * (borrowed) The sequence of files, as indices of the map; all but
	 * E4DF_DEFRAG lay out in it, and it lays these out first, together.
	 * Inodes that are not in it follow as they are in the map.
	 */
	const __u32 *order;
	__u32 order_count;
	__u32 order_listed; /* the first so many were asked for by name */
	blk64_t order_at;   /* the block from which on these are placed */
	/* (borrowed) For each inode, is it to be improved?  NULL: all are. */
	const unsigned char *is_wanted;
	const volatile sig_atomic_t *cancel; /* (borrowed) NULL for none */
};

struct e4df_plan;

/*
 * Plans from a const map.  *ret is the caller's to free.  Returns ENOMEM,
 * E4DF_ET_CANCELLED, or E4DF_ET_OVERFLOW for a map that contradicts itself.
 */
errcode_t e4df_plan_build(const struct e4df_map *map,
			  const struct e4df_policy *policy,
			  struct e4df_plan **ret);

/* Does a policy with this good_run, in blocks, leave the file as it is? */
int e4df_plan_is_good(const struct e4df_map *map, __u32 index,
		      blk64_t good_run);

void e4df_plan_free(struct e4df_plan *plan);

size_t e4df_plan_count(const struct e4df_plan *plan);
/* All of them; NULL if there is none. */
const struct e4df_batch *e4df_plan_batches(const struct e4df_plan *plan);
const struct e4df_batch *e4df_plan_batch(const struct e4df_plan *plan,
					 size_t i);

/* Was more to do than policy->max_blocks allows? */
int e4df_plan_is_limited(const struct e4df_plan *plan);

/* Data blocks that all batches together copy. */
blk64_t e4df_plan_copy_blocks(const struct e4df_plan *plan);

#endif
