/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * treesum - what the kernel shows of a mounted tree
 *
 * One line for each name, in the order readdir gives them (which is part of
 * what is compared), never into another mount: all metadata, and digests of
 * extended attributes, holes, extents and contents.  The extents are those of
 * FIEMAP without their place: neighbours that differ in it only are joined.
 * st_blocks is left out.  So a defragmenter must not change anything here,
 * nor must a remount.  The last line is a digest of all lines, which -q prints
 * alone.  With -1 a file with several names is read at its first one only.
 *
 * Changes nothing.  For root the walk goes through a private, read-only and
 * noatime clone of the mount; others must own what they read (O_NOATIME), and
 * reading a symbolic link may then update its atime: no flag prevents that.
 *
 * cc -o treesum treesum.c
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "sum.h"
#include "tool.h"

enum {
	BUF_SIZE = 1 << 20,
	UNIT = 4096,		     /* bytes looked at together */
	XATTR_ROOM = 1 << 16,	     /* the kernel's limits */
	EXTENTS = 512,		     /* asked for at a time */
	LINE_ROOM = 4096 * 4 + 1024, /* an escaped path, and the numbers */
};

struct walker {
	bool print;
	bool read_once;
	dev_t mount;	/* never crossed */
	char *buf;	/* owned, BUF_SIZE bytes */
	char *names;	/* owned, XATTR_ROOM bytes */
	char *line;	/* owned, LINE_ROOM bytes */
	size_t len;	/* of the line */
	uint64_t lines; /* digest of all lines so far */
	uint64_t *read; /* owned; inodes with several names that were read */
	size_t read_count;
};

static void must(long ret, const char *what, const char *path)
{
	if (ret < 0)
		die("%s: %s: %s", path, what, strerror(errno));
}

/* -- lines -------------------------------------------------------------- */

static void append(struct walker *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void append(struct walker *w, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(w->line + w->len, LINE_ROOM - w->len, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= LINE_ROOM - w->len)
		die("line too long");
	w->len += (size_t)n;
}

static void append_escaped(struct walker *w, const char *s)
{
	for (; *s; s++) {
		if (*s > ' ' && *s < 127 && *s != '\\')
			append(w, "%c", *s);
		else
			append(w, "\\%03o", (unsigned char)*s);
	}
}

static void append_sum(struct walker *w, const char *name, uint64_t sum)
{
	append(w, " %s=%016llx", name, (unsigned long long)sum);
}

static void end_line(struct walker *w)
{
	w->lines = sum_bytes(w->lines, w->line, w->len);
	if (w->print)
		puts(w->line);
	w->len = 0;
}

/* -- extended attributes ------------------------------------------------ */

/* The order in which the kernel lists them has no meaning: add them up. */
static void append_xattrs(struct walker *w, int dir, const char *name,
			  const char *path)
{
	char link[64];
	ssize_t len, size;
	uint64_t total = 0;
	char *key;
	int fd;

	/* an O_PATH descriptor does for all types, through /proc */
	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	must(fd, "open", path);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = listxattr(link, w->names, XATTR_ROOM);
	if (len < 0 && errno == EOPNOTSUPP)
		len = 0;
	must(len, "listxattr", path);
	for (key = w->names; key < w->names + len; key += strlen(key) + 1) {
		size = getxattr(link, key, w->buf, XATTR_ROOM);
		must(size, "getxattr", path);
		total += sum_bytes(sum_bytes(SUM_START, key, strlen(key)),
				   w->buf, (size_t)size);
	}
	must(close(fd), "close", path);
	append_sum(w, "xattrs", total);
}

/* -- regular files ------------------------------------------------------ */

static void append_flags(struct walker *w, int fd)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0)
		append(w, " flags=%x", (unsigned int)flags);
}

/*
 * Unwritten blocks count as data when they are in the page cache, where
 * reading ahead may have put them: so empty that first.
 */
static void append_holes(struct walker *w, int fd, off_t size, const char *path)
{
	uint64_t sum = SUM_START;
	off_t pos = 0, data;

	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	must(-errno, "fadvise", path);
	while (pos < size) {
		data = lseek(fd, pos, SEEK_DATA);
		if (data < 0 && errno == ENXIO) /* a hole at the end */
			break;
		must(data, "SEEK_DATA", path);
		pos = lseek(fd, data, SEEK_HOLE);
		must(pos, "SEEK_HOLE", path);
		sum = sum_word(sum, (uint64_t)data);
		sum = sum_word(sum, (uint64_t)pos);
	}
	append_sum(w, "holes", sum);
}

struct extent {
	uint64_t start; /* bytes */
	uint64_t end;
	bool unwritten;
};

static uint64_t sum_extent(uint64_t sum, const struct extent *e)
{
	if (e->start == e->end)
		return sum;
	return sum_word(sum_word(sum_word(sum, e->start), e->end),
			e->unwritten);
}

/* Joins what lies side by side in the file and is in the same state. */
static uint64_t join_extent(uint64_t sum, struct extent *last,
			    const struct fiemap_extent *fe)
{
	struct extent e = {
		.start = fe->fe_logical,
		.end = fe->fe_logical + fe->fe_length,
		.unwritten = fe->fe_flags & FIEMAP_EXTENT_UNWRITTEN,
	};

	if (e.start == last->end && e.unwritten == last->unwritten) {
		last->end = e.end;
		return sum;
	}
	sum = sum_extent(sum, last);
	*last = e;
	return sum;
}

static void append_extents(struct walker *w, int fd, const char *path)
{
	struct fiemap *map = must_alloc(
		calloc(1, sizeof(*map) + EXTENTS * sizeof(*map->fm_extents)));
	struct fiemap_extent *fe;
	struct extent last = { 0, 0, false };
	uint64_t sum = SUM_START, pos = 0;
	bool more = true;

	while (more) {
		map->fm_start = pos;
		map->fm_length = FIEMAP_MAX_OFFSET - pos;
		map->fm_flags = FIEMAP_FLAG_SYNC;
		map->fm_extent_count = EXTENTS;
		must(ioctl(fd, FS_IOC_FIEMAP, map), "FIEMAP", path);
		more = map->fm_mapped_extents > 0;
		for (fe = map->fm_extents;
		     fe < map->fm_extents + map->fm_mapped_extents; fe++) {
			sum = join_extent(sum, &last, fe);
			pos = fe->fe_logical + fe->fe_length;
			if (fe->fe_flags & FIEMAP_EXTENT_LAST)
				more = false;
		}
	}
	append_sum(w, "extents", sum_extent(sum, &last));
	free(map);
}

static bool is_zero(const char *byte, size_t len)
{
	return !len || (!*byte && !memcmp(byte, byte + 1, len - 1));
}

/*
 * The units that are not all zero.  That does not depend on what SEEK_DATA
 * takes for data, which is used to save time only.
 */
static void append_content(struct walker *w, int fd, const char *path)
{
	uint64_t sum = SUM_START;
	off_t pos = 0, data;
	ssize_t n, i;
	size_t len;

	while ((data = lseek(fd, pos, SEEK_DATA)) >= 0) {
		pos = data - data % UNIT;
		n = pread(fd, w->buf, BUF_SIZE, pos);
		if (n <= 0)
			die("%s: read: %s", path,
			    n ? strerror(errno) :
				"the file has become shorter");
		for (i = 0; i < n; i += UNIT, pos += UNIT) {
			len = n - i < UNIT ? (size_t)(n - i) : UNIT;
			if (is_zero(w->buf + i, len))
				continue;
			sum = sum_word(sum, (uint64_t)pos);
			sum = sum_bytes(sum, w->buf + i, len);
		}
	}
	if (errno != ENXIO)
		die("%s: SEEK_DATA: %s", path, strerror(errno));
	append_sum(w, "data", sum);
}

/* -- the walk ----------------------------------------------------------- */

static void append_status(struct walker *w, int type, const struct statx *st)
{
	append(w,
	       " type=%d ino=%llu mode=%o links=%u uid=%u gid=%u "
	       "size=%llu mtime=%lld.%09u ctime=%lld.%09u btime=%lld.%09u "
	       "rdev=%u:%u",
	       type, (unsigned long long)st->stx_ino, st->stx_mode,
	       st->stx_nlink, st->stx_uid, st->stx_gid,
	       (unsigned long long)st->stx_size,
	       (long long)st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec,
	       (long long)st->stx_ctime.tv_sec, st->stx_ctime.tv_nsec,
	       (long long)st->stx_btime.tv_sec, st->stx_btime.tv_nsec,
	       st->stx_rdev_major, st->stx_rdev_minor);
}

static int open_quietly(int dir, const char *name, int flags, const char *path)
{
	int fd = openat(dir, name,
			O_RDONLY | O_NOATIME | O_NOFOLLOW | O_NONBLOCK |
				O_CLOEXEC | flags);

	if (fd < 0 && !(flags & O_DIRECTORY) &&
	    (errno == ENOKEY || errno == EOPNOTSUPP))
		return fd;
	must(fd, "open", path);
	return fd;
}

static void append_target(struct walker *w, int dir, const char *name,
			  const char *path)
{
	ssize_t n = readlinkat(dir, name, w->buf, BUF_SIZE - 1);

	must(n, "readlink", path);
	w->buf[n] = '\0';
	append_sum(w, "target", sum_bytes(SUM_START, w->buf, (size_t)n));
}

/* A linear search: only small trees are read like that, but often. */
static bool was_read(struct walker *w, const struct statx *st)
{
	size_t i;

	if (!w->read_once || st->stx_nlink < 2)
		return false;
	for (i = 0; i < w->read_count; i++)
		if (w->read[i] == st->stx_ino)
			return true;
	w->read = must_alloc(
		realloc(w->read, (w->read_count + 1) * sizeof(*w->read)));
	w->read[w->read_count++] = st->stx_ino;
	return false;
}

/* Without a key, or a kernel that can verify, nobody can open the file. */
static void append_regular(struct walker *w, int dir, const char *name,
			   off_t size, const char *path)
{
	int fd = open_quietly(dir, name, 0, path);

	if (fd < 0) {
		append(w, " closed=%d", errno);
		return;
	}
	append_flags(w, fd);
	append_extents(w, fd, path);
	append_holes(w, fd, size, path);
	append_content(w, fd, path);
	must(close(fd), "close", path);
}

static void walk_dir(struct walker *w, int fd, const char *path);

static void show_entry(struct walker *w, int dir, const char *name, int type,
		       const char *path)
{
	bool walk_on;
	struct statx st;
	int fd = -1;

	must(statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		   STATX_BASIC_STATS | STATX_BTIME, &st),
	     "stat", path);
	walk_on = S_ISDIR(st.stx_mode) &&
		  w->mount == makedev(st.stx_dev_major, st.stx_dev_minor);
	append_escaped(w, path);
	append_status(w, type, &st);
	append_xattrs(w, dir, name, path);
	if (walk_on) {
		fd = open_quietly(dir, name, O_DIRECTORY, path);
		append_flags(w, fd);
	} else if (S_ISREG(st.stx_mode) && !was_read(w, &st)) {
		append_regular(w, dir, name, (off_t)st.stx_size, path);
	} else if (S_ISLNK(st.stx_mode)) {
		append_target(w, dir, name, path);
	}
	end_line(w);
	if (walk_on)
		walk_dir(w, fd, path);
}

/* Takes over @fd. */
static void walk_dir(struct walker *w, int fd, const char *path)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	char *below;

	if (!dir)
		die("%s: opendir: %s", path, strerror(errno));
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		below = must_alloc(
			malloc(strlen(path) + strlen(entry->d_name) + 2));
		sprintf(below, "%s/%s", path, entry->d_name);
		show_entry(w, dirfd(dir), entry->d_name, entry->d_type, below);
		free(below);
	}
	if (errno)
		die("%s: readdir: %s", path, strerror(errno));
	must(closedir(dir), "close", path);
}

static int open_tree_quietly(const char *path)
{
	struct mount_attr quiet = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME,
		.attr_clr = MOUNT_ATTR__ATIME,
	};
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0 && (errno == EPERM || errno == ENOSYS))
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	else if (fd >= 0)
		must(mount_setattr(fd, "", AT_EMPTY_PATH, &quiet,
				   sizeof(quiet)),
		     "mount_setattr", path);
	must(fd, "open", path);
	return fd;
}

int main(int argc, char **argv)
{
	struct walker w = { .print = true, .lines = SUM_START };
	struct stat st;
	int opt, root;

	while ((opt = getopt(argc, argv, "1q")) != -1) {
		if (opt == '1')
			w.read_once = true;
		else if (opt == 'q')
			w.print = false;
		else
			return EXIT_FAILURE;
	}
	if (optind != argc - 1)
		die("usage: treesum [-1q] DIR");
	root = open_tree_quietly(argv[optind]);
	must(fstat(root, &st), "stat", argv[optind]);
	w.mount = st.st_dev;
	w.buf = must_alloc(malloc(BUF_SIZE));
	w.names = must_alloc(malloc(XATTR_ROOM));
	w.line = must_alloc(malloc(LINE_ROOM));
	show_entry(&w, root, ".", DT_DIR, ".");
	must(close(root), "close", argv[optind]);
	printf("%016llx\n", (unsigned long long)w.lines);
	free(w.buf);
	free(w.names);
	free(w.line);
	free(w.read);
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
