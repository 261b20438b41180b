/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "map_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

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
