/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "mapping.h"

#define LOOK_AHEAD  4096      /* files that may take the rest of a range */
#define SMALL_BYTES (1 << 20) /* of the rest of one: worth a search */

errcode_t target_init(struct target *t, const struct batcher *b)
{
	*t = (struct target){ .v = NULL };
	t->first =
		calloc((size_t)e4df_map_count(b->map) + 1, sizeof(*t->first));
	return t->first ? 0 : ENOMEM;
}

void target_release(struct target *t)
{
	free(t->v);
	free(t->first);
}

errcode_t target_add(struct target *t, __u32 inode, __u32 from, blk64_t start,
		     __u32 len)
{
	errcode_t err =
		e4df_grow(&t->v, &t->alloc, t->count + 1, sizeof(*t->v));

	if (err)
		return err;
	t->v[t->count++] = (struct slot){
		.start = start,
		.len = len,
		.inode = inode,
		.from = from,
	};
	if (!t->first[inode])
		t->first[inode] = (__u32)t->count;
	return 0;
}

static int compare_slots(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return (x->from > y->from) - (x->from < y->from);
}

void target_sort(struct target *t)
{
	if (t->count)
		qsort(t->v, t->count, sizeof(*t->v), compare_slots);
	for (size_t i = t->count; i; i--)
		t->first[t->v[i - 1].inode] = (__u32)i;
}

errcode_t target_place(struct target *t, const struct batcher *b, __u32 inode,
		       blk64_t start, __u32 tree)
{
	__u32 blocks = b->files[inode].blocks;
	__u32 front = layout_is_inline(b) ? tree : 0;
	errcode_t err = target_add(t, inode, 0, start + front, blocks);

	if (!err && tree)
		err = target_add(t, inode, SLOT_TREE,
				 front ? start : start + blocks, tree);
	return err;
}

static int is_within(const struct target *t, size_t i, __u32 inode,
		     blk64_t dense)
{
	return i < t->count && t->v[i].inode == inode && t->v[i].from <= dense;
}

const struct slot *target_find(const struct target *t, __u32 inode,
			       blk64_t dense)
{
	size_t lo = t->first[inode], hi, step = 1;
	const struct slot *s;

	if (!lo--)
		return NULL;
	/* the last slot that begins there or before: in [lo, hi) */
	while (is_within(t, lo + step, inode, dense))
		lo += step, step *= 2;
	hi = lo + step;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (is_within(t, mid, inode, dense))
			lo = mid;
		else
			hi = mid;
	}
	s = &t->v[lo];
	if (dense == SLOT_TREE)
		return s->from == SLOT_TREE ? s : NULL;
	return dense - s->from < s->len ? s : NULL;
}

errcode_t pack_tree(const struct batcher *b, __u32 inode, __u32 *ret)
{
	const struct file *f = &b->files[inode];
	const struct e4df_extent *v = batcher_layout(b, inode);
	struct e4df_extent *one;
	blk64_t at = 1; /* any place will do */
	struct layout layout;
	__u32 n = 0;
	errcode_t err;

	if (mapping_format(b, inode) == E4DF_BLOCK_MAP) {
		*ret = f->map_blocks;
		return 0;
	}
	one = malloc(((size_t)f->data + 1) * sizeof(*one));
	if (!one)
		return ENOMEM;
	for (__u32 i = 0; i < f->data; i++) {
		struct e4df_extent *last = n ? &one[n - 1] : NULL;

		if (last && last->flags == v[i].flags &&
		    last->lblk + (blk64_t)last->len == v[i].lblk) {
			last->len += v[i].len;
		} else {
			one[n] = v[i];
			one[n++].pblk = at & E4DF_PBLK_MAX;
		}
		at += v[i].len;
	}
	err = mapping_layout(&layout, b, inode, one, n);
	if (!err)
		*ret = e4df_mapping_blocks(E4DF_EXTENTS, layout.v, layout.count,
					   b->geometry->block_size);
	free(layout.own);
	free(one);
	return err;
}

/* Packing: the rest of a range, and the ranges behind it. */
struct packer {
	struct target *target;
	const struct batcher *b;
	const struct e4df_runs *ranges;
	const __u32 *files;
	__u32 *next; /* (owned) of each of files: itself until it has a
		      * place, then one behind it, none of them without */
	__u32 *tree; /* (owned) of each of files */
	__u32 count;
	size_t range; /* the current one */
	blk64_t at;   /* in it */
};

static blk64_t need_of(const struct packer *p, __u32 i)
{
	return p->b->files[p->files[i]].blocks + (blk64_t)p->tree[i];
}

static blk64_t rest_of(const struct packer *p)
{
	const struct e4df_range *r = &p->ranges->v[p->range];

	return p->range < p->ranges->count ? r->start + r->len - p->at : 0;
}

/* Behind the last one there is no other, and no rest. */
static void next_range(struct packer *p)
{
	if (p->range < p->ranges->count && ++p->range < p->ranges->count)
		p->at = p->ranges->v[p->range].start;
}

/* The first from i on that has no place yet; count if all have. */
static __u32 find_next(struct packer *p, __u32 i)
{
	while (p->next[i] != i) {
		p->next[i] = p->next[p->next[i]]; /* shorter next time */
		i = p->next[i];
	}
	return i;
}

static errcode_t put(struct packer *p, __u32 i)
{
	errcode_t err =
		target_place(p->target, p->b, p->files[i], p->at, p->tree[i]);

	p->at += need_of(p, i);
	p->next[i] = i + 1;
	return err;
}

/* May the file fill the rest of a range? */
static int is_filler(const struct packer *p, __u32 i)
{
	return need_of(p, i) <= rest_of(p) &&
	       p->b->files[p->files[i]].ideal == 1;
}

/*
 * The files that follow, in their order, as if those that are too large were
 * not there: those come first in the next range.
 */
static errcode_t fill_in_order(struct packer *p, __u32 from)
{
	blk64_t small = SMALL_BYTES / p->b->geometry->block_size >> p->b->bits;
	__u32 missed = 0;
	errcode_t err = 0;

	for (__u32 i = find_next(p, from);
	     i < p->count && rest_of(p) && missed < LOOK_AHEAD && !err;
	     i = find_next(p, i + 1)) {
		if (is_filler(p, i))
			err = put(p, i);
		else if (rest_of(p) <= small)
			break;
		else
			missed++;
	}
	return err;
}

/* The largest that fits of those that follow, until none does. */
static errcode_t fill_tightly(struct packer *p, __u32 from)
{
	errcode_t err = 0;

	while (rest_of(p) && !err) {
		blk64_t best = 0;
		__u32 pick = p->count, i = find_next(p, from);

		for (__u32 n = 0; i < p->count && n < LOOK_AHEAD; n++) {
			if (is_filler(p, i) && need_of(p, i) > best) {
				best = need_of(p, i);
				pick = i;
			}
			if (best == rest_of(p))
				break;
			i = find_next(p, i + 1);
		}
		if (pick == p->count)
			break;
		err = put(p, pick);
	}
	return err;
}

/*
 * The rest of a range.  Each file out of its order is a jump there and back;
 * so only for what is left where the next one does not fit, a few are.
 */
static errcode_t fill_rest(struct packer *p, __u32 from)
{
	errcode_t err = fill_in_order(p, from);

	return err ? err : fill_tightly(p, from);
}

/* The runs that a file has that begins in the current range. */
static __u32 count_runs(const struct packer *p, blk64_t need)
{
	blk64_t rest = rest_of(p);
	__u32 runs = 1;

	for (size_t r = p->range + 1; rest < need && r < p->ranges->count; r++)
		rest += p->ranges->v[r].len, runs++;
	return rest < need ? UINT32_MAX : runs;
}

/* Leaves room for its mapping blocks here, if there is any; else *ret stays. */
static void skip_tree(struct packer *p, __u32 i, blk64_t *ret)
{
	if (!p->tree[i] || rest_of(p) < p->tree[i])
		return;
	*ret = p->at;
	p->at += p->tree[i];
}

/* A file that no area holds: where it begins with the fewest runs. */
static errcode_t put_large(struct packer *p, __u32 i)
{
	__u32 inode = p->files[i], blocks = p->b->files[inode].blocks;
	__u32 ideal = p->b->files[inode].ideal, from = 0;
	int is_inline = layout_is_inline(p->b);
	blk64_t tree = UINT64_MAX;
	struct packer try = *p;
	errcode_t err = 0;

	while (try.range < p->ranges->count &&
	       count_runs(&try, need_of(p, i)) > ideal)
		next_range(&try);
	if (try.range < p->ranges->count)
		while (p->range < try.range && !err) {
			err = fill_rest(p, i + 1);
			next_range(p);
		}
	if (is_inline)
		skip_tree(p, i, &tree);
	if (is_inline && !rest_of(p))
		next_range(p);
	while (from < blocks && rest_of(p) && !err) {
		blk64_t len = rest_of(p);

		if (len > blocks - from)
			len = blocks - from;
		err = target_add(p->target, inode, from, p->at, (__u32)len);
		from += (__u32)len;
		p->at += len;
		if (!rest_of(p))
			next_range(p);
	}
	if (!is_inline)
		skip_tree(p, i, &tree);
	if (!err && tree != UINT64_MAX)
		err = target_add(p->target, inode, SLOT_TREE, tree, p->tree[i]);
	p->next[i] = i + 1;
	return err;
}

static errcode_t pack_one(struct packer *p, __u32 i)
{
	blk64_t need = need_of(p, i);
	struct packer try = *p;
	errcode_t err = 0;

	if (p->b->files[p->files[i]].ideal > 1)
		return put_large(p, i);
	while (try.range < p->ranges->count && rest_of(&try) < need)
		next_range(&try);
	if (try.range == p->ranges->count)
		return 0; /* it keeps its place, if it can */
	while (p->range < try.range && !err) {
		err = fill_rest(p, i + 1);
		next_range(p);
	}
	return err ? err : put(p, i);
}

errcode_t pack_files(struct target *t, const struct batcher *b,
		     const __u32 *files, __u32 count,
		     const struct e4df_runs *ranges)
{
	struct packer p = {
		.target = t,
		.b = b,
		.ranges = ranges,
		.files = files,
		.count = count,
	};
	errcode_t err = 0;

	p.next = malloc(((size_t)count + 1) * sizeof(*p.next));
	p.tree = calloc((size_t)count + 1, sizeof(*p.tree));
	if (!p.next || !p.tree)
		err = ENOMEM;
	for (__u32 i = 0; i < count && !err; i++)
		err = pack_tree(b, files[i], &p.tree[i]);
	if (ranges->count)
		p.at = ranges->v[0].start;
	for (__u32 i = 0; i <= count && !err; i++)
		p.next[i] = i;
	for (__u32 i = 0; i < count && !err; i++)
		if (p.next[i] == i)
			err = pack_one(&p, i);
	free(p.next);
	free(p.tree);
	return err;
}
