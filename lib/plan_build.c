/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The extent before what changed and the one behind may become one with it.
 * Those beyond cannot: between them nothing is other than it was.
 */
static void widen(struct dirty *d)
{
	if (d->head == d->data) {
		d->tail = 0; /* nothing has changed */
		return;
	}
	d->head -= d->head > 0;
	d->tail -= d->tail > 0;
}

/* As scan would find it: adjacent extents of one state are one. */
static void normalize(struct file *f, const struct dirty *d)
{
	__u32 out = d->head, end = f->data - d->tail;

	if (out == end)
		return;
	for (__u32 i = out + 1; i < end; i++) {
		struct e4df_extent *last = &f->v[out];
		const struct e4df_extent *e = &f->v[i];

		if (last->lblk + last->len == e->lblk &&
		    last->pblk + last->len == e->pblk &&
		    last->flags == e->flags)
			last->len += e->len;
		else
			f->v[++out] = *e;
	}
	out++;
	if (out < end)
		memmove(f->v + out, f->v + end, d->tail * sizeof(*f->v));
	f->data = out + d->tail;
}

/* Free blocks near goal: as many as are asked for in a row, or else one. */
static errcode_t find_tree(const struct batcher *b, blk64_t goal, __u32 *count,
			   blk64_t *blk)
{
	if (space_find_near(&b->space, goal, *count, blk))
		return 0;
	*count = 1;
	return space_find_near(&b->space, goal, 1, blk) ?
		       0 :
		       ENOSPC; /* not after the promise */
}

/*
 * Where mapping blocks are wanted: behind the first run of data, or with
 * directories inline in front of it, as a reader needs the first of them first,
 * or nearly so.
 */
static blk64_t goal_of(const struct batcher *b, const struct file *f,
		       __u32 count)
{
	blk64_t start = f->data ? f->v[0].pblk : 0;

	if (b->policy->flags & E4DF_POLICY_INLINE)
		return start > count ? start - count : 0;
	return f->data ? start + f->v[0].len : 0;
}

/* Gives the file its mapping blocks, near its first data block. */
static errcode_t take_tree(struct batcher *b, __u32 inode)
{
	struct file *f = &b->files[inode];
	__u32 count = 0, done = 0;
	size_t alloc = f->alloc;
	blk64_t goal;
	errcode_t err = mapping_blocks(b, inode, &count);

	goal = goal_of(b, f, count);
	if (!err)
		err = e4df_grow(&f->v, &alloc, (size_t)f->data + count,
				sizeof(*f->v));

	f->alloc = (__u32)alloc;
	f->tree = count;
	while (done < count && !err) {
		__u32 n = count - done;
		blk64_t blk;

		err = find_tree(b, goal, &n, &blk);
		for (__u32 i = 0; i < n && !err; i++) {
			f->v[f->data + done++] = (struct e4df_extent){
				.pblk = (blk + i) & E4DF_PBLK_MAX,
				.len = 1,
				.flags = E4DF_EXTENT_TREE,
			};
			err = space_take(&b->space, blk + i, 1, inode,
					 LBLK_TREE);
		}
	}
	return err;
}

static errcode_t release_tree(struct batcher *b, const struct dirty *d)
{
	errcode_t err = 0;

	for (__u32 i = 0; i < d->tree && !err; i++) {
		blk64_t blk = d->old[d->data + i].pblk;
		const struct e4df_span *n = space_owner(&b->space, blk);

		if (!n || n->owner != d->inode)
			continue; /* reserved by a window meanwhile */
		err = space_change(&b->space, blk, 1, OWNER_PENDING, 0);
		if (!err)
			err = e4df_runs_push(&b->pending, blk, 1);
	}
	return err;
}

static int is_unchanged(const struct file *f, const struct dirty *d)
{
	__u32 count = f->data - d->tail - d->head;

	return !d->must_rebuild && f->data == d->data &&
	       (!count || !memcmp(f->v + d->head, d->old + d->head,
				  count * sizeof(*f->v)));
}

/* Forgets a change that came to nothing. */
static void revert(struct file *f, struct dirty *d)
{
	free(f->v);
	f->v = d->is_owned ? d->old : NULL;
	f->data = d->data;
	f->tree = d->tree;
	f->alloc = d->data + d->tree;
	f->dirty = 0;
	d->is_owned = 0;
}

struct builder {
	struct e4df_batch batch;
	size_t move_alloc, tree_alloc;
};

static errcode_t add_move(struct builder *w, const struct e4df_move *move)
{
	struct e4df_batch *batch = &w->batch;
	errcode_t err;

	err = e4df_grow(&batch->moves, &w->move_alloc, batch->move_count + 1,
			sizeof(*batch->moves));
	if (err)
		return err;
	batch->moves[batch->move_count++] = *move;
	if (!move->flags)
		batch->copy_blocks += move->len;
	return 0;
}

/* What commit writes of an xattr block has its place in its checksum. */
static unsigned int flags_of(const struct e4df_extent *e, enum e4df_kind kind)
{
	if (kind == E4DF_XATTR)
		return E4DF_MOVE_XATTR;
	return e->flags & E4DF_EXTENT_UNWRITTEN ? E4DF_MOVE_UNWRITTEN : 0;
}

/* The difference between two layouts of the same blocks. */
static errcode_t add_moves(struct builder *w, const struct e4df_extent *old,
			   const struct layout *now, enum e4df_kind kind)
{
	errcode_t err = 0;

	for (__u32 i = 0; i < now->count && !err; i++) {
		const struct e4df_extent *n = &now->v[i];
		__u32 done = 0;

		while (done < n->len && !err) {
			__u32 lblk = n->lblk + done, len = n->len - done;
			struct e4df_move m;

			while (old->lblk + (blk64_t)old->len <= lblk)
				old++;
			if (old->lblk + (blk64_t)old->len - lblk < len)
				len = old->lblk + old->len - lblk;
			if (len > E4DF_MOVE_MOST)
				len = E4DF_MOVE_MOST;
			m = (struct e4df_move){
				.from = (old->pblk + (lblk - old->lblk)) &
					E4DF_PBLK_MAX,
				.to = (n->pblk + done) & E4DF_PBLK_MAX,
				.lblk = lblk,
				.len = len & E4DF_MOVE_MOST,
				.flags = flags_of(n, kind) & 3,
			};
			if (m.from != m.to)
				err = add_move(w, &m);
			done += len;
		}
	}
	return err;
}

static errcode_t add_tree(const struct batcher *b, struct builder *w,
			  const struct e4df_extent *tree, __u32 count)
{
	struct e4df_batch *batch = &w->batch;
	errcode_t err = e4df_grow(&batch->tree, &w->tree_alloc,
				  batch->tree_count + count,
				  sizeof(*batch->tree));

	for (__u32 i = 0; i < count && !err; i++)
		batch->tree[batch->tree_count++] = tree[i].pblk
						   << (blk64_t)b->bits;
	return err;
}

/* With bigalloc of all blocks, which the cuts of clusters depend on. */
static errcode_t add_difference(const struct batcher *b, struct builder *w,
				const struct dirty *d)
{
	const struct file *f = &b->files[d->inode];
	enum e4df_kind kind = e4df_map_inode(b->map, d->inode)->kind;
	struct layout old = { .own = NULL };
	struct layout now = {
		.v = f->v + d->head,
		.count = f->data - d->tail - d->head,
	};
	errcode_t err;

	if (!b->bits)
		return add_moves(w, d->old + d->head, &now, kind);
	err = mapping_layout(&old, b, d->inode, d->old, d->data);
	if (!err)
		err = mapping_layout(&now, b, d->inode, f->v, f->data);
	if (!err)
		err = add_moves(w, old.v, &now, kind);
	free(old.own);
	free(now.own);
	return err;
}

static errcode_t add_change(const struct batcher *b, struct builder *w,
			    const struct dirty *d)
{
	const struct file *f = &b->files[d->inode];
	size_t moves = w->batch.move_count;
	errcode_t err = add_difference(b, w, d);

	if (!err)
		err = add_tree(b, w, d->old + d->data, d->tree);
	if (!err)
		err = add_tree(b, w, f->v + f->data, f->tree);
	if (err)
		return err;
	w->batch.changes[w->batch.change_count++] = (struct e4df_change){
		.inode = d->inode,
		.moves = (__u32)(w->batch.move_count - moves),
		.old_tree = d->tree,
		.tree = f->tree & 0x7fffffff,
		.format = mapping_format(b, d->inode) & 1,
	};
	return 0;
}

static int compare_dirty(const void *a, const void *b)
{
	const struct dirty *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

/* Layouts are made with room for the worst, and kept to the end of the pass. */
static void shrink(struct file *f)
{
	size_t count = (size_t)f->data + f->tree;
	struct e4df_extent *v = count ? realloc(f->v, count * sizeof(*v)) :
					NULL;

	if (!v)
		return;
	f->v = v;
	f->alloc = (__u32)count;
}

/*
 * Files that are whole get theirs first: they are to be close behind the data,
 * where it is free.  Those of others will move again.
 */
static errcode_t take_trees(struct batcher *b)
{
	errcode_t err = 0;

	for (int is_rest = 0; is_rest < 2; is_rest++)
		for (size_t i = 0; i < b->dirty_count && !err; i++) {
			__u32 inode = b->dirty[i].inode;

			if (b->files[inode].dirty &&
			    batcher_is_ideal(b, inode) != is_rest)
				err = take_tree(b, inode);
		}
	return err;
}

/* Files that the batch leaves as they were are dirty no more. */
static void settle_files(struct batcher *b)
{
	for (size_t i = 0; i < b->dirty_count; i++) {
		struct dirty *d = &b->dirty[i];
		struct file *f = &b->files[d->inode];

		widen(d);
		normalize(f, d);
		if (is_unchanged(f, d))
			revert(f, d);
	}
}

errcode_t build_batch(struct batcher *b, struct e4df_batch *ret)
{
	struct builder w = { .move_alloc = 0 };
	errcode_t err;

	qsort(b->dirty, b->dirty_count, sizeof(*b->dirty), compare_dirty);
	w.batch.changes = calloc(b->dirty_count, sizeof(*w.batch.changes));
	if (!w.batch.changes)
		return ENOMEM;
	settle_files(b);
	err = take_trees(b);
	for (size_t i = 0; i < b->dirty_count && !err; i++) {
		struct dirty *d = &b->dirty[i];
		struct file *f = &b->files[d->inode];

		if (!f->dirty)
			continue;
		err = release_tree(b, d);
		if (!err)
			err = add_change(b, &w, d);
		if (!err)
			shrink(f);
		f->dirty = 0;
	}
	if (err) {
		e4df_batch_release(&w.batch);
		return err;
	}
	e4df_batch_shrink(&w.batch);
	*ret = w.batch;
	return 0;
}
