/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ext2fs/ext2fs.h>

#include "../tools/contents.h"
#include "../tools/sum.h"
#include "../tools/tool.h"

static void load(struct disk *d, const char *image)
{
	int fd = open(image, O_RDONLY | O_CLOEXEC);
	size_t done = 0;

	if (fd < 0)
		die("%s: %s", image, strerror(errno));
	while (done < d->bytes) {
		ssize_t got = read(fd, d->base + done, d->bytes - done);

		if (got <= 0)
			die("%s cannot be read", image);
		done += (size_t)got;
	}
	close(fd);
}

static uint64_t content_of(const struct disk *d, const unsigned char *image,
			   size_t unit)
{
	return contents_block(image + unit * d->unit, d->unit);
}

/* Of a block with that content at that place. */
static uint64_t place(uint64_t content, size_t unit)
{
	return sum_word(sum_word(SUM_START, unit), content);
}

static int visit_log(ext2_filsys fs, blk64_t *blk, e2_blkcnt_t lblk,
		     blk64_t ref_blk, int ref_offset, void *data)
{
	struct disk *d = data;

	(void)fs;
	(void)ref_blk;
	(void)ref_offset;
	if (lblk > 0) /* block 0 is its superblock */
		d->is_log[*blk] = 1;
	return 0;
}

/* The block size, and which blocks the log is made of. */
static void learn(struct disk *d, const char *image)
{
	ext2_filsys fs;
	struct stat st;

	if (stat(image, &st) < 0)
		die("%s: %s", image, strerror(errno));
	if (ext2fs_open(image, EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES,
			0, 0, unix_io_manager, &fs))
		die("%s is no ext file system", image);
	d->unit = fs->blocksize;
	d->bytes = (size_t)ext2fs_blocks_count(fs->super) * d->unit;
	if ((size_t)st.st_size != d->bytes)
		die("%s is not as large as its file system", image);
	d->is_log = must_alloc(calloc(d->bytes / d->unit, 1));
	if (fs->super->s_journal_inum &&
	    ext2fs_block_iterate3(fs, fs->super->s_journal_inum,
				  BLOCK_FLAG_DATA_ONLY | BLOCK_FLAG_READ_ONLY,
				  NULL, visit_log, d))
		die("%s: the journal cannot be mapped", image);
	ext2fs_close_free(&fs);
}

static void rehash(struct disk *d)
{
	d->sum = 0;
	d->sum_no_log = 0;
	for (size_t i = 0; i < d->bytes / d->unit; i++) {
		d->content[i] = content_of(d, d->base, i);
		d->sum += place(d->content[i], i);
		d->sum_no_log += d->is_log[i] ? 0 : place(d->content[i], i);
	}
}

void disk_rewind(struct disk *d, const char *image)
{
	load(d, image);
	memcpy(d->work, d->base, d->bytes);
	rehash(d);
	memset(d->is_changed, 0, d->bytes / d->unit);
	d->changed_count = 0;
}

void disk_open(struct disk *d, const char *image, const char *work)
{
	int fd = open(work, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	memset(d, 0, sizeof(*d));
	learn(d, image);
	d->base = must_alloc(malloc(d->bytes));
	d->content =
		must_alloc(calloc(d->bytes / d->unit, sizeof(*d->content)));
	d->changed =
		must_alloc(calloc(d->bytes / d->unit, sizeof(*d->changed)));
	d->is_changed = must_alloc(calloc(d->bytes / d->unit, 1));
	if (fd < 0 || ftruncate(fd, (off_t)d->bytes) < 0)
		die("%s: %s", work, strerror(errno));
	d->work =
		mmap(NULL, d->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (d->work == MAP_FAILED)
		die("%s: %s", work, strerror(errno));
	close(fd);
	disk_rewind(d, image);
}

void disk_close(struct disk *d)
{
	munmap(d->work, d->bytes);
	free(d->base);
	free(d->content);
	free(d->is_log);
	free(d->changed);
	free(d->is_changed);
}

static void check_range(const struct disk *d, uint64_t offset, size_t bytes)
{
	if (offset > d->bytes || bytes > d->bytes - offset)
		die("a write beyond the end of the image");
}

static void note(struct disk *d, size_t unit)
{
	if (!d->is_changed[unit])
		d->changed[d->changed_count++] = unit;
	d->is_changed[unit] = 1;
}

void disk_poke(struct disk *d, uint64_t offset, const void *data, size_t bytes)
{
	check_range(d, offset, bytes);
	memcpy(d->work + offset, data, bytes);
	for (size_t i = offset / d->unit; i * d->unit < offset + bytes; i++)
		note(d, i);
}

void disk_settle(struct disk *d, uint64_t offset, const void *data,
		 size_t bytes)
{
	check_range(d, offset, bytes);
	memcpy(d->work + offset, data, bytes);
	memcpy(d->base + offset, data, bytes);
	for (size_t i = offset / d->unit; i * d->unit < offset + bytes; i++) {
		uint64_t now = content_of(d, d->base, i);
		uint64_t change = place(now, i) - place(d->content[i], i);

		d->sum += change;
		d->sum_no_log += d->is_log[i] ? 0 : change;
		d->content[i] = now;
	}
}

void disk_look(struct disk *d)
{
	for (size_t i = 0; i < d->bytes / d->unit; i++)
		if (memcmp(d->base + i * d->unit, d->work + i * d->unit,
			   d->unit))
			note(d, i);
}

static uint64_t change_of(const struct disk *d, size_t unit)
{
	return place(content_of(d, d->work, unit), unit) -
	       place(d->content[unit], unit);
}

uint64_t disk_content(const struct disk *d, size_t unit)
{
	return d->is_changed[unit] ? content_of(d, d->work, unit) :
				     d->content[unit];
}

uint64_t disk_sum(const struct disk *d)
{
	uint64_t sum = d->sum;

	for (size_t i = 0; i < d->changed_count; i++)
		sum += change_of(d, d->changed[i]);
	return sum;
}

uint64_t disk_sum_no_log(const struct disk *d)
{
	uint64_t sum = d->sum_no_log;

	for (size_t i = 0; i < d->changed_count; i++)
		if (!d->is_log[d->changed[i]])
			sum += change_of(d, d->changed[i]);
	return sum;
}

void disk_undo(struct disk *d)
{
	for (size_t i = 0; i < d->changed_count; i++) {
		size_t at = d->changed[i] * d->unit;

		memcpy(d->work + at, d->base + at, d->unit);
		d->is_changed[d->changed[i]] = 0;
	}
	d->changed_count = 0;
}
