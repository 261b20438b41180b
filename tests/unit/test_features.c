/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every bit of the three feature words.  The list here is by intention a
 * second one: a bit that becomes allowed must be allowed twice.
 */
#include "features.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"
#include "unit.h"

/*
 * dir_prealloc has_journal ext_attr resize_inode dir_index; sparse_super2
 * fast_commit stable_inodes orphan_file
 */
#define COMPAT_ALLOWED	  0x1e3dU
/*
 * filetype needs_recovery meta_bg; extent 64bit; mmp flex_bg ea_inode;
 * metadata_csum_seed large_dir inline_data; encrypt casefold
 */
#define INCOMPAT_ALLOWED  0x3e7d6U
/*
 * sparse_super large_file huge_file; uninit_bg dir_nlink extra_isize;
 * quota bigalloc metadata_csum; project verity; orphan_present
 */
#define RO_COMPAT_ALLOWED 0x1a77bU

static char heard[512];

static void on_finding(void *ctx, const struct e4df_finding *finding)
{
	unsigned int *count = ctx;

	++*count;
	assert_int_equal(finding->severity, E4DF_FAILURE);
	snprintf(heard, sizeof(heard), "%s", finding->text);
}

/* The word of one kind (E2P_FEATURE_...: 0 compat, 1 incompat, 2 ro). */
static __u32 *word(struct ext2_super_block *sb, int kind)
{
	return kind == 0 ? &sb->s_feature_compat :
	       kind == 1 ? &sb->s_feature_incompat :
			   &sb->s_feature_ro_compat;
}

static const __u32 allowed[] = {
	COMPAT_ALLOWED,
	INCOMPAT_ALLOWED,
	RO_COMPAT_ALLOWED,
};

static void every_bit(void **state)
{
	unsigned int count = 0;
	struct e4df_sink sink = { .finding = on_finding, .ctx = &count };

	(void)state;
	for (int n = 0; n < 96; n++) {
		struct ext2_super_block sb = { .s_rev_level = 1 };
		int is_allowed = (allowed[n / 32] >> n % 32 & 1) != 0;
		errcode_t err;

		*word(&sb, n / 32) = 1U << n % 32;
		count = 0;
		err = e4df_features_check(&sb, "PATH", &sink);
		if (is_allowed != !err)
			fail_msg("word %d, bit %d", n / 32, n % 32);
		assert_int_equal(count, !is_allowed);
		assert_true(is_allowed || err == E4DF_ET_FEATURE);
		if (!is_allowed)
			assert_memory_equal(heard, "PATH has the feature ", 21);
	}
}

/* All that is allowed, together; and one bit too many in it. */
static void together(void **state)
{
	(void)state;
	for (int n = -1; n < 96; n++) {
		struct ext2_super_block sb = { .s_rev_level = 1 };
		errcode_t want = 0;

		for (int kind = 0; kind < 3; kind++)
			*word(&sb, kind) = allowed[kind];
		if (n >= 0) {
			*word(&sb, n / 32) |= 1U << n % 32;
			if (!(allowed[n / 32] >> n % 32 & 1))
				want = E4DF_ET_FEATURE;
		}
		assert_int_equal(e4df_features_check(&sb, "x", NULL), want);
	}
}

/* The message says which, by the name that users know, and why. */
static void names(void **state)
{
	static const struct {
		int kind;
		__u32 bit;
		const char *text;
	} table[] = {
		{ 0, 0x0002, "imagic_inodes" },
		{ 0, 0x0040, "lazy_bg" },
		{ 0, 0x0080, "exclude_inode" },
		{ 0, 0x0100, "snapshot_bitmap" },
		{ 0, 0x80000000, "FEATURE_C31" },
		{ 1, 0x00001, "compression" },
		{ 1, 0x00008,
		  "journal_dev, which is not supported: it is an "
		  "external journal;" },
		{ 1, 0x00020, "FEATURE_I5" },
		{ 1, 0x01000, "dirdata" },
		{ 1, 0x40000, "FEATURE_I18" },
		{ 2, 0x00004, "FEATURE_R2" },
		{ 2, 0x00080, "snapshot, which is not supported; nothing" },
		{ 2, 0x00800, "replica" },
		{ 2, 0x01000, "read-only, which is not supported: its owner" },
		{ 2, 0x04000, "shared_blocks, which is not supported: files" },
	};
	unsigned int count = 0;
	struct e4df_sink sink = { .finding = on_finding, .ctx = &count };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct ext2_super_block sb = { .s_rev_level = 1 };

		*word(&sb, table[i].kind) = table[i].bit;
		assert_int_equal(e4df_features_check(&sb, "/dev/sdz", &sink),
				 E4DF_ET_FEATURE);
		if (!strstr(heard, table[i].text))
			fail_msg("\"%s\" is not in \"%s\"", table[i].text,
				 heard);
	}
	assert_int_equal(count, ARRAY_SIZE(table));
}

static void revisions(void **state)
{
	struct ext2_super_block sb = { .s_rev_level = 0 };

	(void)state;
	assert_int_equal(e4df_features_check(&sb, "x", NULL), 0);
	sb.s_rev_level = 2;
	assert_int_equal(e4df_features_check(&sb, "x", NULL), E4DF_ET_FEATURE);
}

static void states(void **state)
{
	static const struct {
		__u16 state;
		__u32 incompat, ro_compat, orphan;
		errcode_t want;
		const char *text;
	} table[] = {
		{ 1, 0, 0, 0, 0, NULL },
		{ 3, 0, 0, 0, E4DF_ET_ERROR_FS, "e2fsck -f" },
		{ 2, 4, 0x10000, 5, E4DF_ET_ERROR_FS, "errors" },
		{ 1, 4, 0, 0, E4DF_ET_DIRTY_JOURNAL, "journal" },
		{ 0, 4, 0, 0, E4DF_ET_DIRTY_JOURNAL, "e2fsck -p" },
		{ 0, 0, 0, 0, E4DF_ET_NOT_CLEAN, "cleanly" },
		{ 1, 0, 0, 12, E4DF_ET_NOT_CLEAN, "orphan" },
		{ 1, 0, 0x10000, 0, E4DF_ET_NOT_CLEAN, "orphan" },
	};
	unsigned int count = 0;
	struct e4df_sink sink = { .finding = on_finding, .ctx = &count };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct ext2_super_block sb = {
			.s_state = table[i].state,
			.s_feature_incompat = table[i].incompat,
			.s_feature_ro_compat = table[i].ro_compat,
			.s_last_orphan = table[i].orphan,
		};

		assert_int_equal(e4df_features_check_state(&sb, "x", &sink),
				 table[i].want);
		if (table[i].text)
			assert_non_null(strstr(heard, table[i].text));
	}
	assert_int_equal(count, ARRAY_SIZE(table) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bit), cmocka_unit_test(together),
		cmocka_unit_test(names),     cmocka_unit_test(revisions),
		cmocka_unit_test(states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
