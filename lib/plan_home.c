/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

#include <stdlib.h>

/* Was it free when a window reserved it? */
static int is_open(const struct e4df_span *n)
{
	return n->owner == OWNER_RESERVED && n->lblk == LBLK_OPEN;
}

blk64_t home_part(const struct batcher *b, blk64_t at, blk64_t len)
{
	const struct e4df_span *n = space_owner(&b->space, at);
	blk64_t left;

	if (!n)
		return space_free_part(&b->space, at, len);
	if (!is_open(n))
		return 0;
	left = n->key + n->len - at;
	return left < len ? left : len;
}

/* Only what is free from the start of a piece on counts, as it is cut there. */
blk64_t home_missing(const struct batcher *b, const struct target *t,
		     const struct e4df_span *n, blk64_t at, blk64_t end)
{
	blk64_t sum = 0;

	if (n->lblk == LBLK_TREE || n->owner >= OWNER_FILES)
		return 0;
	while (at < end) {
		__u32 lblk = n->lblk + (__u32)(at - n->key);
		blk64_t dense = dense_of(b, n->owner, lblk);
		const struct slot *slot = target_find(t, n->owner, dense);
		blk64_t len = end - at;

		if (!slot)
			return sum + len;
		dense -= slot->from;
		if (len > slot->len - dense)
			len = slot->len - dense;
		sum += len -
		       space_free_part(&b->space, slot->start + dense, len);
		at += len;
	}
	return sum;
}

/* A file's layout while pieces of it go home. */
struct homing {
	struct batcher *b;	/* (borrowed) */
	const struct target *t; /* (borrowed) */
	struct e4df_extent *v;	/* (owned) what it becomes, so far */
	size_t count, alloc;
	__u32 inode;
	__u32 pieces; /* extents that it may have more than before */
	int is_moved, is_full;
	int must_wait; /* one piece stays where it is */
};

static errcode_t append(struct homing *h, const struct e4df_extent *e)
{
	errcode_t err =
		e4df_grow(&h->v, &h->alloc, h->count + 1, sizeof(*h->v));

	if (!err)
		h->v[h->count++] = *e;
	return err;
}

/*
 * Can the piece's first block be written to at `to`?  *len is shortened to what
 * is like it.  Fixed blocks are in no set, but in no slot either.
 */
static int is_open_from(const struct homing *h, blk64_t to, __u32 *len)
{
	const struct e4df_spans *used = &h->b->space.used;
	const struct e4df_span *n = space_next(&h->b->space, to);
	blk64_t at = to, end = to + *len;
	int can_write = !n || n->key > to || is_open(n);

	if (can_write && n && n->key <= to)
		at = n->key + n->len;
	else if (can_write)
		at = n ? n->key : end;
	while (!can_write && n && n->key <= at && at < end && !is_open(n)) {
		at = n->key + n->len;
		n = e4df_spans_next(used, n);
	}
	if (at < end)
		*len = (__u32)(at - to);
	return can_write;
}

/* Can a piece go there now?  *len is shortened to what can, or cannot. */
static int can_go(struct homing *h, blk64_t from, blk64_t to, __u32 *len)
{
	blk64_t need;

	if (to == from || !is_open_from(h, to, len) || h->is_full)
		return 0;
	if (h->must_wait) {
		h->must_wait = 0;
		return 0;
	}
	need = space_owner(&h->b->space, to) ? 0 : *len;
	h->is_full =
		!batcher_has_room(h->b, h->inode, *len, need, h->pieces + 3);
	return !h->is_full;
}

static errcode_t move_home(struct homing *h, const struct e4df_extent *piece,
			   blk64_t to)
{
	struct space *space = &h->b->space;
	struct e4df_extent now = *piece;
	errcode_t err = 0;

	now.pblk = to & E4DF_PBLK_MAX;
	if (space_owner(space, to))
		err = space_give(space, to, now.len);
	if (!err)
		err = batcher_take(h->b, h->inode, &now);
	if (!err)
		err = batcher_vacate(h->b, h->inode, piece, 0);
	h->is_moved = 1;
	return err ? err : append(h, &now);
}

/* An extent, piece by piece; the file has `dense` blocks before it. */
static errcode_t home_extent(struct homing *h, struct e4df_extent e,
			     blk64_t dense)
{
	errcode_t err = 0;

	while (e.len && !err) {
		const struct slot *slot = target_find(h->t, h->inode, dense);
		struct e4df_extent piece = e;
		blk64_t to = 0;
		int is_going = 0;

		if (slot) {
			blk64_t left = slot->from + slot->len - dense;

			to = slot->start + (dense - slot->from);
			if (left < piece.len)
				piece.len = (__u32)left;
			is_going = can_go(h, e.pblk, to, &piece.len);
		}
		err = is_going ? move_home(h, &piece, to) : append(h, &piece);
		dense += piece.len;
		e.lblk += piece.len;
		e.pblk = (e.pblk + piece.len) & E4DF_PBLK_MAX;
		e.len -= piece.len;
		h->pieces += e.len > 0;
	}
	return err;
}

static errcode_t home_file(struct batcher *b, const struct target *t,
			   __u32 inode)
{
	const struct e4df_extent *v = batcher_layout(b, inode);
	struct homing h = {
		.b = b,
		.t = t,
		.inode = inode,
		.must_wait = target_find(t, inode, SLOT_TREE) != NULL,
	};
	blk64_t dense = 0;
	errcode_t err = 0;

	for (__u32 i = 0; i < b->files[inode].data && !err; i++) {
		err = home_extent(&h, v[i], dense);
		dense += v[i].len;
	}
	if (!err && h.is_moved)
		batcher_replace(b, inode, h.v, (__u32)h.count);
	else
		free(h.v);
	return err;
}

/*
 * A file that changes anyway costs no more metadata if more of it moves, less
 * if it is whole the sooner, and what it gives up was in the way of others.
 * Mapping blocks that are to be behind their data come there only with a
 * window, and so do the last of these.
 */
errcode_t home_move(struct batcher *b, const struct target *t)
{
	errcode_t err = 0;

	for (size_t i = 0; i < b->dirty_count && !err; i++)
		if (batcher_has_room(b, b->dirty[i].inode, 1, 0, 1))
			err = home_file(b, t, b->dirty[i].inode);
	return err;
}
