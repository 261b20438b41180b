/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inodes - layer 2: how libext2fs reads an inode
 *
 * Its own way (1.47) has a cache; when memory lacks while it is made, it frees
 * what it has not allocated, and crashes.
 */
#ifndef E4DF_INODES_H
#define E4DF_INODES_H

#include <ext2fs/ext2fs.h>

/* From now on libext2fs reads inodes one by one, without a cache. */
void e4df_inodes_attach(ext2_filsys fs);

#endif
