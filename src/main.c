/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e4offdefrag - an offline defragmenter for ext4
 *
 * Here is only what talks: options in, messages, progress and reports out.
 *
 *	options   the command line, with what parse reads
 *	e4df_run  all the work (lib/engine.h); its voice comes back through
 *		  on_finding and on_progress below
 *	report    text or JSON from the outcome
 *
 * Standard output has the report, or the JSON object and nothing else.
 * Messages go to standard error.  An output that cannot be written never
 * disturbs the run; it is told at the end, by exit status 8.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "e4df_err.h"
#include "format.h"
#include "options.h"
#include "progress.h"
#include "report.h"

struct talk {
	const struct options *options; /* (borrowed) */
	struct report report;
	struct progress progress;
};

/* The one mutable variable of file scope: a handler has no other way. */
static volatile sig_atomic_t cancelled;

static void on_signal(int number)
{
	(void)number;
	cancelled = 1;
}

/*
 * The step at hand is always finished, however often one asks.  nohup(1) has
 * its way.
 */
static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = SA_RESTART };
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;

	sigemptyset(&action.sa_mask);
	sigemptyset(&ignore.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], NULL, &old);
		if (signals[i] != SIGHUP || old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	sigaction(SIGPIPE, &ignore, NULL);
	/* a limit of the size of files is an error like a full disk */
	sigaction(SIGXFSZ, &ignore, NULL);
	/* another program opens the image while its lease is asked for */
	sigaction(SIGIO, &ignore, NULL);
}

/*
 * A device must never get the number of a standard stream, else a message
 * would be written into it.  What was closed fails when it is used.
 */
static int hold_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			return -1;
	return 0;
}

static void print_finding(FILE *out, const char *prefix,
			  const struct e4df_finding *finding)
{
	fputs(prefix, out);
	if (finding->ino)
		fprintf(out, "inode %u%s", finding->ino,
			finding->blk ? ", " : ": ");
	if (finding->blk)
		fprintf(out, "block %llu: ", (unsigned long long)finding->blk);
	format_print(out, finding->text);
	fputc('\n', out);
}

static void keep_damage(struct report *report,
			const struct e4df_finding *finding)
{
	unsigned int i = report->damage_count;

	if (i == REPORT_DAMAGE)
		return;
	report->damage[i].ino = finding->ino;
	report->damage[i].blk = finding->blk;
	snprintf(report->damage[i].text, REPORT_TEXT, "%s", finding->text);
	report->damage_count++;
}

static void on_finding(void *ctx, const struct e4df_finding *finding)
{
	struct talk *talk = ctx;
	unsigned int flags = talk->options->flags;
	int is_report = 0;

	switch (finding->severity) {
	case E4DF_NOTE:
	case E4DF_SKIPPED:
		if (!(flags & OPTIONS_VERBOSE))
			return;
		is_report = !(flags & OPTIONS_JSON);
		break;
	case E4DF_DAMAGE:
		keep_damage(&talk->report, finding);
		break;
	case E4DF_FAILURE:
		if (!*talk->report.failure)
			snprintf(talk->report.failure, REPORT_TEXT, "%s",
				 finding->text);
		break;
	}
	progress_clear(&talk->progress);
	if (is_report)
		print_finding(stdout, "", finding);
	else
		print_finding(stderr, PROGRAM ": ", finding);
}

static void on_progress(void *ctx, const struct e4df_progress *now)
{
	struct talk *talk = ctx;

	progress_show(&talk->progress, now);
}

static void start_progress(struct talk *talk)
{
	const struct options *options = talk->options;
	enum progress_kind kind = PROGRESS_NONE;

	if (options->progress_fd > 0)
		kind = PROGRESS_LINES;
	else if (options->progress_fd == OPTIONS_BAR)
		kind = PROGRESS_BAR;
	else if (!options->flags && isatty(STDERR_FILENO))
		kind = PROGRESS_BAR;
	progress_init(&talk->progress, kind, options->progress_fd,
		      options->run.path);
}

static enum status status_of(errcode_t err)
{
	switch (err) {
	case 0:
		return STATUS_DONE;
	case E4DF_ET_INCONSISTENT:
		return STATUS_INCONSISTENT;
	case E4DF_ET_CANCELLED:
		return STATUS_CANCELLED;
	default:
		return STATUS_FAILED;
	}
}

/* Each failure has one line: the library's, or else this one. */
static void explain(struct report *report, errcode_t err, const char *phase)
{
	if (*report->failure)
		return;
	snprintf(report->failure, REPORT_TEXT, "%s while %s",
		 error_message(err), phase ? phase : "starting");
	fprintf(stderr, "%s: %s\n", PROGRAM, report->failure);
}

static enum status run(struct options *options)
{
	struct talk talk = { .options = options,
			     .report = { .options = options } };
	struct e4df_sink sink = { .finding = on_finding,
				  .progress = on_progress,
				  .ctx = &talk };
	struct e4df_outcome *outcome = NULL;
	errcode_t err;

	options->run.cancel = &cancelled;
	start_progress(&talk);
	err = e4df_run(&options->run, &sink, &outcome);
	progress_clear(&talk.progress);
	if (err)
		explain(&talk.report, err, sink.now.name);
	talk.report.status = status_of(err);
	talk.report.outcome = outcome;
	if (options->flags & OPTIONS_JSON)
		report_json(stdout, &talk.report);
	else if (outcome && !(options->flags & OPTIONS_QUIET))
		report_text(stdout, &talk.report);
	e4df_outcome_free(outcome);
	return talk.report.status;
}

/* The status; STATUS_FAILED if all went well but what was to be printed. */
static enum status close_output(enum status status)
{
	int was_bad = ferror(stdout);

	/* A full disk fails again here, and so has a reason. */
	errno = 0;
	if (!fclose(stdout) && !was_bad)
		return status;
	fprintf(stderr, "%s: cannot write to the standard output: %s\n",
		PROGRAM, errno ? strerror(errno) : "write error");
	return status ? status : STATUS_FAILED;
}

int main(int argc, char **argv)
{
	struct options options;
	enum status status;

	if (hold_standard_streams())
		return STATUS_FAILED;
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	initialize_ext2_error_table();
	initialize_e4df_error_table();

	/* a list from a terminal can be interrupted: nothing is open yet */
	status = options_parse(argc, argv, &options);
	catch_signals();
	if (status)
		goto out;
	if (options.flags & OPTIONS_HELP)
		options_print_help(stdout);
	else if (options.flags & OPTIONS_VERSION)
		options_print_version(stdout);
	else
		status = run(&options);
	status = close_output(status);
out:
	options_free(&options);
	return (int)status;
}
