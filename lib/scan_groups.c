/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "e4df_err.h"

static errcode_t claim(struct scan *s, dgrp_t group, blk64_t blk, blk64_t len)
{
	if (e4df_scan_is_in_range(s, blk, len))
		return e4df_runs_push(&s->fixed, blk, len);
	e4df_scan_damage(s, 0, blk, "group %u: metadata out of range", group);
	return 0;
}

/* Blocks behind a superblock, also those kept for more descriptors. */
static blk64_t copied_descs(ext2_filsys fs)
{
	return ext2fs_has_feature_meta_bg(fs->super) ?
		       fs->super->s_first_meta_bg :
		       fs->desc_blocks + fs->super->s_reserved_gdt_blocks;
}

/* The superblock and descriptor copies of one group (mke2fs's layout). */
static errcode_t claim_copies(struct scan *s, dgrp_t group)
{
	ext2_filsys fs = s->fs;
	blk64_t super, old_desc, new_desc, count = copied_descs(fs);
	errcode_t err = 0;

	ext2fs_super_and_bgd_loc2(fs, group, &super, &old_desc, &new_desc,
				  NULL);
	if (super || !group)
		err = claim(s, group, super, 1);
	if (!err && old_desc) {
		if (old_desc + count > s->geometry.blocks)
			count = s->geometry.blocks - old_desc;
		err = claim(s, group, old_desc, count);
	}
	if (!err && new_desc)
		err = claim(s, group, new_desc, 1);
	return err;
}

int e4df_scan_is_copy(struct scan *s, blk64_t blk)
{
	dgrp_t group = ext2fs_group_of_blk2(s->fs, blk);
	blk64_t super, desc;

	if (!group)
		return 0;
	ext2fs_super_and_bgd_loc2(s->fs, group, &super, &desc, NULL, NULL);
	return blk == super ||
	       (desc && blk >= desc && blk - desc < copied_descs(s->fs));
}

errcode_t e4df_scan_group_metadata(struct scan *s)
{
	ext2_filsys fs = s->fs;
	errcode_t err = 0;

	for (dgrp_t g = 0; g < s->geometry.groups && !err; g++) {
		if (ext2fs_has_group_desc_csum(fs) &&
		    !ext2fs_group_desc_csum_verify(fs, g))
			e4df_scan_damage(s, 0, 0,
					 "group %u: wrong checksum "
					 "of the descriptor",
					 g);
		err = claim_copies(s, g);
	}
	/* Each kind for itself: with flex_bg they lie side by side. */
	for (dgrp_t g = 0; g < s->geometry.groups && !err; g++)
		err = claim(s, g, ext2fs_block_bitmap_loc(fs, g), 1);
	for (dgrp_t g = 0; g < s->geometry.groups && !err; g++)
		err = claim(s, g, ext2fs_inode_bitmap_loc(fs, g), 1);
	for (dgrp_t g = 0; g < s->geometry.groups && !err; g++)
		err = claim(s, g, ext2fs_inode_table_loc(fs, g),
			    fs->inode_blocks_per_group);
	if (!err && ext2fs_has_feature_mmp(fs->super))
		err = claim(s, 0, fs->super->s_mmp_block, 1);
	/* Without sane group metadata nothing else can be read. */
	if (!err && s->damage)
		err = e4df_event_fail(s->sink, E4DF_ET_INCONSISTENT,
				      "the group descriptors are damaged; "
				      "nothing was changed; run e2fsck -f "
				      "first");
	return err;
}

/* Sets the bits [from, to). */
static void set_bits(unsigned char *bitmap, unsigned int from, unsigned int to)
{
	for (; from < to && from % 8; from++)
		bitmap[from / 8] |= (unsigned char)(1 << from % 8);
	if (to - from >= 8) {
		memset(bitmap + from / 8, 0xff, (to - from) / 8);
		from += (to - from) / 8 * 8;
	}
	for (; from < to; from++)
		bitmap[from / 8] |= (unsigned char)(1 << from % 8);
}

/*
 * The clusters [first, first + count) that the ranges touch; these count in
 * units of which 2^bits are a cluster.  Sets their bits, unless bitmap is
 * NULL.  Returns how many there are, one in two ranges twice.
 */
static unsigned int paint(const struct e4df_runs *ranges, unsigned int bits,
			  blk64_t first, unsigned int count,
			  unsigned char *bitmap)
{
	size_t i = e4df_runs_find(ranges, first << bits);
	unsigned int sum = 0;

	for (; i < ranges->count; i++) {
		const struct e4df_range *r = &ranges->v[i];
		blk64_t at = r->start >> bits;
		blk64_t end = ((r->start + r->len - 1) >> bits) + 1;

		if (at >= first + count)
			break;
		if (at < first)
			at = first;
		if (end > first + count)
			end = first + count;
		sum += (unsigned int)(end - at);
		if (bitmap)
			set_bits(bitmap, (unsigned int)(at - first),
				 (unsigned int)(end - first));
	}
	return sum;
}

/* The first bit that differs, `bits` if none does. */
static unsigned int first_difference(const unsigned char *a,
				     const unsigned char *b, unsigned int bits)
{
	unsigned int i = 0;

	if (!memcmp(a, b, bits / 8))
		i = bits / 8 * 8;
	while (i + 8 <= bits && a[i / 8] == b[i / 8])
		i += 8;
	while (i < bits && !((a[i / 8] ^ b[i / 8]) & 1 << i % 8))
		i++;
	return i;
}

int e4df_scan_is_padded(const struct scan *s, const unsigned char *bitmap,
			unsigned int bits)
{
	unsigned int byte = bits / 8;

	if (bits % 8 && bitmap[byte++] >> bits % 8 != 0xff >> bits % 8)
		return 0;
	while (byte < s->geometry.block_size && bitmap[byte] == 0xff)
		byte++;
	return byte == s->geometry.block_size;
}

/*
 * In each descriptor of the long format both halves of both checksums have
 * their places; where they are not right at once, or it is the short one,
 * libext2fs is asked.
 */
static int is_at_once(struct scan *s, const void *bitmap, size_t bytes,
		      __u16 low, __u16 high)
{
	struct ext2_super_block *sb = s->fs->super;

	return ext2fs_has_feature_metadata_csum(sb) &&
	       EXT2_DESC_SIZE(sb) >= sizeof(struct ext4_group_desc) &&
	       e4df_crc32c(s->fs->csum_seed, bitmap, bytes) ==
		       (low | (__u32)high << 16);
}

static const struct ext4_group_desc *desc_of(struct scan *s, dgrp_t group)
{
	return (const void *)ext2fs_group_desc(s->fs, s->fs->group_desc, group);
}

static int is_block_bitmap_right(struct scan *s, dgrp_t group, void *bitmap)
{
	const struct ext4_group_desc *d = desc_of(s, group);
	unsigned int bytes = (s->geometry.blocks_per_group >> s->bits) / 8;

	return is_at_once(s, bitmap, bytes, d->bg_block_bitmap_csum_lo,
			  d->bg_block_bitmap_csum_hi) ||
	       ext2fs_block_bitmap_csum_verify(s->fs, group, bitmap,
					       (int)bytes);
}

int e4df_scan_is_inode_bitmap_right(struct scan *s, dgrp_t group, void *bitmap)
{
	const struct ext4_group_desc *d = desc_of(s, group);
	unsigned int bytes = s->geometry.inodes_per_group / 8;

	return is_at_once(s, bitmap, bytes, d->bg_inode_bitmap_csum_lo,
			  d->bg_inode_bitmap_csum_hi) ||
	       ext2fs_inode_bitmap_csum_verify(s->fs, group, bitmap,
					       (int)bytes);
}

/* The group's clusters, with one at its end that is not whole. */
static unsigned int clusters_of(struct scan *s, dgrp_t group)
{
	blk64_t blocks = (blk64_t)ext2fs_group_blocks_count(s->fs, group);

	return (unsigned int)((blocks + (1ULL << s->bits) - 1) >> s->bits);
}

/* The comparison of bitmaps, and what it needs again and again. */
struct check {
	const struct e4df_runs *used; /* (borrowed) clusters */
	dgrp_t *groups;		      /* (owned) those with a bitmap */
	size_t count;
	unsigned char *want, *have; /* (owned) bitmaps */
	blk64_t free_blocks;	    /* clusters, so far */
};

static int is_unwritten(const struct scan *s, dgrp_t group)
{
	return ext2fs_has_group_desc_csum(s->fs) &&
	       ext2fs_bg_flags_test(s->fs, group, EXT2_BG_BLOCK_UNINIT);
}

static void check_count(struct scan *s, struct check *c, dgrp_t group,
			unsigned int zeros)
{
	c->free_blocks += zeros;
	if (ext2fs_bg_free_blocks_count(s->fs, group) != zeros)
		e4df_scan_damage(s, 0, 0,
				 "group %u: %u free blocks, should "
				 "be %u",
				 group,
				 ext2fs_bg_free_blocks_count(s->fs, group),
				 zeros);
}

/* have: the bitmap as it is, of `count` clusters. */
static void compare_bitmap(struct scan *s, struct check *c, dgrp_t group,
			   const unsigned char *have)
{
	blk64_t first = ext2fs_group_first_block2(s->fs, group) >> s->bits;
	unsigned int count = clusters_of(s, group), bit, used;
	unsigned char *want = c->want;

	memset(want, 0, s->geometry.block_size);
	used = paint(c->used, 0, first, count, want);
	bit = first_difference(want, have, count);
	if (bit < count)
		e4df_scan_damage(
			s, 0, (first + bit) << s->bits,
			"block is %s but %s in "
			"the bitmap",
			want[bit / 8] & 1 << bit % 8 ? "in use" : "not in use",
			have[bit / 8] & 1 << bit % 8 ? "marked" : "free");
	check_count(s, c, group, count - used);
}

/*
 * A group whose bitmap was never written holds nothing but metadata.  These
 * are in use: if as many clusters are in use at all, no other one is.
 */
static void check_unwritten(struct scan *s, struct check *c, dgrp_t group)
{
	blk64_t first = ext2fs_group_first_block2(s->fs, group) >> s->bits;
	unsigned int count = clusters_of(s, group);
	unsigned int used = paint(c->used, 0, first, count, NULL);

	if (used == paint(&s->fixed, s->bits, first, count, NULL)) {
		check_count(s, c, group, count - used);
		return;
	}
	memset(c->have, 0, s->geometry.block_size);
	paint(&s->fixed, s->bits, first, count, c->have);
	compare_bitmap(s, c, group, c->have);
}

static errcode_t visit_bitmap(struct scan *s, void *ctx, size_t i, void *block)
{
	struct check *c = ctx;
	dgrp_t group = c->groups[i];
	blk64_t blk = ext2fs_block_bitmap_loc(s->fs, group);

	if (!is_block_bitmap_right(s, group, block))
		e4df_scan_damage(s, 0, blk,
				 "group %u: wrong checksum of the "
				 "block bitmap",
				 group);
	if (!e4df_scan_is_padded(s, block, clusters_of(s, group)))
		e4df_scan_damage(s, 0, blk,
				 "group %u: bits behind the end of the block "
				 "bitmap are not set",
				 group);
	compare_bitmap(s, c, group, block);
	return 0;
}

static blk64_t bitmap_block(struct scan *s, void *ctx, size_t i)
{
	struct check *c = ctx;

	return ext2fs_block_bitmap_loc(s->fs, c->groups[i]);
}

/* Those bitmaps that are to be read, in the order of the groups. */
static errcode_t list_bitmaps(struct scan *s, struct check *c)
{
	size_t alloc = 0;
	errcode_t err = 0;

	for (dgrp_t g = 0; g < s->geometry.groups && !err; g++) {
		if (is_unwritten(s, g)) {
			check_unwritten(s, c, g);
			continue;
		}
		err = e4df_grow(&c->groups, &alloc, c->count + 1,
				sizeof(*c->groups));
		if (!err)
			c->groups[c->count++] = g;
	}
	return err;
}

static errcode_t read_bitmaps(struct scan *s, struct check *c)
{
	const struct scan_blocks blocks = {
		.count = c->count,
		.blk = bitmap_block,
		.visit = visit_bitmap,
		.ctx = c,
	};

	return e4df_scan_read_sorted(s, &blocks);
}

errcode_t e4df_scan_bitmaps(struct scan *s, const struct e4df_runs *used)
{
	struct check c = {
		.used = used,
		.want = malloc(s->geometry.block_size),
		.have = malloc(s->geometry.block_size),
	};
	blk64_t free_blocks;
	errcode_t err = c.want && c.have ? 0 : ENOMEM;

	if (!err)
		err = list_bitmaps(s, &c);
	if (!err)
		err = read_bitmaps(s, &c);
	free_blocks = c.free_blocks << s->bits; /* as clusters are counted */
	if (!err && ext2fs_free_blocks_count(s->fs->super) != free_blocks)
		e4df_scan_damage(s, 0, 0,
				 "superblock: %llu free blocks, "
				 "should be %llu",
				 (unsigned long long)ext2fs_free_blocks_count(
					 s->fs->super),
				 (unsigned long long)free_blocks);
	free(c.groups);
	free(c.want);
	free(c.have);
	return err;
}
