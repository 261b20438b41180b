/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "spans.h"

/*
 * What is larger than nearly all of the areas decides where the end is: each
 * such file needs one for itself, or the rest of one behind another.  The
 * blocks of all files, one behind the other, are no measure then.
 *
 *	areas	|.......|...............|.....|...............|.......|
 *	files	|sssssss|LLLLLLLLLLLLsss|sssss|LLLLLLLLLLL|
 *
 * So an end is tried out, by putting the largest file first, each into the
 * tightest rest of an area in front of it ("best fit decreasing").  That is
 * not always the best of all ways, which nobody can find in time, but where
 * most files are much smaller than the areas these fill all that is left.
 */
#define MOST_TRIED 65536 /* files; smaller ones fill what those leave */
#define STEPS	   5	 /* of what is large */
#define STEP_BITS  2	 /* from one of them to the next */

struct tight {
	const struct batcher *b;
	struct layout_keyed *files; /* (owned) the largest first; key = need */
	__u32 count;
	__u32 *huge; /* (owned) those that no area holds */
	__u32 huge_count;
	struct e4df_runs room; /* what these leave when they come first */
};

static int compare_size(const void *a, const void *b)
{
	return layout_compare(b, a);
}

/* room := room without the target's slots. */
static errcode_t subtract(struct e4df_runs *room, const struct target *t)
{
	struct e4df_runs used = E4DF_RUNS_INIT;
	errcode_t err = 0;

	for (size_t i = 0; i < t->count && !err; i++)
		err = e4df_runs_push(&used, t->v[i].start, t->v[i].len);
	e4df_runs_sort(&used);
	if (!err)
		err = e4df_runs_update(room, &used,
				       &(struct e4df_runs)E4DF_RUNS_INIT);
	e4df_runs_free(&used);
	return err;
}

static errcode_t find_room(struct tight *p)
{
	struct target t = { .v = NULL };
	errcode_t err = target_init(&t, p->b);

	if (!err)
		err = e4df_runs_copy(e4df_map_areas(p->b->map), &p->room);
	if (!err && p->huge_count)
		err = pack_files(&t, p->b, p->huge, p->huge_count, &p->room);
	if (!err)
		err = subtract(&p->room, &t);
	target_release(&t);
	return err;
}

static errcode_t init(struct tight *p, const __u32 *list, __u32 count)
{
	const struct batcher *b = p->b;
	errcode_t err;

	p->files = malloc(((size_t)count + 1) * sizeof(*p->files));
	p->huge = malloc(((size_t)count + 1) * sizeof(*p->huge));
	err = p->files && p->huge ? 0 : ENOMEM;
	for (__u32 i = 0; i < count && !err; i++) {
		__u32 tree;

		if (b->files[list[i]].ideal > 1) {
			p->huge[p->huge_count++] = list[i];
			continue;
		}
		err = pack_tree(b, list[i], &tree);
		p->files[p->count++] = (struct layout_keyed){
			b->files[list[i]].blocks + (blk64_t)tree,
			UINT32_MAX - i,
			list[i],
		};
	}
	if (p->count)
		qsort(p->files, p->count, sizeof(*p->files), compare_size);
	return err ? err : find_room(p);
}

static void release(struct tight *p)
{
	e4df_runs_free(&p->room);
	free(p->files);
	free(p->huge);
}

/* What is in front of the end, by length, as struct space has it. */
static errcode_t list_rests(const struct tight *p, blk64_t end,
			    struct e4df_spans *rests)
{
	errcode_t err = 0;

	for (size_t i = 0; i < p->room.count && !err; i++) {
		const struct e4df_range *r = &p->room.v[i];
		blk64_t len = r->len;

		if (r->start >= end)
			break;
		if (len > end - r->start)
			len = end - r->start;
		err = e4df_spans_insert(rests, len, r->start, 0, 0);
	}
	return err;
}

/*
 * Puts the first `count` into the rests, and into a target if there is one.
 * *ret is how many found one; without a target it ends with the first that
 * does not.
 */
static errcode_t put_large(const struct tight *p, __u32 count, blk64_t end,
			   struct target *t, __u32 *ret)
{
	struct e4df_spans rests = E4DF_SPANS_INIT;
	errcode_t err = list_rests(p, end, &rests);

	*ret = 0;
	for (__u32 i = 0; i < count && !err; i++) {
		const struct layout_keyed *f = &p->files[i];
		blk64_t start;
		int is_found;

		err = layout_take_hole(&rests, f->key, &start, &is_found);
		if (!is_found && !t)
			break;
		if (!is_found)
			continue;
		++*ret;
		if (!err && t)
			err = target_place(
				t, p->b, f->inode, start,
				(__u32)f->key - p->b->files[f->inode].blocks);
	}
	e4df_spans_free(&rests);
	return err;
}

static errcode_t has_end(const struct tight *p, blk64_t end, int *ret)
{
	__u32 count = p->count < MOST_TRIED ? p->count : MOST_TRIED, done;
	errcode_t err = put_large(p, count, end, NULL, &done);

	*ret = !err && done == count;
	return err;
}

/* From an end that may do to the nearest one that does; all of it if none. */
static errcode_t find_end(const struct tight *p, blk64_t *end)
{
	const struct e4df_range *last;
	blk64_t low = *end, high;
	int is_end;
	errcode_t err = has_end(p, low, &is_end);

	if (err || is_end || !p->room.count)
		return err;
	last = &p->room.v[p->room.count - 1];
	high = last->start + last->len;
	err = has_end(p, high, &is_end);
	if (err || !is_end)
		return err;
	while (low + 1 < high && !err) {
		blk64_t middle = low + (high - low) / 2;

		err = has_end(p, middle, &is_end);
		if (is_end)
			high = middle;
		else
			low = middle;
	}
	*end = high;
	return err;
}

errcode_t tight_end(const struct batcher *b, const __u32 *list, __u32 count,
		    blk64_t *end)
{
	struct tight p = { .b = b };
	errcode_t err = init(&p, list, count);

	if (!err)
		err = find_end(&p, end);
	release(&p);
	return err;
}

/* The largest first, and the others in their order. */
static errcode_t pack_large_first(const struct tight *p, struct target *t,
				  const __u32 *list, __u32 count, __u32 large,
				  blk64_t end)
{
	struct e4df_runs room = E4DF_RUNS_INIT;
	__u32 *rest = malloc(((size_t)count + 1) * sizeof(*rest)), n = 0, done;
	errcode_t err =
		rest ? e4df_runs_copy(e4df_map_areas(p->b->map), &room) :
		       ENOMEM;

	if (!err && large && p->huge_count)
		err = pack_files(t, p->b, p->huge, p->huge_count, &room);
	if (!err && large)
		err = put_large(p, large, end, t, &done);
	if (!err)
		err = subtract(&room, t);
	for (__u32 i = 0; i < count && !err; i++)
		if (!t->first[list[i]])
			rest[n++] = list[i];
	if (!err)
		err = pack_files(t, p->b, rest, n, &room);
	e4df_runs_free(&room);
	free(rest);
	return err;
}

/* How good is it?  Less is better: an end, or more if it leaves files out. */
static blk64_t rate(const struct target *t, blk64_t blocks)
{
	blk64_t end = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct slot *slot = &t->v[i];

		if (slot->start + slot->len > end)
			end = slot->start + slot->len;
		blocks -= slot->from == SLOT_TREE ? 0 : slot->len;
	}
	return blocks ? UINT64_MAX / 2 + blocks : end;
}

/* How many are larger than the step's share of the longest area. */
static __u32 count_large(const struct tight *p, unsigned int step)
{
	blk64_t longest = e4df_runs_longest(e4df_map_areas(p->b->map));
	blk64_t size = step < STEPS ? longest >> (1 + step * STEP_BITS) : 0;
	__u32 n = 0;

	while (n < p->count && p->files[n].key > size)
		n++;
	return n;
}

/*
 * Each file that is put by its size is one out of its order; so first none
 * are, and then more and more, until they all are in front of the end.
 */
static errcode_t try_steps(const struct tight *p, struct target *t,
			   const __u32 *list, __u32 count, blk64_t end)
{
	blk64_t best = UINT64_MAX, now, blocks = 0;
	__u32 large = 0, last = UINT32_MAX;
	errcode_t err = 0;

	for (__u32 i = 0; i < count; i++)
		blocks += p->b->files[list[i]].blocks;
	for (unsigned int step = 0; step <= STEPS && best > end && !err;
	     last = large, large = count_large(p, step++)) {
		struct target other = { .v = NULL };

		if (large == last)
			continue;
		err = target_init(&other, p->b);
		if (!err)
			err = pack_large_first(p, &other, list, count, large,
					       end);
		now = rate(&other, blocks);
		if (!err && now < best) {
			struct target worse = *t;

			best = now;
			*t = other;
			other = worse;
		}
		target_release(&other);
	}
	return err;
}

errcode_t tight_make(struct target *t, const struct batcher *b,
		     const __u32 *list, __u32 count, blk64_t end)
{
	struct tight p = { .b = b };
	errcode_t err = init(&p, list, count);

	if (!err)
		err = try_steps(&p, t, list, count, end);
	release(&p);
	return err;
}
