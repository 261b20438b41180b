/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * outcome - layer 5: what a run found and did, for reports
 */
#ifndef E4DF_OUTCOME_H
#define E4DF_OUTCOME_H

#include "estimate.h"
#include "readcost.h"
#include "stats.h"
#include "super.h"

/* Why a run that went well has left something to another one. */
enum e4df_stop {
	E4DF_STOP_NONE, /* it has not */
	E4DF_STOP_TIME,
	E4DF_STOP_MAX_WRITE,
};

/* What a run found and did.  Byte figures are data, without metadata. */
struct e4df_outcome {
	unsigned int block_size;
	char uuid[E4DF_SUPER_UUID_TEXT];
	char label[17];
	blk64_t blocks; /* of the file system */
	struct e4df_stats before;
	struct e4df_stats after;	  /* as planned (dry) or as reached;
					 * equals before without a plan */
	int has_read_cost;		  /* the directories were read */
	struct e4df_readcost read_before; /* the same two for reading files */
	struct e4df_readcost read_after;
	int has_plan;
	uint64_t planned_bytes; /* to copy */
	uint64_t planned_files; /* to change */
	uint64_t planned_batches;
	struct e4df_estimate estimate; /* of a dry run: all of a real one */
	uint64_t rate;		       /* bytes a second; 0 = not known */
	enum e4df_stop stopped;
	uint64_t stopped_seconds; /* from the start; for STOP_TIME */
	uint64_t unknown_entries; /* of the list */
	uint64_t moved_bytes;	  /* copied and committed */
	uint64_t done_batches;
	uint64_t bytes_read; /* everything, both ways */
	uint64_t bytes_written;
	uint64_t flushes;
	uint64_t digested_files;   /* compared by E4DF_RUN_VERIFY */
	int is_complete;	   /* all was done but for files like these: */
	uint64_t unreadable_files; /* left where they are */
	char *worst_path[E4DF_WORST]; /* (owned) of before.worst[] */
};

/* What file system it is. */
void e4df_outcome_describe(struct e4df_outcome *outcome,
			   const struct e4df_volume *vol,
			   const struct e4df_map *map);

/*
 * What the names tell of the layout before: the paths of the worst files, and
 * what reading takes.  Returns ENOMEM.
 */
errcode_t e4df_outcome_look(struct e4df_outcome *outcome,
			    const struct e4df_namespace *names,
			    const struct e4df_map *map);

void e4df_outcome_free(struct e4df_outcome *outcome);

#endif
