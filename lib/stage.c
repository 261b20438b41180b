/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spans.h"

#define BUFFER_BYTES (1 << 20) /* neighbours written at once */

struct image {
	blk64_t blk;
	void *data; /* (owned) one block */
};

struct e4df_stage {
	/* Immutable. */
	unsigned int block_size;
	/* Mutable until sealed. */
	struct image *images; /* (owned) in the order of add, then of blocks */
	size_t count, alloc;
	struct e4df_spans by_block; /* blk -> owner = index, until sealed */
	/* Made by the seal. */
	struct e4df_runs blocks; /* of the images */
	char *buffer;		 /* (owned) BUFFER_BYTES; NULL = not sealed */
};

errcode_t e4df_stage_new(unsigned int block_size, struct e4df_stage **ret)
{
	struct e4df_stage *stage = calloc(1, sizeof(*stage));

	if (!stage)
		return ENOMEM;
	stage->block_size = block_size;
	*ret = stage;
	return 0;
}

void e4df_stage_free(struct e4df_stage *stage)
{
	if (!stage)
		return;
	for (size_t i = 0; i < stage->count; i++)
		free(stage->images[i].data);
	free(stage->images);
	free(stage->buffer);
	e4df_spans_free(&stage->by_block);
	e4df_runs_free(&stage->blocks);
	free(stage);
}

size_t e4df_stage_count(const struct e4df_stage *stage)
{
	return stage->count;
}

static int compare_images(const void *a, const void *b)
{
	const struct image *x = a, *y = b;

	return (x->blk > y->blk) - (x->blk < y->blk);
}

void *e4df_stage_find(const struct e4df_stage *stage, blk64_t blk)
{
	const struct image key = { .blk = blk }, *image;
	const struct e4df_span *n;

	if (stage->buffer) {
		image = stage->count ?
				bsearch(&key, stage->images, stage->count,
					sizeof(key), compare_images) :
				NULL;
		return image ? image->data : NULL;
	}
	n = e4df_spans_floor(&stage->by_block, blk);
	return n && n->key == blk ? stage->images[n->owner].data : NULL;
}

errcode_t e4df_stage_add(struct e4df_stage *stage, blk64_t blk, void **image)
{
	errcode_t err;

	err = e4df_grow(&stage->images, &stage->alloc, stage->count + 1,
			sizeof(*stage->images));
	if (err)
		return err;
	*image = calloc(1, stage->block_size);
	if (!*image)
		return ENOMEM;
	err = e4df_spans_insert(&stage->by_block, blk, 1, (__u32)stage->count,
				0);
	if (err) {
		free(*image);
		return err;
	}
	stage->images[stage->count++] = (struct image){ blk, *image };
	return 0;
}

errcode_t e4df_stage_seal(struct e4df_stage *stage)
{
	errcode_t err = e4df_runs_reserve(&stage->blocks, stage->count);
	char *buffer = malloc(BUFFER_BYTES);

	if (err || !buffer) {
		free(buffer);
		return ENOMEM;
	}
	if (stage->count)
		qsort(stage->images, stage->count, sizeof(*stage->images),
		      compare_images);
	for (size_t i = 0; i < stage->count; i++)
		e4df_runs_push(&stage->blocks, stage->images[i].blk, 1);
	e4df_spans_free(&stage->by_block);
	stage->buffer = buffer;
	return 0;
}

const void *e4df_stage_image(const struct e4df_stage *stage, size_t i,
			     blk64_t *blk)
{
	*blk = stage->images[i].blk;
	return stage->images[i].data;
}

errcode_t e4df_stage_preserve(const struct e4df_stage *stage,
			      struct e4df_gate *gate)
{
	return e4df_gate_preserve(gate, &stage->blocks);
}

errcode_t e4df_stage_write(const struct e4df_stage *stage,
			   struct e4df_gate *gate,
			   const struct e4df_runs *grant, const char *who)
{
	size_t most = BUFFER_BYTES / stage->block_size, i, n;
	errcode_t err = 0;

	e4df_gate_grant(gate, grant ? grant : &stage->blocks, who);
	for (i = 0; i < stage->count && !err; i += n) {
		const struct image *image = &stage->images[i];

		for (n = 0; n < most && i + n < stage->count &&
			    image[n].blk == image->blk + n;
		     n++)
			memcpy(stage->buffer + n * stage->block_size,
			       image[n].data, stage->block_size);
		err = e4df_gate_write(gate, image->blk, n, stage->buffer);
	}
	e4df_gate_grant(gate, NULL, NULL);
	return err;
}
