/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inodes.h"

#include <string.h>

/*
 * Inodes do not straddle blocks: their size divides a block's.  The buffer is
 * no allocation that can fail, for libext2fs takes that for a wrong checksum
 * of a directory.
 */
static errcode_t read_inode(ext2_filsys fs, ext2_ino_t ino,
			    struct ext2_inode *inode)
{
	struct ext2_super_block *sb = fs->super;
	unsigned int bs = fs->blocksize;
	blk64_t byte, blk;
	errcode_t err;
	char block[EXT2_MAX_BLOCK_SIZE];

	if (!ino || ino > sb->s_inodes_count)
		return EXT2_ET_BAD_INODE_NUM;
	byte = (blk64_t)((ino - 1) % sb->s_inodes_per_group) *
	       EXT2_INODE_SIZE(sb);
	blk = ext2fs_inode_table_loc(fs, (ino - 1) / sb->s_inodes_per_group) +
	      byte / bs;
	if (blk < sb->s_first_data_block || blk >= ext2fs_blocks_count(sb))
		return EXT2_ET_GDESC_BAD_INODE_TABLE;
	err = io_channel_read_blk64(fs->io, blk, 1, block);
	if (!err &&
	    !ext2fs_inode_csum_verify(fs, ino, (void *)(block + byte % bs)))
		err = EXT2_ET_INODE_CSUM_INVALID;
	if (!err)
		memcpy(inode, block + byte % bs, sizeof(*inode));
	return err;
}

void e4df_inodes_attach(ext2_filsys fs)
{
	fs->read_inode = read_inode;
}
