/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

/* What the i_flags of a directory are, if not 0. */
struct flagged {
	__u32 index;
	__u32 flags;
};

struct e4df_map {
	/* Immutable once finished, but for pin. */
	struct e4df_geometry geometry;
	struct e4df_runs fixed;
	struct e4df_runs areas;
	blk64_t *reach;	    /* (owned) [k] = blocks in the k+1 largest
				 * areas */
	ext2_ino_t *owners; /* (owned) of all xattr blocks, in their order */
	size_t owner_count, owner_alloc;
	__u32 *owners_end; /* (owned) [k] = end of the k-th block's */
	size_t xattr_count, xattr_alloc; /* the last of the inodes */
	struct flagged *flagged;	 /* (owned) by index */
	size_t flagged_count, flagged_alloc;
	/* Mutable. */
	struct e4df_inode *inodes; /* (owned) by ino */
	size_t inode_count, inode_alloc;
	/* Lists: the first are another map's, all indices behind are here. */
	const struct e4df_extent *base; /* (borrowed) of a fork */
	size_t base_count;
	int is_fork;
	struct e4df_extent *extents; /* (owned) with gaps */
	size_t extent_count, extent_alloc;
	struct e4df_runs free_blocks;
	int borrows_free;	    /* of a fork: they are the other map's */
	struct e4df_runs next_free; /* made by prepare, for apply */
};

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

errcode_t e4df_map_new(const struct e4df_geometry *geometry,
		       struct e4df_map **ret)
{
	struct e4df_map *map = calloc(1, sizeof(*map));

	if (!map)
		return ENOMEM;
	map->geometry = *geometry;
	*ret = map;
	return 0;
}

/* From now on these blocks are free; they are taken over. */
static void replace_free(struct e4df_map *map, struct e4df_runs *free_blocks)
{
	if (!map->borrows_free)
		e4df_runs_free(&map->free_blocks);
	map->borrows_free = 0;
	map->free_blocks = *free_blocks;
	memset(free_blocks, 0, sizeof(*free_blocks));
}

void e4df_map_free(struct e4df_map *map)
{
	struct e4df_runs none = E4DF_RUNS_INIT;

	if (!map)
		return;
	e4df_runs_free(&map->fixed);
	e4df_runs_free(&map->areas);
	replace_free(map, &none);
	e4df_runs_free(&map->next_free);
	free(map->reach);
	free(map->owners);
	free(map->owners_end);
	free(map->flagged);
	free(map->inodes);
	free(map->extents);
	free(map);
}

static int compare_descending(const void *a, const void *b)
{
	const blk64_t *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

/* [k] = blocks in the k+1 largest areas; the caller frees it. */
static blk64_t *measure_areas(const struct e4df_runs *areas)
{
	blk64_t *reach = calloc(areas->count + 1, sizeof(*reach));
	blk64_t sum = 0;

	if (!reach)
		return NULL;
	for (size_t i = 0; i < areas->count; i++)
		reach[i] = areas->v[i].len;
	qsort(reach, areas->count, sizeof(*reach), compare_descending);
	for (size_t i = 0; i < areas->count; i++) {
		sum += reach[i];
		reach[i] = sum;
	}
	return reach;
}

/* Takes over `fixed`, and makes what follows from it. */
static errcode_t set_fixed(struct e4df_map *map, struct e4df_runs *fixed)
{
	const struct e4df_geometry *g = &map->geometry;
	struct e4df_runs areas = E4DF_RUNS_INIT;
	blk64_t *reach = NULL;
	errcode_t err;

	e4df_runs_round(fixed, g->cluster_bits, g->blocks);
	err = e4df_runs_invert(fixed, g->first_block,
			       g->blocks - g->first_block, &areas);
	if (!err)
		reach = measure_areas(&areas);
	if (!reach) {
		e4df_runs_free(&areas);
		return err ? err : ENOMEM;
	}
	e4df_runs_free(&map->fixed);
	e4df_runs_free(&map->areas);
	free(map->reach);
	map->fixed = *fixed;
	map->areas = areas;
	map->reach = reach;
	memset(fixed, 0, sizeof(*fixed));
	return 0;
}

static errcode_t copy_owners(const struct e4df_map *from, struct e4df_map *to)
{
	errcode_t err = e4df_grow(&to->owners, &to->owner_alloc,
				  from->owner_count, sizeof(*to->owners));

	if (!err)
		err = e4df_grow(&to->owners_end, &to->xattr_alloc,
				from->xattr_count, sizeof(*to->owners_end));
	if (err || !from->xattr_count)
		return err;
	memcpy(to->owners, from->owners,
	       from->owner_count * sizeof(*to->owners));
	memcpy(to->owners_end, from->owners_end,
	       from->xattr_count * sizeof(*to->owners_end));
	to->owner_count = from->owner_count;
	to->xattr_count = from->xattr_count;
	return 0;
}

static errcode_t copy_flagged(const struct e4df_map *from, struct e4df_map *to)
{
	errcode_t err = e4df_grow(&to->flagged, &to->flagged_alloc,
				  from->flagged_count, sizeof(*to->flagged));

	if (err || !from->flagged_count)
		return err;
	memcpy(to->flagged, from->flagged,
	       from->flagged_count * sizeof(*to->flagged));
	to->flagged_count = from->flagged_count;
	return 0;
}

/*
 * All lists there are now, of the map that was never a fork; a fork's own are
 * copied, as they may change.
 */
static errcode_t borrow_extents(const struct e4df_map *from,
				struct e4df_map *to)
{
	errcode_t err;

	to->is_fork = 1;
	to->base = from->is_fork ? from->base : from->extents;
	to->base_count = from->is_fork ? from->base_count : from->extent_count;
	if (!from->is_fork || !from->extent_count)
		return 0;
	err = e4df_grow(&to->extents, &to->extent_alloc, from->extent_count,
			sizeof(*to->extents));
	if (err)
		return err;
	memcpy(to->extents, from->extents,
	       from->extent_count * sizeof(*to->extents));
	to->extent_count = from->extent_count;
	return 0;
}

/* The same for what is free. */
static errcode_t borrow_free(const struct e4df_map *from, struct e4df_map *to)
{
	if (from->is_fork && !from->borrows_free)
		return e4df_runs_copy(&from->free_blocks, &to->free_blocks);
	to->free_blocks = from->free_blocks;
	to->borrows_free = 1;
	return 0;
}

static errcode_t copy_inodes(const struct e4df_map *from, struct e4df_map *to)
{
	to->inodes = malloc((from->inode_count + 1) * sizeof(*to->inodes));
	if (!to->inodes)
		return ENOMEM;
	to->inode_alloc = from->inode_count + 1;
	to->inode_count = from->inode_count;
	if (from->inode_count)
		memcpy(to->inodes, from->inodes,
		       from->inode_count * sizeof(*to->inodes));
	return 0;
}

errcode_t e4df_map_fork(const struct e4df_map *map, struct e4df_map **ret)
{
	struct e4df_map *copy;
	errcode_t err = e4df_map_new(&map->geometry, &copy);

	if (err)
		return err;
	err = copy_inodes(map, copy);
	if (!err)
		err = borrow_extents(map, copy);
	if (!err)
		err = copy_owners(map, copy);
	if (!err)
		err = copy_flagged(map, copy);
	if (!err)
		err = e4df_runs_copy(&map->fixed, &copy->fixed);
	if (!err)
		err = e4df_runs_copy(&map->areas, &copy->areas);
	if (!err)
		err = borrow_free(map, copy);
	if (!err) {
		copy->reach = measure_areas(&copy->areas);
		err = copy->reach ? 0 : ENOMEM;
	}
	if (err)
		e4df_map_free(copy);
	else
		*ret = copy;
	return err;
}

errcode_t e4df_map_add_inode(struct e4df_map *map, ext2_ino_t ino,
			     enum e4df_kind kind, enum e4df_why why,
			     __u32 *index)
{
	errcode_t err = e4df_grow(&map->inodes, &map->inode_alloc,
				  map->inode_count + 1, sizeof(*map->inodes));

	if (err)
		return err;
	*index = (__u32)map->inode_count;
	map->inodes[map->inode_count++] = (struct e4df_inode){
		.ino = ino,
		.kind = kind & 7,
		.why = why & 31,
	};
	return 0;
}

static errcode_t reserve_extents(struct e4df_map *map, size_t more)
{
	size_t need = map->extent_count + more;

	if (map->base_count + need > UINT32_MAX)
		return E4DF_ET_OVERFLOW;
	return e4df_grow(&map->extents, &map->extent_alloc, need,
			 sizeof(*map->extents));
}

errcode_t e4df_map_set_extents(struct e4df_map *map, __u32 index,
			       const struct e4df_extent *extents, __u32 data,
			       __u32 tree)
{
	struct e4df_inode *inode = &map->inodes[index];
	size_t count = (size_t)data + tree;
	errcode_t err;

	if (tree >= 1U << 23)
		return E4DF_ET_OVERFLOW;
	err = reserve_extents(map, count);
	if (err)
		return err;
	inode->first = (__u32)(map->base_count + map->extent_count);
	inode->data = data;
	inode->tree = tree & 0x7fffff;
	if (count)
		memcpy(map->extents + map->extent_count, extents,
		       count * sizeof(*extents));
	map->extent_count += count;
	return 0;
}

errcode_t e4df_map_add_xattr(struct e4df_map *map, blk64_t pblk,
			     const ext2_ino_t *owners, __u32 count,
			     enum e4df_why why)
{
	blk64_t mask = (1ULL << map->geometry.cluster_bits) - 1;
	const struct e4df_extent e = {
		.pblk = pblk & E4DF_PBLK_MAX,
		.lblk = (__u32)(pblk & mask),
		.len = 1,
	};
	__u32 index;
	errcode_t err;

	if (map->owner_count + count > UINT32_MAX)
		return E4DF_ET_OVERFLOW;
	err = e4df_grow(&map->owners, &map->owner_alloc,
			map->owner_count + count, sizeof(*map->owners));
	if (!err)
		err = e4df_grow(&map->owners_end, &map->xattr_alloc,
				map->xattr_count + 1, sizeof(*map->owners_end));
	if (!err)
		err = e4df_map_add_inode(map, owners[0], E4DF_XATTR, why,
					 &index);
	if (err)
		return err;
	memcpy(map->owners + map->owner_count, owners, count * sizeof(*owners));
	map->owner_count += count;
	map->owners_end[map->xattr_count++] = (__u32)map->owner_count;
	return e4df_map_set_extents(map, index, &e, 1, 0);
}

void e4df_map_set_why(struct e4df_map *map, __u32 index, enum e4df_why why)
{
	map->inodes[index].why = why & 31;
}

void e4df_map_set_format(struct e4df_map *map, __u32 index,
			 enum e4df_format format)
{
	map->inodes[index].format = format & 1;
}

errcode_t e4df_map_set_flags(struct e4df_map *map, __u32 index, __u32 flags)
{
	errcode_t err;

	flags &= E4DF_DIRECTORY_FLAGS;
	if (!flags)
		return 0;
	err = e4df_grow(&map->flagged, &map->flagged_alloc,
			map->flagged_count + 1, sizeof(*map->flagged));
	if (!err)
		map->flagged[map->flagged_count++] = (struct flagged){
			.index = index,
			.flags = flags,
		};
	return err;
}

void e4df_map_set_quota(struct e4df_map *map, unsigned int files,
			blk64_t blocks)
{
	map->geometry.quota_files = files;
	map->geometry.quota_blocks = blocks;
}

static errcode_t fix_inode(const struct e4df_map *map, __u32 index,
			   struct e4df_runs *fixed)
{
	const struct e4df_inode *inode = &map->inodes[index];
	const struct e4df_extent *e = e4df_map_extents(map, index);
	errcode_t err = 0;

	for (__u32 n = 0; n < inode->data + inode->tree && !err; n++)
		err = e4df_runs_push(fixed, e[n].pblk, e[n].len);
	return err;
}

errcode_t e4df_map_finish(struct e4df_map *map, struct e4df_runs *fixed,
			  struct e4df_runs *free_blocks)
{
	errcode_t err = 0;

	replace_free(map, free_blocks);
	for (__u32 i = 0; i < map->inode_count && !err; i++)
		if (map->inodes[i].why != E4DF_MOVABLE)
			err = fix_inode(map, i, fixed);
	return err ? err : set_fixed(map, fixed);
}

errcode_t e4df_map_pin(struct e4df_map *map, const __u32 *index, size_t count,
		       enum e4df_why why)
{
	struct e4df_runs fixed = E4DF_RUNS_INIT;
	errcode_t err = e4df_runs_copy(&map->fixed, &fixed);

	for (size_t i = 0; i < count && !err; i++)
		err = fix_inode(map, index[i], &fixed);
	if (!err)
		err = set_fixed(map, &fixed);
	e4df_runs_free(&fixed);
	for (size_t i = 0; i < count && !err; i++)
		e4df_map_set_why(map, index[i], why);
	return err;
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

errcode_t e4df_map_prepare(struct e4df_map *map,
			   const struct e4df_update *update)
{
	struct e4df_runs next = E4DF_RUNS_INIT;
	errcode_t err = reserve_extents(map, update->extent_count);

	if (!err)
		err = e4df_runs_copy(&map->free_blocks, &next);
	if (!err)
		err = e4df_runs_update(&next, &update->taken,
				       &update->released);
	e4df_runs_free(&map->next_free);
	if (err)
		e4df_runs_free(&next);
	else
		map->next_free = next;
	return err;
}

/* Is there room for so many extents where the inode's list is? */
static int has_place(const struct e4df_map *map, const struct e4df_inode *inode,
		     size_t need)
{
	return inode->first >= map->base_count &&
	       need <= (size_t)inode->data + inode->tree;
}

/* There is room for it behind all lists. */
static void change_inode(struct e4df_map *map, const struct e4df_mapping *m,
			 const struct e4df_extent *extents)
{
	struct e4df_inode *inode = &map->inodes[m->inode];
	size_t need = (size_t)m->data + m->tree;

	if (!has_place(map, inode, need)) {
		inode->first = (__u32)(map->base_count + map->extent_count);
		map->extent_count += need;
	}
	inode->data = m->data;
	inode->tree = m->tree & 0x7fffff;
	inode->format = m->format & 1;
	if (need)
		memcpy(map->extents + (inode->first - map->base_count), extents,
		       need * sizeof(*map->extents));
}

void e4df_map_apply(struct e4df_map *map, const struct e4df_update *update)
{
	for (size_t i = 0; i < update->mapping_count; i++)
		change_inode(map, &update->mappings[i],
			     update->extents + update->mappings[i].first);
	replace_free(map, &map->next_free);
}

errcode_t e4df_map_change(struct e4df_map *map, const struct e4df_mapping *m,
			  const struct e4df_extent *extents)
{
	errcode_t err = reserve_extents(map, (size_t)m->data + m->tree);

	if (!err)
		change_inode(map, m, extents);
	return err;
}

void e4df_map_set_free(struct e4df_map *map, struct e4df_runs *free_blocks)
{
	replace_free(map, free_blocks);
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
