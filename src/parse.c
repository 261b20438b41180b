/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parse.h"

#include <stddef.h>
#include <string.h>

/* The digits at the start of s.  Returns what follows, NULL without a number */
static const char *take_digits(const char *s, uint64_t *ret)
{
	uint64_t n = 0;

	if (*s < '0' || *s > '9')
		return NULL;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10U, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return NULL;
	*ret = n;
	return s;
}

int parse_number(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t n;
	const char *end = take_digits(s, &n);

	if (!end || *end || n > max)
		return -1;
	*ret = n;
	return 0;
}

int parse_size(const char *s, uint64_t max, uint64_t *ret)
{
	static const char units[] = "kmgtKMGT";
	uint64_t n;
	const char *end = take_digits(s, &n), *unit;

	if (!end)
		return -1;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1] ||
		    __builtin_mul_overflow(
			    n, 1ULL << (10 * ((unit - units) % 4 + 1)), &n))
			return -1;
	}
	if (n > max)
		return -1;
	*ret = n;
	return 0;
}
