/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * features - layer 1, pure: what a superblock says that forbids a run
 */
#ifndef E4DF_FEATURES_H
#define E4DF_FEATURES_H

#include "event.h"

/*
 * Every feature bit must be on the allow list.  Returns E4DF_ET_FEATURE, with
 * the feature's name to the sink.
 */
errcode_t e4df_features_check(const struct ext2_super_block *sb,
			      const char *path, struct e4df_sink *sink);

/*
 * Was the file system left clean: no error flag, valid, no orphans, no
 * needs_recovery?  Returns E4DF_ET_ERROR_FS, E4DF_ET_NOT_CLEAN or
 * E4DF_ET_DIRTY_JOURNAL, explained to the sink.
 */
errcode_t e4df_features_check_state(const struct ext2_super_block *sb,
				    const char *path, struct e4df_sink *sink);

#endif
