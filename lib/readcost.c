/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "readcost.h"

#include "tree.h"

#define NOWHERE UINT64_MAX /* no window, no logical block */

/* The mapping blocks of a file that are still to be read. */
struct nodes {
	const struct e4df_extent *v; /* (borrowed) parents first */
	__u32 count;
	/* Of an extent tree: what is left of each of its levels. */
	struct level {
		__u32 at, end;
	} level[E4DF_TREE_MAX_DEPTH];
	unsigned int levels;
	/* Of a block map: where the last one was met. */
	__u32 next;
	unsigned int depth; /* 1 to 3 mapping blocks lead there; 0: none yet */
	blk64_t leaf, mid;  /* first logical blocks of the lower two */
};

struct reader {
	/* Immutable. */
	const struct e4df_map *map;    /* (borrowed) */
	const struct e4df_geometry *g; /* (borrowed from map) */
	unsigned int window_bits;      /* a window is 2^n blocks */
	/* Mutable. */
	blk64_t at;	/* the block behind the last one that was read */
	blk64_t window; /* of the file, to which that belongs; or NOWHERE */
	struct e4df_readcost cost;
};

static void add(__u64 *sum, __u64 n)
{
	*sum = *sum > UINT64_MAX - n ? UINT64_MAX : *sum + n;
}

/* Neither distance nor `blocks` is above 2^48, so that nothing overflows. */
static __u64 seek_nsec(const struct reader *r, blk64_t pblk, blk64_t distance)
{
	__u64 block_nsec = (__u64)r->g->block_size * E4DF_READCOST_BYTE;
	__u64 nsec = E4DF_READCOST_SEEK + E4DF_READCOST_STROKE / 1000 *
						  distance / r->g->blocks *
						  1000;

	if (pblk > r->at && distance <= nsec / block_nsec)
		return distance * block_nsec;
	return nsec;
}

/* The heads go to a block, if they are not there. */
static void move_heads(struct reader *r, blk64_t pblk)
{
	blk64_t distance = pblk > r->at ? pblk - r->at : r->at - pblk;

	if (!distance)
		return;
	add(&r->cost.seeks, 1);
	add(&r->cost.distance, distance);
	add(&r->cost.nsec, seek_nsec(r, pblk, distance));
}

static void transfer(struct reader *r, blk64_t pblk, blk64_t len,
		     __u64 requests)
{
	__u64 block_nsec = (__u64)r->g->block_size * E4DF_READCOST_BYTE;

	move_heads(r, pblk);
	add(&r->cost.requests, requests);
	add(&r->cost.blocks, len);
	add(&r->cost.nsec, len * block_nsec);
	r->at = pblk + len;
}

/* What is read of a window behind it is another request. */
static void read_node(struct reader *r, const struct e4df_extent *node)
{
	transfer(r, node->pblk, 1, 1);
	r->window = NOWHERE;
}

/*
 * Blocks that are consecutive in the file and on the device.  If the first of
 * them is behind the last one that was read, and in the same window of the
 * file, it belongs to the same request, whatever hole lies between.
 */
static void read_data(struct reader *r, blk64_t lblk, blk64_t pblk, blk64_t len)
{
	blk64_t first = lblk >> r->window_bits;
	blk64_t last = (lblk + len - 1) >> r->window_bits;
	int is_same = r->window == first && r->at == pblk;

	transfer(r, pblk, len, last - first + !is_same);
	r->window = last;
}

/*
 * The levels of an extent tree follow each other in the list, from the root
 * on, and logical blocks ascend in each: where they do not, a level begins.
 * Where one level goes on as if it were the one above, the two are met in the
 * order of the list just as well.
 */
static void find_levels(struct nodes *n)
{
	for (__u32 i = 0; i < n->count; i++) {
		if (!i || (n->v[i].lblk <= n->v[i - 1].lblk &&
			   n->levels < E4DF_TREE_MAX_DEPTH))
			n->level[n->levels++].at = i;
		n->level[n->levels - 1].end = i + 1;
	}
}

/*
 * Reads the nodes that lead to a logical block.  Returns the one up to which
 * no other is needed.
 */
static blk64_t meet_tree(struct reader *r, struct nodes *n, blk64_t lblk)
{
	blk64_t end = NOWHERE;

	for (unsigned int i = 0; i < n->levels; i++) {
		struct level *level = &n->level[i];

		while (level->at < level->end && n->v[level->at].lblk <= lblk)
			read_node(r, &n->v[level->at++]);
		if (level->at < level->end && n->v[level->at].lblk < end)
			end = n->v[level->at].lblk;
	}
	return end;
}

/*
 * The same for a block map (blockmap.h), the nodes of which are in the order
 * in which they are met.  One that maps nothing is taken for the next one.
 */
static blk64_t meet_map(struct reader *r, struct nodes *n, blk64_t lblk)
{
	blk64_t slots = r->g->block_size / 4, span = slots;
	blk64_t start = EXT2_NDIR_BLOCKS, leaf, mid;
	unsigned int depth = 1;
	__u32 more;

	if (lblk < start)
		return start;
	while (lblk >= start + span) {
		start += span;
		span *= slots;
		depth++;
	}
	leaf = lblk - (lblk - start) % slots;
	mid = lblk - (lblk - start) % (slots * slots);
	if (depth != n->depth)
		more = depth;
	else if (depth == 3 && mid != n->mid)
		more = 2;
	else
		more = leaf != n->leaf;
	n->depth = depth;
	n->leaf = leaf;
	n->mid = mid;
	while (more-- && n->next < n->count)
		read_node(r, &n->v[n->next++]);
	return leaf + slots;
}

/* Those that only map holes behind the last block are met at the end. */
static void meet_rest(struct reader *r, struct nodes *n,
		      enum e4df_format format)
{
	if (format == E4DF_EXTENTS)
		meet_tree(r, n, NOWHERE);
	while (format == E4DF_BLOCK_MAP && n->next < n->count)
		read_node(r, &n->v[n->next++]);
}

static void read_extent(struct reader *r, struct nodes *n,
			enum e4df_format format, const struct e4df_extent *e)
{
	blk64_t done = 0;

	while (done < e->len) {
		blk64_t lblk = e->lblk + done, len = e->len - done, end;

		end = format == E4DF_EXTENTS ? meet_tree(r, n, lblk) :
					       meet_map(r, n, lblk);
		if (len > end - lblk)
			len = end - lblk;
		if (!(e->flags & E4DF_EXTENT_UNWRITTEN))
			read_data(r, lblk, e->pblk + done, len);
		done += len;
	}
}

static errcode_t read_inode(void *ctx, __u32 index)
{
	struct reader *r = ctx;
	const struct e4df_inode *inode = e4df_map_inode(r->map, index);
	const struct e4df_extent *e = e4df_map_extents(r->map, index);
	enum e4df_format format = (enum e4df_format)inode->format;
	struct nodes n = { .count = inode->tree };

	r->window = NOWHERE;
	if (inode->tree) {
		n.v = e + inode->data;
		if (format == E4DF_EXTENTS)
			find_levels(&n);
	}
	for (__u32 i = 0; i < inode->data; i++)
		read_extent(r, &n, format, &e[i]);
	meet_rest(r, &n, format);
	return 0;
}

static struct reader begin(const struct e4df_map *map)
{
	const struct e4df_geometry *g = e4df_map_geometry(map);
	struct reader r = { .map = map, .g = g };

	while (g->block_size << r.window_bits < E4DF_READCOST_WINDOW)
		r.window_bits++;
	return r;
}

void e4df_readcost_take(const struct e4df_map *map, const __u32 *order,
			__u32 count, struct e4df_readcost *ret)
{
	struct reader r = begin(map);

	for (__u32 i = 0; i < count; i++)
		read_inode(&r, order[i]);
	*ret = r.cost;
}

errcode_t e4df_readcost_walk(const struct e4df_map *map,
			     const struct e4df_namespace *names,
			     struct e4df_readcost *ret)
{
	struct reader r = begin(map);
	const struct e4df_visitor visitor = { .visit = read_inode, .ctx = &r };
	errcode_t err = e4df_namespace_walk(names, e4df_namespace_root(names),
					    &visitor);

	if (!err)
		*ret = r.cost;
	return err;
}
