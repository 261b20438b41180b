/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * progress - how far the run is: a line for people, or lines for a program
 *
 * Progress that cannot be written is given up; the run goes on.
 */
#ifndef E4DF_PROGRESS_H
#define E4DF_PROGRESS_H

#include "event.h"

enum progress_kind {
	PROGRESS_NONE,
	PROGRESS_BAR,	/* one line on stderr, drawn over and over */
	PROGRESS_LINES, /* "phase current max device" for each step */
};

struct progress {
	/* Immutable once made. */
	int fd;
	const char *device; /* (borrowed) */
	/* Mutable. */
	enum progress_kind kind;
	int phase;	     /* the last one seen */
	uint64_t begun;	     /* ms, when that phase began */
	uint64_t shown_at;   /* ms, when something was last written */
	uint64_t shown_done; /* LINES: what was last written */
	uint64_t shown_total;
	int width; /* BAR: columns that are in use now */
};

/* fd counts for PROGRESS_LINES only. */
void progress_init(struct progress *progress, enum progress_kind kind, int fd,
		   const char *device);

/* The library's progress callback ends here. */
void progress_show(struct progress *progress, const struct e4df_progress *now);

/* Removes the line from the screen; the next show draws it again. */
void progress_clear(struct progress *progress);

#endif
