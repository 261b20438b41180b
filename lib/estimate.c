/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "estimate.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "e4df_err.h"

#define TAG_BYTES 16 /* in the log, at most, for each metadata block */
#define TAG_SPARE 32 /* bytes of a descriptor that hold no tags */
#define LOG_BLOCKS \
	4	     /* of a transaction, besides: commit block and end,
			 * zeroed first, then the commit; an emptied log */
#define ENDS	   4 /* blocks: log and superblock, at either end */
#define QUOTA_READ 6 /* blocks that lead to an entry of a quota file */

#define SAMPLE_BYTES (64 << 20)
#define SAMPLE_NSEC  (250 * 1000 * 1000)
#define READ_BYTES   (1 << 20)

/* A set of numbers: collected, then counted without doubles. */
struct set {
	__u32 *v; /* (owned) */
	size_t count, alloc;
};

static errcode_t set_add(struct set *set, __u32 number)
{
	errcode_t err = e4df_grow(&set->v, &set->alloc, set->count + 1,
				  sizeof(*set->v));

	if (!err)
		set->v[set->count++] = number;
	return err;
}

static int compare_numbers(const void *a, const void *b)
{
	const __u32 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Leaves each number once. */
static size_t set_unite(struct set *set)
{
	size_t n = 0;

	if (set->count)
		qsort(set->v, set->count, sizeof(*set->v), compare_numbers);
	for (size_t i = 0; i < set->count; i++)
		if (!i || set->v[i] != set->v[n - 1])
			set->v[n++] = set->v[i];
	set->count = n;
	return n;
}

struct counter {
	const struct e4df_map *map;	  /* (borrowed) */
	const struct e4df_geometry *g;	  /* (borrowed from map) */
	struct set inodes, groups, descs; /* (owned) */
	struct e4df_runs space;		  /* (owned) for one list at a time */
	blk64_t mappings; /* of the batch, and attribute blocks */
	blk64_t xattrs;
};

static errcode_t add_ino(struct counter *c, ext2_ino_t ino)
{
	return set_add(&c->inodes, (ino - 1) / c->g->inodes_per_block);
}

/* Blocks of the inode tables, and those that map or hold attributes. */
static errcode_t count_changes(struct counter *c,
			       const struct e4df_batch *batch)
{
	errcode_t err = 0;

	c->inodes.count = 0;
	c->mappings = c->xattrs = 0;
	for (size_t i = 0; i < batch->change_count && !err; i++) {
		const struct e4df_change *change = &batch->changes[i];
		const struct e4df_inode *inode =
			e4df_map_inode(c->map, change->inode);
		const ext2_ino_t *owner;
		__u32 count;

		if (inode->kind != E4DF_XATTR) {
			c->mappings += change->tree;
			err = add_ino(c, inode->ino);
			continue;
		}
		c->mappings++;
		c->xattrs++;
		owner = e4df_map_owners(c->map, change->inode, &count);
		for (__u32 k = 0; k < count && !err; k++)
			err = add_ino(c, owner[k]);
	}
	return err;
}

/* The groups of these ranges. */
static errcode_t add_groups(struct counter *c, const struct e4df_runs *runs)
{
	errcode_t err = 0;

	for (size_t i = 0; i < runs->count && !err; i++) {
		blk64_t start = runs->v[i].start - c->g->first_block;
		blk64_t end = start + runs->v[i].len - 1;

		for (blk64_t n = start / c->g->blocks_per_group;
		     n <= end / c->g->blocks_per_group && !err; n++)
			if (!c->groups.count ||
			    c->groups.v[c->groups.count - 1] != n)
				err = set_add(&c->groups, (__u32)n);
	}
	return err;
}

static errcode_t add_taken(struct counter *c, const struct e4df_batch *batch)
{
	errcode_t err = e4df_batch_taken(batch, c->g->cluster_bits, &c->space);

	return err ? err : add_groups(c, &c->space);
}

static errcode_t add_released(struct counter *c, const struct e4df_batch *batch)
{
	errcode_t err =
		e4df_batch_released(batch, c->g->cluster_bits, &c->space);

	return err ? err : add_groups(c, &c->space);
}

/* Bitmaps and descriptors of the groups that were added, which are forgotten */
static errcode_t count_groups(struct counter *c, blk64_t *ret)
{
	size_t bitmaps = set_unite(&c->groups);
	errcode_t err = 0;

	c->descs.count = 0;
	for (size_t i = 0; i < bitmaps && !err; i++)
		err = set_add(&c->descs,
			      c->groups.v[i] / c->g->descs_per_block);
	*ret = bitmaps + set_unite(&c->descs);
	c->groups.count = 0;
	return err;
}

/*
 * Metadata blocks that a transaction logs, and later writes in place; the new
 * ones are only written in place.
 */
static errcode_t count_journaled(struct counter *c,
				 const struct e4df_batch *batch, blk64_t *meta,
				 blk64_t *written)
{
	blk64_t tags = (c->g->block_size - TAG_SPARE) / TAG_BYTES, groups = 0;
	blk64_t logged = *meta - c->mappings;
	errcode_t err = add_taken(c, batch);

	if (!err)
		err = add_released(c, batch);
	if (!err)
		err = count_groups(c, &groups);
	logged += groups + 1; /* the superblock */
	*meta = logged + c->mappings;
	*written += *meta + logged + (logged + tags - 1) / tags + LOG_BLOCKS;
	return err;
}

/* The same blocks in place, the groups' once when marked and once when freed */
static errcode_t count_ordered(struct counter *c,
			       const struct e4df_batch *batch, blk64_t *meta,
			       blk64_t *written)
{
	blk64_t marked = 0, freed = 0;
	errcode_t err = add_taken(c, batch);

	if (!err)
		err = count_groups(c, &marked);
	if (!err)
		err = add_released(c, batch);
	if (!err)
		err = count_groups(c, &freed);
	*meta += marked + freed;
	*written += *meta;
	return err;
}

static errcode_t count_batch(struct counter *c, const struct e4df_batch *batch,
			     unsigned int flags, blk64_t *read,
			     blk64_t *written)
{
	blk64_t quota = batch->change_count * c->g->quota_files, meta;
	errcode_t err = count_changes(c, batch);

	if (err)
		return err;
	*read += quota * QUOTA_READ;
	*written += batch->copy_blocks;
	if (quota > c->g->quota_blocks)
		quota = c->g->quota_blocks;
	meta = set_unite(&c->inodes) + c->mappings + quota;
	if (flags & E4DF_POLICY_ORDERED)
		err = count_ordered(c, batch, &meta, written);
	else
		err = count_journaled(c, batch, &meta, written);
	/* read to be changed; but mapping blocks are made */
	*read += meta - c->mappings + c->xattrs;
	return err;
}

/* Blocks of data that are read, gaps included. */
static errcode_t count_data(const struct e4df_plan *plan,
			    const struct e4df_load_limits *limits, blk64_t *ret)
{
	struct e4df_loader loader = {
		.limits = *limits,
		.batches = e4df_plan_batches(plan),
		.count = e4df_plan_count(plan),
	};
	struct e4df_load load = { .pieces = NULL };
	errcode_t err;

	do {
		err = e4df_loader_next(&loader, &load);
		for (size_t i = 0; i < load.read_count && !err; i++)
			*ret += load.reads[i].len;
	} while (load.count && !err);
	e4df_load_free(&load);
	e4df_loader_release(&loader);
	return err;
}

errcode_t e4df_estimate_bytes(const struct e4df_map *map,
			      const struct e4df_plan *plan, unsigned int flags,
			      const struct e4df_load_limits *limits,
			      struct e4df_estimate *ret)
{
	struct counter c = { .map = map, .g = e4df_map_geometry(map) };
	blk64_t read = 0, written = 0;
	errcode_t err = count_data(plan, limits, &read);

	for (size_t i = 0; i < e4df_plan_count(plan) && !err; i++)
		err = count_batch(&c, e4df_plan_batch(plan, i), flags, &read,
				  &written);
	if (e4df_plan_count(plan))
		written += ENDS;
	ret->bytes_read = read * c.g->block_size;
	ret->bytes_written = written * c.g->block_size;
	free(c.inodes.v);
	free(c.groups.v);
	free(c.descs.v);
	e4df_runs_free(&c.space);
	return err;
}

struct sample {
	struct e4df_volume *vol; /* (borrowed) */
	char *buf;		 /* (owned) of READ_BYTES */
	unsigned int block_size;
	struct timespec start;
	uint64_t nsec, bytes;
	int is_over;
};

static void look_at_clock(struct sample *s)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	s->nsec = (uint64_t)(now.tv_sec - s->start.tv_sec) * 1000000000 +
		  (uint64_t)now.tv_nsec - (uint64_t)s->start.tv_nsec;
	if (s->nsec >= SAMPLE_NSEC || s->bytes >= SAMPLE_BYTES)
		s->is_over = 1;
}

/* What cannot be read ends the sample; the run itself will tell. */
static errcode_t read_move(struct sample *s, const struct e4df_move *move)
{
	struct e4df_gate *gate = e4df_volume_gate(s->vol);
	__u32 most = READ_BYTES / s->block_size, done = 0;
	blk64_t bad;
	errcode_t err = 0;

	while (done < move->len && !s->is_over && !err) {
		__u32 len = move->len - done;

		if (len > most)
			len = most;
		err = e4df_event_check(e4df_volume_sink(s->vol));
		if (!err && e4df_gate_read_data(gate, move->from + done, len,
						s->buf, &bad))
			s->is_over = 1;
		else
			s->bytes += (uint64_t)len * s->block_size;
		done += len;
		look_at_clock(s);
	}
	return err;
}

static errcode_t read_batch(struct sample *s, const struct e4df_batch *batch)
{
	size_t count = 0;
	struct e4df_move *v = NULL;
	errcode_t err = e4df_batch_reads(batch, &v, &count);

	for (size_t i = 0; i < count && !err; i++)
		e4df_gate_prefetch(e4df_volume_gate(s->vol), v[i].from,
				   v[i].len);
	for (size_t i = 0; i < count && !s->is_over && !err; i++)
		err = read_move(s, &v[i]);
	free(v);
	return err;
}

errcode_t e4df_estimate_rate(struct e4df_volume *vol,
			     const struct e4df_plan *plan, uint64_t *rate,
			     uint64_t *bytes)
{
	struct sample s = {
		.vol = vol,
		.block_size = e4df_volume_fs(vol)->blocksize,
	};
	errcode_t err;

	s.buf = malloc(READ_BYTES);
	err = s.buf ? 0 : ENOMEM;
	clock_gettime(CLOCK_MONOTONIC, &s.start);
	for (size_t i = 0; i < e4df_plan_count(plan) && !s.is_over && !err; i++)
		err = read_batch(&s, e4df_plan_batch(plan, i));
	free(s.buf);
	*bytes = s.bytes;
	*rate = s.nsec ? (uint64_t)((double)s.bytes * 1e9 / (double)s.nsec) : 0;
	return err;
}
