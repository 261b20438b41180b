/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stage - layer 2: images of metadata blocks, to be logged or written in place
 *
 *	      add*, find              seal                 write*
 *	OPEN ------------> OPEN -----------------> SEALED --------> SEALED
 *
 * Sealing gets all the memory that writing needs, so that nothing but I/O can
 * fail once a change has begun.  Memory: a block and 56 bytes for each image.
 */
#ifndef E4DF_STAGE_H
#define E4DF_STAGE_H

#include "gate.h"

struct e4df_stage;

/* An empty stage for blocks of that many bytes.  Returns ENOMEM. */
errcode_t e4df_stage_new(unsigned int block_size, struct e4df_stage **ret);
void e4df_stage_free(struct e4df_stage *stage);

/* Number of images. */
size_t e4df_stage_count(const struct e4df_stage *stage);

/* The image of a block; NULL if it has none. */
void *e4df_stage_find(const struct e4df_stage *stage, blk64_t blk);

/*
 * Adds a block: *image is a zeroed buffer of the block size (owned by the
 * stage), to be filled before the seal.  The block must not have one yet.
 * Returns ENOMEM.
 */
errcode_t e4df_stage_add(struct e4df_stage *stage, blk64_t blk, void **image);

/* Ends adding; from now on the images are in the order of their blocks. */
errcode_t e4df_stage_seal(struct e4df_stage *stage);

/* The i-th image of a sealed stage, and its block. */
const void *e4df_stage_image(const struct e4df_stage *stage, size_t i,
			     blk64_t *blk);

/*
 * Saves what the images of a sealed stage will overwrite, if there is an undo
 * file.  Returns what the gate returns.
 */
errcode_t e4df_stage_preserve(const struct e4df_stage *stage,
			      struct e4df_gate *gate);

/*
 * Writes all images of a sealed stage to their places, neighbours together;
 * holds the grant for `grant`, or for exactly these blocks if it is NULL, in
 * the name of `who`.  Does not flush.  Returns what the gate returns.
 */
errcode_t e4df_stage_write(const struct e4df_stage *stage,
			   struct e4df_gate *gate,
			   const struct e4df_runs *grant, const char *who);

#endif
