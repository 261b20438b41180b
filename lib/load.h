/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load - layer 2: what a buffer takes in of the moves of batches, how it is
 * read and how it is written.  Pure.
 *
 * A load is read by few large requests in the order of the sources, which read
 * small gaps between sources, too, because that costs less than a request of
 * its own.  The more batches share a load, the larger these are.  In the
 * buffer the data lie in the order of batches and destinations, and are written
 * from there by requests that are as large as what is consecutive.
 */
#ifndef E4DF_LOAD_H
#define E4DF_LOAD_H

#include "batch.h"

/* In blocks, none of them 0 but the gap. */
struct e4df_load_limits {
	blk64_t load;	 /* that the buffer holds */
	blk64_t request; /* at most for each request, gaps included */
	blk64_t gap;	 /* at most between two sources that are read at once */
};

struct e4df_piece {
	blk64_t from, to;
	blk64_t at; /* blocks from the start of the buffer */
	__u32 len;
	size_t batch;
};

struct e4df_request {
	blk64_t blk;
	blk64_t at; /* in the buffer; a read with gaps has no such place */
	__u32 len;
	__u32 count;  /* of a read: of pieces, in whole or in part, */
	size_t first; /* from this one on */
	size_t batch; /* of a write */
};

struct e4df_load {
	struct e4df_piece *pieces; /* (owned) by source */
	size_t count, alloc;
	struct e4df_request *reads; /* (owned) by source */
	size_t read_count, read_alloc;
	struct e4df_request *writes; /* (owned) by batch and destination */
	size_t write_count, write_alloc;
	blk64_t blocks;	    /* of the pieces */
	size_t first, last; /* batches */
};

void e4df_load_free(struct e4df_load *load);

/*
 * Are a read's data in the buffer as they are on disk?  Else its pieces must be
 * brought to their places.
 */
int e4df_load_is_plain(const struct e4df_load *load,
		       const struct e4df_request *read);

/* The part of a piece that a read has. */
struct e4df_piece e4df_load_part(const struct e4df_piece *piece,
				 const struct e4df_request *read);

/* Does a read want any of these blocks? */
int e4df_load_is_touched(const struct e4df_load *load,
			 const struct e4df_request *read,
			 const struct e4df_runs *runs);

/*
 * Adds the blocks that the batches [from, to) take (canonical).  Returns
 * ENOMEM.
 */
errcode_t e4df_load_add_taken(const struct e4df_batch *batches, size_t from,
			      size_t to, struct e4df_runs *ret);

/* Makes the loads of batches that follow one another. */
struct e4df_loader {
	/* Immutable. */
	struct e4df_load_limits limits;
	const struct e4df_batch *batches; /* (borrowed) */
	size_t count;
	/* Mutable: zero at first. */
	size_t next;		 /* the batch to be loaded, */
	struct e4df_move *moves; /* (owned) its moves; NULL: not yet begun */
	size_t move_count, move; /* of which this one is next, */
	__u32 skip;		 /* but for so many blocks */
};

/*
 * Fills a load (zeroed, or used before) with what comes next; with nothing at
 * the end.  All of it can be read before any of its batches is written: what a
 * batch moves that one before it has moved, in the same load, is read from
 * where it was first.  Returns ENOMEM.
 */
errcode_t e4df_loader_next(struct e4df_loader *loader, struct e4df_load *load);
void e4df_loader_release(struct e4df_loader *loader);

#endif
