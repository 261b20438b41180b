/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unreadable.h"

#include <errno.h>
#include <stdlib.h>

#include "e4df_err.h"

void e4df_unreadable_tell(struct e4df_sink *sink, ext2_ino_t ino, blk64_t blk)
{
	e4df_event_find(sink, E4DF_DAMAGE, ino, blk,
			"cannot be read; the file stays where it is");
}

/* The first block of a file's data, in logical order, that is in `bad`. */
static int find_block(const struct e4df_map *map, __u32 index,
		      const struct e4df_runs *bad, blk64_t *blk)
{
	const struct e4df_extent *e = e4df_map_extents(map, index);
	__u32 count = e4df_map_inode(map, index)->data;

	for (__u32 i = 0; i < count; i++) {
		const struct e4df_range *r;

		if (!e4df_runs_is_touched(bad, e[i].pblk, e[i].len))
			continue;
		r = &bad->v[e4df_runs_find(bad, e[i].pblk)];
		*blk = r->start > e[i].pblk ? r->start : e[i].pblk;
		return 1;
	}
	return 0;
}

errcode_t e4df_unreadable_pin(struct e4df_map *map, const struct e4df_runs *bad,
			      struct e4df_sink *sink)
{
	__u32 count = e4df_map_count(map);
	__u32 *list = malloc(((size_t)count + 1) * sizeof(*list));
	size_t n = 0;
	blk64_t blk;
	errcode_t err;

	if (!list)
		return ENOMEM;
	for (__u32 i = 0; i < count; i++)
		if (e4df_map_inode(map, i)->why == E4DF_MOVABLE &&
		    find_block(map, i, bad, &blk))
			list[n++] = i;
	err = n ? e4df_map_pin(map, list, n, E4DF_WHY_UNREADABLE) :
		  E4DF_ET_UNREADABLE;
	for (size_t i = 0; i < n && !err; i++)
		if (find_block(map, list[i], bad, &blk))
			e4df_unreadable_tell(
				sink, e4df_map_inode(map, list[i])->ino, blk);
	free(list);
	return err;
}

__u32 e4df_unreadable_count(const struct e4df_map *map)
{
	__u32 count = 0;

	for (__u32 i = 0; i < e4df_map_count(map); i++)
		count += e4df_map_inode(map, i)->why == E4DF_WHY_UNREADABLE;
	return count;
}
