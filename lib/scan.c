/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"
#include "scan_priv.h"

#define DAMAGE_TOLD 10 /* findings named before only counting */

/* One owner's claim on a range of blocks. */
struct claim {
	blk64_t pblk;
	__u32 len;
	__u32 inode; /* index into the map, or NOBODY */
};

#define NOBODY UINT32_MAX /* the file system itself */

void e4df_scan_damage(struct scan *s, ext2_ino_t ino, blk64_t blk,
		      const char *format, ...)
{
	char text[256];
	va_list args;

	if (s->damage++ >= DAMAGE_TOLD)
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

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->pblk != y->pblk)
		return x->pblk < y->pblk ? -1 : 1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

static struct claim *list_claims(struct scan *s, size_t *ret_count)
{
	struct claim *claims;
	size_t count = s->fixed.count, n = 0;

	for (__u32 i = 0; i < e4df_map_count(s->map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(s->map, i);

		count += inode->data + inode->tree;
	}
	claims = malloc((count + 1) * sizeof(*claims));
	if (!claims)
		return NULL;
	for (size_t i = 0; i < s->fixed.count; i++)
		claims[n++] = (struct claim){
			.pblk = s->fixed.v[i].start,
			.len = (__u32)s->fixed.v[i].len,
			.inode = NOBODY,
		};
	for (__u32 i = 0; i < e4df_map_count(s->map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(s->map, i);
		const struct e4df_extent *e = e4df_map_extents(s->map, i);

		for (__u32 k = 0; k < inode->data + inode->tree; k++)
			claims[n++] = (struct claim){
				.pblk = e[k].pblk,
				.len = e[k].len,
				.inode = i,
			};
	}
	qsort(claims, n, sizeof(*claims), compare_claims);
	*ret_count = n;
	return claims;
}

static ext2_ino_t claimant(struct scan *s, const struct claim *c)
{
	return c->inode == NOBODY ? 0 : e4df_map_inode(s->map, c->inode)->ino;
}

/* Every block once: the sorted claims as ranges of used blocks. */
static errcode_t check_claims(struct scan *s, struct e4df_runs *used)
{
	const struct claim *last = NULL;
	struct claim *claims;
	errcode_t err = 0;
	size_t count;

	claims = list_claims(s, &count);
	if (!claims)
		return ENOMEM;
	for (size_t i = 0; i < count && !err; i++) {
		const struct claim *c = &claims[i];

		if (last && c->pblk < last->pblk + last->len) {
			ext2_ino_t other = claimant(s, last);
			char whose[32] = "metadata";

			if (other)
				snprintf(whose, sizeof(whose), "inode %u",
					 other);
			e4df_scan_damage(s, claimant(s, c), c->pblk,
					 "block claimed twice, also by %s",
					 whose);
			continue;
		}
		last = c;
		err = e4df_runs_push(used, c->pblk, c->len);
	}
	free(claims);
	return err;
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
	};
}

static void release(struct scan *s)
{
	e4df_map_free(s->map);
	e4df_runs_free(&s->fixed);
	free(s->deep);
	free(s->nodes);
	free(s->pieces);
	free(s->xattrs);
	free(s->temp);
	free(s->boot);
	free(s->swap);
}

/* libext2fs has checked the rest of what the superblock says. */
static errcode_t check_geometry(struct scan *s)
{
	const struct e4df_geometry *g = &s->geometry;

	if (g->inodes_per_group <= g->block_size * 8)
		return 0;
	return e4df_event_fail(s->sink, E4DF_ET_INCONSISTENT,
			       "%u inodes per group do not fit the bitmap of "
			       "one block; run e2fsck -f first",
			       g->inodes_per_group);
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
		err = check_claims(s, &used);
	if (!err)
		err = e4df_scan_bitmaps(s, &used);
	if (!err && s->damage)
		err = e4df_event_fail(s->sink, E4DF_ET_INCONSISTENT,
				      "%lu inconsistenc%s found; nothing was "
				      "changed; run e2fsck -f first",
				      s->damage, s->damage == 1 ? "y" : "ies");
	if (!err)
		err = e4df_scan_find_swap(s);
	if (!err)
		err = e4df_runs_invert(
			&used, s->geometry.first_block,
			s->geometry.blocks - s->geometry.first_block, &unused);
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
