/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stats.h"

#include <string.h>

static int is_worse(const struct e4df_worst *a, const struct e4df_worst *b)
{
	__u32 x = a->runs - a->ideal, y = b->runs - b->ideal;

	return x != y ? x > y : a->ino < b->ino;
}

static void rank(struct e4df_stats *stats, const struct e4df_worst *file)
{
	unsigned int at = stats->worst_count;

	while (at && is_worse(file, &stats->worst[at - 1])) {
		if (at < E4DF_WORST)
			stats->worst[at] = stats->worst[at - 1];
		at--;
	}
	if (at < E4DF_WORST)
		stats->worst[at] = *file;
	if (stats->worst_count < E4DF_WORST)
		stats->worst_count++;
}

static void count_file(const struct e4df_map *map, __u32 index,
		       struct e4df_stats *stats)
{
	const struct e4df_inode *inode = e4df_map_inode(map, index);
	struct e4df_shape shape;
	struct e4df_worst file = {
		.ino = inode->ino,
		.why = inode->why,
	};

	e4df_map_measure(map, index, &shape);
	if (!shape.blocks)
		return;
	file.runs = shape.runs;
	file.ideal = shape.ideal;
	file.blocks = shape.blocks;
	stats->files++;
	stats->runs += file.runs;
	stats->ideal_runs += file.ideal;
	stats->blocks += file.blocks;
	stats->followers += file.blocks - 1;
	stats->in_place += file.blocks - file.runs;
	if (file.runs <= file.ideal)
		return;
	stats->fragmented++;
	stats->fragmented_blocks += file.blocks;
	stats->left[file.why]++;
	rank(stats, &file);
}

static int goes_with_groups(ext2_ino_t ino)
{
	return ino == EXT2_BAD_INO || ino == EXT2_RESIZE_INO;
}

/* The end of the last block, data or mapping, that an inode owns. */
static blk64_t find_data_end(const struct e4df_map *map)
{
	blk64_t end = 0;

	for (__u32 i = 0; i < e4df_map_count(map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(map, i);
		const struct e4df_extent *e = e4df_map_extents(map, i);

		if (goes_with_groups(inode->ino))
			continue;
		for (__u32 k = 0; k < inode->data + inode->tree; k++)
			if (e[k].pblk + e[k].len > end)
				end = e[k].pblk + e[k].len;
	}
	return end;
}

void e4df_stats_take(const struct e4df_map *map, struct e4df_stats *stats)
{
	const struct e4df_runs *unused = e4df_map_free_blocks(map);

	memset(stats, 0, sizeof(*stats));
	for (__u32 i = 0; i < e4df_map_count(map); i++)
		if (e4df_kind_is_file(e4df_map_inode(map, i)->kind))
			count_file(map, i, stats);
	stats->free_blocks = e4df_runs_blocks(unused);
	stats->free_runs = unused->count;
	stats->largest_free = e4df_runs_longest(unused);
	stats->data_end = find_data_end(map);
}

double e4df_stats_score(const struct e4df_stats *stats)
{
	if (!stats->followers)
		return 1.0;
	return (double)stats->in_place / (double)stats->followers;
}
