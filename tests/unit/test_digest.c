/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "digest.h"

#include <string.h>

#include "unit.h"

/* CRC-32 and Adler-32 from their definitions (RFC 1952, RFC 1950). */
static uint64_t naive(const unsigned char *p, size_t bytes)
{
	uint32_t crc = ~0U, a = 1, b = 0;

	while (bytes--) {
		crc ^= *p;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
		a = (a + *p++) % 65521;
		b = (b + a) % 65521;
	}
	return (uint64_t)~crc << 32 | b << 16 | a;
}

static void known(void **state)
{
	(void)state;
	assert_int_equal(e4df_digest_add(E4DF_DIGEST_INIT, "", 0),
			 E4DF_DIGEST_INIT);
	assert_true(e4df_digest_add(E4DF_DIGEST_INIT, "123456789", 9) ==
		    0xcbf43926091e01deULL);
}

/* In pieces as in one, and as by definition. */
static void pieces(void **state)
{
	uint64_t word[2000];
	const unsigned char *data = (unsigned char *)word;
	struct prng rng = { 1 };

	(void)state;
	for (int round = 0; round < 50; round++) {
		size_t bytes = pick(&rng, sizeof(word)), at = 0;
		uint64_t digest = E4DF_DIGEST_INIT;

		prng_fill(word, ARRAY_SIZE(word), prng_next(&rng), 0);
		while (at < bytes) {
			size_t len = 1 + pick(&rng, 3000);

			if (len > bytes - at)
				len = bytes - at;
			digest = e4df_digest_add(digest, data + at, len);
			at += len;
		}
		assert_true(digest == naive(data, bytes));
	}
}

/* Every bit counts, and so does the order. */
static void differences(void **state)
{
	unsigned char data[64] = { 0 };
	uint64_t zero = e4df_digest_add(E4DF_DIGEST_INIT, data, sizeof(data));

	(void)state;
	for (unsigned int bit = 0; bit < 8 * sizeof(data); bit++) {
		uint64_t digest;

		data[bit / 8] = (unsigned char)(1 << bit % 8);
		digest = e4df_digest_add(E4DF_DIGEST_INIT, data, sizeof(data));
		assert_true((uint32_t)digest != (uint32_t)zero);
		assert_true(digest >> 32 != zero >> 32);
		data[bit / 8] = 0;
	}
	assert_true(e4df_digest_add(E4DF_DIGEST_INIT, "ab", 2) !=
		    e4df_digest_add(E4DF_DIGEST_INIT, "ba", 2));
	assert_true(e4df_digest_add(E4DF_DIGEST_INIT, data, 5) !=
		    e4df_digest_add(E4DF_DIGEST_INIT, data, 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(pieces),
		cmocka_unit_test(differences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
