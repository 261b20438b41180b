/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "e4df_err.h"
#include "undo.h"

#define ALIGN	 4096	     /* of buffers; more than any device asks for */
#define PREFETCH (128 << 10) /* the default of a device's read-ahead */

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
	/* While there are crews. */
	int direct; /* (owned) the same with O_DIRECT; -1 = cannot be */
	struct e4df_crew *readers, *writers; /* (owned) NULL = none */
	unsigned int writing;		     /* writes that are not finished */
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
	struct e4df_transfer t = {
		.fd = gate->fd,
		.offset = gate->offset + offset,
		.bytes = bytes,
		.buf = buf,
	};
	errcode_t err = ask_tap(gate, E4DF_GATE_READ, offset, bytes, NULL);

	if (err)
		return err;
	e4df_transfer_run(&t);
	gate->counters.bytes_read += t.done;
	return t.err;
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

/* Before a write: may it happen, and is what it overwrites saved? */
static errcode_t prepare_write(struct e4df_gate *gate, uint64_t offset,
			       size_t bytes)
{
	errcode_t err = ask_watch(gate);

	if (!err)
		err = check_grant(gate, offset, bytes);
	return err ? err : e4df_undo_save(gate->undo, offset, bytes);
}

/* Behind a write, of which t->done bytes were done. */
static errcode_t conclude_write(struct e4df_gate *gate,
				const struct e4df_transfer *t)
{
	uint64_t offset = t->offset - gate->offset;
	int was_stopped = gate->is_stopped;

	gate->counters.bytes_written += t->done;
	e4df_undo_follow(gate->undo, offset, t->done, t->buf);
	if (!t->err)
		return 0;
	gate->is_stopped = 1;
	if (was_stopped)
		return E4DF_ET_STOPPED;
	return fail(gate, t->err, "writing", offset);
}

/*
 * What goes through the page cache waits for what goes past it: a page that
 * becomes dirty while its neighbour is written directly could not be dropped,
 * and the kernel would take that for a lost write.
 */
static errcode_t settle(struct e4df_gate *gate)
{
	return gate->writing && e4df_crew_settle(gate->writers) ?
		       E4DF_ET_STOPPED :
		       0;
}

errcode_t e4df_gate_write_bytes(struct e4df_gate *gate, uint64_t offset,
				size_t bytes, const void *buf)
{
	struct e4df_transfer t = {
		.fd = gate->fd,
		.is_write = 1,
		.offset = gate->offset + offset,
		.bytes = bytes,
		.buf = (void *)(uintptr_t)buf,
	};
	errcode_t err = prepare_write(gate, offset, bytes);

	if (!err)
		err = settle(gate);
	if (err)
		return err;
	t.err = ask_tap(gate, E4DF_GATE_WRITE, offset, bytes, buf);
	if (!t.err)
		e4df_transfer_run(&t);
	return conclude_write(gate, &t);
}

errcode_t e4df_gate_flush(struct e4df_gate *gate)
{
	errcode_t err = ask_watch(gate);

	if (!err)
		err = settle(gate);
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

/*
 * Of one call the kernel reads no more than the device's read-ahead or its
 * largest request, and drops the rest (force_page_cache_ra() in
 * mm/readahead.c).
 */
void e4df_gate_prefetch(struct e4df_gate *gate, blk64_t blk, blk64_t count)
{
	uint64_t at = gate->offset + blk * gate->block_size;
	uint64_t end = at + count * gate->block_size;

	for (; at < end; at += PREFETCH)
		posix_fadvise(gate->fd, (off_t)at,
			      (off_t)(end - at < PREFETCH ? end - at :
							    PREFETCH),
			      POSIX_FADV_WILLNEED);
}

/* Many at a time. */

/* Do reads of single blocks past the page cache work, at any block? */
static int can_be_direct(const struct e4df_gate *gate, int fd)
{
	size_t bytes = gate->block_size;
	void *buf;
	ssize_t got;

	if (posix_memalign(&buf, ALIGN, 2 * bytes))
		return 0;
	got = pread(fd, (char *)buf + bytes, bytes,
		    (off_t)(gate->offset + bytes));
	free(buf);
	return got == (ssize_t)bytes;
}

/* By the descriptor, for the name may be another thing's by now. */
static int open_direct(const struct e4df_gate *gate)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", gate->fd);
	fd = open(name, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || can_be_direct(gate, fd))
		return fd;
	close(fd);
	return -1;
}

errcode_t e4df_gate_hire(struct e4df_gate *gate, size_t bytes)
{
	errcode_t err = e4df_crew_new(E4DF_GATE_THREADS, bytes, &gate->readers);

	if (!err)
		err = e4df_crew_new(E4DF_GATE_THREADS, 0, &gate->writers);
	if (err)
		e4df_gate_dismiss(gate);
	else
		gate->direct = open_direct(gate);
	return err;
}

void e4df_gate_dismiss(struct e4df_gate *gate)
{
	e4df_crew_free(gate->readers);
	e4df_crew_free(gate->writers);
	gate->readers = gate->writers = NULL;
	if (gate->direct >= 0)
		close(gate->direct);
	gate->direct = -1;
}

static void start(struct e4df_gate *gate, uint64_t offset, size_t bytes,
		  struct e4df_transfer *t)
{
	t->fd = gate->direct >= 0 ? gate->direct : gate->fd;
	t->offset = gate->offset + offset;
	t->bytes = bytes;
	e4df_crew_add(t->is_write ? gate->writers : gate->readers, t);
}

errcode_t e4df_gate_start_read(struct e4df_gate *gate, blk64_t blk,
			       size_t count, struct e4df_transfer *t)
{
	uint64_t offset = blk * gate->block_size;
	size_t bytes = count * gate->block_size;
	errcode_t err = ask_watch(gate);

	if (err)
		return err;
	t->is_write = 0;
	t->err = ask_tap(gate, E4DF_GATE_READ, offset, bytes, NULL);
	t->is_done = t->err != 0;
	if (!t->err)
		start(gate, offset, bytes, t);
	return 0;
}

errcode_t e4df_gate_start_write(struct e4df_gate *gate, blk64_t blk,
				size_t count, struct e4df_transfer *t)
{
	uint64_t offset = blk * gate->block_size;
	size_t bytes = count * gate->block_size;
	errcode_t err = prepare_write(gate, offset, bytes);

	if (err)
		return err;
	err = ask_tap(gate, E4DF_GATE_WRITE, offset, bytes, t->buf);
	if (err) {
		gate->is_stopped = 1;
		return fail(gate, err, "writing", offset);
	}
	t->is_write = 1;
	gate->writing++;
	start(gate, offset, bytes, t);
	return 0;
}

/* Many may be waited for in turn: the watch is not to be kept from its work. */
errcode_t e4df_gate_finish(struct e4df_gate *gate, struct e4df_transfer *t)
{
	errcode_t err;

	e4df_crew_wait(t->is_write ? gate->writers : gate->readers, t);
	err = t->err;
	if (!t->is_write) {
		gate->counters.bytes_read += t->done;
	} else {
		gate->writing--;
		if (err != E4DF_ET_CANCELLED)
			err = conclude_write(gate, t);
	}
	return err ? err : ask_watch(gate);
}

void e4df_gate_cancel(struct e4df_gate *gate)
{
	if (!gate->readers)
		return;
	e4df_crew_cancel(gate->readers);
	e4df_crew_cancel(gate->writers);
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
	gate->fd = gate->direct = -1;
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
