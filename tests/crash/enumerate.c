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
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../tools/tool.h"
#include "e4df_err.h"
#include "engine.h"
#include "judge.h"
#include "states.h"

#define BULK	  (256 << 10) /* bytes of an epoch, to be sampled thinly */
#define BULK_THIN 4
#define ENDS	  4 /* writes at both ends of an epoch, tried always */
#define FOUND	  2 /* exit status */

struct options {
	const char *image;
	const char *dir;
	const char *imgsum;
	uint64_t seed;
	uint64_t each;	  /* at most so many of prefix, single, but */
	uint64_t random;  /* so many of each of the others, in an epoch */
	uint64_t rounds;  /* with another seed each */
	uint64_t seconds; /* no new round after so long; 0 = no limit */
	uint64_t batches; /* that the run must have at least */
	uint64_t mounts;  /* one state in so many by the kernel; 0 = none */
	const char *only; /* EPOCH:KIND:NUMBER[:mount] */
};

struct enumeration {
	/* Immutable. */
	const struct options *options;
	struct record record; /* (owned) */
	struct e4df_outcome *outcome;
	struct timespec start;
	/* Mutable. */
	struct disk disk;
	struct judge judge;
	uint64_t seed; /* of this round */
	uint64_t states[STATES_KINDS];
	uint64_t all, seen, by_mount;
};

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
		.tap = &tap,
	};
	errcode_t err;

	write_all("run.img", e->disk.base, e->disk.bytes);
	err = e4df_run(&options, &sink, &e->outcome);
	if (err)
		die("the run fails: %s", error_message(err));
	if (e->outcome->done_batches < e->options->batches)
		die("the run has only %llu batches",
		    (unsigned long long)e->outcome->done_batches);
	if (!e->record.count)
		die("the run writes nothing");
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
	while (log && fgets(line, sizeof(line), log))
		printf("\t%s", line);
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

static void try_epoch(struct enumeration *e, size_t index)
{
	const struct record_epoch *epoch = &e->record.v[index];
	uint64_t thin = epoch->bytes > BULK ? BULK_THIN : 1;
	uint64_t mounts = e->options->mounts;

	for (enum states_kind kind = 0; kind < STATES_KINDS; kind++) {
		uint64_t count = states_count(
			epoch, kind, (e->options->random + thin - 1) / thin);
		uint64_t limit = kind <= STATES_BUT ? e->options->each / thin :
						      UINT64_MAX;

		for (uint64_t i = 0; i < count; i++) {
			struct states_state s = { index, kind, i };

			if (is_wanted(i, count, limit))
				try_state(e, &s,
					  mounts && e->all % mounts == 0);
		}
	}
}

static void try_all(struct enumeration *e)
{
	struct states_state end = { e->record.count - 1, STATES_PREFIX, 0 };

	for (size_t i = 0; i < e->record.count; i++) {
		try_epoch(e, i);
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

static void print_result(const struct enumeration *e)
{
	double seconds = elapsed(e);

	printf("%llu states good (", (unsigned long long)e->all);
	for (enum states_kind kind = 0; kind < STATES_KINDS; kind++)
		printf("%s%s %llu", kind ? ", " : "", states_name(kind),
		       (unsigned long long)e->states[kind]);
	printf("); %llu of them seen before, %llu by mount, %llu recovered, "
	       "%llu different results; %.1f s, %.0f states/min\n",
	       (unsigned long long)e->seen, (unsigned long long)e->by_mount,
	       (unsigned long long)e->judge.recovered,
	       (unsigned long long)e->judge.checked, seconds,
	       (double)e->all * 60 / seconds);
}

/* -- the program ----------------------------------------------------------- */

enum {
	OPT_DIR = 1,
	OPT_IMGSUM,
	OPT_SEED,
	OPT_EACH,
	OPT_RANDOM,
	OPT_ROUNDS,
	OPT_SECONDS,
	OPT_BATCHES,
	OPT_MOUNTS,
	OPT_ONLY,
};

static const struct option long_options[] = {
	{ "dir", required_argument, NULL, OPT_DIR },
	{ "imgsum", required_argument, NULL, OPT_IMGSUM },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "each", required_argument, NULL, OPT_EACH },
	{ "random", required_argument, NULL, OPT_RANDOM },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "batches", required_argument, NULL, OPT_BATCHES },
	{ "mounts", required_argument, NULL, OPT_MOUNTS },
	{ "only", required_argument, NULL, OPT_ONLY },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void usage(void)
{
	die("usage: enumerate --imgsum=PROGRAM --dir=EMPTY-DIRECTORY "
	    "[--seed=N] [--each=N] [--random=N] [--rounds=N] [--seconds=N] "
	    "[--batches=N] [--mounts=N] "
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
			   opt == OPT_MOUNTS  ? &o->mounts :
						NULL;

	if (number)
		*number = parse_number(optarg, 0, UINT64_MAX);
	else if (opt == OPT_DIR)
		o->dir = optarg;
	else if (opt == OPT_IMGSUM)
		o->imgsum = optarg;
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
	if (optind != argc - 1 || !o->dir || !o->imgsum)
		usage();
	o->image = must_alloc(realpath(argv[optind], NULL));
	o->imgsum = must_alloc(realpath(o->imgsum, NULL));
}

int main(int argc, char **argv)
{
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
	if (chdir(options.dir) < 0)
		die("%s: %s", options.dir, strerror(errno));
	disk_open(&e.disk, options.image, "work.img");
	judge_open(&e.judge, &e.disk, "work.img", options.imgsum);
	record_run(&e);
	print_run(&e);
	clock_gettime(CLOCK_MONOTONIC, &e.start);
	if (options.only) {
		e.seed = options.seed;
		try_only(&e);
	}
	for (uint64_t i = 0; !options.only && i < options.rounds; i++) {
		if (options.seconds && elapsed(&e) > (double)options.seconds)
			break;
		if (i)
			disk_rewind(&e.disk, options.image);
		e.seed = options.seed + i;
		try_all(&e);
	}
	if (!options.only)
		print_result(&e);
	e4df_outcome_free(e.outcome);
	record_free(&e.record);
	judge_close(&e.judge);
	disk_close(&e.disk);
	free((char *)(uintptr_t)options.image);
	free((char *)(uintptr_t)options.imgsum);
	return EXIT_SUCCESS;
}
