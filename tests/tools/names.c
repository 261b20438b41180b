/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names - the order of readdir, as the library computes it and as it is
 *
 *	names IMAGE		 the inodes as the library's reader meets them
 *	names -k DIRECTORY	 the same as getdents() has them on a mount
 *	names -m DIRECTORY COUNT SEED [LONGEST]
 *				 makes files with names of all bytes
 *	names -t DIRECTORY COUNT makes files whose names are tied, by twos and
 *				 threes: they have the same legacy hash
 *
 * Each inode is printed once, where it is met first: a directory before what is
 * in it, and that at its place among its siblings.  The library leaves out what
 * has no blocks, so all files are made with one.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "e4df_err.h"
#include "must.h"
#include "namespace.h"
#include "prng.h"
#include "scan.h"
#include "volume.h"

enum {
	LONGEST = 255,
	TRIES = 6000000, /* names among which some are tied */
	TIED_DIGITS = 8,
};

static void print_computed(const char *image)
{
	const struct e4df_volume_options options = {
		.path = image,
		.flags = E4DF_VOLUME_REPORT,
	};
	struct e4df_sink sink = { .ctx = NULL };
	struct e4df_volume *vol;
	struct e4df_namespace *names;
	struct e4df_map *map;
	__u32 *order, count;

	initialize_ext2_error_table();
	initialize_e4df_error_table();
	must(e4df_volume_open(&options, &sink, &vol), image);
	must(e4df_scan(vol, 0, &sink, &map), image);
	must(e4df_namespace_read(vol, map, 0, NULL, 0, &names), image);
	must(e4df_namespace_order(names, E4DF_SORT_READDIR, &order, &count),
	     image);
	for (__u32 i = 0; i < count; i++)
		if (e4df_map_inode(map, order[i])->kind != E4DF_XATTR)
			printf("%u\n", e4df_map_inode(map, order[i])->ino);
	if (e4df_namespace_damage(names))
		die("%s: directories that cannot be read", image);
	free(order);
	e4df_namespace_free(names);
	e4df_map_free(map);
	must(e4df_volume_close(vol), image);
}

/* A bit for each inode. */
struct met {
	unsigned char *bits; /* (owned) */
	size_t bytes;
};

static int is_new(struct met *met, ino_t ino)
{
	size_t at = ino / 8, old = met->bytes;
	unsigned char mask = (unsigned char)(1 << ino % 8);
	int is_met;

	if (at >= old) {
		met->bytes = 2 * at + 64;
		met->bits = must_alloc(realloc(met->bits, met->bytes));
		memset(met->bits + old, 0, met->bytes - old);
	}
	is_met = met->bits[at] & mask;
	met->bits[at] |= mask;
	return !is_met;
}

/* All that is in it first, because one directory is read at a time. */
static void print_listed(const char *name, struct met *met)
{
	DIR *dir = opendir(name);
	struct dirent *e;

	if (!dir || chdir(name))
		die("directory %s: %s", name, strerror(errno));
	while (errno = 0, (e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    !is_new(met, e->d_ino))
			continue;
		printf("%llu\n", (unsigned long long)e->d_ino);
		if (e->d_type == DT_DIR)
			print_listed(e->d_name, met);
	}
	if (errno)
		die("directory %s: %s", name, strerror(errno));
	closedir(dir);
	if (chdir(".."))
		die("directory above %s: %s", name, strerror(errno));
}

static void print_mounted(const char *name)
{
	struct met met = { .bits = NULL };
	struct stat st;

	if (stat(name, &st))
		die("%s: %s", name, strerror(errno));
	is_new(&met, st.st_ino);
	printf("%llu\n", (unsigned long long)st.st_ino);
	print_listed(name, &met);
	free(met.bits);
}

/* In the current directory.  Where names are folded, it may be there. */
static void make_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 && errno == EEXIST)
		return;
	if (fd < 0 || fallocate(fd, 0, 0, 1) || close(fd))
		die("file %s: %s", name, strerror(errno));
}

static void make_files(uint64_t count, uint64_t seed, unsigned int longest)
{
	struct prng rng = { seed };
	char name[LONGEST + 1];

	for (uint64_t n = 0; n < count; n++) {
		size_t len = 1 + prng_below(&rng, longest);
		int is_text = prng_below(&rng, 2) != 0;

		for (size_t i = 0; i < len; i++)
			do
				name[i] = (char)prng_below(&rng, 256);
			while (!name[i] || name[i] == '/' ||
			       (is_text && (name[i] < ' ' || name[i] > '~')));
		name[len] = 0;
		if (strcmp(name, ".") && strcmp(name, ".."))
			make_file(name);
	}
}

struct tied {
	ext2_dirhash_t hash;
	unsigned int number;
};

static int compare_tied(const void *a, const void *b)
{
	const struct tied *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

static void spell(unsigned int number, char name[TIED_DIGITS + 1])
{
	snprintf(name, TIED_DIGITS + 1, "%08u", number);
}

/* Of `least` to `most` names each; returns how many. */
static unsigned int make_ties(const struct tied *v, unsigned int least,
			      unsigned int most, unsigned int room)
{
	unsigned int n = 0;
	char name[TIED_DIGITS + 1];

	for (unsigned int i = 0, end; i < TRIES && n < room; i = end) {
		for (end = i + 1; end < TRIES && v[end].hash == v[i].hash;)
			end++;
		if (end - i < least || end - i > most)
			continue;
		n++;
		for (unsigned int k = i; k < end; k++) {
			spell(v[k].number, name);
			make_file(name);
		}
	}
	return n;
}

static void make_tied(unsigned int count)
{
	struct tied *v = must_alloc(calloc(TRIES, sizeof(*v)));
	char name[TIED_DIGITS + 1];
	unsigned int threes;

	for (unsigned int i = 0; i < TRIES; i++) {
		v[i].number = i;
		spell(i, name);
		if (ext2fs_dirhash(EXT2_HASH_LEGACY, name, TIED_DIGITS, NULL,
				   &v[i].hash, NULL))
			die("no hash of %s", name);
	}
	qsort(v, TRIES, sizeof(*v), compare_tied);
	threes = make_ties(v, 3, TRIES, count);
	printf("%u ties of three and more\n", threes);
	make_ties(v, 2, 2, count - threes);
	free(v);
}

static void enter(const char *name)
{
	if (chdir(name))
		die("directory %s: %s", name, strerror(errno));
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (argc == 2 && *mode != '-') {
		print_computed(mode);
	} else if (argc == 3 && !strcmp(mode, "-k")) {
		print_mounted(argv[2]);
	} else if ((argc == 5 || argc == 6) && !strcmp(mode, "-m")) {
		enter(argv[2]);
		make_files(parse_number(argv[3], 1, UINT32_MAX),
			   parse_number(argv[4], 0, UINT64_MAX),
			   argc == 6 ? (unsigned int)parse_number(argv[5], 1,
								  LONGEST) :
				       LONGEST);
	} else if (argc == 4 && !strcmp(mode, "-t")) {
		enter(argv[2]);
		make_tied((unsigned int)parse_number(argv[3], 1, UINT32_MAX));
	} else {
		die("usage: names image | -k directory | -m directory count "
		    "seed [longest] | -t directory count");
	}
	return 0;
}
