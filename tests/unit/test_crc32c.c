/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../../lib/crc32c.h"

#include <ext2fs/ext2fs.h>

#include "unit.h"
#include "crc32c.h"

static void known(void **state)
{
	(void)state;
	assert_int_equal(~e4df_crc32c(~0U, "123456789", 9), 0xe3069283);
	assert_int_equal(e4df_crc32c(7, "", 0), 7);
}

/* Of any length and at any address, as by definition and as libext2fs has it */
static void alike(void **state)
{
	uint64_t word[600];
	unsigned char *data = (unsigned char *)word;
	struct prng rng = { 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(word); i++)
		word[i] = prng_next(&rng);
	for (int round = 0; round < 2000; round++) {
		size_t at = pick(&rng, 16);
		size_t bytes = pick(&rng, round % 10 ? 64 : 4200);
		uint32_t seed = (uint32_t)prng_next(&rng);
		uint32_t crc = e4df_crc32c(seed, data + at, bytes);

		assert_int_equal(crc, crc32c(seed, data + at, bytes));
		assert_int_equal(crc, ext2fs_crc32c_le(seed, data + at, bytes));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
