/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crc32c - layer 0: the checksum of ext4's metadata, in bulk
 *
 * Gives what ext2fs_crc32c_le() gives.  The scan checks every inode and every
 * mapping block, so that this is where much of its time goes; a processor that
 * has an instruction for it does it ten times as fast.
 */
#ifndef E4DF_CRC32C_H
#define E4DF_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t e4df_crc32c(uint32_t seed, const void *data, size_t bytes);

#endif
