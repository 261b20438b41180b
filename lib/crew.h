/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crew - layer 0: whole reads and writes, now or by threads
 *
 * Here stands the library's one loop that writes to the device.  Only the gate
 * calls it, and hands transfers to a crew, when it has checked what is to be
 * done; the threads of a crew know nothing but a descriptor, a place and a
 * buffer, allocate nothing and take no signals.
 *
 * Threads, as io_uring and libaio were not faster: 64 KiB by 16 at a time, with
 * fio, came to 1.2, 1.1 and 1.1 GB/s read, and 2.1 GB/s written by each.
 *
 * A crew begins transfers in the order in which they were handed over.  When
 * one that writes has failed, those behind it that are not begun yet fail with
 * E4DF_ET_STOPPED and do nothing.
 */
#ifndef E4DF_CREW_H
#define E4DF_CREW_H

#include <stddef.h>
#include <stdint.h>
#include <et/com_err.h>

struct e4df_transfer {
	/* What to do; its buffer is the caller's, as the transfer is. */
	int fd; /* (borrowed) */
	int is_write;
	uint64_t offset; /* bytes, in fd */
	size_t bytes;	 /* 0: nothing but `then` */
	void *buf;	 /* (borrowed) NULL: the thread's own, for `then` */
	void (*then)(struct e4df_transfer *t, const void *data); /* behind a
					* read that went well; or NULL */
	void *ctx; /* (borrowed) for `then` */
	/* What became of it. */
	size_t done; /* bytes */
	errcode_t err;
	/* The crew's own. */
	int is_done;
	struct e4df_transfer *next; /* (borrowed) */
};

/*
 * Does it, and sets `done` and `err`: errno, EXT2_ET_SHORT_READ or
 * EXT2_ET_SHORT_WRITE.
 */
void e4df_transfer_run(struct e4df_transfer *t);

struct e4df_crew;

/*
 * Threads, so many at most, each with a buffer of `bytes` (0: none).  Where
 * not one can be had, e4df_crew_add() does what it is given itself.  Returns
 * ENOMEM.
 */
errcode_t e4df_crew_new(unsigned int threads, size_t bytes,
			struct e4df_crew **ret);

/* Waits for what is begun, and ends the threads.  Accepts NULL. */
void e4df_crew_free(struct e4df_crew *crew);

/* Hands over a transfer; it is the crew's until e4df_crew_wait() returns. */
void e4df_crew_add(struct e4df_crew *crew, struct e4df_transfer *t);
void e4df_crew_wait(struct e4df_crew *crew, struct e4df_transfer *t);

/* Those that are not begun yet end with E4DF_ET_CANCELLED. */
void e4df_crew_cancel(struct e4df_crew *crew);

/* Waits for all.  Has any that wrote failed since the crew was made? */
int e4df_crew_settle(struct e4df_crew *crew);

#endif
