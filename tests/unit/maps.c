/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "maps.h"

#include <stdlib.h>
#include <string.h>

#include "tree.h"

/* The file system while its map is being made up. */
struct draft {
	struct prng *rng;
	const struct maps_recipe *recipe;
	struct e4df_geometry geometry; /* in clusters */
	struct e4df_map *map;
	unsigned int bits; /* a cluster is 2^bits blocks */
	struct e4df_runs fixed;
	unsigned char *is_used; /* (owned) for each cluster */
	unsigned int left;	/* clusters that may still be used */
};

static struct e4df_geometry make_geometry(struct prng *rng, unsigned int blocks,
					  int has_clusters)
{
	unsigned int per_group = 64U << pick(rng, 6);
	struct e4df_geometry g = {
		.blocks = blocks,
		.block_size = 1024U << pick(rng, 3),
		.blocks_per_group = per_group + 8 * pick(rng, 9),
		.inodes_per_group = 16 * (1 + pick(rng, 8)),
		.inodes_per_block = 4U << pick(rng, 3),
		.descs_per_block = 1 + pick(rng, 64),
		.groups_per_flex = 1U << blocks % 5,
	};

	g.first_block = g.block_size == 1024 && !has_clusters;
	g.groups = (blocks - (unsigned int)g.first_block - 1) /
			   g.blocks_per_group +
		   1;
	return g;
}

/* The map that is made; its blocks may end within a cluster. */
static void begin(struct draft *d)
{
	struct e4df_geometry g = d->geometry;
	blk64_t rest = d->bits ? pick(d->rng, 1U << d->bits) : 0;

	if (d->bits) {
		g.cluster_bits = d->bits;
		g.blocks_per_group <<= d->bits;
		g.blocks = (g.blocks << d->bits) + rest;
		g.groups += rest &&
			    (g.blocks - 1) / g.blocks_per_group == g.groups;
	}
	if (rest)
		assert_int_equal(
			e4df_runs_push(&d->fixed, g.blocks - rest, rest), 0);
	assert_int_equal(e4df_map_new(&g, &d->map), 0);
}

static void push_cluster(const struct draft *d, struct e4df_runs *runs,
			 blk64_t cluster)
{
	assert_int_equal(
		e4df_runs_push(runs, cluster << d->bits, 1ULL << d->bits), 0);
}

static void fix(struct draft *d, blk64_t start, blk64_t len)
{
	for (blk64_t b = start; b < start + len && b < d->geometry.blocks; b++)
		if (!d->is_used[b]) {
			d->is_used[b] = 1;
			push_cluster(d, &d->fixed, b);
		}
}

/* Metadata at the head of some groups, and where nobody expects it. */
static void fix_metadata(struct draft *d)
{
	const struct e4df_geometry *g = &d->geometry;

	for (unsigned int i = 0; i < g->groups; i++)
		if (!i || chance(d->rng, 50))
			fix(d,
			    g->first_block + (blk64_t)i * g->blocks_per_group,
			    1 + pick(d->rng, 12));
	for (unsigned int i = 0; i < d->recipe->odd_fixed; i++)
		fix(d, pick(d->rng, d->recipe->blocks), 1 + pick(d->rng, 5));
	d->left = (unsigned int)g->first_block;
	for (blk64_t b = g->first_block; b < g->blocks; b++)
		d->left += d->is_used[b];
	d->left = d->recipe->blocks - d->left;
	if (d->recipe->free_permille)
		d->left -= d->left * d->recipe->free_permille / 1000;
	else
		d->left -= d->left * d->recipe->free_percent / 100;
}

/* A free run of at most `want`; *len is what there is. */
static blk64_t find_run(struct draft *d, unsigned int want, unsigned int *len)
{
	const struct e4df_geometry *g = &d->geometry;
	blk64_t at = pick(d->rng, d->recipe->blocks), n = 0;

	while (at < g->first_block || d->is_used[at])
		at = (at + 1) % g->blocks;
	while (n < want && at + n < g->blocks && !d->is_used[at + n])
		n++;
	*len = (unsigned int)n;
	return at;
}

/* Tries for a whole run a few times. */
static blk64_t take_run(struct draft *d, unsigned int want, int is_scattered,
			unsigned int *len)
{
	blk64_t at = find_run(d, want, len);

	for (int i = 0; i < 20 && !is_scattered && *len < want; i++)
		at = find_run(d, want, len);
	memset(d->is_used + at, 1, *len);
	d->left -= *len;
	return at;
}

/* Appends an extent, joined to the last one as scan would. */
static void append(struct e4df_extent *v, unsigned int *count,
		   struct e4df_extent e)
{
	struct e4df_extent *last = *count ? &v[*count - 1] : NULL;

	if (last && last->lblk + last->len == e.lblk &&
	    last->pblk + last->len == e.pblk && last->flags == e.flags)
		last->len += e.len;
	else
		v[(*count)++] = e;
}

static unsigned int make_data(struct draft *d, struct e4df_extent *v,
			      unsigned int blocks)
{
	int is_scattered = chance(d->rng, d->recipe->scattered);
	unsigned int count = 0, lblk = pick(d->rng, 10) ? 0 : 7, flags = 0;
	unsigned int max = 1 + pick(d->rng, chance(d->rng, 50) ? 4 : 40);

	while (blocks) {
		unsigned int len = is_scattered ? 1 + pick(d->rng, max) :
						  blocks;
		blk64_t at;

		at = take_run(d, len < blocks ? len : blocks, is_scattered,
			      &len);
		append(v, &count,
		       (struct e4df_extent){ at & E4DF_PBLK_MAX, flags & 0xff,
					     lblk, len });
		blocks -= len;
		lblk += len + (chance(d->rng, 8) ? 1 + pick(d->rng, 90) : 0);
		if (chance(d->rng, flags ? 40 : 8))
			flags ^= E4DF_EXTENT_UNWRITTEN;
	}
	return count;
}

/*
 * What of a cluster is mapped, and how: all of it, or up to three pieces with
 * holes between.
 */
static unsigned int fill_cluster(struct draft *d, struct e4df_extent *v,
				 unsigned int count, struct e4df_extent e)
{
	unsigned int ratio = 1U << d->bits, end = e.lblk + ratio;
	struct e4df_extent piece = e;

	if (chance(d->rng, 70)) {
		append(v, &count, e);
		return count;
	}
	piece.len = 0;
	for (unsigned int i = 0; i < 3 && e.lblk + piece.len < end; i++) {
		unsigned int skip = pick(d->rng, end - e.lblk);

		piece = e;
		piece.lblk += skip;
		piece.pblk = (piece.pblk + skip) & E4DF_PBLK_MAX;
		piece.len = 1 + pick(d->rng, end - piece.lblk);
		piece.flags = chance(d->rng, 30) ? E4DF_EXTENT_UNWRITTEN : 0;
		append(v, &count, piece);
		e.pblk = (piece.pblk + piece.len) & E4DF_PBLK_MAX;
		e.lblk = piece.lblk + piece.len;
		piece.len = 0;
	}
	return count;
}

/* Extents of clusters as extents of blocks; returns the number of these. */
static unsigned int fill_clusters(struct draft *d, struct e4df_extent **v,
				  unsigned int data, unsigned int room)
{
	struct e4df_extent *out;
	unsigned int count = 0, blocks = 0;

	for (unsigned int i = 0; i < data; i++)
		blocks += (*v)[i].len;
	out = malloc((3 * blocks + room) * sizeof(*out));
	assert_non_null(out);
	for (unsigned int i = 0; i < data; i++)
		for (unsigned int k = 0; k < (*v)[i].len; k++)
			count = fill_cluster(
				d, out, count,
				(struct e4df_extent){
					((*v)[i].pblk + k) << d->bits &
						E4DF_PBLK_MAX,
					(*v)[i].flags & 0xff,
					((*v)[i].lblk + k) << d->bits,
					1U << d->bits,
				});
	free(*v);
	*v = out;
	return count;
}

/* Mapping blocks as a file system in use has them: perhaps one too many. */
static unsigned int make_tree(struct draft *d, struct e4df_extent *v,
			      unsigned int data)
{
	unsigned int tree = e4df_tree_blocks(e4df_tree_entries(v, data),
					     d->geometry.block_size);

	tree += tree && chance(d->rng, 20) ? 1 : 0;
	for (unsigned int i = 0; i < tree; i++) {
		unsigned int len;
		blk64_t at = take_run(d, 1, 1, &len);

		v[data + i] = (struct e4df_extent){
			at << d->bits & E4DF_PBLK_MAX,
			E4DF_EXTENT_TREE,
			v[0].lblk,
			1,
		};
	}
	return tree;
}

static void make_file(struct draft *d, ext2_ino_t ino)
{
	unsigned int blocks =
		1 + pick(d->rng, 1 + pick(d->rng, d->recipe->file_blocks));
	int is_fixed = chance(d->rng, d->recipe->immovable);
	struct e4df_extent *v;
	unsigned int data, tree;
	uint32_t index;

	if (blocks > d->left * 3 / 4)
		blocks = d->left * 3 / 4; /* leave some for the tree */
	v = malloc((2 * blocks + 16) * sizeof(*v));
	assert_non_null(v);
	data = make_data(d, v, blocks);
	if (d->bits)
		data = fill_clusters(d, &v, data, 2 * blocks + 16);
	tree = make_tree(d, v, data);
	assert_int_equal(
		e4df_map_add_inode(d->map, ino,
				   (enum e4df_kind)pick(d->rng, E4DF_INTERNAL),
				   is_fixed ? E4DF_WHY_IMMUTABLE : E4DF_MOVABLE,
				   &index),
		0);
	assert_int_equal(e4df_map_set_extents(d->map, index, v, data, tree), 0);
	free(v);
}

/* An xattr block while its owners are being drawn. */
struct shared {
	blk64_t blk;
	uint32_t count;
	ext2_ino_t *owner; /* (owned) ascending */
};

static int compare_shared(const void *a, const void *b)
{
	const struct shared *x = a, *y = b;

	return (*x->owner > *y->owner) - (*x->owner < *y->owner);
}

/* Blocks first, while there is room for them; owners when all are known. */
static struct shared *take_xattrs(struct draft *d)
{
	struct shared *v = calloc(d->recipe->xattrs + 1, sizeof(*v));

	assert_non_null(v);
	for (unsigned int i = 0; i < d->recipe->xattrs && d->left > 8; i++) {
		unsigned int len;

		v[i].blk = take_run(d, 1, 1, &len);
		v[i].owner = calloc(d->recipe->owners, sizeof(*v[i].owner));
		assert_non_null(v[i].owner);
	}
	return v;
}

/* Each inode goes to one block or to none, neighbours often to the same. */
static void add_xattrs(struct draft *d, struct shared *v, ext2_ino_t end)
{
	unsigned int count = 0, near = 0, n = 0;

	while (v[count].owner)
		count++;
	for (ext2_ino_t ino = 11; ino < end && count; ino++) {
		struct shared *x;

		if (chance(d->rng, 60))
			near = pick(d->rng, count);
		x = &v[near];
		if (chance(d->rng, 80) && x->count < d->recipe->owners)
			x->owner[x->count++] = ino;
	}
	for (unsigned int i = 0; i < count; i++) {
		if (v[i].count) {
			v[n++] = v[i];
			continue;
		}
		d->is_used[v[i].blk] = 0;
		free(v[i].owner);
	}
	qsort(v, n, sizeof(*v), compare_shared);
	for (unsigned int i = 0; i < n; i++) {
		int is_fixed = chance(d->rng, d->recipe->immovable);
		blk64_t at = d->bits ? pick(d->rng, 1U << d->bits) : 0;

		at += v[i].blk << d->bits;
		assert_int_equal(e4df_map_add_xattr(d->map, at, v[i].owner,
						    v[i].count,
						    is_fixed ? E4DF_WHY_BOOT :
							       E4DF_MOVABLE),
				 0);
		free(v[i].owner);
	}
	free(v);
}

static void finish(struct draft *d)
{
	struct e4df_runs unused = E4DF_RUNS_INIT;

	for (blk64_t b = d->geometry.first_block; b < d->geometry.blocks; b++)
		if (!d->is_used[b])
			push_cluster(d, &unused, b);
	e4df_runs_sort(&d->fixed);
	assert_int_equal(e4df_map_finish(d->map, &d->fixed, &unused), 0);
	free(d->is_used);
}

struct e4df_map *maps_random(struct prng *rng, const struct maps_recipe *recipe)
{
	struct draft d = {
		.rng = rng,
		.recipe = recipe,
		.geometry = make_geometry(rng, recipe->blocks,
					  recipe->cluster_bits > 0),
		.bits = recipe->cluster_bits,
		.is_used = calloc(recipe->blocks, 1),
	};
	struct shared *shared;
	ext2_ino_t ino = 11;

	assert_non_null(d.is_used);
	begin(&d);
	fix_metadata(&d);
	shared = take_xattrs(&d);
	while (d.left > 8) {
		make_file(&d, ino);
		ino += 1 + pick(rng, 5);
	}
	add_xattrs(&d, shared, ino);
	finish(&d);
	return d.map;
}

struct e4df_map *maps_drawn_shared(blk64_t blocks,
				   const struct e4df_range *fixed,
				   size_t fixed_count,
				   const struct maps_file *files,
				   const struct maps_xattr *xattrs)
{
	struct draft d = {
		.geometry = {
			.blocks = blocks,
			.block_size = 4096,
			.blocks_per_group = 32768,
			.inodes_per_group = 8192,
			.inodes_per_block = 16,
			.descs_per_block = 64,
			.groups = 1,
			.groups_per_flex = 1,
		},
		.is_used = calloc(blocks, 1),
	};

	assert_non_null(d.is_used);
	assert_int_equal(e4df_map_new(&d.geometry, &d.map), 0);
	for (size_t i = 0; i < fixed_count; i++)
		fix(&d, fixed[i].start, fixed[i].len);
	for (; files->count; files++) {
		unsigned int tree = 0;
		uint32_t index;

		for (unsigned int i = 0; i < files->count; i++) {
			const struct e4df_extent *e = &files->extent[i];

			tree += (e->flags & E4DF_EXTENT_TREE) != 0;
			memset(d.is_used + e->pblk, 1, e->len);
		}
		assert_int_equal(e4df_map_add_inode(d.map, files->ino,
						    files->ino < 12 ?
							    E4DF_DIRECTORY :
							    E4DF_REGULAR,
						    files->why, &index),
				 0);
		assert_int_equal(
			e4df_map_set_extents(d.map, index, files->extent,
					     files->count - tree, tree),
			0);
	}
	for (; xattrs->count; xattrs++) {
		d.is_used[xattrs->blk] = 1;
		assert_int_equal(
			e4df_map_add_xattr(d.map, xattrs->blk, xattrs->owner,
					   xattrs->count, E4DF_MOVABLE),
			0);
	}
	finish(&d);
	return d.map;
}

struct e4df_map *maps_drawn(blk64_t blocks, const struct e4df_range *fixed,
			    size_t fixed_count, const struct maps_file *files)
{
	const struct maps_xattr none = { .count = 0 };

	return maps_drawn_shared(blocks, fixed, fixed_count, files, &none);
}

void maps_claim(uint64_t *blocks, uint32_t index,
		const struct e4df_extent *extents, uint32_t data, uint32_t tree)
{
	for (uint32_t i = 0; i < data + tree; i++) {
		const struct e4df_extent *e = &extents[i];

		for (uint32_t k = 0; k < e->len; k++) {
			uint64_t *b = &blocks[e->pblk + k];

			if (*b != MAPS_FREE)
				fail_msg("block %llu has two owners",
					 (unsigned long long)e->pblk + k);
			*b = maps_id(index, i < data ? e->lblk + k : MAPS_TREE);
		}
	}
}

uint64_t *maps_spread(const struct e4df_map *map)
{
	const struct e4df_geometry *g = e4df_map_geometry(map);
	const struct e4df_runs *fixed = e4df_map_fixed(map);
	uint64_t *blocks = calloc(g->blocks, sizeof(*blocks));

	assert_non_null(blocks);
	for (blk64_t b = 0; b < g->first_block; b++)
		blocks[b] = MAPS_FIXED;
	for (size_t i = 0; i < fixed->count; i++)
		for (blk64_t k = 0; k < fixed->v[i].len; k++)
			blocks[fixed->v[i].start + k] = MAPS_FIXED;
	for (uint32_t i = 0; i < e4df_map_count(map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(map, i);

		if (inode->why == E4DF_MOVABLE)
			maps_claim(blocks, i, e4df_map_extents(map, i),
				   inode->data, inode->tree);
	}
	return blocks;
}
