/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crew.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <ext2fs/ext2_err.h>

#include "e4df_err.h"

#define ALIGN  4096 /* of buffers, for descriptors that are O_DIRECT */
#define STRIDE 32   /* transfers after which who waits is woken, at most */

struct worker {
	pthread_t thread;
	struct e4df_crew *crew; /* (borrowed) */
	void *buf;		/* (owned) NULL: the crew has none */
};

struct e4df_crew {
	/* Immutable once the threads run. */
	struct worker *workers; /* (owned) */
	unsigned int count;	/* of those that run */
	void *buf;		/* (owned) where there is no thread */
	/* Mutable, under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t work; /* there is something to begin, or an end */
	pthread_cond_t done; /* what is awaited is done */
	struct e4df_transfer *first; /* (borrowed) not begun */
	struct e4df_transfer *last;
	const struct e4df_transfer *awaited; /* (borrowed) NULL: none */
	unsigned int begun;
	unsigned int ended; /* since somebody waits */
	int has_failed;	    /* a write */
	int is_over;
};

void e4df_transfer_run(struct e4df_transfer *t)
{
	char *at = t->buf;

	t->done = 0;
	t->err = 0;
	while (!t->err && t->done < t->bytes) {
		size_t left = t->bytes - t->done;
		off_t pos = (off_t)(t->offset + t->done);
		ssize_t n = t->is_write ? pwrite(t->fd, at, left, pos) :
					  pread(t->fd, at, left, pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			t->err = errno;
		} else if (!n) {
			t->err = t->is_write ? EXT2_ET_SHORT_WRITE :
					       EXT2_ET_SHORT_READ;
		} else {
			at += n;
			t->done += (size_t)n;
		}
	}
}

/* With a buffer to lend. */
static void run(struct e4df_transfer *t, void *buf)
{
	void *own = t->buf;

	if (!own)
		t->buf = buf;
	e4df_transfer_run(t);
	if (!t->err && t->then)
		t->then(t, t->buf);
	t->buf = own;
}

/*
 * Who waits for a transfer waits for those behind it next: it is woken not
 * before there are some that are done, or none left.
 */
static void end(struct e4df_crew *crew, struct e4df_transfer *t)
{
	if (t->err && t->is_write)
		crew->has_failed = 1;
	t->is_done = 1;
	crew->ended++;
	if ((crew->awaited && crew->awaited->is_done &&
	     crew->ended >= STRIDE) ||
	    (!crew->begun && !crew->first))
		pthread_cond_signal(&crew->done);
}

/* The next one that may be begun; those that may not are ended here. */
static struct e4df_transfer *take(struct e4df_crew *crew)
{
	struct e4df_transfer *t;

	while ((t = crew->first)) {
		crew->first = t->next;
		if (!t->is_write || !crew->has_failed)
			return t;
		t->err = E4DF_ET_STOPPED;
		end(crew, t);
	}
	return NULL;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct e4df_crew *crew = w->crew;
	struct e4df_transfer *t;

	pthread_mutex_lock(&crew->lock);
	for (;;) {
		t = take(crew);
		if (t) {
			crew->begun++;
			pthread_mutex_unlock(&crew->lock);
			run(t, w->buf);
			pthread_mutex_lock(&crew->lock);
			crew->begun--;
			end(crew, t);
		} else if (crew->is_over) {
			break;
		} else {
			pthread_cond_wait(&crew->work, &crew->lock);
		}
	}
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

/* As many as there can be: fewer do the same, later.  Signals go elsewhere. */
static void start(struct e4df_crew *crew, unsigned int threads, size_t bytes)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (crew->count < threads) {
		struct worker *w = &crew->workers[crew->count];

		w->crew = crew;
		if (bytes && posix_memalign(&w->buf, ALIGN, bytes))
			break;
		if (pthread_create(&w->thread, NULL, work, w)) {
			free(w->buf);
			break;
		}
		crew->count++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

errcode_t e4df_crew_new(unsigned int threads, size_t bytes,
			struct e4df_crew **ret)
{
	struct e4df_crew *crew = calloc(1, sizeof(*crew));

	if (!crew)
		return ENOMEM;
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->work, NULL);
	pthread_cond_init(&crew->done, NULL);
	crew->workers = calloc(threads + 1, sizeof(*crew->workers));
	if (crew->workers)
		start(crew, threads, bytes);
	if (!crew->workers || (!crew->count && bytes &&
			       posix_memalign(&crew->buf, ALIGN, bytes))) {
		e4df_crew_free(crew);
		return ENOMEM;
	}
	*ret = crew;
	return 0;
}

void e4df_crew_free(struct e4df_crew *crew)
{
	if (!crew)
		return;
	e4df_crew_cancel(crew);
	pthread_mutex_lock(&crew->lock);
	crew->is_over = 1;
	pthread_cond_broadcast(&crew->work);
	pthread_mutex_unlock(&crew->lock);
	for (unsigned int i = 0; i < crew->count; i++) {
		pthread_join(crew->workers[i].thread, NULL);
		free(crew->workers[i].buf);
	}
	pthread_cond_destroy(&crew->done);
	pthread_cond_destroy(&crew->work);
	pthread_mutex_destroy(&crew->lock);
	free(crew->workers);
	free(crew->buf);
	free(crew);
}

void e4df_crew_add(struct e4df_crew *crew, struct e4df_transfer *t)
{
	t->done = 0;
	t->err = 0;
	t->is_done = 0;
	t->next = NULL;
	pthread_mutex_lock(&crew->lock);
	if (crew->first)
		crew->last->next = t;
	else
		crew->first = t;
	crew->last = t;
	if (crew->count) {
		pthread_cond_signal(&crew->work);
	} else if (take(crew)) {
		run(t, crew->buf);
		end(crew, t);
	}
	pthread_mutex_unlock(&crew->lock);
}

void e4df_crew_wait(struct e4df_crew *crew, struct e4df_transfer *t)
{
	pthread_mutex_lock(&crew->lock);
	crew->awaited = t;
	crew->ended = 0;
	while (!t->is_done)
		pthread_cond_wait(&crew->done, &crew->lock);
	crew->awaited = NULL;
	pthread_mutex_unlock(&crew->lock);
}

void e4df_crew_cancel(struct e4df_crew *crew)
{
	struct e4df_transfer *t;

	pthread_mutex_lock(&crew->lock);
	while ((t = crew->first)) {
		crew->first = t->next;
		t->err = E4DF_ET_CANCELLED;
		t->is_done = 1;
	}
	pthread_mutex_unlock(&crew->lock);
}

int e4df_crew_settle(struct e4df_crew *crew)
{
	int has_failed;

	pthread_mutex_lock(&crew->lock);
	while (crew->begun || crew->first)
		pthread_cond_wait(&crew->done, &crew->lock);
	has_failed = crew->has_failed;
	pthread_mutex_unlock(&crew->lock);
	return has_failed;
}
