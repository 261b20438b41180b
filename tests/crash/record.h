/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record - what a run of the engine wrote, flush by flush
 *
 * A tap on the gate (lib/gate.h) notes each write with its bytes.  The writes
 * between two flushes are an epoch: a power cut may keep any of them, whole
 * or in part, in any order, but nothing of it may be lost after its flush.
 */
#ifndef TESTS_CRASH_RECORD_H
#define TESTS_CRASH_RECORD_H

#include "gate.h"

struct record_write {
	uint64_t offset; /* bytes */
	size_t bytes;
	unsigned char *data; /* (owned) */
};

struct record_epoch {
	struct record_write *v; /* (owned) in the order of the run */
	size_t count, alloc;
	uint64_t bytes;
};

struct record {
	struct record_epoch *v; /* (owned) none is empty */
	size_t count, alloc;
	uint64_t writes;
	int is_flushed; /* the next write begins an epoch */
};

#define RECORD_INIT                        \
	{                                  \
		.v = NULL, .is_flushed = 1 \
	}

/* A tap that records into `record` (borrowed as long as the tap is used). */
struct e4df_gate_tap record_tap(struct record *record);

void record_free(struct record *record);

#endif
