/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event - layer 0: the library's only voice
 *
 * The library never prints.  What it finds and how far it is goes to a sink
 * that the caller provides; all members may be NULL.  The way back is one
 * flag, by which the caller asks for an early end.
 */
#ifndef E4DF_EVENT_H
#define E4DF_EVENT_H

#include <signal.h>
#include <stdint.h>
#include <ext2fs/ext2fs.h>

enum e4df_severity {
	E4DF_NOTE,    /* worth knowing */
	E4DF_SKIPPED, /* an inode is left where it is, and why */
	E4DF_DAMAGE,  /* a contradiction, or a block that cannot be read */
	E4DF_FAILURE, /* why the run ends: one line, for the user */
};

struct e4df_finding {
	enum e4df_severity severity;
	errcode_t code;	  /* E4DF_FAILURE: the error that follows */
	ext2_ino_t ino;	  /* 0 = none */
	blk64_t blk;	  /* 0 = none */
	const char *text; /* (borrowed for the call) */
};

struct e4df_progress {
	int phase;	  /* 1 ... */
	const char *name; /* the phase, as in "while %s" */
	uint64_t done;
	uint64_t total; /* 0 = unknown */
	uint64_t bytes; /* bytes copied so far, for a rate */
};

struct e4df_sink {
	void (*finding)(void *ctx, const struct e4df_finding *finding);
	void (*progress)(void *ctx, const struct e4df_progress *progress);
	void *ctx;			     /* (borrowed) handed to both */
	const volatile sig_atomic_t *cancel; /* (borrowed) end when set */
	struct e4df_progress now; /* the library's own: the current phase */
};

/* Hands a finding to the sink; the text is formatted as by printf. */
void e4df_event_find(struct e4df_sink *sink, enum e4df_severity severity,
		     ext2_ino_t ino, blk64_t blk, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* Hands the sink the line that explains `code`, and returns `code`. */
errcode_t e4df_event_fail(struct e4df_sink *sink, errcode_t code,
			  const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A new phase begins; total is in units of the phase's own choice. */
void e4df_event_phase(struct e4df_sink *sink, int phase, const char *name);

/* The current phase, as in "while %s". */
const char *e4df_event_now(const struct e4df_sink *sink);

/* The current phase has come to done of total. */
void e4df_event_advance(struct e4df_sink *sink, uint64_t done, uint64_t total);

/*
 * E4DF_ET_CANCELLED if the run is to end early, else 0.  Asked wherever much
 * is read or copied, and never between a commit and the end of its checkpoint.
 */
errcode_t e4df_event_check(const struct e4df_sink *sink);

#endif
