/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "e4df_err.h"

#define NOTHING (1ULL << 60) /* a dense position that no file has */

/* The state of clearing one place. */
struct clearing {
	struct batcher *b;
	__u32 inode; /* for whom */
	errcode_t (*flush)(void *ctx);
	void *ctx;
	struct e4df_range window; /* what is cleared, with its spare */
	int is_impossible;
};

/* Is there room in this batch, or in a new one? */
static errcode_t make_room(struct clearing *c, __u32 inode, blk64_t len,
			   __u32 pieces)
{
	errcode_t err = 0;

	if (batcher_has_room(c->b, inode, len, len, pieces))
		return 0;
	err = c->flush(c->ctx);
	if (!err && !batcher_has_room(c->b, inode, len, len, pieces))
		c->is_impossible = 1;
	return err;
}

/* A piece of a fragmented file goes to the tightest gaps there are. */
static errcode_t displace_piece(struct clearing *c, __u32 inode, __u32 lblk,
				blk64_t pblk, __u32 len)
{
	struct batcher *b = c->b;
	struct e4df_extent old = {
		.pblk = pblk & E4DF_PBLK_MAX,
		.lblk = lblk,
		.len = len,
	};
	struct e4df_extent *piece = NULL;
	size_t count = 0, alloc = 0;
	__u32 done = 0;
	errcode_t err = batcher_touch(b, inode);

	if (!err)
		err = space_index(&b->space);
	while (!err && done < len) {
		blk64_t start, gap;

		if (!space_find_tight(&b->space, len - done, &start, &gap))
			err = ENOSPC; /* not after make_room */
		else
			err = e4df_grow(&piece, &alloc, count + 1,
					sizeof(*piece));
		if (err)
			break;
		if (gap > len - done)
			gap = len - done;
		piece[count] = (struct e4df_extent){
			.pblk = start & E4DF_PBLK_MAX,
			.lblk = lblk + done,
			.len = (__u32)gap,
		};
		err = batcher_take(b, inode, &piece[count++]);
		done += (__u32)gap;
	}
	if (!err)
		err = batcher_edit(b, inode, lblk, len, piece, (__u32)count);
	if (!err)
		err = batcher_vacate(b, inode, &old, 1);
	free(piece);
	return err;
}

/*
 * A free run for a whole file, near its group.  An xattr block, which fits
 * anywhere, does not go to where it would be in the way again.
 */
static int find_home(const struct clearing *c, __u32 inode, blk64_t *start)
{
	const struct batcher *b = c->b;
	const struct e4df_range *w = &c->window;
	__u32 blocks = b->files[inode].blocks;

	if (!space_find_near(&b->space, choose_goal(b, inode), blocks, start))
		return 0;
	if (e4df_map_inode(b->map, inode)->kind == E4DF_XATTR &&
	    *start >= w->start && *start - w->start < w->len)
		space_find_near(&b->space, w->start + w->len, blocks, start);
	return 1;
}

/* A file goes whole to a free run near its group. */
static errcode_t displace_file(struct clearing *c, __u32 inode, int *is_moved)
{
	struct batcher *b = c->b;
	const struct file *f = &b->files[inode];
	struct place place = { .count = 1 };

	place.piece[0].len = f->blocks;
	*is_moved = find_home(c, inode, &place.piece[0].start);
	return *is_moved ? window_settle(b, inode, &place) : 0;
}

/* There is no such run: it goes in pieces, and is placed anew later. */
static errcode_t break_file(struct clearing *c, __u32 inode)
{
	struct batcher *b = c->b;
	errcode_t err = e4df_grow(&b->broken, &b->broken_alloc,
				  b->broken_count + 1, sizeof(*b->broken));

	if (err)
		return err;
	b->broken[b->broken_count++] = inode;
	b->files[inode].is_whole = 1;
	return 0;
}

/*
 * Gets a whole file out of the way of another: a contiguous one stays so, and
 * a fragmented one, which had to be moved anyway, is done.  *is_over says that
 * the range at `at` is to be looked at again, or that there is no way.
 */
static errcode_t displace_owner(struct clearing *c, __u32 owner, blk64_t at,
				int *is_over)
{
	struct batcher *b = c->b;
	const struct file *f = &b->files[owner];
	int is_ideal = batcher_is_ideal(b, owner);
	const struct e4df_span *n;
	errcode_t err = 0;

	*is_over = 0;
	if (!is_ideal && !choose_is_placeable(b, owner))
		return 0;
	if (!batcher_has_room(b, owner, f->blocks, f->blocks, 1))
		err = c->flush(c->ctx);
	n = space_owner(&b->space, at);
	*is_over = err || !n || n->owner != owner;
	if (*is_over)
		return err;
	if (batcher_has_room(b, owner, f->blocks, f->blocks, 1)) {
		err = displace_file(c, owner, is_over);
		if (err || *is_over || !is_ideal)
			return err;
		if (!f->is_whole)
			return break_file(c, owner);
	}
	*is_over = c->is_impossible = is_ideal;
	return 0;
}

/* Gets one used range, or the part of it in [at, end), out of the way. */
static errcode_t clear_range(struct clearing *c, const struct e4df_span *n,
			     blk64_t at, blk64_t end, blk64_t from,
			     blk64_t start, blk64_t *next)
{
	struct batcher *b = c->b;
	__u32 lblk = n->lblk + (__u32)(at - n->key), owner = n->owner;
	blk64_t stop = n->key + n->len < end ? n->key + n->len : end;
	errcode_t err;

	*next = stop;
	if (owner == OWNER_RESERVED)
		return 0; /* by us: no other window was chosen here */
	if (owner == OWNER_PENDING)
		return space_change(&b->space, at, stop - at, OWNER_RESERVED,
				    0);
	if (owner >= OWNER_FILES || b->files[owner].is_waiting) {
		c->is_impossible = 1;
		return 0;
	}
	if (n->lblk == LBLK_TREE) {
		err = make_room(c, owner, 0, 0);
		*next = at; /* see again: the flush may have moved it */
		n = space_owner(&b->space, at);
		if (!err && !c->is_impossible && n && n->owner == owner &&
		    n->lblk == LBLK_TREE)
			err = batcher_displace_tree(b, owner, at);
		return err;
	}
	if (owner == c->inode && dense_of(b, owner, lblk) - from + start == at)
		return 0; /* stays */
	*next = at;
	if (owner != c->inode) {
		int is_over;

		err = displace_owner(c, owner, at, &is_over);
		if (err || is_over)
			return err;
	}
	err = make_room(c, owner, stop - at, (__u32)(stop - at) + 2);
	n = space_owner(&b->space, at);
	if (err || c->is_impossible || !n || n->owner != owner)
		return err;
	return displace_piece(c, owner, lblk, at, (__u32)(stop - at));
}

/* Free blocks become part of the window, if no mapping block needs them. */
static errcode_t reserve(struct clearing *c, blk64_t at, blk64_t *next)
{
	struct batcher *b = c->b;
	blk64_t need = b->promised + *next - at;
	errcode_t err;

	if (b->space.free_blocks >= need)
		return space_take(&b->space, at, *next - at, OWNER_RESERVED, 0);
	need -= b->promised;
	*next = at; /* see again: the flush may have taken it */
	err = c->flush(c->ctx);
	if (!err && b->space.free_blocks < b->promised + need)
		c->is_impossible = 1;
	return err;
}

/* Clears [start, end), where the dense position `from` is to begin. */
static errcode_t clear_piece(struct clearing *c, blk64_t from, blk64_t start,
			     blk64_t end)
{
	struct space *space = &c->b->space;
	blk64_t at = start;
	errcode_t err = 0;

	while (at < end && !err && !c->is_impossible) {
		const struct e4df_span *n = space_owner(space, at);
		blk64_t next = end;

		if (n) {
			err = clear_range(c, n, at, end, from, start, &next);
		} else {
			n = e4df_spans_ceil(&space->used, at);
			if (n && n->key < end)
				next = n->key;
			err = reserve(c, at, &next);
		}
		at = next;
	}
	return err;
}

errcode_t window_clear(struct batcher *b, __u32 inode,
		       const struct place *place, errcode_t (*flush)(void *ctx),
		       void *ctx, int *is_done)
{
	struct clearing c = {
		.b = b,
		.inode = inode,
		.flush = flush,
		.ctx = ctx,
		.window = place->piece[0],
	};
	struct place spare = { .count = 1 };
	blk64_t from = 0;
	errcode_t err = 0;

	c.window.len += place->spare;
	for (__u32 i = 0; i < place->count && !err && !c.is_impossible; i++) {
		const struct e4df_range *r = &place->piece[i];

		err = clear_piece(&c, from, r->start, r->start + r->len);
		from += r->len;
		spare.piece[0] = (struct e4df_range){
			r->start + r->len,
			place->spare,
		};
	}
	*is_done = !err && !c.is_impossible;
	if (*is_done)
		err = clear_piece(&c, NOTHING, spare.piece[0].start,
				  spare.piece[0].start + place->spare);
	if (!err)
		err = window_abandon(b, &spare);
	if (!err && !*is_done)
		err = window_abandon(b, place);
	if (*is_done && place->spare > b->cleared)
		b->cleared = place->spare;
	return err;
}

/*
 * What was vacated in the open batch must not be taken again in it (I5), and
 * which that was is not known any more: everything becomes free at its end.
 */
errcode_t window_abandon(struct batcher *b, const struct place *place)
{
	errcode_t err = 0;

	for (__u32 i = 0; i < place->count && !err; i++) {
		blk64_t at = place->piece[i].start;
		blk64_t end = at + place->piece[i].len;

		while (at < end && !err) {
			const struct e4df_span *n = space_next(&b->space, at);
			blk64_t stop;

			if (!n || n->key >= end)
				break;
			if (at < n->key)
				at = n->key;
			stop = n->key + n->len < end ? n->key + n->len : end;
			if (n->owner == OWNER_RESERVED) {
				err = space_change(&b->space, at, stop - at,
						   OWNER_PENDING, 0);
				if (!err)
					err = e4df_runs_push(&b->pending, at,
							     stop - at);
			}
			at = stop;
		}
	}
	return err;
}

/* The file's layout in a place, extent by extent. */
static struct e4df_extent *lay_out(const struct e4df_extent *v, __u32 count,
				   const struct place *place, __u32 *ret_count)
{
	struct e4df_extent *out;
	__u32 n = 0, piece = 0;
	blk64_t used = 0; /* of the current piece */

	out = malloc(((size_t)count + place->count + 1) * sizeof(*out));
	for (__u32 i = 0; out && i < count; i++) {
		__u32 done = 0;

		while (done < v[i].len) {
			const struct e4df_range *r = &place->piece[piece];
			blk64_t len = v[i].len - done;

			if (len > r->len - used)
				len = r->len - used;
			out[n++] = (struct e4df_extent){
				.pblk = (r->start + used) & E4DF_PBLK_MAX,
				.flags = v[i].flags,
				.lblk = v[i].lblk + done,
				.len = (__u32)len,
			};
			done += (__u32)len;
			used += len;
			if (used == r->len) {
				piece++;
				used = 0;
			}
		}
	}
	*ret_count = n;
	return out;
}

/* One extent's new place: free, reserved, or where it is already. */
static errcode_t occupy(struct batcher *b, __u32 inode,
			const struct e4df_extent *e)
{
	blk64_t at = e->pblk, end = at + e->len;
	errcode_t err = 0;

	while (at < end && !err) {
		const struct e4df_span *n = space_owner(&b->space, at);
		struct e4df_extent part = {
			.pblk = at & E4DF_PBLK_MAX,
			.lblk = e->lblk + (__u32)(at - e->pblk),
		};
		blk64_t stop = end;

		if (n && n->key + n->len < stop)
			stop = n->key + n->len;
		if (!n) {
			n = e4df_spans_ceil(&b->space.used, at);
			if (n && n->key < stop)
				stop = n->key;
			part.len = (__u32)(stop - at);
			err = batcher_take(b, inode, &part);
		} else if (n->owner == OWNER_RESERVED) {
			part.len = (__u32)(stop - at);
			err = batcher_occupy(b, inode, &part);
		} else if (n->owner != inode) {
			err = E4DF_ET_OVERFLOW;
		}
		at = stop;
	}
	return err;
}

/* Gives up what of the old layout is not in the new one. */
static errcode_t leave(struct batcher *b, __u32 inode,
		       const struct e4df_extent *old, __u32 old_count,
		       const struct e4df_extent *now)
{
	errcode_t err = 0;

	for (__u32 i = 0; i < old_count && !err; i++) {
		__u32 done = 0;

		while (done < old[i].len && !err) {
			struct e4df_extent part = {
				.pblk = (old[i].pblk + done) & E4DF_PBLK_MAX,
				.lblk = old[i].lblk + done,
				.len = old[i].len - done,
			};

			while (now->lblk + (blk64_t)now->len <= part.lblk)
				now++;
			if (now->lblk + (blk64_t)now->len - part.lblk <
			    part.len)
				part.len = now->lblk + now->len - part.lblk;
			if (now->pblk + (part.lblk - now->lblk) != part.pblk)
				err = batcher_vacate(b, inode, &part, 0);
			done += part.len;
		}
	}
	return err;
}

errcode_t window_settle(struct batcher *b, __u32 inode,
			const struct place *place)
{
	struct file *f = &b->files[inode];
	struct e4df_extent *now;
	__u32 count;
	errcode_t err = batcher_touch(b, inode);

	if (err)
		return err;
	now = lay_out(f->v, f->data, place, &count);
	if (!now)
		return ENOMEM;
	err = leave(b, inode, f->v, f->data, now);
	for (__u32 i = 0; i < count && !err; i++)
		err = occupy(b, inode, &now[i]);
	if (err)
		free(now);
	else
		batcher_replace(b, inode, now, count);
	return err;
}
