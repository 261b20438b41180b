/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every unit test needs: cmocka with the headers it wants before it, and
 * random numbers from a fixed seed.
 */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../tools/prng.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A number in [0, n). */
static inline unsigned int pick(struct prng *rng, unsigned int n)
{
	return (unsigned int)prng_below(rng, n);
}

/* Something that happens in so many of 100 cases. */
static inline int chance(struct prng *rng, unsigned int percent)
{
	return pick(rng, 100) < percent;
}

#endif
