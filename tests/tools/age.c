/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * age - make a mounted file system old in a minute
 *
 * Does to a directory what years of use do: dozens of files grow at the same
 * time, each append on disk before the next one begins, so that delayed
 * allocation cannot put them in one piece; files are deleted, cut, rewritten
 * and replaced in between.  Each round fills to 96 % and deletes a third of
 * the files at random; the end is a fill or delete to the target.  As any
 * file's neighbours on disk belong to other files, what a deletion frees are
 * small holes: the free space becomes as fragmented as the files.
 *
 * Meant for a file system of its own, as it goes by the usage of the whole.
 * All bytes derive from the seed; where they end up is the kernel's business,
 * and which files see "no space left" may be, too.  -e needs root.
 *
 * cc -o age age.c
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "prng.h"
#include "tool.h"

enum {
	MAX_DIRS = 1000,
	FANOUT = 10,  /* directories in a directory */
	GROWING = 48, /* files written to at the same time */
	UNIT = 4096,  /* bytes come in units of this size */
	BUF_SIZE = 1 << 20,
	PIECE_MEAN = 24 << 10,
	PIECE_MAX = BUF_SIZE - 2 * UNIT,
	SIZE_MEDIAN = 16 << 10,
	SIZE_OCTAVES = 3,
	FILL_PERCENT = 96,
	NAME_ROOM = 256,
	PATH_ROOM = 1200,
	TORN_EXTENTS = 20000,
};

struct file {
	uint64_t number; /* never used twice; the name derives from it */
	uint64_t key;	 /* the bytes derive from this */
	uint64_t size;	 /* bytes; all of it written */
	uint64_t goal;	 /* bytes; where it stops growing */
};

struct ager {
	/* Immutable after the start */
	uint64_t seed;
	uint64_t max_bytes;
	unsigned int target; /* percent */
	unsigned int rounds;
	uint64_t extents; /* of an exotic file that has many; 0: by size */
	bool exotic;
	int root; /* descriptor of the directory */
	uint64_t block_size;
	uint64_t blocks;
	char *dir[MAX_DIRS]; /* owned paths */
	size_t dirs;

	/* Mutable */
	struct prng rng;
	struct file growing[GROWING];
	struct file *settled; /* owned */
	size_t count;
	size_t room;
	uint64_t numbers;  /* handed out so far */
	bool no_fallocate; /* not an extent mapped one */
	char *buf;	   /* owned, BUF_SIZE bytes */
};

/*
 * Passes the result of a system call on if it succeeded or there was no
 * space; there is no way on from any other error.
 */
static long must_or_full(long ret, const char *what, const char *name)
{
	if (ret < 0 && errno != ENOSPC)
		die("%s: %s: %s", name, what, strerror(errno));
	return ret;
}

static void must(long ret, const char *what, const char *name)
{
	if (ret < 0)
		die("%s: %s: %s", name, what, strerror(errno));
}

static unsigned int percent_used(const struct ager *a)
{
	struct statvfs st;

	must(fstatvfs(a->root, &st), "statvfs", ".");
	return (unsigned int)((st.f_blocks - st.f_bfree) * 100 / st.f_blocks);
}

/* -- names -------------------------------------------------------------- */

/* A name of random but repeatable length. */
static void make_name(const char *prefix, uint64_t number, uint64_t mean,
		      char name[NAME_ROOM])
{
	struct prng rng = { prng_mix(number) };
	uint64_t tail = prng_exponential(&rng, mean);
	int n = snprintf(name, NAME_ROOM, "%s%06llu-", prefix,
			 (unsigned long long)number);

	for (; tail && n < NAME_ROOM - 1; tail--)
		name[n++] = (char)('a' + prng_below(&rng, 26));
	name[n] = '\0';
}

static void file_path(const struct ager *a, const struct file *file,
		      char path[PATH_ROOM])
{
	char name[NAME_ROOM];

	make_name("file", file->number, 30, name);
	snprintf(path, PATH_ROOM, "%s/%s",
		 a->dir[prng_mix(file->number) % a->dirs], name);
}

/* As many directories as fit: one in each MiB, a tree ten wide. */
static void make_dirs(struct ager *a)
{
	uint64_t want = a->blocks * a->block_size >> 20;
	char name[NAME_ROOM], path[PATH_ROOM];
	size_t i;

	want = want > MAX_DIRS ? MAX_DIRS : want + 1;
	for (i = 0; i < want; i++) {
		make_name("dir", i, 60, name);
		snprintf(path, sizeof(path), "%s/%s",
			 i < FANOUT ? "." : a->dir[i / FANOUT - 1], name);
		must(mkdirat(a->root, path, 0755), "mkdir", path);
		a->dir[a->dirs++] = must_alloc(strdup(path));
	}
}

/* -- bytes -------------------------------------------------------------- */

/* The @len bytes (up to PIECE_MAX) that belong at @pos of a file. */
static const char *bytes(struct ager *a, uint64_t key, uint64_t pos,
			 uint64_t len)
{
	uint64_t unit = pos / UNIT, *to = (uint64_t *)(void *)a->buf;

	for (; unit * UNIT < pos + len; unit++, to += UNIT / sizeof(*to))
		prng_fill(to, UNIT / sizeof(*to), key, unit);
	return a->buf + pos % UNIT;
}

/* Returns false when the file system is full; some may have been written. */
static bool put(struct ager *a, int fd, const char *name, uint64_t key,
		uint64_t pos, uint64_t len)
{
	uint64_t end = pos + len, n;
	long ret;

	for (; pos < end; pos += (uint64_t)ret) {
		n = end - pos < PIECE_MAX ? end - pos : PIECE_MAX;
		ret = must_or_full(pwrite(fd, bytes(a, key, pos, n), n,
					  (off_t)pos),
				   "write", name);
		if (ret < 0)
			return false;
	}
	return true;
}

/* Forces the kernel to choose blocks now. */
static bool settle(struct ager *a, int fd, const char *name)
{
	if (prng_below(&a->rng, 256) == 0)
		return must_or_full(fsync(fd), "fsync", name) == 0;
	return must_or_full(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE),
			    "sync_file_range", name) == 0;
}

/*
 * Allocates and leaves the bytes for later, as a download tool does; this
 * also keeps the kernel from reserving more than was asked for.
 */
static bool allocate(struct ager *a, int fd, const char *name, uint64_t pos,
		     uint64_t len)
{
	if (a->no_fallocate || prng_below(&a->rng, 2))
		return true;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)pos, (off_t)len) == 0)
		return true;
	if (errno == EOPNOTSUPP)
		a->no_fallocate = true;
	else
		must_or_full(-1, "fallocate", name);
	return a->no_fallocate;
}

static int open_at(const struct ager *a, const char *name, int flags)
{
	return (int)must_or_full(openat(a->root, name, flags | O_CLOEXEC, 0644),
				 "open", name);
}

/*
 * Appends up to @len bytes.  The file is closed again each time, as this
 * makes the kernel give up what it has reserved for further appends.
 */
static bool append(struct ager *a, struct file *file, uint64_t len)
{
	char path[PATH_ROOM];
	bool done;
	int fd;

	file_path(a, file, path);
	fd = open_at(a, path, O_WRONLY | O_CREAT);
	if (fd < 0)
		return false;
	done = allocate(a, fd, path, file->size, len) &&
	       put(a, fd, path, file->key, file->size, len) &&
	       settle(a, fd, path);
	file->size = (uint64_t)lseek(fd, 0, SEEK_END);
	if (!done) /* nothing of it stays allocated behind the end */
		must(ftruncate(fd, (off_t)file->size), "truncate", path);
	must(close(fd), "close", path);
	return done;
}

/* -- the life of files -------------------------------------------------- */

static struct file new_file(struct ager *a)
{
	uint64_t size = prng_lognormal(&a->rng, SIZE_MEDIAN, SIZE_OCTAVES);

	if (size < 1024)
		size = 1024;
	return (struct file){
		.number = a->numbers++,
		.key = prng_next(&a->rng),
		.goal = size < a->max_bytes ? size : a->max_bytes,
	};
}

/* Keeps a file that no longer grows. */
static void keep(struct ager *a, const struct file *file)
{
	if (a->count == a->room) {
		a->room = a->room * 2 + 1024;
		a->settled = must_alloc(
			realloc(a->settled, a->room * sizeof(*a->settled)));
	}
	a->settled[a->count++] = *file;
}

static bool grow_one(struct ager *a)
{
	struct file *file = &a->growing[prng_below(&a->rng, GROWING)];
	uint64_t len = 1 + prng_exponential(&a->rng, PIECE_MEAN);

	if (file->size >= file->goal) {
		if (file->size)
			keep(a, file);
		*file = new_file(a);
	}
	if (len > file->goal - file->size)
		len = file->goal - file->size;
	return append(a, file, len < PIECE_MAX ? len : PIECE_MAX);
}

static void delete_one(struct ager *a)
{
	struct file *file = &a->settled[prng_below(&a->rng, a->count)];
	char path[PATH_ROOM];

	file_path(a, file, path);
	must(unlinkat(a->root, path, 0), "unlink", path);
	*file = a->settled[--a->count];
}

static bool extend_one(struct ager *a)
{
	struct file *file = &a->settled[prng_below(&a->rng, a->count)];

	return append(a, file, 1 + prng_below(&a->rng, 2 * PIECE_MEAN));
}

static void cut_one(struct ager *a)
{
	struct file *file = &a->settled[prng_below(&a->rng, a->count)];
	char path[PATH_ROOM];
	int fd;

	file_path(a, file, path);
	fd = open_at(a, path, O_WRONLY);
	if (fd < 0)
		return;
	file->size = prng_below(&a->rng, file->size + 1);
	must(ftruncate(fd, (off_t)file->size), "truncate", path);
	must(close(fd), "close", path);
}

/* Overwrites a part in place, or all of it anew in pieces. */
static bool rewrite_one(struct ager *a, bool anew)
{
	struct file *file = &a->settled[prng_below(&a->rng, a->count)];
	uint64_t pos = prng_below(&a->rng, file->size + 1);
	char path[PATH_ROOM];
	bool done = true;
	int fd;

	file_path(a, file, path);
	fd = open_at(a, path, O_WRONLY | (anew ? O_TRUNC : 0));
	if (fd < 0)
		return false;
	if (anew) {
		file->goal = file->size;
		file->size = 0;
		file->key = prng_next(&a->rng);
	} else {
		done = put(a, fd, path, prng_next(&a->rng), pos,
			   (file->size - pos) / 4);
	}
	must(close(fd), "close", path);
	while (done && anew && file->size < file->goal)
		done = append(a, file,
			      file->goal - file->size < PIECE_MEAN ?
				      file->goal - file->size :
				      PIECE_MEAN);
	return done;
}

/* One event in the life of the file system; false when it is full. */
static bool live(struct ager *a)
{
	unsigned int dice = (unsigned int)prng_below(&a->rng, 1000);

	if (dice >= 100 || a->count < GROWING)
		return grow_one(a);
	if (dice < 50)
		return extend_one(a);
	if (dice < 60)
		return rewrite_one(a, false);
	if (dice < 65)
		return rewrite_one(a, true);
	if (dice < 70)
		cut_one(a);
	else
		delete_one(a);
	return true;
}

static void fill_to(struct ager *a, unsigned int percent)
{
	unsigned int misses = 0;

	while (percent_used(a) < percent && misses < GROWING)
		misses = live(a) ? 0 : misses + 1;
}

static void delete_to(struct ager *a, unsigned int percent)
{
	while (a->count && percent_used(a) > percent)
		delete_one(a);
}

static void delete_third(struct ager *a)
{
	size_t left = a->count - a->count / 3;

	while (a->count > left)
		delete_one(a);
}

/* -- the exotic ones ---------------------------------------------------- */

static int create(struct ager *a, const char *name, uint64_t len)
{
	int fd = openat(a->root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			0644);

	must(fd, "create", name);
	if (!put(a, fd, name, prng_next(&a->rng), 0, len))
		die("%s: no space for it", name);
	return fd;
}

/* Where the file system cannot do that, the file stays an ordinary one. */
static void change_space(int fd, const char *name, int mode, uint64_t pos,
			 uint64_t len)
{
	if (fallocate(fd, mode, (off_t)pos, (off_t)len) < 0 &&
	    errno != EOPNOTSUPP)
		die("%s: fallocate: %s", name, strerror(errno));
}

static void make_ranges(struct ager *a)
{
	uint64_t bs = a->block_size, i;
	int fd;

	/* short enough for one tree level: e2fsck 1.47.0 takes an index node
	 * behind the end of file for an error */
	fd = create(a, "exotic-keep-size", 100001);
	change_space(fd, "keep-size", FALLOC_FL_KEEP_SIZE, 0, 1 << 18);
	must(close(fd), "close", "keep-size");

	fd = create(a, "exotic-unwritten", 0);
	change_space(fd, "unwritten", 0, 0, 600 * bs);
	for (i = 0; i < 40; i++)
		put(a, fd, "unwritten", i, (15 * i + i % 7) * bs, bs * (i % 5));
	must(close(fd), "close", "unwritten");

	fd = create(a, "exotic-punched", 600 * bs);
	for (i = 0; i < 40; i++)
		change_space(fd, "punched",
			     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     (15 * i + i % 7) * bs, bs * (1 + i % 5));
	must(close(fd), "close", "punched");

	fd = create(a, "exotic-sparse", 0);
	for (i = 0; i < 40; i++)
		put(a, fd, "sparse", i, (i * i + i) * bs, bs);
	must(ftruncate(fd, (off_t)(INT64_C(1) << 32)), "truncate", "sparse");
	must(close(fd), "close", "sparse");
}

/* Every second block is a hole. */
static void make_comb(struct ager *a, uint64_t extents)
{
	uint64_t bs = a->block_size, i;
	int fd = create(a, "exotic-comb", 2 * extents * bs);

	must(fsync(fd), "fsync", "comb");
	for (i = 0; i < extents; i++)
		change_space(fd, "comb",
			     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     (2 * i + 1) * bs, bs);
	must(close(fd), "close", "comb");
}

/* Two files grow by a block each in turn. */
static void make_torn(struct ager *a, uint64_t extents)
{
	uint64_t bs = a->block_size, i, key = prng_next(&a->rng);
	int fd[2] = { create(a, "exotic-torn-a", 0),
		      create(a, "exotic-torn-b", 0) };

	for (i = 0; i < 2 * extents; i++) {
		change_space(fd[i & 1], "torn", 0, i / 2 * bs, bs);
		if (a->no_fallocate &&
		    (!put(a, fd[i & 1], "torn", 0, i / 2 * bs, bs) ||
		     !settle(a, fd[i & 1], "torn")))
			die("torn: no space for it");
	}
	for (i = 0; i < 2; i++) {
		if (!put(a, fd[i], "torn", key + i, 0, extents * bs))
			die("torn: no space for it");
		must(close(fd[i]), "close", "torn");
	}
}

static void make_links(struct ager *a)
{
	char name[NAME_ROOM], target[1000], path[PATH_ROOM];
	struct file *file;
	size_t len;
	unsigned int i;

	for (i = 0; i < 40; i++) {
		len = 1 + (size_t)prng_below(&a->rng, i < 20 ? 59 : 900);
		if (i >= 20)
			len += 60; /* does not fit into the inode */
		memset(target, 'a' + (int)i % 26, len);
		target[len] = '\0';
		make_name("exotic-symlink", i, 60, name);
		must(symlinkat(target, a->root, name), "symlink", name);
	}
	for (i = 0; i < 100 && a->count; i++) {
		file = &a->settled[prng_below(&a->rng, a->count)];
		file_path(a, file, path);
		make_name("exotic-link", i, 100, name);
		must(linkat(a->root, path, a->root, name, 0), "link", name);
	}
}

static void make_nodes(struct ager *a)
{
	int root = a->root;

	must(mkfifoat(root, "exotic-fifo", 0600), "mknod", "fifo");
	must(mknodat(root, "exotic-char", S_IFCHR | 0600, makedev(1, 3)),
	     "mknod", "char");
	must(mknodat(root, "exotic-block", S_IFBLK | 0600, makedev(7, 300)),
	     "mknod", "block");
	must(mknodat(root, "exotic-socket", S_IFSOCK | 0600, 0), "mknod",
	     "socket");
}

/* The flag is set last: nothing else can be done afterwards. */
static void make_flagged(struct ager *a, const char *name, int flag)
{
	int fd = create(a, name, 99999), flags;

	must(ioctl(fd, FS_IOC_GETFLAGS, &flags), "getting flags", name);
	flags |= flag;
	must(ioctl(fd, FS_IOC_SETFLAGS, &flags), "setting flags", name);
	must(close(fd), "close", name);
}

static void make_xattrs(struct ager *a, const char *name, size_t len)
{
	int fd = create(a, name, 5000);

	must(fsetxattr(fd, "user.first", bytes(a, 1, 0, len), len, 0),
	     "setxattr", name);
	must(fsetxattr(fd, "user.second", "2", 1, 0), "setxattr", name);
	must(close(fd), "close", name);
}

static void make_exotic(struct ager *a)
{
	uint64_t extents = a->blocks / 16;

	if (extents > TORN_EXTENTS)
		extents = TORN_EXTENTS;
	if (a->extents)
		extents = a->extents;
	delete_to(a, 60);
	make_ranges(a);
	make_comb(a, extents);
	make_torn(a, extents);
	make_links(a);
	make_nodes(a);
	make_xattrs(a, "exotic-xattr-small", 20);
	make_xattrs(a, "exotic-xattr-large", 700);
	make_flagged(a, "exotic-immutable", FS_IMMUTABLE_FL);
	make_flagged(a, "exotic-append", FS_APPEND_FL);
}

/* -- the frame ---------------------------------------------------------- */

static const char *parse(struct ager *a, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "s:t:r:m:n:e")) != -1) {
		if (opt == 's')
			a->seed = parse_number(optarg, 0, UINT64_MAX);
		else if (opt == 't')
			a->target = (unsigned int)parse_number(optarg, 1, 95);
		else if (opt == 'r')
			a->rounds = (unsigned int)parse_number(optarg, 1, 1000);
		else if (opt == 'm')
			a->max_bytes = parse_number(optarg, 1, 1 << 30) * 1024;
		else if (opt == 'n')
			a->extents = parse_number(optarg, 1, TORN_EXTENTS);
		else if (opt == 'e')
			a->exotic = true;
		else
			exit(EXIT_FAILURE);
	}
	if (optind != argc - 1)
		die("usage: age [-s seed] [-t target-percent] [-r rounds] "
		    "[-m max-file-kib] [-n extents] [-e] DIR");
	return argv[optind];
}

static void start(struct ager *a, const char *dir)
{
	struct statvfs st;

	a->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(a->root, "open", dir);
	must(fstatvfs(a->root, &st), "statvfs", dir);
	a->block_size = st.f_frsize;
	a->blocks = st.f_blocks;
	a->buf = must_alloc(malloc(BUF_SIZE));
	a->rng.state = prng_mix(a->seed);
}

static void finish(struct ager *a)
{
	size_t i;

	must(syncfs(a->root), "sync", ".");
	must(close(a->root), "close", ".");
	for (i = 0; i < a->dirs; i++)
		free(a->dir[i]);
	free(a->settled);
	free(a->buf);
}

int main(int argc, char **argv)
{
	struct ager a = {
		.seed = 1,
		.target = 67,
		.rounds = 4,
		.max_bytes = 64 << 20,
	};
	unsigned int i;

	start(&a, parse(&a, argc, argv));
	make_dirs(&a);
	for (i = 0; i < a.rounds; i++) {
		fill_to(&a, FILL_PERCENT);
		delete_third(&a);
		if (a.exotic && i == 0)
			make_exotic(&a);
	}
	fill_to(&a, a.target);
	delete_to(&a, a.target);
	finish(&a);
	return EXIT_SUCCESS;
}
