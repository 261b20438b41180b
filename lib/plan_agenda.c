/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

#include <errno.h>
#include <stdlib.h>

#define CHOICES	   65536 /* slots that are compared for a window */
#define LIST_SHARE 16	 /* of them, after which they are compared anew */

errcode_t agenda_init(struct agenda *a, const struct batcher *b,
		      const struct target *t)
{
	*a = (struct agenda){ .b = b, .target = t };
	a->todo = malloc((t->count + 1) * sizeof(*a->todo));
	a->choices = malloc((t->count < CHOICES ? t->count + 1 : CHOICES) *
			    sizeof(*a->choices));
	return a->todo && a->choices ? 0 : ENOMEM;
}

void agenda_release(struct agenda *a)
{
	free(a->choices);
	free(a->todo);
}

static int compare_slots(const void *a, const void *b)
{
	const struct slot *x = *(const struct slot *const *)a;
	const struct slot *y = *(const struct slot *const *)b;

	return (x->start > y->start) - (x->start < y->start);
}

void agenda_fill(struct agenda *a)
{
	const struct target *t = a->target;

	a->todo_count = 0;
	for (size_t i = 0; i < t->count; i++)
		if (!sweep_is_in_place(a->b, &t->v[i]) &&
		    (t->v[i].from != SLOT_TREE || !i ||
		     t->v[i - 1].inode != t->v[i].inode ||
		     sweep_is_in_place(a->b, &t->v[i - 1])))
			a->todo[a->todo_count++] = &t->v[i];
	if (a->todo_count)
		qsort(a->todo, a->todo_count, sizeof(*a->todo), compare_slots);
	a->next = a->choice = a->choice_count = 0;
}

/* Is the used range where the slot wants it? */
static int is_at_home(const struct batcher *b, const struct slot *slot,
		      const struct e4df_span *n)
{
	return slot->from != SLOT_TREE &&
	       dense_is_in_place(b, n, slot->inode, slot->from, slot->start);
}

/*
 * Blocks in a slot that must go elsewhere; what is given up does already.
 * Returns whether the slot is in place.  As all slots are asked again and
 * again, in the order of their places, this looks at the space, in which the
 * next ones are close, and not at their files.
 */
static int survey(const struct agenda *a, const struct slot *slot,
		  struct choice *c)
{
	const struct batcher *b = a->b;
	blk64_t at = slot->start, end = at + slot->len, home = 0;
	const struct e4df_span *n = space_next(&b->space, at);

	c->foreign = c->missing = 0;
	while (n && n->key < end) {
		blk64_t stop = n->key + n->len < end ? n->key + n->len : end;

		if (at < n->key)
			at = n->key;
		if (is_at_home(b, slot, n)) {
			home += stop - at;
		} else if (n->owner != OWNER_PENDING) {
			c->foreign += stop - at;
			c->missing += home_missing(b, a->target, n, at, stop);
		}
		n = e4df_spans_next(&b->space.used, n);
	}
	return slot->from == SLOT_TREE ? sweep_is_in_place(b, slot) :
					 home == slot->len;
}

/*
 * The smallest share of blocks that would move twice, then of foreign ones;
 * where there are none by inode, as neighbours share the blocks that are
 * changed with them; then by place.
 */
static int compare_choices(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;
	blk64_t p = x->missing * y->len, q = y->missing * x->len;

	if (p == q) {
		p = x->foreign * y->len;
		q = y->foreign * x->len;
	}
	if (p != q)
		return p < q ? -1 : 1;
	if (!x->foreign && x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return (x->todo > y->todo) - (x->todo < y->todo);
}

/* The next slots that are not in place, with what is in their way. */
static void list_choices(struct agenda *a)
{
	size_t n = 0;

	while (a->next < a->todo_count && !a->todo[a->next])
		a->next++;
	for (size_t i = a->next; i < a->todo_count && n < CHOICES; i++) {
		const struct slot *slot = a->todo[i];
		struct choice *c = &a->choices[n];

		if (!slot)
			continue;
		if (survey(a, slot, c)) {
			a->todo[i] = NULL;
			continue;
		}
		c->len = slot->len;
		c->todo = i;
		c->inode = slot->inode;
		n++;
	}
	if (n)
		qsort(a->choices, n, sizeof(*a->choices), compare_choices);
	a->choice_count = n;
	a->choice = 0;
}

/*
 * The list is made anew when a part of it is used, not for each window: so all
 * lists together grow with the slots.
 */
struct choice *agenda_next(struct agenda *a, int *may_list)
{
	for (;;) {
		while (a->choice < a->choice_count) {
			struct choice *c = &a->choices[a->choice];
			const struct slot *slot = a->todo[c->todo];

			if (*may_list &&
			    a->choice * LIST_SHARE > a->choice_count)
				break;
			if (slot && !survey(a, slot, c))
				return c;
			a->todo[c->todo] = NULL;
			a->choice++;
		}
		if (!*may_list)
			return NULL;
		*may_list = 0;
		list_choices(a);
	}
}
