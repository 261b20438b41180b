/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

static errcode_t claim(struct scan *s, dgrp_t group, blk64_t blk, blk64_t len)
{
	if (e4df_scan_is_in_range(s, blk, len))
		return e4df_runs_push(&s->fixed, blk, len);
	e4df_scan_damage(s, 0, blk, "group %u: metadata out of range", group);
	return 0;
}

/* The superblock and descriptor copies of one group (mke2fs's layout). */
static errcode_t claim_copies(struct scan *s, dgrp_t group)
{
	ext2_filsys fs = s->fs;
	blk64_t super, old_desc, new_desc, count;
	errcode_t err = 0;

	ext2fs_super_and_bgd_loc2(fs, group, &super, &old_desc, &new_desc,
				  NULL);
	count = ext2fs_has_feature_meta_bg(fs->super) ?
			fs->super->s_first_meta_bg :
			fs->desc_blocks + fs->super->s_reserved_gdt_blocks;
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
		if (!err)
			err = claim(s, g, ext2fs_block_bitmap_loc(fs, g), 1);
		if (!err)
			err = claim(s, g, ext2fs_inode_bitmap_loc(fs, g), 1);
		if (!err)
			err = claim(s, g, ext2fs_inode_table_loc(fs, g),
				    fs->inode_blocks_per_group);
	}
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

/*
 * Sets the bits of one group's clusters that the ranges touch; these count in
 * units of which 2^bits are a cluster.
 */
static void paint(const struct e4df_runs *ranges, unsigned int bits,
		  blk64_t first, unsigned int count, unsigned char *bitmap)
{
	size_t i = e4df_runs_find(ranges, first << bits);

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
		for (; at < end; at++)
			bitmap[(at - first) / 8] |=
				(unsigned char)(1 << (at - first) % 8);
	}
}

static unsigned int count_zeros(const unsigned char *bitmap, unsigned int bits)
{
	unsigned int zeros = 0;

	for (unsigned int i = 0; i < bits; i++)
		zeros += !(bitmap[i / 8] & 1 << i % 8);
	return zeros;
}

/* The first bit that differs, `bits` if none does. */
static unsigned int first_difference(const unsigned char *a,
				     const unsigned char *b, unsigned int bits)
{
	unsigned int i = 0;

	while (i + 8 <= bits && a[i / 8] == b[i / 8])
		i += 8;
	while (i < bits && !((a[i / 8] ^ b[i / 8]) & 1 << i % 8))
		i++;
	return i;
}

int e4df_scan_is_padded(const struct scan *s, const unsigned char *bitmap,
			unsigned int bits)
{
	while (bits < s->geometry.block_size * 8 &&
	       bitmap[bits / 8] & 1 << bits % 8)
		bits++;
	return bits == s->geometry.block_size * 8;
}

/* A group whose bitmap was never written holds nothing but metadata. */
static errcode_t read_bitmap(struct scan *s, dgrp_t group, blk64_t first,
			     unsigned int count, unsigned char *buf)
{
	blk64_t blk = ext2fs_block_bitmap_loc(s->fs, group);
	errcode_t err;

	if (ext2fs_has_group_desc_csum(s->fs) &&
	    ext2fs_bg_flags_test(s->fs, group, EXT2_BG_BLOCK_UNINIT)) {
		memset(buf, 0, s->geometry.block_size);
		paint(&s->fixed, s->bits, first, count, buf);
		return 0;
	}
	err = e4df_gate_read(s->gate, blk, 1, buf);
	if (err)
		return err;
	if (!ext2fs_block_bitmap_csum_verify(
		    s->fs, group, (char *)buf,
		    (int)((s->geometry.blocks_per_group >> s->bits) / 8)))
		e4df_scan_damage(s, 0, blk,
				 "group %u: wrong checksum of the "
				 "block bitmap",
				 group);
	if (!e4df_scan_is_padded(s, buf, count))
		e4df_scan_damage(s, 0, blk,
				 "group %u: bits behind the end of the block "
				 "bitmap are not set",
				 group);
	return 0;
}

/* The group's clusters, with one at its end that is not whole. */
static unsigned int clusters_of(struct scan *s, dgrp_t group)
{
	blk64_t blocks = (blk64_t)ext2fs_group_blocks_count(s->fs, group);

	return (unsigned int)((blocks + (1ULL << s->bits) - 1) >> s->bits);
}

static errcode_t check_group(struct scan *s, const struct e4df_runs *used,
			     dgrp_t group, unsigned char *want,
			     unsigned char *have, blk64_t *free_blocks)
{
	blk64_t first = ext2fs_group_first_block2(s->fs, group) >> s->bits;
	unsigned int count = clusters_of(s, group);
	unsigned int zeros, bit;
	errcode_t err;

	memset(want, 0, s->geometry.block_size);
	paint(used, 0, first, count, want);
	err = read_bitmap(s, group, first, count, have);
	if (err)
		return err;
	bit = first_difference(want, have, count);
	if (bit < count)
		e4df_scan_damage(
			s, 0, (first + bit) << s->bits,
			"block is %s but %s in "
			"the bitmap",
			want[bit / 8] & 1 << bit % 8 ? "in use" : "not in use",
			have[bit / 8] & 1 << bit % 8 ? "marked" : "free");
	zeros = count_zeros(want, count);
	*free_blocks += zeros;
	if (ext2fs_bg_free_blocks_count(s->fs, group) != zeros)
		e4df_scan_damage(s, 0, 0,
				 "group %u: %u free blocks, should "
				 "be %u",
				 group,
				 ext2fs_bg_free_blocks_count(s->fs, group),
				 zeros);
	return 0;
}

errcode_t e4df_scan_bitmaps(struct scan *s, const struct e4df_runs *used)
{
	unsigned char *want = malloc(s->geometry.block_size);
	unsigned char *have = malloc(s->geometry.block_size);
	blk64_t free_blocks = 0;
	errcode_t err = want && have ? 0 : ENOMEM;

	for (dgrp_t g = 0; g < s->geometry.groups && !err; g++) {
		err = e4df_event_check(s->sink);
		if (!err)
			err = check_group(s, used, g, want, have, &free_blocks);
	}
	free_blocks <<= s->bits; /* all that clusters are counted as there */
	if (!err && ext2fs_free_blocks_count(s->fs->super) != free_blocks)
		e4df_scan_damage(s, 0, 0,
				 "superblock: %llu free blocks, "
				 "should be %llu",
				 (unsigned long long)ext2fs_free_blocks_count(
					 s->fs->super),
				 (unsigned long long)free_blocks);
	free(want);
	free(have);
	return err;
}
