/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "e4df_err.h"
#include "undo.h"

struct e4df_gate {
	/* Immutable once the channel is open. */
	int fd;		 /* (borrowed from the volume) */
	uint64_t offset; /* bytes before the file system */
	/* Mutable. */
	unsigned int block_size;
	const struct e4df_runs *grant; /* (borrowed) NULL = none */
	const char *holder;	       /* (borrowed) who has the grant */
	struct e4df_gate_tap tap;
	errcode_t (*watch)(void *ctx); /* NULL = none, or at work */
	void *watch_ctx;	       /* (borrowed) */
	struct e4df_undo *undo;	       /* (borrowed) NULL = none */
	struct e4df_sink *sink;	       /* (borrowed) */
	int is_stopped;		       /* a write or a flush has failed */
	errcode_t latest;	       /* of the latest read */
	struct e4df_gate_counters counters;
};

struct e4df_gate *e4df_gate_of(io_channel io)
{
	return io->private_data;
}

void e4df_gate_set_sink(struct e4df_gate *gate, struct e4df_sink *sink)
{
	gate->sink = sink;
}

void e4df_gate_set_tap(struct e4df_gate *gate, const struct e4df_gate_tap *tap)
{
	static const struct e4df_gate_tap none;

	gate->tap = tap ? *tap : none;
}

void e4df_gate_set_watch(struct e4df_gate *gate, errcode_t (*watch)(void *ctx),
			 void *ctx)
{
	gate->watch = watch;
	gate->watch_ctx = ctx;
}

void e4df_gate_set_undo(struct e4df_gate *gate, struct e4df_undo *undo)
{
	gate->undo = undo;
}

errcode_t e4df_gate_preserve(struct e4df_gate *gate,
			     const struct e4df_runs *blocks)
{
	errcode_t err = 0;

	for (size_t i = 0; i < blocks->count && !err; i++)
		err = e4df_undo_save(gate->undo,
				     blocks->v[i].start * gate->block_size,
				     blocks->v[i].len * gate->block_size);
	return err;
}

void e4df_gate_grant(struct e4df_gate *gate, const struct e4df_runs *blocks,
		     const char *who)
{
	gate->grant = blocks;
	gate->holder = who;
}

const struct e4df_gate_counters *
e4df_gate_counters(const struct e4df_gate *gate)
{
	return &gate->counters;
}

static errcode_t fail(struct e4df_gate *gate, errcode_t err, const char *what,
		      uint64_t offset)
{
	return e4df_event_fail(gate->sink, err,
			       "%s at block %llu failed while %s: %s", what,
			       (unsigned long long)(offset / gate->block_size),
			       e4df_event_now(gate->sink), error_message(err));
}

static errcode_t ask_tap(struct e4df_gate *gate, enum e4df_gate_op op,
			 uint64_t offset, size_t bytes, const void *data)
{
	if (!gate->tap.before)
		return 0;
	return gate->tap.before(gate->tap.ctx, op, offset, bytes, data);
}

static errcode_t ask_watch(struct e4df_gate *gate)
{
	errcode_t (*watch)(void *ctx) = gate->watch;
	const struct e4df_runs *grant = gate->grant;
	const char *holder = gate->holder;
	errcode_t err;

	if (!watch)
		return 0;
	gate->watch = NULL; /* not for its own operations */
	err = watch(gate->watch_ctx);
	gate->watch = watch;
	e4df_gate_grant(gate, grant, holder);
	return err;
}

/* Like read_bytes(), but an error is the caller's to tell. */
static errcode_t read_quietly(struct e4df_gate *gate, uint64_t offset,
			      size_t bytes, void *buf)
{
	char *at = buf;
	size_t left = bytes;
	uint64_t pos = gate->offset + offset;
	errcode_t err = ask_tap(gate, E4DF_GATE_READ, offset, bytes, NULL);

	while (!err && left) {
		ssize_t got = pread(gate->fd, at, left, (off_t)pos);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			err = errno;
		else if (!got)
			err = EXT2_ET_SHORT_READ;
		else {
			at += got;
			left -= (size_t)got;
			pos += (uint64_t)got;
		}
	}
	gate->counters.bytes_read += bytes - left;
	return err;
}

static errcode_t read_bytes(struct e4df_gate *gate, uint64_t offset,
			    size_t bytes, void *buf)
{
	errcode_t err = ask_watch(gate);

	if (err)
		return err;
	err = read_quietly(gate, offset, bytes, buf);
	gate->latest = err;
	return err ? fail(gate, err, "reading", offset) : 0;
}

static errcode_t check_grant(struct e4df_gate *gate, uint64_t offset,
			     size_t bytes)
{
	blk64_t first = offset / gate->block_size;
	blk64_t last = (offset + bytes - 1) / gate->block_size;

	if (gate->is_stopped)
		return E4DF_ET_STOPPED;
	if (!bytes || (gate->grant && e4df_runs_is_inside(gate->grant, first,
							  last - first + 1)))
		return 0;
	return e4df_event_fail(gate->sink, E4DF_ET_GATE,
			       "internal error: a write to blocks %llu-%llu is "
			       "outside what %s may write; nothing was written",
			       (unsigned long long)first,
			       (unsigned long long)last,
			       gate->grant ? gate->holder : "anyone");
}

errcode_t e4df_gate_write_bytes(struct e4df_gate *gate, uint64_t offset,
				size_t bytes, const void *buf)
{
	const char *at = buf;
	size_t left = bytes;
	uint64_t pos = gate->offset + offset;
	errcode_t err = ask_watch(gate);

	if (!err)
		err = check_grant(gate, offset, bytes);
	if (!err)
		err = e4df_undo_save(gate->undo, offset, bytes);
	if (err)
		return err;
	err = ask_tap(gate, E4DF_GATE_WRITE, offset, bytes, buf);
	while (!err && left) {
		ssize_t put = pwrite(gate->fd, at, left, (off_t)pos);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			err = errno;
		else if (!put)
			err = EXT2_ET_SHORT_WRITE;
		else {
			at += put;
			left -= (size_t)put;
			pos += (uint64_t)put;
		}
	}
	gate->counters.bytes_written += bytes - left;
	e4df_undo_follow(gate->undo, offset, bytes - left, buf);
	if (!err)
		return 0;
	gate->is_stopped = 1;
	return fail(gate, err, "writing", offset);
}

errcode_t e4df_gate_flush(struct e4df_gate *gate)
{
	errcode_t err = ask_watch(gate);

	if (err)
		return err;
	err = ask_tap(gate, E4DF_GATE_FLUSH, 0, 0, NULL);
	if (gate->is_stopped)
		return E4DF_ET_STOPPED;
	if (!err && fdatasync(gate->fd) < 0)
		err = errno;
	gate->counters.flushes++;
	if (!err)
		return 0;
	gate->is_stopped = 1;
	return e4df_event_fail(gate->sink, err,
			       "flushing the device's cache failed while %s: "
			       "%s; run e2fsck -p before using the file "
			       "system",
			       e4df_event_now(gate->sink), error_message(err));
}

errcode_t e4df_gate_read(struct e4df_gate *gate, blk64_t blk, size_t count,
			 void *buf)
{
	return read_bytes(gate, blk * gate->block_size,
			  count * gate->block_size, buf);
}

int e4df_gate_is_unreadable(errcode_t err)
{
	switch (err) {
	case EIO:
	case ENODATA:	/* medium error */
	case EILSEQ:	/* integrity data do not match */
	case EBADMSG:	/* the same, of a file system below an image */
	case EREMOTEIO: /* error of the target */
		return 1;
	default:
		return 0;
	}
}

/*
 * An error of the latest read counts, for libext2fs can take it for a wrong
 * checksum of a directory.  com_err's codes below 256 are errno.
 */
errcode_t e4df_gate_cause(const struct e4df_gate *gate, errcode_t err)
{
	if (err && gate && gate->latest)
		return gate->latest;
	if (err == EXT2_ET_NO_MEMORY)
		return ENOMEM;
	return err < 256 || err == EXT2_ET_SHORT_READ ? err : 0;
}

/*
 * Behind a failure each block is asked for once more, alone: a drive can take
 * minutes for each try, and what can be read is in the cache by now.
 */
errcode_t e4df_gate_read_data(struct e4df_gate *gate, blk64_t blk, size_t count,
			      void *buf, blk64_t *bad)
{
	unsigned int bs = gate->block_size;
	errcode_t err = ask_watch(gate);

	if (err)
		return err;
	err = read_quietly(gate, blk * bs, count * bs, buf);

	if (!e4df_gate_is_unreadable(err))
		return err ? fail(gate, err, "reading", blk * bs) : 0;
	for (size_t i = 0; i < count; i++) {
		err = read_quietly(gate, (blk + i) * bs, bs,
				   (char *)buf + i * bs);
		*bad = blk + i;
		if (e4df_gate_is_unreadable(err))
			return E4DF_ET_UNREADABLE;
		if (err)
			return fail(gate, err, "reading", (blk + i) * bs);
	}
	return 0;
}

errcode_t e4df_gate_write(struct e4df_gate *gate, blk64_t blk, size_t count,
			  const void *buf)
{
	return e4df_gate_write_bytes(gate, blk * gate->block_size,
				     count * gate->block_size, buf);
}

void e4df_gate_stop(struct e4df_gate *gate)
{
	gate->is_stopped = 1;
}

int e4df_gate_is_stopped(const struct e4df_gate *gate)
{
	return gate->is_stopped;
}

void e4df_gate_prefetch(struct e4df_gate *gate, blk64_t blk, blk64_t count)
{
	posix_fadvise(gate->fd, (off_t)(gate->offset + blk * gate->block_size),
		      (off_t)(count * gate->block_size), POSIX_FADV_WILLNEED);
}

/* The io_channel face of the gate, as libext2fs wants it. */

static errcode_t channel_open(const char *name, int flags, io_channel *channel)
{
	struct e4df_gate *gate = calloc(1, sizeof(*gate));
	io_channel io = calloc(1, sizeof(*io));

	(void)flags;
	if (!gate || !io || !(io->name = strdup(name))) {
		free(gate);
		free(io);
		return ENOMEM;
	}
	gate->fd = -1;
	gate->block_size = 1024;
	io->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	io->manager = e4df_gate_manager();
	io->block_size = 1024;
	io->refcount = 1;
	io->private_data = gate;
	*channel = io;
	return 0;
}

static errcode_t channel_close(io_channel io)
{
	if (--io->refcount > 0)
		return 0;
	free(io->private_data);
	free(io->name);
	free(io);
	return 0;
}

static errcode_t channel_set_blksize(io_channel io, int size)
{
	io->block_size = size;
	e4df_gate_of(io)->block_size = (unsigned int)size;
	return 0;
}

/* libext2fs gives a count of blocks, or of bytes when it is negative. */
static size_t channel_bytes(const struct e4df_gate *gate, int count)
{
	return count < 0 ? (size_t)-count : (size_t)count * gate->block_size;
}

static errcode_t channel_read64(io_channel io, unsigned long long block,
				int count, void *data)
{
	struct e4df_gate *gate = e4df_gate_of(io);

	return read_bytes(gate, block * gate->block_size,
			  channel_bytes(gate, count), data);
}

static errcode_t channel_read(io_channel io, unsigned long block, int count,
			      void *data)
{
	return channel_read64(io, block, count, data);
}

static errcode_t channel_write64(io_channel io, unsigned long long block,
				 int count, const void *data)
{
	struct e4df_gate *gate = e4df_gate_of(io);

	return e4df_gate_write_bytes(gate, block * gate->block_size,
				     channel_bytes(gate, count), data);
}

static errcode_t channel_write(io_channel io, unsigned long block, int count,
			       const void *data)
{
	return channel_write64(io, block, count, data);
}

static errcode_t channel_write_byte(io_channel io, unsigned long offset,
				    int count, const void *data)
{
	return e4df_gate_write_bytes(e4df_gate_of(io), offset, (size_t)count,
				     data);
}

static errcode_t channel_flush(io_channel io)
{
	return e4df_gate_flush(e4df_gate_of(io));
}

static errcode_t channel_set_option(io_channel io, const char *option,
				    const char *arg)
{
	struct e4df_gate *gate = e4df_gate_of(io);

	if (!arg)
		return EXT2_ET_INVALID_ARGUMENT;
	if (!strcmp(option, "fd"))
		gate->fd = (int)strtol(arg, NULL, 10);
	else if (!strcmp(option, "offset"))
		gate->offset = strtoull(arg, NULL, 10);
	else if (!strcmp(option, "sink"))
		gate->sink = (void *)(uintptr_t)strtoull(arg, NULL, 10);
	else
		return EXT2_ET_INVALID_ARGUMENT;
	return 0;
}

io_manager e4df_gate_manager(void)
{
	static struct struct_io_manager manager = {
		.magic = EXT2_ET_MAGIC_IO_MANAGER,
		.name = "e4offdefrag write gate",
		.open = channel_open,
		.close = channel_close,
		.set_blksize = channel_set_blksize,
		.read_blk = channel_read,
		.write_blk = channel_write,
		.flush = channel_flush,
		.write_byte = channel_write_byte,
		.set_option = channel_set_option,
		.read_blk64 = channel_read64,
		.write_blk64 = channel_write64,
	};

	return &manager; /* the type cannot be const; nobody writes it */
}
