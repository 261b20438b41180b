/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"

#define NOTHING_NOTED (1ULL << 62)

static errcode_t init_file(struct batcher *b, __u32 index)
{
	const struct e4df_inode *inode = e4df_map_inode(b->map, index);
	struct file *f = &b->files[index];

	f->data = inode->data;
	f->tree = inode->tree;
	f->blocks = (__u32)e4df_extents_blocks(e4df_map_extents(b->map, index),
					       inode->data);
	f->ideal = e4df_map_ideal(b->map, f->blocks);
	if (b->policy->good_run && f->ideal) {
		__u32 goal = whole_goal(e4df_map_extents(b->map, index),
					f->data, b->policy->good_run);

		f->has_long = goal > f->ideal;
		if (f->has_long)
			f->ideal = goal;
	}
	f->switches = 1;
	if (inode->kind == E4DF_XATTR)
		f->switches = xattr_switches(b->blocks, index) & 0xfffffff;
	if (mapping_format(b, index) == E4DF_BLOCK_MAP)
		return mapping_blocks(b, index, &f->map_blocks);
	if (b->bits)
		f->cuts = e4df_cluster_pieces(
			e4df_map_extents(b->blocks, index),
			e4df_map_inode(b->blocks, index)->data);
	return 0;
}

errcode_t batcher_init_files(struct batcher *b, const struct e4df_map *map,
			     const struct e4df_policy *policy)
{
	__u32 count = e4df_map_count(map);
	errcode_t err = 0;

	memset(b, 0, sizeof(*b));
	b->blocks = map;
	b->map = map;
	b->bits = e4df_map_geometry(map)->cluster_bits;
	b->policy = policy;
	if (b->bits) {
		err = e4df_cluster_map(map, &b->clusters);
		b->map = b->clusters;
	}
	if (err)
		return err;
	b->geometry = e4df_map_geometry(b->map);
	b->serial = 1;
	b->noted = NOTHING_NOTED;
	b->files = calloc((size_t)count + 1, sizeof(*b->files));
	b->group_stamp = calloc((size_t)b->geometry->groups + 1,
				sizeof(*b->group_stamp));
	if (!b->files || !b->group_stamp)
		return ENOMEM;
	for (__u32 i = 0; i < count && !err; i++) {
		err = init_file(b, i);
		if (!err)
			err = dense_init(b, i);
	}
	return err;
}

errcode_t batcher_init_space(struct batcher *b)
{
	return space_init(&b->space, b->map);
}

errcode_t batcher_init(struct batcher *b, const struct e4df_map *map,
		       const struct e4df_policy *policy)
{
	errcode_t err = batcher_init_files(b, map, policy);

	return err ? err : batcher_init_space(b);
}

/* Forgets the open batch's changes and the layouts before them. */
static void free_old(struct batcher *b)
{
	for (size_t i = 0; i < b->dirty_count; i++)
		if (b->dirty[i].is_owned)
			free(b->dirty[i].old);
	b->dirty_count = 0;
}

void batcher_release(struct batcher *b)
{
	if (b->files)
		for (__u32 i = 0; i < e4df_map_count(b->blocks); i++)
			free(b->files[i].v);
	free(b->files);
	free(b->sparse);
	free(b->marks);
	free_old(b);
	free(b->dirty);
	free(b->group_stamp);
	free(b->broken);
	e4df_runs_free(&b->pending);
	for (size_t i = 0; i < b->batch_count; i++)
		e4df_batch_release(&b->batches[i]);
	free(b->batches);
	space_release(&b->space);
	e4df_map_free(b->clusters);
}

const struct e4df_extent *batcher_layout(const struct batcher *b, __u32 inode)
{
	return b->files[inode].v ? b->files[inode].v :
				   e4df_map_extents(b->map, inode);
}

/* Stops counting runs as soon as they are too many. */
int batcher_is_ideal(const struct batcher *b, __u32 inode)
{
	const struct file *f = &b->files[inode];
	const struct e4df_extent *v = batcher_layout(b, inode);
	__u32 runs = f->data > 0;

	for (__u32 i = 1; i < f->data && runs <= f->ideal; i++)
		runs += v[i].pblk != v[i - 1].pblk + v[i - 1].len;
	return runs <= f->ideal;
}

static blk64_t group_of(const struct batcher *b, blk64_t blk)
{
	return (blk - b->geometry->first_block) / b->geometry->blocks_per_group;
}

/* Most ranges are in the group of the one before, and that is known. */
static void note_groups(struct batcher *b, blk64_t start, blk64_t len)
{
	blk64_t size = b->geometry->blocks_per_group, g, last;

	if (start >= b->noted && start + len <= b->noted + size)
		return;
	last = group_of(b, start + len - 1);
	for (g = group_of(b, start); g <= last; g++)
		if (b->group_stamp[g] != b->serial) {
			b->group_stamp[g] = b->serial;
			b->groups_used++;
		}
	b->noted = b->geometry->first_block + last * size;
}

/*
 * Metadata blocks of the open batch: the superblock, what each file switches
 * (an inode table block), and for each mapping block the bitmap and descriptors
 * of its group; bitmap and descriptors of each group in use; where a file's
 * mapping blocks count for its owners, a block of each quota file.  Mapping
 * blocks themselves are new, and a journal does not get them (commit.c).
 */
static blk64_t log_blocks(const struct batcher *b, blk64_t switches,
			  blk64_t tree, blk64_t groups)
{
	int is_ordered = (b->policy->flags & E4DF_POLICY_ORDERED) != 0;
	blk64_t most = b->geometry->groups;
	blk64_t bitmaps = groups + tree < most ? groups + tree : most;
	blk64_t descs = most / b->geometry->descs_per_block + 1;
	blk64_t quota = switches * b->geometry->quota_files;

	if (quota > b->geometry->quota_blocks)
		quota = b->geometry->quota_blocks;
	return 1 + switches + (is_ordered ? tree : 0) + bitmaps + quota +
	       (bitmaps < descs ? bitmaps : descs);
}

/* The groups of what the changed files had before. */
static void note_old(struct batcher *b)
{
	for (; b->noted_count < b->dirty_count; b->noted_count++) {
		const struct dirty *d = &b->dirty[b->noted_count];

		for (__u32 i = 0; i < d->data + d->tree; i++)
			note_groups(b, d->old[i].pblk, d->old[i].len);
	}
}

/*
 * Most often there is room even with all groups in use.  So those of whole
 * files, which may be large and change little, are looked at only if not.
 */
static int has_log_room(struct batcher *b, blk64_t switches, blk64_t tree,
			blk64_t groups)
{
	blk64_t most = b->policy->log_blocks;

	if (log_blocks(b, switches, tree, b->geometry->groups) <= most)
		return 1;
	note_old(b);
	return log_blocks(b, switches, tree, b->groups_used + groups) <= most;
}

int batcher_has_room(struct batcher *b, __u32 inode, blk64_t copy, blk64_t need,
		     __u32 pieces)
{
	const struct file *f = &b->files[inode];
	blk64_t tree = mapping_bound(b, inode, pieces);
	blk64_t more_tree = tree, groups = (blk64_t)f->data + f->tree + pieces;
	blk64_t switches = b->switches + f->switches;

	if (f->dirty)
		more_tree = tree > b->dirty[f->dirty - 1].promised ?
				    tree - b->dirty[f->dirty - 1].promised :
				    0;
	if (b->copy_blocks && b->copy_blocks + copy > b->policy->batch_blocks)
		return 0;
	tree = b->promised + more_tree;
	if (b->space.free_blocks < tree + need)
		return 0;
	return tree <= b->policy->log_blocks &&
	       has_log_room(b, switches, tree, groups);
}

static void promise(struct batcher *b, struct dirty *d)
{
	__u32 now = mapping_bound(b, d->inode, 0);

	b->promised = b->promised - d->promised + now;
	d->promised = now;
}

errcode_t batcher_touch(struct batcher *b, __u32 inode)
{
	struct file *f = &b->files[inode];
	const struct e4df_extent *now = batcher_layout(b, inode);
	struct e4df_extent *copy;
	struct dirty *d;
	errcode_t err;

	if (f->dirty)
		return 0;
	err = e4df_grow(&b->dirty, &b->dirty_alloc, b->dirty_count + 1,
			sizeof(*b->dirty));
	if (err)
		return err;
	copy = malloc(((size_t)f->data + 1) * sizeof(*copy));
	if (!copy)
		return ENOMEM;
	memcpy(copy, now, f->data * sizeof(*copy));
	d = &b->dirty[b->dirty_count++];
	*d = (struct dirty){
		.old = (struct e4df_extent *)(uintptr_t)now,
		.data = f->data,
		.tree = f->tree,
		.inode = inode,
		.head = f->data,
		.tail = f->data,
		.is_owned = f->v != NULL,
	};
	f->v = copy;
	f->alloc = f->data + 1;
	f->dirty = (__u32)b->dirty_count;
	b->switches += f->switches;
	promise(b, d);
	return 0;
}

errcode_t batcher_edit(struct batcher *b, __u32 inode, __u32 lblk, __u32 len,
		       const struct e4df_extent *piece, __u32 count)
{
	struct file *f = &b->files[inode];
	struct dirty *d = &b->dirty[f->dirty - 1];
	__u32 at = dense_extent(f->v, f->data, lblk);
	__u32 behind = f->data - at - 1;
	struct e4df_extent whole = f->v[at];
	__u32 before = lblk - whole.lblk;
	__u32 after = whole.len - before - len;
	__u32 more = count + (before > 0) + (after > 0) - 1;
	size_t alloc = f->alloc;
	struct e4df_extent *p;
	errcode_t err;

	err = e4df_grow(&f->v, &alloc, (size_t)f->data + more, sizeof(*f->v));
	if (err)
		return err;
	f->alloc = (__u32)alloc;
	if (more)
		memmove(f->v + at + 1 + more, f->v + at + 1,
			behind * sizeof(*f->v));
	p = f->v + at;
	if (before) {
		*p = whole;
		(p++)->len = before;
	}
	for (__u32 i = 0; i < count; i++) {
		*p = piece[i];
		(p++)->flags = whole.flags;
	}
	if (after) {
		*p = whole;
		p->lblk = lblk + len;
		p->pblk = (whole.pblk + before + len) & E4DF_PBLK_MAX;
		p->len = after;
	}
	f->data += more;
	if (d->head > at)
		d->head = at;
	if (d->tail > behind)
		d->tail = behind;
	promise(b, d);
	return 0;
}

void batcher_replace(struct batcher *b, __u32 inode, struct e4df_extent *v,
		     __u32 count)
{
	struct file *f = &b->files[inode];
	struct dirty *d = &b->dirty[f->dirty - 1];

	free(f->v);
	f->v = v;
	f->data = count;
	f->alloc = count;
	d->head = 0;
	d->tail = 0;
	promise(b, d);
}

errcode_t batcher_take(struct batcher *b, __u32 inode,
		       const struct e4df_extent *e)
{
	note_groups(b, e->pblk, e->len);
	b->copy_blocks += e->len;
	return space_take(&b->space, e->pblk, e->len, inode, e->lblk);
}

errcode_t batcher_occupy(struct batcher *b, __u32 inode,
			 const struct e4df_extent *e)
{
	note_groups(b, e->pblk, e->len);
	b->copy_blocks += e->len;
	return space_change(&b->space, e->pblk, e->len, inode, e->lblk);
}

/*
 * Walks the range along the old layout: what the file had there before the
 * batch is in use in the last committed state (I1), the rest is not.
 */
errcode_t batcher_vacate(struct batcher *b, __u32 inode,
			 const struct e4df_extent *e, int is_reserved)
{
	const struct dirty *d = &b->dirty[b->files[inode].dirty - 1];
	__u32 i = dense_extent(d->old, d->data, e->lblk), done = 0;
	errcode_t err = 0;

	while (done < e->len && !err) {
		__u32 lblk = e->lblk + done, len = e->len - done;
		blk64_t pblk = e->pblk + done;
		const struct e4df_extent *o = &d->old[i++];

		if (o->lblk + (blk64_t)o->len - lblk < len)
			len = o->lblk + o->len - lblk;
		if (is_reserved)
			err = space_change(&b->space, pblk, len, OWNER_RESERVED,
					   0);
		else if (o->pblk + (lblk - o->lblk) != pblk)
			err = space_give(&b->space, pblk, len);
		else
			err = space_change(&b->space, pblk, len, OWNER_PENDING,
					   0);
		if (!err && !is_reserved)
			err = e4df_runs_push(&b->pending, pblk, len);
		done += len;
	}
	return err;
}

errcode_t batcher_move(struct batcher *b, __u32 inode,
		       const struct e4df_extent *old, blk64_t to, int is_out)
{
	struct e4df_extent now = *old;
	errcode_t err = batcher_touch(b, inode);

	now.pblk = to & E4DF_PBLK_MAX;
	if (!err)
		err = is_out ? batcher_take(b, inode, &now) :
			       batcher_occupy(b, inode, &now);
	if (!err)
		err = batcher_edit(b, inode, old->lblk, old->len, &now, 1);
	return err ? err : batcher_vacate(b, inode, old, is_out);
}

errcode_t batcher_rebuild_tree(struct batcher *b, __u32 inode)
{
	errcode_t err = batcher_touch(b, inode);

	if (!err)
		b->dirty[b->files[inode].dirty - 1].must_rebuild = 1;
	return err;
}

errcode_t batcher_displace_tree(struct batcher *b, __u32 inode, blk64_t blk)
{
	errcode_t err = batcher_rebuild_tree(b, inode);

	return err ? err : space_change(&b->space, blk, 1, OWNER_RESERVED, 0);
}

errcode_t batcher_close(struct batcher *b)
{
	struct e4df_batch batch = { .moves = NULL };
	errcode_t err;

	if (!b->dirty_count)
		return 0;
	err = build_batch(b, &batch);
	if (!err && batch.change_count)
		err = e4df_grow(&b->batches, &b->batch_alloc,
				b->batch_count + 1, sizeof(*b->batches));
	if (!err && batch.change_count)
		b->batches[b->batch_count++] = batch;
	else
		e4df_batch_release(&batch);
	free_old(b);
	b->promised = 0;
	b->copy_blocks = 0;
	b->cleared = 0;
	b->groups_used = 0;
	b->noted = NOTHING_NOTED;
	b->noted_count = 0;
	b->switches = 0;
	b->serial++;
	if (!err)
		err = space_settle(&b->space, &b->pending);
	b->pending.count = 0;
	return err;
}

/* What a file has become, from the batcher's units to the map's. */
static errcode_t apply_file(const struct batcher *b, __u32 inode,
			    struct e4df_map *map)
{
	const struct file *f = &b->files[inode];
	struct e4df_mapping m = {
		.inode = inode,
		.tree = f->tree,
		.format = mapping_format(b, inode),
	};
	struct layout data;
	struct e4df_extent *v = NULL;
	errcode_t err = mapping_layout(&data, b, inode, f->v, f->data);

	if (!err) {
		m.data = data.count;
		v = malloc(((size_t)m.data + m.tree + 1) * sizeof(*v));
		err = v ? 0 : ENOMEM;
	}
	if (!err) {
		memcpy(v, data.v, m.data * sizeof(*v));
		memcpy(v + m.data, f->v + f->data, m.tree * sizeof(*v));
		for (__u32 i = m.data; i < m.data + m.tree; i++)
			v[i].pblk = (v[i].pblk << b->bits) & E4DF_PBLK_MAX;
		err = e4df_map_change(map, &m, v);
	}
	free(v);
	free(data.own);
	return err;
}

/*
 * All files that any batch has changed have lists of their own.  What is not
 * needed any more goes at once: here a pass takes the most memory.
 */
errcode_t batcher_apply(struct batcher *b, struct e4df_map *map)
{
	struct e4df_runs unused = E4DF_RUNS_INIT;
	errcode_t err = space_list_free(&b->space, e4df_map_areas(b->map),
					b->bits, &unused);

	space_release(&b->space);
	for (__u32 i = 0; i < e4df_map_count(map) && !err; i++) {
		struct file *f = &b->files[i];

		if (f->v)
			err = apply_file(b, i, map);
		free(f->v);
		f->v = NULL;
	}
	if (err)
		e4df_runs_free(&unused);
	else
		e4df_map_set_free(map, &unused);
	return err;
}
