/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * format - sizes, scores and names as people read them
 */
#ifndef E4DF_FORMAT_H
#define E4DF_FORMAT_H

#include <stdint.h>
#include <stdio.h>

#include "stats.h"

#define FORMAT_SIZE 24 /* bytes of a buffer that holds any result */

/* "512 B", "1.5 KiB", "14.0 GiB"; returns buf. */
const char *format_size(char buf[FORMAT_SIZE], uint64_t bytes);

/* "0.912345", rounded down: only a perfect layout reads 1.000000. */
const char *format_score(char buf[FORMAT_SIZE], const struct e4df_stats *stats);

/* Bytes of the UTF-8 sequence at s (1 for the end of s); 0 = not valid. */
unsigned int format_utf8(const char *s);

/*
 * Prints a name or text that comes from elsewhere: what could control a
 * terminal, or is not UTF-8, appears as \ooo.
 */
void format_print(FILE *out, const char *s);

#endif
