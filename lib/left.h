/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * left - layer 5, pure: why a fragmented file stays as it is
 */
#ifndef E4DF_LEFT_H
#define E4DF_LEFT_H

#include "event.h"
#include "stats.h"

struct e4df_left {
	const struct e4df_map *map;	/* (borrowed) */
	const unsigned char *is_wanted; /* (borrowed) NULL: all are */
	blk64_t good_run;		/* blocks; as in struct e4df_policy */
	enum e4df_why rest;		/* where nothing else is the reason:
			     * E4DF_MOVABLE, E4DF_WHY_NO_ROOM */
};

/* Gives those of stats->left that can move their reasons; of the same map. */
void e4df_left_count(const struct e4df_left *left, struct e4df_stats *stats);

/* Tells the sink of each that stays, as E4DF_SKIPPED. */
void e4df_left_tell(const struct e4df_left *left, struct e4df_sink *sink);

#endif
