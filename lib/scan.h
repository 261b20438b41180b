/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan - layer 4: the volume as a map, and the check that it is consistent
 *
 * One pass over the inode tables, then the mapping blocks level by level in
 * physical order.  Every block is claimed once; at the end the claims must
 * equal the block bitmaps, and the used inodes the inode bitmaps, with all
 * counts and checksums right: what e2fsck's passes 1 and 5 would catch.
 */
#ifndef E4DF_SCAN_H
#define E4DF_SCAN_H

#include "map.h"
#include "volume.h"

/*
 * Scans; *ret is the caller's to free.  Returns E4DF_ET_INCONSISTENT (the
 * first findings went to the sink as E4DF_DAMAGE), E4DF_ET_HIBERNATED,
 * E4DF_ET_CANCELLED, errno or a code of libext2fs.  Writes nothing.
 */
errcode_t e4df_scan(struct e4df_volume *vol, struct e4df_sink *sink,
		    struct e4df_map **ret);

#endif
