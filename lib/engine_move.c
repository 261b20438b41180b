/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine_priv.h"

#include "commit.h"
#include "e4df_err.h"
#include "update.h"

/* Whole seconds since the start. */
static uint64_t elapsed(const struct run *run)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)(now.tv_sec - run->start.tv_sec -
			  (now.tv_nsec < run->start.tv_nsec));
}

/* With digests; files that cannot be read are left out of the plan. */
static errcode_t digest_plan(struct run *run)
{
	struct e4df_runs bad = E4DF_RUNS_INIT;
	errcode_t err = 0;

	if (!(run->options->flags & E4DF_RUN_VERIFY))
		return 0;
	if (!run->digests)
		err = e4df_digests_new(&run->digests);
	while (!err) {
		err = e4df_digests_add(run->digests, run->vol, run->map,
				       run->plan, &bad);
		if (err != E4DF_ET_UNREADABLE)
			break;
		err = engine_plan_without(run, &bad);
	}
	e4df_runs_free(&bad);
	return err;
}

static errcode_t open_mover(struct run *run)
{
	return e4df_mover_new(run->vol, run->plan, run->options->memory,
			      &run->mover);
}

/* CLEAN -> COPIED -> LOGGED -> COMMITTED -> CHECKPOINTED -> CLEAN */
static errcode_t run_batch(struct run *run, size_t i, struct e4df_runs *bad)
{
	struct e4df_outcome *out = run->outcome;
	const struct e4df_batch *batch = e4df_plan_batch(run->plan, i);
	struct e4df_update update = { .mappings = NULL };
	uint64_t done = out->moved_bytes;
	errcode_t err = e4df_event_check(run->sink);

	if (!err)
		err = e4df_update_make(run->map, batch, &update);
	if (!err)
		err = e4df_map_prepare(run->map, &update);
	if (!err)
		err = e4df_mover_move(run->mover, i, &done, out->planned_bytes,
				      bad);
	if (!err)
		err = e4df_commit(run->vol, run->journal, run->map, &update);
	if (!err) {
		e4df_map_apply(run->map, &update);
		engine_mark_seen(run, batch, SEEN_DONE);
		out->moved_bytes = done;
		out->done_batches++;
	}
	e4df_update_release(&update);
	return err;
}

/* Is there no change that is begun and not finished? */
static int is_settled(const struct run *run)
{
	if (e4df_gate_is_stopped(e4df_volume_gate(run->vol)))
		return 0;
	return !run->journal || e4df_journal_is_clean(run->journal);
}

static int is_time_over(const struct run *run)
{
	return run->options->flags & E4DF_RUN_TIMED &&
	       elapsed(run) >= run->options->time;
}

/*
 * All batches, with a new plan after one whose data cannot all be read, and no
 * further when time is over.
 */
static errcode_t run_plan(struct run *run)
{
	struct e4df_runs bad = E4DF_RUNS_INIT;
	errcode_t err = open_mover(run);
	size_t i = 0;

	while (i < e4df_plan_count(run->plan) && !err) {
		err = run_batch(run, i++, &bad);
		if (!err && i < e4df_plan_count(run->plan) &&
		    is_time_over(run)) {
			run->outcome->stopped = E4DF_STOP_TIME;
			run->outcome->stopped_seconds = elapsed(run);
			break;
		}
		if (err != E4DF_ET_UNREADABLE)
			continue;
		e4df_mover_free(run->mover);
		run->mover = NULL;
		err = engine_plan_without(run, &bad);
		if (!err)
			err = digest_plan(run);
		if (!err)
			err = open_mover(run);
		i = 0;
	}
	e4df_mover_free(run->mover);
	e4df_runs_free(&bad);
	return err;
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

	run->has_begun = 1;
	err = e4df_volume_begin(run->vol, discipline);
	if (!err && run->journal)
		err = e4df_journal_start(run->journal);
	if (!err)
		err = run_plan(run);
	if (is_settled(run)) {
		if (run->journal)
			end = e4df_journal_stop(run->journal);
		if (!end)
			end = e4df_volume_end(run->vol, discipline);
	}
	return err ? err : end;
}

errcode_t engine_move(struct run *run)
{
	errcode_t err = digest_plan(run);

	if (err)
		return err;
	if (e4df_plan_count(run->plan))
		err = run_batches(run);
	engine_take_end(run);
	if (!err)
		engine_tell_skipped(run);
	return err;
}
