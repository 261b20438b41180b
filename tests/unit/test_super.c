/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "super.h"

#include <string.h>

#include "crc32c.h"
#include "unit.h"

#define CSUM_AT 0x3fc

union image {
	struct ext2_super_block sb;
	unsigned char byte[E4DF_SUPER_SIZE];
	uint64_t word[E4DF_SUPER_SIZE / 8];
};

/* A valid superblock of random bytes, last mounted on a path of `len`. */
static union image make(struct prng *rng, unsigned int len, int has_csum)
{
	union image image;
	uint32_t csum;

	prng_fill(image.word, ARRAY_SIZE(image.word), prng_next(rng), 0);
	memset(image.sb.s_last_mounted, 'm', len);
	if (len < 64)
		image.sb.s_last_mounted[len] = 0;
	image.sb.s_feature_ro_compat &=
		~(__u32)EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
	if (has_csum) {
		image.sb.s_feature_ro_compat |=
			EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
		csum = crc32c(~0U, &image, CSUM_AT);
		image.sb.s_checksum = csum;
	}
	return image;
}

static int is_valid(const union image *image)
{
	return crc32c(~0U, image, CSUM_AT) == image->sb.s_checksum;
}

/* Changes fields as a transaction does, and some that it does not. */
static void change(struct prng *rng, union image *image)
{
	ext2fs_free_blocks_count_set(&image->sb, prng_next(rng));
	image->sb.s_wtime = (__u32)prng_next(rng);
	image->sb.s_feature_incompat ^= EXT3_FEATURE_INCOMPAT_RECOVER;
	image->sb.s_state ^= EXT2_VALID_FS;
	for (unsigned int i = pick(rng, 8); i; i--) {
		unsigned int at = pick(rng, 0x64); /* before the features */

		image->byte[at] = (unsigned char)prng_next(rng);
	}
}

/* The seal: only the first sector changes, s_checksum stays and is right. */
static void seal_holds(void **state)
{
	struct prng rng = { 1 };

	(void)state;
	for (int round = 0; round < 300; round++) {
		union image before = make(&rng, pick(&rng, 60), 1);
		union image changed = before, after;

		assert_true(is_valid(&before));
		assert_true(e4df_super_is_valid(&before.sb));
		change(&rng, &changed);
		changed.sb.s_feature_ro_compat |=
			EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
		after = changed;
		assert_true(e4df_super_can_seal(&after.sb));
		assert_int_equal(e4df_super_seal(&after.sb), 1);
		assert_true(is_valid(&after));
		assert_true(e4df_super_is_valid(&after.sb));
		assert_int_equal(after.sb.s_checksum, before.sb.s_checksum);
		assert_memory_equal(after.byte + 512, before.byte + 512, 512);
		/* beside the change nothing but the four bytes */
		memcpy(changed.byte + 0xc4, after.byte + 0xc4, 4);
		assert_memory_equal(&changed, &after, sizeof(after));
		assert_string_equal((char *)after.sb.s_last_mounted,
				    (char *)before.sb.s_last_mounted);
	}
}

/* A change that is taken back leaves the superblock as it was. */
static void back_again(void **state)
{
	struct prng rng = { 2 };

	(void)state;
	for (int round = 0; round < 50; round++) {
		union image image = make(&rng, pick(&rng, 60), 1), once;

		e4df_super_seal(&image.sb); /* in normal form */
		once = image;
		image.sb.s_feature_incompat ^= EXT3_FEATURE_INCOMPAT_RECOVER;
		assert_int_equal(e4df_super_seal(&image.sb), 1);
		assert_memory_not_equal(&image, &once, sizeof(once));
		image.sb.s_feature_incompat ^= EXT3_FEATURE_INCOMPAT_RECOVER;
		assert_int_equal(e4df_super_seal(&image.sb), 1);
		assert_memory_equal(&image, &once, sizeof(once));
	}
}

/* As mke2fs leaves it, with zeros behind the path, the round is exact. */
static void zeros_stay_zeros(void **state)
{
	struct prng rng = { 3 };
	union image image = make(&rng, 0, 1), once;

	(void)state;
	memset(image.sb.s_last_mounted, 0, 64);
	image.sb.s_checksum = crc32c(~0U, &image, CSUM_AT);
	once = image;
	image.sb.s_free_blocks_count++;
	assert_int_equal(e4df_super_seal(&image.sb), 1);
	image.sb.s_free_blocks_count--;
	assert_int_equal(e4df_super_seal(&image.sb), 1);
	assert_memory_equal(&image, &once, sizeof(once));
}

static void set_label(union image *image, unsigned int len)
{
	memset(image->sb.s_volume_name, 0, 16);
	memset(image->sb.s_volume_name, 'v', len);
	image->sb.s_checksum = crc32c(~0U, image, CSUM_AT);
}

/* With a long path the seal is behind the label, if that is short. */
static void short_labels(void **state)
{
	struct prng rng = { 5 };

	(void)state;
	for (unsigned int len = 0; len <= 11; len++) {
		union image before = make(&rng, 60 + len % 5, 1), after, back;

		set_label(&before, len);
		after = before;
		after.sb.s_feature_incompat ^= EXT3_FEATURE_INCOMPAT_RECOVER;
		assert_true(e4df_super_can_seal(&after.sb));
		assert_int_equal(e4df_super_seal(&after.sb), 1);
		assert_true(is_valid(&after));
		assert_memory_equal(after.byte + 0x88, before.byte + 0x88,
				    sizeof(after) - 0x88);
		assert_string_equal((char *)after.sb.s_volume_name,
				    (char *)before.sb.s_volume_name);
		back = after;
		back.sb.s_feature_incompat ^= EXT3_FEATURE_INCOMPAT_RECOVER;
		assert_int_equal(e4df_super_seal(&back.sb), 1);
		assert_memory_equal(&back, &before, sizeof(before));
	}
}

/*
 * The path's end decides: 59 characters leave room, 60 and 64 do not, and
 * neither does the label here.  Then it is the number of a snapshot that there
 * is none of; of one that there is, nothing is left.
 */
static void long_paths(void **state)
{
	static const unsigned int lens[] = { 59, 60, 63, 64 };
	struct prng rng = { 4 };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(lens); i++) {
		unsigned int len = lens[i / 2];
		union image before = make(&rng, len, 1), after;
		int has_snapshot = i % 2;
		int can_seal = len == 59 || !has_snapshot;

		before.sb.s_snapshot_inum = has_snapshot ? 77 : 0;
		set_label(&before, 12);
		after = before;
		after.sb.s_wtime ^= 0x5555;
		assert_int_equal(e4df_super_can_seal(&after.sb), can_seal);
		assert_false(e4df_super_is_valid(&after.sb));
		assert_int_equal(e4df_super_seal(&after.sb), can_seal);
		assert_true(is_valid(&after));
		assert_true(e4df_super_is_valid(&after.sb));
		assert_memory_equal(after.sb.s_last_mounted,
				    before.sb.s_last_mounted,
				    len == 59 ? 60 : 64);
		if (len != 59 && can_seal) {
			after.sb.s_wtime ^= 0x5555;
			after.sb.s_snapshot_id = before.sb.s_snapshot_id;
			assert_memory_equal(&after, &before, sizeof(after));
			continue;
		}
		assert_memory_equal(after.byte + 512, before.byte + 512,
				    CSUM_AT - 512);
		if (can_seal)
			assert_int_equal(after.sb.s_checksum,
					 before.sb.s_checksum);
	}
}

/* Without metadata_csum there is no checksum to mind. */
static void no_checksum(void **state)
{
	struct prng rng = { 5 };

	(void)state;
	for (unsigned int len = 50; len <= 64; len += 7) {
		union image image = make(&rng, len, 0), once = image;

		assert_true(e4df_super_is_valid(&image.sb));
		assert_int_equal(e4df_super_seal(&image.sb), 1);
		assert_memory_equal(&image, &once, sizeof(once));
	}
}

/* Every bit of the checksummed part counts. */
static void damage_is_seen(void **state)
{
	struct prng rng = { 6 };
	union image image = make(&rng, 10, 1);

	(void)state;
	for (unsigned int i = 0; i < E4DF_SUPER_SIZE; i++) {
		if (i == 0x65) /* metadata_csum itself */
			continue;
		image.byte[i] ^= 0x10;
		assert_false(e4df_super_is_valid(&image.sb));
		image.byte[i] ^= 0x10;
	}
	assert_true(e4df_super_is_valid(&image.sb));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seal_holds),
		cmocka_unit_test(back_again),
		cmocka_unit_test(zeros_stay_zeros),
		cmocka_unit_test(long_paths),
		cmocka_unit_test(short_labels),
		cmocka_unit_test(no_checksum),
		cmocka_unit_test(damage_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
