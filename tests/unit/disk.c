/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crc32c.h"
#include "super.h"

/* Returns the exit status of a shell command. */
static int run(const char *format, const char *a, const char *b)
{
	char command[512];
	int status;

	snprintf(command, sizeof(command), format, a, b);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int disk_has_tools(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s:/usr/sbin:/sbin",
		 getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
	setenv("PATH", path, 1);
	if (!run("command -v mke2fs >%s && command -v e2fsck >%s", "/dev/null",
		 "/dev/null"))
		return 1;
	printf("mke2fs and e2fsck are needed (Debian: e2fsprogs)\n");
	return 0;
}

static void note(void *ctx, const struct e4df_finding *finding)
{
	struct disk *disk = ctx;

	disk->last = *finding;
	snprintf(disk->text, sizeof(disk->text), "%s", finding->text);
	disk->last.text = disk->text;
}

/* What libext2fs knows: the log's extents, and free blocks. */
static void examine(struct disk *disk)
{
	struct e4df_extent *e = NULL;
	ext2_filsys fs;
	blk64_t blk;

	assert_int_equal(ext2fs_open(disk->path, EXT2_FLAG_64BITS, 0, 0,
				     unix_io_manager, &fs),
			 0);
	assert_int_equal(ext2fs_read_bitmaps(fs), 0);
	for (__u32 n = 0; n < 1024; n++) {
		assert_int_equal(ext2fs_bmap2(fs, EXT2_JOURNAL_INO, NULL, NULL,
					      0, n, NULL, &blk),
				 0);
		if (!e || blk != e->pblk + e->len) {
			e = &disk->log[disk->log_extents++];
			assert_in_range(disk->log_extents, 1, DISK_LOG_MAX);
			*e = (struct e4df_extent){ blk & E4DF_PBLK_MAX, 0, n,
						   0 };
		}
		e->len++;
	}
	disk->unused =
		calloc(ext2fs_blocks_count(fs->super), sizeof(*disk->unused));
	assert_non_null(disk->unused);
	for (blk = fs->super->s_first_data_block;
	     blk < ext2fs_blocks_count(fs->super); blk++)
		if (!ext2fs_test_block_bitmap2(fs->block_map, blk))
			disk->unused[disk->unused_count++] = blk;
	ext2fs_free(fs);
}

static void set_needs_recovery(const struct disk *disk)
{
	struct ext2_super_block sb;

	assert_int_equal(pread(disk->fd, &sb, sizeof(sb), 1024), sizeof(sb));
	sb.s_feature_incompat |= EXT3_FEATURE_INCOMPAT_RECOVER;
	e4df_super_seal(&sb);
	assert_int_equal(pwrite(disk->fd, &sb, sizeof(sb), 1024), sizeof(sb));
}

void disk_make(struct disk *disk, unsigned int bs, const char *features)
{
	const char *tmp = getenv("TMPDIR");
	char number[16], options[128];

	memset(disk, 0, sizeof(*disk));
	disk->bs = bs;
	disk->sink = (struct e4df_sink){ .finding = note, .ctx = disk };
	snprintf(disk->dir, sizeof(disk->dir), "%s/e4df-unit.XXXXXX",
		 tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	assert_non_null(mkdtemp(disk->dir));
	snprintf(disk->path, sizeof(disk->path), "%s/image", disk->dir);
	snprintf(options, sizeof(options),
		 "-q -F -t ext4 -b %u -J size=%u -O '%s'", bs, bs / 1024,
		 features);
	assert_int_equal(run("mke2fs %s %s 6000 >/dev/null 2>&1", options,
			     disk->path),
			 0);
	disk->fd = open(disk->path, O_RDWR);
	assert_true(disk->fd >= 0);
	examine(disk);
	set_needs_recovery(disk);
	assert_int_equal(e4df_gate_manager()->open(disk->path, 0, &disk->io),
			 0);
	snprintf(number, sizeof(number), "%d", disk->fd);
	assert_int_equal(disk->io->manager->set_option(disk->io, "fd", number),
			 0);
	assert_int_equal(io_channel_set_blksize(disk->io, (int)bs), 0);
	disk->gate = e4df_gate_of(disk->io);
	e4df_gate_set_sink(disk->gate, &disk->sink);
}

void disk_remove(struct disk *disk)
{
	io_channel_close(disk->io);
	close(disk->fd);
	free(disk->unused);
	assert_int_equal(run("rm -r '%s'%s", disk->dir, ""), 0);
}

void disk_save(const struct disk *disk)
{
	assert_int_equal(run("cp --sparse=always '%s' '%s.saved'", disk->path,
			     disk->path),
			 0);
}

void disk_restore(const struct disk *disk)
{
	assert_int_equal(run("cp --sparse=always '%s.saved' '%s'", disk->path,
			     disk->path),
			 0);
}

int disk_e2fsck(const struct disk *disk, const char *options)
{
	return run("e2fsck %s '%s' >/dev/null 2>&1", options, disk->path);
}

void disk_read(const struct disk *disk, blk64_t blk, void *buf)
{
	assert_int_equal(pread(disk->fd, buf, disk->bs,
			       (off_t)(blk * disk->bs)),
			 disk->bs);
}

void disk_write(const struct disk *disk, blk64_t blk, const void *buf)
{
	assert_int_equal(pwrite(disk->fd, buf, disk->bs,
				(off_t)(blk * disk->bs)),
			 disk->bs);
}

blk64_t disk_log_block(const struct disk *disk, __u32 n)
{
	const struct e4df_extent *e = disk->log;

	while (e->lblk + e->len <= n)
		e++;
	return e->pblk + (n - e->lblk);
}

void disk_read_jsb(const struct disk *disk, struct jbd2_super *jsb)
{
	assert_int_equal(pread(disk->fd, jsb, sizeof(*jsb),
			       (off_t)(disk->log[0].pblk * disk->bs)),
			 sizeof(*jsb));
}

void disk_write_jsb(const struct disk *disk, struct jbd2_super *jsb)
{
	uint32_t csum = JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_CSUM_V3;

	if (ext2fs_be32_to_cpu(jsb->incompat) & csum) {
		jsb->checksum = 0;
		jsb->checksum =
			ext2fs_cpu_to_be32(crc32c(~0U, jsb, sizeof(*jsb)));
	}
	assert_int_equal(pwrite(disk->fd, jsb, sizeof(*jsb),
				(off_t)(disk->log[0].pblk * disk->bs)),
			 sizeof(*jsb));
}
