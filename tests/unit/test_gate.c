/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "e4df_err.h"
#include "undo.h"
#include "unit.h"

#define BS     1024U
#define BLOCKS 64U
#define OFFSET 512U /* of the file system within the file */
#define BYTES  (OFFSET + BLOCKS * BS)

/* A file behind a gate; each byte is known. */
struct bench {
	FILE *file;
	io_channel io;
	struct e4df_gate *gate;
	struct e4df_sink sink;
	errcode_t heard; /* code of the last failure told */
	unsigned char want[BYTES];
	/* The tap's. */
	struct e4df_gate_tap tap;
	enum e4df_gate_op op; /* that fails, */
	errcode_t code;	      /* with this code */
	unsigned int calls;
	uint64_t offset;
	size_t bytes;
	const void *data;
	blk64_t bad; /* 0, or the block that alone fails */
	/* The watch's. */
	unsigned int watched;
	errcode_t watch_code;
};

static void on_finding(void *ctx, const struct e4df_finding *finding)
{
	struct bench *b = ctx;

	assert_int_equal(finding->severity, E4DF_FAILURE);
	assert_true(strlen(finding->text) > 10);
	b->heard = finding->code;
}

static errcode_t before(void *ctx, enum e4df_gate_op op, uint64_t offset,
			size_t bytes, const void *data)
{
	struct bench *b = ctx;

	b->calls++;
	b->offset = offset;
	b->bytes = bytes;
	b->data = data;
	if (b->bad && (b->bad * BS < offset || b->bad * BS >= offset + bytes))
		return 0;
	return op == b->op ? b->code : 0;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	char number[16];

	assert_non_null(b);
	b->file = tmpfile();
	assert_non_null(b->file);
	for (unsigned int i = 0; i < BYTES; i++)
		b->want[i] = (unsigned char)(i * 7 + i / 256);
	assert_int_equal(pwrite(fileno(b->file), b->want, BYTES, 0), BYTES);
	assert_int_equal(e4df_gate_manager()->open("name", 0, &b->io), 0);
	snprintf(number, sizeof(number), "%d", fileno(b->file));
	assert_int_equal(b->io->manager->set_option(b->io, "fd", number), 0);
	assert_int_equal(b->io->manager->set_option(b->io, "offset", "512"), 0);
	assert_int_equal(io_channel_set_blksize(b->io, BS), 0);
	b->gate = e4df_gate_of(b->io);
	b->sink = (struct e4df_sink){ .finding = on_finding, .ctx = b };
	e4df_gate_set_sink(b->gate, &b->sink);
	b->tap = (struct e4df_gate_tap){ before, b };
	*state = b;
	return 0;
}

/* The file is as it should be, whatever the test did. */
static int teardown(void **state)
{
	struct bench *b = *state;
	static unsigned char have[BYTES + 1];

	assert_int_equal(pread(fileno(b->file), have, sizeof(have), 0), BYTES);
	assert_memory_equal(have, b->want, BYTES);
	assert_int_equal(io_channel_close(b->io), 0);
	fclose(b->file);
	free(b);
	return 0;
}

static struct e4df_range allowed[] = { { 10, 4 }, { 20, 1 }, { 30, 10 } };
static const struct e4df_runs grant = { allowed, 3, 3 };

/* Every start and length: what the grant does not hold is refused whole. */
static void only_the_grant(void **state)
{
	struct bench *b = *state;
	unsigned char buf[16 * BS];

	memset(buf, 0x33, sizeof(buf));
	e4df_gate_grant(b->gate, &grant, "the test");
	for (blk64_t blk = 0; blk < BLOCKS; blk++)
		for (size_t n = 1; n <= 16; n++) {
			int is_inside = e4df_runs_is_inside(&grant, blk, n);
			errcode_t err;

			b->heard = 0;
			err = e4df_gate_write(b->gate, blk, n, buf);
			assert_int_equal(err, is_inside ? 0 : E4DF_ET_GATE);
			assert_int_equal(b->heard, err);
			if (is_inside)
				memcpy(b->want + OFFSET + blk * BS, buf,
				       n * BS);
		}
	e4df_gate_grant(b->gate, NULL, NULL);
	assert_int_equal(e4df_gate_write(b->gate, 10, 1, buf), E4DF_ET_GATE);
	assert_int_equal(e4df_gate_flush(b->gate), 0); /* not stopped by it */
}

/* Parts of blocks, up to the last byte of the grant. */
static void bytes_too(void **state)
{
	struct bench *b = *state;
	unsigned char buf[5 * BS];

	memset(buf, 0x44, sizeof(buf));
	e4df_gate_grant(b->gate, &grant, "the test");
	assert_int_equal(e4df_gate_write_bytes(b->gate, 20 * BS, 512, buf), 0);
	assert_int_equal(e4df_gate_write_bytes(b->gate, 10 * BS + 1, 4 * BS - 1,
					       buf),
			 0);
	memcpy(b->want + OFFSET + 20 * BS, buf, 512);
	memcpy(b->want + OFFSET + 10 * BS + 1, buf, 4 * BS - 1);
	assert_int_equal(e4df_gate_write_bytes(b->gate, 20 * BS - 1, 2, buf),
			 E4DF_ET_GATE);
	assert_int_equal(e4df_gate_write_bytes(b->gate, 21 * BS - 1, 2, buf),
			 E4DF_ET_GATE);
	assert_int_equal(e4df_gate_write_bytes(b->gate, 21 * BS, 1, buf),
			 E4DF_ET_GATE);
}

/* libext2fs's own ways to write meet the same gate. */
static void no_way_around(void **state)
{
	struct bench *b = *state;
	unsigned char buf[2 * BS];

	memset(buf, 0x55, sizeof(buf));
	e4df_gate_grant(b->gate, &grant, "the test");
	assert_int_equal(io_channel_write_blk(b->io, 1, 1, buf), E4DF_ET_GATE);
	assert_int_equal(io_channel_write_blk64(b->io, 20, 2, buf),
			 E4DF_ET_GATE);
	assert_int_equal(io_channel_write_blk64(b->io, 19, -1025, buf),
			 E4DF_ET_GATE);
	assert_int_equal(io_channel_write_byte(b->io, 1024, 4, buf),
			 E4DF_ET_GATE);
	assert_int_not_equal(io_channel_discard(b->io, 20, 1), 0);
	assert_int_not_equal(io_channel_zeroout(b->io, 1, 1), 0);
	assert_int_equal(io_channel_write_blk64(b->io, 20, -100, buf), 0);
	memcpy(b->want + OFFSET + 20 * BS, buf, 100);
	assert_int_equal(io_channel_write_byte(b->io, 30 * BS + 5, 6, buf), 0);
	memcpy(b->want + OFFSET + 30 * BS + 5, buf, 6);
	assert_int_equal(io_channel_flush(b->io), 0);
}

static void reads(void **state)
{
	struct bench *b = *state;
	const struct e4df_gate_counters *counters;
	unsigned char buf[BLOCKS * BS];

	assert_int_equal(e4df_gate_read(b->gate, 0, BLOCKS, buf), 0);
	assert_memory_equal(buf, b->want + OFFSET, sizeof(buf));
	assert_int_equal(e4df_gate_read(b->gate, 63, 1, buf), 0);
	assert_memory_equal(buf, b->want + OFFSET + 63 * BS, BS);
	assert_int_equal(io_channel_read_blk64(b->io, 1, -1024, buf), 0);
	assert_memory_equal(buf, b->want + OFFSET + BS, BS);
	assert_int_equal(io_channel_read_blk(b->io, 2, 2, buf), 0);
	assert_memory_equal(buf, b->want + OFFSET + 2 * BS, 2 * BS);
	counters = e4df_gate_counters(b->gate);
	assert_int_equal(counters->bytes_read, (BLOCKS + 1 + 1 + 2) * BS);
	assert_int_equal(counters->bytes_written, 0);
	assert_int_equal(counters->flushes, 0);
}

/* What the kernel has been told will be read; it is not, for the test. */
static struct {
	off_t from, end, longest;
	unsigned int calls;
} told;

int __wrap_posix_fadvise(int fd, off_t offset, off_t len, int advice);
int __wrap_posix_fadvise64(int fd, off_t offset, off_t len, int advice);

int __wrap_posix_fadvise(int fd, off_t offset, off_t len, int advice)
{
	(void)fd;
	assert_int_equal(advice, POSIX_FADV_WILLNEED);
	if (!told.calls++)
		told.from = told.end = offset;
	assert_int_equal(offset, told.end);
	told.end += len;
	if (len > told.longest)
		told.longest = len;
	return 0;
}

int __wrap_posix_fadvise64(int fd, off_t offset, off_t len, int advice)
{
	return __wrap_posix_fadvise(fd, offset, len, advice);
}

/* All of it, and in each call no more than the kernel will do. */
static void prefetches(void **state)
{
	struct bench *b = *state;

	memset(&told, 0, sizeof(told));
	e4df_gate_prefetch(b->gate, 3, 1000);
	assert_int_equal(told.from, OFFSET + 3 * BS);
	assert_int_equal(told.end, OFFSET + 1003 * BS);
	assert_int_equal(told.longest, 128 << 10);
	assert_int_equal(told.calls, 8);
	e4df_gate_prefetch(b->gate, 1003, 1);
	e4df_gate_prefetch(b->gate, 1004, 0);
	assert_int_equal(told.end, OFFSET + 1004 * BS);
	assert_int_equal(told.calls, 9);
	assert_int_equal(e4df_gate_counters(b->gate)->bytes_read, 0);
}

/* A read that reaches over the end is an error, not half a success. */
static void short_reads(void **state)
{
	struct bench *b = *state;
	unsigned char buf[4 * BS];

	assert_int_equal(e4df_gate_read(b->gate, 62, 4, buf),
			 EXT2_ET_SHORT_READ);
	assert_int_equal(b->heard, EXT2_ET_SHORT_READ);
	assert_int_equal(e4df_gate_read(b->gate, BLOCKS, 1, buf),
			 EXT2_ET_SHORT_READ);
	/* reading may go on */
	assert_int_equal(e4df_gate_read(b->gate, 0, 1, buf), 0);
	e4df_gate_grant(b->gate, &grant, "the test");
	assert_int_equal(e4df_gate_write(b->gate, 10, 0, buf), 0);
}

/* What the tap sees, and that its errors are those of the operation. */
static void tapped_reads(void **state)
{
	struct bench *b = *state;
	unsigned char buf[2 * BS];

	b->op = E4DF_GATE_READ;
	e4df_gate_set_tap(b->gate, &b->tap);
	assert_int_equal(e4df_gate_read(b->gate, 7, 2, buf), 0);
	assert_int_equal(b->calls, 1);
	assert_int_equal(b->offset, 7 * BS);
	assert_int_equal(b->bytes, 2 * BS);
	assert_null(b->data);
	b->code = EIO;
	memset(buf, 0x11, sizeof(buf));
	assert_int_equal(e4df_gate_read(b->gate, 7, 2, buf), EIO);
	assert_int_equal(buf[0], 0x11);
	assert_int_equal(b->heard, EIO);
	b->code = 0;
	assert_int_equal(e4df_gate_read(b->gate, 7, 2, buf), 0);
	e4df_gate_set_tap(b->gate, NULL);
	assert_int_equal(e4df_gate_read(b->gate, 7, 2, buf), 0);
	assert_int_equal(b->calls, 3);
}

/* The one block that cannot be read is named, wherever it is. */
static void unreadable_data(void **state)
{
	static const errcode_t codes[] = { EIO, ENODATA, EILSEQ, EREMOTEIO };
	struct bench *b = *state;
	unsigned char buf[16 * BS];
	blk64_t found;

	b->op = E4DF_GATE_READ;
	e4df_gate_set_tap(b->gate, &b->tap);
	for (size_t i = 0; i < 16; i++) {
		b->code = codes[i % ARRAY_SIZE(codes)];
		b->bad = 20 + i;
		b->calls = 0;
		found = 0;
		assert_int_equal(e4df_gate_read_data(b->gate, 20, 16, buf,
						     &found),
				 E4DF_ET_UNREADABLE);
		assert_int_equal(found, b->bad);
		assert_int_equal(b->calls, 1 + i + 1); /* none of them twice */
		assert_memory_equal(buf, b->want + OFFSET + 20 * BS, i * BS);
		assert_int_equal(e4df_gate_read_data(b->gate, b->bad, 1, buf,
						     &found),
				 E4DF_ET_UNREADABLE);
	}
	b->bad = 36;
	assert_int_equal(e4df_gate_read_data(b->gate, 20, 16, buf, &found), 0);
	assert_int_equal(b->heard, 0);
	b->bad = 20;
	b->code = ENOMEM; /* not of the device */
	assert_int_equal(e4df_gate_read_data(b->gate, 20, 2, buf, &found),
			 ENOMEM);
	assert_int_equal(b->heard, ENOMEM);
}

static errcode_t fail_large(void *ctx, enum e4df_gate_op op, uint64_t offset,
			    size_t bytes, const void *data)
{
	errcode_t err = before(ctx, op, offset, bytes, data);

	return bytes > BS ? err : 0;
}

/* What has failed in a large request, and then not alone, is read. */
static void readable_at_last(void **state)
{
	struct bench *b = *state;
	unsigned char buf[4 * BS];
	blk64_t found;

	b->tap.before = fail_large;
	b->op = E4DF_GATE_READ;
	b->code = EIO;
	e4df_gate_set_tap(b->gate, &b->tap);
	assert_int_equal(e4df_gate_read_data(b->gate, 8, 4, buf, &found), 0);
	assert_memory_equal(buf, b->want + OFFSET + 8 * BS, 4 * BS);
	assert_int_equal(b->calls, 5);
	assert_int_equal(b->heard, 0);
}

static void check_stopped(struct bench *b)
{
	unsigned char buf[BS] = { 0 };

	for (int i = 0; i < 3; i++) {
		assert_int_equal(e4df_gate_write(b->gate, 10, 1, buf),
				 E4DF_ET_STOPPED);
		assert_int_equal(e4df_gate_write_bytes(b->gate, 20 * BS, 1,
						       buf),
				 E4DF_ET_STOPPED);
		assert_int_equal(e4df_gate_flush(b->gate), E4DF_ET_STOPPED);
		assert_int_equal(e4df_gate_read(b->gate, 0, 1, buf), 0);
	}
}

/* After a failed write nothing is written any more. */
static void failed_write(void **state)
{
	struct bench *b = *state;
	unsigned char buf[BS] = { 1 };

	b->op = E4DF_GATE_WRITE;
	b->code = ENOSPC;
	e4df_gate_set_tap(b->gate, &b->tap);
	e4df_gate_grant(b->gate, &grant, "the test");
	assert_int_equal(e4df_gate_write(b->gate, 1, 1, buf), E4DF_ET_GATE);
	assert_int_equal(b->calls, 0); /* refused before anyone sees it */
	assert_int_equal(e4df_gate_write(b->gate, 10, 1, buf), ENOSPC);
	assert_int_equal(b->calls, 1);
	assert_int_equal(b->offset, 10 * BS);
	assert_ptr_equal(b->data, buf);
	e4df_gate_set_tap(b->gate, NULL);
	check_stopped(b);
}

/* A failed flush is final: a second one must not seem to succeed. */
static void failed_flush(void **state)
{
	struct bench *b = *state;

	b->op = E4DF_GATE_FLUSH;
	e4df_gate_set_tap(b->gate, &b->tap);
	e4df_gate_grant(b->gate, &grant, "the test");
	assert_int_equal(e4df_gate_flush(b->gate), 0);
	assert_int_equal(e4df_gate_counters(b->gate)->flushes, 1);
	b->code = EIO;
	assert_int_equal(e4df_gate_flush(b->gate), EIO);
	assert_int_equal(b->heard, EIO);
	b->code = 0;
	e4df_gate_set_tap(b->gate, NULL);
	check_stopped(b);
}

/* The kernel's errors, too: here a descriptor that is open for reading. */
static void real_errors(void **state)
{
	struct bench *b = *state;
	unsigned char buf[BS] = { 0 };
	char path[64], number[16];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(b->file));
	fd = open(path, O_RDONLY);
	if (fd < 0)
		skip();
	snprintf(number, sizeof(number), "%d", fd);
	assert_int_equal(b->io->manager->set_option(b->io, "fd", number), 0);
	e4df_gate_grant(b->gate, &grant, "the test");
	assert_int_equal(e4df_gate_write(b->gate, 10, 1, buf), EBADF);
	assert_int_equal(b->heard, EBADF);
	check_stopped(b);
	close(fd);
}

static void options(void **state)
{
	struct bench *b = *state;
	io_manager m = b->io->manager;

	assert_int_not_equal(m->set_option(b->io, "cache", "off"), 0);
	assert_int_not_equal(m->set_option(b->io, "fd", NULL), 0);
}

static void limit(rlim_t bytes)
{
	struct rlimit r = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/*
 * What cannot be saved is not written, nor seen by the tap, nor counted; what
 * has been preserved is written, because the gate stays open for it.
 */
static void saves_first(void **state)
{
	struct bench *b = *state;
	static const struct e4df_range ranges[] = { { 4, 3 }, { 9, 1 } };
	struct e4df_runs some = { (void *)(uintptr_t)ranges, 2, 0 };
	static const struct e4df_range range = { 0, BLOCKS };
	struct e4df_runs all = { (void *)(uintptr_t)&range, 1, 0 };
	char path[] = "/tmp/test_gate.XXXXXX";
	struct e4df_undo_options options = {
		.path = path,
		.target = "name",
		.fd = fileno(b->file),
		.offset = OFFSET,
	};
	unsigned char *block_size = b->want + OFFSET + SUPERBLOCK_OFFSET + 24;
	static unsigned char data[BS];
	struct e4df_undo *undo = NULL;

	close(mkstemp(path));
	signal(SIGXFSZ, SIG_IGN);
	memset(block_size, 0, 4);
	assert_int_equal(pwrite(fileno(b->file), block_size, 4,
				block_size - b->want),
			 4);
	assert_int_equal(e4df_undo_open(&options, &b->sink, &undo), 0);
	e4df_gate_set_undo(b->gate, undo);
	e4df_gate_set_tap(b->gate, &b->tap);
	e4df_gate_grant(b->gate, &all, "test");
	limit(BYTES);
	assert_int_equal(e4df_gate_preserve(b->gate, &some), 0);
	limit(7 * BS); /* all of the undo file, and enough for block 5 */
	assert_int_equal(e4df_gate_write(b->gate, 3, 1, data), EFBIG);
	assert_int_equal(b->heard, EFBIG);
	assert_int_equal(e4df_gate_write(b->gate, 4, 4, data), EFBIG);
	assert_false(e4df_gate_is_stopped(b->gate));
	assert_int_equal(b->calls, 0);
	assert_int_equal(e4df_gate_counters(b->gate)->bytes_read, 0);
	assert_int_equal(e4df_gate_counters(b->gate)->bytes_written, 0);
	assert_int_equal(e4df_gate_write(b->gate, 5, 1, data), 0);
	memcpy(b->want + OFFSET + 5 * BS, data, BS);
	limit(RLIM_INFINITY);
	assert_int_equal(e4df_gate_write(b->gate, 9, 1, data), 0);
	memcpy(b->want + OFFSET + 9 * BS, data, BS);
	assert_int_equal(b->calls, 2);
	b->sink.finding = NULL; /* it tells how to undo */
	assert_int_equal(e4df_undo_close(undo), 0);
	e4df_gate_set_undo(b->gate, NULL);
	unlink(path);
}

#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Writes a block that the test has no grant for, and counts. */
static errcode_t watch(void *ctx)
{
	static struct e4df_range own[] = { { 50, 1 } };
	static const struct e4df_runs own_grant = { own, 1, 1 };
	struct bench *b = ctx;
	unsigned char buf[BS];

	b->watched++;
	memset(buf, (int)b->watched, sizeof(buf));
	e4df_gate_grant(b->gate, &own_grant, "the watch");
	assert_int_equal(e4df_gate_write(b->gate, 50, 1, buf), 0);
	assert_int_equal(e4df_gate_flush(b->gate), 0);
	assert_int_equal(e4df_gate_read(b->gate, 50, 1, buf), 0);
	memcpy(b->want + OFFSET + 50 * BS, buf, BS);
	e4df_gate_grant(b->gate, NULL, NULL);
	return b->watch_code;
}

/* It comes first, and can forbid; the grant is none of its business. */
static void watched(void **state)
{
	struct bench *b = *state;
	unsigned char buf[BS];

	memset(buf, 0x66, sizeof(buf));
	e4df_gate_set_watch(b->gate, watch, b);
	e4df_gate_grant(b->gate, &grant, "the test");
	assert_int_equal(e4df_gate_write(b->gate, 10, 1, buf), 0);
	memcpy(b->want + OFFSET + 10 * BS, buf, BS);
	assert_int_equal(e4df_gate_write(b->gate, 50, 1, buf), E4DF_ET_GATE);
	assert_int_equal(e4df_gate_read(b->gate, 11, 1, buf), 0);
	assert_int_equal(e4df_gate_flush(b->gate), 0);
	assert_int_equal(b->watched, 4);
	b->watch_code = EBUSY;
	b->heard = 0;
	assert_int_equal(e4df_gate_write(b->gate, 10, 1, buf), EBUSY);
	assert_int_equal(e4df_gate_read(b->gate, 10, 1, buf), EBUSY);
	assert_int_equal(e4df_gate_flush(b->gate), EBUSY);
	assert_int_equal(b->heard, 0);
	assert_int_equal(b->watched, 7);
	e4df_gate_set_watch(b->gate, NULL, NULL);
	assert_int_equal(e4df_gate_write(b->gate, 10, 1, buf), 0);
	memcpy(b->want + OFFSET + 10 * BS, buf, BS);
	assert_int_equal(b->watched, 7);
}

/* Also while many are waited for. */
static void watched_at_the_end(void **state)
{
	struct bench *b = *state;
	void *buf = NULL;
	struct e4df_transfer t = { .is_write = 0 };

	assert_int_equal(posix_memalign(&buf, 4096, 4096), 0);
	memset(buf, 0x67, 4096);
	t.buf = buf;
	e4df_gate_set_watch(b->gate, watch, b);
	e4df_gate_grant(b->gate, &grant, "the test");
	assert_int_equal(e4df_gate_hire(b->gate, 4096), 0);
	assert_int_equal(e4df_gate_start_write(b->gate, 10, 1, &t), 0);
	assert_int_equal(b->watched, 1);
	assert_int_equal(e4df_gate_finish(b->gate, &t), 0);
	assert_int_equal(b->watched, 2);
	memcpy(b->want + OFFSET + 10 * BS, buf, BS);
	for (int i = 0; i < 2; i++) {
		b->watch_code = 0;
		assert_int_equal(i ? e4df_gate_start_read(b->gate, 10, 1, &t) :
				     e4df_gate_start_write(b->gate, 10, 1, &t),
				 0);
		b->watch_code = EBUSY;
		assert_int_equal(e4df_gate_finish(b->gate, &t), EBUSY);
	}
	assert_int_equal(b->watched, 6);
	e4df_gate_dismiss(b->gate);
	e4df_gate_set_watch(b->gate, NULL, NULL);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(only_the_grant),
		BENCH_TEST(bytes_too),
		BENCH_TEST(no_way_around),
		BENCH_TEST(reads),
		BENCH_TEST(prefetches),
		BENCH_TEST(short_reads),
		BENCH_TEST(tapped_reads),
		BENCH_TEST(failed_write),
		BENCH_TEST(failed_flush),
		BENCH_TEST(real_errors),
		BENCH_TEST(options),
		BENCH_TEST(unreadable_data),
		BENCH_TEST(readable_at_last),
		BENCH_TEST(watched),
		BENCH_TEST(watched_at_the_end),
		BENCH_TEST(saves_first),
	};

	initialize_ext2_error_table();
	initialize_e4df_error_table();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
