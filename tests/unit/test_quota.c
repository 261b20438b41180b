/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Quota files that are built here, byte by byte, by the kernel's description
 * of the format: read, changed, and damaged in every way that could lead
 * astray.
 */
#include "quota.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"
#include "unit.h"

#define QBLOCK	   1024
#define MAX_BLOCKS 4096 /* of a file here */
#define MAX_IDS	   1024

/* A quota file under construction, and the disk that it comes to lie on. */
struct made {
	unsigned char file[MAX_BLOCKS * QBLOCK];
	unsigned char disk[MAX_BLOCKS * QBLOCK * 2];
	uint32_t blocks; /* used so far */
	uint32_t leaf;	 /* with room; 0 = none */
	unsigned int bs; /* of the file system */
	struct e4df_extent extents[MAX_BLOCKS];
	struct e4df_quota_file quota;
	unsigned long reads;
	unsigned long fail_at; /* the read that fails; 0 = none */
};

/* What walk has told. */
struct heard {
	struct e4df_quota_usage v[MAX_IDS];
	size_t count;
	errcode_t answer;
};

static void put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static void put64(unsigned char *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

static uint64_t get64(const unsigned char *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static unsigned char *block(struct made *m, uint32_t n)
{
	assert_true(n < MAX_BLOCKS);
	return m->file + (size_t)n * QBLOCK;
}

static void make(struct made *m, enum e4df_quota_type type, unsigned int bs)
{
	static const uint32_t magics[] = { 0xd9c01f11, 0xd9c01927, 0xd9c03f14 };

	memset(m, 0, sizeof(*m));
	m->bs = bs;
	m->quota.type = type;
	put32(m->file, magics[type]);
	put32(m->file + 4, 1);
	put32(m->file + 8, 604800);
	put32(m->file + 12, 604800);
	m->blocks = 2;
}

/* The reference to what serves an id at a depth; made if it is not there. */
static unsigned char *reference(struct made *m, uint32_t id, int depth)
{
	uint32_t at = 1;

	for (int d = 0;; d++) {
		unsigned char *ref =
			block(m, at) + 4 * (size_t)(id >> (24 - 8 * d) & 255);

		if (d == depth)
			return ref;
		if (!get32(ref))
			put32(ref, m->blocks++);
		at = get32(ref);
	}
}

/* The entry of a new id. */
static unsigned char *add(struct made *m, uint32_t id, uint64_t space,
			  uint64_t inodes)
{
	unsigned char *ref = reference(m, id, 3), *entry;
	uint32_t used;

	if (!m->leaf)
		m->leaf = m->blocks++;
	put32(ref, m->leaf);
	used = block(m, m->leaf)[8];
	entry = block(m, m->leaf) + 16 + 72 * (size_t)used;
	block(m, m->leaf)[8] = (unsigned char)++used;
	if (used == 14)
		m->leaf = 0;
	put32(entry, id);
	put64(entry + 24, inodes);
	put64(entry + 48, space);
	if (!id && !space && !inodes)
		put64(entry + 64, 1); /* else it would be a free one */
	return entry;
}

static errcode_t read_block(void *ctx, blk64_t pblk, void *buf)
{
	struct made *m = ctx;

	assert_true(pblk && (pblk + 1) * m->bs <= sizeof(m->disk));
	if (++m->reads == m->fail_at)
		return EIO;
	memcpy(buf, m->disk + pblk * m->bs, m->bs);
	return 0;
}

/* To the disk: every block at another place, runs of three; none if zero. */
static void put_on_disk(struct made *m)
{
	uint32_t count = 0, last = (m->blocks * QBLOCK + m->bs - 1) / m->bs;
	static const unsigned char zero[65536];

	put32(m->file + 20, m->blocks);
	for (uint32_t i = 0; i < last; i++) {
		uint32_t to = last + 5 - i / 3 * 3 + i % 3;
		const unsigned char *from = m->file + (size_t)i * m->bs;

		if (!memcmp(from, zero, m->bs))
			continue;
		memcpy(m->disk + (size_t)to * m->bs, from, m->bs);
		m->extents[count++] = (struct e4df_extent){
			.lblk = i,
			.pblk = to,
			.len = 1,
		};
	}
	m->quota.block_size = m->bs;
	m->quota.extents = m->extents;
	m->quota.count = count;
	m->quota.read = read_block;
	m->quota.ctx = m;
}

static errcode_t on_visit(void *ctx, const struct e4df_quota_usage *u)
{
	struct heard *h = ctx;

	assert_true(h->count < MAX_IDS);
	h->v[h->count++] = *u;
	return h->answer;
}

static errcode_t walk(struct made *m, struct heard *h,
		      struct e4df_quota_fault *fault)
{
	memset(h, 0, sizeof(*h));
	put_on_disk(m);
	return e4df_quota_walk(&m->quota, (__u64)m->blocks * QBLOCK, on_visit,
			       h, fault);
}

static struct made *made;
static struct heard *heard;
static struct e4df_quota_fault fault;

static int setup(void **state)
{
	(void)state;
	made = calloc(1, sizeof(*made));
	heard = calloc(1, sizeof(*heard));
	return !made || !heard;
}

static int teardown(void **state)
{
	(void)state;
	free(made);
	free(heard);
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Many ids, in any order, near each other and far away. */
static void finds_all(unsigned int bs, enum e4df_quota_type type)
{
	struct prng rng;
	uint32_t ids[300];
	size_t count = 0;

	rng.state = bs + (unsigned int)type;
	make(made, type, bs);
	while (count < ARRAY_SIZE(ids)) {
		uint32_t id = chance(&rng, 50) ? pick(&rng, 500) :
			      chance(&rng, 50) ? 65000 + pick(&rng, 1000) :
						 (uint32_t)prng_next(&rng);
		int is_new = 1;

		if (!count)
			id = 0;
		if (count == 1)
			id = UINT32_MAX;
		for (size_t i = 0; i < count; i++)
			is_new &= ids[i] != id;
		if (!is_new)
			continue;
		add(made, id, id ? id * 4096ULL : 0, id ? id + 7ULL : 0);
		ids[count++] = id;
	}
	assert_int_equal(walk(made, heard, &fault), 0);
	assert_null(fault.text);
	assert_int_equal(heard->count, count);
	qsort(ids, count, sizeof(*ids), compare_ids);
	for (size_t i = 0; i < count; i++) {
		uint32_t id = ids[i];
		unsigned int offset;
		blk64_t pblk;

		assert_int_equal(heard->v[i].id, id);
		assert_int_equal(heard->v[i].space, id * 4096ULL);
		assert_int_equal(heard->v[i].inodes, id ? id + 7ULL : 0);
		assert_int_equal(
			e4df_quota_find(&made->quota, id, &pblk, &offset), 0);
		assert_true(offset + 72 <= bs);
		assert_int_equal(get32(made->disk + pblk * bs + offset), id);
		assert_int_equal(get64(made->disk + pblk * bs + offset + 48),
				 id * 4096ULL);
	}
}

static void many(void **state)
{
	(void)state;
	for (unsigned int bs = 1024; bs <= 65536; bs *= 2)
		for (enum e4df_quota_type type = 0; type < E4DF_QUOTA_TYPES;
		     type++)
			finds_all(bs, type);
}

static void absent(void **state)
{
	static const uint32_t near[] = { 0,	  1,	      999,	 1001,
					 1000256, 0x010003e8, UINT32_MAX };
	unsigned int offset;
	blk64_t pblk;

	(void)state;
	make(made, E4DF_QUOTA_USER, 4096);
	assert_int_equal(walk(made, heard, &fault), 0);
	assert_int_equal(heard->count, 0);
	add(made, 1000, 1, 1);
	assert_int_equal(walk(made, heard, &fault), 0);
	assert_int_equal(heard->count, 1);
	for (size_t i = 0; i < ARRAY_SIZE(near); i++)
		assert_int_equal(e4df_quota_find(&made->quota, near[i], &pblk,
						 &offset),
				 E4DF_ET_INCONSISTENT);
}

/* -- damage */

static void base(void)
{
	make(made, E4DF_QUOTA_GROUP, 1024);
	for (uint32_t id = 0; id < 20; id++)
		add(made, id * 13, id + 1, 1);
	add(made, 70000, 5, 1);
}

static void damaged(const char *text)
{
	assert_int_equal(walk(made, heard, &fault), E4DF_ET_INCONSISTENT);
	assert_non_null(fault.text);
	if (!strstr(fault.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, fault.text);
}

static void bad_head(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
		const char *text;
	} table[] = {
		{ 0, 0xd9c01f11, "magic" },  { 0, 0x2719c0d9, "magic" },
		{ 0, 0, "magic" },	     { 4, 0, "version" },
		{ 4, 2, "version" },	     { 24, UINT32_MAX, "range" },
		{ 28, MAX_BLOCKS, "range" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		base();
		put32(made->file + table[i].at, table[i].value);
		damaged(table[i].text);
		assert_int_equal(fault.block, 0);
	}
	/* no blocks; fewer bytes than blocks; more than there can be */
	for (int i = 0; i < 4; i++) {
		static const uint32_t blocks[] = { 0, 1, 0, 0x200001 };
		__u64 size = i == 2 ? (made->blocks - 1ULL) * QBLOCK :
				      UINT64_MAX;

		base();
		put_on_disk(made);
		if (i != 2)
			put32(made->disk + made->extents[0].pblk * QBLOCK + 20,
			      blocks[i]);
		assert_int_equal(e4df_quota_walk(&made->quota, size, on_visit,
						 heard, &fault),
				 E4DF_ET_INCONSISTENT);
		assert_non_null(strstr(fault.text, "number of blocks"));
	}
}

static int has_heard(uint32_t id)
{
	for (size_t i = 0; i < heard->count; i++)
		if (heard->v[i].id == id)
			return 1;
	return 0;
}

/* A reference at any depth, to everything that it must not name. */
static void bad_references(void **state)
{
	(void)state;
	for (int depth = 0; depth < 4; depth++) {
		for (uint32_t to = 0; to < 100; to++) {
			errcode_t err;
			unsigned char *ref;
			uint32_t was;

			base();
			ref = reference(made, 70000, depth);
			was = get32(ref);
			put32(ref, to < 99 ? to : UINT32_MAX);
			err = walk(made, heard, &fault);
			/* what is cut off is absent, and else is well */
			if (!to && !err)
				assert_false(has_heard(70000));
			else
				assert_int_equal(
					err,
					to == was ? 0 : E4DF_ET_INCONSISTENT);
			e4df_quota_find(&made->quota, 70000, &(blk64_t){ 0 },
					&(unsigned int){ 0 });
		}
	}
}

/* All nodes refer to one block, by all of their numbers: 2^32 ways. */
static void loops(void **state)
{
	(void)state;
	for (uint32_t node = 1; node < 6; node++) {
		base();
		for (size_t i = 0; i < 256; i++)
			put32(block(made, node) + 4 * i, node);
		assert_int_equal(walk(made, heard, &fault),
				 E4DF_ET_INCONSISTENT);
		assert_true(made->reads < 5000);
		e4df_quota_find(&made->quota, UINT32_MAX, &(blk64_t){ 0 },
				&(unsigned int){ 0 });
	}
	make(made, E4DF_QUOTA_GROUP, 1024);
	made->blocks = 300;
	for (uint32_t n = 1; n < 300; n++)
		for (uint32_t i = 0; i < 256; i++)
			put32(block(made, n) + 4 * (size_t)i, 2 + i);
	damaged("");
	assert_true(made->reads < 5000);
	/* no loop, and nothing at the end of 2^24 ways */
	make(made, E4DF_QUOTA_GROUP, 1024);
	made->blocks = 5;
	for (uint32_t n = 1; n < 4; n++)
		for (size_t i = 0; i < 256; i++)
			put32(block(made, n) + 4 * i, n + 1);
	damaged("the tree comes twice to a block");
	assert_true(made->reads < 10);
}

static void bad_entries(void **state)
{
	unsigned char *entry;

	(void)state;
	base();
	entry = add(made, 5, 1, 1);
	put32(entry, 6);
	damaged("an entry is missing");
	base();
	entry = add(made, 5, 1, 1);
	memset(entry, 0, 72);
	damaged("an entry is missing");
	/* twice the same id, and one that nothing leads to */
	base();
	entry = add(made, 5, 1, 1);
	put32(entry + 72, 5);
	damaged("does not lead to all entries");
	base();
	add(made, 5, 1, 1);
	put32(reference(made, 5, 3), 0);
	damaged("does not lead to all entries");
}

/* What is random everywhere must end, whatever it says. */
static void noise(void **state)
{
	struct prng rng;

	(void)state;
	rng.state = 11;
	for (int round = 0; round < 300; round++) {
		base();
		for (unsigned int n = 1 + pick(&rng, 40); n; n--) {
			uint32_t at = pick(&rng, made->blocks * QBLOCK / 4);

			put32(made->file + (size_t)at * 4,
			      chance(&rng, 80) ? pick(&rng, made->blocks) :
						 (uint32_t)prng_next(&rng));
		}
		walk(made, heard, &fault);
		assert_true(made->reads < 5000);
		e4df_quota_find(&made->quota, pick(&rng, 300), &(blk64_t){ 0 },
				&(unsigned int){ 0 });
	}
}

static void errors(void **state)
{
	unsigned long reads;
	unsigned int offset;
	blk64_t pblk;

	(void)state;
	base();
	assert_int_equal(walk(made, heard, &fault), 0);
	reads = made->reads;
	for (unsigned long n = 1; n <= reads; n++) {
		made->reads = 0;
		made->fail_at = n;
		assert_int_equal(walk(made, heard, &fault), EIO);
		assert_null(fault.text);
	}
	for (unsigned long n = 1; n <= 5; n++) {
		made->reads = 0;
		made->fail_at = n;
		assert_int_equal(e4df_quota_find(&made->quota, 70000, &pblk,
						 &offset),
				 EIO);
	}
	made->fail_at = 0;
	heard->answer = ENOSPC;
	heard->count = 0;
	assert_int_equal(e4df_quota_walk(&made->quota,
					 (__u64)made->blocks * QBLOCK, on_visit,
					 heard, &fault),
			 ENOSPC);
	assert_int_equal(heard->count, 1);
}

/* -- changes */

static void spaces(void **state)
{
	unsigned char entry[72], before[72];

	(void)state;
	for (size_t i = 0; i < sizeof(entry); i++)
		entry[i] = (unsigned char)(i + 1);
	put64(entry + 40, 100); /* the soft limit: 100 KiB */
	put64(entry + 48, 110 * 1024);
	memcpy(before, entry, sizeof(entry));

	/* still above the limit */
	assert_int_equal(e4df_quota_add_space(entry, -9 * 1024), 0);
	put64(before + 48, 101 * 1024);
	assert_memory_equal(entry, before, sizeof(entry));
	assert_int_equal(e4df_quota_add_space(entry, -1023), 0);
	put64(before + 48, 100 * 1024 + 1);
	assert_memory_equal(entry, before, sizeof(entry));
	assert_int_equal(e4df_quota_add_space(entry, 0), 0);
	assert_memory_equal(entry, before, sizeof(entry));
	/* not any more: the grace time is over */
	assert_int_equal(e4df_quota_add_space(entry, -1), 0);
	put64(before + 48, 100 * 1024);
	put64(before + 56, 0);
	assert_memory_equal(entry, before, sizeof(entry));
	assert_int_equal(e4df_quota_add_space(entry, 4096), 0);
	put64(before + 48, 104 * 1024);
	assert_memory_equal(entry, before, sizeof(entry));

	/* without a limit there is no time to be reset */
	put64(entry + 40, 0);
	put64(entry + 56, 77);
	assert_int_equal(e4df_quota_add_space(entry, -4096), 0);
	assert_int_equal(get64(entry + 56), 77);
	assert_int_equal(get64(entry + 48), 100 * 1024);

	memcpy(before, entry, sizeof(entry));
	assert_int_equal(e4df_quota_add_space(entry, -100 * 1024 - 1),
			 E4DF_ET_INCONSISTENT);
	put64(entry + 48, UINT64_MAX);
	put64(before + 48, UINT64_MAX);
	assert_int_equal(e4df_quota_add_space(entry, 1), E4DF_ET_INCONSISTENT);
	assert_memory_equal(entry, before, sizeof(entry));
}

/* -- inodes */

static void owners(void **state)
{
	struct ext2_super_block sb = {
		.s_rev_level = 1,
		.s_inode_size = 256,
		.s_first_ino = 11,
		.s_usr_quota_inum = 3,
		.s_grp_quota_inum = 4,
		.s_prj_quota_inum = 12,
		.s_orphan_file_inum = 13,
	};
	struct ext2_inode_large inode = {
		.i_uid = 0x1234,
		.i_gid = 0x4321,
		.i_projid = 77777,
		.i_extra_isize = 32,
	};

	(void)state;
	inode.osd2.linux2.l_i_uid_high = 0xab;
	inode.osd2.linux2.l_i_gid_high = 0xcd;
	assert_int_equal(e4df_quota_inode(&sb, E4DF_QUOTA_USER), 0);
	sb.s_feature_ro_compat = EXT4_FEATURE_RO_COMPAT_QUOTA;
	assert_int_equal(e4df_quota_inode(&sb, E4DF_QUOTA_USER), 3);
	assert_int_equal(e4df_quota_inode(&sb, E4DF_QUOTA_GROUP), 4);
	assert_int_equal(e4df_quota_inode(&sb, E4DF_QUOTA_PROJECT), 12);

	assert_int_equal(e4df_quota_owner(&sb, &inode, E4DF_QUOTA_USER),
			 0xab1234);
	assert_int_equal(e4df_quota_owner(&sb, &inode, E4DF_QUOTA_GROUP),
			 0xcd4321);
	assert_int_equal(e4df_quota_owner(&sb, &inode, E4DF_QUOTA_PROJECT),
			 77777);
	inode.i_extra_isize = 28; /* too short for it */
	assert_int_equal(e4df_quota_owner(&sb, &inode, E4DF_QUOTA_PROJECT), 0);
	inode.i_extra_isize = 32;
	sb.s_inode_size = 128;
	assert_int_equal(e4df_quota_inode(&sb, E4DF_QUOTA_USER), 3);
	assert_int_equal(e4df_quota_inode(&sb, E4DF_QUOTA_PROJECT), 0);
	assert_int_equal(e4df_quota_owner(&sb, &inode, E4DF_QUOTA_PROJECT), 0);

	for (ext2_ino_t ino = 1; ino < 15; ino++)
		assert_int_equal(e4df_quota_is_counted(&sb, ino, &inode),
				 ino == 2 || ino == 11 || ino == 14);
	inode.i_flags = EXT4_EA_INODE_FL;
	assert_false(e4df_quota_is_counted(&sb, 14, &inode));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many),		  cmocka_unit_test(absent),
		cmocka_unit_test(bad_head),	  cmocka_unit_test(loops),
		cmocka_unit_test(bad_references), cmocka_unit_test(bad_entries),
		cmocka_unit_test(noise),	  cmocka_unit_test(errors),
		cmocka_unit_test(spaces),	  cmocka_unit_test(owners),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
