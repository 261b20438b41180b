/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmp - layer 1: multi-mount protection, the block that keeps other hosts off
 *
 * A block of the file system says who uses it.  Taking it lasts some seconds,
 * in which another host that uses it would show itself.  While it is held it
 * bears the number of e2fsck, at which everybody else keeps off until somebody
 * says that he knows better (tune2fs -E clear_mmp); so a run that is held up,
 * as by a slow device, loses nothing.
 *
 *	take          refresh, refresh, ...          release
 *	CLEAN ------> FSCK ------------------------> CLEAN
 */
#ifndef E4DF_MMP_H
#define E4DF_MMP_H

#include "gate.h"

struct e4df_mmp;

struct e4df_mmp_options {
	ext2_filsys fs; /* (borrowed) for its superblock and checksums */
	struct e4df_gate *gate; /* (borrowed) */
	struct e4df_sink *sink; /* (borrowed) */
	const char *path;	/* (borrowed) of the device or image */
	int fd;			/* (borrowed) it is open here */
	uint64_t offset;	/* bytes before the file system */
};

/*
 * Takes the block; *ret is the caller's to free.  Waits for 11 seconds at
 * least.  Returns E4DF_ET_BUSY, explained, if another host may use the file
 * system; E4DF_ET_CANCELLED, with the block as it was; EXT2_ET_MMP_ codes,
 * errno.
 */
errcode_t e4df_mmp_take(const struct e4df_mmp_options *options,
			struct e4df_mmp **ret);

/*
 * Checks that the block is as it was left, and puts the time into it: at most
 * once in a few seconds, so this may be called as often as one likes.  If it
 * is not, or cannot be read or written, nothing more is written to the file
 * system: E4DF_ET_BUSY, errno, explained.
 */
errcode_t e4df_mmp_refresh(struct e4df_mmp *mmp);

/*
 * Hands the block back.  Not if another host has taken it, or the gate has
 * stopped: then an error.  What follows is for e4df_mmp_free() alone.
 */
errcode_t e4df_mmp_release(struct e4df_mmp *mmp);

/* Accepts NULL.  Writes nothing. */
void e4df_mmp_free(struct e4df_mmp *mmp);

#endif
