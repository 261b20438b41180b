/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * super - layer 1, pure: changes to a superblock image that cannot be torn
 *
 * With metadata_csum the fields that a transaction changes lie in the first
 * 512 bytes of the superblock and its checksum in the second, so that a power
 * cut between the two sectors leaves a file system that neither the kernel
 * nor, with one block group, e2fsck accepts.  The functions here keep the
 * checksum what it was: four bytes behind the end of s_last_mounted, or of
 * s_volume_name, or those of s_snapshot_id, are set so that the CRC of the
 * whole comes out the same, and one sector is all that changes (I7).
 */
#ifndef E4DF_SUPER_H
#define E4DF_SUPER_H

#include <ext2fs/ext2fs.h>

#define E4DF_SUPER_OFFSET    1024 /* bytes from the file system's start */
#define E4DF_SUPER_SIZE	     1024
#define E4DF_SUPER_SECTOR    512 /* the part that ever changes */
#define E4DF_SUPER_UUID_TEXT 37	 /* characters with the end */

/*
 * Are there four unused bytes for the seal?  (last_mounted < 60 characters, or
 * volume_name < 12, or no snapshot)
 */
int e4df_super_can_seal(const struct ext2_super_block *sb);

/*
 * Makes `sb` valid after changes to its first 512 bytes: with metadata_csum
 * either by the seal (s_checksum stays, returns 1) or, where that is not
 * possible, by a new s_checksum (returns 0: both sectors changed).  Without
 * metadata_csum there is nothing to do (returns 1).
 */
int e4df_super_seal(struct ext2_super_block *sb);

/* Is the superblock's checksum right, if it has one? */
int e4df_super_is_valid(const struct ext2_super_block *sb);

/* A UUID in the usual form, in lower case. */
void e4df_super_print_uuid(const unsigned char uuid[16],
			   char text[E4DF_SUPER_UUID_TEXT]);

#endif
