/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "foresee.h"

#include "update.h"

static errcode_t change_files(struct e4df_map *map,
			      const struct e4df_batch *batch)
{
	struct e4df_update u;
	errcode_t err = e4df_update_make(map, batch, &u);

	if (err)
		return err;
	for (size_t i = 0; i < u.mapping_count && !err; i++)
		err = e4df_map_change(map, &u.mappings[i],
				      u.extents + u.mappings[i].first);
	e4df_update_release(&u);
	return err;
}

/* The clusters of all that is fixed and all that can move. */
static errcode_t list_used(const struct e4df_map *map, struct e4df_runs *ret)
{
	const struct e4df_geometry *g = e4df_map_geometry(map);
	errcode_t err = e4df_runs_copy(e4df_map_fixed(map), ret);

	for (__u32 i = 0; i < e4df_map_count(map) && !err; i++) {
		const struct e4df_inode *inode = e4df_map_inode(map, i);
		const struct e4df_extent *e = e4df_map_extents(map, i);

		if (inode->why != E4DF_MOVABLE)
			continue;
		for (__u32 k = 0; k < inode->data + inode->tree && !err; k++)
			err = e4df_runs_push(ret, e[k].pblk, e[k].len);
	}
	e4df_runs_round(ret, g->cluster_bits, g->blocks);
	return err;
}

/* The rest is free, as for the planner. */
static errcode_t free_rest(struct e4df_map *map)
{
	const struct e4df_geometry *g = e4df_map_geometry(map);
	struct e4df_runs used = E4DF_RUNS_INIT, rest;
	errcode_t err = list_used(map, &used);

	if (!err)
		err = e4df_runs_invert(&used, g->first_block,
				       g->blocks - g->first_block, &rest);
	if (!err)
		e4df_map_set_free(map, &rest);
	e4df_runs_free(&used);
	return err;
}

/* No one asks for what is free in between, which is many ranges each time. */
errcode_t e4df_foresee(struct e4df_map *map, const struct e4df_plan *plan)
{
	errcode_t err = 0;

	for (size_t i = 0; i < e4df_plan_count(plan) && !err; i++)
		err = change_files(map, e4df_plan_batch(plan, i));
	return err ? err : free_rest(map);
}
