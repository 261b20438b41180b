/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"

/*
 * All extents, mapping blocks and metadata are put in the order of their
 * places, and must not overlap.  Of an extent no more than its number in the
 * map is kept for that, by regions of the device; within a region, which has
 * few blocks, the claims are sorted.
 */
#define REGIONS	    (1U << 16) /* at most, about */
#define REGION_BITS 12	       /* clusters in one, at least */
#define NOBODY	    UINT32_MAX /* the file system itself */

/* One owner's claim on a range of clusters. */
struct claim {
	blk64_t pblk;
	__u32 len;
	__u32 extent; /* number in the map, or NOBODY */
};

struct claims {
	const struct e4df_extent *extents; /* (borrowed) of the map */
	__u32 *order; /* (owned) numbers of extents, by region */
	__u32 *ends;  /* (owned) [k] = where region k ends in order */
	size_t regions;
	unsigned int shift;   /* a region is 2^shift clusters */
	unsigned char *joint; /* (owned) one bit for each extent that
			       * begins in the cluster where the one before
			       * ends; NULL without bigalloc */
	struct claim *v;      /* (owned) of one region */
	size_t count, alloc;
	struct claim last; /* the last one that was right */
};

/* Is the first cluster of e[1] the last of e[0], and rightly so? */
static int is_in_same_cluster(const struct scan *s, ext2_ino_t ino,
			      const struct e4df_extent *e)
{
	blk64_t last = e[0].pblk + e[0].len - 1;

	if (!s->bits || last >> s->bits != e[1].pblk >> s->bits)
		return 0;
	return ino == EXT2_BAD_INO ||
	       (e[0].lblk + (e[0].len - 1)) >> s->bits == e[1].lblk >> s->bits;
}

static int is_joint(const struct claims *c, __u32 extent)
{
	return c->joint && c->joint[extent / 8] & 1 << extent % 8;
}

/*
 * Several extents of a file may lie in one cluster, if they do so by the rule
 * (cluster.h); its mapping blocks have one each.  Bad blocks are where they
 * are.
 */
static void check_inode(struct scan *s, struct claims *c, __u32 index)
{
	const struct e4df_inode *inode = e4df_map_inode(s->map, index);
	const struct e4df_extent *e = e4df_map_extents(s->map, index);
	__u32 bad = inode->data;

	if (inode->ino != EXT2_BAD_INO)
		bad = e4df_cluster_find_bad(e, inode->data, s->bits);
	if (bad < inode->data)
		e4df_scan_damage(s, inode->ino, e[bad].pblk,
				 "logical block %u is not at its place in a "
				 "cluster",
				 e[bad].lblk);
	for (__u32 i = 1; c->joint && i < inode->data; i++) {
		__u32 extent = inode->first + i;

		if (is_in_same_cluster(s, inode->ino, &e[i - 1]))
			c->joint[extent / 8] |=
				(unsigned char)(1 << extent % 8);
	}
}

static size_t region_of(struct scan *s, const struct claims *c,
			const struct e4df_extent *e)
{
	return e->pblk >> s->bits >> c->shift;
}

/* Counting sort: afterwards each of `ends' is what its name says. */
static void sort_extents(struct scan *s, struct claims *c)
{
	__u32 sum = 0, count = e4df_map_count(s->map);

	for (__u32 i = 0; i < count; i++) {
		const struct e4df_inode *inode = e4df_map_inode(s->map, i);
		const struct e4df_extent *e = e4df_map_extents(s->map, i);

		for (__u32 k = 0; k < inode->data + inode->tree; k++)
			c->ends[region_of(s, c, &e[k])]++;
	}
	for (size_t r = 0; r < c->regions; r++) {
		__u32 n = c->ends[r];

		c->ends[r] = sum;
		sum += n;
	}
	for (__u32 i = 0; i < count; i++) {
		const struct e4df_inode *inode = e4df_map_inode(s->map, i);
		const struct e4df_extent *e = e4df_map_extents(s->map, i);

		for (__u32 k = 0; k < inode->data + inode->tree; k++)
			c->order[c->ends[region_of(s, c, &e[k])]++] =
				inode->first + k;
	}
}

static errcode_t list_extents(struct scan *s, struct claims *c)
{
	__u32 count = e4df_map_count(s->map);
	size_t extents = 0;

	for (__u32 i = 0; i < count; i++) {
		const struct e4df_inode *inode = e4df_map_inode(s->map, i);

		extents += inode->data + inode->tree;
	}
	c->extents = e4df_map_all_extents(s->map);
	c->shift = REGION_BITS;
	while (s->geometry.blocks >> s->bits >> c->shift > REGIONS)
		c->shift++;
	c->regions = (s->geometry.blocks >> s->bits >> c->shift) + 1;
	c->order = malloc((extents + 1) * sizeof(*c->order));
	c->ends = calloc(c->regions, sizeof(*c->ends));
	if (s->bits)
		c->joint = calloc(extents / 8 + 1, 1);
	if (!c->order || !c->ends || (s->bits && !c->joint))
		return ENOMEM;
	for (__u32 i = 0; s->bits && i < count; i++)
		check_inode(s, c, i);
	sort_extents(s, c);
	return 0;
}

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->pblk != y->pblk)
		return x->pblk < y->pblk ? -1 : 1;
	return (x->extent > y->extent) - (x->extent < y->extent);
}

/* The clusters from `first' to that of block `last', whichever they are. */
static errcode_t add_claim(struct scan *s, struct claims *c, __u32 extent,
			   blk64_t first, blk64_t last)
{
	blk64_t end = (last >> s->bits) + 1;
	errcode_t err;

	if (end <= first)
		return 0;
	err = e4df_grow(&c->v, &c->alloc, c->count + 1, sizeof(*c->v));
	if (!err)
		c->v[c->count++] = (struct claim){
			.pblk = first,
			.len = (__u32)(end - first),
			.extent = extent,
		};
	return err;
}

/* Many a region is in order already, and nothing is as fast as to see that. */
static void sort_claims(struct claims *c)
{
	for (size_t i = 1; i < c->count; i++)
		if (compare_claims(&c->v[i - 1], &c->v[i]) > 0) {
			qsort(c->v, c->count, sizeof(*c->v), compare_claims);
			return;
		}
}

/* *fixed is the first range of metadata that no region before had. */
static errcode_t list_region(struct scan *s, struct claims *c, size_t region,
			     size_t *fixed)
{
	blk64_t end = (blk64_t)(region + 1) << c->shift;
	errcode_t err = 0;

	c->count = 0;
	for (; *fixed < s->fixed.count && !err; ++*fixed) {
		const struct e4df_range *r = &s->fixed.v[*fixed];

		if (r->start >> s->bits >= end)
			break;
		err = add_claim(s, c, NOBODY, r->start >> s->bits,
				r->start + r->len - 1);
	}
	for (__u32 i = region ? c->ends[region - 1] : 0;
	     i < c->ends[region] && !err; i++) {
		const struct e4df_extent *e = &c->extents[c->order[i]];

		err = add_claim(s, c, c->order[i],
				(e->pblk >> s->bits) +
					(is_joint(c, c->order[i]) ? 1 : 0),
				e->pblk + e->len - 1);
	}
	if (!err)
		sort_claims(c);
	return err;
}

/* Only for a finding: it looks at all inodes. */
static ext2_ino_t claimant(struct scan *s, const struct claim *c)
{
	if (c->extent == NOBODY)
		return 0;
	for (__u32 i = 0; i < e4df_map_count(s->map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(s->map, i);

		if (c->extent >= inode->first &&
		    c->extent - inode->first < inode->data + inode->tree)
			return inode->ino;
	}
	return 0;
}

static void tell_overlap(struct scan *s, const struct claim *c,
			 const struct claim *last)
{
	char whose[32] = "metadata";
	ext2_ino_t other;

	if (s->damage >= SCAN_DAMAGE_TOLD) {
		s->damage++;
		return;
	}
	other = claimant(s, last);
	if (other)
		snprintf(whose, sizeof(whose), "inode %u", other);
	e4df_scan_damage(s, claimant(s, c), c->pblk << s->bits,
			 "block claimed twice, also by %s", whose);
}

static errcode_t check_region(struct scan *s, struct claims *c,
			      struct e4df_runs *used)
{
	errcode_t err = 0;

	for (size_t i = 0; i < c->count && !err; i++) {
		const struct claim *now = &c->v[i];

		if (now->pblk < c->last.pblk + c->last.len) {
			tell_overlap(s, now, &c->last);
			continue;
		}
		c->last = *now;
		err = e4df_runs_push(used, now->pblk, now->len);
	}
	return err;
}

errcode_t e4df_scan_claims(struct scan *s, struct e4df_runs *used)
{
	struct claims c = { .v = NULL };
	size_t fixed = 0;
	errcode_t err = list_extents(s, &c);

	for (size_t r = 0; r < c.regions && !err; r++) {
		if (!(r & 0xff))
			err = e4df_event_check(s->sink);
		if (!err)
			err = list_region(s, &c, r, &fixed);
		if (!err)
			err = check_region(s, &c, used);
	}
	free(c.order);
	free(c.ends);
	free(c.joint);
	free(c.v);
	return err;
}
