/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * foresee - layer 5, pure: what a plan leads to
 */
#ifndef E4DF_FORESEE_H
#define E4DF_FORESEE_H

#include "map.h"
#include "plan.h"

/*
 * Makes the map, from which the plan was made, what it is when all batches are
 * done.  Returns ENOMEM, or E4DF_ET_INCONSISTENT as e4df_update_make() does,
 * with the map as only some of the batches leave it.
 */
errcode_t e4df_foresee(struct e4df_map *map, const struct e4df_plan *plan);

#endif
