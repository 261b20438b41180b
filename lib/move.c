/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "e4df_err.h"

#define REQUEST_BYTES (1 << 20)
#define GAP_BYTES     (32 << 10)     /* costs about what a request does */
#define LOAD_BYTES    (128ULL << 20) /* more is hardly faster */
#define MOST_MEMORY   (1ULL << 30)
#define ALIGN	      (2 << 20) /* of a buffer: of a huge page */

#define SLOTS 2 /* buffers */

/* A block that cannot be read. */
struct loss {
	blk64_t blk;
	size_t batch;
};

/* A buffer and what is to be in it. */
struct slot {
	struct e4df_load load;
	char *buffer;		 /* (owned) */
	unsigned int block_size; /* bytes */
	struct e4df_transfer *v; /* (owned) of the load's reads, then writes */
	size_t alloc;		 /* of v */
	size_t started;		 /* writes, */
	size_t finished;	 /* and how many of those are */
	size_t *wait;		 /* (owned) for each read: 1 + the batch whose
				  * writes it must come behind; 0 = none */
	size_t wait_alloc;
	int is_full;	     /* all reads are finished */
	struct loss *losses; /* (owned) */
	size_t loss_count, loss_alloc;
};

struct e4df_mover {
	/* Immutable. */
	struct e4df_gate *gate; /* (borrowed) */
	struct e4df_sink *sink; /* (borrowed) */
	unsigned int block_size;
	/* Mutable. */
	struct e4df_loader loader;
	size_t now;		  /* the first batch that is not committed */
	struct e4df_runs granted; /* (owned) what it takes */
	struct slot slots[SLOTS];
	unsigned int first; /* slot in use, */
	unsigned int used;  /* of so many, in turn */
};

static uint64_t tenth_of_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
	uint64_t memory;

	if (pages < 0 || bytes < 0 ||
	    __builtin_mul_overflow((uint64_t)pages, (uint64_t)bytes, &memory))
		return 0;
	return memory / 10 < MOST_MEMORY ? memory / 10 : MOST_MEMORY;
}

struct e4df_load_limits e4df_mover_limits(uint64_t memory,
					  unsigned int block_size)
{
	uint64_t request = REQUEST_BYTES, load;

	if (!memory)
		memory = tenth_of_memory();
	if (memory < E4DF_MOVER_LEAST)
		memory = E4DF_MOVER_LEAST;
	/* each thread that reads has a buffer of its own */
	while (request * E4DF_GATE_THREADS > memory / 2)
		request /= 2;
	load = (memory - request * E4DF_GATE_THREADS) / SLOTS;
	if (load > LOAD_BYTES)
		load = LOAD_BYTES;
	return (struct e4df_load_limits){
		.load = load / block_size,
		.request = request / block_size,
		.gap = GAP_BYTES / block_size,
	};
}

errcode_t e4df_mover_new(struct e4df_volume *vol, const struct e4df_plan *plan,
			 uint64_t memory, struct e4df_mover **ret)
{
	struct e4df_mover *m = calloc(1, sizeof(*m));
	errcode_t err = 0;
	size_t bytes;

	if (!m)
		return ENOMEM;
	m->gate = e4df_volume_gate(vol);
	m->sink = e4df_volume_sink(vol);
	m->block_size = e4df_volume_fs(vol)->blocksize;
	m->loader.limits = e4df_mover_limits(memory, m->block_size);
	bytes = m->loader.limits.load * m->block_size;
	m->loader.batches = e4df_plan_batches(plan);
	m->loader.count = e4df_plan_count(plan);
	for (int i = 0; i < SLOTS && !err; i++) {
		void *buffer = NULL;

		err = posix_memalign(&buffer, ALIGN, bytes);
		m->slots[i].buffer = err ? NULL : buffer;
		if (!err)
			madvise(buffer, bytes, MADV_HUGEPAGE); /* if it can */
		m->slots[i].block_size = m->block_size;
	}
	if (!err)
		err = e4df_gate_hire(m->gate,
				     m->loader.limits.request * m->block_size);
	if (err)
		e4df_mover_free(m);
	else
		*ret = m;
	return err;
}

void e4df_mover_free(struct e4df_mover *m)
{
	if (!m)
		return;
	e4df_gate_cancel(m->gate);
	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &m->slots[i];

		for (size_t k = 0; !s->is_full && k < s->load.read_count; k++)
			if (s->v[k].ctx)
				e4df_gate_finish(m->gate, &s->v[k]);
		e4df_load_free(&s->load);
		free(s->buffer);
		free(s->v);
		free(s->wait);
		free(s->losses);
	}
	e4df_gate_dismiss(m->gate);
	e4df_loader_release(&m->loader);
	e4df_runs_free(&m->granted);
	free(m);
}

/* -- reading --------------------------------------------------------------- */

/* In a thread: brings the pieces of a read to their places. */
static void scatter(struct e4df_transfer *t, const void *data)
{
	const struct slot *s = t->ctx;
	const struct e4df_request *r = &s->load.reads[t - s->v];
	const struct e4df_piece *p = &s->load.pieces[r->first];

	for (__u32 i = 0; i < r->count; i++) {
		struct e4df_piece part = e4df_load_part(&p[i], r);

		memcpy(s->buffer + part.at * s->block_size,
		       (const char *)data +
			       (part.from - r->blk) * s->block_size,
		       (size_t)part.len * s->block_size);
	}
}

/* A read is under way while its transfer has this ctx. */
static errcode_t start_read(const struct e4df_mover *m, struct slot *s,
			    size_t i)
{
	const struct e4df_request *r = &s->load.reads[i];
	struct e4df_transfer *t = &s->v[i];
	errcode_t err;

	if (e4df_load_is_plain(&s->load, r))
		t->buf = s->buffer + r->at * m->block_size;
	else
		t->then = scatter;
	t->ctx = s;
	err = e4df_gate_start_read(m->gate, r->blk, r->len, t);
	if (err)
		t->ctx = NULL;
	return err;
}

/*
 * A batch that is not committed yet may be about to write what a later one
 * reads, or have written it only in part: such reads come behind its writes.
 * Nothing else changes while reading ahead: what any batch reads is in use
 * until it is committed itself, and no data are changed where they are (I1).
 * The first of the load's batches may have been begun by the load before.
 */
static errcode_t find_waits(const struct e4df_mover *m, struct slot *s)
{
	const struct e4df_load *load = &s->load;
	struct e4df_runs taken = E4DF_RUNS_INIT;
	errcode_t err = 0;

	for (size_t b = m->now; b <= load->first && !err; b++) {
		err = e4df_batch_taken(&m->loader.batches[b], 0, &taken);
		for (size_t i = 0; i < load->read_count && !err; i++)
			if (e4df_load_is_touched(load, &load->reads[i], &taken))
				s->wait[i] = b + 1;
	}
	e4df_runs_free(&taken);
	return err;
}

/* Begins the reads that come behind no batch from `written` on. */
static errcode_t start_ready(const struct e4df_mover *m, struct slot *s,
			     size_t written)
{
	errcode_t err = 0;

	for (size_t i = 0; i < s->load.read_count && !err; i++) {
		if (s->v[i].ctx || s->wait[i] > written)
			continue;
		err = start_read(m, s, i);
	}
	return err;
}

static errcode_t start_reads(const struct e4df_mover *m, struct slot *s)
{
	const struct e4df_load *load = &s->load;
	size_t most = load->read_count > load->write_count ? load->read_count :
							     load->write_count;
	errcode_t err = e4df_grow(&s->v, &s->alloc, most, sizeof(*s->v));

	if (!err)
		err = e4df_grow(&s->wait, &s->wait_alloc, load->read_count,
				sizeof(*s->wait));
	if (err)
		return err;
	memset(s->v, 0, load->read_count * sizeof(*s->v));
	memset(s->wait, 0, load->read_count * sizeof(*s->wait));
	s->is_full = 0;
	err = find_waits(m, s);
	return err ? err : start_ready(m, s, m->now);
}

/* Loads the slots that are not in use. */
static errcode_t read_ahead(struct e4df_mover *m)
{
	errcode_t err = 0;

	while (m->used < SLOTS && !err) {
		struct slot *s = &m->slots[(m->first + m->used) % SLOTS];

		s->is_full = 1;
		err = e4df_loader_next(&m->loader, &s->load);
		if (err || !s->load.count)
			break;
		s->started = s->finished = s->loss_count = 0;
		m->used++;
		err = start_reads(m, s);
	}
	return err;
}

static errcode_t lose(struct slot *s, blk64_t blk, size_t batch)
{
	errcode_t err = e4df_grow(&s->losses, &s->loss_alloc, s->loss_count + 1,
				  sizeof(*s->losses));

	if (!err)
		s->losses[s->loss_count++] = (struct loss){ blk, batch };
	return err;
}

/* Of what could not be read at once the first bad block is enough. */
static errcode_t read_pieces(const struct e4df_mover *m, struct slot *s,
			     const struct e4df_request *r)
{
	const struct e4df_piece *p = &s->load.pieces[r->first];
	errcode_t err = 0;
	blk64_t blk;

	for (__u32 i = 0; i < r->count && !err; i++) {
		struct e4df_piece part = e4df_load_part(&p[i], r);

		err = e4df_event_check(m->sink);
		if (!err)
			err = e4df_gate_read_data(
				m->gate, part.from, part.len,
				s->buffer + part.at * m->block_size, &blk);
		if (err == E4DF_ET_UNREADABLE)
			err = lose(s, blk, part.batch);
	}
	return err;
}

/* A bad sector may lie in a gap, and fail what nobody wants. */
static errcode_t finish_reads(const struct e4df_mover *m, struct slot *s)
{
	errcode_t err = start_ready(m, s, SIZE_MAX), end; /* at its turn */

	for (size_t i = 0; i < s->load.read_count && !err; i++) {
		err = e4df_event_check(m->sink);
		if (err)
			return err;
		end = e4df_gate_finish(m->gate, &s->v[i]);
		s->v[i].ctx = NULL;
		if (end)
			err = read_pieces(m, s, &s->load.reads[i]);
	}
	s->is_full = !err;
	return err;
}

/* -- writing --------------------------------------------------------------- */

static errcode_t start_write(const struct e4df_mover *m, struct slot *s)
{
	const struct e4df_request *w = &s->load.writes[s->started];
	struct e4df_transfer *t = &s->v[s->started];
	errcode_t err = e4df_event_check(m->sink);

	*t = (struct e4df_transfer){
		.buf = s->buffer + w->at * m->block_size,
	};
	if (!err)
		err = e4df_gate_start_write(m->gate, w->blk, w->len, t);
	if (!err)
		s->started++;
	return err;
}

/* Whatever happens, what was started is finished. */
static errcode_t write_batch(const struct e4df_mover *m, struct slot *s,
			     uint64_t *done, uint64_t total)
{
	errcode_t err = 0, end;

	while (s->started < s->load.write_count && !err &&
	       s->load.writes[s->started].batch == m->now)
		err = start_write(m, s);
	while (s->finished < s->started) {
		if (!err)
			err = e4df_event_check(m->sink);
		if (err)
			e4df_gate_cancel(m->gate);
		end = e4df_gate_finish(m->gate, &s->v[s->finished]);
		*done += s->v[s->finished++].done;
		if (!err)
			err = end;
		m->sink->now.bytes = *done;
		e4df_event_advance(m->sink, *done, total);
	}
	return err;
}

/* What this slot has of the batch. */
static errcode_t copy(struct e4df_mover *m, struct slot *s, uint64_t *done,
		      uint64_t total, struct e4df_runs *bad)
{
	errcode_t err = s->is_full ? 0 : finish_reads(m, s);

	for (size_t i = 0; i < s->loss_count && !err; i++)
		if (s->losses[i].batch == m->now)
			err = e4df_runs_push(bad, s->losses[i].blk, 1);
	if (err || bad->count)
		return err;
	return write_batch(m, s, done, total);
}

/* What only waited for the batch can now be read for those behind it. */
static errcode_t go_on_reading(struct e4df_mover *m)
{
	errcode_t err = 0;

	for (unsigned int i = 0; i < m->used && !err; i++) {
		struct slot *s = &m->slots[(m->first + i) % SLOTS];

		if (s->load.first > m->now)
			err = start_ready(m, s, m->now + 1);
	}
	return err;
}

/* Is all of this slot that belongs to the batch, or to those before, done? */
static int is_done(const struct e4df_mover *m, const struct slot *s)
{
	return s->load.last <= m->now;
}

errcode_t e4df_mover_move(struct e4df_mover *m, size_t i, uint64_t *done,
			  uint64_t total, struct e4df_runs *bad)
{
	errcode_t err;

	m->now = i;
	err = e4df_batch_taken(&m->loader.batches[i], 0, &m->granted);
	if (!err)
		err = read_ahead(m);
	e4df_gate_grant(m->gate, &m->granted, "move"); /* I1, I2 */
	while (m->used && m->slots[m->first].load.first <= i && !err) {
		struct slot *s = &m->slots[m->first];

		err = copy(m, s, done, total, bad);
		if (err || !is_done(m, s))
			break;
		m->first = (m->first + 1) % SLOTS;
		m->used--;
		err = read_ahead(m);
	}
	e4df_gate_grant(m->gate, NULL, NULL);
	if (!err && !bad->count)
		err = go_on_reading(m);
	e4df_runs_sort(bad);
	return !err && bad->count ? E4DF_ET_UNREADABLE : err;
}
