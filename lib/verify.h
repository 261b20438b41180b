/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verify - layer 5: is the result what was planned, and are the bytes the
 * same?  Only reads.
 */
#ifndef E4DF_VERIFY_H
#define E4DF_VERIFY_H

#include "plan.h"
#include "volume.h"

/*
 * Reads the file system again from disk, scans it (flags as for e4df_scan),
 * and compares with the map
 * that the plan has led to.  Returns E4DF_ET_VERIFY, explained, and what scan
 * returns.
 */
errcode_t e4df_verify_layout(struct e4df_volume *vol, unsigned int flags,
			     const struct e4df_map *expected);

/* The files that a plan changes, each with a digest of its blocks. */
struct e4df_digests;

/*
 * Digests all data blocks of the files that the plan changes, unwritten ones
 * excepted, in logical order, at their places in `map`.
 */
errcode_t e4df_verify_digest(struct e4df_volume *vol,
			     const struct e4df_map *map,
			     const struct e4df_plan *plan,
			     struct e4df_digests **ret);
size_t e4df_digests_count(const struct e4df_digests *digests);
void e4df_digests_free(struct e4df_digests *digests);

/* Returns E4DF_ET_VERIFY, with each file that differs to the sink. */
errcode_t e4df_digests_compare(const struct e4df_digests *before,
			       const struct e4df_digests *after,
			       struct e4df_sink *sink);

#endif
