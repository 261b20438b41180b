/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * filecost - what reading all files takes, but no directories
 *
 *	filecost IMAGE
 *
 * Prints requests, seeks and seconds, by the model of the program
 * (lib/readcost.h) and in the same order, for regular files alone with their
 * mapping blocks: for a reader that has all names in memory.
 */
#include "e4df_err.h"
#include "must.h"
#include "namespace.h"
#include "readcost.h"
#include "scan.h"
#include "volume.h"

int main(int argc, char **argv)
{
	struct e4df_volume_options options = { .flags = E4DF_VOLUME_REPORT };
	struct e4df_sink sink = { .ctx = NULL };
	struct e4df_readcost cost;
	struct e4df_volume *vol;
	struct e4df_namespace *names;
	struct e4df_map *map;
	__u32 *order, count, n = 0;

	if (argc != 2)
		die("usage: filecost image");
	options.path = argv[1];
	initialize_ext2_error_table();
	initialize_e4df_error_table();
	must(e4df_volume_open(&options, &sink, &vol), options.path);
	must(e4df_scan(vol, 0, &sink, &map), options.path);
	must(e4df_namespace_read(vol, map, 0, NULL, 0, &names), options.path);
	must(e4df_namespace_order(names, E4DF_SORT_READDIR, &order, &count),
	     options.path);
	for (__u32 i = 0; i < count; i++)
		if (e4df_map_inode(map, order[i])->kind == E4DF_REGULAR)
			order[n++] = order[i];
	e4df_readcost_take(map, order, n, &cost);
	printf("%llu %llu %.3f\n", (unsigned long long)cost.requests,
	       (unsigned long long)cost.seeks, (double)cost.nsec / 1e9);
	free(order);
	e4df_namespace_free(names);
	e4df_map_free(map);
	must(e4df_volume_close(vol), options.path);
	return 0;
}
