/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inject.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ext2fs/ext2fs.h>

#include "../tools/tool.h"

#define SECTOR 512

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *s);
errcode_t __real_ext2fs_extent_open2(ext2_filsys fs, ext2_ino_t ino,
				     struct ext2_inode *inode,
				     ext2_extent_handle_t *ret);
ssize_t __real_read(int fd, void *buf, size_t bytes);
ssize_t __real_pread(int fd, void *buf, size_t bytes, off_t offset);
ssize_t __real_pwrite(int fd, const void *buf, size_t bytes, off_t offset);
int __real_fdatasync(int fd);
int __real_fsync(int fd);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *s);
int __wrap_asprintf(char **ret, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
errcode_t __wrap_ext2fs_extent_open2(ext2_filsys fs, ext2_ino_t ino,
				     struct ext2_inode *inode,
				     ext2_extent_handle_t *ret);
ssize_t __wrap_read(int fd, void *buf, size_t bytes);
ssize_t __wrap_pread(int fd, void *buf, size_t bytes, off_t offset);
ssize_t __wrap_pread64(int fd, void *buf, size_t bytes, off64_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t bytes, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t bytes, off64_t offset);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);

_Static_assert(sizeof(off_t) == 8, "large files");

enum sort { READ, WRITE, FLUSH, ALLOC };

static const struct kind {
	const char *name;
	enum sort sort;
	int code;     /* errno; 0 = fewer bytes */
	int is_error; /* may the run fail? */
} kinds[INJECT_KINDS] = {
	[INJECT_READ_EIO] = { "read-eio", READ, EIO, 1 },
	[INJECT_READ_BAD] = { "read-bad", READ, EIO, 1 },
	[INJECT_READ_END] = { "read-end", READ, 0, 1 },
	[INJECT_READ_SHORT] = { "read-short", READ, 0, 0 },
	[INJECT_READ_EINTR] = { "read-eintr", READ, EINTR, 0 },
	[INJECT_WRITE_EIO] = { "write-eio", WRITE, EIO, 1 },
	[INJECT_WRITE_ENOSPC] = { "write-enospc", WRITE, ENOSPC, 1 },
	[INJECT_WRITE_TORN] = { "write-torn", WRITE, EIO, 1 },
	[INJECT_WRITE_SHORT] = { "write-short", WRITE, 0, 0 },
	[INJECT_WRITE_EINTR] = { "write-eintr", WRITE, EINTR, 0 },
	[INJECT_FLUSH_EIO] = { "flush-eio", FLUSH, EIO, 1 },
	[INJECT_ALLOC] = { "alloc", ALLOC, ENOMEM, 1 },
};

static struct {
	int is_on;
	enum inject_kind kind;
	uint64_t n;
	dev_t dev;
	ino_t ino;
	int is_excused; /* allocations do not count */
	int is_torn;	/* the next write of this thread fails: */
	pthread_t torn;
	int is_failed;	  /* a write or a flush has failed */
	pthread_t failed; /* in this thread */
	pthread_t main;	  /* handles failures */
	struct inject_result result;
} now;

/* Reads and writes come from several threads; the real ones are not under it */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

const char *inject_name(enum inject_kind kind)
{
	return kinds[kind].name;
}

int inject_is_error(enum inject_kind kind)
{
	return kinds[kind].is_error;
}

int inject_is_harmless(enum inject_kind kind)
{
	return kinds[kind].sort == READ || kinds[kind].sort == ALLOC;
}

void inject_start(enum inject_kind kind, uint64_t n, const char *target)
{
	struct stat st;

	if (stat(target, &st) < 0)
		die("%s: %s", target, strerror(errno));
	memset(&now, 0, sizeof(now));
	now.kind = kind;
	now.n = n;
	now.dev = st.st_dev;
	now.ino = st.st_ino;
	now.main = pthread_self();
	now.result.bad = -1;
	now.is_on = 1;
}

struct inject_result inject_stop(void)
{
	now.is_on = 0;
	return now.result;
}

static int is_target(int fd)
{
	int code = errno, is_it;
	struct stat st;

	is_it = now.is_on && !fstat(fd, &st) && st.st_dev == now.dev &&
		st.st_ino == now.ino;
	errno = code;
	return is_it;
}

/* Is this call the one? */
static int is_hit(enum sort sort)
{
	if (!now.is_on || kinds[now.kind].sort != sort ||
	    ++now.result.calls != now.n)
		return 0;
	now.result.is_hit = 1;
	return 1;
}

static void note(off_t offset, size_t bytes)
{
	now.result.offset = offset;
	now.result.bytes = bytes;
}

static int refuse(int code)
{
	errno = code;
	return -1;
}

/* -- memory ---------------------------------------------------------------- */

static int is_refused(void)
{
	if (now.is_excused || !is_hit(ALLOC))
		return 0;
	errno = ENOMEM;
	return 1;
}

void *__wrap_malloc(size_t size)
{
	return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return is_refused() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *s)
{
	return is_refused() ? NULL : __real_strdup(s);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;
	int len;

	if (is_refused()) {
		*ret = (char *)1; /* what it is then nobody knows */
		return -1;
	}
	va_start(args, format);
	len = vasprintf(ret, format, args);
	va_end(args);
	return len;
}

/*
 * libext2fs 1.47 does not look whether it got memory for the path, and would
 * crash.  We call it (by way of ext2fs_bmap2 and ext2fs_dir_iterate2) before
 * the first write and behind the last one only.
 */
errcode_t __wrap_ext2fs_extent_open2(ext2_filsys fs, ext2_ino_t ino,
				     struct ext2_inode *inode,
				     ext2_extent_handle_t *ret)
{
	errcode_t err;

	now.is_excused = 1;
	err = __real_ext2fs_extent_open2(fs, ino, inode, ret);
	now.is_excused = 0;
	return err;
}

/* -- reads ----------------------------------------------------------------- */

/* Up to the bad sector, as the kernel does. */
static size_t readable(off_t offset, size_t bytes)
{
	off_t bad = now.result.bad;

	if (bad < 0 || bad + SECTOR <= offset || bad >= offset + (off_t)bytes)
		return bytes;
	return bad > offset ? (size_t)(bad - offset) : 0;
}

static ssize_t limit_locked(off_t offset, size_t bytes)
{
	if (is_hit(READ)) {
		note(offset, bytes);
		if (now.kind == INJECT_READ_END)
			return 0;
		if (now.kind == INJECT_READ_SHORT)
			return (ssize_t)(bytes / 2 + 1);
		if (now.kind != INJECT_READ_BAD)
			return refuse(kinds[now.kind].code);
		now.result.bad = (offset + (off_t)bytes / 2) & -SECTOR;
	}
	bytes = readable(offset, bytes);
	return bytes ? (ssize_t)bytes : refuse(EIO);
}

/* The bytes that can be read; -1: an error. */
static ssize_t limit_read(off_t offset, size_t bytes)
{
	ssize_t limit;

	pthread_mutex_lock(&lock);
	limit = limit_locked(offset, bytes);
	pthread_mutex_unlock(&lock);
	return limit;
}

/* libblkid's way. */
ssize_t __wrap_read(int fd, void *buf, size_t bytes)
{
	ssize_t limit = (ssize_t)bytes;

	if (bytes && is_target(fd))
		limit = limit_read(lseek(fd, 0, SEEK_CUR), bytes);
	return limit < 0 ? -1 : __real_read(fd, buf, (size_t)limit);
}

ssize_t __wrap_pread(int fd, void *buf, size_t bytes, off_t offset)
{
	ssize_t limit = (ssize_t)bytes;

	if (bytes && is_target(fd))
		limit = limit_read(offset, bytes);
	return limit < 0 ? -1 : __real_pread(fd, buf, (size_t)limit, offset);
}

ssize_t __wrap_pread64(int fd, void *buf, size_t bytes, off64_t offset)
{
	return __wrap_pread(fd, buf, bytes, offset);
}

/* -- writes ---------------------------------------------------------------- */

static ssize_t fail_write(int code)
{
	now.is_failed = 1;
	now.failed = pthread_self();
	return refuse(code);
}

/*
 * Who knows of the failure must not write.  Other threads may not have heard
 * of it yet, and what they have begun is under way.
 */
static void check_order(void)
{
	if (now.is_failed && (pthread_equal(pthread_self(), now.main) ||
			      pthread_equal(pthread_self(), now.failed)))
		now.result.offence = "a write behind a failure";
}

/* The bytes that are written; -1: an error. */
static ssize_t limit_write(off_t offset, size_t bytes)
{
	check_order();
	if (now.is_torn && pthread_equal(pthread_self(), now.torn)) {
		now.is_torn = 0;
		return fail_write(EIO);
	}
	if (!is_hit(WRITE))
		return (ssize_t)bytes;
	note(offset, bytes);
	if (now.kind == INJECT_WRITE_EINTR)
		return refuse(EINTR);
	if (now.kind != INJECT_WRITE_TORN && now.kind != INJECT_WRITE_SHORT)
		return fail_write(kinds[now.kind].code);
	now.is_torn = now.kind == INJECT_WRITE_TORN;
	now.torn = pthread_self();
	return (ssize_t)(bytes / 2);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t bytes, off_t offset)
{
	ssize_t limit = (ssize_t)bytes;

	if (is_target(fd)) {
		pthread_mutex_lock(&lock);
		limit = limit_write(offset, bytes);
		pthread_mutex_unlock(&lock);
	}
	return limit < 0 ? -1 : __real_pwrite(fd, buf, (size_t)limit, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t bytes, off64_t offset)
{
	return __wrap_pwrite(fd, buf, bytes, offset);
}

static int flush(int fd, int (*really)(int fd))
{
	if (!is_target(fd))
		return really(fd);
	if (now.is_failed)
		now.result.offence = "a flush behind a failure";
	if (!is_hit(FLUSH))
		return 0;
	now.is_failed = 1;
	return refuse(EIO);
}

int __wrap_fdatasync(int fd)
{
	return flush(fd, __real_fdatasync);
}

int __wrap_fsync(int fd)
{
	return flush(fd, __real_fsync);
}
