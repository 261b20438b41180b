/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "e4df_err.h"
#include "unit.h"

#define BS     1024U
#define BLOCKS 4096U

/* A file behind a gate, and what went through it. */
struct bench {
	FILE *file;
	io_channel io;
	struct e4df_gate *gate;
	unsigned int writes;
	uint64_t last; /* offset of the last write */
};

static errcode_t before(void *ctx, enum e4df_gate_op op, uint64_t offset,
			size_t bytes, const void *data)
{
	struct bench *b = ctx;

	(void)bytes;
	(void)data;
	assert_int_equal(op, E4DF_GATE_WRITE);
	assert_true(!b->writes || offset > b->last);
	b->writes++;
	b->last = offset;
	return 0;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct e4df_gate_tap tap = { before, b };
	char number[16];

	assert_non_null(b);
	b->file = tmpfile();
	assert_non_null(b->file);
	assert_int_equal(ftruncate(fileno(b->file), BLOCKS * BS), 0);
	assert_int_equal(e4df_gate_manager()->open("name", 0, &b->io), 0);
	snprintf(number, sizeof(number), "%d", fileno(b->file));
	assert_int_equal(b->io->manager->set_option(b->io, "fd", number), 0);
	assert_int_equal(io_channel_set_blksize(b->io, BS), 0);
	b->gate = e4df_gate_of(b->io);
	e4df_gate_set_tap(b->gate, &tap);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	io_channel_close(b->io);
	fclose(b->file);
	free(b);
	return 0;
}

static void add(struct e4df_stage *stage, blk64_t blk)
{
	void *image;

	assert_null(e4df_stage_find(stage, blk));
	assert_int_equal(e4df_stage_add(stage, blk, &image), 0);
	for (unsigned int i = 0; i < BS; i++)
		assert_int_equal(((char *)image)[i], 0);
	memset(image, (int)(blk % 251 + 1), BS);
	assert_ptr_equal(e4df_stage_find(stage, blk), image);
}

/* Every block of the file is as staged, or still zeros. */
static void check_file(struct bench *b, const struct e4df_stage *stage)
{
	unsigned char have[BS], want[BS];

	for (blk64_t blk = 0; blk < BLOCKS; blk++) {
		int is_staged = e4df_stage_find(stage, blk) != NULL;

		memset(want, is_staged ? (int)(blk % 251 + 1) : 0, BS);
		assert_int_equal(pread(fileno(b->file), have, BS,
				       (off_t)(blk * BS)),
				 BS);
		assert_memory_equal(have, want, BS);
	}
}

/* In any order in; in the order of blocks out, neighbours in one write. */
static void writes_in_place(void **state)
{
	static const blk64_t blocks[] = { 900, 7, 8, 4000, 6, 901, 30, 899 };
	static const blk64_t sorted[] = { 6, 7, 8, 30, 899, 900, 901, 4000 };
	struct bench *b = *state;
	struct e4df_stage *stage;

	assert_int_equal(e4df_stage_new(BS, &stage), 0);
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		add(stage, blocks[i]);
	assert_int_equal(e4df_stage_count(stage), ARRAY_SIZE(blocks));
	assert_int_equal(e4df_stage_seal(stage), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
		blk64_t blk;
		const void *image = e4df_stage_image(stage, i, &blk);

		assert_int_equal(blk, sorted[i]);
		assert_ptr_equal(image, e4df_stage_find(stage, blk));
	}
	assert_null(e4df_stage_find(stage, 9));
	assert_int_equal(e4df_stage_write(stage, b->gate, NULL, "test"), 0);
	assert_int_equal(b->writes, 4);
	check_file(b, stage);
	e4df_stage_free(stage);
}

/* More neighbours than one write takes. */
static void writes_are_bounded(void **state)
{
	struct bench *b = *state;
	struct e4df_stage *stage;

	assert_int_equal(e4df_stage_new(BS, &stage), 0);
	for (blk64_t blk = 3000; blk > 500; blk--)
		add(stage, blk);
	assert_int_equal(e4df_stage_seal(stage), 0);
	assert_int_equal(e4df_stage_write(stage, b->gate, NULL, "test"), 0);
	assert_int_equal(b->writes, 3);
	check_file(b, stage);
	e4df_stage_free(stage);
}

/* The grant ends with the write, and is not wider than the stage. */
static void holds_the_grant(void **state)
{
	struct bench *b = *state;
	struct e4df_stage *stage;
	char block[BS] = "";

	assert_int_equal(e4df_stage_new(BS, &stage), 0);
	add(stage, 10);
	assert_int_equal(e4df_stage_seal(stage), 0);
	assert_int_equal(e4df_stage_write(stage, b->gate, NULL, "test"), 0);
	assert_int_equal(e4df_gate_write(b->gate, 10, 1, block), E4DF_ET_GATE);
	e4df_gate_stop(b->gate);
	assert_true(e4df_gate_is_stopped(b->gate));
	assert_int_equal(e4df_stage_write(stage, b->gate, NULL, "test"),
			 E4DF_ET_STOPPED);
	assert_int_equal(b->writes, 1);
	e4df_stage_free(stage);
}

/* Nor may a stage write outside of what its caller grants. */
static void keeps_to_the_grant(void **state)
{
	struct bench *b = *state;
	struct e4df_runs grant = E4DF_RUNS_INIT;
	struct e4df_stage *stage;
	char block[BS] = "";

	assert_int_equal(e4df_runs_push(&grant, 10, 4), 0);
	assert_int_equal(e4df_stage_new(BS, &stage), 0);
	add(stage, 10);
	add(stage, 13);
	assert_int_equal(e4df_stage_seal(stage), 0);
	assert_int_equal(e4df_stage_write(stage, b->gate, &grant, "test"), 0);
	assert_int_equal(e4df_gate_write(b->gate, 10, 1, block), E4DF_ET_GATE);
	check_file(b, stage);
	e4df_stage_free(stage);
	assert_int_equal(e4df_stage_new(BS, &stage), 0);
	add(stage, 14);
	assert_int_equal(e4df_stage_seal(stage), 0);
	assert_int_equal(e4df_stage_write(stage, b->gate, &grant, "test"),
			 E4DF_ET_GATE);
	assert_int_equal(b->writes, 2);
	e4df_stage_free(stage);
	e4df_runs_free(&grant);
}

static void empty(void **state)
{
	struct bench *b = *state;
	struct e4df_stage *stage;

	assert_int_equal(e4df_stage_new(BS, &stage), 0);
	assert_null(e4df_stage_find(stage, 1));
	assert_int_equal(e4df_stage_seal(stage), 0);
	assert_null(e4df_stage_find(stage, 1));
	assert_int_equal(e4df_stage_write(stage, b->gate, NULL, "test"), 0);
	assert_int_equal(b->writes, 0);
	e4df_stage_free(stage);
	e4df_stage_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes_in_place, setup,
						teardown),
		cmocka_unit_test_setup_teardown(writes_are_bounded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(holds_the_grant, setup,
						teardown),
		cmocka_unit_test_setup_teardown(keeps_to_the_grant, setup,
						teardown),
		cmocka_unit_test_setup_teardown(empty, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
