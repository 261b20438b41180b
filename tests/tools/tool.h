/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test tools have in common: any error is one line on stderr and the
 * end.
 */
#ifndef TESTS_TOOLS_TOOL_H
#define TESTS_TOOLS_TOOL_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void die(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

static _Noreturn void die(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

/* Passes on what malloc(), realloc() or strdup() returned. */
static inline void *must_alloc(void *mem)
{
	if (!mem)
		die("out of memory");
	return mem;
}

/* The value of an option's argument, which must be in [low, high]. */
static inline uint64_t parse_number(const char *arg, uint64_t low,
				    uint64_t high)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(arg, &end, 0);
	if (errno || end == arg || *end || n < low || n > high)
		die("%s: not a number from %llu to %llu", arg,
		    (unsigned long long)low, (unsigned long long)high);
	return n;
}

#endif
