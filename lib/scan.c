/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"
#include "scan_priv.h"

void e4df_scan_damage(struct scan *s, ext2_ino_t ino, blk64_t blk,
		      const char *format, ...)
{
	char text[256];
	va_list args;

	if (s->damage++ >= SCAN_DAMAGE_TOLD)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	e4df_event_find(s->sink, E4DF_DAMAGE, ino, blk, "%s", text);
}

int e4df_scan_is_in_range(const struct scan *s, blk64_t pblk, blk64_t len)
{
	return pblk >= s->geometry.first_block && pblk < s->geometry.blocks &&
	       len <= s->geometry.blocks - pblk;
}

/* As the kernel does: a number that makes no sense is none. */
static unsigned int groups_per_flex(struct ext2_super_block *sb)
{
	if (!ext2fs_has_feature_flex_bg(sb) || sb->s_log_groups_per_flex > 31)
		return 1;
	return 1U << sb->s_log_groups_per_flex;
}

static void set_geometry(struct scan *s)
{
	struct ext2_super_block *sb = s->fs->super;

	s->geometry = (struct e4df_geometry){
		.blocks = ext2fs_blocks_count(sb),
		.first_block = sb->s_first_data_block,
		.block_size = s->fs->blocksize,
		.blocks_per_group = sb->s_blocks_per_group,
		.inodes_per_group = sb->s_inodes_per_group,
		.inodes_per_block = (unsigned int)EXT2_INODES_PER_BLOCK(sb),
		.descs_per_block = (unsigned int)EXT2_DESC_PER_BLOCK(sb),
		.groups = s->fs->group_desc_count,
		.groups_per_flex = groups_per_flex(sb),
		.cluster_bits = (unsigned int)s->fs->cluster_ratio_bits,
	};
	s->bits = s->geometry.cluster_bits;
}

static void release(struct scan *s)
{
	e4df_map_free(s->map);
	e4df_runs_free(&s->fixed);
	free(s->deep);
	free(s->nodes);
	free(s->pieces);
	free(s->chunks);
	free(s->xattrs);
	for (int t = 0; t < E4DF_QUOTA_TYPES; t++)
		free(s->quotas[t].v);
	free(s->temp);
	free(s->boot);
	free(s->swap);
}

/* libext2fs has checked the rest of what the superblock says. */
static errcode_t check_geometry(struct scan *s)
{
	const struct e4df_geometry *g = &s->geometry;
	unsigned int clusters = s->fs->super->s_clusters_per_group;

	if (g->cluster_bits && g->first_block)
		return e4df_event_fail(s->sink, E4DF_ET_INCONSISTENT,
				       "the first cluster does not begin at "
				       "block 0; run e2fsck -f first");
	/* libext2fs shifts in 32 bits */
	if ((blk64_t)clusters << g->cluster_bits != g->blocks_per_group)
		return e4df_event_fail(s->sink, E4DF_ET_INCONSISTENT,
				       "%u clusters per group are not %u "
				       "blocks; run e2fsck -f first",
				       clusters, g->blocks_per_group);
	if (g->inodes_per_group <= g->block_size * 8)
		return 0;
	return e4df_event_fail(s->sink, E4DF_ET_INCONSISTENT,
			       "%u inodes per group do not fit the bitmap of "
			       "one block; run e2fsck -f first",
			       g->inodes_per_group);
}

/* The whole clusters that are not in use, in blocks. */
static errcode_t list_unused(struct scan *s, const struct e4df_runs *used,
			     struct e4df_runs *unused)
{
	blk64_t first = s->geometry.first_block >> s->bits;
	errcode_t err = e4df_runs_invert(
		used, first, (s->geometry.blocks >> s->bits) - first, unused);

	for (size_t i = 0; !err && i < unused->count; i++) {
		unused->v[i].start <<= s->bits;
		unused->v[i].len <<= s->bits;
	}
	return err;
}

/* The order matters: each step needs what the ones before it have found. */
static errcode_t run_steps(struct scan *s)
{
	struct e4df_runs used = E4DF_RUNS_INIT, unused = E4DF_RUNS_INIT;
	errcode_t err;

	err = check_geometry(s);
	if (!err)
		err = e4df_map_new(&s->geometry, &s->map);
	if (!err)
		e4df_scan_quota_start(s);
	if (!err)
		err = e4df_scan_group_metadata(s);
	if (!err && !(s->flags & E4DF_SCAN_BOOT))
		err = e4df_scan_find_boot(s);
	if (!err)
		err = e4df_scan_inode_tables(s);
	if (!err)
		err = e4df_scan_trees(s);
	if (!err)
		err = e4df_scan_xattrs(s);
	if (!err)
		err = e4df_scan_claims(s, &used);
	if (!err)
		err = e4df_scan_bitmaps(s, &used);
	if (!err)
		err = e4df_scan_quota_check(s);
	if (!err && s->damage)
		err = e4df_event_fail(s->sink, E4DF_ET_INCONSISTENT,
				      "%lu inconsistenc%s found; nothing was "
				      "changed; run e2fsck -f first",
				      s->damage, s->damage == 1 ? "y" : "ies");
	if (!err)
		err = e4df_scan_find_swap(s);
	if (!err)
		err = list_unused(s, &used, &unused);
	if (!err)
		err = e4df_scan_pin_tail(s);
	if (!err)
		err = e4df_map_finish(s->map, &s->fixed, &unused);
	e4df_runs_free(&used);
	e4df_runs_free(&unused);
	return err;
}

errcode_t e4df_scan(struct e4df_volume *vol, unsigned int flags,
		    struct e4df_sink *sink, struct e4df_map **ret)
{
	struct scan s = {
		.vol = vol,
		.flags = flags,
		.sink = sink,
		.fs = e4df_volume_fs(vol),
		.gate = e4df_volume_gate(vol),
	};
	errcode_t err;

	set_geometry(&s);
	err = run_steps(&s);
	if (!err) {
		*ret = s.map;
		s.map = NULL;
	}
	release(&s);
	return err;
}
