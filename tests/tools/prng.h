/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small random number generator for the test tools.
 *
 * The same seed gives the same numbers on every machine: integers only, no
 * libm, no state but the caller's.  splitmix64 after Vigna (public domain),
 * and three distributions on top of it.
 */
#ifndef TESTS_TOOLS_PRNG_H
#define TESTS_TOOLS_PRNG_H

#include <stdint.h>

struct prng {
	uint64_t state;
};

static inline uint64_t prng_mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint64_t prng_next(struct prng *p)
{
	p->state += UINT64_C(0x9e3779b97f4a7c15);
	return prng_mix(p->state);
}

/* A number in [0, n); n must not be 0. */
static inline uint64_t prng_below(struct prng *p, uint64_t n)
{
	return prng_next(p) % n;
}

/*
 * Exponentially distributed, with the given mean below 2^40.  The logarithm
 * is linear between powers of two, which makes its own mean 3/2 and not
 * log2(e): divide by that.
 */
static inline uint64_t prng_exponential(struct prng *p, uint64_t mean)
{
	uint64_t u = prng_next(p) | 1;
	unsigned int zeros = (unsigned int)__builtin_clzll(u);
	uint64_t frac = u << zeros << 1 >> 48;

	return mean * (((uint64_t)zeros << 16) + 65536 - frac) / 98304;
}

/*
 * Log-normally distributed around a median below 2^40, with a standard
 * deviation in octaves: about 95 % lie within median * 2^(+-2 * octaves).
 */
static inline uint64_t prng_lognormal(struct prng *p, uint64_t median,
				      unsigned int octaves)
{
	int64_t z = -6 * 65536;
	uint64_t frac;
	unsigned int i;

	for (i = 0; i < 12; i++) /* the sum of 12 is nearly normal */
		z += (int64_t)(prng_next(p) >> 48);
	z *= octaves;
	frac = (uint64_t)z & 0xffff;
	median = median * (65536 + frac) >> 16;
	z = (z - (int64_t)frac) / 65536;
	return z < 0 ? median >> -z : median << z;
}

/* Fills n 8-byte words with what belongs to (key, position). */
static inline void prng_fill(uint64_t *word, uint64_t n, uint64_t key,
			     uint64_t position)
{
	struct prng p = { prng_mix(key) ^ prng_mix(~position) };

	while (n--)
		*word++ = prng_next(&p);
}

#endif
