/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "outcome.h"

#include <stdlib.h>
#include <string.h>

void e4df_outcome_describe(struct e4df_outcome *out,
			   const struct e4df_volume *vol,
			   const struct e4df_map *map)
{
	const struct ext2_super_block *sb = e4df_volume_super(vol);

	out->block_size = e4df_map_geometry(map)->block_size;
	out->blocks = e4df_map_geometry(map)->blocks;
	memcpy(out->label, sb->s_volume_name, 16);
	e4df_super_print_uuid(sb->s_uuid, out->uuid);
}

static errcode_t name_worst(struct e4df_outcome *out,
			    const struct e4df_namespace *names,
			    const struct e4df_map *map)
{
	errcode_t err = 0;

	for (unsigned int i = 0; i < out->before.worst_count && !err; i++) {
		__u32 index = e4df_map_find(map, out->before.worst[i].ino);

		err = e4df_namespace_path(names, index, &out->worst_path[i]);
	}
	return err;
}

errcode_t e4df_outcome_look(struct e4df_outcome *out,
			    const struct e4df_namespace *names,
			    const struct e4df_map *map)
{
	errcode_t err = name_worst(out, names, map);

	if (!err)
		err = e4df_readcost_walk(map, names, &out->read_before);
	out->read_after = out->read_before;
	out->has_read_cost = !err;
	return err;
}

void e4df_outcome_free(struct e4df_outcome *out)
{
	if (!out)
		return;
	for (unsigned int i = 0; i < E4DF_WORST; i++)
		free(out->worst_path[i]);
	free(out);
}
