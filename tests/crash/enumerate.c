/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * enumerate - what every power cut would leave
 *
 * Runs the real engine on a copy of an image and records each write and each
 * flush.  Then it builds the images that a power cut can leave: all that was
 * flushed, and of the writes since then
 *
 *	prefix   the first ones, none to all
 *	single   each one alone
 *	but      all but one
 *	torn     some whole, and of the next one some sectors
 *	subset   any
 *	sectors  any sectors of any of them, reordered and torn
 *
 * and lets e2fsck or the kernel recover each (judge.h).  The first image on
 * which the promise does not hold ends the program, with the words that build
 * that state again, and the image before its recovery as `failed.img'.
 *
 * What is promised without a journal is another thing than with one: --ordered
 * says that the first is expected of the image, and a run that does not keep
 * to what was expected is an error.  SIGINT and SIGTERM end the program behind
 * the state that is being judged, with the figures up to then.
 *
 * An epoch with much data (BULK) is the copying before a commit record: what
 * of it is lost nobody refers to.  There only one in BULK_THIN of the states
 * that one write more or less makes is tried, but all around its last writes,
 * which are the log's; and one in BULK_THIN of the drawn ones.
 *
 * Exit status: 0 all states good, 1 the program could not work, 2 a bad one.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../tools/prng.h"
#include "../tools/tool.h"
#include "e4df_err.h"
#include "engine.h"
#include "judge.h"
#include "states.h"
#include "survey.h"

#define BULK	  (256 << 10) /* bytes of an epoch, to be sampled thinly */
#define BULK_THIN 4
#define ENDS	  4 /* writes at both ends of an epoch, tried always */
#define FOUND	  2 /* exit status */

struct options {
	const char *image;
	const char *dir;
	const char *journal; /* an external one; NULL = none */
	const char *treesum; /* for mounts of what is ordered */
	int is_ordered;
	int is_converted; /* block maps to extents */
	int is_compact;	  /* everything to the front */
	int is_lax; /* let the states alone say what is wrong with a run */
	uint64_t seed;
	uint64_t each;	  /* at most so many of prefix, single, but */
	uint64_t random;  /* so many of each of the others, in an epoch */
	uint64_t rounds;  /* with another seed each */
	uint64_t seconds; /* no new state after so long; 0 = no limit */
	uint64_t batches; /* that the run must have at least */
	uint64_t reused;  /* blocks, which it must free and use again */
	uint64_t depth;	  /* some tree must have, before the run */
	uint64_t mounts;  /* one state in so many by the kernel; 0 = none */
	const char *stop; /* absolute name; no new state once it exists */
	const char *only; /* EPOCH:KIND:NUMBER[:mount] */
};

struct enumeration {
	/* Immutable. */
	const struct options *options;
	struct record record; /* (owned) */
	struct e4df_outcome *outcome;
	struct timespec start;
	struct judge_options how;
	/* Mutable. */
	struct disk disk;
	struct judge judge;
	uint64_t seed; /* of this round */
	uint64_t states[STATES_KINDS];
	uint64_t all, seen, by_mount;
};

/* Set by a signal. */
static volatile sig_atomic_t is_stopped;

static void stop(int signal)
{
	(void)signal;
	is_stopped = 1;
}

static double elapsed(const struct enumeration *e)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - e->start.tv_sec) +
	       (double)(now.tv_nsec - e->start.tv_nsec) / 1e9;
}

/* -- the run --------------------------------------------------------------- */

static void write_all(const char *path, const void *data, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const char *at = data;

	while (fd >= 0 && bytes) {
		ssize_t put = write(fd, at, bytes);

		if (put <= 0)
			break;
		at += put;
		bytes -= (size_t)put;
	}
	if (fd < 0 || bytes || close(fd) < 0)
		die("%s: %s", path, strerror(errno));
}

static void tell(void *ctx, const struct e4df_finding *finding)
{
	(void)ctx;
	if (finding->severity >= E4DF_DAMAGE)
		fprintf(stderr, "%s\n", finding->text);
}

/* The engine's run on a copy, which is then what the writes must lead to. */
static void record_run(struct enumeration *e)
{
	struct e4df_gate_tap tap = record_tap(&e->record);
	struct e4df_sink sink = { .finding = tell };
	struct e4df_options options = {
		.path = "run.img",
		.journal = e->options->journal,
		.flags = e->options->is_converted ? E4DF_RUN_CONVERT : 0,
		.goal = e->options->is_compact ? E4DF_COMPACT : E4DF_DEFRAG,
		.tap = &tap,
	};
	errcode_t err;

	write_all("run.img", e->disk.base, e->disk.bytes);
	err = e4df_run(&options, &sink, &e->outcome);
	if (err)
		die("the run fails: %s", error_message(err));
	if (!e->record.count)
		die("the run writes nothing");
}

/* Is the first thing it does the mark of the discipline that is expected? */
static void check_discipline(const struct enumeration *e)
{
	const struct record_write *first = &e->record.v[0].v[0];
	struct ext2_super_block sb;
	int is_ordered;

	if (first->offset != SUPERBLOCK_OFFSET || first->bytes < 512)
		die("the run does not begin with the superblock");
	if (!e->record.is_flushed)
		die("the run does not end with a flush");
	memset(&sb, 0, sizeof(sb));
	memcpy(&sb, first->data, 512);
	is_ordered = !(sb.s_state & EXT2_VALID_FS);
	if (is_ordered == !!ext2fs_has_feature_journal_needs_recovery(&sb))
		die("the run does not mark the file system");
	if (is_ordered != e->options->is_ordered)
		die("the run %s a journal", is_ordered ? "is without" : "uses");
}

static void print_run(const struct enumeration *e)
{
	uint64_t bytes = 0;
	size_t bulky = 0;

	for (size_t i = 0; i < e->record.count; i++) {
		bytes += e->record.v[i].bytes;
		bulky += e->record.v[i].bytes > BULK;
	}
	printf("%s: %llu batches, %llu writes, %llu KiB, %zu flushes "
	       "(%zu behind much data)\n",
	       e->options->image, (unsigned long long)e->outcome->done_batches,
	       (unsigned long long)e->record.writes,
	       (unsigned long long)(bytes >> 10), e->record.count, bulky);
}

static void print_depths(const char *image)
{
	uint64_t count[SURVEY_DEPTHS];

	survey_depths(image, count);
	for (int i = 0; i < SURVEY_DEPTHS && (i < 3 || count[i]); i++)
		printf("%s%llu", i ? "/" : "", (unsigned long long)count[i]);
}

/* What is in the run, and is that what it was made for? */
static void survey(const struct enumeration *e)
{
	const struct options *o = e->options;
	uint64_t reused = survey_reused(o->image, &e->record);
	uint64_t depths[SURVEY_DEPTHS], deep = 0;

	if (!o->is_lax)
		check_discipline(e);
	print_run(e);
	printf("%llu blocks freed and used again; trees of depth 0/1/2: ",
	       (unsigned long long)reused);
	print_depths(o->image);
	printf(" before, ");
	print_depths("run.img");
	printf(" behind; %llu files with indirect blocks\n",
	       (unsigned long long)survey_indirect(o->image));
	if (e->outcome->done_batches < o->batches)
		die("the run has too few batches");
	if (reused < o->reused)
		die("too few blocks are freed and used again");
	survey_depths(o->image, depths);
	for (uint64_t i = o->depth; i < SURVEY_DEPTHS; i++)
		deep += depths[i];
	if (o->depth && !deep)
		die("no tree is deep enough");
}

/* Has the tap seen all that was written? */
static void check_record(struct enumeration *e)
{
	struct disk run;

	disk_open(&run, "run.img", "run.work");
	if (memcmp(run.base, e->disk.base, run.bytes))
		die("the run has made writes that were not recorded");
	disk_close(&run);
	unlink("run.work");
}

/* -- states ---------------------------------------------------------------- */

static _Noreturn void report(struct enumeration *e,
			     const struct states_state *s, int is_mount)
{
	const struct record_epoch *epoch = &e->record.v[s->epoch];
	char line[200];
	FILE *log = fopen("log", "re");

	printf("BAD: %s: %s\n", e->options->image, e->judge.reason);
	printf("epoch %zu of %zu (%zu writes, %llu bytes from offset %llu)\n",
	       s->epoch, e->record.count, epoch->count,
	       (unsigned long long)epoch->bytes,
	       (unsigned long long)epoch->v[0].offset);
	printf("again: --seed=%llu --only=%zu:%s:%llu%s\n",
	       (unsigned long long)e->seed, s->epoch, states_name(s->kind),
	       (unsigned long long)s->number, is_mount ? ":mount" : "");
	for (int i = 0; i < 20 && log && fgets(line, sizeof(line), log); i++)
		printf("\t%.*s\n", (int)strcspn(line, "\n"), line);
	disk_undo(&e->disk);
	states_make(&e->disk, epoch, s, e->seed);
	write_all("failed.img", e->disk.work, e->disk.bytes);
	printf("after %llu states\n", (unsigned long long)e->all);
	exit(FOUND);
}

static void try_state(struct enumeration *e, const struct states_state *s,
		      int is_mount)
{
	enum judge_verdict verdict;

	states_make(&e->disk, &e->record.v[s->epoch], s, e->seed);
	verdict = judge_work(&e->judge, is_mount ? JUDGE_MOUNT : JUDGE_E2FSCK);
	e->all++;
	if (verdict == JUDGE_BAD)
		report(e, s, is_mount);
	e->states[s->kind]++;
	e->seen += verdict == JUDGE_SEEN;
	e->by_mount += (uint64_t)is_mount;
	disk_undo(&e->disk);
}

/* The ends, and `limit` more at even distances. */
static int is_wanted(uint64_t i, uint64_t count, uint64_t limit)
{
	if (count <= limit || i < ENDS || i + ENDS >= count)
		return 1;
	return i * limit / count != (i - 1) * limit / count;
}

/* One in so many, drawn by what the state is. */
static int is_mounted(const struct enumeration *e, const struct states_state *s)
{
	struct prng rng = { prng_mix(e->seed) ^ prng_mix(~s->epoch) ^
			    prng_mix(s->number) ^ s->kind };

	return e->options->mounts && !prng_below(&rng, e->options->mounts);
}

static int is_over(const struct enumeration *e)
{
	const struct options *o = e->options;

	return is_stopped || (o->stop && !access(o->stop, F_OK)) ||
	       (o->seconds && elapsed(e) > (double)o->seconds);
}

static void try_epoch(struct enumeration *e, size_t index)
{
	const struct record_epoch *epoch = &e->record.v[index];
	uint64_t thin = epoch->bytes > BULK ? BULK_THIN : 1;

	for (enum states_kind kind = 0; kind < STATES_KINDS; kind++) {
		uint64_t count = states_count(
			epoch, kind, (e->options->random + thin - 1) / thin);
		uint64_t limit = kind <= STATES_BUT ? e->options->each / thin :
						      UINT64_MAX;

		for (uint64_t i = 0; i < count && !is_over(e); i++) {
			struct states_state s = { index, kind, i };

			if (is_wanted(i, count, limit))
				try_state(e, &s, is_mounted(e, &s));
		}
	}
}

static void try_all(struct enumeration *e)
{
	struct states_state end = { e->record.count - 1, STATES_PREFIX, 0 };

	for (size_t i = 0; i < e->record.count; i++) {
		try_epoch(e, i);
		if (is_over(e))
			return;
		states_settle(&e->disk, &e->record.v[i]);
	}
	/* all writes: the engine's own end */
	end.number = e->record.v[end.epoch].count;
	try_state(e, &end, e->options->mounts != 0);
	check_record(e);
}

static void try_only(struct enumeration *e)
{
	struct states_state s = { .epoch = 0 };
	char kind[16] = "", how[16] = "";
	unsigned long long epoch, number;

	if (sscanf(e->options->only, "%llu:%15[a-z]:%llu:%15s", &epoch, kind,
		   &number, how) < 3 ||
	    epoch >= e->record.count || states_kind_of(kind) == STATES_KINDS)
		die("%s: no such state", e->options->only);
	s.epoch = (size_t)epoch;
	s.kind = states_kind_of(kind);
	s.number = number;
	for (size_t i = 0; i < s.epoch; i++)
		states_settle(&e->disk, &e->record.v[i]);
	try_state(e, &s, !strcmp(how, "mount"));
	printf("good\n");
}

/* The first line is for programs: see tests/crash/soak.sh. */
static void print_result(const struct enumeration *e)
{
	double seconds = elapsed(e);

	printf("%llu states good, %llu of them different images, "
	       "%llu by mount, in %.1f s: %.0f states/min\n",
	       (unsigned long long)e->all,
	       (unsigned long long)(e->all - e->seen),
	       (unsigned long long)e->by_mount, seconds,
	       (double)e->all * 60 / seconds);
	for (enum states_kind kind = 0; kind < STATES_KINDS; kind++)
		printf("%s %llu, ", states_name(kind),
		       (unsigned long long)e->states[kind]);
	printf("%llu different results", (unsigned long long)e->judge.checked);
	if (e->options->is_ordered)
		printf(", e2fsck -p gave up on %llu",
		       (unsigned long long)e->judge.gave_up);
	printf("\n");
}

/* -- the program ----------------------------------------------------------- */

enum {
	OPT_DIR = 1,
	OPT_TREESUM,
	OPT_JOURNAL,
	OPT_ORDERED,
	OPT_CONVERT,
	OPT_COMPACT,
	OPT_LAX,
	OPT_SEED,
	OPT_EACH,
	OPT_RANDOM,
	OPT_ROUNDS,
	OPT_SECONDS,
	OPT_BATCHES,
	OPT_REUSED,
	OPT_DEPTH,
	OPT_MOUNTS,
	OPT_STOP,
	OPT_ONLY,
};

static const struct option long_options[] = {
	{ "dir", required_argument, NULL, OPT_DIR },
	{ "treesum", required_argument, NULL, OPT_TREESUM },
	{ "journal", required_argument, NULL, OPT_JOURNAL },
	{ "ordered", no_argument, NULL, OPT_ORDERED },
	{ "convert", no_argument, NULL, OPT_CONVERT },
	{ "compact", no_argument, NULL, OPT_COMPACT },
	{ "lax", no_argument, NULL, OPT_LAX },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "each", required_argument, NULL, OPT_EACH },
	{ "random", required_argument, NULL, OPT_RANDOM },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "batches", required_argument, NULL, OPT_BATCHES },
	{ "reused", required_argument, NULL, OPT_REUSED },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "mounts", required_argument, NULL, OPT_MOUNTS },
	{ "stop", required_argument, NULL, OPT_STOP },
	{ "only", required_argument, NULL, OPT_ONLY },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void usage(void)
{
	die("usage: enumerate --dir=EMPTY-DIRECTORY [--ordered] [--lax] "
	    "[--convert] [--compact] "
	    "[--treesum=PROGRAM] [--journal=FILE] [--seed=N] [--each=N] "
	    "[--random=N] [--rounds=N] [--seconds=N] [--mounts=N] "
	    "[--batches=N] [--reused=N] [--depth=N] "
	    "[--stop=FILE] "
	    "[--only=EPOCH:KIND:NUMBER[:mount]] IMAGE");
}

static void parse_option(struct options *o, int opt)
{
	uint64_t *number = opt == OPT_SEED    ? &o->seed :
			   opt == OPT_EACH    ? &o->each :
			   opt == OPT_RANDOM  ? &o->random :
			   opt == OPT_ROUNDS  ? &o->rounds :
			   opt == OPT_SECONDS ? &o->seconds :
			   opt == OPT_BATCHES ? &o->batches :
			   opt == OPT_REUSED  ? &o->reused :
			   opt == OPT_DEPTH   ? &o->depth :
			   opt == OPT_MOUNTS  ? &o->mounts :
						NULL;

	if (number)
		*number = parse_number(optarg, 0, UINT64_MAX);
	else if (opt == OPT_DIR)
		o->dir = optarg;
	else if (opt == OPT_TREESUM)
		o->treesum = optarg;
	else if (opt == OPT_STOP)
		o->stop = optarg;
	else if (opt == OPT_JOURNAL)
		o->journal = optarg;
	else if (opt == OPT_ORDERED)
		o->is_ordered = 1;
	else if (opt == OPT_CONVERT)
		o->is_converted = 1;
	else if (opt == OPT_COMPACT)
		o->is_compact = 1;
	else if (opt == OPT_LAX)
		o->is_lax = 1;
	else if (opt == OPT_ONLY)
		o->only = optarg;
	else
		usage();
}

static void parse(struct options *o, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		parse_option(o, opt);
	if (optind != argc - 1 || !o->dir)
		usage();
	/* The kernel shows a file system without its journal to nobody. */
	if (o->journal && (o->mounts || !o->is_ordered))
		die("--journal is for --ordered without mounts");
	if (o->mounts && o->is_ordered && !o->treesum)
		die("mounts of what is ordered need --treesum");
	if (o->mounts && o->is_ordered && o->is_converted)
		die("the kernel shows that an ordered file was converted");
	o->image = must_alloc(realpath(argv[optind], NULL));
	if (o->treesum)
		o->treesum = must_alloc(realpath(o->treesum, NULL));
	if (o->journal)
		o->journal = must_alloc(realpath(o->journal, NULL));
}

static void try_rounds(struct enumeration *e)
{
	const struct options *o = e->options;

	for (uint64_t i = 0; i < o->rounds && !is_over(e); i++) {
		if (i)
			disk_rewind(&e->disk, o->image);
		e->seed = o->seed + i;
		try_all(e);
	}
	print_result(e);
}

static void release(struct enumeration *e)
{
	e4df_outcome_free(e->outcome);
	record_free(&e->record);
	judge_close(&e->judge);
	disk_close(&e->disk);
	free((char *)(uintptr_t)e->options->image);
	free((char *)(uintptr_t)e->options->treesum);
	free((char *)(uintptr_t)e->options->journal);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = stop,
				    .sa_flags = SA_RESTART };
	struct options options = {
		.seed = 1,
		.each = 60,
		.random = 12,
		.rounds = 1,
	};
	struct enumeration e = { .options = &options, .record = RECORD_INIT };

	initialize_ext2_error_table();
	initialize_e4df_error_table();
	parse(&options, argc, argv);
	e.how.work = "work.img";
	e.how.journal = options.journal;
	e.how.treesum = options.mounts ? options.treesum : NULL;
	e.how.is_ordered = options.is_ordered;
	e.how.is_converted = options.is_converted;
	if (chdir(options.dir) < 0)
		die("%s: %s", options.dir, strerror(errno));
	disk_open(&e.disk, options.image, e.how.work);
	judge_open(&e.judge, &e.disk, &e.how);
	record_run(&e);
	survey(&e);
	fflush(stdout);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	clock_gettime(CLOCK_MONOTONIC, &e.start);
	if (options.only) {
		e.seed = options.seed;
		try_only(&e);
	} else {
		try_rounds(&e);
	}
	release(&e);
	return EXIT_SUCCESS;
}
