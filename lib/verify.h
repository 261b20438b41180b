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

/*
 * Files that are to change, each with a digest of all its data blocks,
 * unwritten ones excepted, in logical order.
 */
struct e4df_digests;

errcode_t e4df_digests_new(struct e4df_digests **ret);
void e4df_digests_free(struct e4df_digests *digests);

/*
 * Adds the files that the plan changes and that are not there yet, as they are
 * in `map`.  Those that cannot be read are not added: their first such blocks
 * go to `bad`, and E4DF_ET_UNREADABLE is returned.
 */
errcode_t e4df_digests_add(struct e4df_digests *digests,
			   struct e4df_volume *vol, const struct e4df_map *map,
			   const struct e4df_plan *plan, struct e4df_runs *bad);

/*
 * Digests all files again, as they are in `map` now, but those that became
 * unreadable.  *compared is the number of files.  Returns E4DF_ET_VERIFY, with
 * each file that differs, or cannot be read back, to the sink.
 */
errcode_t e4df_digests_compare(const struct e4df_digests *digests,
			       struct e4df_volume *vol,
			       const struct e4df_map *map, uint64_t *compared);

#endif
