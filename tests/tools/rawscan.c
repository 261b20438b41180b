/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rawscan - read the metadata of an ext2/3/4 image as fast as the device can
 *
 *	rawscan -l image >list			which blocks they are
 *	rawscan [-t threads] [-i list] image	reads them
 *
 * The blocks are those that a look at all mappings and attributes cannot do
 * without: the superblock, the descriptors, the bitmaps that were ever written,
 * the used part of the inode tables, mapping blocks and blocks of extended
 * attributes; with -d directories as well.  The list has a first line with the
 * bytes in a block, then a first block and a length in each, by block, each of
 * 1 MiB at most and without gaps.
 *
 * Reading is O_DIRECT where the file can do that, by 8 threads unless -t says
 * otherwise, each taking the next entry of the list.  Nothing is looked at.
 * Prints the requests, the bytes and the seconds that it took.
 *
 * cc -o rawscan rawscan.c -lext2fs -lcom_err -pthread
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <ext2fs/ext2fs.h>
#include <ext2fs/ext3_extents.h>

#include "must.h"

enum {
	READ_MAX = 1 << 20,
	ALIGNMENT = 4096,
	MOST_THREADS = 256,
};

struct range {
	blk64_t blk;
	blk64_t len;
};

struct ranges {
	struct range *v; /* owned */
	size_t count;
	size_t room;
};

static void put(struct ranges *r, blk64_t blk, blk64_t len)
{
	if (r->count == r->room) {
		r->room = r->room * 2 + 1024;
		r->v = must_alloc(realloc(r->v, r->room * sizeof(*r->v)));
	}
	r->v[r->count++] = (struct range){ blk, len };
}

/* -- the list ----------------------------------------------------------- */

struct lister {
	ext2_filsys fs;	      /* owned */
	struct ranges ranges; /* in any order, some twice */
	bool with_directories;
};

static void list_group(struct lister *l, dgrp_t g)
{
	ext2_filsys fs = l->fs;
	bool has_flags = ext2fs_has_group_desc_csum(fs);
	unsigned int inodes = fs->super->s_inodes_per_group;
	blk64_t bytes;

	if (!has_flags || !ext2fs_bg_flags_test(fs, g, EXT2_BG_BLOCK_UNINIT))
		put(&l->ranges, ext2fs_block_bitmap_loc(fs, g), 1);
	if (has_flags && ext2fs_bg_flags_test(fs, g, EXT2_BG_INODE_UNINIT))
		return;
	put(&l->ranges, ext2fs_inode_bitmap_loc(fs, g), 1);
	if (has_flags)
		inodes -= ext2fs_bg_itable_unused(fs, g);
	bytes = (blk64_t)inodes * EXT2_INODE_SIZE(fs->super);
	put(&l->ranges, ext2fs_inode_table_loc(fs, g),
	    (bytes + fs->blocksize - 1) / fs->blocksize);
}

static int visit_block(ext2_filsys fs, blk64_t *blk, e2_blkcnt_t lblk,
		       blk64_t ref_blk, int ref_offset, void *data)
{
	struct lister *l = data;

	(void)fs;
	(void)ref_blk;
	(void)ref_offset;
	if (lblk < 0 || l->with_directories)
		put(&l->ranges, *blk, 1);
	return 0;
}

static bool is_deep(const struct ext2_inode *inode)
{
	const struct ext3_extent_header *head = (const void *)inode->i_block;

	if (inode->i_flags & EXT4_EXTENTS_FL)
		return head->eh_depth != 0;
	return inode->i_block[EXT2_IND_BLOCK] ||
	       inode->i_block[EXT2_DIND_BLOCK] ||
	       inode->i_block[EXT2_TIND_BLOCK];
}

static void list_inode(struct lister *l, ext2_ino_t ino,
		       struct ext2_inode *inode, bool with_directories)
{
	blk64_t acl = ext2fs_file_acl_block(l->fs, inode);

	if (acl)
		put(&l->ranges, acl, 1);
	if (ino == EXT2_RESIZE_INO ||
	    !ext2fs_inode_has_valid_blocks2(l->fs, inode))
		return;
	l->with_directories = with_directories && LINUX_S_ISDIR(inode->i_mode);
	if (l->with_directories || is_deep(inode))
		must(ext2fs_block_iterate3(l->fs, ino, BLOCK_FLAG_READ_ONLY,
					   NULL, visit_block, l),
		     "block map");
}

static void list_inodes(struct lister *l, bool with_directories)
{
	ext2_inode_scan scan;
	struct ext2_inode inode;
	ext2_ino_t ino;

	must(ext2fs_open_inode_scan(l->fs, 0, &scan), "inode scan");
	for (;;) {
		must(ext2fs_get_next_inode(scan, &ino, &inode), "inode scan");
		if (!ino)
			break;
		if (inode.i_links_count)
			list_inode(l, ino, &inode, with_directories);
	}
	ext2fs_close_inode_scan(scan);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->blk > y->blk) - (x->blk < y->blk);
}

static void print_ranges(const struct ranges *r, unsigned int block_size)
{
	blk64_t most = READ_MAX / block_size, at = 0, end = 0;

	printf("%u\n", block_size);
	for (size_t i = 0; i < r->count; i++) {
		blk64_t from = r->v[i].blk, to = from + r->v[i].len;

		if (from < end)
			from = end;
		for (; from < to; from++) {
			if (end > at && (from != end || end - at == most))
				printf("%llu %llu\n", (unsigned long long)at,
				       (unsigned long long)(end - at));
			if (from != end || end - at == most || end == at)
				at = from;
			end = from + 1;
		}
	}
	if (end > at)
		printf("%llu %llu\n", (unsigned long long)at,
		       (unsigned long long)(end - at));
}

static void list(const char *image, bool with_directories)
{
	struct lister l = { .with_directories = false };
	struct ext2_super_block *sb;

	must(ext2fs_open2(image, NULL, EXT2_FLAG_64BITS, 0, 0, unix_io_manager,
			  &l.fs),
	     image);
	sb = l.fs->super;
	put(&l.ranges, SUPERBLOCK_OFFSET / l.fs->blocksize, 1);
	for (dgrp_t i = 0; i < l.fs->desc_blocks; i++)
		put(&l.ranges,
		    ext2fs_descriptor_block_loc2(l.fs, sb->s_first_data_block,
						 i),
		    1);
	for (dgrp_t g = 0; g < l.fs->group_desc_count; g++)
		list_group(&l, g);
	list_inodes(&l, with_directories);
	qsort(l.ranges.v, l.ranges.count, sizeof(*l.ranges.v), compare_ranges);
	print_ranges(&l.ranges, l.fs->blocksize);
	ext2fs_close(l.fs);
	free(l.ranges.v);
}

/* -- reading it --------------------------------------------------------- */

struct reader {
	int fd;
	unsigned int block_size;
	struct ranges ranges; /* owned */
	atomic_size_t next;   /* entry that no thread has taken */
};

static void *read_some(void *arg)
{
	struct reader *r = arg;
	size_t i;
	void *buf;

	if (posix_memalign(&buf, ALIGNMENT, READ_MAX))
		die("out of memory");
	while ((i = atomic_fetch_add(&r->next, 1)) < r->ranges.count) {
		const struct range *e = &r->ranges.v[i];
		size_t bytes = (size_t)e->len * r->block_size;

		if (pread(r->fd, buf, bytes, (off_t)(e->blk * r->block_size)) !=
		    (ssize_t)bytes)
			die("block %llu: %s", (unsigned long long)e->blk,
			    strerror(errno));
	}
	free(buf);
	return NULL;
}

static void load(struct reader *r, const char *path)
{
	unsigned long long blk, len;
	FILE *in = fopen(path, "r");

	if (!in)
		die("%s: %s", path, strerror(errno));

	if (fscanf(in, "%u", &r->block_size) != 1 || !r->block_size)
		die("not a list");
	while (fscanf(in, "%llu %llu", &blk, &len) == 2) {
		if (!len || len > READ_MAX / r->block_size)
			die("not a length: %llu", len);
		put(&r->ranges, blk, len);
	}
	fclose(in);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_list(const char *image, const char *path, unsigned int threads)
{
	struct reader r = { .fd = -1 };
	pthread_t thread[MOST_THREADS];
	uint64_t blocks = 0;
	double start;

	load(&r, path);
	if (r.block_size % 4096 == 0)
		r.fd = open(image, O_RDONLY | O_CLOEXEC | O_DIRECT);
	if (r.fd < 0)
		r.fd = open(image, O_RDONLY | O_CLOEXEC);
	if (r.fd < 0)
		die("%s: %s", image, strerror(errno));
	start = now();
	for (unsigned int i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, read_some, &r))
			die("no thread");
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	for (size_t i = 0; i < r.ranges.count; i++)
		blocks += r.ranges.v[i].len;
	printf("%zu requests %llu bytes %.3f s\n", r.ranges.count,
	       (unsigned long long)blocks * r.block_size, now() - start);
	close(r.fd);
	free(r.ranges.v);
}

int main(int argc, char **argv)
{
	const char *path = "/dev/stdin";
	bool is_list = false, with_directories = false;
	unsigned int threads = 8;
	int opt;

	while ((opt = getopt(argc, argv, "di:lt:")) != -1) {
		if (opt == 'l')
			is_list = true;
		else if (opt == 'i')
			path = optarg;
		else if (opt == 'd')
			with_directories = true;
		else if (opt == 't')
			threads = (unsigned int)parse_number(optarg, 1,
							     MOST_THREADS);
		else
			return 16;
	}
	if (optind + 1 != argc)
		die("usage: rawscan -l [-d] image | "
		    "rawscan [-t n] [-i list] image");
	initialize_ext2_error_table();
	if (is_list)
		list(argv[optind], with_directories);
	else
		read_list(argv[optind], path, threads);
	return 0;
}
