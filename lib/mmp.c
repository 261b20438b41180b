/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol of the kernel (fs/ext4/mmp.c) and of libext2fs (mmp.c).  The
 * latter is not used here, because a signal cuts its waiting short, so that
 * it would take the block from a host that is alive; because it does not know
 * of an offset; and because at the end it does not see that the block has
 * been taken over.
 */
#include "mmp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "e4df_err.h"

#define MIN_CHECK    5	  /* seconds; EXT4_MMP_MIN_CHECK_INTERVAL */
#define MAX_REFRESH  5	  /* seconds */
#define BUFFER_ALIGN 4096 /* for direct reads */

struct e4df_mmp {
	/* Immutable. */
	struct e4df_mmp_options o;
	struct e4df_runs grant; /* the block */
	int direct;		/* (owned) reads what is on the device */
	char *buf;		/* (owned) aligned, one block */
	int64_t period;		/* milliseconds between two refreshes */
	/* Mutable. */
	struct mmp_struct image; /* as it was last written */
	int64_t last;		 /* when that was, by now() */
	int is_lost;		 /* told already that it is not ours */
};

/* Milliseconds; goes on while the machine sleeps, and is never set. */
static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The time as it is noted in the block; nothing depends on it. */
static __u64 calendar(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (__u64)t.tv_sec;
}

/*
 * What another host writes to a device is seen only where no cache is in
 * between.  The cache of an image file is that of all who use it here.
 */
static errcode_t open_direct(struct e4df_mmp *mmp)
{
	char name[64];
	struct stat st;

	if (fstat(mmp->o.fd, &st) < 0)
		return errno;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", mmp->o.fd);
	if (S_ISBLK(st.st_mode))
		mmp->direct = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
	else
		mmp->direct = dup(mmp->o.fd);
	return mmp->direct < 0 ? errno : 0;
}

static uint64_t block_offset(const struct e4df_mmp *mmp)
{
	return mmp->o.fs->super->s_mmp_block * mmp->o.fs->blocksize;
}

/* Leaves the block in mmp->buf. */
static errcode_t read_block(struct e4df_mmp *mmp, struct mmp_struct *image)
{
	size_t bytes = mmp->o.fs->blocksize;
	ssize_t got;

	do {
		got = pread(mmp->direct, mmp->buf, bytes,
			    (off_t)(mmp->o.offset + block_offset(mmp)));
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno;
	if ((size_t)got != bytes)
		return EXT2_ET_SHORT_READ;
	memcpy(image, mmp->buf, sizeof(*image));
	if (!ext2fs_mmp_csum_verify(mmp->o.fs, image))
		return EXT2_ET_MMP_CSUM_INVALID;
	return image->mmp_magic == EXT4_MMP_MAGIC ? 0 :
						    EXT2_ET_MMP_MAGIC_INVALID;
}

static errcode_t write_block(struct e4df_mmp *mmp, __u32 sequence)
{
	errcode_t err;

	mmp->image.mmp_seq = sequence;
	mmp->image.mmp_time = calendar();
	err = ext2fs_mmp_csum_set(mmp->o.fs, &mmp->image);
	if (err)
		return err;
	mmp->last = now();
	e4df_gate_grant(mmp->o.gate, &mmp->grant, "multi-mount protection");
	err = e4df_gate_write_bytes(mmp->o.gate, block_offset(mmp),
				    sizeof(mmp->image), &mmp->image);
	e4df_gate_grant(mmp->o.gate, NULL, NULL);
	return err ? err : e4df_gate_flush(mmp->o.gate);
}

/* EXT2_ET_MMP_CHANGE_ABORT: it is not what was written. */
static errcode_t check_block(struct e4df_mmp *mmp)
{
	struct mmp_struct found;
	errcode_t err = read_block(mmp, &found);

	if (!err && memcmp(&found, &mmp->image, sizeof(found)) != 0)
		err = EXT2_ET_MMP_CHANGE_ABORT;
	return err;
}

/* The whole time, whatever signals come. */
static errcode_t wait_for_others(struct e4df_mmp *mmp, unsigned int interval)
{
	unsigned int most = 2 * interval + 1;
	struct timespec nap = { .tv_nsec = 50000000 };
	int64_t end;
	errcode_t err = 0;

	if (most > interval + 60)
		most = interval + 60;
	end = now() + (int64_t)most * 1000;
	while (!err && now() < end) {
		nanosleep(&nap, NULL);
		err = e4df_event_check(mmp->o.sink);
	}
	return err;
}

/* Is there somebody?  Leaves the block in mmp->image. */
static errcode_t look(struct e4df_mmp *mmp, unsigned int *interval)
{
	struct mmp_struct found;
	errcode_t err = read_block(mmp, &mmp->image);

	if (err)
		return err;
	switch (mmp->image.mmp_seq) {
	case EXT4_MMP_SEQ_CLEAN:
		return 0;
	case EXT4_MMP_SEQ_FSCK:
		return EXT2_ET_MMP_FSCK_ON;
	}
	if (mmp->image.mmp_seq > EXT4_MMP_SEQ_MAX)
		return EXT2_ET_MMP_UNKNOWN_SEQ;
	if (mmp->image.mmp_check_interval > *interval)
		*interval = mmp->image.mmp_check_interval;
	err = wait_for_others(mmp, *interval);
	if (!err)
		err = read_block(mmp, &found);
	if (!err && found.mmp_seq != mmp->image.mmp_seq)
		err = EXT2_ET_MMP_FAILED;
	return err;
}

static void sign(struct e4df_mmp *mmp)
{
	struct mmp_struct *image = &mmp->image;

	memset(image->mmp_nodename, 0, sizeof(image->mmp_nodename));
	gethostname((char *)image->mmp_nodename, sizeof(image->mmp_nodename));
	memset(image->mmp_bdevname, 0, sizeof(image->mmp_bdevname));
	memcpy(image->mmp_bdevname, mmp->o.path,
	       strnlen(mmp->o.path, sizeof(image->mmp_bdevname)));
}

static errcode_t refuse(struct e4df_mmp *mmp, errcode_t err)
{
	if (err == E4DF_ET_CANCELLED || err == ENOMEM)
		return err;
	return e4df_event_fail(mmp->o.sink, E4DF_ET_BUSY,
			       "%s may be in use by another host (%s); if it "
			       "is not, see tune2fs -E clear_mmp",
			       mmp->o.path, error_message(err));
}

/* A write that fails has been explained by the gate. */
static errcode_t take(struct e4df_mmp *mmp)
{
	unsigned int interval = mmp->o.fs->super->s_mmp_update_interval;
	errcode_t err;

	if (interval < MIN_CHECK)
		interval = MIN_CHECK;
	err = look(mmp, &interval);
	if (err)
		return refuse(mmp, err);
	sign(mmp);
	err = write_block(mmp, ext2fs_mmp_new_seq());
	if (err)
		return err;
	err = wait_for_others(mmp, interval);
	if (check_block(mmp))
		return refuse(mmp, EXT2_ET_MMP_FAILED);
	if (!err)
		return write_block(mmp, EXT4_MMP_SEQ_FSCK);
	write_block(mmp, EXT4_MMP_SEQ_CLEAN);
	return err;
}

static errcode_t prepare(struct e4df_mmp *mmp)
{
	blk64_t blk = mmp->o.fs->super->s_mmp_block;
	size_t bytes = mmp->o.fs->blocksize;
	int64_t seconds;
	void *buf;
	int error;

	if (blk <= mmp->o.fs->super->s_first_data_block ||
	    blk >= ext2fs_blocks_count(mmp->o.fs->super))
		return EXT2_ET_MMP_BAD_BLOCK;
	error = posix_memalign(&buf, BUFFER_ALIGN, bytes);
	if (error)
		return error;
	mmp->buf = buf;
	seconds = mmp->o.fs->super->s_mmp_update_interval;
	if (seconds < 1)
		seconds = 1;
	if (seconds > MAX_REFRESH)
		seconds = MAX_REFRESH;
	mmp->period = seconds * 1000;
	error = (int)e4df_runs_push(&mmp->grant, blk, 1);
	return error ? error : open_direct(mmp);
}

errcode_t e4df_mmp_take(const struct e4df_mmp_options *options,
			struct e4df_mmp **ret)
{
	struct e4df_mmp *mmp = calloc(1, sizeof(*mmp));
	errcode_t err;

	if (!mmp)
		return ENOMEM;
	mmp->o = *options;
	mmp->direct = -1;
	err = prepare(mmp);
	err = err ? refuse(mmp, err) : take(mmp);
	if (err)
		e4df_mmp_free(mmp);
	else
		*ret = mmp;
	return err;
}

/* Another host may have taken over: then not one block more is ours. */
static errcode_t lose(struct e4df_mmp *mmp, errcode_t err)
{
	e4df_gate_stop(mmp->o.gate);
	if (mmp->is_lost)
		return err;
	mmp->is_lost = 1;
	return e4df_event_fail(mmp->o.sink, E4DF_ET_BUSY,
			       "%s may have been taken over by another host "
			       "(%s); stopped",
			       mmp->o.path, error_message(err));
}

errcode_t e4df_mmp_refresh(struct e4df_mmp *mmp)
{
	errcode_t err;

	if (now() - mmp->last < mmp->period)
		return 0;
	err = check_block(mmp);
	if (err)
		return lose(mmp, err);
	return write_block(mmp, EXT4_MMP_SEQ_FSCK);
}

errcode_t e4df_mmp_release(struct e4df_mmp *mmp)
{
	errcode_t err = check_block(mmp);

	return err ? lose(mmp, err) : write_block(mmp, EXT4_MMP_SEQ_CLEAN);
}

void e4df_mmp_free(struct e4df_mmp *mmp)
{
	if (!mmp)
		return;
	if (mmp->direct >= 0)
		close(mmp->direct);
	e4df_runs_free(&mmp->grant);
	free(mmp->buf);
	free(mmp);
}
