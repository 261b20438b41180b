/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faults - each call of the system fails once
 *
 * Runs the real engine on copies of an image, again and again; each time
 * another call fails: the n-th read, write, flush or allocation, for all n, or
 * for n at even distances.  Each time
 *
 *	- what is no error (a short transfer, EINTR) must not be noticed;
 *	- a run that ends well leaves the very bytes of an undisturbed one;
 *	- else there is one line that says what failed and in which phase, the
 *	  exit status is 8, and nothing is written or flushed behind a write or
 *	  a flush that failed;
 *	- if the device still takes writes, the file system is left clean;
 *	- an image that was written to is recovered and judged (tests/crash):
 *	  clean, and not a byte of any file lost;
 *	- then another run completes what is left, and the layout is as good as
 *	  that of an undisturbed one.
 *
 * Exit status: 0 all good, 1 the program could not work, 2 a broken promise.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../crash/judge.h"
#include "../tools/tool.h"
#include "e4df_err.h"
#include "engine.h"
#include "inject.h"

#define RUN   "run.img"
#define AGAIN "again.img"
#define FOUND 2 /* exit status */

struct options {
	const char *image;
	const char *dir;
	uint64_t points;  /* of each kind, about; 0 = all there are */
	uint64_t batches; /* that the run must have at least */
	unsigned int run; /* E4DF_RUN_ */
	int is_ordered;	  /* the image has no journal */
	int is_chosen;	  /* some files stay, others are listed first */
	const char *only; /* KIND:NUMBER */
};

/* How a run went on. */
enum end {
	END_ABSORBED,  /* it succeeded */
	END_UNTOUCHED, /* it failed, and nothing was written */
	END_CLEAN,     /* it failed, and left nothing to recover */
	END_RECOVERED, /* it failed, and recovery did the rest */
	ENDS
};

/* What one run has said and done. */
struct trial {
	errcode_t err;
	struct e4df_outcome *outcome; /* (owned) NULL = no scan */
	struct inject_result result;
	char line[600];	    /* that the program would print at last */
	char phase[64];	    /* that failed */
	unsigned int lines; /* of that sort */
	blk64_t damaged;    /* block that was named, with an inode */
};

struct faults {
	/* Immutable. */
	const struct options *options;
	unsigned char *done;	/* (owned) image of an undisturbed run */
	struct e4df_stats goal; /* its layout */
	struct disk disk;
	struct judge judge;
	struct timespec start;
	/* Mutable. */
	uint64_t calls[INJECT_KINDS];
	uint64_t points[INJECT_KINDS];
	uint64_t ends[INJECT_KINDS][ENDS];
	uint64_t again; /* runs that completed another's work */
	/* The point at hand. */
	enum inject_kind kind;
	uint64_t n;
	struct trial *trial; /* (borrowed) */
};

/* Where a signal finds out what was tried. */
static struct faults *current;

static void on_signal(int number)
{
	char text[100];
	int len = snprintf(text, sizeof(text), "signal %d at --only=%s:%llu\n",
			   number, inject_name(current->kind),
			   (unsigned long long)current->n);

	if (write(STDERR_FILENO, text, (size_t)len) < 0)
		_exit(FOUND);
	signal(number, SIG_DFL);
	raise(number);
}

static _Noreturn void report(struct faults *f, const char *what)
{
	const struct trial *t = f->trial;
	char line[200];
	FILE *log = fopen("log", "re");

	printf("BAD: %s: %s\n", f->options->image, what);
	printf("again: --only=%s:%llu\n", inject_name(f->kind),
	       (unsigned long long)f->n);
	if (t)
		printf("at offset %lld, %zu bytes; phase: %s; %u lines; %s\n",
		       (long long)t->result.offset, t->result.bytes, t->phase,
		       t->lines, t->line);
	while (log && fgets(line, sizeof(line), log))
		printf("\t%s", line);
	exit(FOUND);
}

/* -- images ---------------------------------------------------------------- */

static void write_image(const char *path, const unsigned char *data,
			size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || pwrite(fd, data, bytes, 0) != (ssize_t)bytes)
		die("%s: %s", path, strerror(errno));
	close(fd);
}

static unsigned char *map_image(const char *path, size_t bytes)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *p = MAP_FAILED;

	if (fd >= 0)
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 0);
	if (p == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	close(fd);
	return p;
}

/* What the run has written becomes work's, and the run's image is as before. */
static void take_run(struct faults *f)
{
	struct disk *d = &f->disk;
	unsigned char *run = map_image(RUN, d->bytes);

	for (size_t at = 0; at < d->bytes; at += d->unit) {
		if (!memcmp(run + at, d->base + at, d->unit))
			continue;
		disk_poke(d, at, run + at, d->unit);
		memcpy(run + at, d->base + at, d->unit);
	}
	munmap(run, d->bytes);
}

static int needs_recovery(const struct disk *d)
{
	struct ext2_super_block sb;

	memcpy(&sb, d->work + SUPERBLOCK_OFFSET, sizeof(sb));
	return ext2fs_has_feature_journal_needs_recovery(&sb) ||
	       !(sb.s_state & EXT2_VALID_FS);
}

/* Without a journal: -p frees what has leaked, or gives up at checksums. */
static void repair(struct faults *f)
{
	if (system("e2fsck -p work.img >log 2>&1") >> 8 > 1 &&
	    system("e2fsck -fy work.img >log 2>&1") >> 8 > 1)
		report(f, "e2fsck does not repair");
	disk_look(&f->disk);
}

/* -- a run ----------------------------------------------------------------- */

struct ear {
	struct trial *trial;
	int is_loud;
};

static void on_finding(void *ctx, const struct e4df_finding *finding)
{
	struct ear *ear = ctx;
	struct trial *t = ear->trial;

	if (ear->is_loud)
		fprintf(stderr, "%d: inode %u, block %llu: %s\n",
			(int)finding->severity, finding->ino,
			(unsigned long long)finding->blk, finding->text);
	if (finding->severity == E4DF_FAILURE && !t->lines++)
		snprintf(t->line, sizeof(t->line), "%s", finding->text);
	if (finding->severity == E4DF_DAMAGE && finding->ino)
		t->damaged = finding->blk;
}

/* Everything that takes names. */
static void choose(struct e4df_options *o)
{
	static const char *const paths[] = { "/" };
	static const char *const excludes[] = { "file*1*" };
	static const char list[] = "<2>\n/dir*\n/none\n";

	o->goal = E4DF_OPTIMIZE;
	o->scope.paths = paths;
	o->scope.path_count = 1;
	o->scope.excludes = excludes;
	o->scope.exclude_count = 1;
	o->scope.min_runs = 1;
	o->order.list = list;
	o->order.list_bytes = sizeof(list) - 1;
	o->order.flags = E4DF_ORDER_ALL;
	o->order.sort = E4DF_SORT_SIZE;
}

/* The line is main's, explain() in src/main.c. */
static void run_engine(struct faults *f, struct trial *t, const char *image,
		       enum inject_kind kind, uint64_t n)
{
	struct ear ear = { t, f->options->only && n };
	struct e4df_sink sink = { .finding = on_finding, .ctx = &ear };
	struct e4df_options options = {
		.path = image,
		.flags = f->options->run,
	};

	memset(t, 0, sizeof(*t));
	if (f->options->is_chosen)
		choose(&options);
	inject_start(kind, n, image);
	t->err = e4df_run(&options, &sink, &t->outcome);
	t->result = inject_stop();
	snprintf(t->phase, sizeof(t->phase), "%s",
		 sink.now.name ? sink.now.name : "starting");
	if (!t->err || t->lines)
		return;
	t->lines = 1;
	snprintf(t->line, sizeof(t->line), "%s while %s", error_message(t->err),
		 t->phase);
}

/* -- what must be true ----------------------------------------------------- */

static int is_as_good(const struct e4df_stats *a, const struct e4df_stats *b)
{
	return a->files == b->files && a->fragmented == b->fragmented &&
	       a->runs == b->runs && a->blocks == b->blocks &&
	       a->free_blocks == b->free_blocks;
}

/* As the program's exit status has it: 8, and not 4 or 32. */
static void check_line(struct faults *f, const struct trial *t)
{
	int is_io = t->result.bytes != 0;

	if (t->lines != 1)
		report(f, "not one line about the failure");
	if (t->err == E4DF_ET_INCONSISTENT || t->err == E4DF_ET_CANCELLED)
		report(f, "the exit status is not 8");
	if (t->err == E4DF_ET_UNREADABLE || t->err == E4DF_ET_VERIFY) {
		if (f->kind != INJECT_READ_BAD ||
		    t->damaged != (blk64_t)t->result.bad / f->disk.unit)
			report(f, "the unreadable block is not named");
		return;
	}
	if (t->err == E4DF_ET_PATH && f->options->is_chosen)
		return; /* that names are missing, but not where */
	if (f->kind == INJECT_READ_END && strstr(t->line, RUN))
		return; /* shorter than it was, or nothing known */
	if (!strstr(t->line, t->phase))
		report(f, "the line does not name the phase");
	if (is_io && !strstr(t->line, "block") && !strstr(t->line, "byte"))
		report(f, "the line does not name the place");
	if (f->kind == INJECT_ALLOC && t->err != ENOMEM &&
	    t->err != EXT2_ET_NO_MEMORY)
		report(f, "the error is not lack of memory");
}

static void run_again(struct faults *f)
{
	struct trial t;

	write_image(AGAIN, f->disk.work, f->disk.bytes);
	run_engine(f, &t, AGAIN, INJECT_ALLOC, 0);
	if (t.err)
		report(f, "another run fails");
	if (!is_as_good(&t.outcome->after, &f->goal))
		report(f, "another run does not reach the layout");
	e4df_outcome_free(t.outcome);
	f->again++;
}

/* The image was written to. */
static enum end judge_image(struct faults *f)
{
	int is_clean = !needs_recovery(&f->disk);
	enum judge_verdict verdict;

	if (!is_clean && inject_is_harmless(f->kind))
		report(f, "the device takes writes, but is not left clean");
	if (!is_clean && f->options->is_ordered)
		repair(f);
	verdict = judge_work(&f->judge, JUDGE_E2FSCK);
	if (verdict == JUDGE_BAD)
		report(f, f->judge.reason);
	if (verdict == JUDGE_GOOD)
		run_again(f);
	return is_clean ? END_CLEAN : END_RECOVERED;
}

static enum end judge_trial(struct faults *f, const struct trial *t)
{
	if (t->result.offence)
		report(f, t->result.offence);
	if (t->err && !inject_is_error(f->kind))
		report(f, "this must be no error");
	if (!t->err) {
		if (memcmp(f->disk.work, f->done, f->disk.bytes))
			report(f, "all is well, but not the result");
		if (t->lines)
			report(f, "all is well, but there is a line");
		return END_ABSORBED;
	}
	check_line(f, t);
	return f->disk.changed_count ? judge_image(f) : END_UNTOUCHED;
}

/* Was there an n-th call? */
static int try_point(struct faults *f, enum inject_kind kind, uint64_t n)
{
	struct trial t;
	int is_hit;

	f->kind = kind;
	f->n = n;
	f->trial = &t;
	run_engine(f, &t, RUN, kind, n);
	take_run(f);
	is_hit = t.result.is_hit;
	f->points[kind] += (uint64_t)is_hit;
	if (is_hit)
		f->ends[kind][judge_trial(f, &t)]++;
	else if (t.err)
		report(f, "fails of itself");
	disk_look(&f->disk);
	disk_undo(&f->disk);
	e4df_outcome_free(t.outcome);
	f->trial = NULL;
	return is_hit;
}

/*
 * To the next one that is tried: the first calls are all different, later ones
 * repeat what was before, the last few end the run.
 */
static uint64_t distance(uint64_t n, uint64_t count, uint64_t points)
{
	uint64_t even = points ? 1 + count / points : 1;
	uint64_t grown = points ? 1 + 4 * n / points : 1;

	if (n + points / 8 >= count)
		return 1;
	if (grown > even)
		grown = even;
	return n + grown + points / 8 > count ? count - points / 8 - n : grown;
}

static void try_kind(struct faults *f, enum inject_kind kind)
{
	uint64_t count = f->calls[kind], points = f->options->points;

	for (uint64_t n = 1; n <= count; n += distance(n, count, points))
		try_point(f, kind, n);
	if (try_point(f, kind, count + 1))
		report(f, "more calls than in an undisturbed run");
}

static void try_only(struct faults *f)
{
	const char *colon = strchr(f->options->only, ':');
	enum inject_kind kind = 0;

	while (colon && kind < INJECT_KINDS &&
	       (strlen(inject_name(kind)) !=
			(size_t)(colon - f->options->only) ||
		strncmp(inject_name(kind), f->options->only,
			(size_t)(colon - f->options->only))))
		kind++;
	if (!colon || kind == INJECT_KINDS)
		die("%s: no such point", f->options->only);
	try_point(f, kind, parse_number(colon + 1, 1, UINT64_MAX));
	printf("good\n");
}

/* -- the program ----------------------------------------------------------- */

/* Without a failure: what is to be reached, and how many calls there are. */
static void run_undisturbed(struct faults *f)
{
	for (enum inject_kind kind = 0; kind < INJECT_KINDS; kind++) {
		struct trial t;

		f->kind = kind;
		run_engine(f, &t, RUN, kind, 0);
		if (t.err)
			die("the run fails: %s", t.line);
		f->calls[kind] = t.result.calls;
		f->goal = t.outcome->after;
		if (t.outcome->done_batches < f->options->batches)
			die("the run has only %llu batches",
			    (unsigned long long)t.outcome->done_batches);
		take_run(f);
		if (!kind)
			memcpy(f->done, f->disk.work, f->disk.bytes);
		else if (memcmp(f->done, f->disk.work, f->disk.bytes))
			die("two runs lead to different results");
		disk_undo(&f->disk);
		e4df_outcome_free(t.outcome);
	}
}

static void print_result(const struct faults *f)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%-13s %8s %8s %9s %9s %9s %9s %5s\n", f->options->image,
	       "calls", "points", "absorbed", "untouched", "clean", "recovered",
	       "lost");
	for (enum inject_kind kind = 0; kind < INJECT_KINDS; kind++) {
		const uint64_t *end = f->ends[kind];

		printf("%-13s %8llu %8llu %9llu %9llu %9llu %9llu %5d\n",
		       inject_name(kind), (unsigned long long)f->calls[kind],
		       (unsigned long long)f->points[kind],
		       (unsigned long long)end[END_ABSORBED],
		       (unsigned long long)end[END_UNTOUCHED],
		       (unsigned long long)end[END_CLEAN],
		       (unsigned long long)end[END_RECOVERED], 0);
	}
	printf("%llu different images judged, %llu runs completed the work; "
	       "%.1f s\n",
	       (unsigned long long)f->judge.recovered,
	       (unsigned long long)f->again,
	       (double)(now.tv_sec - f->start.tv_sec) +
		       (double)(now.tv_nsec - f->start.tv_nsec) / 1e9);
}

enum {
	OPT_DIR = 1,
	OPT_POINTS,
	OPT_BATCHES,
	OPT_VERIFY,
	OPT_ORDERED,
	OPT_CHOOSE,
	OPT_ONLY,
};

static const struct option long_options[] = {
	{ "dir", required_argument, NULL, OPT_DIR },
	{ "points", required_argument, NULL, OPT_POINTS },
	{ "batches", required_argument, NULL, OPT_BATCHES },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "ordered", no_argument, NULL, OPT_ORDERED },
	{ "choose", no_argument, NULL, OPT_CHOOSE },
	{ "only", required_argument, NULL, OPT_ONLY },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void usage(void)
{
	die("usage: faults --dir=EMPTY-DIRECTORY "
	    "[--points=N] [--batches=N] [--verify] [--ordered] "
	    "[--choose] [--only=KIND:NUMBER] IMAGE");
}

static void parse(struct options *o, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (opt == OPT_DIR)
			o->dir = optarg;
		else if (opt == OPT_POINTS)
			o->points = parse_number(optarg, 0, UINT32_MAX);
		else if (opt == OPT_BATCHES)
			o->batches = parse_number(optarg, 0, UINT32_MAX);
		else if (opt == OPT_VERIFY)
			o->run |= E4DF_RUN_VERIFY;
		else if (opt == OPT_ORDERED)
			o->is_ordered = 1;
		else if (opt == OPT_CHOOSE)
			o->is_chosen = 1;
		else if (opt == OPT_ONLY)
			o->only = optarg;
		else
			usage();
	}
	if (optind != argc - 1 || !o->dir)
		usage();
	o->image = must_alloc(realpath(argv[optind], NULL));
}

int main(int argc, char **argv)
{
	struct options options = { .points = 0 };
	struct faults f = { .options = &options };
	struct judge_options how = { .work = "work.img" };

	initialize_ext2_error_table();
	initialize_e4df_error_table();
	parse(&options, argc, argv);
	if (chdir(options.dir) < 0)
		die("%s: %s", options.dir, strerror(errno));
	clock_gettime(CLOCK_MONOTONIC, &f.start);
	disk_open(&f.disk, options.image, "work.img");
	judge_open(&f.judge, &f.disk, &how);
	write_image(RUN, f.disk.base, f.disk.bytes);
	f.done = must_alloc(malloc(f.disk.bytes));
	current = &f;
	signal(SIGSEGV, on_signal);
	signal(SIGABRT, on_signal);
	run_undisturbed(&f);
	if (options.only)
		try_only(&f);
	for (enum inject_kind kind = 0; !options.only && kind < INJECT_KINDS;
	     kind++)
		try_kind(&f, kind);
	if (!options.only)
		print_result(&f);
	judge_close(&f.judge);
	disk_close(&f.disk);
	free(f.done);
	free((char *)(uintptr_t)options.image);
	return EXIT_SUCCESS;
}
