/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "e4df_err.h"
#include "foresee.h"
#include "left.h"
#include "scan.h"
#include "unreadable.h"

#define BATCH_BYTES   (64 << 20) /* data of one change, about */
#define ORDERED_BYTES (16 << 20) /* its metadata, without a log's limit */

/* Which runs a phase belongs to. */
#define ALWAYS	    0x1
#define WITH_PLAN   0x2 /* not a mere report */
#define WITH_WRITES 0x4 /* neither a report nor a dry run */

static errcode_t do_open(struct run *run);
static errcode_t do_scan(struct run *run);
static errcode_t do_plan(struct run *run);
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
	{ E4DF_PHASE_MOVE, "moving", WITH_WRITES, engine_move },
	{ E4DF_PHASE_VERIFY, "verifying", WITH_WRITES, do_verify },
};

static unsigned int wanted(const struct e4df_options *options)
{
	if (options->flags & E4DF_RUN_REPORT)
		return ALWAYS;
	if (options->flags & E4DF_RUN_DRY)
		return ALWAYS | WITH_PLAN;
	return ALWAYS | WITH_PLAN | WITH_WRITES;
}

static errcode_t do_open(struct run *run)
{
	const struct e4df_options *o = run->options;
	struct e4df_volume_options v = {
		.path = o->path,
		.offset = o->offset,
		.journal = o->journal,
		.undo = o->undo,
		.tap = o->tap,
	};
	unsigned int when = wanted(o);

	if (when & WITH_WRITES)
		v.flags |= E4DF_VOLUME_WRITE;
	if (!(when & WITH_PLAN))
		v.flags |= E4DF_VOLUME_REPORT;
	if (o->flags & E4DF_RUN_REPAIR)
		v.flags |= E4DF_VOLUME_REPAIR;
	if (o->flags & E4DF_RUN_REUNDO)
		v.flags |= E4DF_VOLUME_REUNDO;
	return e4df_volume_open(&v, run->sink, &run->vol);
}

static blk64_t to_blocks(const struct run *run, uint64_t bytes)
{
	return bytes / e4df_map_geometry(run->map)->block_size;
}

/* Only the default goal spares long runs. */
static blk64_t good_run(const struct run *run)
{
	unsigned int bs = e4df_map_geometry(run->map)->block_size;

	if (run->options->goal != E4DF_DEFRAG)
		return 0;
	return to_blocks(run, run->options->good_run + bs - 1);
}

/* Has the plan come to its end, or will it, with nothing left to do? */
static int is_finished(const struct run *run)
{
	const struct e4df_outcome *out = run->outcome;

	return out->has_plan && !out->stopped &&
	       out->done_batches == out->planned_batches;
}

static struct e4df_left left_now(const struct run *run)
{
	return (struct e4df_left){
		.map = run->map,
		.is_wanted = run->is_wanted,
		.good_run = good_run(run),
		.rest = is_finished(run) ? E4DF_WHY_NO_ROOM : E4DF_MOVABLE,
	};
}

static void take_stats(const struct run *run, struct e4df_stats *stats)
{
	struct e4df_left left = left_now(run);

	e4df_stats_take(run->map, stats);
	e4df_left_count(&left, stats);
}

void engine_tell_skipped(struct run *run)
{
	struct e4df_left left = left_now(run);

	e4df_left_tell(&left, run->sink);
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

/* The scope and the order need all names. */
static int needs_names(const struct run *run)
{
	const struct e4df_options *o = run->options;

	return e4df_scope_needs_names(&o->scope) ||
	       (wanted(o) & WITH_PLAN && e4df_order_needs_names(&o->order));
}

/* All names, or those that the report has, of the worst files. */
static errcode_t read_names(struct run *run)
{
	const struct e4df_stats *before = &run->outcome->before;
	ext2_ino_t ino[E4DF_WORST];

	for (unsigned int i = 0; i < before->worst_count; i++)
		ino[i] = before->worst[i].ino;
	return e4df_namespace_read(run->vol, run->map,
				   needs_names(run) ? E4DF_NAMESPACE_ALL : 0,
				   ino, before->worst_count, &run->names);
}

/* What is to be improved and what stays, in the map and beside it. */
static errcode_t choose_files(struct run *run)
{
	const struct e4df_options *o = run->options;
	errcode_t err;

	if (o->max_write && !to_blocks(run, o->max_write))
		return e4df_event_fail(run->sink, E4DF_ET_OPTION,
				       "%llu bytes are less than a block, so "
				       "nothing could be moved; nothing done",
				       (unsigned long long)o->max_write);
	err = needs_names(run) ? read_names(run) : 0;
	if (!err)
		err = e4df_scope_exclude(&o->scope, run->names, run->map,
					 run->sink);
	if (!err)
		err = e4df_scope_choose(&o->scope, run->names, run->map,
					&run->is_wanted);
	return err;
}

static errcode_t do_scan(struct run *run)
{
	const struct e4df_gate_counters *counters =
		e4df_gate_counters(e4df_volume_gate(run->vol));
	struct e4df_outcome *out = run->outcome;
	uint64_t before = counters->bytes_read;
	errcode_t err = check_convert(run);

	if (!err)
		err = e4df_scan(run->vol, scan_flags(run), run->sink,
				&run->map);
	run->scan_bytes = counters->bytes_read - before;
	if (!err)
		err = choose_files(run);
	if (err)
		return err;
	e4df_outcome_describe(out, run->vol, run->map);
	take_stats(run, &out->before);
	out->after = out->before;
	if (!(wanted(run->options) & WITH_PLAN))
		engine_tell_skipped(run);
	/* The directories are read once: now that it is known what to name. */
	if (!run->names)
		err = read_names(run);
	return err ? err : e4df_outcome_look(out, run->names, run->map);
}

/* Leaves run->journal NULL where there is none that can be used. */
static errcode_t open_journal(struct run *run)
{
	ext2_filsys fs = e4df_volume_fs(run->vol);
	__u32 index = e4df_map_find(run->map, fs->super->s_journal_inum);
	struct ext2_inode inode;
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
	err = ext2fs_read_inode(fs, fs->super->s_journal_inum, &inode);
	if (err)
		return err;
	o.size = EXT2_I_SIZE(&inode) / fs->blocksize;
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

void engine_mark_seen(struct run *run, const struct e4df_batch *batch,
		      unsigned char flag)
{
	for (size_t i = 0; i < batch->change_count; i++)
		run->seen[batch->changes[i].inode] |= flag;
}

/* What is done and what the plan is to do, together. */
static void count_plan(struct run *run)
{
	struct e4df_outcome *out = run->outcome;
	__u32 count = e4df_map_count(run->map);

	out->has_plan = 1;
	out->planned_batches = out->done_batches + e4df_plan_count(run->plan);
	out->planned_bytes = out->moved_bytes +
			     e4df_plan_copy_blocks(run->plan) * out->block_size;
	out->planned_files = 0;
	for (__u32 i = 0; i < count; i++)
		run->seen[i] &= SEEN_DONE;
	for (size_t i = 0; i < e4df_plan_count(run->plan); i++)
		engine_mark_seen(run, e4df_plan_batch(run->plan, i),
				 SEEN_PLANNED);
	for (__u32 i = 0; i < count; i++)
		if (e4df_kind_is_file(e4df_map_inode(run->map, i)->kind))
			out->planned_files += run->seen[i] != 0;
}

static struct e4df_policy make_policy(const struct run *run)
{
	const struct e4df_options *o = run->options;
	const struct e4df_geometry *g = e4df_map_geometry(run->map);

	return (struct e4df_policy){
		.goal = o->goal,
		.flags =
			(o->flags & E4DF_RUN_CONVERT ? E4DF_POLICY_CONVERT :
						       0U) |
			(o->flags & E4DF_RUN_INLINE ? E4DF_POLICY_INLINE : 0U) |
			(run->journal ? 0U : E4DF_POLICY_ORDERED),
		.batch_blocks = BATCH_BYTES / g->block_size,
		.log_blocks = most_blocks(run),
		.good_run = good_run(run),
		.max_blocks = to_blocks(run, o->max_write),
		.order = run->order.v,
		.order_count = run->order.count,
		.order_listed = run->order.listed,
		.order_at = g->blocks / 100 * o->order_at +
			    g->blocks % 100 * o->order_at / 100,
		.is_wanted = run->is_wanted,
		.cancel = o->cancel,
	};
}

/*
 * Plans from the layout as it is now.  What has been moved before counts for
 * the limit; where nothing is left of that, nothing is planned.
 */
static errcode_t make_plan(struct run *run)
{
	struct e4df_policy policy = make_policy(run);
	blk64_t moved = to_blocks(run, run->outcome->moved_bytes);
	struct e4df_plan *plan;
	errcode_t err;

	if (policy.max_blocks && moved)
		policy.max_blocks -= moved < policy.max_blocks ?
					     moved :
					     policy.max_blocks - 1;
	err = e4df_plan_build(run->map, &policy, &plan);
	if (err)
		return err;
	e4df_plan_free(run->plan);
	run->plan = plan;
	run->outcome->stopped = e4df_plan_is_limited(plan) ?
					E4DF_STOP_MAX_WRITE :
					E4DF_STOP_NONE;
	count_plan(run);
	return 0;
}

errcode_t engine_plan_without(struct run *run, struct e4df_runs *bad)
{
	errcode_t err = e4df_unreadable_pin(run->map, bad, run->sink);

	e4df_runs_free(bad);
	return err ? err : make_plan(run);
}

/* What a run would take: the plan, and reading all metadata twice. */
static errcode_t estimate(struct run *run)
{
	const struct e4df_options *o = run->options;
	struct e4df_outcome *out = run->outcome;
	const struct e4df_gate_counters *c =
		e4df_gate_counters(e4df_volume_gate(run->vol));
	struct e4df_load_limits limits =
		e4df_mover_limits(o->memory, out->block_size);
	errcode_t err;

	err = e4df_estimate_bytes(run->map, run->plan,
				  run->journal ? 0 : E4DF_POLICY_ORDERED,
				  &limits, &out->estimate);
	out->estimate.bytes_read += c->bytes_read;
	if (e4df_plan_count(run->plan))
		out->estimate.bytes_read += run->scan_bytes;
	out->rate = o->rate;
	if (!err && !o->rate)
		err = e4df_estimate_rate(run->vol, run->plan, &out->rate,
					 &run->sample_bytes);
	return err;
}

void engine_take_end(struct run *run)
{
	take_stats(run, &run->outcome->after);
	e4df_readcost_take(run->map, run->met, run->met_count,
			   &run->outcome->read_after);
}

/* What the plan would lead to. */
static errcode_t foresee(struct run *run)
{
	struct e4df_outcome *out = run->outcome;
	errcode_t err = estimate(run);

	if (!err)
		err = e4df_foresee(run->map, run->plan);
	if (err)
		return err;
	out->done_batches = out->planned_batches;
	engine_take_end(run);
	engine_tell_skipped(run);
	out->done_batches = 0;
	return 0;
}

static errcode_t do_plan(struct run *run)
{
	errcode_t err = open_journal(run);

	if (err)
		return err;
	run->seen = calloc((size_t)e4df_map_count(run->map) + 1, 1);
	if (!run->seen)
		return ENOMEM;
	err = e4df_order_make(&run->options->order, run->names, run->map,
			      run->sink, &run->order);
	run->outcome->unknown_entries = run->order.unknown;
	if (!err)
		err = e4df_namespace_order(run->names, E4DF_SORT_READDIR,
					   &run->met, &run->met_count);
	e4df_namespace_free(run->names);
	run->names = NULL;
	if (!err)
		err = make_plan(run);
	if (err || wanted(run->options) & WITH_WRITES)
		return err;
	return foresee(run);
}

static errcode_t do_verify(struct run *run)
{
	errcode_t err;

	if (!run->has_begun)
		return 0;
	err = e4df_verify_layout(run->vol, scan_flags(run), run->map);
	if (err || !run->digests)
		return err;
	return e4df_digests_compare(run->digests, run->vol, run->map,
				    &run->outcome->digested_files);
}

/* Files that could not be read are a failure, though nothing else failed. */
static errcode_t conclude(struct run *run)
{
	__u32 n = e4df_unreadable_count(run->map);

	run->outcome->is_complete = 1;
	run->outcome->unreadable_files = n;
	if (!n)
		return 0;
	return e4df_event_fail(run->sink, E4DF_ET_UNREADABLE,
			       "%u file%s with blocks that cannot be read %s "
			       "where %s; all else is done",
			       n, n == 1 ? "" : "s", n == 1 ? "stays" : "stay",
			       n == 1 ? "it is" : "they are");
}

static errcode_t release(struct run *run)
{
	errcode_t err = 0, end;

	if (run->vol) {
		const struct e4df_gate_counters *c =
			e4df_gate_counters(e4df_volume_gate(run->vol));

		err = e4df_volume_release(run->vol);
		run->outcome->bytes_read = c->bytes_read - run->sample_bytes;
		run->outcome->bytes_written = c->bytes_written;
		run->outcome->flushes = c->flushes;
	}
	e4df_digests_free(run->digests);
	e4df_plan_free(run->plan);
	free(run->seen);
	free(run->is_wanted);
	e4df_order_release(&run->order);
	e4df_namespace_free(run->names);
	free(run->met);
	e4df_journal_close(run->journal);
	e4df_map_free(run->map);
	end = e4df_volume_close(run->vol);
	return err ? err : end;
}

errcode_t e4df_run(const struct e4df_options *options, struct e4df_sink *sink,
		   struct e4df_outcome **ret)
{
	struct e4df_sink silent = { .ctx = NULL };
	struct run run = { .options = options, .sink = sink ? sink : &silent };
	errcode_t err = 0, end;

	clock_gettime(CLOCK_MONOTONIC, &run.start);
	run.sink->cancel = options->cancel;
	run.outcome = calloc(1, sizeof(*run.outcome));
	if (!run.outcome)
		return ENOMEM;
	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		const struct phase *phase = &phases[i];

		if (err || !(phase->when & wanted(options)))
			continue;
		e4df_event_phase(run.sink, (int)phase->number, phase->name);
		err = e4df_event_check(run.sink);
		if (!err)
			err = phase->run(&run);
	}
	if (!err)
		err = conclude(&run);
	end = release(&run);
	if (!err)
		err = end;
	if (run.outcome->block_size) /* set by describe: scanned */
		*ret = run.outcome;
	else
		e4df_outcome_free(run.outcome);
	return err;
}
