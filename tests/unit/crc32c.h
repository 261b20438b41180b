/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC-32C bit by bit, from its definition (RFC 3720, B.4): something to hold
 * the checksums of the library against.  Initial value by the caller, no
 * final inversion.
 */
#ifndef TESTS_UNIT_CRC32C_H
#define TESTS_UNIT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
	const unsigned char *p = data;

	while (bytes--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

#endif
