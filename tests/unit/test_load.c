/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "load.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define DISK 400U /* blocks */

#define MOVE(f, t, n)                                             \
	{                                                         \
		.from = (f), .to = (t), .len = (n)&E4DF_MOVE_MOST \
	}

/* A batch of moves; what it takes is nobody's business here. */
static struct e4df_batch batch_of(struct e4df_move *moves, size_t count)
{
	return (struct e4df_batch){ .moves = moves, .move_count = count };
}

static void assert_request(const struct e4df_request *r, blk64_t blk, __u32 len)
{
	assert_int_equal(r->blk, blk);
	assert_int_equal(r->len, len);
}

static void start(struct e4df_loader *loader, const struct e4df_batch *batches,
		  size_t count, blk64_t load, blk64_t request, blk64_t gap)
{
	*loader = (struct e4df_loader){
		.limits = { load, request, gap },
		.batches = batches,
		.count = count,
	};
}

/* Sources at most a gap apart are one request, and so are destinations. */
static void neighbours_are_joined(void **state)
{
	struct e4df_move moves[] = {
		MOVE(13, 102, 2),
		MOVE(10, 100, 2),
		MOVE(18, 104, 1),
		MOVE(40, 200, 3),
		{ .from = 60,
		  .to = 300,
		  .len = 9,
		  .flags = E4DF_MOVE_UNWRITTEN },
	};
	struct e4df_batch batch = batch_of(moves, ARRAY_SIZE(moves));
	struct e4df_load load = { .pieces = NULL };
	struct e4df_loader loader;

	(void)state;
	start(&loader, &batch, 1, 100, 50, 2);
	assert_int_equal(e4df_loader_next(&loader, &load), 0);
	assert_int_equal(load.blocks, 8);
	assert_int_equal(load.read_count, 3);
	assert_request(&load.reads[0], 10, 5); /* with a gap of one */
	assert_request(&load.reads[1], 18, 1); /* three further on */
	assert_request(&load.reads[2], 40, 3);
	assert_false(e4df_load_is_plain(&load, &load.reads[0]));
	assert_true(e4df_load_is_plain(&load, &load.reads[2]));
	assert_int_equal(load.write_count, 2);
	assert_request(&load.writes[0], 100, 5);
	assert_request(&load.writes[1], 200, 3);
	assert_int_equal(e4df_loader_next(&loader, &load), 0);
	assert_int_equal(load.count, 0);
	e4df_load_free(&load);
	e4df_loader_release(&loader);
}

/* Neither requests nor loads are larger than they may be. */
static void limits_hold(void **state)
{
	struct e4df_move move = MOVE(10, 100, 25);
	struct e4df_batch batch = batch_of(&move, 1);
	struct e4df_load load = { .pieces = NULL };
	struct e4df_loader loader;

	(void)state;
	start(&loader, &batch, 1, 20, 8, 2);
	assert_int_equal(e4df_loader_next(&loader, &load), 0);
	assert_int_equal(load.blocks, 20);
	assert_int_equal(load.read_count, 3);
	assert_request(&load.reads[0], 10, 8);
	assert_request(&load.reads[1], 18, 8);
	assert_request(&load.reads[2], 26, 4);
	assert_int_equal(load.reads[2].at, 16);
	assert_int_equal(load.write_count, 3);
	assert_request(&load.writes[2], 116, 4);
	assert_int_equal(e4df_loader_next(&loader, &load), 0);
	assert_int_equal(load.blocks, 5);
	assert_request(&load.reads[0], 30, 5);
	assert_request(&load.writes[0], 120, 5);
	e4df_load_free(&load);
	e4df_loader_release(&loader);
}

/* What moves twice in one load is read from where it was first. */
static void twice_is_read_once(void **state)
{
	struct e4df_move one[] = { MOVE(10, 100, 4) };
	struct e4df_move two[] = { MOVE(101, 200, 2), MOVE(50, 210, 1) };
	struct e4df_move three[] = { MOVE(60, 102, 1) };
	struct e4df_move four[] = { MOVE(100, 300, 1), MOVE(102, 302, 2) };
	struct e4df_batch batches[] = {
		batch_of(one, 1),
		batch_of(two, 2),
		batch_of(three, 1),
		batch_of(four, 2),
	};
	struct e4df_load load = { .pieces = NULL };
	struct e4df_loader loader;

	(void)state;
	start(&loader, batches, 4, 100, 50, 0);
	assert_int_equal(e4df_loader_next(&loader, &load), 0);
	assert_int_equal(load.first, 0);
	assert_int_equal(load.last, 3);
	assert_int_equal(load.read_count, 3);
	assert_request(&load.reads[0], 10, 4); /* 100 and 103 of four, too */
	assert_request(&load.reads[1], 50, 1);
	assert_request(&load.reads[2], 60, 1); /* 102 of four */
	e4df_load_free(&load);
	e4df_loader_release(&loader);
}

/* -- any moves, on a disk of numbers --------------------------------------- */

struct world {
	struct prng rng;
	unsigned int disk[DISK]; /* what is in a block; 0: free */
	struct e4df_move moves[12][16];
	struct e4df_batch batches[12];
	size_t count;
};

static unsigned int length(const struct world *w, unsigned int at, int is_free,
			   unsigned int most)
{
	unsigned int n = 0;

	while (n < most && at + n < DISK && (w->disk[at + n] == 0) == is_free)
		n++;
	return n;
}

/* Moves of used to free ranges; freed is what a batch gives up. */
static void make_batch(struct world *w, struct e4df_batch *b,
		       struct e4df_move *moves)
{
	unsigned int before[DISK], n = 0;

	memcpy(before, w->disk, sizeof(before));
	for (unsigned int i = 0; i < 60 && n < 16; i++) {
		unsigned int from = pick(&w->rng, DISK), to, len;

		to = pick(&w->rng, DISK);
		len = length(w, from, 0, 1 + pick(&w->rng, 9));
		len = length(w, to, 1, len);
		for (unsigned int k = 0; k < len; k++)
			if (before[to + k] ||
			    w->disk[from + k] != before[from + k])
				len = k;
		if (!len)
			continue;
		moves[n++] = (struct e4df_move)MOVE(from, to, len);
		for (unsigned int k = 0; k < len; k++) {
			w->disk[to + k] = w->disk[from + k];
			w->disk[from + k] = 0;
		}
	}
	*b = batch_of(moves, n);
}

static void assert_read(const struct e4df_load *load,
			const struct e4df_load_limits *limits,
			const unsigned int *disk, unsigned int *buffer)
{
	for (size_t i = 0; i < load->read_count; i++) {
		const struct e4df_request *r = &load->reads[i];

		assert_in_range(r->len, 1, limits->request);
		for (__u32 k = 0; k < r->count; k++) {
			struct e4df_piece part =
				e4df_load_part(&load->pieces[r->first + k], r);

			assert_in_range(part.len, 1, r->len);
			assert_true(part.from >= r->blk);
			memcpy(buffer + part.at, disk + part.from,
			       part.len * sizeof(*disk));
		}
		if (e4df_load_is_plain(load, r))
			assert_memory_equal(buffer + r->at, disk + r->blk,
					    r->len * sizeof(*disk));
	}
}

/* The same as move for move, although each load is read before it is written */
static void any_moves_arrive(void **state)
{
	static struct world w;

	(void)state;
	for (unsigned int seed = 1; seed <= 3000; seed++) {
		unsigned int disk[DISK], buffer[DISK];
		struct e4df_load load = { .pieces = NULL };
		struct e4df_loader loader;
		blk64_t most;

		w.rng = (struct prng){ seed };
		for (unsigned int i = 0; i < DISK; i++)
			w.disk[i] = chance(&w.rng, 60) ? i + 1 : 0;
		memcpy(disk, w.disk, sizeof(disk));
		w.count = 1 + pick(&w.rng, 12);
		for (size_t i = 0; i < w.count; i++)
			make_batch(&w, &w.batches[i], w.moves[i]);
		most = 1 + pick(&w.rng, 200);
		start(&loader, w.batches, w.count, most, 1 + pick(&w.rng, 20),
		      pick(&w.rng, 4));
		for (;;) {
			assert_int_equal(e4df_loader_next(&loader, &load), 0);
			if (!load.count)
				break;
			assert_in_range(load.blocks, 1, most);
			memset(buffer, 0xff, sizeof(buffer));
			assert_read(&load, &loader.limits, disk, buffer);
			for (size_t i = 0; i < load.write_count; i++)
				memcpy(disk + load.writes[i].blk,
				       buffer + load.writes[i].at,
				       load.writes[i].len * sizeof(*disk));
		}
		for (unsigned int i = 0; i < DISK; i++)
			if (w.disk[i])
				assert_int_equal(disk[i], w.disk[i]);
		e4df_load_free(&load);
		e4df_loader_release(&loader);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_joined),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(twice_is_read_once),
		cmocka_unit_test(any_moves_arrive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
