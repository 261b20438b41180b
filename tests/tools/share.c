/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share - give inodes of an ext2/3/4 image blocks of extended attributes that
 * they share
 *
 * As the kernel does it where inodes are small and many files have the same
 * ACL or label; libext2fs never shares by itself.  Each block goes to a free
 * block drawn at random, or to the first from -a on; its owners are drawn from all inodes that have no
 * such block yet, or with -l lie side by side in the inode table.  The same
 * seed on the same image gives the same bytes.
 *
 * cc -o share share.c -lext2fs -lcom_err
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ext2fs/ext2fs.h>
#include <ext2fs/ext2_ext_attr.h>

#include "must.h"
#include "prng.h"

#define NAME_INDEX_TRUSTED 4 /* which symlinks and pipes may have, too */

struct sharer {
	ext2_filsys fs; /* owned */
	struct prng rng;
	uint64_t seed;
	size_t blocks;
	size_t owners; /* of each block */
	blk64_t at;    /* 0 = anywhere */
	bool is_local;
	ext2_ino_t *ino; /* owned: without a block, in the order of use */
	size_t count;
	size_t used;
};

static void list_inodes(struct sharer *s)
{
	ext2_ino_t all = s->fs->super->s_inodes_count;

	s->ino = must_alloc(calloc(all, sizeof(*s->ino)));
	for (ext2_ino_t ino = EXT2_FIRST_INODE(s->fs->super); ino <= all;
	     ino++) {
		struct ext2_inode inode;

		if (!ext2fs_test_inode_bitmap2(s->fs->inode_map, ino))
			continue;
		must(ext2fs_read_inode(s->fs, ino, &inode), "reading");
		if (!inode.i_links_count || inode.i_file_acl ||
		    (ext2fs_has_feature_orphan_file(s->fs->super) &&
		     ino == s->fs->super->s_orphan_file_inum))
			continue;
		s->ino[s->count++] = ino;
	}
	for (size_t i = s->count; i > 1 && !s->is_local; i--) {
		size_t k = prng_below(&s->rng, i);
		ext2_ino_t swap = s->ino[k];

		s->ino[k] = s->ino[i - 1];
		s->ino[i - 1] = swap;
	}
}

static blk64_t draw_block(struct sharer *s)
{
	blk64_t first = s->fs->super->s_first_data_block;
	blk64_t all = ext2fs_blocks_count(s->fs->super), blk;

	if (!ext2fs_free_blocks_count(s->fs->super))
		die("no free block");
	for (blk = s->at; blk && blk < all; blk++)
		if (!ext2fs_test_block_bitmap2(s->fs->block_map, blk))
			return blk;
	do
		blk = first + prng_below(&s->rng, all - first);
	while (ext2fs_test_block_bitmap2(s->fs->block_map, blk));
	return blk;
}

/* One attribute, trusted.shareNNNN, whose value is the seed's. */
static void fill_block(struct sharer *s, char *block, size_t number,
		       size_t owners)
{
	unsigned int bs = s->fs->blocksize, bytes = 24;
	struct ext2_ext_attr_header *head = (void *)block;
	struct ext2_ext_attr_entry *entry = (void *)(head + 1);
	char *value = block + bs - bytes;
	char name[32];

	memset(block, 0, bs);
	entry->e_name_len =
		(__u8)snprintf(name, sizeof(name), "share%04zu", number);
	entry->e_name_index = NAME_INDEX_TRUSTED;
	entry->e_value_offs = (__u16)(value - block);
	entry->e_value_size = bytes;
	memcpy(EXT2_EXT_ATTR_NAME(entry), name, entry->e_name_len);
	for (unsigned int i = 0; i < bytes; i++)
		value[i] = (char)prng_next(&s->rng);
	entry->e_hash = ext2fs_ext_attr_hash_entry(entry, value);
	head->h_magic = EXT2_EXT_ATTR_MAGIC;
	head->h_refcount = (__u32)owners;
	head->h_blocks = 1;
	ext2fs_ext_attr_block_rehash(
		head, (struct ext2_ext_attr_entry *)(block + bs));
}

static void own(struct sharer *s, ext2_ino_t ino, blk64_t blk)
{
	size_t size = EXT2_INODE_SIZE(s->fs->super);
	struct ext2_inode *inode = must_alloc(calloc(1, size));

	must(ext2fs_read_inode_full(s->fs, ino, inode, (int)size), "reading");
	ext2fs_file_acl_block_set(s->fs, inode, blk);
	must(ext2fs_iblk_add_blocks(s->fs, inode, 1), "counting");
	must(ext2fs_write_inode_full(s->fs, ino, inode, (int)size), "writing");
	free(inode);
}

static void share_one(struct sharer *s, size_t number, char *block)
{
	blk64_t blk = draw_block(s);
	size_t owners = s->owners;

	if (owners > s->count - s->used)
		owners = s->count - s->used;
	if (!owners)
		die("too few inodes for %zu blocks", s->blocks);
	fill_block(s, block, number, owners);
	ext2fs_block_alloc_stats2(s->fs, blk, +1);
	must(ext2fs_write_ext_attr3(s->fs, blk, block, s->ino[s->used]),
	     "writing attributes");
	while (owners--)
		own(s, s->ino[s->used++], blk);
}

static const char *parse(struct sharer *s, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "s:b:n:a:l")) != -1) {
		if (opt == 's')
			s->seed = parse_number(optarg, 0, UINT64_MAX);
		else if (opt == 'b')
			s->blocks = parse_number(optarg, 1, 1000000);
		else if (opt == 'n')
			s->owners = parse_number(optarg, 1, 1024);
		else if (opt == 'a')
			s->at = parse_number(optarg, 1, UINT32_MAX);
		else if (opt == 'l')
			s->is_local = true;
		else
			exit(EXIT_FAILURE);
	}
	if (optind != argc - 1)
		die("usage: share [-s seed] [-b blocks] [-n owners] "
		    "[-a block] [-l] IMAGE");
	return argv[optind];
}

int main(int argc, char **argv)
{
	struct sharer s = { .seed = 1, .blocks = 1, .owners = 2 };
	const char *name;
	char *block;

	initialize_ext2_error_table();
	name = parse(&s, argc, argv);
	must(ext2fs_open(name, EXT2_FLAG_RW | EXT2_FLAG_64BITS, 0, 0,
			 unix_io_manager, &s.fs),
	     name);
	must(ext2fs_read_bitmaps(s.fs), "reading bitmaps");
	s.fs->now = 1600000000;
	s.rng.state = prng_mix(s.seed);
	ext2fs_set_feature_xattr(s.fs->super);
	block = must_alloc(malloc(s.fs->blocksize));
	list_inodes(&s);
	for (size_t i = 0; i < s.blocks; i++)
		share_one(&s, i, block);
	must(ext2fs_close_free(&s.fs), "closing the image");
	free(block);
	free(s.ino);
	return EXIT_SUCCESS;
}
