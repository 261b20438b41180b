/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "left.h"

#include "plan.h"

/* Why this fragmented file stays; E4DF_MOVABLE if it need not. */
static enum e4df_why find_why(const struct e4df_left *left, __u32 index)
{
	enum e4df_why why = e4df_map_inode(left->map, index)->why;

	if (why != E4DF_MOVABLE)
		return why;
	if (left->is_wanted && !left->is_wanted[index])
		return E4DF_WHY_NOT_WANTED;
	if (e4df_plan_is_good(left->map, index, left->good_run))
		return E4DF_WHY_GOOD;
	return left->rest;
}

static int is_fragmented(const struct e4df_map *map, __u32 index)
{
	struct e4df_shape shape;

	if (!e4df_kind_is_file(e4df_map_inode(map, index)->kind))
		return 0;
	e4df_map_measure(map, index, &shape);
	return shape.runs > shape.ideal;
}

/* Those that cannot move have been counted by their reason already. */
void e4df_left_count(const struct e4df_left *left, struct e4df_stats *stats)
{
	__u64 rest = stats->left[E4DF_MOVABLE];

	for (__u32 i = 0; i < e4df_map_count(left->map) && rest; i++) {
		if (e4df_map_inode(left->map, i)->why != E4DF_MOVABLE ||
		    !is_fragmented(left->map, i))
			continue;
		rest--;
		stats->left[E4DF_MOVABLE]--;
		stats->left[find_why(left, i)]++;
	}
}

void e4df_left_tell(const struct e4df_left *left, struct e4df_sink *sink)
{
	for (__u32 i = 0; i < e4df_map_count(left->map); i++) {
		enum e4df_why why;

		if (!is_fragmented(left->map, i))
			continue;
		why = find_why(left, i);
		if (why != E4DF_MOVABLE)
			e4df_event_find(sink, E4DF_SKIPPED,
					e4df_map_inode(left->map, i)->ino, 0,
					"%s", e4df_why_text(why));
	}
}
