/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject - the n-th call of the system, or of the allocator, fails
 *
 * The program is linked so that pread, pwrite, fdatasync and malloc with their
 * kin go through here (-Wl,--wrap), also those of the libraries that it is
 * linked with statically.  Reads, writes and flushes count if they are of the
 * target.  Nothing is really flushed: what is written can be read, and that
 * is all that counts here.
 */
#ifndef TESTS_FAULT_INJECT_H
#define TESTS_FAULT_INJECT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum inject_kind {
	INJECT_READ_EIO,     /* once */
	INJECT_READ_BAD,     /* a sector can never be read from then on */
	INJECT_READ_END,     /* as if the device ended there */
	INJECT_READ_SHORT,   /* the first half; no error */
	INJECT_READ_EINTR,   /* no error */
	INJECT_WRITE_EIO,    /* nothing is written */
	INJECT_WRITE_ENOSPC, /* nothing is written */
	INJECT_WRITE_TORN,   /* half is written, then EIO */
	INJECT_WRITE_SHORT,  /* half is written; no error */
	INJECT_WRITE_EINTR,  /* no error */
	INJECT_FLUSH_EIO,
	INJECT_ALLOC,
	INJECT_KINDS
};

/* "read-eio" and the like. */
const char *inject_name(enum inject_kind kind);

/* May a run fail for this, or must it not notice? */
int inject_is_error(enum inject_kind kind);

/* Can what is written still be trusted to reach the device? */
int inject_is_harmless(enum inject_kind kind);

/* What happened since inject_start(). */
struct inject_result {
	uint64_t calls;	     /* of the sort that was to fail */
	int is_hit;	     /* there was an n-th one */
	off_t offset;	     /* of the request that failed, in bytes; */
	size_t bytes;	     /* 0 for a flush or an allocation */
	off_t bad;	     /* INJECT_READ_BAD: the sector, in bytes */
	const char *offence; /* against the rules for failures, or NULL */
};

/* From now on; n counts from 1, 0 is for never.  The target is a file. */
void inject_start(enum inject_kind kind, uint64_t n, const char *target);
struct inject_result inject_stop(void);

#endif
