/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names - layer 4: paths of inodes, for reports
 */
#ifndef E4DF_NAMES_H
#define E4DF_NAMES_H

#include "map.h"
#include "volume.h"

/*
 * Finds a path for each of count inodes, by one look at all directories.
 * path[i] is the caller's to free; "<inode N>" where none was found, also
 * because a directory cannot be read.  Returns ENOMEM, E4DF_ET_CANCELLED, or a
 * code of libext2fs for a directory that it does not understand.
 */
errcode_t e4df_names_find(struct e4df_volume *vol, const struct e4df_map *map,
			  const ext2_ino_t *ino, size_t count, char **path);

#endif
