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
 * -w writes so many percent of the files at once, as unpacking an archive
 * does.  -l begins with so many files of 25 000 pieces each: disk images and
 * databases, which grow by turns and are punched, on 1 GiB or more.  They are
 * never deleted.
 *
 * cc -o age age.c age_exotic.c
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "age.h"

static unsigned int permille_used(const struct ager *a)
{
	struct statvfs st;

	must(fstatvfs(a->root, &st), "statvfs", ".");
	return (unsigned int)((st.f_blocks - st.f_bfree) * 1000 / st.f_blocks);
}

/* -- names -------------------------------------------------------------- */

void age_make_name(const char *prefix, uint64_t number, uint64_t mean,
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

void age_file_path(const struct ager *a, const struct file *file,
		   char path[PATH_ROOM])
{
	char name[NAME_ROOM];

	age_make_name("file", file->number, 30, name);
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
		age_make_name("dir", i, 60, name);
		snprintf(path, sizeof(path), "%s/%s",
			 i < FANOUT ? "." : a->dir[i / FANOUT - 1], name);
		must(mkdirat(a->root, path, 0755), "mkdir", path);
		a->dir[a->dirs++] = must_alloc(strdup(path));
	}
}

/* -- bytes -------------------------------------------------------------- */

const char *age_bytes(struct ager *a, uint64_t key, uint64_t pos, uint64_t len)
{
	uint64_t unit = pos / UNIT, *to = (uint64_t *)(void *)a->buf;

	for (; unit * UNIT < pos + len; unit++, to += UNIT / sizeof(*to))
		prng_fill(to, UNIT / sizeof(*to), key, unit);
	return a->buf + pos % UNIT;
}

bool age_put(struct ager *a, int fd, const char *name, uint64_t key,
	     uint64_t pos, uint64_t len)
{
	uint64_t end = pos + len, n;
	long ret;

	for (; pos < end; pos += (uint64_t)ret) {
		n = end - pos < PIECE_MAX ? end - pos : PIECE_MAX;
		ret = must_or_full(pwrite(fd, age_bytes(a, key, pos, n), n,
					  (off_t)pos),
				   "write", name);
		if (ret < 0)
			return false;
	}
	return true;
}

bool age_settle(struct ager *a, int fd, const char *name)
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

	age_file_path(a, file, path);
	fd = open_at(a, path, O_WRONLY | O_CREAT);
	if (fd < 0)
		return false;
	done = allocate(a, fd, path, file->size, len) &&
	       age_put(a, fd, path, file->key, file->size, len) &&
	       age_settle(a, fd, path);
	file->size = (uint64_t)lseek(fd, 0, SEEK_END);
	if (!done) /* nothing of it stays allocated behind the end */
		must(ftruncate(fd, (off_t)file->size), "truncate", path);
	must(close(fd), "close", path);
	return done;
}

/* -- the life of files -------------------------------------------------- */

static struct file new_file(struct ager *a)
{
	uint64_t size = prng_lognormal(&a->rng, a->median_bytes, SIZE_OCTAVES);

	if (size < 1024)
		size = 1024;
	return (struct file){
		.number = a->numbers++,
		.key = prng_next(&a->rng),
		.goal = size < a->max_bytes ? size : a->max_bytes,
		.whole = a->whole && prng_below(&a->rng, 100) < a->whole,
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
	if (file->whole)
		len = file->goal - file->size;
	else if (len > PIECE_MAX)
		len = PIECE_MAX;
	return append(a, file, len);
}

static void delete_one(struct ager *a)
{
	struct file *file = &a->settled[prng_below(&a->rng, a->count)];
	char path[PATH_ROOM];

	age_file_path(a, file, path);
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

	age_file_path(a, file, path);
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

	age_file_path(a, file, path);
	fd = open_at(a, path, O_WRONLY | (anew ? O_TRUNC : 0));
	if (fd < 0)
		return false;
	if (anew) {
		file->goal = file->size;
		file->size = 0;
		file->key = prng_next(&a->rng);
	} else {
		done = age_put(a, fd, path, prng_next(&a->rng), pos,
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

static void fill_to(struct ager *a, unsigned int permille)
{
	unsigned int misses = 0;

	while (permille_used(a) < permille && misses < GROWING)
		misses = live(a) ? 0 : misses + 1;
}

void age_delete_to(struct ager *a, unsigned int permille)
{
	while (a->count && permille_used(a) > permille)
		delete_one(a);
}

static void delete_third(struct ager *a)
{
	size_t left = a->count - a->count / 3;

	while (a->count > left)
		delete_one(a);
}

void age_change_space(int fd, const char *name, int mode, uint64_t pos,
		      uint64_t len)
{
	if (fallocate(fd, mode, (off_t)pos, (off_t)len) < 0 &&
	    errno != EOPNOTSUPP)
		die("%s: fallocate: %s", name, strerror(errno));
}

/* -- the large ones ----------------------------------------------------- */

static void punch(struct ager *a, const struct file *file)
{
	uint64_t bs = a->block_size, blocks = file->size / bs, i;
	char path[PATH_ROOM];
	int fd;

	age_file_path(a, file, path);
	fd = open_at(a, path, O_WRONLY);
	must(fd, "open", path);
	for (i = 0; blocks && i < LARGE_HOLES; i++)
		age_change_space(fd, path,
				 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 prng_below(&a->rng, blocks) * bs,
				 bs * (1 + prng_below(&a->rng, 2)));
	must(close(fd), "close", path);
}

/*
 * By turns, as two appends in a row could be one piece; the small files live
 * meanwhile, and later in what the holes leave.
 */
static void make_large(struct ager *a)
{
	struct file large[LARGE_MAX];
	uint64_t piece, goal, len, i;
	unsigned int n;

	goal = a->blocks * a->block_size / 100 * LARGE_PERCENT / a->large;
	piece = goal / a->block_size / LARGE_PIECES;
	piece -= piece > 0; /* one block is in any case */
	for (n = 0; n < a->large; n++)
		large[n] = new_file(a);
	for (i = 0; large[i % a->large].size < goal; i++) {
		len = (1 + prng_exponential(&a->rng, piece)) * a->block_size;
		if (!append(a, &large[i % a->large],
			    len < PIECE_MAX ? len : PIECE_MAX))
			die("no space for the large files");
		if (i % 16 == 0)
			live(a);
	}
	for (n = 0; n < a->large; n++)
		punch(a, &large[n]);
}

/* -- the frame ---------------------------------------------------------- */

/* "99.9", in per mille. */
static unsigned int parse_percent(const char *arg)
{
	char *end;
	unsigned long whole = strtoul(arg, &end, 10), tenth = 0;

	if (end[0] == '.' && end[1] >= '0' && end[1] <= '9') {
		tenth = (unsigned long)(end[1] - '0');
		end += 2;
	}
	if (end == arg || *end || whole < 1 || whole > 99)
		die("%s: not a percentage from 1 to 99.9", arg);
	return (unsigned int)(whole * 10 + tenth);
}

static void parse_one(struct ager *a, int opt)
{
	if (opt == 's')
		a->seed = parse_number(optarg, 0, UINT64_MAX);
	else if (opt == 't')
		a->target = parse_percent(optarg);
	else if (opt == 'r')
		a->rounds = (unsigned int)parse_number(optarg, 1, 1000);
	else if (opt == 'm')
		a->max_bytes = parse_number(optarg, 1, 1 << 30) * 1024;
	else if (opt == 'd')
		a->median_bytes = parse_number(optarg, 1, 1 << 20) * 1024;
	else if (opt == 'w')
		a->whole = (unsigned int)parse_number(optarg, 0, 100);
	else if (opt == 'l')
		a->large = (unsigned int)parse_number(optarg, 1, LARGE_MAX);
	else if (opt == 'n')
		a->extents = parse_number(optarg, 1, TORN_EXTENTS);
	else if (opt == 'e')
		a->exotic = true;
	else
		exit(EXIT_FAILURE);
}

static const char *parse(struct ager *a, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "s:t:r:m:d:w:l:n:e")) != -1)
		parse_one(a, opt);
	if (optind != argc - 1)
		die("usage: age [-s seed] [-t target-percent] [-r rounds] "
		    "[-m max-file-kib] [-d median-file-kib] [-w percent] "
		    "[-l files] [-n extents] [-e] DIR");
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
		.target = 670,
		.rounds = 4,
		.max_bytes = 64 << 20,
		.median_bytes = SIZE_MEDIAN << 10,
	};
	unsigned int i;

	start(&a, parse(&a, argc, argv));
	make_dirs(&a);
	if (a.large)
		make_large(&a);
	for (i = 0; i < a.rounds; i++) {
		fill_to(&a, FILL_PERMILLE);
		delete_third(&a);
		if (a.exotic && i == 0)
			age_make_exotic(&a);
	}
	fill_to(&a, a.target);
	age_delete_to(&a, a.target);
	finish(&a);
	return EXIT_SUCCESS;
}
