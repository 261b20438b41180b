/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate - layer 1: the one place where the device is read and written
 *
 * The gate is an io_channel of libext2fs over a descriptor that the volume
 * has opened and locked.  It refuses every write outside the current grant,
 * so that neither a stray ext2fs_flush() nor a bug of ours can reach a block
 * that is in use (I1).  A tap sees each operation before it happens: that is
 * the seam for crash recording and for fault injection.  With an undo file, no
 * write happens before the old contents are saved there; that is neither
 * counted nor seen by the tap, and changes nothing else.
 *
 * Blocks are file system blocks once libext2fs has set the block size.
 * Every read and write is whole or an error; a failed flush is final: all
 * later writes and flushes return E4DF_ET_STOPPED (a second fdatasync after a
 * failure may claim success for data that is lost).
 */
#ifndef E4DF_GATE_H
#define E4DF_GATE_H

#include "crew.h"
#include "event.h"
#include "runs.h"

struct e4df_gate;
struct e4df_undo;

enum e4df_gate_op {
	E4DF_GATE_READ,
	E4DF_GATE_WRITE,
	E4DF_GATE_FLUSH,
};

/* Called before each operation; an error returned makes the operation fail. */
struct e4df_gate_tap {
	errcode_t (*before)(void *ctx, enum e4df_gate_op op, uint64_t offset,
			    size_t bytes, const void *data);
	void *ctx; /* (borrowed) */
};

struct e4df_gate_counters {
	uint64_t bytes_read;
	uint64_t bytes_written;
	uint64_t flushes;
};

/*
 * The manager to give to ext2fs_open2() with the io options
 * "fd=N&offset=BYTES".  The channel does not own the descriptor.  As options
 * are text, "&sink=N" is the sink's address as a number.
 */
io_manager e4df_gate_manager(void);

/* The gate behind fs->io (borrowed from the channel). */
struct e4df_gate *e4df_gate_of(io_channel io);

/* Where I/O errors are explained (borrowed; NULL for nowhere). */
void e4df_gate_set_sink(struct e4df_gate *gate, struct e4df_sink *sink);

/* A tap for all operations from now on (copied; NULL for none). */
void e4df_gate_set_tap(struct e4df_gate *gate, const struct e4df_gate_tap *tap);

/* Where old contents are saved from now on (borrowed; NULL for nowhere). */
void e4df_gate_set_undo(struct e4df_gate *gate, struct e4df_undo *undo);

/*
 * Saves the old contents of blocks now.  After that, writing them cannot fail
 * for want of room in the undo file; what must not stop half-way calls this
 * first.  Returns what e4df_undo_save() returns.
 */
errcode_t e4df_gate_preserve(struct e4df_gate *gate,
			     const struct e4df_runs *blocks);

/*
 * Before each read, write and flush from now on watch is called, and an error
 * that it returns is returned instead of doing the operation; it explains it.
 * So it is behind each transfer that is finished.
 * What it reads and writes itself is not watched, and the grant is afterwards
 * what it was before.  ctx is borrowed; a NULL watch ends it.
 */
void e4df_gate_set_watch(struct e4df_gate *gate, errcode_t (*watch)(void *ctx),
			 void *ctx);

/*
 * From now on exactly these blocks may be written (borrowed, canonical; NULL
 * for none).  `who` names the holder in messages.
 */
void e4df_gate_grant(struct e4df_gate *gate, const struct e4df_runs *blocks,
		     const char *who);

/* Reads count blocks.  Returns errno, or the tap's error. */
errcode_t e4df_gate_read(struct e4df_gate *gate, blk64_t blk, size_t count,
			 void *buf);

/* Is this what a device answers that cannot read a sector? */
int e4df_gate_is_unreadable(errcode_t err);

/*
 * Behind an error of libext2fs: ENOMEM; or an I/O error, which was told; or 0,
 * and the file system is not what libext2fs expects.  gate: NULL if gone.
 */
errcode_t e4df_gate_cause(const struct e4df_gate *gate, errcode_t err);

/* As e4df_gate_read; if *bad cannot be read: E4DF_ET_UNREADABLE, not told. */
errcode_t e4df_gate_read_data(struct e4df_gate *gate, blk64_t blk, size_t count,
			      void *buf, blk64_t *bad);

/*
 * Writes count blocks.  Also E4DF_ET_GATE, E4DF_ET_STOPPED, and what
 * e4df_undo_save() returns: then nothing was written, and the gate stays open
 * for what is saved already.
 */
errcode_t e4df_gate_write(struct e4df_gate *gate, blk64_t blk, size_t count,
			  const void *buf);

/* Writes part of a block, for changes that must not be torn. */
errcode_t e4df_gate_write_bytes(struct e4df_gate *gate, uint64_t offset,
				size_t bytes, const void *buf);

/*
 * Threads for reads, and as many for writes: a drive, and what is behind it,
 * wants some requests to choose from.  16 were faster than 8, as 32 were not.
 */
#define E4DF_GATE_THREADS 16

/*
 * Many at a time: reads and writes by threads, past the page cache where the
 * device or file allows that.  Between hire and dismiss (which accepts that
 * there was no hire) transfers can be started.  A thread has a buffer of
 * `bytes`.  Returns ENOMEM.
 */
errcode_t e4df_gate_hire(struct e4df_gate *gate, size_t bytes);
void e4df_gate_dismiss(struct e4df_gate *gate);

/*
 * Starts one: t has buf, then and ctx, is the gate's from then on, and must be
 * finished.  An error is the watch's, or one of e4df_gate_write() before it
 * asks the device, and nothing was started.  Buffers are for O_DIRECT: blocks
 * from the start of a page.
 *
 * No other write and no flush begins while some are under way: they wait.  So
 * a write that is started is durable after the next flush, as any other.  What
 * is read must not be written at that time.
 */
errcode_t e4df_gate_start_read(struct e4df_gate *gate, blk64_t blk,
			       size_t count, struct e4df_transfer *t);
errcode_t e4df_gate_start_write(struct e4df_gate *gate, blk64_t blk,
				size_t count, struct e4df_transfer *t);

/*
 * Waits for one.  Returns t->err; that of a read is not told; or the watch's
 * error.  Writes are to be finished in the order of their starts.
 */
errcode_t e4df_gate_finish(struct e4df_gate *gate, struct e4df_transfer *t);

/* What is not begun yet will be finished with E4DF_ET_CANCELLED. */
void e4df_gate_cancel(struct e4df_gate *gate);

/* Makes all earlier writes durable.  A failure is final (see above). */
errcode_t e4df_gate_flush(struct e4df_gate *gate);

/* From now on every write and flush is refused: E4DF_ET_STOPPED. */
void e4df_gate_stop(struct e4df_gate *gate);
int e4df_gate_is_stopped(const struct e4df_gate *gate);

/* Tells the kernel that these blocks will be read soon. */
void e4df_gate_prefetch(struct e4df_gate *gate, blk64_t blk, blk64_t count);

const struct e4df_gate_counters *
e4df_gate_counters(const struct e4df_gate *gate);

#endif
