/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "commit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <ext2fs/ext2_ext_attr.h>

#include "e4df_err.h"
#include "super.h"
#include "mapping.h"
#include "quota.h"

/*
 * What a change of the metadata is made of, in the order in which a file
 * system without a journal must get it.  A journal gets all but the first part
 * as one stage.
 */
enum part {
	MAPPINGS, /* new mapping and xattr blocks, nobody's yet */
	MARKED,	  /* bitmaps with the new blocks in use as well */
	COUNTED,  /* group descriptors for these bitmaps */
	SWITCHED, /* inodes: each is one sector, old or new */
	FREED,	  /* bitmaps and descriptors without the old blocks; usage,
		   * which e2fsck -p counts anew as it does with these */
	PARTS
};

struct transaction {
	/* Immutable. */
	struct e4df_volume *vol;	  /* (borrowed) */
	ext2_filsys fs;			  /* (borrowed from vol) */
	struct e4df_gate *gate;		  /* (borrowed from vol) */
	struct e4df_journal *journal;	  /* (borrowed) NULL for none */
	const struct e4df_map *map;	  /* (borrowed) */
	const struct e4df_update *update; /* (borrowed) */
	unsigned int bs;
	unsigned int bits; /* a cluster is 2^bits blocks */
	/* Mutable. */
	struct e4df_stage *parts[PARTS]; /* (owned) with a journal all behind
					  * the first are one */
};

/* Stages that there are really. */
static int count_stages(const struct transaction *t)
{
	return t->journal ? MARKED + 1 : PARTS;
}

static errcode_t open_parts(struct transaction *t)
{
	errcode_t err = 0;

	for (int i = 0; i < PARTS && !err; i++)
		if (i > MARKED && t->journal)
			t->parts[i] = t->parts[MARKED];
		else
			err = e4df_stage_new(t->bs, &t->parts[i]);
	return err;
}

static errcode_t seal_parts(struct transaction *t)
{
	errcode_t err = 0;

	for (int i = 0; i < count_stages(t) && !err; i++)
		err = e4df_stage_seal(t->parts[i]);
	return err;
}

static void close_parts(struct transaction *t)
{
	for (int i = 0; i < count_stages(t); i++)
		e4df_stage_free(t->parts[i]);
}

/* What an earlier part makes of a block; NULL if none changes it. */
static const void *find_before(const struct transaction *t, enum part part,
			       blk64_t blk)
{
	const void *image = NULL;

	for (int i = (int)part - 1; i >= 0 && !image; i--)
		image = e4df_stage_find(t->parts[i], blk);
	return image;
}

/* The image of a block that exists on disk, as the parts so far leave it. */
static errcode_t stage(struct transaction *t, enum part part, blk64_t blk,
		       void **image)
{
	const void *before;
	errcode_t err;

	*image = e4df_stage_find(t->parts[part], blk);
	if (*image)
		return 0;
	before = find_before(t, part, blk);
	err = e4df_stage_add(t->parts[part], blk, image);
	if (err)
		return err;
	if (!before)
		return e4df_gate_read(t->gate, blk, 1, *image);
	memcpy(*image, before, t->bs);
	return 0;
}

/* The inode on disk, within the image of its table block. */
static errcode_t stage_inode(struct transaction *t, ext2_ino_t ino,
			     struct ext2_inode_large **ret)
{
	unsigned int size = EXT2_INODE_SIZE(t->fs->super);
	unsigned int per_group = t->fs->super->s_inodes_per_group;
	dgrp_t group = (ino - 1) / per_group;
	blk64_t byte = (blk64_t)((ino - 1) % per_group) * size;
	void *image;
	errcode_t err;

	err = stage(t, SWITCHED,
		    ext2fs_inode_table_loc(t->fs, group) + byte / t->bs,
		    &image);
	if (!err)
		*ret = (void *)((char *)image + byte % t->bs);
	return err;
}

/* i_blocks follows the number of mapping blocks; nothing else of it changes */
static void adjust_i_blocks(struct transaction *t,
			    struct ext2_inode_large *inode, __u32 before,
			    __u32 after)
{
	int is_huge = ext2fs_has_feature_huge_file(t->fs->super) &&
		      inode->i_flags & EXT4_HUGE_FILE_FL;
	blk64_t unit = (is_huge ? 1ULL : t->bs / 512) << t->bits;
	blk64_t count = ext2fs_inode_i_blocks(t->fs, EXT2_INODE(inode));

	count = count + after * unit - before * unit;
	inode->i_blocks = (__u32)count;
	if (ext2fs_has_feature_huge_file(t->fs->super))
		inode->osd2.linux2.l_i_blocks_hi = (__u16)(count >> 32);
}

static errcode_t read_block(void *ctx, blk64_t pblk, void *block)
{
	return e4df_gate_read(ctx, pblk, 1, block);
}

/* One owner's usage; where its entry is no batch changes. */
static errcode_t stage_usage(struct transaction *t, enum e4df_quota_type type,
			     __u32 id, __s64 bytes)
{
	ext2_ino_t ino = e4df_quota_inode(t->fs->super, type);
	__u32 index = e4df_map_find(t->map, ino);
	struct e4df_quota_file file = {
		.type = type,
		.block_size = t->bs,
		.read = read_block,
		.ctx = t->gate,
	};
	unsigned int offset;
	blk64_t blk;
	void *image;
	errcode_t err;

	if (index == e4df_map_count(t->map))
		return E4DF_ET_INCONSISTENT;
	file.extents = e4df_map_extents(t->map, index);
	file.count = e4df_map_inode(t->map, index)->data;
	err = e4df_quota_find(&file, id, &blk, &offset);
	if (!err)
		err = stage(t, FREED, blk, &image);
	return err ? err : e4df_quota_add_space((char *)image + offset, bytes);
}

/* Mapping blocks count for the owners, too. */
static errcode_t stage_quota(struct transaction *t, ext2_ino_t ino,
			     const struct ext2_inode_large *inode, __s64 bytes)
{
	const struct ext2_super_block *sb = t->fs->super;
	errcode_t err = 0;

	if (!bytes || !e4df_quota_is_counted(sb, ino, inode))
		return 0;
	for (enum e4df_quota_type q = 0; q < E4DF_QUOTA_TYPES && !err; q++)
		if (e4df_quota_inode(sb, q))
			err = stage_usage(t, q, e4df_quota_owner(sb, inode, q),
					  bytes);
	if (err == E4DF_ET_INCONSISTENT)
		return e4df_event_fail(e4df_volume_sink(t->vol), err,
				       "the usage of an owner of inode %u is "
				       "not as it was found; stopped",
				       ino);
	return err;
}

/* The new mapping: its blocks, the root in the inode, the inode's checksum */
static errcode_t stage_change(struct transaction *t,
			      const struct e4df_mapping *change)
{
	const struct e4df_inode *before = e4df_map_inode(t->map, change->inode);
	const struct e4df_extent *data = t->update->extents + change->first;
	struct e4df_extent *tree = NULL;
	struct ext2_inode_large *inode;
	char *images = NULL;
	blk64_t sectors;
	errcode_t err;

	err = stage_inode(t, before->ino, &inode);
	if (err)
		return err;
	tree = malloc(((size_t)change->tree + 1) * sizeof(*tree));
	images = malloc(((size_t)change->tree + 1) * t->bs);
	if (tree && images) {
		struct e4df_tree_owner owner = {
			.ino = before->ino,
			.generation = inode->i_generation,
			.csum_seed = t->fs->csum_seed,
			.has_csum =
				ext2fs_has_feature_metadata_csum(t->fs->super),
		};

		memcpy(tree, data + change->data, change->tree * sizeof(*tree));
		err = e4df_mapping_build(change->format, &owner, t->bs, data,
					 change->data, tree, change->tree,
					 inode->i_block, images);
	} else {
		err = ENOMEM;
	}
	for (__u32 i = 0; i < change->tree && !err; i++) {
		void *image;

		err = e4df_stage_add(t->parts[MAPPINGS], tree[i].pblk, &image);
		if (!err)
			memcpy(image, images + (size_t)i * t->bs, t->bs);
	}
	free(tree);
	free(images);
	if (err)
		return err;
	if (change->format == E4DF_EXTENTS)
		inode->i_flags |= EXT4_EXTENTS_FL;
	sectors = ext2fs_get_stat_i_blocks(t->fs, EXT2_INODE(inode));
	adjust_i_blocks(t, inode, before->tree, change->tree);
	sectors = ext2fs_get_stat_i_blocks(t->fs, EXT2_INODE(inode)) - sectors;
	err = stage_quota(t, before->ino, inode, (__s64)(sectors * 512));
	return err ? err : ext2fs_inode_csum_set(t->fs, before->ino, inode);
}

static errcode_t not_as_found(struct transaction *t, blk64_t blk)
{
	return e4df_event_fail(e4df_volume_sink(t->vol), E4DF_ET_INCONSISTENT,
			       "the xattr block %llu, or a reference to it, is "
			       "not as it was found; stopped",
			       (unsigned long long)blk);
}

/* An owner of an xattr block; its mapping may be staged already, or follow. */
static errcode_t switch_owner(struct transaction *t, ext2_ino_t ino,
			      blk64_t from, blk64_t to)
{
	struct ext2_inode_large *inode;
	errcode_t err = stage_inode(t, ino, &inode);

	if (err)
		return err;
	if (ext2fs_file_acl_block(t->fs, EXT2_INODE(inode)) != from)
		return not_as_found(t, from);
	ext2fs_file_acl_block_set(t->fs, EXT2_INODE(inode), to);
	return ext2fs_inode_csum_set(t->fs, ino, inode);
}

/* An xattr block's image for its new place, and all that refers to it. */
static errcode_t stage_xattr(struct transaction *t,
			     const struct e4df_mapping *change)
{
	blk64_t from = e4df_map_extents(t->map, change->inode)->pblk;
	blk64_t to = t->update->extents[change->first].pblk;
	struct ext2_ext_attr_header *head;
	const ext2_ino_t *owner;
	void *image;
	__u32 count;
	errcode_t err = e4df_stage_add(t->parts[MAPPINGS], to, &image);

	if (!err)
		err = e4df_gate_read(t->gate, from, 1, image);
	if (err)
		return err;
	head = image;
	owner = e4df_map_owners(t->map, change->inode, &count);
	if (head->h_magic != EXT2_EXT_ATTR_MAGIC || head->h_refcount != count ||
	    !ext2fs_ext_attr_block_csum_verify(t->fs, owner[0], from, head))
		return not_as_found(t, from);
	err = ext2fs_ext_attr_block_csum_set(t->fs, owner[0], to, head);
	for (__u32 i = 0; i < count && !err; i++)
		err = switch_owner(t, owner[i], from, to);
	return err;
}

static errcode_t stage_changes(struct transaction *t)
{
	const struct e4df_update *update = t->update;
	errcode_t err = 0;

	for (size_t i = 0; i < update->mapping_count && !err; i++) {
		const struct e4df_mapping *c = &update->mappings[i];

		if (e4df_map_inode(t->map, c->inode)->kind == E4DF_XATTR)
			err = stage_xattr(t, c);
		else
			err = stage_change(t, c);
	}
	return err;
}

/* A bitmap that was never written: metadata, and the padding behind. */
static void init_bitmap(struct transaction *t, dgrp_t group,
			unsigned char *bitmap)
{
	const struct e4df_runs *fixed = e4df_map_fixed(t->map);
	blk64_t first = ext2fs_group_first_block2(t->fs, group);
	blk64_t count = (blk64_t)ext2fs_group_blocks_count(t->fs, group);
	blk64_t ratio = 1ULL << t->bits;

	memset(bitmap, 0, t->bs);
	for (blk64_t i = 0; i < t->bs * 8ULL; i++)
		if (i * ratio >= count ||
		    e4df_runs_is_touched(fixed, first + i * ratio, ratio))
			bitmap[i / 8] |= (unsigned char)(1 << i % 8);
	ext2fs_bg_flags_clear(t->fs, group, EXT2_BG_BLOCK_UNINIT);
}

static errcode_t stage_bitmap(struct transaction *t, enum part part,
			      dgrp_t group, unsigned char **ret)
{
	blk64_t blk = ext2fs_block_bitmap_loc(t->fs, group);
	void *image;
	errcode_t err = stage(t, part, blk, &image);

	if (err)
		return err;
	if (ext2fs_has_group_desc_csum(t->fs) &&
	    ext2fs_bg_flags_test(t->fs, group, EXT2_BG_BLOCK_UNINIT))
		init_bitmap(t, group, image);
	*ret = image;
	return 0;
}

/* Sets or clears the bits of whole clusters within one group. */
static errcode_t flip_bits(struct transaction *t, enum part part, dgrp_t group,
			   blk64_t start, blk64_t len)
{
	int is_taken = part == MARKED;
	blk64_t first = ext2fs_group_first_block2(t->fs, group);
	__u32 unused = ext2fs_bg_free_blocks_count(t->fs, group);
	unsigned char *bitmap;
	errcode_t err = stage_bitmap(t, part, group, &bitmap);

	if (err)
		return err;
	len >>= t->bits;
	for (blk64_t i = (start - first) >> t->bits, left = len; left;
	     i++, left--) {
		unsigned char bit = (unsigned char)(1 << i % 8);
		int is_free = !(bitmap[i / 8] & bit);

		if (is_free != is_taken)
			return e4df_event_fail(
				e4df_volume_sink(t->vol), E4DF_ET_INCONSISTENT,
				"block %llu is not as it was "
				"found in the bitmap; stopped",
				(unsigned long long)(first + (i << t->bits)));
		bitmap[i / 8] ^= bit;
	}
	if (is_taken)
		unused -= (__u32)len;
	else
		unused += (__u32)len;
	ext2fs_bg_free_blocks_count_set(t->fs, group, unused);
	return 0;
}

static errcode_t flip_runs(struct transaction *t, enum part part,
			   const struct e4df_runs *runs)
{
	errcode_t err = 0;

	for (size_t i = 0; i < runs->count && !err; i++) {
		blk64_t at = runs->v[i].start, left = runs->v[i].len;

		while (left && !err) {
			dgrp_t group = ext2fs_group_of_blk2(t->fs, at);
			blk64_t len =
				ext2fs_group_last_block2(t->fs, group) - at + 1;

			if (len > left)
				len = left;
			err = flip_bits(t, part, group, at, len);
			at += len;
			left -= len;
		}
	}
	return err;
}

/* Checksums of a changed bitmap and descriptor, and the descriptor's block. */
static errcode_t finish_group(struct transaction *t, enum part part,
			      dgrp_t group)
{
	blk64_t bitmap_blk = ext2fs_block_bitmap_loc(t->fs, group);
	char *bitmap = e4df_stage_find(t->parts[part], bitmap_blk);
	unsigned int per_block =
		(unsigned int)EXT2_DESC_PER_BLOCK(t->fs->super);
	dgrp_t desc = group / per_block;
	void *image;
	errcode_t err;

	if (!bitmap)
		return 0;
	err = ext2fs_block_bitmap_csum_set(
		t->fs, group, bitmap,
		(int)(t->fs->super->s_clusters_per_group / 8));
	if (err)
		return err;
	ext2fs_group_desc_csum_set(t->fs, group);
	err = stage(t, part == MARKED ? COUNTED : FREED,
		    e4df_volume_desc_block(t->vol, desc), &image);
	if (!err)
		memcpy(image, (char *)t->fs->group_desc + (size_t)desc * t->bs,
		       t->bs);
	return err;
}

/* The groups that any range touches, each once. */
static errcode_t finish_groups(struct transaction *t, enum part part,
			       const struct e4df_runs *runs)
{
	dgrp_t next = 0;
	errcode_t err = 0;

	for (size_t i = 0; i < runs->count && !err; i++) {
		const struct e4df_range *r = &runs->v[i];
		dgrp_t g = ext2fs_group_of_blk2(t->fs, r->start);
		dgrp_t last =
			ext2fs_group_of_blk2(t->fs, r->start + r->len - 1);

		for (g = g < next ? next : g; g <= last && !err; g++)
			err = finish_group(t, part, g);
		next = last + 1;
	}
	return err;
}

/* The counts; without a journal they go to disk with the mark of a clean end */
static errcode_t stage_super(struct transaction *t, struct ext2_super_block *sb)
{
	blk64_t count = ext2fs_free_blocks_count(sb);
	void *image;
	errcode_t err;

	count += e4df_runs_blocks(&t->update->released);
	count -= e4df_runs_blocks(&t->update->taken);
	if (count == ext2fs_free_blocks_count(sb))
		return 0;
	ext2fs_free_blocks_count_set(sb, count);
	if (!t->journal)
		return 0;
	e4df_super_seal(sb);
	err = stage(t, FREED, e4df_volume_super_block(t->vol), &image);
	if (!err)
		memcpy((char *)image + e4df_volume_super_offset(t->vol), sb,
		       sizeof(*sb));
	return err;
}

static errcode_t stage_all(struct transaction *t, struct ext2_super_block *sb)
{
	const struct e4df_update *update = t->update;
	errcode_t err = open_parts(t);

	if (!err)
		err = stage_changes(t);
	if (!err)
		err = flip_runs(t, MARKED, &update->taken);
	if (!err)
		err = finish_groups(t, MARKED, &update->taken);
	if (!err)
		err = flip_runs(t, FREED, &update->released);
	if (!err)
		err = finish_groups(t, FREED, &update->released);
	if (!err)
		err = stage_super(t, sb);
	return err ? err : seal_parts(t);
}

/* The undo file has no say any more once a change has begun. */
static errcode_t preserve_parts(struct transaction *t)
{
	errcode_t err = 0;

	for (int i = 0; i < count_stages(t) && !err; i++)
		err = e4df_stage_preserve(t->parts[i], t->gate);
	return err;
}

/* What is nobody's yet may only go where the batch's data may go. */
static errcode_t write_part(struct transaction *t, enum part part)
{
	if (part == MAPPINGS)
		return e4df_stage_write(t->parts[part], t->gate,
					&t->update->taken,
					"new mapping blocks"); /* I1, I2 */
	return e4df_stage_write(t->parts[part], t->gate, NULL,
				"the ordered commit");
}

/*
 * New mapping and xattr blocks are not logged.  As data they go to blocks that
 * are free in the last committed state, whose bitmaps were looked at when they
 * were staged, and nothing refers to them before the commit record (I1, I2):
 * what a crash leaves of them until then is as free as it was.  The flush in
 * front of the record makes data, these blocks and the log durable together
 * (I3), so that an inode that is replayed finds them whole, in their places.
 *
 * No older copy can come back over them.  The log was empty, flushed, before
 * they were written (I6), and its old blocks bear other ids (I9).  And what we
 * log has a fixed place: inode tables, bitmaps, descriptors, the superblock
 * and quota files, none of which ever becomes free.
 *
 * If a write fails before the record, nothing has happened, and the log may be
 * closed, as when copying data fails.
 */
static errcode_t write_journaled(struct transaction *t)
{
	errcode_t err = write_part(t, MAPPINGS);

	if (!err)
		err = e4df_journal_commit(t->journal, t->parts[MARKED]);
	return err ? err :
		     e4df_journal_checkpoint(t->journal, t->parts[MARKED]);
}

/*
 * Each inode switches by itself, in one sector.  Before its switch all that it
 * will refer to is durable and marked as in use; what it gives up is marked as
 * free, and so may be written to, only when the switch is durable.  Between
 * two flushes only things happen that do not depend on each other, so that at
 * any moment every file can be read, by its old blocks or by its new ones, and
 * a file system that is used unchecked does not allocate any of them.  What
 * e2fsck finds is blocks that are marked but not in use, and checksums and
 * counts of bitmaps that lag behind.
 */
static errcode_t write_ordered(struct transaction *t)
{
	errcode_t err = write_part(t, MAPPINGS);

	if (!err)
		err = write_part(t, MARKED);
	if (!err)
		err = e4df_gate_flush(t->gate); /* I3: data, mappings, marks */
	/* a group's first bitmap must be there when its descriptor says so */
	if (!err)
		err = write_part(t, COUNTED);
	if (!err)
		err = e4df_gate_flush(t->gate); /* I2: marked for certain */
	if (!err)
		err = write_part(t, SWITCHED);
	if (!err)
		err = e4df_gate_flush(t->gate); /* I5: the old are unused */
	if (!err)
		err = write_part(t, FREED);
	if (!err)
		err = e4df_gate_flush(t->gate);
	if (err)
		e4df_gate_stop(t->gate); /* half a change is no clean end */
	return err;
}

errcode_t e4df_commit(struct e4df_volume *vol, struct e4df_journal *journal,
		      const struct e4df_map *map,
		      const struct e4df_update *update)
{
	struct transaction t = {
		.vol = vol,
		.fs = e4df_volume_fs(vol),
		.gate = e4df_volume_gate(vol),
		.journal = journal,
		.map = map,
		.update = update,
		.bs = e4df_volume_fs(vol)->blocksize,
		.bits = (unsigned int)e4df_volume_fs(vol)->cluster_ratio_bits,
	};
	struct ext2_super_block sb = *e4df_volume_super(vol);
	errcode_t err = stage_all(&t, &sb);

	if (!err)
		err = preserve_parts(&t);
	if (!err)
		err = journal ? write_journaled(&t) : write_ordered(&t);
	if (!err)
		e4df_volume_set_super(vol, &sb);
	close_parts(&t);
	return err;
}
