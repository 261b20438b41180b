/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "map_priv.h"

#include <string.h>

const char *e4df_why_text(enum e4df_why why)
{
	static const char *const text[E4DF_WHY_COUNT] = {
		[E4DF_MOVABLE] = "movable",
		[E4DF_WHY_INTERNAL] = "internal",
		[E4DF_WHY_IMMUTABLE] = "immutable or append-only",
		[E4DF_WHY_BOOT] = "below /boot with a boot sector in use",
		[E4DF_WHY_SWAP] = "swap file",
		[E4DF_WHY_BLOCK_MAPPED] = "block-mapped beyond 2^32 blocks",
		[E4DF_WHY_UNREADABLE] = "has an unreadable block",
		[E4DF_WHY_LAST_CLUSTER] = "in the incomplete last cluster",
		[E4DF_WHY_EXCLUDED] = "excluded",
		[E4DF_WHY_NOT_WANTED] = "not chosen",
		[E4DF_WHY_GOOD] = "in long runs already",
		[E4DF_WHY_NO_ROOM] = "no better place",
	};

	return text[why];
}

const struct e4df_geometry *e4df_map_geometry(const struct e4df_map *map)
{
	return &map->geometry;
}

__u32 e4df_map_count(const struct e4df_map *map)
{
	return (__u32)map->inode_count;
}

const struct e4df_inode *e4df_map_inode(const struct e4df_map *map, __u32 index)
{
	return &map->inodes[index];
}

const struct e4df_extent *e4df_map_extents(const struct e4df_map *map,
					   __u32 index)
{
	__u32 first = map->inodes[index].first;

	if (first < map->base_count)
		return map->base + first;
	/* a map without extents has no array to point into */
	return map->extents ? map->extents + (first - map->base_count) : NULL;
}

const struct e4df_extent *e4df_map_all_extents(const struct e4df_map *map)
{
	return map->extents;
}

const struct e4df_runs *e4df_map_fixed(const struct e4df_map *map)
{
	return &map->fixed;
}

const struct e4df_runs *e4df_map_areas(const struct e4df_map *map)
{
	return &map->areas;
}

const struct e4df_runs *e4df_map_free_blocks(const struct e4df_map *map)
{
	return &map->free_blocks;
}

__u32 e4df_map_flags(const struct e4df_map *map, __u32 index)
{
	size_t lo = 0, hi = map->flagged_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (map->flagged[mid].index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < map->flagged_count && map->flagged[lo].index == index ?
		       map->flagged[lo].flags :
		       0;
}

const ext2_ino_t *e4df_map_owners(const struct e4df_map *map, __u32 index,
				  __u32 *count)
{
	size_t k = index - (map->inode_count - map->xattr_count);
	__u32 start = k ? map->owners_end[k - 1] : 0;

	*count = map->owners_end[k] - start;
	return map->owners + start;
}

/* An inode number in [lo, hi), where they ascend; count if it is not there. */
static __u32 find_between(const struct e4df_map *map, size_t lo, size_t hi,
			  ext2_ino_t ino)
{
	size_t end = hi;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (map->inodes[mid].ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < end && map->inodes[lo].ino == ino ? (__u32)lo :
							(__u32)map->inode_count;
}

__u32 e4df_map_find(const struct e4df_map *map, ext2_ino_t ino)
{
	return find_between(map, 0, map->inode_count - map->xattr_count, ino);
}

__u32 e4df_map_find_xattr(const struct e4df_map *map, ext2_ino_t ino)
{
	return find_between(map, map->inode_count - map->xattr_count,
			    map->inode_count, ino);
}

__u32 e4df_map_ideal(const struct e4df_map *map, blk64_t blocks)
{
	size_t lo = 0, hi = map->areas.count;

	if (!blocks)
		return 0;
	if (hi && map->reach[0] >= blocks)
		return 1; /* as nearly always */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (map->reach[mid] >= blocks)
			hi = mid;
		else
			lo = mid + 1;
	}
	return (__u32)lo + 1;
}

void e4df_map_measure(const struct e4df_map *map, __u32 index,
		      struct e4df_shape *ret)
{
	const struct e4df_inode *inode = e4df_map_inode(map, index);
	const struct e4df_extent *e = e4df_map_extents(map, index);
	unsigned int bits = map->geometry.cluster_bits;
	blk64_t clusters = 0, end = 0; /* the cluster behind the last one */

	*ret = (struct e4df_shape){ .runs = 0 };
	for (__u32 i = 0; i < inode->data; i++) {
		blk64_t first = e[i].pblk >> bits;

		ret->blocks += e[i].len;
		if (i && bits && first + 1 == end)
			first++; /* in the cluster where the last one ends */
		else if (!i || first != end)
			ret->runs++;
		end = ((e[i].pblk + e[i].len - 1) >> bits) + 1;
		clusters += end - first;
	}
	ret->ideal = e4df_map_ideal(map, clusters << bits);
	ret->allocated = (clusters + inode->tree) << bits;
}

static int is_same_runs(const struct e4df_runs *a, const struct e4df_runs *b)
{
	return a->count == b->count &&
	       (!a->count || !memcmp(a->v, b->v, a->count * sizeof(*a->v)));
}

static int is_same_owners(const struct e4df_map *a, const struct e4df_map *b)
{
	return a->xattr_count == b->xattr_count &&
	       a->owner_count == b->owner_count &&
	       (!a->xattr_count ||
		(!memcmp(a->owners_end, b->owners_end,
			 a->xattr_count * sizeof(*a->owners_end)) &&
		 !memcmp(a->owners, b->owners,
			 a->owner_count * sizeof(*a->owners))));
}

/* Pinned behind the scan, of which another scan knows nothing? */
static int is_pinned_later(const struct e4df_inode *x)
{
	return x->why == E4DF_WHY_UNREADABLE || x->why == E4DF_WHY_EXCLUDED;
}

/* A block can become unreadable at any time. */
static int is_same_why(const struct e4df_inode *x, const struct e4df_inode *y)
{
	return x->why == y->why || is_pinned_later(x) || is_pinned_later(y);
}

int e4df_map_is_equal(const struct e4df_map *a, const struct e4df_map *b)
{
	int is_fixed_alike = 1;

	if (a->inode_count != b->inode_count || !is_same_owners(a, b) ||
	    !is_same_runs(&a->free_blocks, &b->free_blocks))
		return 0;
	for (__u32 i = 0; i < a->inode_count; i++) {
		const struct e4df_inode *x = &a->inodes[i];
		const struct e4df_inode *y = &b->inodes[i];

		if (x->ino != y->ino || x->data != y->data ||
		    x->tree != y->tree || x->kind != y->kind ||
		    !is_same_why(x, y) || x->format != y->format ||
		    memcmp(e4df_map_extents(a, i), e4df_map_extents(b, i),
			   ((size_t)x->data + x->tree) * sizeof(*a->extents)))
			return 0;
		is_fixed_alike &= x->why == y->why;
	}
	return !is_fixed_alike || is_same_runs(&a->fixed, &b->fixed);
}
