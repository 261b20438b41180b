/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * update - layer 5, pure: what a batch makes of the map
 *
 * A plan's batches hold moves, and no mappings (batch.h).  Those are made for
 * one batch at a time, from the map to which all batches before it have been
 * applied.
 */
#ifndef E4DF_UPDATE_H
#define E4DF_UPDATE_H

#include "map.h"

/*
 * The new mappings as scan would find them, and what is taken and released.
 * *ret is to be released.  Returns ENOMEM, or E4DF_ET_INCONSISTENT if the map
 * has not what the batch moves or gives up where that takes it from.
 */
errcode_t e4df_update_make(const struct e4df_map *map,
			   const struct e4df_batch *batch,
			   struct e4df_update *ret);

/* Frees what the update owns. */
void e4df_update_release(struct e4df_update *update);

#endif
