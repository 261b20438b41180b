/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan - layer 4: the volume as a map, and the check that it is consistent
 *
 * One pass over the inode tables, then the mapping blocks level by level in
 * physical order.  Every block is claimed once; at the end the claims must
 * equal the block bitmaps, and the used inodes the inode bitmaps, with all
 * counts and checksums right: what e2fsck's passes 1 and 5 would catch.
 *
 * Memory besides the map's: while mapping blocks are read, 16 bytes for each
 * extent that they tell of and 32 for each of them; then 4 bytes for each
 * extent, and 16 for those of one region of the device; 16 for each range of
 * used blocks.  Buffers of 1 MiB; what is read ahead, about 8 MiB, waits in
 * the kernel's cache.  One thread: reads are issued in one order.
 */
#ifndef E4DF_SCAN_H
#define E4DF_SCAN_H

#include "map.h"
#include "volume.h"

/* What may move nevertheless. */
#define E4DF_SCAN_IMMUTABLE 0x1 /* immutable and append-only files */
#define E4DF_SCAN_BOOT	    0x2 /* below /boot, with a boot sector in use */
#define E4DF_SCAN_CONVERT   0x4 /* block maps beyond 2^32 blocks */

#define E4DF_SCAN_AGAIN 0x8 /* what cannot be read has been told before */

/*
 * Scans; *ret is the caller's to free.  flags: E4DF_SCAN_.  Returns
 * E4DF_ET_INCONSISTENT (the first findings went to the sink as E4DF_DAMAGE),
 * E4DF_ET_HIBERNATED, E4DF_ET_CANCELLED, errno or a code of libext2fs.  Writes
 * nothing.
 */
errcode_t e4df_scan(struct e4df_volume *vol, unsigned int flags,
		    struct e4df_sink *sink, struct e4df_map **ret);

#endif
