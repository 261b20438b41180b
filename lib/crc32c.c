/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crc32c.h"

#include <string.h>
#include <ext2fs/ext2fs.h>

#ifdef __x86_64__

__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t seed, const unsigned char *at, size_t bytes)
{
	unsigned long long crc = seed, word;

	for (; bytes >= sizeof(word); bytes -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		crc = __builtin_ia32_crc32di(crc, word);
		at += sizeof(word);
	}
	seed = (uint32_t)crc;
	while (bytes--)
		seed = __builtin_ia32_crc32qi(seed, *at++);
	return seed;
}

uint32_t e4df_crc32c(uint32_t seed, const void *data, size_t bytes)
{
	if (__builtin_cpu_supports("sse4.2"))
		return by_instruction(seed, data, bytes);
	return ext2fs_crc32c_le(seed, data, bytes);
}

#else

uint32_t e4df_crc32c(uint32_t seed, const void *data, size_t bytes)
{
	return ext2fs_crc32c_le(seed, data, bytes);
}

#endif
