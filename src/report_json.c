/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The members stand in the manual page, JSON OUTPUT; both change together. */
#include "report.h"

#include "format.h"

#define FORMAT_VERSION 1

struct json {
	FILE *out;	    /* (borrowed) */
	unsigned int depth; /* of open objects and arrays */
	int is_first;	    /* nothing in the innermost one yet */
};

/* A new line for the next value, named if it is in an object. */
static void put_name(struct json *j, const char *name)
{
	fputs(j->is_first ? "\n" : ",\n", j->out);
	fprintf(j->out, "%*s", (int)(2 * j->depth), "");
	if (name)
		fprintf(j->out, "\"%s\": ", name);
	j->is_first = 0;
}

static void put_open(struct json *j, const char *name, char bracket)
{
	if (j->depth)
		put_name(j, name);
	fputc(bracket, j->out);
	j->depth++;
	j->is_first = 1;
}

static void put_close(struct json *j, char bracket)
{
	j->depth--;
	if (!j->is_first)
		fprintf(j->out, "\n%*s", (int)(2 * j->depth), "");
	fputc(bracket, j->out);
	j->is_first = 0;
}

static void put_null(struct json *j, const char *name)
{
	put_name(j, name);
	fputs("null", j->out);
}

static void put_number(struct json *j, const char *name, uint64_t n)
{
	put_name(j, name);
	fprintf(j->out, "%llu", (unsigned long long)n);
}

/* Where 0 says that there is none. */
static void put_number_or_null(struct json *j, const char *name, uint64_t n)
{
	if (n)
		put_number(j, name, n);
	else
		put_null(j, name);
}

/* RFC 8259, section 7; a byte that is not UTF-8 becomes U+FFFD. */
static void put_string(struct json *j, const char *name, const char *s)
{
	put_name(j, name);
	fputc('"', j->out);
	while (*s) {
		unsigned int len = format_utf8(s);

		if (!len)
			fputs("\\ufffd", j->out);
		else if (*s == '"' || *s == '\\')
			fprintf(j->out, "\\%c", *s);
		else if ((unsigned char)*s < 0x20 || *s == 0x7f)
			fprintf(j->out, "\\u%04x", (unsigned int)*s);
		else
			fwrite(s, 1, len, j->out);
		s += len ? len : 1;
	}
	fputc('"', j->out);
}

static void put_run(struct json *j, const struct report *report)
{
	const struct e4df_options *run = &report->options->run;

	put_number(j, "version", FORMAT_VERSION);
	put_string(j, "program", PROGRAM " " PACKAGE_VERSION);
	put_string(j, "device", run->path);
	put_number(j, "offset", run->offset);
	put_string(j, "action",
		   run->flags & E4DF_RUN_REPORT ? "report" :
		   run->flags & E4DF_RUN_DRY	? "plan" :
						  "defrag");
	put_string(j, "policy",
		   run->goal == E4DF_COMPACT  ? "compact" :
		   run->goal == E4DF_OPTIMIZE ? "optimize" :
						"defrag");
	if (!report->status) {
		put_null(j, "error");
		return;
	}
	put_open(j, "error", '{');
	put_number(j, "status", report->status);
	put_string(j, "text", report->failure);
	put_close(j, '}');
}

static void put_filesystem(struct json *j, const struct e4df_outcome *o)
{
	if (!o) {
		put_null(j, "filesystem");
		return;
	}
	put_open(j, "filesystem", '{');
	put_string(j, "uuid", o->uuid);
	put_string(j, "label", o->label);
	put_number(j, "block_size", o->block_size);
	put_number(j, "bytes", o->blocks * o->block_size);
	put_close(j, '}');
}

/* What reading all files takes, by the model; NULL if it is not known. */
static void put_read_cost(struct json *j, const struct e4df_outcome *o,
			  const struct e4df_readcost *cost)
{
	unsigned long long ms;

	if (!cost) {
		put_null(j, "read_cost");
		return;
	}
	put_open(j, "read_cost", '{');
	put_number(j, "bytes", report_bytes(o, cost->blocks));
	put_number(j, "requests", cost->requests);
	put_number(j, "seeks", cost->seeks);
	put_number(j, "distance", report_bytes(o, cost->distance));
	put_name(j, "seconds");
	ms = cost->nsec / 1000000;
	fprintf(j->out, "%llu.%03llu", ms / 1000, ms % 1000);
	put_close(j, '}');
}

/* One of the two layouts. */
static void put_stats(struct json *j, const char *name,
		      const struct e4df_outcome *o,
		      const struct e4df_stats *stats,
		      const struct e4df_readcost *cost)
{
	unsigned int block_size = o->block_size;
	char score[FORMAT_SIZE];

	put_open(j, name, '{');
	put_number(j, "files", stats->files);
	put_number(j, "fragmented_files", stats->fragmented);
	put_number(j, "bytes", stats->blocks * block_size);
	put_number(j, "fragmented_bytes",
		   stats->fragmented_blocks * block_size);
	put_number(j, "runs", stats->runs);
	put_number(j, "ideal_runs", stats->ideal_runs);
	put_name(j, "layout_score");
	fputs(format_score(score, stats), j->out);
	put_number(j, "free_bytes", stats->free_blocks * block_size);
	put_number(j, "free_runs", stats->free_runs);
	put_number(j, "largest_free_run", stats->largest_free * block_size);
	put_number(j, "data_end", stats->data_end * block_size);
	put_read_cost(j, o, o->has_read_cost ? cost : NULL);
	put_close(j, '}');
}

static void put_layouts(struct json *j, const struct e4df_outcome *o)
{
	if (o)
		put_stats(j, "before", o, &o->before, &o->read_before);
	else
		put_null(j, "before");
	if (o && o->has_plan)
		put_stats(j, "after", o, &o->after, &o->read_after);
	else
		put_null(j, "after");
}

/* One member of the plan and the work: null where there was none. */
static void put_work(struct json *j, const char *name, int is_known, uint64_t n)
{
	if (is_known)
		put_number(j, name, n);
	else
		put_null(j, name);
}

/* All of a run that -n estimates. */
static void put_estimate(struct json *j, const struct e4df_outcome *o,
			 int is_dry)
{
	uint64_t tenths = report_tenths(o);

	put_work(j, "bytes_to_read", is_dry, o->estimate.bytes_read);
	put_work(j, "bytes_to_write", is_dry, o->estimate.bytes_written);
	put_work(j, "rate", is_dry && o->rate, o->rate);
	if (!is_dry || !o->rate) {
		put_null(j, "seconds");
		return;
	}
	put_name(j, "seconds");
	fprintf(j->out, "%llu.%llu", (unsigned long long)(tenths / 10),
		(unsigned long long)(tenths % 10));
}

static void put_stopped(struct json *j, const struct e4df_outcome *o)
{
	if (o->stopped == E4DF_STOP_TIME)
		put_string(j, "stopped", "time");
	else if (o->stopped == E4DF_STOP_MAX_WRITE)
		put_string(j, "stopped", "max-write");
	else
		put_null(j, "stopped");
}

static void put_plan(struct json *j, const struct report *report)
{
	static const struct e4df_outcome nothing;
	const struct e4df_outcome *o = report->outcome;
	unsigned int run = report->options->run.flags;
	int is_known = o && o->has_plan;
	int is_run = is_known && !(run & E4DF_RUN_DRY);

	if (!o)
		o = &nothing;
	put_work(j, "bytes_to_move", is_known, o->planned_bytes);
	put_work(j, "files_to_move", is_known, o->planned_files);
	put_work(j, "steps_to_do", is_known, o->planned_batches);
	put_estimate(j, o, is_known && !is_run);
	put_work(j, "bytes_moved", is_run, o->moved_bytes);
	put_work(j, "steps_done", is_run, o->done_batches);
	put_stopped(j, o);
	put_work(j, "unknown_entries",
		 is_known && report->options->run.order.list,
		 o->unknown_entries);
	put_work(j, "files_compared", is_run && run & E4DF_RUN_VERIFY,
		 o->digested_files);
	put_work(j, "bytes_read", o != &nothing, o->bytes_read);
	put_work(j, "bytes_written", o != &nothing, o->bytes_written);
	put_work(j, "flushes", o != &nothing, o->flushes);
}

static void put_skipped(struct json *j, const struct e4df_outcome *o)
{
	put_open(j, "skipped", '[');
	for (int why = E4DF_MOVABLE + 1; o && why < E4DF_WHY_COUNT; why++) {
		if (!report_end(o)->left[why])
			continue;
		put_open(j, NULL, '{');
		put_string(j, "reason", e4df_why_text((enum e4df_why)why));
		put_number(j, "files", report_end(o)->left[why]);
		put_close(j, '}');
	}
	put_close(j, ']');
}

static void put_worst(struct json *j, const struct e4df_outcome *o)
{
	put_open(j, "worst", '[');
	for (unsigned int i = 0; o && i < o->before.worst_count; i++) {
		const struct e4df_worst *w = &o->before.worst[i];

		put_open(j, NULL, '{');
		put_number(j, "inode", w->ino);
		if (o->worst_path[i])
			put_string(j, "path", o->worst_path[i]);
		else
			put_null(j, "path");
		put_number(j, "bytes", w->blocks * o->block_size);
		put_number(j, "runs", w->runs);
		put_number(j, "ideal_runs", w->ideal);
		put_close(j, '}');
	}
	put_close(j, ']');
}

static void put_damage(struct json *j, const struct report *report)
{
	put_open(j, "damage", '[');
	for (unsigned int i = 0; i < report->damage_count; i++) {
		put_open(j, NULL, '{');
		put_number_or_null(j, "inode", report->damage[i].ino);
		put_number_or_null(j, "block", report->damage[i].blk);
		put_string(j, "text", report->damage[i].text);
		put_close(j, '}');
	}
	put_close(j, ']');
}

void report_json(FILE *out, const struct report *report)
{
	const struct e4df_outcome *o = report->outcome;
	struct json json = { .out = out }, *j = &json;

	put_open(j, NULL, '{');
	put_run(j, report);
	put_filesystem(j, o);
	put_layouts(j, o);
	put_plan(j, report);
	put_skipped(j, o);
	put_worst(j, o);
	put_damage(j, report);
	put_close(j, '}');
	fputc('\n', out);
}
