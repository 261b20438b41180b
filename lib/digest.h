/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * digest - layer 0: 64 bits that stand for contents
 *
 * CRC-32 and Adler-32 of zlib side by side: they notice what hardware and
 * bugs do to data, not what an adversary does.
 */
#ifndef E4DF_DIGEST_H
#define E4DF_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define E4DF_DIGEST_INIT 1ULL /* of nothing */

/* The digest of what `digest` stands for, followed by these bytes. */
uint64_t e4df_digest_add(uint64_t digest, const void *data, size_t bytes);

#endif
