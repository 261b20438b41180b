/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ext2fs/ext2_err.h>

#include "e4df_err.h"
#include "unit.h"

#define PART  512U
#define PARTS 400U
#define BYTES (PART * PARTS)

static unsigned char byte_of(unsigned int i, unsigned int salt)
{
	return (unsigned char)(i * 7 + i / 251 + salt);
}

static int open_file(FILE **file)
{
	static unsigned char bytes[BYTES];

	*file = tmpfile();
	assert_non_null(*file);
	for (unsigned int i = 0; i < BYTES; i++)
		bytes[i] = byte_of(i, 0);
	assert_int_equal(pwrite(fileno(*file), bytes, BYTES, 0), BYTES);
	return fileno(*file);
}

/* In a thread: moves what was read to the place that ctx is. */
static void put(struct e4df_transfer *t, const void *data)
{
	memcpy(t->ctx, data, t->bytes);
}

/* Reads and writes of all parts, by 0 threads and more, arrive once each. */
static void every_byte_once(void **state)
{
	static unsigned char buf[BYTES], new[BYTES];
	static struct e4df_transfer t[PARTS];

	(void)state;
	for (unsigned int threads = 0; threads <= 8; threads++) {
		struct e4df_crew *crew;
		FILE *file;
		int fd = open_file(&file);

		assert_int_equal(e4df_crew_new(threads, PART, &crew), 0);
		memset(buf, 0, BYTES);
		for (unsigned int i = 0; i < PARTS; i++) {
			t[i] = (struct e4df_transfer){
				.fd = fd,
				.offset = i * PART,
				.bytes = PART,
			};
			if (i % 3) {
				t[i].then = put;
				t[i].ctx = buf + i * PART;
			} else {
				t[i].buf = buf + i * PART;
			}
			e4df_crew_add(crew, &t[i]);
		}
		for (unsigned int i = 0; i < PARTS; i++) {
			e4df_crew_wait(crew, &t[i]);
			assert_int_equal(t[i].err, 0);
			assert_int_equal(t[i].done, PART);
		}
		for (unsigned int i = 0; i < BYTES; i++) {
			assert_int_equal(buf[i], byte_of(i, 0));
			new[i] = byte_of(i, threads + 1);
		}
		for (unsigned int i = 0; i < PARTS; i++) {
			t[i] = (struct e4df_transfer){
				.fd = fd,
				.is_write = 1,
				.offset = i * PART,
				.bytes = PART,
				.buf = new + i *PART,
			};
			e4df_crew_add(crew, &t[i]);
		}
		assert_int_equal(e4df_crew_settle(crew), 0);
		assert_int_equal(pread(fd, buf, BYTES, 0), BYTES);
		assert_memory_equal(buf, new, BYTES);
		e4df_crew_free(crew);
		fclose(file);
	}
}

/* What cannot be read has its error; the others do not. */
static void a_read_fails_alone(void **state)
{
	struct e4df_transfer t[3];
	unsigned char buf[3 * PART];
	struct e4df_crew *crew;
	FILE *file;
	int fd = open_file(&file);

	(void)state;
	assert_int_equal(e4df_crew_new(2, 0, &crew), 0);
	for (unsigned int i = 0; i < 3; i++) {
		t[i] = (struct e4df_transfer){
			.fd = i == 1 ? -1 : fd,
			.offset = i == 2 ? BYTES - 10 : 0,
			.bytes = PART,
			.buf = buf + i * PART,
		};
		e4df_crew_add(crew, &t[i]);
	}
	for (unsigned int i = 0; i < 3; i++)
		e4df_crew_wait(crew, &t[i]);
	assert_int_equal(t[0].err, 0);
	assert_int_equal(t[1].err, EBADF);
	assert_int_equal(t[2].err, EXT2_ET_SHORT_READ);
	assert_int_equal(t[2].done, 10);
	assert_int_equal(e4df_crew_settle(crew), 0);
	e4df_crew_free(crew);
	fclose(file);
}

/* Behind a write that fails nothing more is written. */
static void a_write_fails_all(void **state)
{
	unsigned char buf[PART] = { 0 }, now[PART];

	(void)state;
	for (unsigned int threads = 0; threads <= 1; threads++) {
		struct e4df_transfer t[6];
		struct e4df_crew *crew;
		FILE *file;
		int fd = open_file(&file);

		assert_int_equal(e4df_crew_new(threads, 0, &crew), 0);
		for (unsigned int i = 0; i < 6; i++) {
			t[i] = (struct e4df_transfer){
				.fd = i == 2 ? -1 : fd,
				.is_write = 1,
				.offset = i * PART,
				.bytes = PART,
				.buf = buf,
			};
			e4df_crew_add(crew, &t[i]);
		}
		assert_true(e4df_crew_settle(crew));
		for (unsigned int i = 0; i < 6; i++) {
			e4df_crew_wait(crew, &t[i]);
			assert_int_equal(t[i].err, i < 2  ? 0 :
						   i == 2 ? EBADF :
							    E4DF_ET_STOPPED);
			assert_int_equal(
				pread(fd, now, PART, (off_t)(i * PART)), PART);
			assert_int_equal(!memcmp(now, buf, PART), i < 2);
		}
		e4df_crew_free(crew);
		fclose(file);
	}
}

/* In a thread: says that it is begun, and waits, so that no other begins. */
static void block(struct e4df_transfer *t, const void *data)
{
	const int *pipes = t->ctx;
	char byte;

	(void)data;
	assert_int_equal(write(pipes[3], "", 1), 1);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
}

/* What is not begun ends with an error, what is begun goes on. */
static void the_rest_is_cancelled(void **state)
{
	unsigned char buf[4 * PART] = { 0 };
	struct e4df_transfer t[4];
	struct e4df_crew *crew;
	FILE *file;
	int fd = open_file(&file), pipes[4];
	char byte;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(pipe(pipes + 2), 0);
	assert_int_equal(e4df_crew_new(1, 0, &crew), 0);
	for (unsigned int i = 0; i < 4; i++) {
		t[i] = (struct e4df_transfer){
			.fd = fd,
			.bytes = PART,
			.buf = buf + i * PART,
			.then = i ? NULL : block,
			.ctx = pipes,
		};
		e4df_crew_add(crew, &t[i]);
	}
	assert_int_equal(read(pipes[2], &byte, 1), 1);
	e4df_crew_cancel(crew);
	for (unsigned int i = 1; i < 4; i++) {
		e4df_crew_wait(crew, &t[i]);
		assert_int_equal(t[i].err, E4DF_ET_CANCELLED);
		assert_int_equal(buf[i * PART + 1], 0);
	}
	assert_int_equal(write(pipes[1], "", 1), 1);
	e4df_crew_wait(crew, &t[0]);
	assert_int_equal(t[0].err, 0);
	e4df_crew_free(crew);
	e4df_crew_free(NULL);
	for (unsigned int i = 0; i < 4; i++)
		close(pipes[i]);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_once),
		cmocka_unit_test(a_read_fails_alone),
		cmocka_unit_test(a_write_fails_all),
		cmocka_unit_test(the_rest_is_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
