/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extent trees, read back by a decoder that knows only the format as the
 * kernel documents it (filesystems/ext4/ifork.rst), byte by byte.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "unit.h"

static const struct e4df_tree_owner owner = {
	.ino = 0x12345,
	.generation = 0xdeadbeef,
	.csum_seed = 0x87654321,
	.has_csum = 1,
};

/* A tree as built, and what the decoder has seen of it. */
struct built {
	unsigned int bs, fanout;
	const struct e4df_extent *data;
	uint32_t data_count;
	struct e4df_extent *tree; /* (owned) */
	uint32_t tree_count;
	unsigned char root[E4DF_TREE_ROOT_BYTES];
	unsigned char *images; /* (owned) */
	/* Of the decoder. */
	unsigned char *is_seen; /* (owned) by tree block */
	uint32_t at, done;	/* next logical block: extent, offset */
	uint64_t level_blocks[8];
	uint64_t level_entries[8];
	int depth;
};

static uint32_t le16(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const unsigned char *p)
{
	return le16(p) | le16(p + 2) << 16;
}

/* The index of the tree block at pblk. */
static uint32_t find_block(const struct built *t, uint64_t pblk)
{
	for (uint32_t i = 0; i < t->tree_count; i++)
		if (t->tree[i].pblk == pblk)
			return i;
	fail_msg("no tree block %llu", (unsigned long long)pblk);
	return 0;
}

/* A leaf entry continues the list of data. */
static void decode_leaf(struct built *t, const unsigned char *p)
{
	const struct e4df_extent *e;
	uint32_t len = le16(p + 4), is_unwritten = len > 32768;
	uint64_t pblk = (uint64_t)le16(p + 6) << 32 | le32(p + 8);

	len -= is_unwritten ? 32768 : 0;
	assert_true(t->at < t->data_count);
	e = &t->data[t->at];
	assert_int_equal(le32(p), e->lblk + t->done);
	assert_int_equal(pblk, e->pblk + t->done);
	assert_int_equal(is_unwritten, (e->flags & E4DF_EXTENT_UNWRITTEN) != 0);
	t->done += len;
	assert_in_range(len, 1, is_unwritten ? 32767 : 32768);
	assert_in_range(t->done, 1, e->len);
	if (t->done < e->len)
		assert_int_equal(len, is_unwritten ? 32767 : 32768);
	if (t->done == e->len) {
		t->at++;
		t->done = 0;
	}
}

static void decode_node(struct built *t, const unsigned char *node, int depth,
			uint32_t max);

static void decode_index(struct built *t, const unsigned char *p, int depth)
{
	uint64_t pblk = (uint64_t)le16(p + 8) << 32 | le32(p + 4);
	uint32_t i = find_block(t, pblk);
	const unsigned char *block = t->images + (size_t)i * t->bs;

	assert_int_equal(le16(p + 10), 0);
	assert_int_equal(t->is_seen[i]++, 0);
	assert_int_equal(t->tree[i].lblk, le32(p));
	assert_int_equal(t->tree[i].len, 1);
	assert_int_equal(t->tree[i].flags, E4DF_EXTENT_TREE);
	assert_int_equal(le32(block + 12), le32(p)); /* its first entry */
	decode_node(t, block, depth, t->fanout);
	t->level_blocks[depth]++;
}

static void check_checksum(const struct built *t, const unsigned char *node)
{
	uint32_t crc = crc32c(owner.csum_seed, &owner.ino, 4);
	uint32_t tail = 12 + t->fanout * 12;

	crc = crc32c(crc, &owner.generation, 4);
	crc = crc32c(crc, node, tail);
	assert_int_equal(le32(node + tail), crc);
	assert_int_equal(e4df_tree_checksum(&owner, node, t->bs), crc);
}

static void decode_node(struct built *t, const unsigned char *node, int depth,
			uint32_t max)
{
	uint32_t entries = le16(node + 2);

	assert_int_equal(le16(node), 0xf30a);
	assert_int_equal(le16(node + 4), max);
	assert_int_equal(le16(node + 6), depth);
	assert_int_equal(le32(node + 8), 0);
	assert_in_range(entries, node == t->root ? 0 : 1, max);
	t->level_entries[depth] += entries;
	for (uint32_t i = 0; i < entries; i++) {
		const unsigned char *p = node + 12 + 12 * (size_t)i;

		if (depth)
			decode_index(t, p, depth - 1);
		else
			decode_leaf(t, p);
	}
	for (uint32_t i = 12 + 12 * entries; i < 12 + 12 * max; i++)
		assert_int_equal(node[i], 0);
	if (node != t->root)
		check_checksum(t, node);
}

/* The fewest blocks for the entries: each level full but for its last. */
static void check_minimal(const struct built *t)
{
	uint64_t entries = t->level_entries[0];
	int depth = 0;

	for (; entries > 4; depth++) {
		entries = (entries + t->fanout - 1) / t->fanout;
		assert_int_equal(t->level_blocks[depth], entries);
	}
	assert_int_equal(t->depth, depth);
	for (; depth < 8; depth++)
		assert_int_equal(t->level_blocks[depth], 0);
}

/* In tree[], parents come first, and a level by its lblk. */
static void check_order(const struct built *t)
{
	int last = t->depth;

	for (uint32_t i = 0; i < t->tree_count; i++) {
		int depth = (int)le16(t->images + (size_t)i * t->bs + 6);

		assert_true(depth <= last);
		if (depth == last)
			assert_true(t->tree[i - 1].lblk < t->tree[i].lblk);
		last = depth;
	}
}

static void check_tree(unsigned int bs, const struct e4df_extent *data,
		       uint32_t count)
{
	struct built t = {
		.bs = bs,
		.fanout = (bs - 12) / 12,
		.data = data,
		.data_count = count,
	};
	uint32_t entries = e4df_tree_entries(data, count);

	t.tree_count = e4df_tree_blocks(entries, bs);
	t.tree = calloc(t.tree_count + 1, sizeof(*t.tree));
	t.is_seen = calloc(t.tree_count + 1, 1);
	t.images = malloc((size_t)t.tree_count * bs + 1);
	assert_true(t.tree && t.is_seen && t.images);
	memset(t.images, 0xa5, (size_t)t.tree_count * bs);
	memset(t.root, 0xa5, sizeof(t.root));
	for (uint32_t i = 0; i < t.tree_count; i++)
		t.tree[i].pblk = (0x9e3779b97ULL * (i + 1)) & E4DF_PBLK_MAX;
	assert_int_equal(e4df_tree_fanout(bs), t.fanout);
	assert_int_equal(e4df_tree_build(&owner, bs, data, count, t.tree,
					 t.tree_count, t.root, t.images),
			 0);
	t.depth = (int)le16(t.root + 6);
	assert_in_range(t.depth, 0, E4DF_TREE_MAX_DEPTH);
	decode_node(&t, t.root, t.depth, 4);
	assert_int_equal(t.at, count);
	assert_int_equal(t.level_entries[0], entries);
	for (uint32_t i = 0; i < t.tree_count; i++)
		assert_int_equal(t.is_seen[i], 1);
	check_minimal(&t);
	check_order(&t);
	free(t.tree);
	free(t.is_seen);
	free(t.images);
}

/* `count` extents with holes, unwritten ones, and lengths up to `longest`. */
static struct e4df_extent *make_list(struct prng *rng, uint32_t count,
				     uint32_t longest)
{
	struct e4df_extent *v = calloc(count + 1, sizeof(*v));
	uint32_t lblk = chance(rng, 20) ? pick(rng, 1000) : 0;

	assert_non_null(v);
	for (uint32_t i = 0; i < count; i++) {
		v[i] = (struct e4df_extent){
			.pblk = prng_below(rng, E4DF_PBLK_MAX - longest) &
				E4DF_PBLK_MAX,
			.flags = chance(rng, 20) ? E4DF_EXTENT_UNWRITTEN : 0,
			.lblk = lblk,
			.len = 1 + pick(rng, longest),
		};
		lblk += v[i].len + (chance(rng, 30) ? pick(rng, 50) : 0);
	}
	return v;
}

static const unsigned int block_sizes[] = { 1024, 2048, 4096, 65536 };

/* Every count around the limits of the first levels. */
static void small_trees(void **state)
{
	struct prng rng = { 1 };

	(void)state;
	for (uint32_t n = 0; n < 700; n++) {
		struct e4df_extent *v = make_list(&rng, n, 300);

		for (size_t i = 0; i < 3; i++)
			check_tree(block_sizes[i], v, n);
		free(v);
	}
}

static void large_trees(void **state)
{
	static const uint32_t counts[] = { 5461,   21840,  4 * 84 * 84, 28225,
					   115600, 115601, 200000 };
	struct prng rng = { 2 };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
		struct e4df_extent *v = make_list(&rng, counts[k], 3);

		check_tree(block_sizes[k % 2], v, counts[k] / 8);
		check_tree(block_sizes[3 - k % 2], v, counts[k]);
		free(v);
	}
}

/* Lengths around what one extent on disk can hold. */
static void long_extents(void **state)
{
	static const struct {
		uint32_t len, entries, unwritten;
	} limits[] = {
		{ 1, 1, 1 },	 { 32766, 1, 1 },
		{ 32767, 1, 1 }, { 32768, 1, 2 },
		{ 32769, 2, 2 }, { 65534, 2, 2 },
		{ 65535, 2, 3 }, { 65536, 2, 3 },
		{ 65537, 3, 3 }, { 0xffffffff, 131072, 131077 },
	};
	struct prng rng = { 3 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct e4df_extent e = { 1ULL << 33, 0, 0, limits[i].len };

		assert_int_equal(e4df_tree_entries(&e, 1), limits[i].entries);
		check_tree(4096, &e, 1);
		e.flags = E4DF_EXTENT_UNWRITTEN;
		assert_int_equal(e4df_tree_entries(&e, 1), limits[i].unwritten);
		check_tree(4096, &e, 1);
	}
	for (int i = 0; i < 300; i++) {
		uint32_t n = pick(&rng, 40);
		struct e4df_extent *v = make_list(&rng, n, 200000);

		check_tree(block_sizes[pick(&rng, 4)], v, n);
		free(v);
	}
}

static errcode_t read_inode(ext2_filsys fs, ext2_ino_t ino,
			    struct ext2_inode *inode)
{
	(void)fs;
	assert_int_equal(ino, owner.ino);
	*inode = (struct ext2_inode){ .i_generation = owner.generation };
	return 0;
}

/* libext2fs agrees, with a file system that is no more than a superblock. */
static void libext2fs_agrees(void **state)
{
	struct ext2_super_block super = {
		.s_feature_ro_compat = EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
	};
	struct struct_ext2_filsys fs = {
		.magic = EXT2_ET_MAGIC_EXT2FS_FILSYS,
		.read_inode = read_inode,
		.super = &super,
		.blocksize = 1024,
		.csum_seed = owner.csum_seed,
	};
	unsigned char root[E4DF_TREE_ROOT_BYTES];
	struct e4df_extent tree[1] = { { .pblk = 77 } };
	struct prng rng = { 4 };
	struct e4df_extent *v = make_list(&rng, 60, 300);
	struct ext3_extent_header *image = calloc(1, 1024);

	(void)state;
	assert_non_null(image);
	assert_int_equal(
		e4df_tree_build(&owner, 1024, v, 60, tree, 1, root, image), 0);
	assert_true(ext2fs_extent_block_csum_verify(&fs, owner.ino, image));
	assert_int_equal(ext2fs_extent_header_verify(image, 1024), 0);
	assert_int_equal(ext2fs_extent_header_verify(root, sizeof(root)), 0);
	((char *)image)[13] ^= 1;
	assert_false(ext2fs_extent_block_csum_verify(&fs, owner.ino, image));
	free(image);
	free(v);
}

/* Without metadata_csum the tail stays zero. */
static void no_checksum(void **state)
{
	const struct e4df_tree_owner plain = { .ino = 12, .csum_seed = 1 };
	struct prng rng = { 5 };
	struct e4df_extent *v = make_list(&rng, 5, 10), tree[1] = { { 0 } };
	unsigned char root[E4DF_TREE_ROOT_BYTES], image[1024];

	(void)state;
	assert_int_equal(
		e4df_tree_build(&plain, 1024, v, 5, tree, 1, root, image), 0);
	for (size_t i = 12 + 5 * 12; i < sizeof(image); i++)
		assert_int_equal(image[i], 0);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_trees),
		cmocka_unit_test(large_trees),
		cmocka_unit_test(long_extents),
		cmocka_unit_test(libext2fs_agrees),
		cmocka_unit_test(no_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
