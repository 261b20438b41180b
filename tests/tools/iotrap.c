/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iotrap - a library to be preloaded (LD_PRELOAD): what can happen to a
 * program when it reads, writes or flushes one file
 *
 * The environment says what:
 *
 *	IOTRAP_FILE	the file or device; nothing is done to others
 *	IOTRAP_KILL=N	SIGKILL at the Nth write or flush, before it is done
 *	IOTRAP_HALF=1	... or when one half of that write is done
 *	IOTRAP_STOP=N	SIGSTOP when the Nth write is done, from the first one
 *			to the superblock on
 *	IOTRAP_TERM=N	SIGTERM before the Nth read, write or flush, twice
 *	IOTRAP_EIO=N	the Nth read fails
 *	IOTRAP_READ_MS	each read takes so long
 *	IOTRAP_WRITE_MS	each write takes so long
 *	IOTRAP_MARK	a file to be made at the first read, write or flush
 *	IOTRAP_LOG	a file for one line at the end: reads, writes + flushes,
 *			what of both came after SIGTERM, and the advice on how
 *			the file is read that was given last (POSIX_FADV_)
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define SUPERBLOCK 1024 /* its offset */

/* Of the file, flushes among the latter, by all threads. */
static unsigned long reads, writes;
static unsigned long all, late; /* of both; those after SIGTERM */
static unsigned long marked;	/* writes since the superblock's */
static int advice = POSIX_FADV_NORMAL;

static unsigned long number(const char *name)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 10) : 0;
}

static int is_target(int fd)
{
	const char *name = getenv("IOTRAP_FILE");
	struct stat want, have;

	if (!name || stat(name, &want) || fstat(fd, &have))
		return 0;
	return want.st_dev == have.st_dev && want.st_ino == have.st_ino;
}

static void nap(unsigned long ms)
{
	struct timespec t = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000,
	};

	while (ms && nanosleep(&t, &t) && errno == EINTR)
		;
}

/* POSIX promises that the pointer to a function is what dlsym() returns. */
static void next(const char *name, void *function)
{
	*(void **)function = dlsym(RTLD_NEXT, name);
	if (!*(void **)function)
		abort();
}

static unsigned long count(unsigned long *counter)
{
	return __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
}

/* For who waits until the file is open. */
static void mark(void)
{
	const char *name = getenv("IOTRAP_MARK");
	int fd = name ? open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd >= 0)
		close(fd);
}

/* Once for each operation that is counted; which one of its kind is it? */
static unsigned long pass(unsigned long *counter)
{
	unsigned long term = number("IOTRAP_TERM"), n = count(&all);
	unsigned long ret = count(counter);

	if (n == 1)
		mark();
	if (term && n > term)
		count(&late);
	if (!term || n != term)
		return ret;
	kill(getpid(), SIGTERM); /* for any thread that takes it */
	kill(getpid(), SIGTERM); /* asking twice is no different */
	return ret;
}

static ssize_t trap_write(int fd, const void *buf, size_t bytes, off64_t at,
			  const char *name)
{
	ssize_t (*real)(int fd, const void *buf, size_t bytes, off64_t at);
	unsigned long n;
	ssize_t put;

	next(name, &real);
	if (!is_target(fd))
		return real(fd, buf, bytes, at);
	n = pass(&writes);
	if (n == number("IOTRAP_KILL")) {
		if (number("IOTRAP_HALF"))
			(void)!real(fd, buf, bytes / 2, at);
		raise(SIGKILL);
	}
	put = real(fd, buf, bytes, at);
	if ((at == SUPERBLOCK || marked) &&
	    count(&marked) == number("IOTRAP_STOP"))
		kill(getpid(), SIGSTOP);
	nap(number("IOTRAP_WRITE_MS"));
	return put;
}

static ssize_t trap_read(int fd, void *buf, size_t bytes, off64_t at,
			 const char *name)
{
	ssize_t (*real)(int fd, void *buf, size_t bytes, off64_t at);

	next(name, &real);
	if (!is_target(fd))
		return real(fd, buf, bytes, at);
	if (pass(&reads) == number("IOTRAP_EIO")) {
		errno = EIO;
		return -1;
	}
	nap(number("IOTRAP_READ_MS"));
	return real(fd, buf, bytes, at);
}

ssize_t pwrite(int fd, const void *buf, size_t bytes, off_t at)
{
	return trap_write(fd, buf, bytes, at, "pwrite");
}

ssize_t pwrite64(int fd, const void *buf, size_t bytes, off64_t at)
{
	return trap_write(fd, buf, bytes, at, "pwrite64");
}

ssize_t pread(int fd, void *buf, size_t bytes, off_t at)
{
	return trap_read(fd, buf, bytes, at, "pread");
}

ssize_t pread64(int fd, void *buf, size_t bytes, off64_t at)
{
	return trap_read(fd, buf, bytes, at, "pread64");
}

int fdatasync(int fd)
{
	int (*real)(int fd);

	next("fdatasync", &real);
	if (!is_target(fd))
		return real(fd);
	if (pass(&writes) == number("IOTRAP_KILL"))
		raise(SIGKILL);
	return real(fd);
}

int posix_fadvise(int fd, off_t at, off_t bytes, int how)
{
	int (*real)(int fd, off_t at, off_t bytes, int how);

	next("posix_fadvise", &real);
	if (is_target(fd) &&
	    (how == POSIX_FADV_NORMAL || how == POSIX_FADV_RANDOM ||
	     how == POSIX_FADV_SEQUENTIAL))
		advice = how;
	return real(fd, at, bytes, how);
}

/* Also where the file was never touched: so a test sees that this is loaded. */
__attribute__((destructor)) static void tell(void)
{
	const char *name = getenv("IOTRAP_LOG");
	FILE *f = name ? fopen(name, "w") : NULL;

	if (!f)
		return;
	fprintf(f, "%lu %lu %lu %d\n", reads, writes, late, advice);
	fclose(f);
}
