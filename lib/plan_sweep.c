/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

#include <stdlib.h>

#include "e4df_err.h"

/*
 * A window is slots that are not in place yet.  Its ranges are reserved, what
 * else is there moves out, and with the next batch the files move in.  That
 * batch also clears the next window.
 */
struct sweep {
	struct batcher *b;
	const struct target *target;
	struct agenda agenda;
	size_t current; /* the slot that is begun, and how much of it */
	__u32 skip;
	struct slot *window;
	size_t window_count, window_alloc;
	int must_close; /* before what is reserved can be written */
	int is_stuck, is_over;
	int is_patient; /* SWEEP_PATIENT */
};

static int is_tree_in_place(const struct batcher *b, const struct slot *slot)
{
	const struct file *f = &b->files[slot->inode];
	const struct e4df_extent *v = batcher_layout(b, slot->inode);

	if (f->dirty)
		return 0; /* placed anew in this batch */
	for (__u32 i = 0; i < f->tree; i++)
		if (v[f->data + i].pblk < slot->start ||
		    v[f->data + i].pblk - slot->start >= slot->len)
			return 0;
	return 1;
}

int sweep_is_in_place(const struct batcher *b, const struct slot *slot)
{
	const struct e4df_extent *e;
	blk64_t at, end = (blk64_t)slot->from + slot->len;

	if (slot->from == SLOT_TREE)
		return is_tree_in_place(b, slot);
	/* both as if their file began there */
	for (e = dense_find(b, slot->inode, slot->from, &at);
	     e->pblk + slot->from == slot->start + at; e++) {
		at += e->len;
		if (at >= end)
			return 1;
	}
	return 0;
}

int sweep_is_over(const struct batcher *b, const struct target *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->v[i].from != SLOT_TREE &&
		    !sweep_is_in_place(b, &t->v[i]))
			return 0;
	return 1;
}

static errcode_t close_batch(struct sweep *s)
{
	s->must_close = 0;
	return batcher_close(s->b);
}

/* Is there room in this batch, or in a new one? */
static errcode_t make_room(struct sweep *s, __u32 inode, blk64_t copy,
			   blk64_t need, __u32 pieces, int *has_room)
{
	errcode_t err = 0;

	*has_room = batcher_has_room(s->b, inode, copy, need, pieces);
	if (!*has_room) {
		err = close_batch(s);
		*has_room = !err &&
			    batcher_has_room(s->b, inode, copy, need, pieces);
	}
	return err;
}

static errcode_t add_part(struct sweep *s, const struct slot *slot, __u32 skip,
			  __u32 len)
{
	struct slot part = *slot;
	errcode_t err = e4df_grow(&s->window, &s->window_alloc,
				  s->window_count + 1, sizeof(*s->window));

	if (err)
		return err;
	part.start += skip;
	part.len = len;
	if (part.from != SLOT_TREE)
		part.from += skip;
	s->window[s->window_count++] = part;
	return 0;
}

/* As much of a slot as there is room for; mapping blocks with the data. */
static errcode_t add_slot(struct sweep *s, size_t i, blk64_t most, blk64_t *sum)
{
	const struct slot *slot = s->agenda.todo[i];
	const struct slot *tree =
		target_find(s->target, slot->inode, SLOT_TREE);
	blk64_t len = slot->len - s->skip;
	errcode_t err;

	if (len > most - *sum && slot->from != SLOT_TREE)
		len = most - *sum;
	err = add_part(s, slot, s->skip, (__u32)len);
	*sum += len;
	s->skip += (__u32)len;
	if (s->skip < slot->len) {
		s->current = i;
		return err;
	}
	s->skip = 0;
	s->agenda.todo[i] = NULL;
	if (!err && tree && slot != tree && slot + 1 == tree)
		err = add_part(s, tree, 0, tree->len);
	return err;
}

/*
 * The slots with the least in their way.  The more a batch moves, the fewer
 * inodes are changed again by the next one; but a window of many slots from
 * which something would move twice writes more.  What moves out and what moves
 * in share a batch, which is full with three quarters of it for the latter.
 */
static errcode_t choose_window(struct sweep *s)
{
	struct batcher *b = s->b;
	blk64_t most = b->policy->batch_blocks - b->policy->batch_blocks / 4;
	blk64_t foreign = 0, dirty = 0, sum = 0, whole = most;
	blk64_t room = b->space.free_blocks > b->promised ?
			       b->space.free_blocks - b->promised :
			       0;
	int may_list = 1;
	struct choice *c;
	errcode_t err = 0;

	if (most > room - room / 4)
		most = room - room / 4; /* mapping blocks need some, too */
	room -= room / 3; /* what is in the way must go elsewhere first */
	if (room > most)
		room = most;
	s->window_count = 0;
	if (room && s->skip)
		err = add_slot(s, s->current, room, &sum);
	while (room && !err && !s->skip &&
	       (c = agenda_next(&s->agenda, &may_list))) {
		blk64_t limit = c->foreign > room ? room : most;

		if (!sum && c->foreign <= room)
			limit = whole;

		if (sum &&
		    (sum + c->len > limit || foreign + c->foreign > room))
			break;
		if (c->missing &&
		    (sum - dirty >= (s->is_patient ? 1 : room) || dirty > room))
			break;
		foreign += c->foreign;
		if (c->missing)
			dirty += c->len;
		s->agenda.choice++;
		err = add_slot(s, c->todo, limit, &sum);
	}
	s->is_over = !s->window_count;
	return err;
}

/*
 * Free blocks of the window become reserved, but for what trees may need; they
 * remain open to what has its own place there.
 */
static errcode_t reserve(struct sweep *s, blk64_t at, blk64_t end)
{
	struct batcher *b = s->b;
	errcode_t err = 0;

	while (at < end && !err && !s->is_stuck) {
		const struct e4df_span *n = space_owner(&b->space, at);
		blk64_t stop = end;

		if (n) {
			at = n->key + n->len;
			continue;
		}
		n = e4df_spans_ceil(&b->space.used, at);
		if (n && n->key < stop)
			stop = n->key;
		if (b->space.free_blocks < b->promised + (stop - at)) {
			err = close_batch(s);
			/* its mapping blocks may be here now */
			if (space_owner(&b->space, at))
				continue;
			n = e4df_spans_ceil(&b->space.used, at);
			if (n && n->key < stop)
				stop = n->key;
			s->is_stuck = b->space.free_blocks < stop - at;
		}
		if (!err && !s->is_stuck && at < stop)
			err = space_take(&b->space, at, stop - at,
					 OWNER_RESERVED, LBLK_OPEN);
		at = stop;
	}
	return err;
}

/* Where a whole file can go that is in the way; its slot if that is free. */
static int find_home(const struct sweep *s, __u32 inode, struct place *place)
{
	const struct space *space = &s->b->space;
	__u32 blocks = s->b->files[inode].blocks;
	const struct slot *slot = target_find(s->target, inode, 0);

	place->count = 1;
	place->piece[0].len = blocks;
	if (!slot)
		return space_find_near(space, choose_goal(s->b, inode), blocks,
				       &place->piece[0].start);
	place->piece[0].start = slot->start;
	if (slot->len == blocks &&
	    home_part(s->b, slot->start, blocks) == blocks)
		return 1;
	return space_find_last(space, blocks, &place->piece[0].start);
}

/* A contiguous file goes as a whole, if there is a free run for it. */
static errcode_t move_whole(struct sweep *s, __u32 inode, int *is_moved)
{
	struct batcher *b = s->b;
	const struct file *f = &b->files[inode];
	struct place place = { .count = 0 };
	int has_room;
	errcode_t err;

	*is_moved = 0;
	if (f->ideal != 1 || !batcher_is_ideal(b, inode))
		return 0;
	err = make_room(s, inode, f->blocks, f->blocks, 1, &has_room);
	if (err || !has_room || !find_home(s, inode, &place))
		return err;
	*is_moved = 1;
	return window_settle(b, inode, &place);
}

/* Gets a piece of a file out of the window; *len is how much of it. */
static errcode_t move_out(struct sweep *s, __u32 inode, __u32 lblk, blk64_t at,
			  blk64_t dense, blk64_t *len)
{
	struct batcher *b = s->b;
	const struct slot *slot = target_find(s->target, inode, dense);
	struct e4df_extent old = { .pblk = at & E4DF_PBLK_MAX, .lblk = lblk };
	blk64_t to = 0, part = 0;
	int has_room;
	errcode_t err = make_room(s, inode, *len, *len, 3, &has_room);

	if (err || !has_room) {
		s->is_stuck = !err;
		return err;
	}
	if (slot) {
		to = slot->start + (dense - slot->from);
		part = home_part(b, to, slot->from + slot->len - dense);
	}
	if (!part && !space_find_rear(&b->space, *len, &to, &part)) {
		s->is_stuck = 1;
		return 0;
	}
	if (part < *len)
		*len = part;
	old.len = (__u32)*len;
	if (space_owner(&b->space, to))
		err = space_give(&b->space, to, *len);
	return err ? err : batcher_move(b, inode, &old, to, 1);
}

static errcode_t move_tree(struct sweep *s, __u32 inode, blk64_t at,
			   blk64_t *next)
{
	const struct slot *slot = target_find(s->target, inode, SLOT_TREE);
	const struct e4df_span *n;
	int has_room;
	errcode_t err;

	*next = at + 1;
	if (slot && at >= slot->start && at - slot->start < slot->len)
		return 0; /* in place */
	*next = at;	  /* see again: closing may have moved it */
	err = make_room(s, inode, 0, 0, 0, &has_room);
	n = space_owner(&s->b->space, at);
	if (err || !n || n->owner != inode || n->lblk != LBLK_TREE)
		return err;
	s->is_stuck = !has_room;
	return has_room ? batcher_displace_tree(s->b, inode, at) : 0;
}

/* Gets one used range, or the part of it in the window, out of the way. */
static errcode_t evacuate(struct sweep *s, const struct e4df_span *n,
			  blk64_t at, blk64_t end, blk64_t *next)
{
	blk64_t stop = n->key + n->len < end ? n->key + n->len : end;
	__u32 owner = n->owner, lblk = n->lblk + (__u32)(at - n->key);
	const struct slot *slot;
	blk64_t dense, len = stop - at;
	int is_moved;
	errcode_t err;

	*next = stop;
	if (owner == OWNER_RESERVED)
		return 0;
	if (owner == OWNER_PENDING)
		return space_change(&s->b->space, at, len, OWNER_RESERVED, 0);
	if (owner >= OWNER_FILES) {
		s->is_stuck = 1;
		return 0;
	}
	if (n->lblk == LBLK_TREE)
		return move_tree(s, owner, at, next);
	dense = dense_of(s->b, owner, lblk);
	slot = target_find(s->target, owner, dense);
	if (slot && len > slot->from + slot->len - dense)
		len = slot->from + slot->len - dense;
	if (slot && slot->start + (dense - slot->from) == at) {
		*next = at + len;
		return 0; /* in place */
	}
	*next = at;
	err = move_whole(s, owner, &is_moved);
	if (err || is_moved)
		return err;
	err = move_out(s, owner, lblk, at, dense, &len);
	*next = at + len;
	return err;
}

static errcode_t clear_window(struct sweep *s)
{
	errcode_t err = 0;

	for (size_t i = 0; i < s->window_count && !err && !s->is_stuck; i++)
		err = reserve(s, s->window[i].start,
			      s->window[i].start + s->window[i].len);
	for (size_t i = 0; i < s->window_count && !err; i++) {
		blk64_t at = s->window[i].start;
		blk64_t end = at + s->window[i].len;

		while (at < end && !err && !s->is_stuck) {
			const struct e4df_span *n =
				space_owner(&s->b->space, at);

			if (n) {
				err = evacuate(s, n, at, end, &at);
				s->must_close = 1; /* I5 */
			} else { /* given up, and a batch was closed since */
				err = reserve(s, at, end);
			}
		}
	}
	if (!err && s->must_close)
		err = close_batch(s);
	return err;
}

/* Is every slot of the file in the window as a whole? */
static int is_all_here(const struct sweep *s, size_t i)
{
	const struct slot *w = &s->window[i];

	return !w->from && w->len == s->b->files[w->inode].blocks;
}

static errcode_t settle_whole(struct sweep *s, const struct slot *w,
			      int *is_done)
{
	struct place place = { .count = 1 };
	int has_room;
	errcode_t err = make_room(s, w->inode, w->len, 0, 1, &has_room);

	*is_done = has_room;
	place.piece[0] = (struct e4df_range){ w->start, w->len };
	return err || !has_room ? err : window_settle(s->b, w->inode, &place);
}

/* Moves a part of a file into its part of the window, extent by extent. */
static errcode_t settle_part(struct sweep *s, const struct slot *w)
{
	struct batcher *b = s->b;
	__u32 done = 0;
	errcode_t err = 0;

	while (done < w->len && !err && !s->is_stuck) {
		blk64_t begin, to = w->start + done;
		const struct e4df_extent *e =
			dense_find(b, w->inode, w->from + done, &begin);
		__u32 skip = (__u32)(w->from + done - begin);
		struct e4df_extent old = {
			.pblk = (e->pblk + skip) & E4DF_PBLK_MAX,
			.lblk = e->lblk + skip,
			.len = e->len - skip,
		};
		int has_room;

		if (old.len > w->len - done)
			old.len = w->len - done;
		done += old.len;
		if (old.pblk == to)
			continue;
		err = make_room(s, w->inode, old.len, 0, 3, &has_room);
		s->is_stuck = !has_room;
		if (!err && has_room)
			err = batcher_move(b, w->inode, &old, to, 0);
	}
	return err;
}

/* The hole for its mapping blocks is free when the batch closes. */
static errcode_t settle_tree(struct sweep *s, const struct slot *w)
{
	struct space *space = &s->b->space;
	blk64_t at = w->start, end = at + w->len;
	int has_room;
	errcode_t err = 0;

	while (at < end && !err) {
		const struct e4df_span *n = space_owner(space, at);

		if (n && n->owner == OWNER_RESERVED)
			err = space_give(space, at, 1);
		at++;
	}
	if (err || is_tree_in_place(s->b, w))
		return err;
	err = make_room(s, w->inode, 0, 0, 0, &has_room);
	return err || !has_room ? err : batcher_rebuild_tree(s->b, w->inode);
}

static errcode_t fill_window(struct sweep *s)
{
	errcode_t err = 0;

	for (size_t i = 0; i < s->window_count && !err && !s->is_stuck; i++) {
		const struct slot *w = &s->window[i];
		int is_done = 0;

		if (w->from == SLOT_TREE) {
			err = settle_tree(s, w);
			continue;
		}
		if (is_all_here(s, i))
			err = settle_whole(s, w, &is_done);
		if (!err && !is_done)
			err = settle_part(s, w);
	}
	return err;
}

static errcode_t run_windows(struct sweep *s)
{
	const volatile sig_atomic_t *cancel = s->b->policy->cancel;
	errcode_t err = 0;

	while (!s->is_over && !err && !s->is_stuck) {
		if (cancel && *cancel)
			return E4DF_ET_CANCELLED;
		err = choose_window(s);
		if (!err && !s->is_stuck)
			err = clear_window(s);
		if (!err && !s->is_stuck)
			err = fill_window(s);
	}
	return err;
}

/*
 * A batch's mapping blocks get their places when it closes, one file after the
 * other, and one can come to where another one's were to be.  Those go around
 * again, as long as there are fewer each time.
 */
static errcode_t run_rounds(struct sweep *s, unsigned int flags)
{
	size_t before = SIZE_MAX;
	errcode_t err = 0;

	s->is_patient = (flags & SWEEP_PATIENT) != 0;
	do {
		agenda_fill(&s->agenda);
		if (!s->agenda.todo_count || s->agenda.todo_count >= before)
			break;
		before = s->agenda.todo_count;
		s->skip = 0;
		s->is_over = 0;
		err = run_windows(s);
		if (!err)
			err = batcher_close(s->b);
	} while (!err && !s->is_stuck && flags & SWEEP_TREES);
	return err;
}

errcode_t sweep_run(struct batcher *b, const struct target *t,
		    unsigned int flags, int *is_done)
{
	struct sweep s = { .b = b, .target = t };
	errcode_t err = agenda_init(&s.agenda, b, t);

	if (!err)
		err = run_rounds(&s, flags);
	if (!err)
		err = space_unreserve(&b->space); /* where it was stuck */
	*is_done = !err && !s.is_stuck && sweep_is_over(b, t);
	agenda_release(&s.agenda);
	free(s.window);
	return err;
}
