/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "undo.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "e4df_err.h"
#include "undo_disk.h"
#include "unit.h"

#define BS     1024U
#define BLOCKS 400U
#define OFFSET 1536U /* of the file system within the target */
#define BYTES  (OFFSET + BLOCKS * BS)
#define KEYS   (BS / 16 - 1) /* in one block of the undo file */

/* A target each byte of which is known, and an undo file. */
struct bench {
	char dir[32];
	char path[64]; /* of the undo file */
	FILE *target;
	struct e4df_undo_options options;
	struct e4df_sink sink;
	struct e4df_undo *undo;
	unsigned int failures, notes;
	unsigned char before[BYTES];
};

static void on_finding(void *ctx, const struct e4df_finding *finding)
{
	struct bench *b = ctx;

	assert_true(strlen(finding->text) > 10);
	b->failures += finding->severity == E4DF_FAILURE;
	b->notes += finding->severity == E4DF_NOTE;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct ext2_super_block *sb;

	assert_non_null(b);
	strcpy(b->dir, "/tmp/test_undo.XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/undo", b->dir);
	b->target = tmpfile();
	assert_non_null(b->target);
	for (unsigned int i = 0; i < BYTES; i++)
		b->before[i] = (unsigned char)(i * 7 + i / 256);
	sb = (void *)(b->before + OFFSET + SUPERBLOCK_OFFSET);
	sb->s_log_block_size = 0;
	assert_int_equal(pwrite(fileno(b->target), b->before, BYTES, 0), BYTES);
	b->options.path = b->path;
	b->options.target = "target";
	b->options.fd = fileno(b->target);
	b->options.offset = OFFSET;
	b->sink = (struct e4df_sink){ .finding = on_finding, .ctx = b };
	signal(SIGXFSZ, SIG_IGN);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	unlink(b->path);
	assert_int_equal(rmdir(b->dir), 0);
	fclose(b->target);
	free(b);
	return 0;
}

static void open_undo(struct bench *b)
{
	assert_int_equal(e4df_undo_open(&b->options, &b->sink, &b->undo), 0);
}

static void close_undo(struct bench *b)
{
	assert_int_equal(e4df_undo_close(b->undo), 0);
	b->undo = NULL;
}

/* As the gate does it. */
static errcode_t overwrite(struct bench *b, uint64_t at, size_t bytes)
{
	static unsigned char count, data[BLOCKS * BS];
	errcode_t err = e4df_undo_save(b->undo, at, bytes);

	if (err)
		return err;
	memset(data, ++count, bytes);
	if (at <= SUPERBLOCK_OFFSET && at + bytes > SUPERBLOCK_OFFSET + 32)
		memset(data + SUPERBLOCK_OFFSET - at + 24, 0, 4);
	assert_int_equal(pwrite(b->options.fd, data, bytes,
				(off_t)(OFFSET + at)),
			 bytes);
	e4df_undo_follow(b->undo, at, bytes, data);
	return 0;
}

static void write_blocks(struct bench *b, unsigned int at, unsigned int len)
{
	assert_int_equal(overwrite(b, at * BS, len * BS), 0);
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

static void load(const char *path, unsigned char *file, size_t room)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	memset(file, 0, room);
	assert_true(fread(file, 1, room, f) >= sizeof(struct undo_header));
	assert_true(feof(f));
	fclose(f);
}

static uint32_t crc(const void *data, size_t bytes)
{
	return ext2fs_crc32c_le(~0U, data, bytes);
}

/* What e2undo demands of the superblock. */
static void check_super(const unsigned char *file, const unsigned char *now)
{
	const struct undo_header *h = (const void *)file;
	struct ext2_super_block sb;

	memcpy(&sb, file + h->super_offset * h->block_size, sizeof(sb));
	sb.s_magic = (__u16)~sb.s_magic;
	assert_memory_equal(&sb, now + OFFSET + SUPERBLOCK_OFFSET, sizeof(sb));
	assert_int_equal(h->super_crc, crc(&sb, sizeof(sb)));
}

/* Puts everything back as e2undo does, with all its checks; returns state. */
static uint32_t check_undone(const struct bench *b)
{
	static unsigned char file[8 * BYTES], now[BYTES];
	struct undo_header *h = (void *)file;
	uint64_t blk;

	load(b->path, file, sizeof(file));
	assert_int_equal(pread(b->options.fd, now, BYTES, 0), BYTES);
	assert_memory_equal(h->magic, UNDO_MAGIC, 8);
	assert_int_equal(h->crc, crc(h, offsetof(struct undo_header, crc)));
	assert_int_equal(h->fs_block_size, BS);
	assert_int_equal(h->compat, UNDO_HAS_FS_OFFSET);
	assert_int_equal(h->fs_offset, OFFSET);
	check_super(file, now);
	blk = h->key_offset;
	for (uint64_t done = 0; done < h->num_keys;) {
		struct undo_keys *keys = (void *)(file + blk * h->block_size);
		uint32_t sum = keys->crc;

		keys->crc = 0;
		assert_int_equal(keys->magic, UNDO_KEYS_MAGIC);
		assert_int_equal(sum, crc(keys, h->block_size));
		blk++;
		for (size_t i = 0;
		     i < h->block_size / 16 - 1 && done < h->num_keys;
		     i++, done++) {
			const struct undo_key *key = &keys->v[i];
			const unsigned char *data = file + blk * h->block_size;

			assert_int_equal(key->crc, crc(data, key->bytes));
			memcpy(now + OFFSET + key->fs_block * BS, data,
			       key->bytes);
			blk += (key->bytes + h->block_size - 1) / h->block_size;
		}
	}
	assert_memory_equal(now, b->before, BYTES);
	return h->state;
}

static void test_restores(void **state)
{
	struct bench *b = *state;

	open_undo(b);
	write_blocks(b, 10, 1);
	assert_int_equal(check_undone(b), 0); /* at any time, but unfinished */
	write_blocks(b, 8, 6);
	assert_int_equal(overwrite(b, 20 * BS + 700, 900), 0);
	assert_int_equal(overwrite(b, 1024, 512), 0);
	assert_int_equal(check_undone(b), 0);
	assert_int_equal(overwrite(b, 0, 4 * BS), 0);
	write_blocks(b, 0, BLOCKS);
	write_blocks(b, 5, 100);
	assert_int_equal(check_undone(b), 0);
	assert_int_equal(b->notes, 0);
	close_undo(b);
	assert_int_equal(check_undone(b), UNDO_FINISHED);
	assert_int_equal(b->notes, 1);
	/* header, superblock, keys; each block of the target once */
	assert_int_equal(size_of(b->path), (3 + BLOCKS) * BS);
}

static void test_random(void **state)
{
	struct bench *b = *state;
	struct prng rng = { 7 };

	for (unsigned int run = 0; run < 20; run++) {
		open_undo(b);
		for (unsigned int i = 0; i < 20; i++) {
			unsigned int at = pick(&rng, BLOCKS - 4);

			write_blocks(b, at, 1 + pick(&rng, 4));
		}
		check_undone(b);
		close_undo(b);
		assert_int_equal(check_undone(b), UNDO_FINISHED);
	}
	assert_int_equal(b->failures, 0);
}

/* A file is continued behind a block of keys that is full, nearly or just. */
static void test_full_keys(void **state)
{
	struct bench *b = *state;

	for (unsigned int n = KEYS - 1; n <= KEYS + 1; n++) {
		open_undo(b);
		for (unsigned int i = 0; i < n; i++)
			write_blocks(b, 4 + 2 * i, 1);
		close_undo(b);
		open_undo(b);
		for (unsigned int i = 0; i < n; i++)
			write_blocks(b, 200 + 2 * i, 1);
		close_undo(b);
		assert_int_equal(check_undone(b), UNDO_FINISHED);
		unlink(b->path);
		assert_int_equal(pwrite(b->options.fd, b->before, BYTES, 0),
				 BYTES);
	}
}

/* A file of another tool that has saved nothing yet. */
static void put_empty(const struct bench *b, unsigned int block_size,
		      uint64_t super, uint64_t keys)
{
	struct ext2_super_block sb;
	struct undo_header h = {
		.super_offset = super,
		.key_offset = keys,
		.block_size = block_size,
		.fs_block_size = BS,
		.state = UNDO_FINISHED,
		.compat = UNDO_HAS_FS_OFFSET,
		.fs_offset = OFFSET,
	};
	int fd = open(b->path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	memcpy(h.magic, UNDO_MAGIC, sizeof(h.magic));
	memcpy(&sb, b->before + OFFSET + SUPERBLOCK_OFFSET, sizeof(sb));
	h.super_crc = crc(&sb, sizeof(sb));
	h.crc = crc(&h, offsetof(struct undo_header, crc));
	sb.s_magic = (__u16)~sb.s_magic;
	assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	assert_int_equal(pwrite(fd, &sb, sizeof(sb),
				(off_t)(super * block_size)),
			 sizeof(sb));
	close(fd);
}

/* What mke2fs has begun has larger blocks. */
static void test_larger_blocks(void **state)
{
	struct bench *b = *state;

	put_empty(b, 4 * BS, 1, 2);
	for (unsigned int i = 0; i < 3; i++) {
		open_undo(b);
		write_blocks(b, 10 + i, 3 + 3 * i);
		for (unsigned int k = 0; k < 90; k++)
			write_blocks(b, 30 + 110 * i + k, 1);
		close_undo(b);
		assert_int_equal(check_undone(b), UNDO_FINISHED);
	}
}

static void test_nothing_saved(void **state)
{
	struct bench *b = *state;
	off_t size;

	open_undo(b);
	assert_int_equal(size_of(b->path), 0);
	close_undo(b);
	assert_int_equal(size_of(b->path), -1);
	open_undo(b);
	write_blocks(b, 30, 2);
	close_undo(b);
	size = size_of(b->path);
	open_undo(b);
	close_undo(b);
	assert_int_equal(size_of(b->path), size);
	assert_int_equal(check_undone(b), UNDO_FINISHED);
	assert_int_equal(e4df_undo_close(NULL), 0);
	assert_int_equal(e4df_undo_save(NULL, 0, 1), 0);
}

static void limit(rlim_t bytes)
{
	struct rlimit r = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/*
 * The file cannot grow: what is saved may be written, what is not may not,
 * also when there is room again; and the file is complete.
 */
static void test_full(void **state)
{
	struct bench *b = *state;

	for (unsigned int room = 0; room < 9; room++) {
		errcode_t err = 0;

		b->failures = 0;
		open_undo(b);
		limit(room * BS);
		for (unsigned int i = 0; i < 4 && !err; i++)
			err = e4df_undo_save(b->undo, (10 + 3 * i) * BS, BS);
		limit(RLIM_INFINITY);
		assert_int_equal(err, room < 7 ? EFBIG : 0);
		assert_int_equal(b->failures, room < 7);
		if (room < 7) {
			assert_int_equal(overwrite(b, 100 * BS, 1), EFBIG);
			assert_int_equal(b->failures, 1);
		}
		if (room > 3) {
			write_blocks(b, 10, 1);
			check_undone(b);
		}
		close_undo(b);
		if (room > 3)
			assert_int_equal(check_undone(b), UNDO_FINISHED);
		else
			assert_int_equal(size_of(b->path), -1);
		unlink(b->path);
		assert_int_equal(pwrite(b->options.fd, b->before, BYTES, 0),
				 BYTES);
	}
}

/* The target ends where it should not: nothing is saved, so nothing written. */
static void test_unreadable(void **state)
{
	struct bench *b = *state;

	open_undo(b);
	assert_int_not_equal(e4df_undo_save(b->undo, BLOCKS * BS, 1), 0);
	assert_int_equal(b->failures, 1);
	close_undo(b);
	assert_int_equal(size_of(b->path), -1);
}

static void cannot_open(struct bench *b, errcode_t err)
{
	struct e4df_undo *undo = NULL;

	b->failures = 0;
	assert_int_equal(e4df_undo_open(&b->options, &b->sink, &undo), err);
	assert_int_equal(b->failures, 1);
	assert_null(undo);
}

static void refused(struct bench *b)
{
	static unsigned char before[4 * BYTES], after[4 * BYTES];

	load(b->path, before, sizeof(before));
	cannot_open(b, E4DF_ET_UNDO);
	load(b->path, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(after));
}

static void change(const struct bench *b, off_t at, int is_super)
{
	int fd = open(b->path, O_RDWR);
	int to = is_super ? b->options.fd : fd;
	unsigned char byte;

	assert_int_equal(pread(to, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(to, &byte, 1, at), 1);
	close(fd);
}

static void test_refuses(void **state)
{
	struct bench *b = *state;
	static const off_t damage[] = { 0, 9, 40, BS, 2 * BS, 2 * BS + 20 };
	off_t super = OFFSET + SUPERBLOCK_OFFSET + 100;

	open_undo(b);
	write_blocks(b, 30, 2);
	refused(b); /* in use */
	close_undo(b);
	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		change(b, damage[i], 0);
		refused(b);
		change(b, damage[i], 0);
	}
	change(b, super, 1);
	refused(b);
	change(b, super, 1);
	b->options.offset = OFFSET - 1024; /* the same file system there */
	assert_int_equal(pwrite(b->options.fd,
				b->before + OFFSET + SUPERBLOCK_OFFSET, 1024,
				OFFSET),
			 1024);
	refused(b);
	b->options.offset = OFFSET;
	open_undo(b);
	close_undo(b);
	assert_int_equal(truncate(b->path, 4 * BS), 0);
	refused(b);
}

/* What is saved must not come to where the header or the superblock is. */
static void test_no_keys(void **state)
{
	struct bench *b = *state;
	static const uint64_t places[][2] = {
		{ 1, 0 }, { 1, 1 },	     { 1, 3 },
		{ 4, 2 }, { 1, 1ULL << 50 }, { 1, UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		put_empty(b, BS, places[i][0], places[i][1]);
		refused(b);
	}
	put_empty(b, BS, 3, 4);
	open_undo(b);
	write_blocks(b, 30, 2);
	close_undo(b);
	assert_int_equal(check_undone(b), UNDO_FINISHED);
}

static void test_unfinished(void **state)
{
	struct bench *b = *state;
	static unsigned char file[4 * BYTES];
	off_t size;
	FILE *f;

	open_undo(b);
	write_blocks(b, 30, 2);
	size = size_of(b->path);
	load(b->path, file, sizeof(file));
	close_undo(b);
	f = fopen(b->path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(file, 1, (size_t)size, f), size);
	fclose(f);
	refused(b);
}

/* What cannot be an undo file is left alone. */
static void test_places(void **state)
{
	struct bench *b = *state;
	char path[96];

	b->options.path = path;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(b->target));
	cannot_open(b, E4DF_ET_UNDO); /* the target itself */
	strcpy(path, "/dev/full");
	cannot_open(b, E4DF_ET_UNDO);
	strcpy(path, b->dir);
	cannot_open(b, E4DF_ET_UNDO);
	snprintf(path, sizeof(path), "%s/no/undo", b->dir);
	cannot_open(b, ENOENT);
	snprintf(path, sizeof(path), "%s/dangling", b->dir);
	assert_int_equal(symlink("nowhere", path), 0);
	cannot_open(b, ENOENT);
	unlink(path);
	b->options.path = b->path;
	b->options.offset = BYTES;
	cannot_open(b, EXT2_ET_SHORT_READ);
	assert_int_equal(size_of(b->path), -1);
}

/* Only what is an undo file, and does not fit, is replaced. */
static void test_replaces(void **state)
{
	struct bench *b = *state;

	open_undo(b);
	write_blocks(b, 30, 2);
	close_undo(b);
	change(b, OFFSET + SUPERBLOCK_OFFSET + 100, 1);
	assert_int_equal(pread(b->options.fd, b->before, BYTES, 0), BYTES);
	refused(b);
	b->options.flags = E4DF_UNDO_REPLACE;
	open_undo(b);
	write_blocks(b, 50, 1);
	close_undo(b);
	assert_int_equal(check_undone(b), UNDO_FINISHED);
	open_undo(b);
	write_blocks(b, 70, 1);
	close_undo(b);
	assert_int_equal(check_undone(b), UNDO_FINISHED);
	change(b, 0, 0);
	refused(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_restores, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_keys, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_larger_blocks, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_nothing_saved, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaces, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
