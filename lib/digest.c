/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "digest.h"

#include <zlib.h>

uint64_t e4df_digest_add(uint64_t digest, const void *data, size_t bytes)
{
	uLong crc = (uLong)(digest >> 32), adler = (uLong)(uint32_t)digest;

	crc = crc32_z(crc, data, bytes);
	adler = adler32_z(adler, data, bytes);
	return (uint64_t)crc << 32 | (uint32_t)adler;
}
