/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unreadable - layer 4: files with blocks that the device cannot read
 *
 * Such a file stays where it is, for E4DF_WHY_UNREADABLE, and is told to the
 * sink as E4DF_DAMAGE with its inode and the first such block.
 */
#ifndef E4DF_UNREADABLE_H
#define E4DF_UNREADABLE_H

#include "event.h"
#include "map.h"

/* Tells the sink of one file. */
void e4df_unreadable_tell(struct e4df_sink *sink, ext2_ino_t ino, blk64_t blk);

/*
 * Pins and tells all movable files that have data in `bad` (canonical).
 * Returns ENOMEM, or E4DF_ET_UNREADABLE if there are none.
 */
errcode_t e4df_unreadable_pin(struct e4df_map *map, const struct e4df_runs *bad,
			      struct e4df_sink *sink);

/* The number of files that the map has pinned. */
__u32 e4df_unreadable_count(const struct e4df_map *map);

#endif
