/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "judge.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ext2fs/ext2fs.h>

#include "../tools/contents.h"
#include "../tools/sum.h"
#include "../tools/tool.h"

/* -- sets of sums --------------------------------------------------------- */

static size_t slot_of(const struct judge_set *set, uint64_t sum)
{
	size_t i = (size_t)sum % set->alloc;

	while (set->v[i] && set->v[i] != sum)
		i = (i + 1) % set->alloc;
	return i;
}

static int has(const struct judge_set *set, uint64_t sum)
{
	return set->count && set->v[slot_of(set, sum | 1)];
}

static void add(struct judge_set *set, uint64_t sum)
{
	struct judge_set old = *set;
	size_t i;

	if (set->count * 2 >= set->alloc) {
		set->alloc = set->alloc ? set->alloc * 2 : 1024;
		set->v = must_alloc(calloc(set->alloc, sizeof(*set->v)));
		for (i = 0; i < old.alloc; i++)
			if (old.v[i])
				set->v[slot_of(set, old.v[i])] = old.v[i];
		free(old.v);
	}
	i = slot_of(set, sum | 1);
	set->count += !set->v[i];
	set->v[i] = sum | 1;
}

/* -- programs ------------------------------------------------------------- */

/*
 * Runs a program with its output in a file; returns its exit status.  What
 * ends the enumeration ends it behind the state that is being judged, so a
 * program does not get to see the signal of a terminal.
 */
static int run(const char *output, const char *const argv[])
{
	extern char **environ;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t blocked;
	int status = 0, err;
	pid_t pid;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &blocked);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, output,
					 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
	err = posix_spawnp(&pid, argv[0], &files, &attr,
			   (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	if (err)
		die("%s: %s", argv[0], strerror(err));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("wait: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Up to two options, with the external journal if there is one. */
static int run_e2fsck(const struct judge *j, const char *option,
		      const char *extended)
{
	const struct judge_options *o = j->options;
	const char *argv[8] = { "e2fsck", option };
	int n = 2;

	if (extended) {
		argv[n++] = "-E";
		argv[n++] = extended;
	}
	if (o->journal) {
		argv[n++] = "-j";
		argv[n++] = o->journal;
	}
	argv[n] = o->work;
	return run("log", argv);
}

/* -- the files ------------------------------------------------------------ */

static uint64_t content_of(void *ctx, blk64_t blk)
{
	return disk_content(ctx, (size_t)blk);
}

/* The digest of all files; 0 where they cannot be read. */
static uint64_t sum_files(struct judge *j)
{
	struct contents c = {
		.block = content_of,
		.ctx = j->disk,
		.ignored_flags = j->options->is_converted ? EXT4_EXTENTS_FL : 0,
	};
	errcode_t err;

	err = ext2fs_open(j->options->work, EXT2_FLAG_64BITS, 0, 0,
			  unix_io_manager, &c.fs);
	if (err)
		return 0;
	err = ext2fs_read_inode_bitmap(c.fs);
	if (!err)
		err = contents_sum(&c);
	ext2fs_free(c.fs);
	return err ? 0 : c.sum;
}

static int visit_block(ext2_filsys fs, blk64_t *blk, e2_blkcnt_t lblk,
		       blk64_t ref_blk, int ref_offset, void *data)
{
	int *is_marked = data;

	(void)lblk;
	(void)ref_blk;
	(void)ref_offset;
	if (!ext2fs_test_block_bitmap2(fs->block_map, *blk))
		*is_marked = 0;
	return *is_marked ? 0 : BLOCK_ABORT;
}

static int are_marked(ext2_filsys fs)
{
	struct ext2_inode inode;
	ext2_inode_scan scan;
	ext2_ino_t ino;
	int is_marked = 1;

	if (ext2fs_open_inode_scan(fs, 0, &scan))
		return 0;
	while (is_marked && !ext2fs_get_next_inode(scan, &ino, &inode) && ino)
		if (inode.i_links_count &&
		    ext2fs_inode_has_valid_blocks2(fs, &inode) &&
		    ext2fs_block_iterate3(fs, ino, BLOCK_FLAG_READ_ONLY, NULL,
					  visit_block, &is_marked))
			is_marked = 0;
	ext2fs_close_inode_scan(scan);
	return is_marked;
}

/*
 * Is every block of a file marked as in use, so that a kernel that goes on
 * without a check does not give it to another one?  Checksums of bitmaps may
 * be wrong; the kernel then leaves the group alone.
 */
static int has_marked_files(const struct judge *j)
{
	ext2_filsys fs;
	int is_marked = 0;

	if (ext2fs_open(j->options->work,
			EXT2_FLAG_64BITS | EXT2_FLAG_IGNORE_CSUM_ERRORS, 0, 0,
			unix_io_manager, &fs))
		return 0;
	if (!ext2fs_read_bitmaps(fs))
		is_marked = are_marked(fs);
	ext2fs_free(fs);
	return is_marked;
}

static uint64_t sum_output(const char *name)
{
	uint64_t sum = SUM_START;
	char line[4096];
	FILE *f = fopen(name, "re");

	while (f && fgets(line, sizeof(line), f))
		sum = sum_bytes(sum, line, strlen(line));
	if (f)
		fclose(f);
	return sum;
}

/* -- the external journal ------------------------------------------------- */

static void load_journal(struct judge *j)
{
	struct stat st;
	FILE *f = fopen(j->options->journal, "re");

	if (!f || fstat(fileno(f), &st) < 0)
		die("%s: %s", j->options->journal, strerror(errno));
	j->journal_size = (size_t)st.st_size;
	j->journal = must_alloc(malloc(j->journal_size));
	if (fread(j->journal, 1, j->journal_size, f) != j->journal_size)
		die("%s cannot be read", j->options->journal);
	fclose(f);
}

/* e2fsck may write to it: each state begins with the one of the start. */
static void restore_journal(const struct judge *j)
{
	FILE *f = fopen(j->options->journal, "r+e");

	if (!f || fwrite(j->journal, 1, j->journal_size, f) != j->journal_size)
		die("%s: %s", j->options->journal, strerror(errno));
	fclose(f);
}

/* -- recovery ------------------------------------------------------------- */

static const char *recover_by_e2fsck(struct judge *j)
{
	if (run_e2fsck(j, "-p", "journal_only") > 1)
		return "e2fsck -p does not replay";
	return NULL;
}

static const char *repair(struct judge *j)
{
	if (run_e2fsck(j, "-p", NULL) <= 1)
		return NULL;
	j->gave_up++;
	if (run_e2fsck(j, "-fy", NULL) > 1)
		return "e2fsck -fy cannot repair it";
	return NULL;
}

/* Attaches the image to a loop device; it detaches itself when unused. */
static int attach(const char *image, char *name, size_t size)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int fd = open(image, O_RDWR | O_CLOEXEC), loop = -1;

	if (control < 0 || fd < 0)
		die("no loop device: %s", strerror(errno));
	config.fd = (__u32)fd;
	for (int try = 0; try < 100 && loop < 0; try++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(name, size, "/dev/loop%d", n);
		loop = n < 0 ? -1 : open(name, O_RDWR | O_CLOEXEC);
		if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
			close(loop); /* another was faster */
			loop = -1;
		}
	}
	if (loop < 0)
		die("no loop device: %s", strerror(errno));
	close(control);
	close(fd);
	return loop;
}

/* A mount of work on the directory mnt. */
struct mounted {
	int loop;
	char name[32]; /* of the loop device */
};

/* The kernel replays the journal, if there is one.  Returns 0 for success. */
static int mount_work(const struct judge *j, unsigned long flags,
		      struct mounted *m)
{
	m->loop = attach(j->options->work, m->name, sizeof(m->name));
	if (!mount(m->name, "mnt", "ext4", flags, "noinit_itable"))
		return 0;
	close(m->loop);
	return 1;
}

/*
 * When umount returns, the file system may still be alive: whoever flushes the
 * block device at that moment holds it, and the rest is done when he lets go.
 * Until then the kernel does not give the device to another one.
 */
static void unmount(struct mounted *m)
{
	int fd = -1;

	for (int try = 0; umount2("mnt", 0) < 0; try++) {
		if (errno != EBUSY || try > 1000)
			die("umount: %s", strerror(errno));
		usleep(10000);
	}
	for (int try = 0; fd < 0; try++) {
		fd = open(m->name, O_RDONLY | O_EXCL | O_CLOEXEC);
		if (fd < 0 && (errno != EBUSY || try > 1000))
			die("%s: %s", m->name, strerror(errno));
		if (fd < 0)
			usleep(10000);
	}
	close(fd);
	close(m->loop);
}

static const char *recover_by_mount(struct judge *j)
{
	struct mounted m;

	if (mount_work(j, 0, &m))
		return "the kernel does not mount it";
	unmount(&m);
	return NULL;
}

/* What the kernel shows of an image that was not repaired; 0 = nothing. */
static uint64_t sum_view(const struct judge *j)
{
	const char *const argv[] = { j->options->treesum, "-1q", "mnt", NULL };
	struct mounted m;
	uint64_t sum = 0;

	if (mount_work(j, MS_RDONLY, &m))
		return 0;
	if (!run("view", argv))
		sum = sum_output("view");
	unmount(&m);
	return sum;
}

/* -- the checks ----------------------------------------------------------- */

/* e2fsck -n says 0, but "? no", of counts in the superblock that are wrong. */
static int has_question(void)
{
	char line[256];
	FILE *f = fopen("log", "re");
	int found = 0;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, "? no") && !strstr(line, "Optimize? no");
	if (f)
		fclose(f);
	return found;
}

/* As of a transaction that the recovery took for damaged. */
static int has_error_mark(const struct disk *disk)
{
	const struct ext2_super_block *sb =
		(const void *)(disk->work + SUPERBLOCK_OFFSET);

	return (sb->s_state & EXT2_ERROR_FS) ||
	       !(sb->s_state & EXT2_VALID_FS) ||
	       (sb->s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER);
}

static const char *check(struct judge *j)
{
	if (run_e2fsck(j, "-fn", NULL) || has_question())
		return "e2fsck -fn finds errors";
	if (has_error_mark(j->disk))
		return "the file system is marked as having errors";
	if (memcmp(j->disk->work, j->boot, sizeof(j->boot)))
		return "the boot block is not what it was";
	return sum_files(j) == j->files ? NULL :
					  "the files are not what they were";
}

/* Nobody has repaired anything yet, and looking does not. */
static const char *check_unrepaired(struct judge *j, enum judge_recovery how)
{
	uint64_t sum = disk_sum(j->disk);

	if (sum_files(j) != j->files)
		return "unrepaired, the files are not what they were";
	if (!has_marked_files(j))
		return "unrepaired, blocks of files are marked as free";
	if (how != JUDGE_MOUNT)
		return NULL;
	if (sum_view(j) != j->view)
		return "the kernel does not show the files as they were";
	disk_look(j->disk);
	return disk_sum(j->disk) == sum ? NULL :
					  "a read-only mount has changed it";
}

static const char *recover(struct judge *j, enum judge_recovery how)
{
	const char *reason;

	if (!j->options->is_ordered && sum_files(j) != j->files)
		return "unrecovered, the files are not what they were";
	if (!j->options->is_ordered)
		return how == JUDGE_MOUNT ? recover_by_mount(j) :
					    recover_by_e2fsck(j);
	reason = check_unrepaired(j, how);
	return reason ? reason : repair(j);
}

enum judge_verdict judge_work(struct judge *j, enum judge_recovery how)
{
	uint64_t before = sum_word(disk_sum(j->disk), how), behind;

	if (has(&j->before, before))
		return JUDGE_SEEN;
	j->reason = recover(j, how);
	j->recovered++;
	disk_look(j->disk);
	behind = disk_sum_no_log(j->disk);
	if (!j->reason && !has(&j->behind, behind)) {
		j->reason = check(j);
		j->checked++;
	}
	if (j->journal)
		restore_journal(j);
	if (j->reason)
		return JUDGE_BAD;
	add(&j->behind, behind);
	add(&j->before, before);
	return JUDGE_GOOD;
}

void judge_open(struct judge *j, struct disk *disk,
		const struct judge_options *options)
{
	memset(j, 0, sizeof(*j));
	j->disk = disk;
	j->options = options;
	memcpy(j->boot, disk->base, sizeof(j->boot));
	/* Equal states must give equal images: no clock. */
	setenv("E2FSPROGS_FAKE_TIME", "1700000000", 1);
	if (mkdir("mnt", 0700) < 0 && errno != EEXIST)
		die("mnt: %s", strerror(errno));
	if (options->journal)
		load_journal(j);
	j->files = sum_files(j);
	if (!j->files)
		die("%s cannot be read", options->work);
	if (options->is_ordered && options->treesum)
		j->view = sum_view(j);
	if (options->is_ordered && options->treesum && !j->view)
		die("%s cannot be mounted", options->work);
}

void judge_close(struct judge *j)
{
	free(j->before.v);
	free(j->behind.v);
	free(j->journal);
}
