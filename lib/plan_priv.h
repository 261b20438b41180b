/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_priv - what the parts of plan share; their unit test includes it besides
 *
 *	plan_space.c	which block is whose while planning
 *	plan_mapping.c	formats, block extents, mapping blocks
 *	plan_batch.c	changed files, and closing a batch
 *	plan_build.c	what a batch is made of then
 *	plan_dense.c	positions in a file, without its holes
 *	plan_choose.c	choosing a place for a file
 *	plan_window.c	clearing it and moving in
 *	plan_pass.c	that for one fragmented file after the other
 *	plan_gather.c	fewer free runs with few moves
 *	plan_xattr.c	what moving an xattr block takes
 *	plan_layout.h	target layouts, and getting there
 *	plan.c		passes of all kinds, until none is better
 *	plan_budget.c	as much of it as there may be
 *
 * With bigalloc all this counts in clusters, from when a batcher is made from
 * the map to when it closes a batch: only there are block extents turned into
 * clusters and back (cluster.h), and only the number of a file's mapping
 * blocks follows from block extents.
 */
#ifndef E4DF_PLAN_PRIV_H
#define E4DF_PLAN_PRIV_H

#include "plan.h"
#include "spans.h"

/* Owners of used ranges that are not files. */
#define OWNER_PENDING  0xfffffffdU /* given up in this batch */
#define OWNER_RESERVED 0xfffffffeU /* part of a window being cleared */
#define OWNER_FILES    0xfffffff0U /* below: an index into the map */

#define LBLK_TREE UINT32_MAX /* a mapping block, not data */
/* Reserved when it was free, so that this batch can write to it. */
#define LBLK_OPEN LBLK_TREE

/* Physical space.  Fixed blocks are in neither set. */
struct space {
	struct e4df_spans used;	   /* by start; owner, lblk */
	struct e4df_spans free_at; /* by start */
	struct e4df_spans free_by; /* by length: key = len, len = start */
	int has_by;		   /* since space_index() */
	blk64_t free_blocks;
};

/* A file's layout while planning; as in the map until it changes. */
struct file {
	struct e4df_extent *v; /* (owned) NULL = the map's */
	__u32 data, tree;      /* while dirty the tree is in dirty->old */
	__u32 alloc;	       /* of v */
	__u32 blocks;	       /* of data */
	__u32 ideal;
	union {
		__u32 map_blocks; /* mapping blocks of a block map, always */
		__u32 cuts;	  /* else, with bigalloc: extents that it has
				   * anyway */
	};
	__u32 switches : 28;  /* blocks that its change needs in any case:
			       * inode tables; an xattr block itself */
	__u32 has_holes : 1;  /* so that a dense position is not its lblk */
	__u32 has_long : 1;   /* runs that are not moved to be joined */
	__u32 is_waiting : 1; /* for its window: must not be disturbed */
	__u32 is_whole : 1;   /* must not be displaced in pieces (again) */
	__u32 dirty;	      /* 1 + index into batcher->dirty; 0 = clean */
};
_Static_assert(sizeof(struct file) <= 40, "there are as many as inodes");

/* A file that the open batch changes, with its layout before. */
struct dirty {
	struct e4df_extent *old; /* (owned if is_owned) */
	__u32 data, tree;
	__u32 inode;
	__u32 promised; /* mapping blocks it may need */
	/* Data extents before and behind all that change: the same in both
	 * layouts; each is all of them while nothing does. */
	__u32 head, tail;
	int is_owned;
	int must_rebuild; /* its mapping blocks must move */
};

/* A file with holes: see plan_dense.c. */
struct sparse {
	__u32 inode;
	__u32 marks; /* index of its first one */
};

struct batcher {
	/* Immutable. */
	const struct e4df_map *blocks;	      /* (borrowed) */
	const struct e4df_map *map;	      /* blocks, or clusters of them */
	const struct e4df_policy *policy;     /* (borrowed) */
	const struct e4df_geometry *geometry; /* (borrowed from map) */
	struct e4df_map *clusters; /* (owned) NULL without bigalloc */
	unsigned int bits;	   /* a cluster is 2^bits blocks */
	struct sparse *sparse;	   /* (owned) files with holes, by inode */
	size_t sparse_count, sparse_alloc;
	__u32 *marks; /* (owned) of these files */
	size_t mark_count, mark_alloc;
	/* Mutable. */
	struct space space;
	struct file *files;  /* (owned) one for each inode */
	struct dirty *dirty; /* (owned) */
	size_t dirty_count, dirty_alloc;
	blk64_t switches;	  /* of all dirty files */
	struct e4df_runs pending; /* given up in this batch */
	__u32 *group_stamp;	  /* (owned) batch that last used it */
	__u32 groups_used;
	size_t noted_count;  /* dirty files whose old groups are among them */
	blk64_t noted;	     /* where the group that was last used begins */
	blk64_t promised;    /* free blocks for mapping blocks */
	blk64_t copy_blocks; /* data moved in this batch, at most */
	blk64_t cleared;     /* longest run free with its end */
	__u32 *broken;	     /* (owned) contiguous files displaced
					 * in pieces: to be placed again */
	size_t broken_count, broken_alloc;
	__u64 effort;		    /* spent on looking for windows */
	__u32 serial;		    /* number of the open batch, from 1 */
	struct e4df_batch *batches; /* (owned) closed ones */
	size_t batch_count, batch_alloc;
};

/* plan.c */
/* Plans without a budget.  *after is where that leads, and the caller's, too. */
errcode_t plan_all(const struct e4df_map *map, const struct e4df_policy *policy,
		   struct e4df_plan **ret, struct e4df_map **after);
/* Moves all batches of a plan that is to follow behind this one's. */
errcode_t plan_append(struct e4df_plan *plan, struct e4df_plan *more);
/* It does not do all that there is to do. */
void plan_set_limited(struct e4df_plan *plan);
/* Is the inode to be improved? */
int plan_is_wanted(const struct e4df_policy *policy, __u32 inode);
/* Takes over a pass's batches, and brings the map to where they lead. */
errcode_t plan_keep(struct e4df_plan *plan, struct batcher *b,
		    struct e4df_map *map);
/* Forgets all batches but the first so many. */
void plan_drop(struct e4df_plan *plan, size_t count);

/* plan_space.c */
errcode_t space_add_free(struct space *space, blk64_t start, blk64_t len);
errcode_t space_init(struct space *space, const struct e4df_map *map);
/* Before free_by is used: most passes do without, in half the time. */
errcode_t space_index(struct space *space);
void space_release(struct space *space);
/* Free blocks become a used range. */
errcode_t space_take(struct space *space, blk64_t start, blk64_t len,
		     __u32 owner, __u32 lblk);
/* Used blocks change their owner. */
errcode_t space_change(struct space *space, blk64_t start, blk64_t len,
		       __u32 owner, __u32 lblk);
/* Used blocks become free. */
errcode_t space_give(struct space *space, blk64_t start, blk64_t len);
/* The used range that holds blk; NULL if blk is free or fixed. */
const struct e4df_span *space_owner(const struct space *space, blk64_t blk);
/* That one, or the first behind blk; NULL if there is none. */
const struct e4df_span *space_next(const struct space *space, blk64_t blk);
/* How much of it is free from its start on. */
blk64_t space_free_part(const struct space *space, blk64_t start, blk64_t len);
/* Start of a free run of len or more, at or behind goal, else anywhere. */
int space_find_near(const struct space *space, blk64_t goal, blk64_t len,
		    blk64_t *ret);
/* The shortest free run of len or more; else the longest there is; indexed. */
int space_find_tight(const struct space *space, blk64_t len, blk64_t *ret,
		     blk64_t *ret_len);
/* The end of the last free run of len or more. */
int space_find_last(const struct space *space, blk64_t len, blk64_t *ret);
/* The end of the last free run, len blocks of it if it has so many. */
int space_find_rear(const struct space *space, blk64_t len, blk64_t *ret,
		    blk64_t *ret_len);

/*
 * What is pending in these ranges becomes free, neighbours at once; what a
 * window took meanwhile stays.  The ranges are sorted.
 */
errcode_t space_settle(struct space *space, struct e4df_runs *ranges);
/* What is reserved still becomes free.  Returns ENOMEM. */
errcode_t space_unreserve(struct space *space);
/*
 * What no file uses in the areas, in blocks where a unit is 2^bits of them.
 * Returns ENOMEM.
 */
errcode_t space_list_free(const struct space *space,
			  const struct e4df_runs *areas, unsigned int bits,
			  struct e4df_runs *ret);

/* plan_mapping.c */

/* A file's data in block extents. */
struct layout {
	const struct e4df_extent *v;
	struct e4df_extent *own; /* (owned) NULL where v is borrowed */
	__u32 count;
};

/* Layouts of a file, in the planner's units, as block extents. */
errcode_t mapping_layout(struct layout *ret, const struct batcher *b,
			 __u32 inode, const struct e4df_extent *v, __u32 count);
/* What a change of the file makes its mapping. */
enum e4df_format mapping_format(const struct batcher *b, __u32 inode);
/* Mapping blocks of the layout as planned so far, and at most. */
errcode_t mapping_blocks(const struct batcher *b, __u32 inode, __u32 *ret);
__u32 mapping_bound(const struct batcher *b, __u32 inode, __u32 pieces);
/* Has a file that is clean the format it is to have, and no block too many? */
errcode_t mapping_check(const struct batcher *b, __u32 inode, int *is_best);
/* plan_batch.c */
errcode_t batcher_init(struct batcher *b, const struct e4df_map *map,
		       const struct e4df_policy *policy);
/* The same in two steps: without space there is nothing to change yet. */
errcode_t batcher_init_files(struct batcher *b, const struct e4df_map *map,
			     const struct e4df_policy *policy);
errcode_t batcher_init_space(struct batcher *b);
void batcher_release(struct batcher *b);
/* The file's data extents as planned so far. */
const struct e4df_extent *batcher_layout(const struct batcher *b, __u32 inode);
/* Has the file no more runs than its ideal? */
int batcher_is_ideal(const struct batcher *b, __u32 inode);
/*
 * Can the open batch also change this file, moving up to `copy` blocks to up
 * to `need` blocks that are free now, in up to `pieces` more extents?
 */
int batcher_has_room(struct batcher *b, __u32 inode, blk64_t copy, blk64_t need,
		     __u32 pieces);
/* Marks a file as changed by the open batch; its layout may be edited. */
errcode_t batcher_touch(struct batcher *b, __u32 inode);
/* Replaces [lblk, lblk + len), within one extent, by pieces of that length. */
errcode_t batcher_edit(struct batcher *b, __u32 inode, __u32 lblk, __u32 len,
		       const struct e4df_extent *piece, __u32 count);
/* Replaces the whole layout; v is taken over. */
void batcher_replace(struct batcher *b, __u32 inode, struct e4df_extent *v,
		     __u32 count);
/*
 * The file gives up a range that it has now: reserved for the window being
 * cleared, else free at once if it was taken in this batch, else pending.
 */
errcode_t batcher_vacate(struct batcher *b, __u32 inode,
			 const struct e4df_extent *e, int is_reserved);
/* The file gets new mapping blocks in this batch, no more than it needs. */
errcode_t batcher_rebuild_tree(struct batcher *b, __u32 inode);
/* The mapping block at blk must go elsewhere in this batch. */
errcode_t batcher_displace_tree(struct batcher *b, __u32 inode, blk64_t blk);
/* Takes free blocks for a file. */
errcode_t batcher_take(struct batcher *b, __u32 inode,
		       const struct e4df_extent *e);
/* The same with blocks that are reserved. */
errcode_t batcher_occupy(struct batcher *b, __u32 inode,
			 const struct e4df_extent *e);
/*
 * Moves a range of a file, within one extent, to blocks that are reserved; with
 * is_out to free ones, and what it gives up is reserved.
 */
errcode_t batcher_move(struct batcher *b, __u32 inode,
		       const struct e4df_extent *old, blk64_t to, int is_out);
/* Ends the open batch, if it has any change, and begins the next. */
errcode_t batcher_close(struct batcher *b);
/*
 * Brings its map to where all closed batches lead; after that, and after an
 * error, the batcher can only be released.  The map's mapping blocks have no
 * lblk then: planning needs none.
 */
errcode_t batcher_apply(struct batcher *b, struct e4df_map *map);

/* plan_build.c */
/*
 * The open batch's changes, with new mapping blocks, as a batch to be carried
 * out.  Files that it leaves as they were are none; no file is dirty then.
 */
errcode_t build_batch(struct batcher *b, struct e4df_batch *ret);

/*
 * plan_dense.c
 *
 * Dense position: the number of blocks that a file has before one of its
 * blocks.  Each of these takes a logarithm of the file's extents.
 */
/* Before any other, once for each file, in their order. */
errcode_t dense_init(struct batcher *b, __u32 inode);
/* Of a logical block that the file has. */
blk64_t dense_of(const struct batcher *b, __u32 inode, __u32 lblk);
/* The extent, as planned so far, with a position; *begin is the extent's. */
const struct e4df_extent *dense_find(const struct batcher *b, __u32 inode,
				     __u32 dense, blk64_t *begin);
/*
 * Is a used range data of the file, and where it would be if the file's dense
 * position `from` were at start?
 */
int dense_is_in_place(const struct batcher *b, const struct e4df_span *n,
		      __u32 inode, blk64_t from, blk64_t start);
/* The index of the first extent that ends behind lblk; count if none does. */
__u32 dense_extent(const struct e4df_extent *v, __u32 count, __u32 lblk);

/* plan_pass.c */
/* Runs beyond the ideal, of all movable files. */
__u64 pass_excess(const struct batcher *b);
/*
 * One pass on `map`, which follows: the files that are to be improved, one
 * after the other, with CHOOSE_ flags.  It counts only if it leaves fewer
 * excess runs in all, so the passes come to an end; and no file in more pieces
 * that was at its ideal, else it is made again without breaking up those files,
 * and at last without breaking up any.
 */
errcode_t pass_run(struct e4df_plan *plan, struct e4df_map *map,
		   const struct e4df_policy *policy, unsigned int flags,
		   int *is_better);

/* plan_xattr.c */
/* Blocks that moving an xattr block changes: itself, its owners' tables. */
__u32 xattr_switches(const struct e4df_map *map, __u32 index);
/* Fixes the xattr blocks that the policy gives no way to move. */
errcode_t xattr_pin(struct e4df_map *map, const struct e4df_policy *policy);

/* plan_choose.c */
#define MAX_PIECES 64

/* A place for a file: pieces in the order of its blocks. */
struct place {
	struct e4df_range piece[MAX_PIECES];
	__u32 count;
	blk64_t spare;	/* blocks to clear behind the last piece */
	blk64_t cost;	/* blocks to write */
	int must_clear; /* something else is there now */
};

#define CHOOSE_PIECES 0x1 /* several free runs, if better than now */
#define CHOOSE_CLEAR  0x2 /* windows to be cleared, too */

/* Where a file would be near its inode: the first block of that group. */
blk64_t choose_goal(const struct batcher *b, __u32 inode);
/* Is there a free run that holds the file, which needs no more than one? */
int choose_is_placeable(const struct batcher *b, __u32 inode);

/* The cheapest place for the file; *is_found tells whether there is one. */
errcode_t choose_place(struct batcher *b, __u32 inode, unsigned int flags,
		       struct place *ret, int *is_found);

/* plan_window.c */

/*
 * Empties a place and reserves it; its spare becomes free with the open
 * batch.  flush is called when that is full: it closes it, and may settle
 * other files.  *is_done tells whether it was possible; if not, the place is
 * given back as far as it was empty.
 */
errcode_t window_clear(struct batcher *b, __u32 inode,
		       const struct place *place, errcode_t (*flush)(void *ctx),
		       void *ctx, int *is_done);

/* Gives a reserved place back. */
errcode_t window_abandon(struct batcher *b, const struct place *place);

/* Moves the file into a place that is free or reserved for it. */
errcode_t window_settle(struct batcher *b, __u32 inode,
			const struct place *place);

/* plan_gather.c */
struct gathered {
	size_t most;	    /* free runs that there may be in the end */
	size_t batches;	    /* of the plan, when it was last looked at */
	blk64_t blocks;	    /* moved for that */
	unsigned int times; /* that it was done */
};
/*
 * For E4DF_DEFRAG, when no pass is better any more: moves small runs of files,
 * each as a whole, until there are no more free runs than there may be.  It
 * counts only if there are fewer than before, and no file has more runs by it.
 * It can give others room, so unless *is_over the passes are to follow again.
 * There may yet be too many then.
 */
errcode_t gather_pass(struct e4df_plan *plan, struct e4df_map *map,
		      const struct e4df_policy *policy,
		      struct gathered *gathered, int *is_over);

/* plan_whole.c */
/* The runs that a file is to have; 1 if none of those that it has is long. */
__u32 whole_goal(const struct e4df_extent *v, __u32 count, blk64_t good_run);

#endif
