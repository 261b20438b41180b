/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "undo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "e4df_err.h"
#include "spans.h"
#include "undo_disk.h"

#define BUFFER_BYTES (1 << 20) /* saved at once, at most */

/* Where a new file has what. */
#define SUPER_AT 1
#define KEYS_AT	 2

struct e4df_undo {
	/* Immutable once open. */
	struct e4df_undo_options options;
	struct e4df_sink *sink; /* (borrowed) */
	int fd;			/* (owned) the undo file */
	int is_new;		/* this run has created it */
	unsigned int fs_block_size;
	unsigned int block_size; /* of the undo file */
	uint64_t super_at;	 /* block of the superblock's copy */
	uint64_t first_keys;	 /* block of the first keys */
	char *buffer;		 /* (owned) BUFFER_BYTES */
	/* Mutable. */
	const char *misfit;	       /* why the file cannot be continued */
	int is_undo_file;	       /* it is one nevertheless */
	struct ext2_super_block super; /* as on the target now */
	int is_begun;		       /* the header says: not finished */
	int is_super_stale;	       /* the file has an older one */
	errcode_t failure;	       /* final; 0 = none yet */
	struct e4df_spans saved;       /* blocks of the file system */
	struct undo_keys *keys;	       /* (owned) the block being filled */
	size_t in_block;	       /* keys in it */
	uint64_t keys_at;	       /* where it is */
	uint64_t next;		       /* the first unused block */
	uint64_t num_keys;
};

static uint32_t crc(const void *data, size_t bytes)
{
	return ext2fs_crc32c_le(~0U, data, bytes);
}

static errcode_t read_fully(int fd, void *buf, size_t bytes, uint64_t pos)
{
	char *at = buf;

	while (bytes) {
		ssize_t got = pread(fd, at, bytes, (off_t)pos);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		if (!got)
			return EXT2_ET_SHORT_READ;
		at += got;
		bytes -= (size_t)got;
		pos += (uint64_t)got;
	}
	return 0;
}

static errcode_t write_fully(int fd, const void *buf, size_t bytes,
			     uint64_t pos)
{
	const char *at = buf;

	while (bytes) {
		ssize_t put = pwrite(fd, at, bytes, (off_t)pos);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno;
		if (!put)
			return EXT2_ET_SHORT_WRITE;
		at += put;
		bytes -= (size_t)put;
		pos += (uint64_t)put;
	}
	return 0;
}

static size_t keys_per_block(const struct e4df_undo *undo)
{
	return undo->block_size / sizeof(struct undo_key) - 1;
}

static errcode_t fail_to_write(struct e4df_undo *undo, errcode_t err)
{
	return e4df_event_fail(undo->sink, err,
			       "cannot write the undo file %s: %s",
			       undo->options.path, error_message(err));
}

/* Which blocks are saved. */

/* The first part of [*at, end) that is not saved; 0 if there is none. */
static blk64_t find_gap(const struct e4df_undo *undo, blk64_t *at, blk64_t end)
{
	const struct e4df_span *n = e4df_spans_floor(&undo->saved, *at);

	while (n && n->key + n->len > *at) {
		*at = n->key + n->len;
		n = e4df_spans_floor(&undo->saved, *at);
	}
	if (*at >= end)
		return 0;
	n = e4df_spans_ceil(&undo->saved, *at);
	return (n && n->key < end ? n->key : end) - *at;
}

/*
 * A range none of which is saved becomes so; neighbours are joined.  What is
 * erased leaves a node for the insertion, which then cannot fail.
 */
static errcode_t add_saved(struct e4df_undo *undo, blk64_t at, blk64_t len)
{
	const struct e4df_span *n = e4df_spans_floor(&undo->saved, at);
	blk64_t key, its;

	if (n && n->key + n->len == at) {
		key = n->key;
		its = n->len;
		e4df_spans_erase(&undo->saved, key, its);
		at = key;
		len += its;
	}
	n = e4df_spans_ceil(&undo->saved, at);
	if (n && n->key == at + len) {
		key = n->key;
		its = n->len;
		e4df_spans_erase(&undo->saved, key, its);
		len += its;
	}
	return e4df_spans_insert(&undo->saved, at, len, 0, 0);
}

/* Writing the file. */

static errcode_t put_header(struct e4df_undo *undo, uint32_t state)
{
	struct undo_header h = {
		.num_keys = undo->num_keys,
		.super_offset = undo->super_at,
		.key_offset = undo->first_keys,
		.block_size = undo->block_size,
		.fs_block_size = undo->fs_block_size,
		.super_crc = crc(&undo->super, SUPERBLOCK_SIZE),
		.state = state,
		.compat = undo->options.offset ? UNDO_HAS_FS_OFFSET : 0,
		.fs_offset = undo->options.offset,
	};

	memcpy(h.magic, UNDO_MAGIC, sizeof(h.magic));
	h.crc = crc(&h, offsetof(struct undo_header, crc));
	return write_fully(undo->fd, &h, sizeof(h), 0);
}

static errcode_t put_super(struct e4df_undo *undo)
{
	struct ext2_super_block sb = undo->super;

	sb.s_magic = (__u16)~sb.s_magic;
	return write_fully(undo->fd, &sb, SUPERBLOCK_SIZE,
			   undo->super_at * undo->block_size);
}

/* From here on the target may differ from what the file can restore alone. */
static errcode_t begin(struct e4df_undo *undo)
{
	errcode_t err = 0;

	if (undo->is_begun && !undo->is_super_stale)
		return 0;
	err = put_super(undo);
	if (!err)
		err = put_header(undo, 0);
	if (err)
		return err;
	undo->is_begun = 1;
	undo->is_super_stale = 0;
	return 0;
}

/*
 * Data first, then the key, then the header that counts it: whatever is cut
 * off here leaves a file that is valid and has all that was saved before.
 */
static errcode_t append(struct e4df_undo *undo, blk64_t blk, size_t bytes)
{
	struct undo_key *key;
	errcode_t err;

	if (undo->in_block == keys_per_block(undo)) {
		memset(undo->keys, 0, undo->block_size);
		undo->in_block = 0;
		undo->keys_at = undo->next++;
	}
	err = write_fully(undo->fd, undo->buffer, bytes,
			  undo->next * undo->block_size);
	if (err)
		return err;
	key = &undo->keys->v[undo->in_block++];
	key->fs_block = blk;
	key->crc = crc(undo->buffer, bytes);
	key->bytes = (uint32_t)bytes;
	undo->keys->magic = UNDO_KEYS_MAGIC;
	undo->keys->crc = 0;
	undo->keys->crc = crc(undo->keys, undo->block_size);
	err = write_fully(undo->fd, undo->keys, undo->block_size,
			  undo->keys_at * undo->block_size);
	if (err)
		return err;
	undo->next += (bytes + undo->block_size - 1) / undo->block_size;
	undo->num_keys++;
	return put_header(undo, 0);
}

/* None of these blocks is saved yet. */
static errcode_t save_blocks(struct e4df_undo *undo, blk64_t at, blk64_t len)
{
	uint64_t most = (uint64_t)UNDO_MAX_KEY * undo->block_size;
	errcode_t err;

	if (most > BUFFER_BYTES)
		most = BUFFER_BYTES;
	most /= undo->fs_block_size;
	for (blk64_t n; len; at += n, len -= n) {
		size_t bytes;

		n = len < most ? len : most;
		bytes = (size_t)n * undo->fs_block_size;
		err = read_fully(undo->options.fd, undo->buffer, bytes,
				 undo->options.offset +
					 at * undo->fs_block_size);
		if (err)
			return e4df_event_fail(
				undo->sink, err,
				"reading block %llu, to save it in "
				"the undo file, failed: %s",
				(unsigned long long)at, error_message(err));
		err = append(undo, at, bytes);
		if (err)
			return fail_to_write(undo, err);
		err = add_saved(undo, at, n);
		if (err)
			return err;
	}
	return 0;
}

errcode_t e4df_undo_save(struct e4df_undo *undo, uint64_t offset,
			 uint64_t bytes)
{
	blk64_t at, end, len;
	errcode_t err = 0;

	if (!undo || !bytes)
		return 0;
	at = offset / undo->fs_block_size;
	end = (offset + bytes - 1) / undo->fs_block_size + 1;
	len = find_gap(undo, &at, end);
	if (undo->failure)
		return len ? undo->failure : 0;
	if (!undo->is_begun || undo->is_super_stale) {
		err = begin(undo);
		if (err)
			err = fail_to_write(undo, err);
	}
	while (len && !err) {
		err = save_blocks(undo, at, len);
		at += len;
		len = find_gap(undo, &at, end);
	}
	undo->failure = err;
	return err;
}

errcode_t e4df_undo_failure(const struct e4df_undo *undo)
{
	return undo ? undo->failure : 0;
}

void e4df_undo_follow(struct e4df_undo *undo, uint64_t offset, size_t bytes,
		      const void *data)
{
	uint64_t from = offset, to = offset + bytes;
	char *super;

	if (!undo || to <= SUPERBLOCK_OFFSET ||
	    from >= SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE)
		return;
	super = (char *)&undo->super;
	if (from < SUPERBLOCK_OFFSET)
		from = SUPERBLOCK_OFFSET;
	if (to > SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE)
		to = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE;
	memcpy(super + (from - SUPERBLOCK_OFFSET),
	       (const char *)data + (from - offset), to - from);
	undo->is_super_stale = 1;
	begin(undo); /* stays stale if it fails; tried again, and told, later */
}

/* Reading a file that is to be continued. */

static errcode_t refuse(struct e4df_undo *undo, const char *why)
{
	undo->misfit = why;
	return E4DF_ET_UNDO;
}

static errcode_t check_copy(struct e4df_undo *undo, const struct undo_header *h)
{
	struct ext2_super_block copy;
	uint64_t pos;
	errcode_t err;

	if (__builtin_mul_overflow(h->super_offset, h->block_size, &pos) ||
	    pos > INT64_MAX)
		return refuse(undo, "is damaged");
	err = read_fully(undo->fd, &copy, SUPERBLOCK_SIZE, pos);
	if (err == EXT2_ET_SHORT_READ)
		return refuse(undo, "is damaged");
	if (err)
		return err;
	copy.s_magic = (__u16)~copy.s_magic;
	if (memcmp(&copy, &undo->super, SUPERBLOCK_SIZE) ||
	    h->super_crc != crc(&copy, SUPERBLOCK_SIZE))
		return refuse(undo, "is of another file system, or of an "
				    "earlier state of this one");
	return 0;
}

static errcode_t check_header(struct e4df_undo *undo,
			      const struct undo_header *h)
{
	uint64_t offset = h->compat & UNDO_HAS_FS_OFFSET ? h->fs_offset : 0;

	if (h->crc != crc(h, offsetof(struct undo_header, crc)) ||
	    h->block_size < UNDO_MIN_BLOCK || h->block_size > UNDO_MAX_BLOCK ||
	    h->block_size & (h->block_size - 1))
		return refuse(undo, "is damaged");
	if (h->incompat || h->ro_compat)
		return refuse(undo, "has features that are not known");
	if (!(h->state & UNDO_FINISHED))
		return refuse(undo, "was not finished, and so cannot be "
				    "continued");
	if (offset != undo->options.offset)
		return refuse(undo, "was made for another offset");
	if (h->fs_block_size != undo->fs_block_size)
		return refuse(undo, "was made for another block size");
	return check_copy(undo, h);
}

/* The keys of one block, at undo->keys_at; moves undo->next behind them. */
static errcode_t load_keys(struct e4df_undo *undo, size_t count,
			   uint64_t blocks)
{
	uint32_t sum = undo->keys->crc;

	undo->keys->crc = 0;
	if (undo->keys->magic != UNDO_KEYS_MAGIC ||
	    sum != crc(undo->keys, undo->block_size))
		return refuse(undo, "is damaged");
	undo->next = undo->keys_at + 1;
	for (size_t i = 0; i < count; i++) {
		const struct undo_key *key = &undo->keys->v[i];
		blk64_t at = key->fs_block, end, len;
		errcode_t err = 0;

		undo->next += ((uint64_t)key->bytes + undo->block_size - 1) /
			      undo->block_size;
		if (undo->next > blocks ||
		    __builtin_add_overflow(at, key->bytes / undo->fs_block_size,
					   &end))
			return refuse(undo, "is damaged");
		while (!err && (len = find_gap(undo, &at, end)))
			err = add_saved(undo, at, len);
		if (err)
			return err;
	}
	undo->in_block = count;
	return 0;
}

static errcode_t load_all_keys(struct e4df_undo *undo, uint64_t size)
{
	uint64_t blocks = (size + undo->block_size - 1) / undo->block_size;
	uint64_t left = undo->num_keys;
	errcode_t err = 0;

	/* where there are none yet, the first ones may be to come at the end */
	if (undo->super_at < 1 || undo->keys_at <= undo->super_at ||
	    undo->keys_at > blocks)
		return refuse(undo, "is damaged");
	undo->next = undo->keys_at;
	while (left && !err) {
		size_t count = keys_per_block(undo);

		undo->keys_at = undo->next;
		if (undo->keys_at >= blocks)
			return refuse(undo, "is damaged");
		err = read_fully(undo->fd, undo->keys, undo->block_size,
				 undo->keys_at * undo->block_size);
		if (err == EXT2_ET_SHORT_READ)
			return refuse(undo, "is damaged");
		if (left < count)
			count = (size_t)left;
		if (!err)
			err = load_keys(undo, count, blocks);
		left -= count;
	}
	if (!undo->num_keys)
		undo->next = undo->keys_at + 1;
	return err;
}

static errcode_t load(struct e4df_undo *undo, uint64_t size)
{
	struct undo_header h;
	errcode_t err = read_fully(undo->fd, &h, sizeof(h), 0);

	if (err == EXT2_ET_SHORT_READ ||
	    (!err && memcmp(h.magic, UNDO_MAGIC, sizeof(h.magic))))
		return refuse(undo, "is there and is not an undo file");
	undo->is_undo_file = !err;
	if (!err)
		err = check_header(undo, &h);
	if (err)
		return err;
	undo->block_size = h.block_size;
	undo->super_at = h.super_offset;
	undo->first_keys = undo->keys_at = h.key_offset;
	undo->num_keys = h.num_keys;
	undo->keys = calloc(1, undo->block_size);
	return undo->keys ? load_all_keys(undo, size) : ENOMEM;
}

/* Opening and closing. */

static errcode_t start_empty(struct e4df_undo *undo)
{
	undo->block_size = undo->fs_block_size;
	undo->super_at = SUPER_AT;
	undo->first_keys = undo->keys_at = KEYS_AT;
	undo->next = KEYS_AT + 1;
	undo->keys = calloc(1, undo->block_size);
	return undo->keys ? 0 : ENOMEM;
}

static errcode_t lock(struct e4df_undo *undo)
{
	if (!flock(undo->fd, LOCK_EX | LOCK_NB))
		return 0;
	return errno == EWOULDBLOCK ?
		       refuse(undo, "is in use by another program") :
		       errno;
}

static errcode_t create(struct e4df_undo *undo)
{
	errcode_t err;

	undo->fd = open(undo->options.path,
			O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (undo->fd < 0)
		return errno;
	undo->is_new = 1;
	err = lock(undo);
	return err ? err : start_empty(undo);
}

/* What is not a regular file, or is the target, is not even opened. */
static errcode_t take_existing(struct e4df_undo *undo)
{
	struct stat st, target;
	errcode_t err;

	if (stat(undo->options.path, &st) < 0 ||
	    fstat(undo->options.fd, &target) < 0)
		return errno;
	if (st.st_dev == target.st_dev && st.st_ino == target.st_ino)
		return refuse(undo, "is what is to be changed itself");
	if (!S_ISREG(st.st_mode))
		return refuse(undo, "is not a regular file");
	undo->fd = open(undo->options.path, O_RDWR | O_CLOEXEC);
	if (undo->fd < 0)
		return errno;
	err = lock(undo);
	if (err)
		return err;
	return st.st_size ? load(undo, (uint64_t)st.st_size) :
			    start_empty(undo);
}

static errcode_t replace(struct e4df_undo *undo)
{
	close(undo->fd);
	undo->fd = -1;
	free(undo->keys);
	undo->keys = NULL;
	e4df_spans_free(&undo->saved);
	undo->num_keys = 0;
	undo->in_block = 0;
	return unlink(undo->options.path) < 0 ? errno : create(undo);
}

static errcode_t open_file(struct e4df_undo *undo)
{
	errcode_t err = create(undo);

	if (err == EEXIST)
		err = take_existing(undo);
	if (err == E4DF_ET_UNDO && undo->is_undo_file &&
	    undo->options.flags & E4DF_UNDO_REPLACE)
		err = replace(undo);
	return err;
}

static void explain(struct e4df_undo *undo, errcode_t err)
{
	const char *path = undo->options.path;

	if (!err || err == ENOMEM)
		return;
	if (err == E4DF_ET_UNDO)
		e4df_event_fail(undo->sink, err, "the undo file %s %s", path,
				undo->misfit);
	else
		e4df_event_fail(undo->sink, err,
				"cannot open the undo file %s: %s", path,
				error_message(err));
}

/* What matters has been synced: the result of close() says nothing new. */
static void free_all(struct e4df_undo *undo)
{
	if (undo->fd >= 0)
		close(undo->fd);
	e4df_spans_free(&undo->saved);
	free(undo->keys);
	free(undo->buffer);
	free(undo);
}

errcode_t e4df_undo_open(const struct e4df_undo_options *options,
			 struct e4df_sink *sink, struct e4df_undo **ret)
{
	struct e4df_undo *undo = calloc(1, sizeof(*undo));
	errcode_t err;

	if (!undo)
		return ENOMEM;
	undo->options = *options;
	undo->sink = sink;
	undo->fd = -1;
	undo->buffer = malloc(BUFFER_BYTES);
	err = undo->buffer ? 0 : ENOMEM;
	if (!err)
		err = read_fully(options->fd, &undo->super, SUPERBLOCK_SIZE,
				 options->offset + SUPERBLOCK_OFFSET);
	if (!err && undo->super.s_log_block_size > 6)
		err = EXT2_ET_CORRUPT_SUPERBLOCK;
	if (!err) {
		undo->fs_block_size = 1024U << undo->super.s_log_block_size;
		err = open_file(undo);
	}
	explain(undo, err);
	if (!err) {
		*ret = undo;
		return 0;
	}
	if (undo->is_new)
		unlink(options->path);
	free_all(undo);
	return err;
}

/* All that was saved must be durable before the file claims to be complete. */
static errcode_t finish(struct e4df_undo *undo)
{
	errcode_t err = undo->is_super_stale ? begin(undo) : 0;

	if (!err && fsync(undo->fd) < 0)
		err = errno;
	if (!err)
		err = put_header(undo, UNDO_FINISHED);
	if (!err && fsync(undo->fd) < 0)
		err = errno;
	return err;
}

errcode_t e4df_undo_close(struct e4df_undo *undo)
{
	errcode_t err = 0;

	if (!undo)
		return 0;
	if (undo->is_new && !undo->num_keys)
		unlink(undo->options.path);
	else if (undo->is_begun)
		err = finish(undo);
	if (err && !undo->failure)
		e4df_event_fail(undo->sink, err,
				"the undo file %s may not be complete: %s",
				undo->options.path, error_message(err));
	if (!err && undo->is_begun && undo->num_keys)
		e4df_event_find(undo->sink, E4DF_NOTE, 0, 0,
				"this can be undone by: e2undo %s %s",
				undo->options.path, undo->options.target);
	free_all(undo);
	return err;
}
