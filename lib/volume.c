/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "volume.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "e4df_err.h"
#include "features.h"
#include "inodes.h"
#include "mmp.h"
#include "probe.h"
#include "super.h"
#include "undo.h"
#include "xjournal.h"

struct e4df_volume {
	/* Immutable once open. */
	struct e4df_volume_options options;
	struct e4df_sink *sink;	      /* (borrowed) */
	int fd;			      /* (owned) holds the locks */
	uint64_t size;		      /* bytes, of the device or image */
	ext2_filsys fs;		      /* (owned) */
	struct e4df_gate *gate;	      /* (borrowed from fs->io) */
	struct e4df_undo *undo;	      /* (owned) NULL: none */
	struct e4df_runs super_grant; /* the superblock's block */
	/* Mutable. */
	struct e4df_mmp *mmp;	       /* (owned) while we hold the MMP block */
	struct ext2_super_block super; /* as on disk now */
};

ext2_filsys e4df_volume_fs(const struct e4df_volume *vol)
{
	return vol->fs;
}

struct e4df_gate *e4df_volume_gate(const struct e4df_volume *vol)
{
	return vol->gate;
}

struct e4df_sink *e4df_volume_sink(const struct e4df_volume *vol)
{
	return vol->sink;
}

const struct ext2_super_block *e4df_volume_super(const struct e4df_volume *vol)
{
	return &vol->super;
}

void e4df_volume_set_super(struct e4df_volume *vol,
			   const struct ext2_super_block *sb)
{
	vol->super = *sb;
}

blk64_t e4df_volume_super_block(const struct e4df_volume *vol)
{
	return E4DF_SUPER_OFFSET / vol->fs->blocksize;
}

unsigned int e4df_volume_super_offset(const struct e4df_volume *vol)
{
	return E4DF_SUPER_OFFSET % vol->fs->blocksize;
}

/* The checks that need no more than the superblock itself. */
static errcode_t check_super(struct e4df_volume *vol)
{
	struct ext2_super_block *sb = &vol->super;
	uint64_t blocks, bytes;
	size_t got;
	errcode_t err;

	err = e4df_probe_read(vol->fd, vol->options.path,
			      vol->options.offset + E4DF_SUPER_OFFSET, sb,
			      sizeof(*sb), &got, vol->sink);
	if (err)
		return err;
	if (got != sizeof(*sb))
		return e4df_event_fail(vol->sink, E4DF_ET_SHORT,
				       "%s ends within its superblock",
				       vol->options.path);
	err = e4df_features_check(sb, vol->options.path, vol->sink);
	if (err)
		return err;
	if (!e4df_super_is_valid(sb))
		return e4df_event_fail(vol->sink, E4DF_ET_INCONSISTENT,
				       "%s: the superblock's checksum is "
				       "wrong; run e2fsck -f first",
				       vol->options.path);
	if (sb->s_log_block_size > 6)
		return e4df_event_fail(vol->sink, E4DF_ET_INCONSISTENT,
				       "%s: the block size in the superblock "
				       "is impossible; run e2fsck -f first",
				       vol->options.path);
	blocks = ext2fs_blocks_count(sb);
	if (__builtin_mul_overflow(blocks, 1024ULL << sb->s_log_block_size,
				   &bytes) ||
	    bytes > vol->size - vol->options.offset)
		return e4df_event_fail(
			vol->sink, E4DF_ET_SHORT,
			"%s is shorter than its file system "
			"(%llu blocks of %u bytes); is the image "
			"truncated?",
			vol->options.path, (unsigned long long)blocks,
			1024U << sb->s_log_block_size);
	/* e2fsck 1.47 forgets the offset once it has replayed a journal. */
	if (vol->options.offset &&
	    ext2fs_has_feature_journal_needs_recovery(sb))
		return e4df_event_fail(vol->sink, E4DF_ET_DIRTY_JOURNAL,
				       "%s has a journal that must be "
				       "replayed, which e2fsck cannot do at "
				       "an offset; run e2fsck -p on a loop "
				       "device (losetup -o)",
				       vol->options.path);
	return e4df_features_check_state(sb, vol->options.path, vol->sink);
}

static errcode_t open_fs(struct e4df_volume *vol)
{
	char options[128];
	errcode_t err;

	snprintf(options, sizeof(options), "fd=%d&offset=%llu&sink=%llu",
		 vol->fd, (unsigned long long)vol->options.offset,
		 (unsigned long long)(uintptr_t)vol->sink);
	err = ext2fs_open2(vol->options.path, options,
			   EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES |
				   EXT2_FLAG_SKIP_MMP,
			   0, 0, e4df_gate_manager(), &vol->fs);
	if (e4df_gate_cause(NULL, err))
		return e4df_gate_cause(NULL, err);
	if (err)
		return e4df_event_fail(vol->sink, E4DF_ET_INCONSISTENT,
				       "%s: %s; run e2fsck -f first",
				       vol->options.path, error_message(err));
	e4df_inodes_attach(vol->fs);
	vol->gate = e4df_gate_of(vol->fs->io);
	e4df_gate_set_tap(vol->gate, vol->options.tap);
	return e4df_runs_push(&vol->super_grant, e4df_volume_super_block(vol),
			      1);
}

static int is_log(const struct ext2_inode *inode)
{
	return LINUX_S_ISREG(inode->i_mode) && inode->i_links_count &&
	       !(inode->i_flags & EXT4_ENCRYPT_FL) && EXT2_I_SIZE(inode);
}

/*
 * Where the journal's superblock is; 0 if the kernel or e2fsck would not take
 * it for a journal, not even to replay it: it is a file, and all of its size
 * is there.
 */
static errcode_t find_journal(struct e4df_volume *vol, blk64_t *blk)
{
	ext2_ino_t ino = vol->super.s_journal_inum;
	ext2_filsys fs = vol->fs;
	struct ext2_inode inode;
	blk64_t last = 0;
	errcode_t err = ext2fs_read_inode(fs, ino, &inode);

	*blk = 0;
	if (err || !is_log(&inode))
		return e4df_gate_cause(vol->gate, err);
	err = ext2fs_bmap2(fs, ino, &inode, NULL, 0,
			   (EXT2_I_SIZE(&inode) - 1) / fs->blocksize, NULL,
			   &last);
	if (!err && last)
		err = ext2fs_bmap2(fs, ino, &inode, NULL, 0, 0, NULL, blk);
	if (err || *blk >= ext2fs_blocks_count(fs->super))
		*blk = 0;
	return e4df_gate_cause(vol->gate, err);
}

static errcode_t check_internal(struct e4df_volume *vol)
{
	blk64_t blk;
	errcode_t err = find_journal(vol, &blk);
	char *jsb;

	if (err)
		return err;
	if (!blk)
		return e4df_event_fail(vol->sink, E4DF_ET_INCONSISTENT,
				       "%s: the journal inode is damaged; run "
				       "e2fsck -f first",
				       vol->options.path);
	jsb = malloc(vol->fs->blocksize);
	if (!jsb)
		return ENOMEM;
	err = e4df_gate_read(vol->gate, blk, 1, jsb);
	if (!err)
		err = e4df_xjournal_check_idle((void *)jsb, vol->options.path,
					       vol->sink);
	free(jsb);
	return err;
}

/* Is the journal idle, wherever it is? */
static errcode_t check_journal(struct e4df_volume *vol)
{
	const struct e4df_volume_options *o = &vol->options;

	if (!ext2fs_has_feature_journal(vol->fs->super))
		return 0;
	if (vol->super.s_journal_inum)
		return check_internal(vol);
	if (o->flags & E4DF_VOLUME_REPORT)
		return 0;
	return e4df_xjournal_check(o->journal, vol->super.s_journal_uuid,
				   o->path, vol->sink);
}

/* Whatever the run does: the block is kept fresh, or nothing is done. */
static errcode_t watch_mmp(void *ctx)
{
	return e4df_mmp_refresh(ctx);
}

static errcode_t hold_mmp(struct e4df_volume *vol)
{
	struct e4df_mmp_options o = {
		.fs = vol->fs,
		.gate = vol->gate,
		.sink = vol->sink,
		.path = vol->options.path,
		.fd = vol->fd,
		.offset = vol->options.offset,
	};
	errcode_t err;

	if (!ext2fs_has_feature_mmp(vol->fs->super))
		return 0;
	err = e4df_mmp_take(&o, &vol->mmp);
	if (!err)
		e4df_gate_set_watch(vol->gate, watch_mmp, vol->mmp);
	return err;
}

errcode_t e4df_volume_release(struct e4df_volume *vol)
{
	struct e4df_mmp *mmp = vol->mmp;
	errcode_t err;

	if (!mmp)
		return 0;
	vol->mmp = NULL;
	e4df_gate_set_watch(vol->gate, NULL, NULL);
	err = e4df_mmp_release(mmp);
	e4df_mmp_free(mmp);
	return err;
}

errcode_t e4df_volume_close(struct e4df_volume *vol)
{
	errcode_t err;

	if (!vol)
		return 0;
	if (vol->fs) {
		e4df_volume_release(vol);
		ext2fs_free(vol->fs);
	}
	err = e4df_undo_close(vol->undo);
	if (vol->fd >= 0)
		close(vol->fd);
	e4df_runs_free(&vol->super_grant);
	free(vol);
	return err;
}

static errcode_t open_undo(const struct e4df_volume_options *o, int fd,
			   struct e4df_sink *sink, struct e4df_undo **ret)
{
	struct e4df_undo_options undo = {
		.path = o->undo,
		.flags = o->flags & E4DF_VOLUME_REUNDO ? E4DF_UNDO_REPLACE : 0,
		.target = o->path,
		.fd = fd,
		.offset = o->offset,
	};

	return e4df_undo_open(&undo, sink, ret);
}

/* From the first write on: that is the MMP block's, where there is one. */
static errcode_t hold_undo(struct e4df_volume *vol)
{
	errcode_t err;

	if (!vol->options.undo)
		return 0;
	err = open_undo(&vol->options, vol->fd, vol->sink, &vol->undo);
	e4df_gate_set_undo(vol->gate, vol->undo);
	return err;
}

static errcode_t open_once(const struct e4df_volume_options *o,
			   struct e4df_sink *sink, struct e4df_volume **ret)
{
	unsigned int probe = o->flags & E4DF_VOLUME_WRITE ? E4DF_PROBE_WRITE :
							    0;
	struct e4df_volume *vol = calloc(1, sizeof(*vol));
	errcode_t err;

	if (!vol)
		return ENOMEM;
	vol->options = *o;
	vol->sink = sink;
	vol->fd = -1;
	err = e4df_probe_open(o->path, probe, sink, &vol->fd, &vol->size);
	if (!err && o->offset >= vol->size)
		err = e4df_event_fail(sink, E4DF_ET_SHORT,
				      "%s is shorter than the offset", o->path);
	if (!err)
		err = e4df_probe_identify(vol->fd, o->path, o->offset, sink);
	if (!err)
		err = check_super(vol);
	if (!err)
		err = open_fs(vol);
	if (!err)
		err = check_journal(vol);
	if (!err && o->flags & E4DF_VOLUME_WRITE)
		err = hold_undo(vol);
	if (!err && o->flags & E4DF_VOLUME_WRITE)
		err = hold_mmp(vol);
	if (err)
		e4df_volume_close(vol);
	else
		*ret = vol;
	return err;
}

/*
 * Names that e2fsck would not take for a path (LABEL=x, a?b, -n), and would
 * then repair something else, go by way of a descriptor.
 */
static char *name_for_e2fsck(const char *path, uint64_t offset, int fd)
{
	char proc[64], suffix[64] = "", *name = NULL;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (offset)
		snprintf(suffix, sizeof(suffix), "?offset=%llu",
			 (unsigned long long)offset);
	if (*path == '-' || strpbrk(path, "?="))
		path = proc;
	return asprintf(&name, "%s%s", path, suffix) < 0 ? NULL : name;
}

/*
 * e2fsck ends in order on SIGINT, and on nothing else that a user may have
 * sent to us alone.  How wait() tells its end.
 */
static int wait_for_e2fsck(pid_t pid, struct e4df_sink *sink)
{
	struct timespec nap = { .tv_nsec = 10000000 };
	int status = -1, is_told = 0;
	pid_t got;

	while (!(got = waitpid(pid, &status, WNOHANG)) ||
	       (got < 0 && errno == EINTR)) {
		if (!is_told && e4df_event_check(sink)) {
			kill(pid, SIGINT);
			is_told = 1;
		}
		nanosleep(&nap, NULL);
	}
	return got < 0 ? -1 : status;
}

/* e2fsck replays journals and knows how; its words go to standard error. */
static errcode_t run_e2fsck(const struct e4df_volume_options *o,
			    struct e4df_sink *sink)
{
	int fd = open(o->path, O_PATH | O_CLOEXEC);
	char *target = name_for_e2fsck(o->path, o->offset, fd);
	const char *argv[8] = { "e2fsck", "-p" };
	int status, argc = 2;
	pid_t pid;

	if (!target) {
		close(fd);
		return ENOMEM;
	}
	if (o->journal) {
		argv[argc++] = "-j";
		argv[argc++] = o->journal;
	}
	if (o->undo) {
		argv[argc++] = "-z";
		argv[argc++] = o->undo;
	}
	argv[argc] = target;
	pid = fork();
	if (!pid) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		fcntl(fd, F_SETFD, 0);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	free(target);
	close(fd);
	if (pid < 0)
		return errno;
	status = wait_for_e2fsck(pid, sink);
	if (e4df_event_check(sink))
		return E4DF_ET_CANCELLED;
	if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		return 0;
	return e4df_event_fail(sink, E4DF_ET_FSCK,
			       "e2fsck -p could not repair %s; run e2fsck -f "
			       "by hand",
			       o->path);
}

/* What e2fsck would say, or do, about a bad undo file is not to be relied on */
static errcode_t try_undo(const struct e4df_volume_options *o,
			  struct e4df_sink *sink)
{
	struct e4df_undo *undo = NULL;
	errcode_t err;
	int fd;

	if (!o->undo)
		return 0;
	fd = open(o->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	err = open_undo(o, fd, sink, &undo);
	if (!err)
		err = e4df_undo_close(undo);
	close(fd);
	return err;
}

/* e2fsck starts the undo file; the run goes on with it. */
static errcode_t repair(struct e4df_volume_options *o, struct e4df_sink *sink)
{
	errcode_t err = try_undo(o, sink);

	if (!err)
		err = run_e2fsck(o, sink);
	o->flags &= ~(unsigned int)E4DF_VOLUME_REUNDO;
	return err;
}

errcode_t e4df_volume_open(const struct e4df_volume_options *o,
			   struct e4df_sink *sink, struct e4df_volume **ret)
{
	struct e4df_volume_options look = *o, use = *o;
	struct e4df_sink quiet = { .ctx = NULL };
	errcode_t err;

	if (!(o->flags & E4DF_VOLUME_REPAIR))
		return open_once(o, sink, ret);
	/* The first try only finds out whether there is something to repair */
	look.flags = E4DF_VOLUME_REPORT;
	look.tap = NULL;
	err = open_once(&look, &quiet, ret);
	if (!err)
		e4df_volume_close(*ret);
	else if (err == E4DF_ET_ERROR_FS || err == E4DF_ET_NOT_CLEAN ||
		 (err == E4DF_ET_DIRTY_JOURNAL && !o->offset))
		err = repair(&use, sink);
	else
		err = 0; /* to be said by the real try */
	*ret = NULL;
	return err ? err : open_once(&use, sink, ret);
}

/*
 * With bigalloc block 0 belongs to a group also where blocks are of 1 KiB, so
 * that all descriptors follow one block later; libext2fs 1.47 knows that of
 * the first block of them alone (but see the kernel's descriptor_loc()).
 */
blk64_t e4df_volume_desc_block(const struct e4df_volume *vol, dgrp_t number)
{
	ext2_filsys fs = vol->fs;
	struct ext2_super_block *sb = fs->super;
	blk64_t blk = ext2fs_descriptor_block_loc2(fs, sb->s_first_data_block,
						   number);

	if (fs->cluster_ratio_bits && fs->blocksize == 1024 && number &&
	    (!ext2fs_has_feature_meta_bg(sb) || number < sb->s_first_meta_bg))
		blk++;
	return blk;
}

errcode_t e4df_volume_reload(struct e4df_volume *vol)
{
	ext2_filsys fs = vol->fs;
	char *at = (char *)fs->group_desc;
	char *block = malloc(fs->blocksize);
	errcode_t err;

	if (!block)
		return ENOMEM;
	err = ext2fs_flush_icache(fs);
	if (!err)
		err = e4df_gate_read(vol->gate, e4df_volume_super_block(vol), 1,
				     block);
	if (!err)
		memcpy(fs->super, block + e4df_volume_super_offset(vol),
		       sizeof(*fs->super));
	free(block);
	if (!err && !e4df_super_is_valid(fs->super))
		err = EXT2_ET_SB_CSUM_INVALID;
	for (dgrp_t i = 0; i < fs->desc_blocks && !err; i++) {
		err = e4df_gate_read(vol->gate, e4df_volume_desc_block(vol, i),
				     1, at);
		at += fs->blocksize;
	}
	return err;
}

/* Writes the superblock: one sector when that is enough to be valid (I7). */
static errcode_t write_super(struct e4df_volume *vol,
			     struct ext2_super_block *sb)
{
	int is_one_sector = e4df_super_seal(sb);
	errcode_t err;

	e4df_gate_grant(vol->gate, &vol->super_grant, "the volume");
	err = e4df_gate_write_bytes(
		vol->gate, E4DF_SUPER_OFFSET,
		is_one_sector ? E4DF_SUPER_SECTOR : E4DF_SUPER_SIZE, sb);
	e4df_gate_grant(vol->gate, NULL, NULL);
	if (!err)
		err = e4df_gate_flush(vol->gate);
	if (!err)
		vol->super = *sb;
	return err;
}

/* The kernel's state field is one of the first 512 bytes, as the flag is. */
static void mark(struct ext2_super_block *sb, enum e4df_discipline discipline,
		 int is_changing)
{
	if (discipline == E4DF_JOURNALED && is_changing)
		ext2fs_set_feature_journal_needs_recovery(sb);
	else if (discipline == E4DF_JOURNALED)
		ext2fs_clear_feature_journal_needs_recovery(sb);
	else if (is_changing)
		sb->s_state &= (__u16)~EXT2_VALID_FS;
	else
		sb->s_state |= EXT2_VALID_FS;
}

errcode_t e4df_volume_begin(struct e4df_volume *vol,
			    enum e4df_discipline discipline)
{
	struct ext2_super_block sb = vol->super;

	mark(&sb, discipline, 1);
	return write_super(vol, &sb); /* I7: before the log's start */
}

errcode_t e4df_volume_end(struct e4df_volume *vol,
			  enum e4df_discipline discipline)
{
	struct ext2_super_block sb = vol->super;

	mark(&sb, discipline, 0);
	return write_super(vol, &sb); /* I7: after the last checkpoint */
}
