/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "features.h"

#include <stdio.h>
#include <string.h>

#include "e4df_err.h"

/* Names as in mke2fs(8) and tune2fs(8). */
enum field { COMPAT, INCOMPAT, RO_COMPAT };

static const struct feature {
	enum field field;
	__u32 bit;
	const char *name;
	const char *why_not; /* NULL = allowed */
} features[] = {
	{ COMPAT, 0x0001, "dir_prealloc", NULL },
	{ COMPAT, 0x0002, "imagic_inodes", "" },
	{ COMPAT, 0x0004, "has_journal", NULL },
	{ COMPAT, 0x0008, "ext_attr", NULL },
	{ COMPAT, 0x0010, "resize_inode", NULL },
	{ COMPAT, 0x0020, "dir_index", NULL },
	{ COMPAT, 0x0040, "lazy_bg", "" },
	{ COMPAT, 0x0080, "exclude_inode", "" },
	{ COMPAT, 0x0100, "snapshot_bitmap", "" },
	{ COMPAT, 0x0200, "sparse_super2", NULL },
	{ COMPAT, 0x0400, "fast_commit", NULL },
	{ COMPAT, 0x0800, "stable_inodes", NULL },
	{ COMPAT, 0x1000, "orphan_file", NULL },
	{ INCOMPAT, 0x00001, "compression", "" },
	{ INCOMPAT, 0x00002, "filetype", NULL },
	{ INCOMPAT, 0x00004, "needs_recovery", NULL }, /* see check_state */
	{ INCOMPAT, 0x00008, "journal_dev", "it is an external journal" },
	{ INCOMPAT, 0x00010, "meta_bg", NULL },
	{ INCOMPAT, 0x00040, "extent", NULL },
	{ INCOMPAT, 0x00080, "64bit", NULL },
	{ INCOMPAT, 0x00100, "mmp", NULL },
	{ INCOMPAT, 0x00200, "flex_bg", NULL },
	{ INCOMPAT, 0x00400, "ea_inode", NULL },
	{ INCOMPAT, 0x01000, "dirdata", "" },
	{ INCOMPAT, 0x02000, "metadata_csum_seed", NULL },
	{ INCOMPAT, 0x04000, "large_dir", NULL },
	{ INCOMPAT, 0x08000, "inline_data", NULL },
	{ INCOMPAT, 0x10000, "encrypt", NULL },
	{ INCOMPAT, 0x20000, "casefold", NULL },
	{ RO_COMPAT, 0x00001, "sparse_super", NULL },
	{ RO_COMPAT, 0x00002, "large_file", NULL },
	{ RO_COMPAT, 0x00008, "huge_file", NULL },
	{ RO_COMPAT, 0x00010, "uninit_bg", NULL },
	{ RO_COMPAT, 0x00020, "dir_nlink", NULL },
	{ RO_COMPAT, 0x00040, "extra_isize", NULL },
	{ RO_COMPAT, 0x00080, "snapshot", "" },
	{ RO_COMPAT, 0x00100, "quota", NULL },
	{ RO_COMPAT, 0x00200, "bigalloc", NULL },
	{ RO_COMPAT, 0x00400, "metadata_csum", NULL },
	{ RO_COMPAT, 0x00800, "replica", "" },
	{ RO_COMPAT, 0x01000, "read-only",
	  "its owner has forbidden all changes" },
	{ RO_COMPAT, 0x02000, "project", NULL },
	{ RO_COMPAT, 0x04000, "shared_blocks",
	  "files share blocks on purpose" },
	{ RO_COMPAT, 0x08000, "verity", NULL },
	{ RO_COMPAT, 0x10000, "orphan_present", NULL }, /* see check_state */
};

static const struct feature *find(enum field field, __u32 bit)
{
	size_t i;

	for (i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (features[i].field == field && features[i].bit == bit)
			return &features[i];
	return NULL;
}

static errcode_t check_field(enum field field, __u32 bits, const char *path,
			     struct e4df_sink *sink)
{
	for (int n = 0; n < 32; n++) {
		const struct feature *f;
		char name[32];

		if (!(bits & (1U << n)))
			continue;
		f = find(field, 1U << n);
		if (f && !f->why_not)
			continue;
		/* As e2fsprogs names what it does not know: FEATURE_I31. */
		snprintf(name, sizeof(name), "FEATURE_%c%d", "CIR"[field], n);
		return e4df_event_fail(sink, E4DF_ET_FEATURE,
				       "%s has the feature %s, which is not "
				       "supported%s%s; nothing done",
				       path, f ? f->name : name,
				       f && *f->why_not ? ": " : "",
				       f ? f->why_not : "");
	}
	return 0;
}

errcode_t e4df_features_check(const struct ext2_super_block *sb,
			      const char *path, struct e4df_sink *sink)
{
	errcode_t err;

	if (sb->s_rev_level > EXT2_MAX_SUPP_REV)
		return e4df_event_fail(sink, E4DF_ET_FEATURE,
				       "%s has revision %u, which is not "
				       "supported; nothing done",
				       path, sb->s_rev_level);
	err = check_field(INCOMPAT, sb->s_feature_incompat, path, sink);
	if (!err)
		err = check_field(RO_COMPAT, sb->s_feature_ro_compat, path,
				  sink);
	if (!err)
		err = check_field(COMPAT, sb->s_feature_compat, path, sink);
	return err;
}

errcode_t e4df_features_check_state(const struct ext2_super_block *sb,
				    const char *path, struct e4df_sink *sink)
{
	if (sb->s_state & EXT2_ERROR_FS)
		return e4df_event_fail(sink, E4DF_ET_ERROR_FS,
				       "%s is marked as having errors; run "
				       "e2fsck -f first",
				       path);
	if (sb->s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER)
		return e4df_event_fail(sink, E4DF_ET_DIRTY_JOURNAL,
				       "%s has a journal that must be "
				       "replayed; run e2fsck -p first (or use "
				       "-p)",
				       path);
	if (!(sb->s_state & EXT2_VALID_FS))
		return e4df_event_fail(sink, E4DF_ET_NOT_CLEAN,
				       "%s was not cleanly unmounted; run "
				       "e2fsck -p first (or use -p)",
				       path);
	if (sb->s_last_orphan || (sb->s_feature_ro_compat & 0x10000))
		return e4df_event_fail(sink, E4DF_ET_NOT_CLEAN,
				       "%s has orphaned inodes to clean up; "
				       "run e2fsck -p first (or use -p)",
				       path);
	return 0;
}
