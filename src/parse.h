/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parse - numbers and sizes from the command line, and whole files
 */
#ifndef E4DF_PARSE_H
#define E4DF_PARSE_H

#include <stddef.h>
#include <stdint.h>

/* Decimal digits and nothing else, up to max.  Returns 0 or -1. */
int parse_number(const char *s, uint64_t max, uint64_t *ret);

/*
 * Bytes: decimal digits, and for units of 1024^1 to 1024^4 one of K, M, G and
 * T or their small letters.  Returns 0 or -1.
 */
int parse_size(const char *s, uint64_t max, uint64_t *ret);

/*
 * All that a file ("-": the standard input) holds, with a NUL behind it that
 * does not count.  *text is the caller's to free.  Returns 0 or errno.
 */
int parse_read_file(const char *name, char **text, size_t *bytes);

#endif
