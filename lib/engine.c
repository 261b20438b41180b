/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commit.h"
#include "e4df_err.h"
#include "names.h"
#include "move.h"
#include "plan.h"
#include "scan.h"
#include "verify.h"

#define BATCH_BYTES   (64 << 20) /* data of one change, about */
#define ORDERED_BYTES (16 << 20) /* its metadata, without a log's limit */

struct run {
	/* Immutable. */
	const struct e4df_options *options; /* (borrowed) */
	struct e4df_sink *sink;		    /* (borrowed) */
	/* Mutable: what the phases make, in their order. */
	struct e4df_volume *vol;      /* (owned) */
	struct e4df_map *map;	      /* (owned) */
	struct e4df_outcome *outcome; /* the caller's */
	struct e4df_journal *journal; /* (owned) NULL: in order, without */
	struct e4df_plan *plan;	      /* (owned) */
	struct e4df_digests *digests; /* (owned) before moving */
};

/* Which runs a phase belongs to. */
#define ALWAYS	    0x1
#define WITH_PLAN   0x2 /* not a mere report */
#define WITH_WRITES 0x4 /* neither a report nor a dry run */

static errcode_t do_open(struct run *run);
static errcode_t do_scan(struct run *run);
static errcode_t do_plan(struct run *run);
static errcode_t do_move(struct run *run);
static errcode_t do_verify(struct run *run);

static const struct phase {
	enum e4df_phase number;
	const char *name; /* completes "while ..." */
	unsigned int when;
	errcode_t (*run)(struct run *run);
} phases[] = {
	{ E4DF_PHASE_OPEN, "opening the file system", ALWAYS, do_open },
	{ E4DF_PHASE_SCAN, "scanning", ALWAYS, do_scan },
	{ E4DF_PHASE_PLAN, "planning", WITH_PLAN, do_plan },
	{ E4DF_PHASE_MOVE, "moving", WITH_WRITES, do_move },
	{ E4DF_PHASE_VERIFY, "verifying", WITH_WRITES, do_verify },
};

void e4df_outcome_free(struct e4df_outcome *outcome)
{
	if (!outcome)
		return;
	for (unsigned int i = 0; i < E4DF_WORST; i++)
		free(outcome->worst_path[i]);
	free(outcome);
}

static unsigned int wanted(const struct e4df_options *options)
{
	if (options->flags & E4DF_RUN_REPORT)
		return ALWAYS;
	if (options->flags & E4DF_RUN_DRY)
		return ALWAYS | WITH_PLAN;
	return ALWAYS | WITH_PLAN | WITH_WRITES;
}

static int is_cancelled(const struct run *run)
{
	return run->options->cancel && *run->options->cancel;
}

static errcode_t do_open(struct run *run)
{
	const struct e4df_options *o = run->options;
	struct e4df_volume_options v = {
		.path = o->path,
		.offset = o->offset,
		.journal = o->journal,
		.tap = o->tap,
	};
	unsigned int when = wanted(o);

	if (when & WITH_WRITES)
		v.flags |= E4DF_VOLUME_WRITE;
	if (!(when & WITH_PLAN))
		v.flags |= E4DF_VOLUME_REPORT;
	if (o->flags & E4DF_RUN_REPAIR)
		v.flags |= E4DF_VOLUME_REPAIR;
	return e4df_volume_open(&v, run->sink, &run->vol);
}

static void describe(struct run *run)
{
	const struct ext2_super_block *sb = e4df_volume_super(run->vol);
	struct e4df_outcome *out = run->outcome;
	const unsigned char *u = sb->s_uuid;
	char *at = out->uuid;

	out->block_size = e4df_map_geometry(run->map)->block_size;
	out->blocks = e4df_map_geometry(run->map)->blocks;
	memcpy(out->label, sb->s_volume_name, 16);
	for (int i = 0; i < 16; i++) {
		static const char hex[] = "0123456789abcdef";

		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = hex[u[i] >> 4];
		*at++ = hex[u[i] & 15];
	}
}

static errcode_t name_worst(struct run *run)
{
	struct e4df_outcome *out = run->outcome;
	ext2_ino_t ino[E4DF_WORST];

	for (unsigned int i = 0; i < out->before.worst_count; i++)
		ino[i] = out->before.worst[i].ino;
	return e4df_names_find(run->vol, run->map, ino, out->before.worst_count,
			       out->worst_path);
}

/* Fragmented files that stay, and why. */
static void tell_skipped(struct run *run, int is_planned)
{
	for (__u32 i = 0; i < e4df_map_count(run->map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(run->map, i);
		const struct e4df_extent *e = e4df_map_extents(run->map, i);
		enum e4df_why why = inode->why;
		blk64_t blocks = e4df_extents_blocks(e, inode->data);

		if (inode->kind == E4DF_INTERNAL ||
		    e4df_extents_runs(e, inode->data) <=
			    e4df_map_ideal(run->map, blocks))
			continue;
		if (why == E4DF_MOVABLE && !is_planned)
			continue;
		if (why == E4DF_MOVABLE)
			why = E4DF_WHY_NO_ROOM;
		e4df_event_find(run->sink, E4DF_SKIPPED, inode->ino, 0, "%s",
				e4df_why_text(why));
	}
}

static unsigned int scan_flags(const struct run *run)
{
	unsigned int flags = run->options->flags;

	return (flags & E4DF_RUN_MOVE_IMMUTABLE ? E4DF_SCAN_IMMUTABLE : 0U) |
	       (flags & E4DF_RUN_MOVE_BOOT ? E4DF_SCAN_BOOT : 0U) |
	       (flags & E4DF_RUN_CONVERT ? E4DF_SCAN_CONVERT : 0U);
}

/* Extents are only for file systems that have the feature. */
static errcode_t check_convert(struct run *run)
{
	if (!(run->options->flags & E4DF_RUN_CONVERT) ||
	    ext2fs_has_feature_extents(e4df_volume_fs(run->vol)->super))
		return 0;
	return e4df_event_fail(run->sink, E4DF_ET_FEATURE,
			       "%s does not have the feature extent, so "
			       "nothing can be converted; nothing done (see "
			       "tune2fs -O extent)",
			       run->options->path);
}

static errcode_t do_scan(struct run *run)
{
	errcode_t err = check_convert(run);

	if (!err)
		err = e4df_scan(run->vol, scan_flags(run), run->sink,
				&run->map);

	if (err)
		return err;
	describe(run);
	e4df_stats_take(run->map, &run->outcome->before);
	run->outcome->after = run->outcome->before;
	if (!(wanted(run->options) & WITH_PLAN))
		tell_skipped(run, 0);
	return name_worst(run);
}

/* Leaves run->journal NULL where there is none that can be used. */
static errcode_t open_journal(struct run *run)
{
	ext2_filsys fs = e4df_volume_fs(run->vol);
	__u32 index = e4df_map_find(run->map, fs->super->s_journal_inum);
	errcode_t err;
	struct e4df_journal_options o = {
		.gate = e4df_volume_gate(run->vol),
		.sink = run->sink,
		.block_size = fs->blocksize,
		.has_metadata_csum =
			ext2fs_has_feature_metadata_csum(fs->super),
		.has_64bit = ext2fs_has_feature_64bit(fs->super),
	};

	if (!ext2fs_has_feature_journal(fs->super) ||
	    !fs->super->s_journal_inum) {
		e4df_event_find(run->sink, E4DF_NOTE, 0, 0,
				"no internal journal: metadata are written in "
				"order instead");
		return 0;
	}
	if (index == e4df_map_count(run->map))
		return E4DF_ET_BAD_JOURNAL;
	o.log = e4df_map_extents(run->map, index);
	o.log_extents = e4df_map_inode(run->map, index)->data;
	err = e4df_journal_open(&o, &run->journal);
	return err == E4DF_ET_NO_JOURNAL ? 0 : err;
}

/* Metadata blocks that one change may have. */
static __u32 most_blocks(const struct run *run)
{
	return run->journal ? e4df_journal_capacity(run->journal) :
			      ORDERED_BYTES / run->outcome->block_size;
}

/* Brings the map to where the plan leads. */
static errcode_t apply(struct run *run, const struct e4df_batch *batch)
{
	errcode_t err = e4df_map_prepare(run->map, batch);

	if (!err)
		e4df_map_apply(run->map, batch);
	return err;
}

static void count_plan(struct run *run)
{
	struct e4df_outcome *out = run->outcome;
	unsigned char *seen = calloc(e4df_map_count(run->map) + 1U, 1);

	out->has_plan = 1;
	out->planned_batches = e4df_plan_count(run->plan);
	out->planned_bytes = e4df_plan_copy_blocks(run->plan) * out->block_size;
	for (size_t i = 0; seen && i < e4df_plan_count(run->plan); i++) {
		const struct e4df_batch *b = e4df_plan_batch(run->plan, i);

		for (size_t k = 0; k < b->change_count; k++) {
			out->planned_files += !seen[b->changes[k].inode];
			seen[b->changes[k].inode] = 1;
		}
	}
	free(seen);
}

static void take_after(struct run *run)
{
	struct e4df_stats *after = &run->outcome->after;

	e4df_stats_take(run->map, after);
	if (run->outcome->done_batches < run->outcome->planned_batches)
		return; /* cut short: there may be room yet */
	after->left[E4DF_WHY_NO_ROOM] = after->left[E4DF_MOVABLE];
	after->left[E4DF_MOVABLE] = 0;
}

static errcode_t do_plan(struct run *run)
{
	const struct e4df_geometry *g = e4df_map_geometry(run->map);
	struct e4df_policy policy = {
		.flags = run->options->flags & E4DF_RUN_CONVERT ?
				 E4DF_POLICY_CONVERT :
				 0,
		.batch_blocks = BATCH_BYTES / g->block_size,
		.cancel = run->options->cancel,
	};
	errcode_t err = open_journal(run);

	if (err)
		return err;
	policy.log_blocks = most_blocks(run);
	err = e4df_plan_build(run->map, &policy, &run->plan);
	if (err)
		return err;
	count_plan(run);
	if (wanted(run->options) & WITH_WRITES)
		return 0;
	for (size_t i = 0; i < e4df_plan_count(run->plan) && !err; i++)
		err = apply(run, e4df_plan_batch(run->plan, i));
	if (err)
		return err;
	run->outcome->done_batches = run->outcome->planned_batches;
	take_after(run);
	run->outcome->done_batches = 0;
	tell_skipped(run, 1);
	return 0;
}

/* CLEAN -> COPIED -> LOGGED -> COMMITTED -> CHECKPOINTED -> CLEAN */
static errcode_t run_batch(struct run *run, const struct e4df_batch *batch)
{
	struct e4df_outcome *out = run->outcome;
	uint64_t done = out->moved_bytes;
	errcode_t err = e4df_map_prepare(run->map, batch);

	if (!err)
		err = e4df_volume_refresh(run->vol);
	if (!err)
		err = e4df_move(run->vol, batch, &done, out->planned_bytes);
	if (!err)
		err = e4df_commit(run->vol, run->journal, run->map, batch);
	if (err)
		return err;
	e4df_map_apply(run->map, batch);
	out->moved_bytes = done;
	out->done_batches++;
	return 0;
}

/* Is there no change that is begun and not finished? */
static int is_settled(const struct run *run)
{
	if (e4df_gate_is_stopped(e4df_volume_gate(run->vol)))
		return 0;
	return !run->journal || e4df_journal_is_clean(run->journal);
}

/*
 * However the batches ended: if the device still takes writes and no change is
 * half done, the file system is left clean.  Else recovery finishes what was
 * committed, and nothing refers to what was not.
 */
static errcode_t run_batches(struct run *run)
{
	enum e4df_discipline discipline = run->journal ? E4DF_JOURNALED :
							 E4DF_ORDERED;
	errcode_t err, end = 0;

	err = e4df_volume_begin(run->vol, discipline);
	if (!err && run->journal)
		err = e4df_journal_start(run->journal);
	for (size_t i = 0; i < e4df_plan_count(run->plan) && !err; i++)
		err = is_cancelled(run) ?
			      E4DF_ET_CANCELLED :
			      run_batch(run, e4df_plan_batch(run->plan, i));
	if (is_settled(run)) {
		if (run->journal)
			end = e4df_journal_stop(run->journal);
		if (!end)
			end = e4df_volume_end(run->vol, discipline);
	}
	return err ? err : end;
}

static errcode_t do_move(struct run *run)
{
	errcode_t err;

	if (!e4df_plan_count(run->plan))
		return 0;
	if (run->options->flags & E4DF_RUN_VERIFY) {
		err = e4df_verify_digest(run->vol, run->map, run->plan,
					 &run->digests);
		if (err)
			return err;
	}
	err = run_batches(run);
	take_after(run);
	if (!err)
		tell_skipped(run, 1);
	return err;
}

static errcode_t do_verify(struct run *run)
{
	struct e4df_digests *after = NULL;
	errcode_t err;

	if (!e4df_plan_count(run->plan)) {
		take_after(run);
		tell_skipped(run, 1);
		return 0;
	}
	err = e4df_verify_layout(run->vol, scan_flags(run), run->map);
	if (err || !run->digests)
		return err;
	err = e4df_verify_digest(run->vol, run->map, run->plan, &after);
	if (!err)
		err = e4df_digests_compare(run->digests, after, run->sink);
	if (!err)
		run->outcome->digested_files = e4df_digests_count(after);
	e4df_digests_free(after);
	return err;
}

static void release(struct run *run)
{
	if (run->vol) {
		const struct e4df_gate_counters *c =
			e4df_gate_counters(e4df_volume_gate(run->vol));

		run->outcome->bytes_read = c->bytes_read;
		run->outcome->bytes_written = c->bytes_written;
		run->outcome->flushes = c->flushes;
	}
	e4df_digests_free(run->digests);
	e4df_plan_free(run->plan);
	e4df_journal_close(run->journal);
	e4df_map_free(run->map);
	e4df_volume_close(run->vol);
}

errcode_t e4df_run(const struct e4df_options *options, struct e4df_sink *sink,
		   struct e4df_outcome **ret)
{
	struct run run = { .options = options, .sink = sink };
	errcode_t err = 0;

	run.outcome = calloc(1, sizeof(*run.outcome));
	if (!run.outcome)
		return ENOMEM;
	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		const struct phase *phase = &phases[i];

		if (err || !(phase->when & wanted(options)))
			continue;
		e4df_event_phase(sink, (int)phase->number, phase->name);
		err = is_cancelled(&run) ? E4DF_ET_CANCELLED : phase->run(&run);
	}
	release(&run);
	if (run.outcome->block_size) /* set by describe: scanned */
		*ret = run.outcome;
	else
		e4df_outcome_free(run.outcome);
	return err;
}
