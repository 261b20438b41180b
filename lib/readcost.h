/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * readcost - layer 5, pure: what reading all files takes, by a simple model
 *
 * The reader meets the files as readdir returns them (namespace.h), going down
 * into each directory where it meets it, and reads each of them once, from its
 * first block to its last, with nothing in memory before.
 *
 * A file is read in windows of 128 KiB of the file, as Linux reads ahead by
 * default (read_ahead_kb); a request is what lies together in one window.
 * Nothing is read for holes and unwritten ranges.  A mapping block is a request
 * of its own, before the first block that it maps.  A directory is read like a
 * file, and before what is in it; an xattr block behind its first owner.
 * Inodes, bitmaps and journal are left out: they stay where they are.
 *
 * The disk reads 100 MB a second.  A request that does not begin where the one
 * before has ended is a seek: 8 ms, half a turn at 7200 a minute and a short
 * way of the heads, and up to 8 ms more in proportion to the distance, from
 * none to the size of the file system; a short gap in front is rather passed
 * over at the rate of reading.  So a random seek takes 11 ms in the mean, as
 * data sheets of such disks say (9 ms seek in the mean, of which short ones
 * take 1 to 2, and 4.2 ms latency).  The heads begin at block 0.
 *
 * The figures compare layouts; they do not say how long it takes elsewhere.
 */
#ifndef E4DF_READCOST_H
#define E4DF_READCOST_H

#include "namespace.h"

#define E4DF_READCOST_WINDOW (128 << 10) /* bytes */
#define E4DF_READCOST_BYTE   10		 /* ns for each that is read */
#define E4DF_READCOST_SEEK   8000000	 /* ns */
#define E4DF_READCOST_STROKE 8000000	 /* ns more, for the whole distance */

/* No sum goes beyond 2^64 - 1: there it stays. */
struct e4df_readcost {
	__u64 requests;
	__u64 seeks;
	__u64 distance; /* blocks, of all seeks, forwards and backwards */
	__u64 blocks;	/* read */
	__u64 nsec;
};

/* Reads these inodes of the map, in this order, and nothing else. */
void e4df_readcost_take(const struct e4df_map *map, const __u32 *order,
			__u32 count, struct e4df_readcost *ret);

/* In readdir order all that names lead to.  Returns ENOMEM. */
errcode_t e4df_readcost_walk(const struct e4df_map *map,
			     const struct e4df_namespace *names,
			     struct e4df_readcost *ret);

#endif
