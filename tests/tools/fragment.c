/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fragment - fill a fresh ext2/3/4 image so that it is badly fragmented
 *
 * Needs no root and no mount: everything goes through libext2fs.  All blocks
 * (data, extent tree, directory, xattr) come from a shuffled deck of small
 * pieces of free space (deck.h), so that what stays free ends up as scattered
 * as the files.  All else is drawn from the seed as well: the same seed on the
 * same fresh image gives the same bytes.
 *
 * The result is clean for e2fsck -fn.  With -x it may remark that one extent
 * tree "could be narrower": that tree was made so on purpose.  -x makes kinds
 * of files that are not plain, -a also all others that the features of the
 * image allow; without the kernel, so also what it does not know.
 *
 * cc -o fragment fragment.c craft.c kinds.c rare.c -lext2fs -lcom_err
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ext2fs/ext2fs.h>

#include "craft.h"

enum {
	LINKS = 400, /* names in the wide directory */
};

/* -- the filling -------------------------------------------------------- */

static uint64_t file_size(const struct fragmenter *f, uint64_t number,
			  uint64_t scale)
{
	struct prng rng = { prng_mix(f->seed) + number };
	uint64_t size = prng_lognormal(&rng, 1 << 20, 2) * scale >> 20;

	return size < 1024 ? 1024 : size > f->max_bytes ? f->max_bytes : size;
}

/* The scale of sizes with which @files files take about @blocks blocks. */
static uint64_t find_scale(const struct fragmenter *f, blk64_t blocks)
{
	uint64_t low = 1, high = UINT64_C(1) << 30, scale, i;
	blk64_t sum, n;

	while (low < high) {
		scale = low + (high - low) / 2;
		for (sum = i = 0; i < f->files && sum < blocks; i++) {
			n = file_size(f, i, scale) / f->fs->blocksize + 1;
			sum += n + n / 256 + (n > EXT2_NDIR_BLOCKS);
		}
		if (sum < blocks)
			low = scale + 1;
		else
			high = scale;
	}
	return low;
}

static void make_dirs(struct fragmenter *f)
{
	char name[NAME_ROOM];
	ext2_ino_t parent, near, ino;
	size_t i;

	for (i = 0; i < sizeof(f->dir) / sizeof(*f->dir); i++) {
		parent = i < FANOUT ? EXT2_ROOT_INO : f->dir[i / FANOUT - 1];
		set_clock(f);
		make_name(f, "dir", 10, name);
		make_room(f, parent, name);
		/* spread over the groups */
		near = (ext2_ino_t)prng_below(&f->rng,
					      f->fs->super->s_inodes_count);
		must(ext2fs_new_inode(f->fs, 1 + near, LINUX_S_IFDIR, NULL,
				      &ino),
		     "taking an inode");
		must(ext2fs_mkdir(f->fs, parent, ino, name), "making a dir");
		f->dir[f->dirs++] = ino;
	}
}

static void make_long_symlink(struct fragmenter *f)
{
	char name[NAME_ROOM], target[1000];
	ext2_ino_t dir = any_dir(f);
	size_t i, len = 61 + (size_t)prng_below(&f->rng, 900);

	for (i = 0; i < len; i++)
		target[i] = (char)('a' + prng_below(&f->rng, 26));
	target[len] = '\0';
	make_name(f, "symlink", 10, name);
	set_clock(f);
	make_room(f, dir, name);
	must(ext2fs_symlink(f->fs, dir, 0, name, target), "making a symlink");
}

static void fill(struct fragmenter *f)
{
	struct ext2_super_block *super = f->fs->super;
	blk64_t goal = f->free_goal;
	blk64_t free_blocks = ext2fs_free_blocks_count(super);
	uint64_t scale, i, n, size, spare;
	char name[NAME_ROOM];
	ext2_ino_t ino;

	scale = find_scale(f, free_blocks > goal ? free_blocks - goal : 1);
	for (i = 0; ext2fs_free_blocks_count(super) > goal; i++) {
		spare = ext2fs_free_blocks_count(super) - goal;
		size = file_size(f, i, scale);
		if (size > spare * f->fs->blocksize)
			size = spare * f->fs->blocksize;
		make_name(f, "file", 20, name);
		ino = make_dense(f, name, size, 0);
		for (n = 0; i == 0 && n < LINKS; n++)
			add_hard_link(f, f->dir[1], ino, 120);
		if (i % 3 == 0)
			add_hard_link(f, any_dir(f), ino, 60);
		if (i % 10 == 0)
			make_long_symlink(f);
	}
}

/* -- the frame ---------------------------------------------------------- */

static void open_image(struct fragmenter *f, const char *name)
{
	uint64_t kib_per_block;
	ext2_filsys fs;

	must(ext2fs_open(name, EXT2_FLAG_RW | EXT2_FLAG_64BITS, 0, 0,
			 unix_io_manager, &fs),
	     name);
	if (ext2fs_has_feature_quota(fs->super))
		die("%s: the quota feature is not supported", name);
	must(ext2fs_read_bitmaps(fs), "reading bitmaps");
	fs->priv_data = f;
	ext2fs_set_alloc_block_callback(fs, alloc_block, NULL);
	f->fs = fs;
	kib_per_block = fs->blocksize / 1024;
	f->mean_run = (f->mean_run + kib_per_block - 1) / kib_per_block;
	f->buf = must_alloc(calloc(WRITE_BLOCKS, fs->blocksize));
	f->rng.state = prng_mix(f->seed);
}

/* Takes from the whole, and fills it; or both only within a range. */
static void build_deck(struct fragmenter *f)
{
	struct ext2_super_block *super = f->fs->super;
	blk64_t blocks = ext2fs_blocks_count(super);

	f->free_goal = blocks / 100 * (100 - f->percent);
	if (!f->last) {
		f->first = super->s_first_data_block;
		f->last = blocks - 1;
	}
	if (f->first < super->s_first_data_block || f->last >= blocks)
		die("the range is not within the file system");
	deck_build(&f->deck, f->fs, &f->rng, f->mean_run, f->first, f->last);
	if (f->last - f->first + 1 + super->s_first_data_block < blocks)
		f->free_goal = ext2fs_free_blocks_count(super) -
			       deck_blocks(&f->deck) / 100 * f->percent;
}

/* FIRST-LAST, in blocks. */
static void parse_range(struct fragmenter *f, char *arg)
{
	char *last = strchr(arg, '-');

	if (!last)
		die("%s: not a range", arg);
	*last++ = '\0';
	f->first = parse_number(arg, 0, UINT64_MAX);
	f->last = parse_number(last, f->first + 1, UINT64_MAX);
}

static const char *parse(struct fragmenter *f, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "s:f:p:k:m:r:xa")) != -1) {
		if (opt == 's')
			f->seed = parse_number(optarg, 0, UINT64_MAX);
		else if (opt == 'f')
			f->files = parse_number(optarg, 1, 100000000);
		else if (opt == 'p')
			f->percent = (unsigned int)parse_number(optarg, 1, 99);
		else if (opt == 'k')
			f->mean_run = parse_number(optarg, 1, 1 << 20);
		else if (opt == 'm')
			f->max_bytes = parse_number(optarg, 1, 1 << 30) * 1024;
		else if (opt == 'r')
			parse_range(f, optarg);
		else if (opt == 'x')
			f->exotic = true;
		else if (opt == 'a')
			f->exotic = f->rare = true;
		else
			exit(EXIT_FAILURE);
	}
	if (optind != argc - 1)
		die("usage: fragment [-s seed] [-f files] [-p percent-full] "
		    "[-k mean-run-kib] [-m max-file-kib] "
		    "[-r first-last] [-x | -a] IMAGE");
	return argv[optind];
}

int main(int argc, char **argv)
{
	struct fragmenter f = {
		.seed = 1,
		.files = 500,
		.percent = 70,
		.mean_run = 16,
		.max_bytes = 16 << 20,
	};

	initialize_ext2_error_table();
	open_image(&f, parse(&f, argc, argv));
	build_deck(&f);
	make_dirs(&f);
	if (f.exotic)
		make_exotic(&f);
	if (f.rare)
		make_rare(&f);
	fill(&f);
	must(ext2fs_close_free(&f.fs), "closing the image");
	free(f.deck.piece);
	free(f.buf);
	return EXIT_SUCCESS;
}
