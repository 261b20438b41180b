/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * badsectors - e4offdefrag on a device with sectors that cannot be read
 *
 * The program as it is, but linked so that its reads go through here.  The
 * environment variable BAD_SECTORS has numbers of sectors of 512 bytes,
 * separated by blanks.  A read ends before the first bad one, and fails if
 * that is where it begins, as those of the kernel do.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SECTOR 512

ssize_t __real_pread(int fd, void *buf, size_t bytes, off_t offset);
ssize_t __real_pread64(int fd, void *buf, size_t bytes, off64_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t bytes, off_t offset);
ssize_t __wrap_pread64(int fd, void *buf, size_t bytes, off64_t offset);

/* The bytes from offset on that can be read. */
static size_t readable(size_t bytes, off64_t offset)
{
	const char *at = getenv("BAD_SECTORS");
	char *end;

	for (; at && *at; at = end) {
		off64_t bad = (off64_t)strtoll(at, &end, 10) * SECTOR;

		if (end == at)
			break;
		if (bad + SECTOR <= offset || bad >= offset + (off64_t)bytes)
			continue;
		bytes = bad > offset ? (size_t)(bad - offset) : 0;
	}
	return bytes;
}

ssize_t __wrap_pread(int fd, void *buf, size_t bytes, off_t offset)
{
	return __wrap_pread64(fd, buf, bytes, offset);
}

ssize_t __wrap_pread64(int fd, void *buf, size_t bytes, off64_t offset)
{
	bytes = readable(bytes, offset);
	if (bytes)
		return __real_pread64(fd, buf, bytes, offset);
	errno = EIO;
	return -1;
}
