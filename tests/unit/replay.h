/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carries out a plan on an array that says for each block what it is; nothing
 * but the map's own queries is believed.
 */
#ifndef TESTS_UNIT_REPLAY_H
#define TESTS_UNIT_REPLAY_H

#include "plan.h"
#include "unit.h"

/*
 * Works on a copy of the map, and returns that as it is behind the plan; the
 * caller frees it.  Fails the test if a batch is more or less than its changes
 * and moves, loses or doubles a block, takes one that is not free, is larger
 * than its log or the policy allow, or leaves another map than it says; and if
 * e4df_foresee() foresees another one.
 */
struct e4df_map *replay_plan(const struct e4df_map *map,
			     const struct e4df_policy *policy,
			     const struct e4df_plan *plan);

/* Runs of an inode above its ideal. */
uint32_t replay_excess(const struct e4df_map *map, uint32_t index);

/* Fails the test if two plans differ. */
void replay_check_same(const struct e4df_plan *a, const struct e4df_plan *b);

#endif
