/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * estimate - layer 5: what carrying out a plan takes
 */
#ifndef E4DF_ESTIMATE_H
#define E4DF_ESTIMATE_H

#include "load.h"
#include "plan.h"
#include "volume.h"

struct e4df_estimate {
	uint64_t bytes_read;	/* data, and metadata for each batch */
	uint64_t bytes_written; /* at most, with the journal */
};

/*
 * Pure: counts the bytes of all batches.  In bytes_written is also what opens
 * and closes the log and marks the superblock, but no MMP block.  flags:
 * E4DF_POLICY_ORDERED.  limits: those of the mover.  Returns ENOMEM.
 */
errcode_t e4df_estimate_bytes(const struct e4df_map *map,
			      const struct e4df_plan *plan, unsigned int flags,
			      const struct e4df_load_limits *limits,
			      struct e4df_estimate *ret);

/*
 * Reads what the plan reads first, for a quarter of a second or 64 MiB, and
 * sets *rate to bytes a second; 0 if nothing can be read.  This looks at the
 * clock, so nothing else may depend on it.  *bytes is what was read.  Returns
 * ENOMEM or E4DF_ET_CANCELLED.
 */
errcode_t e4df_estimate_rate(struct e4df_volume *vol,
			     const struct e4df_plan *plan, uint64_t *rate,
			     uint64_t *bytes);

#endif
