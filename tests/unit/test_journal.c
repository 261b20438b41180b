/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transactions of ours, replayed by e2fsck: what was staged must stand in its
 * place, and what was not committed must not.
 */
#include "journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"
#include "e4df_err.h"

#define REPLAY "-y -E journal_only"

#define be32 ext2fs_cpu_to_be32

/* The features of the log as it is found, and of the file system. */
struct flavour {
	const char *features; /* mke2fs -O */
	uint32_t compat, incompat;
	int has_metadata_csum, has_64bit;
	unsigned int tag_bytes, tail; /* in the log that we write */
};

#define PLAIN "^metadata_csum,^64bit"

static const struct flavour flavours[] = {
	{ PLAIN, 0, 0, 0, 0, 8, 0 },
	{ PLAIN, 0, 0x02, 0, 0, 12, 0 },
	{ PLAIN, 1, 0, 0, 0, 8, 0 },
	{ PLAIN, 1, 0x02, 0, 0, 12, 0 },
	{ PLAIN, 0, 0x08, 0, 0, 10, 4 },
	{ PLAIN, 0, 0x0a, 0, 0, 14, 4 },
	{ PLAIN, 0, 0x10, 0, 0, 16, 4 },
	{ PLAIN, 0, 0x12, 0, 0, 16, 4 },
	{ "metadata_csum,^64bit", 1, 0x01, 1, 0, 16, 4 },
	{ "metadata_csum,64bit", 0, 0x08, 1, 1, 16, 4 },
	{ "metadata_csum,64bit", 0, 0x24, 1, 1, 16, 4 },
	{ "^metadata_csum,64bit", 0, 0, 0, 1, 12, 0 },
};

static void set_features(const struct disk *disk, const struct flavour *f)
{
	struct jbd2_super jsb;

	disk_read_jsb(disk, &jsb);
	jsb.compat = be32(f->compat);
	jsb.incompat = be32(f->incompat);
	jsb.checksum_type = f->incompat & 0x18 ? JBD2_CHECKSUM_CRC32C : 0;
	disk_write_jsb(disk, &jsb);
}

static errcode_t try_open(struct disk *disk, const struct flavour *f,
			  struct e4df_journal **ret)
{
	const struct e4df_journal_options options = {
		.gate = disk->gate,
		.sink = &disk->sink,
		.log = disk->log,
		.log_extents = disk->log_extents,
		.size = UINT32_MAX,
		.block_size = disk->bs,
		.has_metadata_csum = f->has_metadata_csum,
		.has_64bit = f->has_64bit,
	};

	return e4df_journal_open(&options, ret);
}

static struct e4df_journal *open_journal(struct disk *disk,
					 const struct flavour *f)
{
	struct e4df_journal *journal = NULL;

	assert_int_equal(try_open(disk, f, &journal), 0);
	return journal;
}

/*
 * The contents that test `key` wants in a block.  Every third begins with the
 * journal's magic number, which must be escaped in the log.
 */
static void fill(unsigned char *buf, unsigned int bs, uint64_t key, __u32 n)
{
	static const unsigned char magic[] = { 0xc0, 0x3b, 0x39, 0x98 };

	prng_fill((uint64_t *)(void *)buf, bs / 8, key, n);
	if (n % 3 == 1)
		memcpy(buf, magic, 4);
}

/* Sixteen neighbours, a gap, sixteen more: not in order. */
static blk64_t target(const struct disk *disk, __u32 n)
{
	return disk->unused[(n ^ 5) + n / 16 * 8];
}

static struct e4df_stage *stage(struct disk *disk, uint64_t key, __u32 count)
{
	struct e4df_stage *stage;

	assert_int_equal(e4df_stage_new(disk->bs, &stage), 0);
	for (__u32 n = 0; n < count; n++) {
		void *image;

		assert_int_equal(e4df_stage_add(stage, target(disk, n), &image),
				 0);
		fill(image, disk->bs, key, n);
	}
	assert_int_equal(e4df_stage_seal(stage), 0);
	return stage;
}

/* Stages so many images and commits them; the checkpoint if asked for. */
static errcode_t commit(struct disk *disk, struct e4df_journal *journal,
			uint64_t key, __u32 count, int has_checkpoint)
{
	struct e4df_stage *images = stage(disk, key, count);
	errcode_t err = e4df_journal_commit(journal, images);

	if (!err)
		assert_false(e4df_journal_is_clean(journal));
	if (!err && has_checkpoint)
		err = e4df_journal_checkpoint(journal, images);
	e4df_stage_free(images);
	return err;
}

/* How many of the targets have the contents of `key`? */
static __u32 count_done(const struct disk *disk, uint64_t key, __u32 count)
{
	unsigned char *want = malloc(disk->bs), *have = malloc(disk->bs);
	__u32 done = 0;

	for (__u32 n = 0; n < count; n++) {
		fill(want, disk->bs, key, n);
		disk_read(disk, target(disk, n), have);
		done += !memcmp(want, have, disk->bs);
	}
	free(want);
	free(have);
	return done;
}

/* Commits so many images and lets e2fsck bring them home. */
static void replay(struct disk *disk, const struct flavour *f, __u32 count)
{
	uint64_t key = count + disk->bs;
	struct e4df_journal *journal;
	struct jbd2_super jsb;

	disk_restore(disk);
	set_features(disk, f);
	journal = open_journal(disk, f);
	assert_int_equal(e4df_journal_start(journal), 0);
	assert_true(e4df_journal_is_clean(journal));
	assert_int_equal(commit(disk, journal, key, count, 0), 0);
	e4df_journal_close(journal);
	assert_int_equal(count_done(disk, key, count), 0);
	assert_in_range(disk_e2fsck(disk, REPLAY), 0, 1);
	assert_int_equal(count_done(disk, key, count), count);
	disk_read_jsb(disk, &jsb);
	assert_int_equal(jsb.start, 0);
	assert_int_equal(disk_e2fsck(disk, "-fn"), 0);
}

static void replay_flavour(unsigned int bs, const struct flavour *f)
{
	__u32 tags = (bs - 12 - 16 - f->tail) / f->tag_bytes;
	const __u32 counts[] = { 0,    1,	 2,	   tags - 1,
				 tags, tags + 1, 2 * tags, 2 * tags + 1 };
	struct e4df_journal *journal;
	struct disk disk;
	__u32 most;

	disk_make(&disk, bs, f->features);
	disk_save(&disk);
	set_features(&disk, f);
	journal = open_journal(&disk, f);
	most = e4df_journal_capacity(journal);
	e4df_journal_close(journal);
	assert_in_range(most, 700, 1023);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		if (counts[i] <= most)
			replay(&disk, f, counts[i]);
	replay(&disk, f, most);
	disk_remove(&disk);
}

static void all_flavours(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flavours); i++)
		replay_flavour(1024, &flavours[i]);
	replay_flavour(2048, &flavours[5]);
	replay_flavour(4096, &flavours[0]);
	replay_flavour(4096, &flavours[9]);
}

/* Several transactions in a row, checkpointed by ourselves, then the end. */
static void checkpoints(void **state)
{
	const struct flavour *f = &flavours[9];
	struct e4df_journal *journal;
	struct jbd2_super jsb;
	struct disk disk;

	(void)state;
	disk_make(&disk, 1024, f->features);
	set_features(&disk, f);
	journal = open_journal(&disk, f);
	assert_int_equal(e4df_journal_stop(journal), 0); /* nothing */
	assert_int_equal(e4df_journal_start(journal), 0);
	for (__u32 i = 1; i <= 4; i++) {
		assert_int_equal(commit(&disk, journal, i, 200 - 40 * i, 1), 0);
		assert_true(e4df_journal_is_clean(journal));
		assert_int_equal(count_done(&disk, i, 200 - 40 * i),
				 200 - 40 * i);
		disk_read_jsb(&disk, &jsb);
		assert_int_equal(be32(jsb.sequence), 1 + i);
		assert_int_equal(be32(jsb.start), 1);
	}
	assert_int_equal(e4df_journal_stop(journal), 0);
	e4df_journal_close(journal);
	disk_read_jsb(&disk, &jsb);
	assert_int_equal(jsb.start, 0);
	assert_int_equal(be32(jsb.incompat), 0x12); /* V3, 64BIT */
	assert_in_range(disk_e2fsck(&disk, REPLAY), 0, 1);
	assert_int_equal(disk_e2fsck(&disk, "-fn"), 0);
	disk_remove(&disk);
}

/* Nothing goes beyond what fast commit keeps, nor one image too many. */
static void capacity(void **state)
{
	const struct flavour *f = &flavours[8];
	struct e4df_journal *journal;
	unsigned char *last;
	struct disk disk;
	__u32 most;

	(void)state;
	disk_make(&disk, 1024, f->features);
	disk_save(&disk);
	set_features(&disk, f);
	last = malloc(disk.bs);
	memset(last, 0x5a, disk.bs);
	for (__u32 n = 1024 - 256; n < 1024; n++)
		disk_write(&disk, disk_log_block(&disk, n), last);
	journal = open_journal(&disk, f);
	most = e4df_journal_capacity(journal);
	assert_int_equal(e4df_journal_start(journal), 0);
	assert_int_equal(commit(&disk, journal, 2, most + 1, 0),
			 E4DF_ET_TOO_LARGE);
	assert_true(e4df_journal_is_clean(journal));
	assert_int_equal(count_done(&disk, 2, most + 1), 0);
	assert_int_equal(commit(&disk, journal, 3, most, 0), 0);
	e4df_journal_close(journal);
	for (__u32 n = 1024 - 256; n < 1024; n++) {
		disk_read(&disk, disk_log_block(&disk, n), last);
		for (unsigned int i = 0; i < disk.bs; i++)
			assert_int_equal(last[i], 0x5a);
	}
	free(last);
	disk_remove(&disk);
}

/* A log that was made anew over an old one, with the old one's number. */
static void rewind_log(const struct disk *disk, uint32_t tid, uint32_t start)
{
	struct jbd2_super jsb;

	disk_read_jsb(disk, &jsb);
	jsb.sequence = be32(tid);
	jsb.start = be32(start);
	disk_write_jsb(disk, &jsb);
}

/* I9: an old transaction with the expected number must not come back. */
static void stale_transaction(const struct flavour *f, uint32_t tid)
{
	struct e4df_journal *journal;
	struct jbd2_super jsb;
	struct disk disk;

	disk_make(&disk, 1024, f->features);
	set_features(&disk, f);
	rewind_log(&disk, tid, 0);
	journal = open_journal(&disk, f);
	assert_int_equal(e4df_journal_start(journal), 0);
	assert_int_equal(commit(&disk, journal, 1, 20, 0), 0);
	e4df_journal_close(journal);
	rewind_log(&disk, tid, 1);
	disk_save(&disk);
	disk_e2fsck(&disk, REPLAY);
	assert_int_equal(count_done(&disk, 1, 20), 20); /* the trap works */
	disk_restore(&disk);
	rewind_log(&disk, tid, 0);
	journal = open_journal(&disk, f);
	assert_int_equal(e4df_journal_start(journal), 0);
	disk_read_jsb(&disk, &jsb);
	assert_int_equal(be32(jsb.sequence), tid + 1);
	disk_save(&disk);
	disk_e2fsck(&disk, REPLAY);
	assert_int_equal(count_done(&disk, 1, 20), 0);
	disk_restore(&disk);
	assert_int_equal(commit(&disk, journal, 2, 10, 0), 0);
	e4df_journal_close(journal);
	disk_e2fsck(&disk, REPLAY);
	assert_int_equal(count_done(&disk, 2, 10), 10);
	assert_int_equal(count_done(&disk, 1, 20), 0);
	disk_remove(&disk);
}

static void stale_transactions(void **state)
{
	(void)state;
	stale_transaction(&flavours[0], 1);
	stale_transaction(&flavours[9], 77);
	stale_transaction(&flavours[6], 0xffffffff); /* wraps */
}

/* The number that start chooses when one block of the log bears `stale`. */
static uint32_t choose(struct disk *disk, uint32_t sequence, uint32_t stale)
{
	unsigned char block[1024] = { 0 };
	struct jbd2_head head = { be32(JBD2_MAGIC), be32(2), be32(stale) };
	struct e4df_journal *journal;
	struct jbd2_super jsb;

	disk_restore(disk);
	memcpy(block, &head, sizeof(head));
	disk_write(disk, disk_log_block(disk, 1023), block);
	rewind_log(disk, sequence, 0);
	journal = open_journal(disk, &flavours[0]);
	assert_int_equal(e4df_journal_start(journal), 0);
	e4df_journal_close(journal);
	disk_read_jsb(disk, &jsb);
	return be32(jsb.sequence);
}

/* Numbers ahead count, also across the wrap; numbers behind do not. */
static void stale_numbers(void **state)
{
	struct disk disk;

	(void)state;
	disk_make(&disk, 1024, PLAIN);
	disk_save(&disk);
	assert_int_equal(choose(&disk, 10, 9), 10);
	assert_int_equal(choose(&disk, 10, 10), 11);
	assert_int_equal(choose(&disk, 10, 500), 501);
	assert_int_equal(choose(&disk, 10, 0xfffffff0), 10);
	assert_int_equal(choose(&disk, 0xfffffff0, 5), 6);
	assert_int_equal(choose(&disk, 0xfffffff0, 0xfffffff3), 0xfffffff4);
	disk_remove(&disk);
}

/* At the flush before the commit block: its slot and the next are zeros. */
static errcode_t look_at_slot(void *ctx, enum e4df_gate_op op, uint64_t offset,
			      size_t bytes, const void *data)
{
	struct disk *disk = ctx;
	unsigned char block[1024], zeros[1024] = { 0 };

	(void)offset;
	(void)bytes;
	(void)data;
	if (op != E4DF_GATE_FLUSH)
		return 0;
	for (__u32 n = 12; n < 15; n++) { /* behind 1 + 10 blocks */
		disk_read(disk, disk_log_block(disk, n), block);
		if (n < 14)
			assert_memory_equal(block, zeros, disk->bs);
		else
			assert_int_equal(block[0], 0x5a);
	}
	return EIO; /* enough seen */
}

static void empty_slot(void **state)
{
	struct e4df_journal *journal;
	struct e4df_gate_tap tap;
	unsigned char block[1024];
	struct disk disk;

	(void)state;
	disk_make(&disk, 1024, PLAIN);
	memset(block, 0x5a, sizeof(block));
	for (__u32 n = 1; n < 1024; n++)
		disk_write(&disk, disk_log_block(&disk, n), block);
	journal = open_journal(&disk, &flavours[0]);
	assert_int_equal(e4df_journal_start(journal), 0);
	tap = (struct e4df_gate_tap){ look_at_slot, &disk };
	e4df_gate_set_tap(disk.gate, &tap);
	assert_int_equal(commit(&disk, journal, 1, 10, 0), EIO);
	e4df_journal_close(journal);
	disk_remove(&disk);
}

/* Makes the n-th write or flush fail, and counts what comes behind it. */
struct fault {
	unsigned int at, seen, writes_behind;
};

static errcode_t fail_at(void *ctx, enum e4df_gate_op op, uint64_t offset,
			 size_t bytes, const void *data)
{
	struct fault *fault = ctx;

	(void)offset;
	(void)bytes;
	(void)data;
	if (op == E4DF_GATE_READ)
		return 0;
	if (++fault->seen > fault->at && op == E4DF_GATE_WRITE)
		fault->writes_behind++;
	return fault->seen == fault->at ? EIO : 0;
}

/* One transaction, and another that fails at its n-th operation. */
static errcode_t fail_once(struct disk *disk, const struct flavour *f,
			   struct fault *fault, int *is_clean)
{
	struct e4df_gate_tap tap = { fail_at, fault };
	struct e4df_journal *journal = open_journal(disk, f);
	struct e4df_stage *images;
	errcode_t err;

	assert_int_equal(e4df_journal_start(journal), 0);
	assert_int_equal(commit(disk, journal, 1, 90, 1), 0);
	images = stage(disk, 2, 70);
	e4df_gate_set_tap(disk->gate, &tap);
	err = e4df_journal_commit(journal, images);
	*is_clean = e4df_journal_is_clean(journal);
	if (!err)
		err = e4df_journal_checkpoint(journal, images);
	e4df_stage_free(images);
	e4df_gate_set_tap(disk->gate, NULL);
	assert_int_equal(e4df_journal_start(journal),
			 err ? E4DF_ET_STOPPED : 0);
	e4df_journal_close(journal);
	return err;
}

/* All or nothing, and no write after the error. */
static void faults(void **state)
{
	const struct flavour *f = &flavours[9];
	errcode_t err = EIO;
	unsigned int n;

	(void)state;
	for (n = 1; err; n++) {
		struct fault fault = { .at = n };
		struct disk disk;
		__u32 done;
		int is_clean;

		disk_make(&disk, 1024, f->features);
		set_features(&disk, f);
		err = fail_once(&disk, f, &fault, &is_clean);
		assert_true(!err || err == EIO);
		assert_int_equal(fault.writes_behind, 0);
		assert_in_range(disk_e2fsck(&disk, REPLAY), 0, 1);
		done = count_done(&disk, 2, 70);
		assert_int_equal(done, is_clean ? 0 : 70);
		if (is_clean)
			assert_int_equal(count_done(&disk, 1, 90), 90);
		assert_int_equal(disk_e2fsck(&disk, "-fn"), 0);
		disk_remove(&disk);
	}
	assert_in_range(n, 7, 100);
}

#define AT(field) offsetof(struct jbd2_super, field)
#define BAD	  E4DF_ET_BAD_JOURNAL
#define UNUSABLE  E4DF_ET_NO_JOURNAL
#define UNKNOWN	  E4DF_ET_FEATURE

/* Journal superblocks that must be refused, one field wrong in each. */
struct refusal {
	size_t offset;	/* of a 32-bit field */
	uint32_t value; /* cpu order */
	errcode_t code;
	const char *text;
	int has_wrong_csum;
};

static void check_refusal(struct disk *disk, const struct refusal *r)
{
	struct e4df_journal *journal = NULL;
	uint32_t value = be32(r->value);
	struct jbd2_super jsb;

	disk_restore(disk);
	disk_read_jsb(disk, &jsb);
	memcpy((char *)&jsb + r->offset, &value, 4);
	disk_write_jsb(disk, &jsb);
	if (r->has_wrong_csum) {
		disk_read_jsb(disk, &jsb);
		jsb.users[700] ^= 1;
		assert_int_equal(pwrite(disk->fd, &jsb, sizeof(jsb),
					(off_t)(disk->log[0].pblk * disk->bs)),
				 sizeof(jsb));
	}
	disk->text[0] = 0;
	assert_int_equal(try_open(disk, &flavours[7], &journal), r->code);
	assert_null(journal);
	if (r->code == UNUSABLE) {
		assert_int_equal(disk->last.severity, E4DF_NOTE);
	} else {
		assert_int_equal(disk->last.severity, E4DF_FAILURE);
		assert_int_equal(disk->last.code, r->code);
	}
	assert_non_null(strstr(disk->text, r->text));
}

#define WRONG_TYPE  (1U << 24)
#define CSUM_FIELDS AT(checksum_type)

static void refusals(void **state)
{
	const struct refusal table[] = {
		{ AT(head.magic), 0xc03b3999, BAD, "magic", 0 },
		{ AT(head.type), 3, UNUSABLE, "version 1", 0 },
		{ AT(head.type), 5, BAD, "type", 0 },
		{ AT(blocksize), 2048, BAD, "block size", 0 },
		{ AT(first), 0, BAD, "length", 0 },
		{ AT(first), 1024, BAD, "length", 0 },
		{ AT(num_fc_blks), 0xffff0000, BAD, "length", 0 },
		{ AT(maxlen), 1025, BAD, "length", 0 },
		{ AT(maxlen), 1023, UNUSABLE, "shorter", 0 },
		{ AT(start), 1, BAD, "not empty", 0 },
		{ AT(error), 5, BAD, "not empty", 0 },
		{ AT(incompat), 0x52, UNKNOWN, "feature", 0 },
		{ AT(ro_compat), 1, UNKNOWN, "feature", 0 },
		{ AT(compat), 2, UNKNOWN, "feature", 0 },
		{ AT(nr_users), 2, UNKNOWN, "feature", 0 },
		{ AT(incompat), 0x1a, BAD, "two kinds", 0 },
		{ AT(compat), 1, BAD, "two kinds", 0 },
		{ CSUM_FIELDS, WRONG_TYPE, BAD, "checksum", 0 },
		{ AT(dynsuper), 0, BAD, "checksum", 1 },
	};
	struct disk disk;

	(void)state;
	disk_make(&disk, 1024, flavours[7].features);
	set_features(&disk, &flavours[7]);
	disk_save(&disk);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		check_refusal(&disk, &table[i]);
	disk_restore(&disk);
	e4df_journal_close(open_journal(&disk, &flavours[7]));
	disk_remove(&disk);
}

/* A log with a hole, with unwritten extents, or empty. */
static void bad_maps(void **state)
{
	struct e4df_journal *journal = NULL;
	struct disk disk;

	(void)state;
	disk_make(&disk, 1024, PLAIN);
	disk.log[0].lblk++;
	assert_int_equal(try_open(&disk, &flavours[0], &journal), BAD);
	assert_non_null(strstr(disk.text, "holes"));
	disk.log[0].lblk--;
	disk.log[0].flags = E4DF_EXTENT_UNWRITTEN;
	assert_int_equal(try_open(&disk, &flavours[0], &journal), BAD);
	disk.log[0].flags = 0;
	disk.log_extents = 0;
	assert_int_equal(try_open(&disk, &flavours[0], &journal), BAD);
	assert_null(journal);
	e4df_journal_close(NULL);
	disk_remove(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_flavours),
		cmocka_unit_test(checkpoints),
		cmocka_unit_test(capacity),
		cmocka_unit_test(stale_transactions),
		cmocka_unit_test(stale_numbers),
		cmocka_unit_test(empty_slot),
		cmocka_unit_test(faults),
		cmocka_unit_test(refusals),
		cmocka_unit_test(bad_maps),
	};

	return disk_has_tools() ? cmocka_run_group_tests(tests, NULL, NULL) :
				  77;
}
