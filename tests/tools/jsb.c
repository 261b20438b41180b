/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jsb - show or change the superblock of an image's internal journal
 *
 *	-c none|v1|v2|v3	kind of checksums
 *	-b 32|64		bits of a block number
 *	-f			fast commit
 *	-t 1|2			version of the superblock
 *
 * Prints what it has become, as in "version 2, checksum v3, 64 bits, empty".
 * The layout is that of the kernel's include/linux/jbd2.h; all is big-endian.
 *
 * cc -o jsb jsb.c -lext2fs -lcom_err
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ext2fs/ext2fs.h>

#include "must.h"

#define MAGIC UINT32_C(0xc03b3998)

enum {
	BYTES = 1024, /* what the checksum covers */
	/* 32-bit words */
	W_MAGIC = 0x00 / 4,
	W_TYPE = 0x04 / 4,
	W_START = 0x1c / 4,
	W_COMPAT = 0x24 / 4,
	W_INCOMPAT = 0x28 / 4,
	W_CHECKSUM = 0xfc / 4,
	/* bytes */
	B_CHECKSUM_TYPE = 0x50,
	CRC32C = 4,
	/* features */
	COMPAT_CHECKSUM = 0x1,
	INCOMPAT_64BIT = 0x2,
	INCOMPAT_V2 = 0x8,
	INCOMPAT_V3 = 0x10,
	INCOMPAT_FAST_COMMIT = 0x20,
};

struct change {
	const char *checksum;
	uint64_t bits;
	uint64_t version;
	bool fast_commit;
};

struct journal {
	ext2_filsys fs; /* owned */
	blk64_t blk;
	__u32 *word; /* owned, one block */
};

static __u32 get(const struct journal *j, int word)
{
	return ext2fs_be32_to_cpu(j->word[word]);
}

static void put(struct journal *j, int word, __u32 value)
{
	j->word[word] = ext2fs_cpu_to_be32(value);
}

static void load(struct journal *j, const char *name, bool is_changed)
{
	int flags = EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES;

	must(ext2fs_open(name, flags | (is_changed ? EXT2_FLAG_RW : 0), 0, 0,
			 unix_io_manager, &j->fs),
	     name);
	if (!j->fs->super->s_journal_inum)
		die("%s has no internal journal", name);
	must(ext2fs_bmap2(j->fs, j->fs->super->s_journal_inum, NULL, NULL, 0, 0,
			  NULL, &j->blk),
	     "finding the journal");
	j->word = must_alloc(malloc(j->fs->blocksize));
	must(io_channel_read_blk64(j->fs->io, j->blk, 1, j->word),
	     "reading the journal");
	if (get(j, W_MAGIC) != MAGIC)
		die("%s has a journal without a superblock", name);
}

static void set_checksum(struct journal *j, const char *kind)
{
	__u32 incompat = get(j, W_INCOMPAT) &
			 ~(__u32)(INCOMPAT_V2 | INCOMPAT_V3);
	bool is_v1 = !strcmp(kind, "v1"), is_v2 = !strcmp(kind, "v2"),
	     is_v3 = !strcmp(kind, "v3");

	if (!is_v1 && !is_v2 && !is_v3 && strcmp(kind, "none"))
		die("%s: no such checksums", kind);
	incompat |= is_v2 ? INCOMPAT_V2 : is_v3 ? INCOMPAT_V3 : 0;
	put(j, W_INCOMPAT, incompat);
	put(j, W_COMPAT, is_v1 ? COMPAT_CHECKSUM : 0);
	((unsigned char *)j->word)[B_CHECKSUM_TYPE] = is_v2 || is_v3 ? CRC32C :
								       0;
}

static void change(struct journal *j, const struct change *c)
{
	__u32 incompat = get(j, W_INCOMPAT);

	if (c->bits == 32)
		incompat &= ~(__u32)INCOMPAT_64BIT;
	else if (c->bits)
		incompat |= INCOMPAT_64BIT;
	if (c->fast_commit)
		incompat |= INCOMPAT_FAST_COMMIT;
	put(j, W_INCOMPAT, incompat);
	if (c->version)
		put(j, W_TYPE, (__u32)c->version + 2);
	if (c->checksum)
		set_checksum(j, c->checksum);
	put(j, W_CHECKSUM, 0);
	if (get(j, W_INCOMPAT) & (INCOMPAT_V2 | INCOMPAT_V3))
		put(j, W_CHECKSUM,
		    ext2fs_crc32c_le(~0U, (unsigned char *)j->word, BYTES));
	must(io_channel_write_blk64(j->fs->io, j->blk, 1, j->word),
	     "writing the journal");
	must(io_channel_flush(j->fs->io), "writing the journal");
}

static void print(const struct journal *j)
{
	__u32 incompat = get(j, W_INCOMPAT);

	printf("version %u, checksum %s, %s bits%s, %s\n", get(j, W_TYPE) - 2,
	       incompat & INCOMPAT_V3		  ? "v3" :
	       incompat & INCOMPAT_V2		  ? "v2" :
	       get(j, W_COMPAT) & COMPAT_CHECKSUM ? "v1" :
						    "none",
	       incompat & INCOMPAT_64BIT ? "64" : "32",
	       incompat & INCOMPAT_FAST_COMMIT ? ", fast commit" : "",
	       get(j, W_START) ? "not empty" : "empty");
}

int main(int argc, char **argv)
{
	struct change c = { .checksum = NULL };
	struct journal j;
	bool is_changed = false;
	int opt;

	initialize_ext2_error_table();
	while ((opt = getopt(argc, argv, "c:b:ft:")) != -1) {
		is_changed = true;
		if (opt == 'c')
			c.checksum = optarg;
		else if (opt == 'b')
			c.bits = parse_number(optarg, 32, 64);
		else if (opt == 'f')
			c.fast_commit = true;
		else if (opt == 't')
			c.version = parse_number(optarg, 1, 2);
		else
			return EXIT_FAILURE;
	}
	if (optind != argc - 1)
		die("usage: jsb [-c none|v1|v2|v3] [-b 32|64] [-f] [-t 1|2] "
		    "IMAGE");
	load(&j, argv[optind], is_changed);
	if (is_changed)
		change(&j, &c);
	print(&j);
	free(j.word);
	ext2fs_free(j.fs); /* the file system itself is not written */
	return EXIT_SUCCESS;
}
