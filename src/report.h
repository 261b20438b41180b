/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report - what a run found and did, as text or as JSON
 *
 * Whoever calls looks at the stream's error flag afterwards.
 */
#ifndef E4DF_REPORT_H
#define E4DF_REPORT_H

#include "options.h"

#define REPORT_TEXT   512 /* bytes of a message, as long as any is */
#define REPORT_DAMAGE 16  /* contradictions kept; the first ones */

struct report {
	const struct options *options;	    /* (borrowed) */
	const struct e4df_outcome *outcome; /* (borrowed) NULL = no scan */
	enum status status;
	char failure[REPORT_TEXT]; /* "" without a failure */
	struct {
		ext2_ino_t ino; /* 0 = none */
		blk64_t blk;	/* 0 = none */
		char text[REPORT_TEXT];
	} damage[REPORT_DAMAGE];
	unsigned int damage_count;
};

/* Needs an outcome. */
void report_text(FILE *out, const struct report *report);

/* Works without an outcome too. */
void report_json(FILE *out, const struct report *report);

/* The figures by which files that stay fragmented are counted. */
static inline const struct e4df_stats *
report_end(const struct e4df_outcome *outcome)
{
	return outcome->has_plan ? &outcome->after : &outcome->before;
}

/* A sum of blocks in bytes; where that has no room, 2^64 - 1. */
static inline uint64_t report_bytes(const struct e4df_outcome *outcome,
				    __u64 blocks)
{
	return blocks > UINT64_MAX / outcome->block_size ?
		       UINT64_MAX :
		       blocks * outcome->block_size;
}

/* Tenths of a second that a dry run's estimate takes; 0 without a rate. */
static inline uint64_t report_tenths(const struct e4df_outcome *outcome)
{
	double bytes = (double)outcome->estimate.bytes_read +
		       (double)outcome->estimate.bytes_written;

	if (!outcome->rate) /* nothing was there to be read for it */
		return 0;
	return (uint64_t)(bytes * 10 / (double)outcome->rate + 0.5);
}

#endif
