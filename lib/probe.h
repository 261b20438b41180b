/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe - layer 1: is this ours to open, and is it what the user thinks?
 *
 * Everything here only reads.
 */
#ifndef E4DF_PROBE_H
#define E4DF_PROBE_H

#include "event.h"

/*
 * Opens a block device or image for the whole run and holds it: O_EXCL on a
 * device, flock and an open-file-description lock on both.  is_writing opens
 * read-write.  Refuses what is mounted, attached to a loop device or open in
 * another program.  On success *fd is the caller's to close, *size is in
 * bytes.  Returns E4DF_ET_MOUNTED, E4DF_ET_BUSY, E4DF_ET_NOT_EXT (neither a
 * device nor a file) or errno, each explained to the sink.
 */
errcode_t e4df_probe_open(const char *path, unsigned int flags,
			  struct e4df_sink *sink, int *fd, uint64_t *size);

#define E4DF_PROBE_WRITE 0x1

/*
 * Is there an ext2/3/4 file system at this byte offset, and no other
 * signature?  Returns E4DF_ET_NOT_EXT, with the real name of the contents to
 * the sink where libblkid knows it.
 */
errcode_t e4df_probe_identify(int fd, const char *path, uint64_t offset,
			      struct e4df_sink *sink);

/*
 * Reads from fd before there is a gate.  What lies behind its end becomes
 * zeros; *got is the number of bytes before that.  Returns errno, told.
 */
errcode_t e4df_probe_read(int fd, const char *path, uint64_t offset, void *buf,
			  size_t bytes, size_t *got, struct e4df_sink *sink);

#endif
