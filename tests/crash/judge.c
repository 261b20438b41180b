/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "judge.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <spawn.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ext2fs/ext2fs.h>

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

/* Runs a program with its output in a file; returns its exit status. */
static int run(const char *output, const char *const argv[])
{
	extern char **environ;
	posix_spawn_file_actions_t files;
	int status = 0, err;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, output,
					 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
	err = posix_spawnp(&pid, argv[0], &files, NULL,
			   (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (err)
		die("%s: %s", argv[0], strerror(err));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("wait: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void read_sum(struct judge *j, char *sum, size_t size)
{
	const char *const argv[] = { j->imgsum, j->work, NULL };
	FILE *f;

	memset(sum, 0, size);
	if (run("sum", argv))
		return; /* equals no sum */
	f = fopen("sum", "re");
	if (!f || !fgets(sum, (int)size, f))
		sum[0] = '\0';
	if (f)
		fclose(f);
}

/* -- recovery ------------------------------------------------------------- */

static const char *recover_by_e2fsck(struct judge *j)
{
	const char *const argv[] = { "e2fsck",	     "-p",    "-E",
				     "journal_only", j->work, NULL };

	return run("log", argv) > 1 ? "e2fsck -p does not replay" : NULL;
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

static const char *recover_by_mount(struct judge *j)
{
	char name[32];
	int loop = attach(j->work, name, sizeof(name));
	int err = mount(name, "mnt", "ext4", 0, "noinit_itable") < 0;

	close(loop);
	if (err)
		return "the kernel does not mount it";
	for (int try = 0; umount2("mnt", 0) < 0; try++) {
		if (errno != EBUSY || try > 100)
			die("umount: %s", strerror(errno));
		usleep(10000);
	}
	return NULL;
}

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
	const char *const argv[] = { "e2fsck", "-fn", j->work, NULL };
	char sum[sizeof(j->wanted)];

	if (run("log", argv) || has_question())
		return "e2fsck -fn finds errors";
	if (has_error_mark(j->disk))
		return "the file system is marked as having errors";
	if (memcmp(j->disk->work, j->boot, sizeof(j->boot)))
		return "the boot block is not what it was";
	read_sum(j, sum, sizeof(sum));
	return strcmp(sum, j->wanted) ? "the files are not what they were" :
					NULL;
}

enum judge_verdict judge_work(struct judge *j, enum judge_recovery how)
{
	uint64_t before = sum_word(disk_sum(j->disk), how), behind;

	if (has(&j->before, before))
		return JUDGE_SEEN;
	j->reason = how == JUDGE_MOUNT ? recover_by_mount(j) :
					 recover_by_e2fsck(j);
	j->recovered++;
	disk_look(j->disk);
	if (j->reason)
		return JUDGE_BAD;
	behind = disk_sum_no_log(j->disk);
	if (!has(&j->behind, behind)) {
		j->reason = check(j);
		j->checked++;
		if (j->reason)
			return JUDGE_BAD;
		add(&j->behind, behind);
	}
	add(&j->before, before);
	return JUDGE_GOOD;
}

void judge_open(struct judge *j, struct disk *disk, const char *work,
		const char *imgsum)
{
	memset(j, 0, sizeof(*j));
	j->disk = disk;
	j->work = work;
	j->imgsum = imgsum;
	memcpy(j->boot, disk->base, sizeof(j->boot));
	/* Equal states must give equal images: no clock. */
	setenv("E2FSPROGS_FAKE_TIME", "1700000000", 1);
	if (mkdir("mnt", 0700) < 0 && errno != EEXIST)
		die("mnt: %s", strerror(errno));
	read_sum(j, j->wanted, sizeof(j->wanted));
	if (!j->wanted[0])
		die("%s does not work", imgsum);
}

void judge_close(struct judge *j)
{
	free(j->before.v);
	free(j->behind.v);
}
