/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * states - what a power cut may leave of the writes since the last flush
 */
#ifndef TESTS_CRASH_STATES_H
#define TESTS_CRASH_STATES_H

#include "disk.h"
#include "record.h"

/* The number of a state means: */
enum states_kind {
	STATES_PREFIX, /* the first N writes */
	STATES_SINGLE, /* write N alone */
	STATES_BUT,    /* all but write N */
	STATES_TORN,   /* writes up to one, of that some sectors; N is a seed */
	STATES_SUBSET, /* any writes; N is a seed */
	STATES_SECTORS, /* any sectors of any writes; N is a seed */
	STATES_KINDS
};

struct states_state {
	size_t epoch;
	enum states_kind kind;
	uint64_t number;
};

/* "prefix" and the like; KINDS for a name that is none. */
const char *states_name(enum states_kind kind);
enum states_kind states_kind_of(const char *name);

/*
 * How many states of a kind an epoch has, or is to have: the first three are
 * all there are, of the others `wanted` are drawn.
 */
uint64_t states_count(const struct record_epoch *epoch, enum states_kind kind,
		      uint64_t wanted);

/* Makes work that state of the epoch. */
void states_make(struct disk *disk, const struct record_epoch *epoch,
		 const struct states_state *state, uint64_t seed);

/* Makes base and work what they are behind the epoch's flush. */
void states_settle(struct disk *disk, const struct record_epoch *epoch);

#endif
