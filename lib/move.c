/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

#define BUFFER_BYTES (16 << 20)

/* A piece of a move, small enough to share the buffer. */
struct piece {
	blk64_t from, to;
	__u32 len;
};

/* The moves that fill the buffer once. */
struct load {
	struct piece *v; /* (owned) */
	size_t count, alloc;
	blk64_t blocks;
};

struct mover {
	struct e4df_gate *gate;
	struct e4df_sink *sink;
	unsigned int block_size;
	blk64_t buffer_blocks;
	char *buffer; /* (owned) */
};

static int compare_to(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return (x->to > y->to) - (x->to < y->to);
}

static errcode_t add_piece(struct load *load, const struct piece *piece)
{
	errcode_t err = e4df_grow(&load->v, &load->alloc, load->count + 1,
				  sizeof(*load->v));

	if (err)
		return err;
	load->v[load->count++] = *piece;
	load->blocks += piece->len;
	return 0;
}

/* Fills a load from move *i, of which *skip blocks are done. */
static errcode_t next_load(const struct mover *m, const struct e4df_move *v,
			   size_t count, size_t *i, __u32 *skip,
			   struct load *load)
{
	errcode_t err = 0;

	load->count = 0;
	load->blocks = 0;
	while (*i < count && load->blocks < m->buffer_blocks && !err) {
		struct piece piece = {
			.from = v[*i].from + *skip,
			.to = v[*i].to + *skip,
			.len = v[*i].len - *skip,
		};
		blk64_t room = m->buffer_blocks - load->blocks;

		if (piece.len > room) {
			piece.len = (__u32)room;
			*skip += piece.len;
		} else {
			*skip = 0;
			(*i)++;
		}
		err = add_piece(load, &piece);
	}
	return err;
}

/*
 * Each piece is announced, so that the kernel reads many at a time in source
 * order; then it is fetched to where the order of destinations puts it.  Of a
 * piece that cannot be read the first bad block is enough.
 */
static errcode_t read_load(const struct mover *m, struct load *load,
			   struct e4df_runs *bad)
{
	char *at = m->buffer;
	blk64_t blk;
	errcode_t err = 0;

	for (size_t i = 0; i < load->count; i++)
		e4df_gate_prefetch(m->gate, load->v[i].from, load->v[i].len);
	qsort(load->v, load->count, sizeof(*load->v), compare_to);
	for (size_t i = 0; i < load->count && !err; i++) {
		err = e4df_event_check(m->sink);
		if (err)
			break;
		err = e4df_gate_read_data(m->gate, load->v[i].from,
					  load->v[i].len, at, &blk);
		if (err == E4DF_ET_UNREADABLE)
			err = e4df_runs_push(bad, blk, 1);
		at += (size_t)load->v[i].len * m->block_size;
	}
	return err;
}

/* Pieces with adjacent destinations are one write. */
static errcode_t write_load(const struct mover *m, const struct load *load)
{
	const char *at = m->buffer;
	errcode_t err = 0;
	size_t i, end;

	for (i = 0; i < load->count && !err; i = end) {
		blk64_t len = load->v[i].len;

		for (end = i + 1; end < load->count &&
				  load->v[end].to == load->v[i].to + len;
		     end++)
			len += load->v[end].len;
		err = e4df_event_check(m->sink);
		if (!err)
			err = e4df_gate_write(m->gate, load->v[i].to, len, at);
		at += len * m->block_size;
	}
	return err;
}

errcode_t e4df_move(struct e4df_volume *vol, const struct e4df_batch *batch,
		    uint64_t *done, uint64_t total, struct e4df_runs *bad)
{
	struct mover m = {
		.gate = e4df_volume_gate(vol),
		.sink = e4df_volume_sink(vol),
		.block_size = e4df_volume_fs(vol)->blocksize,
	};
	struct load load = { .v = NULL };
	size_t count = 0, i = 0;
	__u32 skip = 0;
	struct e4df_move *v = NULL;
	errcode_t err = e4df_batch_reads(batch, &v, &count);

	m.buffer_blocks = BUFFER_BYTES / m.block_size;
	m.buffer = malloc(BUFFER_BYTES);
	if (!err && !m.buffer)
		err = ENOMEM;
	e4df_gate_grant(m.gate, &batch->taken, "move"); /* I1, I2 */
	while (i < count && !err) {
		err = next_load(&m, v, count, &i, &skip, &load);
		if (!err)
			err = read_load(&m, &load, bad);
		if (!err && !bad->count)
			err = write_load(&m, &load);
		*done += load.blocks * m.block_size;
		m.sink->now.bytes = *done;
		e4df_event_advance(m.sink, *done, total);
	}
	e4df_gate_grant(m.gate, NULL, NULL);
	free(load.v);
	free(m.buffer);
	free(v);
	e4df_runs_sort(bad);
	return !err && bad->count ? E4DF_ET_UNREADABLE : err;
}
