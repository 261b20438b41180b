/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"

#include "format.h"

typedef unsigned long long ull; /* for %llu */

static const char *plural(__u64 n)
{
	return n == 1 ? "" : "s";
}

/* Was a plan carried out, if not to its end? */
static int is_run(const struct report *report)
{
	return report->outcome->has_plan &&
	       !(report->options->run.flags & E4DF_RUN_DRY);
}

static void print_title(FILE *out, const struct report *report)
{
	const struct e4df_outcome *o = report->outcome;
	char size[FORMAT_SIZE];

	format_print(out, report->options->target);
	fprintf(out, ": %s, %llu blocks of %u bytes\n",
		format_size(size, o->blocks * o->block_size), (ull)o->blocks,
		o->block_size);
	fprintf(out, "UUID %s", o->uuid);
	if (*o->label) {
		fputs(", label ", out);
		format_print(out, o->label);
	}
	fputs("\n\n", out);
}

/* One line of the table; the second value is NULL where there is no plan. */
static void print_row(FILE *out, const char *name, const char *before,
		      const char *after)
{
	if (after)
		fprintf(out, "%-18s%14s%14s\n", name, before, after);
	else
		fprintf(out, "%-18s%14s\n", name, before);
}

static void print_count(FILE *out, const char *name, __u64 before,
			const __u64 *after)
{
	char a[FORMAT_SIZE], b[FORMAT_SIZE];

	snprintf(a, sizeof(a), "%llu", (ull)before);
	if (after)
		snprintf(b, sizeof(b), "%llu", (ull)*after);
	print_row(out, name, a, after ? b : NULL);
}

static const char *format_seconds(char buf[FORMAT_SIZE], __u64 nsec)
{
	__u64 tenths = nsec / 100000000;

	snprintf(buf, FORMAT_SIZE, "%llu.%llu s", (ull)(tenths / 10),
		 (ull)(tenths % 10));
	return buf;
}

/* What reading all files takes, by the model. */
static void print_read_cost(FILE *out, const struct e4df_outcome *o)
{
	const struct e4df_readcost *a = &o->read_before, *b = &o->read_after;
	int both = o->has_plan;
	char x[FORMAT_SIZE], y[FORMAT_SIZE];

	if (!o->has_read_cost)
		return;
	print_count(out, "Read requests", a->requests,
		    both ? &b->requests : NULL);
	print_count(out, "Read seeks", a->seeks, both ? &b->seeks : NULL);
	print_row(out, "Seek distance",
		  format_size(x, report_bytes(o, a->distance)),
		  both ? format_size(y, report_bytes(o, b->distance)) : NULL);
	print_row(out, "Read time", format_seconds(x, a->nsec),
		  both ? format_seconds(y, b->nsec) : NULL);
}

static void print_table(FILE *out, const struct report *report)
{
	const struct e4df_outcome *o = report->outcome;
	const struct e4df_stats *a = &o->before, *b = &o->after;
	const char *end = is_run(report) ? "after" : "planned";
	int both = o->has_plan;
	char x[FORMAT_SIZE], y[FORMAT_SIZE];

	print_row(out, "", is_run(report) ? "before" : "now",
		  both ? end : NULL);
	print_count(out, "Files", a->files, both ? &b->files : NULL);
	print_count(out, "Fragmented files", a->fragmented,
		    both ? &b->fragmented : NULL);
	print_count(out, "Runs", a->runs, both ? &b->runs : NULL);
	print_count(out, "Ideal runs", a->ideal_runs,
		    both ? &b->ideal_runs : NULL);
	print_row(out, "Layout score", format_score(x, a),
		  both ? format_score(y, b) : NULL);
	print_row(out, "Free space",
		  format_size(x, a->free_blocks * o->block_size),
		  both ? format_size(y, b->free_blocks * o->block_size) : NULL);
	print_count(out, "Free runs", a->free_runs,
		    both ? &b->free_runs : NULL);
	print_row(out, "Largest free run",
		  format_size(x, a->largest_free * o->block_size),
		  both ? format_size(y, b->largest_free * o->block_size) :
			 NULL);
	print_row(out, "End of data",
		  format_size(x, a->data_end * o->block_size),
		  both ? format_size(y, b->data_end * o->block_size) : NULL);
	print_read_cost(out, o);
}

static void print_skipped(FILE *out, const struct e4df_stats *stats)
{
	int has_title = 0;

	for (int why = E4DF_MOVABLE + 1; why < E4DF_WHY_COUNT; why++) {
		if (!stats->left[why])
			continue;
		if (!has_title)
			fputs("\nSkipped, though fragmented:\n", out);
		has_title = 1;
		fprintf(out, "%8llu file%s: %s\n", (ull)stats->left[why],
			plural(stats->left[why]),
			e4df_why_text((enum e4df_why)why));
	}
}

static void print_worst(FILE *out, const struct report *report)
{
	const struct e4df_outcome *o = report->outcome;

	if (!o->before.worst_count)
		return;
	fprintf(out, "\nWorst files%s:\n    runs   ideal  path\n",
		is_run(report) ? " before" : "");
	for (unsigned int i = 0; i < o->before.worst_count; i++) {
		const struct e4df_worst *w = &o->before.worst[i];

		fprintf(out, "%8u%8u  ", w->runs, w->ideal);
		if (o->worst_path[i])
			format_print(out, o->worst_path[i]);
		else
			fprintf(out, "<inode %u>", w->ino);
		fputc('\n', out);
	}
}

static void print_need(FILE *out, const struct e4df_stats *stats)
{
	__u64 need = stats->left[E4DF_MOVABLE];

	if (need)
		fprintf(out, "%llu file%s of %llu would need defragmenting.\n",
			(ull)need, plural(need), (ull)stats->files);
	else
		fputs("Nothing to do.\n", out);
}

static void print_left(FILE *out, const struct e4df_outcome *o)
{
	__u64 left = o->after.left[E4DF_MOVABLE];

	if (left)
		fprintf(out, "%llu fragmented file%s left for another run.\n",
			(ull)left, left == 1 ? " is" : "s are");
	else
		fputs("the rest is left for another run.\n", out);
}

/* What a limit leaves. */
static void print_rest(FILE *out, const struct e4df_outcome *o, int is_dry)
{
	if (o->stopped == E4DF_STOP_TIME)
		fprintf(out, "Stopped after %llu s: ", (ull)o->stopped_seconds);
	else if (o->stopped == E4DF_STOP_MAX_WRITE)
		fprintf(out, "%s at the limit of --max-write: ",
			is_dry ? "Would stop" : "Stopped");
	else
		return;
	print_left(out, o);
}

/* What was asked for and is not there. */
static void print_unknown(FILE *out, const struct e4df_outcome *o)
{
	if (o->unknown_entries)
		fprintf(out,
			"%llu entr%s of the list %s not in the file system.\n",
			(ull)o->unknown_entries,
			o->unknown_entries == 1 ? "y" : "ies",
			o->unknown_entries == 1 ? "is" : "are");
}

/* Of all that a run would read and write; the time is a guess. */
static void print_estimate(FILE *out, const struct e4df_outcome *o)
{
	char a[FORMAT_SIZE], b[FORMAT_SIZE];
	uint64_t tenths = report_tenths(o);

	fprintf(out,
		"All in all about %s to read and at most %s to write, metadata "
		"included.\n",
		format_size(a, o->estimate.bytes_read),
		format_size(b, o->estimate.bytes_written));
	if (o->rate)
		fprintf(out, "At %s a second that takes about %llu.%llu s.\n",
			format_size(a, o->rate), (ull)(tenths / 10),
			(ull)(tenths % 10));
}

static void print_plan(FILE *out, const struct e4df_outcome *o)
{
	char size[FORMAT_SIZE];

	if (!o->planned_batches) {
		if (!o->stopped)
			fputs("Nothing to do.\n", out);
		return;
	}
	fprintf(out,
		"Would move %s (%llu bytes) of %llu file%s in %llu "
		"step%s.\n",
		format_size(size, o->planned_bytes), (ull)o->planned_bytes,
		(ull)o->planned_files, plural(o->planned_files),
		(ull)o->planned_batches, plural(o->planned_batches));
	print_estimate(out, o);
}

/* What was done of a plan that did not come to its end. */
static void print_part(FILE *out, const struct e4df_outcome *o)
{
	char a[FORMAT_SIZE], b[FORMAT_SIZE];

	fprintf(out,
		"Moved %s (%llu bytes) of %s (%llu bytes) in %llu of %llu "
		"step%s.\n",
		format_size(a, o->moved_bytes), (ull)o->moved_bytes,
		format_size(b, o->planned_bytes), (ull)o->planned_bytes,
		(ull)o->done_batches, (ull)o->planned_batches,
		plural(o->planned_batches));
}

static void print_done(FILE *out, const struct e4df_outcome *o, int verified)
{
	char a[FORMAT_SIZE], b[FORMAT_SIZE];

	if (!o->planned_batches) {
		if (!o->stopped)
			fputs("Nothing to do.\n", out);
		return;
	}
	if (o->done_batches == o->planned_batches)
		fprintf(out,
			"Moved %s (%llu bytes) of %llu file%s in %llu "
			"step%s.\n",
			format_size(a, o->moved_bytes), (ull)o->moved_bytes,
			(ull)o->planned_files, plural(o->planned_files),
			(ull)o->done_batches, plural(o->done_batches));
	else
		print_part(out, o);
	fprintf(out, "All in all %s read and %s written, with %llu flush%s.\n",
		format_size(a, o->bytes_read), format_size(b, o->bytes_written),
		(ull)o->flushes, o->flushes == 1 ? "" : "es");
	if (verified)
		fprintf(out, "The data of %llu file%s %s as before.\n",
			(ull)o->digested_files, plural(o->digested_files),
			o->digested_files == 1 ? "is" : "are");
}

static void print_broken_off(FILE *out, const struct report *report)
{
	print_part(out, report->outcome);
	if (report->status == STATUS_CANCELLED) {
		fputs("Cancelled: ", out);
		print_left(out, report->outcome);
	}
}

void report_text(FILE *out, const struct report *report)
{
	const struct e4df_outcome *o = report->outcome;
	unsigned int run = report->options->run.flags;

	print_title(out, report);
	print_table(out, report);
	print_skipped(out, report_end(o));
	print_worst(out, report);
	fputc('\n', out);
	if (!o->is_complete) {
		if (is_run(report))
			print_broken_off(out, report);
	} else if (run & E4DF_RUN_REPORT) {
		print_need(out, &o->before);
	} else if (run & E4DF_RUN_DRY) {
		print_plan(out, o);
	} else {
		print_done(out, o, run & E4DF_RUN_VERIFY);
	}
	if (!o->is_complete)
		return;
	print_rest(out, o, run & E4DF_RUN_DRY);
	print_unknown(out, o);
}
