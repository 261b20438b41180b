/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 64-bit digest of the dump tools.
 *
 * Every word goes through a bijection of the state, so two inputs that
 * differ in one word only never have the same sum.  No cryptography: this
 * guards against our own mistakes, not against an adversary.
 */
#ifndef TESTS_TOOLS_SUM_H
#define TESTS_TOOLS_SUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SUM_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t sum_word(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * UINT64_C(0x9fb21c651e98df25);
	return sum ^ sum >> 29;
}

/* Bytes and their number: "ab" + "c" is not "a" + "bc". */
static inline uint64_t sum_bytes(uint64_t sum, const void *data, size_t len)
{
	const unsigned char *byte = data;
	uint64_t word;
	size_t n = len;

	for (; n >= sizeof(word); n -= sizeof(word), byte += sizeof(word)) {
		memcpy(&word, byte, sizeof(word));
		sum = sum_word(sum, word);
	}
	word = 0;
	memcpy(&word, byte, n);
	return sum_word(sum_word(sum, word), len);
}

#endif
