/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parse.h"

#define GOOD_RUN (32ULL << 20) /* bytes, without --good-run */

/* Options without a letter. */
enum {
	KEY_PATH = 0x100,
	KEY_EXCLUDE,
	KEY_MIN_SIZE,
	KEY_MIN_RUNS,
	KEY_MAX_WRITE,
	KEY_TIME,
	KEY_MEMORY,
	KEY_PERFECT,
	KEY_GOOD_RUN,
	KEY_OPTIMIZE,
	KEY_SORT,
	KEY_DIRECTORIES,
	KEY_ORDER,
	KEY_ORDER_AT,
	KEY_COMPACT,
	KEY_RATE,
	KEY_CONVERT,
	KEY_MOVE_BOOT,
	KEY_MOVE_IMMUTABLE,
	KEY_VERIFY,
	KEY_JSON,
};

/* Of options that others need or exclude: beside OPTIONS_ while parsing. */
#define SEEN	      0x3fff00U
#define SEEN_PATH     0x100
#define SEEN_MIN      0x200
#define SEEN_PERFECT  0x400
#define SEEN_GOOD_RUN 0x800
#define SEEN_OPTIMIZE 0x1000
#define SEEN_SORT     0x2000
#define SEEN_ORDER    0x4000
#define SEEN_ORDER_AT 0x8000
#define SEEN_COMPACT  0x10000
#define SEEN_TIME     0x20000
#define SEEN_RATE     0x40000
#define SEEN_MAX      0x80000
#define SEEN_PLAN     0x100000 /* something that only a plan heeds */
#define SEEN_DIRS     0x200000

/* The one table behind parsing and --help. */
static const struct row {
	int key;
	const char *name;   /* long form, or NULL */
	const char *value;  /* what it is called, or NULL */
	unsigned int run;   /* E4DF_RUN_ flags it sets */
	unsigned int flags; /* OPTIONS_ and SEEN_ flags it sets */
	const char *help;
} rows[] = {
	{ 'c', NULL, NULL, E4DF_RUN_REPORT, 0,
	  "report only: how fragmented is it?" },
	{ 'n', NULL, NULL, E4DF_RUN_DRY, 0,
	  "report, and show the plan and its result; write nothing" },
	{ 'p', NULL, NULL, E4DF_RUN_REPAIR, 0,
	  "run e2fsck -p first, if the file system is not clean" },
	{ 'q', NULL, NULL, 0, OPTIONS_QUIET, "be quiet: print errors only" },
	{ 'v', NULL, NULL, 0, OPTIONS_VERBOSE,
	  "be verbose: name what is skipped, and why" },
	{ 'C', NULL, "fd", 0, 0,
	  "write the progress to a file descriptor; 0: show it" },
	{ 'E', NULL, "extended-options", 0, 0,
	  "offset=N: the file system begins N bytes from the start" },
	{ 'j', NULL, "journal", 0, 0,
	  "where an external journal is, to see that it is empty" },
	{ 'z', NULL, "undo_file", 0, 0,
	  "save there what is overwritten, for e2undo" },
	{ KEY_PATH, "path", "PATH", 0, SEEN_PATH,
	  "improve only this file, or what is in this directory" },
	{ KEY_EXCLUDE, "exclude", "GLOB", 0, 0,
	  "leave what matches, and what is below, where it is" },
	{ KEY_MIN_SIZE, "min-size", "SIZE", 0, SEEN_MIN,
	  "improve only files of this size or larger" },
	{ KEY_MIN_RUNS, "min-runs", "N", 0, SEEN_MIN,
	  "improve only files in so many runs or more" },
	{ KEY_MAX_WRITE, "max-write", "SIZE", 0, SEEN_MAX | SEEN_PLAN,
	  "move at most so much data, what gains most first" },
	{ KEY_TIME, "time", "SECONDS", E4DF_RUN_TIMED, SEEN_TIME | SEEN_PLAN,
	  "stop after the step at which this time is over" },
	{ KEY_MEMORY, "memory", "SIZE", 0, SEEN_PLAN,
	  "memory for copying, 16M or more (a tenth of all, up to 1G)" },
	{ KEY_PERFECT, "perfect", NULL, 0, SEEN_PERFECT | SEEN_PLAN,
	  "join long runs, too, whatever it costs" },
	{ KEY_GOOD_RUN, "good-run", "SIZE", 0, SEEN_GOOD_RUN | SEEN_PLAN,
	  "how long a run is not moved only to be joined (32M)" },
	{ KEY_OPTIMIZE, "optimize", NULL, 0, SEEN_OPTIMIZE | SEEN_PLAN,
	  "put all files in order, and the free space together" },
	{ KEY_SORT, "sort", "ORDER", 0, SEEN_SORT | SEEN_PLAN,
	  "which order: readdir, name, inode, size or mtime" },
	{ KEY_DIRECTORIES, "directories", "PLACE", 0, SEEN_DIRS | SEEN_PLAN,
	  "where to put directories: together or inline" },
	{ KEY_ORDER, "order", "FILE", 0, SEEN_ORDER | SEEN_PLAN,
	  "put the files of this list first, in its order" },
	{ KEY_ORDER_AT, "order-at", "PERCENT", 0, SEEN_ORDER_AT | SEEN_PLAN,
	  "put them there instead of at the front" },
	{ KEY_COMPACT, "compact", NULL, 0, SEEN_COMPACT | SEEN_PLAN,
	  "move everything to the front, each file in one piece" },
	{ KEY_RATE, "rate", "SIZE", 0, SEEN_RATE,
	  "bytes a second of the device, for what -n estimates" },
	{ KEY_CONVERT, "convert-extents", NULL, E4DF_RUN_CONVERT, 0,
	  "turn indirect blocks into extents" },
	{ KEY_MOVE_BOOT, "move-boot", NULL, E4DF_RUN_MOVE_BOOT, 0,
	  "move what is below /boot, though there is a boot sector" },
	{ KEY_MOVE_IMMUTABLE, "move-immutable", NULL, E4DF_RUN_MOVE_IMMUTABLE,
	  0, "move immutable and append-only files, too" },
	{ KEY_VERIFY, "verify", NULL, E4DF_RUN_VERIFY, 0,
	  "compare the moved data with what was read before" },
	{ KEY_JSON, "json", NULL, 0, OPTIONS_JSON,
	  "print the report as one JSON object" },
	{ 'h', "help", NULL, 0, OPTIONS_HELP, "print this summary" },
	{ 'V', "version", NULL, 0, OPTIONS_VERSION, "print the version" },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const char usage[] =
	"Usage: " PROGRAM " [-cnpqvV] [-C fd] [-E extended-options]\n"
	"                   [-j journal] [-z undo_file] [--path=PATH]\n"
	"                   [--exclude=GLOB] [--min-size=SIZE] [--min-runs=N]\n"
	"                   [--compact] [--optimize] [--sort=ORDER]\n"
	"                   [--directories=PLACE] [--order=FILE]\n"
	"                   [--order-at=PERCENT] [--good-run=SIZE] [--perfect]\n"
	"                   [--max-write=SIZE] [--time=SECONDS] [--memory=SIZE]\n"
	"                   [--rate=SIZE] [--convert-extents] [--move-boot]\n"
	"                   [--move-immutable] [--verify] [--json]\n"
	"                   device|image[?offset=N]\n";

void options_print_help(FILE *out)
{
	fprintf(out, "%s\n", usage);
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		char form[32];

		if (row->key >= KEY_PATH)
			snprintf(form, sizeof(form), "--%s%s%s", row->name,
				 row->value ? "=" : "",
				 row->value ? row->value : "");
		else
			snprintf(form, sizeof(form), "-%c%s%s%s%s", row->key,
				 row->name ? ", --" : "",
				 row->name ? row->name : "",
				 row->value ? " " : "",
				 row->value ? row->value : "");
		fprintf(out, " %-19s  %s\n", form, row->help);
	}
	fprintf(out,
		"\nExit status: %d done, %d inconsistent and untouched,"
		" %d operational error,\n%d usage error, %d cancelled.\n",
		STATUS_DONE, STATUS_INCONSISTENT, STATUS_FAILED, STATUS_USAGE,
		STATUS_CANCELLED);
}

void options_print_version(FILE *out)
{
	const char *version, *date;

	ext2fs_get_library_version(&version, &date);
	fprintf(out, "%s %s\nlibext2fs %s, %s\n", PROGRAM, PACKAGE_VERSION,
		version, date);
}

static enum status usage_error(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

static enum status usage_error(const char *format, ...)
{
	va_list args;

	fputs(PROGRAM ": ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n%s", usage);
	return STATUS_USAGE;
}

/* The offset can be given twice, but not two of them. */
static enum status parse_offset(const char *s, int *has_offset,
				struct options *options)
{
	uint64_t n;

	if (parse_number(s, INT64_MAX, &n))
		return usage_error("'%s' is not an offset in bytes", s);
	if (*has_offset && n != options->run.offset)
		return usage_error("two different offsets, %llu and %llu",
				   (unsigned long long)options->run.offset,
				   (unsigned long long)n);
	*has_offset = 1;
	options->run.offset = n;
	return STATUS_DONE;
}

/* `list` is argv's own, and is cut into words. */
static enum status parse_extended(char *list, int *has_offset,
				  struct options *options)
{
	enum status status = STATUS_DONE;
	char *word;

	while (!status && (word = strsep(&list, ","))) {
		if (!strncmp(word, "offset=", strlen("offset=")))
			status = parse_offset(word + strlen("offset="),
					      has_offset, options);
		else
			status = usage_error("unknown extended option '%s' "
					     "(there is: offset=N)",
					     word);
	}
	return status;
}

static enum status parse_fd(const char *s, struct options *options)
{
	uint64_t fd;
	int mode;

	if (parse_number(s, INT32_MAX, &fd))
		return usage_error("'%s' is not a file descriptor", s);
	options->progress_fd = (int)fd;
	if (fd == OPTIONS_BAR)
		return STATUS_DONE;
	mode = fcntl((int)fd, F_GETFL);
	if (mode < 0 || (mode & O_ACCMODE) == O_RDONLY)
		return usage_error("file descriptor %s is not open for writing",
				   s);
	return STATUS_DONE;
}

static enum status parse_bytes(const char *name, uint64_t min, uint64_t *ret)
{
	if (parse_size(optarg, INT64_MAX, ret) || *ret < min)
		return usage_error("--%s: '%s' is not a size (digits, and K, "
				   "M, G or T)",
				   name, optarg);
	return STATUS_DONE;
}

static enum status parse_count(const char *name, uint64_t max, uint64_t *ret)
{
	if (parse_number(optarg, max, ret))
		return usage_error("--%s: '%s' is not a number from 0 to %llu",
				   name, optarg, (unsigned long long)max);
	return STATUS_DONE;
}

static enum status parse_sort(enum e4df_sort *ret)
{
	for (enum e4df_sort i = E4DF_SORT_READDIR; i < E4DF_SORT_COUNT; i++)
		if (!strcmp(optarg, e4df_sort_name(i))) {
			*ret = i;
			return STATUS_DONE;
		}
	return usage_error("--sort: '%s' is none of readdir, name, inode, size "
			   "and mtime",
			   optarg);
}

static enum status parse_directories(unsigned int *flags)
{
	*flags &= ~(unsigned int)E4DF_RUN_INLINE;
	if (!strcmp(optarg, "inline"))
		*flags |= E4DF_RUN_INLINE;
	else if (strcmp(optarg, "together"))
		return usage_error("--directories: '%s' is neither together "
				   "nor inline",
				   optarg);
	return STATUS_DONE;
}

/* One more word; there are never more of them than arguments. */
static enum status parse_word(const char *name, const char **list,
			      size_t *count)
{
	if (!*optarg)
		return usage_error("--%s: the name is empty", name);
	list[(*count)++] = optarg;
	return STATUS_DONE;
}

/* The long options that have a value. */
static enum status parse_value(const struct row *row, struct options *options)
{
	struct e4df_options *run = &options->run;
	uint64_t n = 0;
	enum status status = STATUS_DONE;

	switch (row->key) {
	case KEY_PATH:
		return parse_word(row->name, options->paths,
				  &run->scope.path_count);
	case KEY_EXCLUDE:
		return parse_word(row->name, options->excludes,
				  &run->scope.exclude_count);
	case KEY_MIN_SIZE:
		return parse_bytes(row->name, 0, &run->scope.min_bytes);
	case KEY_MIN_RUNS:
		status = parse_count(row->name, UINT32_MAX, &n);
		run->scope.min_runs = (uint32_t)n;
		return status;
	case KEY_MAX_WRITE:
		return parse_bytes(row->name, 1, &run->max_write);
	case KEY_TIME:
		return parse_count(row->name, INT32_MAX, &run->time);
	case KEY_MEMORY:
		status = parse_bytes(row->name, 0, &run->memory);
		if (!status && run->memory < E4DF_MOVER_LEAST)
			return usage_error("--memory: less than %lluM is not "
					   "enough",
					   E4DF_MOVER_LEAST >> 20);
		return status;
	case KEY_GOOD_RUN:
		return parse_bytes(row->name, 1, &run->good_run);
	case KEY_SORT:
		return parse_sort(&run->order.sort);
	case KEY_DIRECTORIES:
		return parse_directories(&run->flags);
	case KEY_ORDER:
		options->list_name = optarg;
		return STATUS_DONE;
	case KEY_ORDER_AT:
		status = parse_count(row->name, 99, &n);
		run->order_at = (unsigned int)n;
		return status;
	case KEY_RATE:
		return parse_bytes(row->name, 1, &run->rate);
	}
	return STATUS_DONE;
}

static enum status parse_option(int key, int *has_offset,
				struct options *options)
{
	switch (key) {
	case 'C':
		return parse_fd(optarg, options);
	case 'E':
		return parse_extended(optarg, has_offset, options);
	case 'j':
		if (!*optarg)
			return usage_error("the name of the journal is empty");
		options->run.journal = optarg;
		return STATUS_DONE;
	case 'z':
		options->run.undo = optarg;
		return STATUS_DONE;
	case '?':
		fputs(usage, stderr); /* getopt has told why */
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].key != key)
			continue;
		options->run.flags |= rows[i].run;
		options->flags |= rows[i].flags;
		return parse_value(&rows[i], options);
	}
	return STATUS_DONE;
}

static enum status parse_options(int argc, char **argv, int *has_offset,
				 struct options *options)
{
	struct option names[ROWS + 1] = { { .name = NULL } };
	char letters[2 * ROWS + 1], *letter = letters;
	struct option *name = names;
	enum status status = STATUS_DONE;
	int key;

	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].key < KEY_PATH) {
			*letter++ = (char)rows[i].key;
			if (rows[i].value)
				*letter++ = ':';
		}
		if (rows[i].name)
			*name++ = (struct option){
				.name = rows[i].name,
				.has_arg = rows[i].value ? required_argument :
							   no_argument,
				.val = rows[i].key,
			};
	}
	*letter = '\0';
	while (!status &&
	       !(options->flags & (OPTIONS_HELP | OPTIONS_VERSION)) &&
	       (key = getopt_long(argc, argv, letters, names, NULL)) != -1)
		status = parse_option(key, has_offset, options);
	return status;
}

/* FILE?offset=N, unless there is a file of just that name. */
static enum status parse_target(const char *target, int *has_offset,
				struct options *options)
{
	static const char key[] = "?offset=";
	const char *suffix = NULL, *p = target;
	struct stat st;

	while ((p = strstr(p, key)))
		suffix = p++;
	if (suffix && !stat(target, &st))
		suffix = NULL;
	options->target = target;
	options->path = suffix ? strndup(target, (size_t)(suffix - target)) :
				 strdup(target);
	if (!options->path) {
		fprintf(stderr, "%s: out of memory\n", PROGRAM);
		return STATUS_FAILED;
	}
	options->run.path = options->path;
	if (!*options->path)
		return usage_error("the name of the device or image is empty");
	if (!suffix)
		return STATUS_DONE;
	return parse_offset(suffix + strlen(key), has_offset, options);
}

/* As the other tools do it, -z '' leaves the name to the environment. */
static enum status name_undo(struct options *options)
{
	const char *dir = getenv("E2FSPROGS_UNDO_DIR");
	const char *slash = strrchr(options->path, '/');

	if (!options->run.undo || *options->run.undo)
		return STATUS_DONE;
	if (!dir)
		dir = "/var/lib/e2fsprogs";
	if (!*dir || !strcmp(dir, "none"))
		return usage_error("-z needs the name of a file, because "
				   "E2FSPROGS_UNDO_DIR names no directory");
	if (asprintf(&options->undo, "%s/" PROGRAM "-%s.e2undo", dir,
		     slash ? slash + 1 : options->path) < 0) {
		options->undo = NULL;
		fprintf(stderr, "%s: out of memory\n", PROGRAM);
		return STATUS_FAILED;
	}
	options->run.undo = options->undo;
	options->run.flags |= E4DF_RUN_REUNDO;
	return STATUS_DONE;
}

/* What the policies cannot have together. */
static enum status check_policy(const struct options *options)
{
	static const struct {
		unsigned int has, and;
		const char *text;
	} pairs[] = {
		{ SEEN_OPTIMIZE, SEEN_COMPACT,
		  "--optimize and --compact exclude each other" },
		{ SEEN_PERFECT, SEEN_GOOD_RUN,
		  "--perfect and --good-run exclude each other" },
		{ SEEN_COMPACT, SEEN_PERFECT | SEEN_GOOD_RUN | SEEN_MAX,
		  "--compact moves all that is in the way, so it has no "
		  "--good-run, --perfect and --max-write" },
		{ SEEN_COMPACT, SEEN_PATH | SEEN_MIN,
		  "--compact moves everything, so it has no --path, "
		  "--min-size and --min-runs" },
		{ SEEN_COMPACT, SEEN_ORDER_AT,
		  "--compact moves everything to the front, so it has no "
		  "--order-at" },
	};
	unsigned int seen = options->flags;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (seen & pairs[i].has && seen & pairs[i].and)
			return usage_error("%s", pairs[i].text);
	if (seen & SEEN_SORT && !(seen & SEEN_OPTIMIZE))
		return usage_error("--sort is for --optimize");
	if (seen & SEEN_DIRS && !(seen & SEEN_OPTIMIZE))
		return usage_error("--directories is for --optimize");
	if (seen & SEEN_ORDER_AT && !(seen & SEEN_ORDER))
		return usage_error("--order-at is for --order");
	return STATUS_DONE;
}

/* What -c and -n do not do. */
static enum status check_looks(const struct options *options)
{
	unsigned int run = options->run.flags, seen = options->flags;

	if (run & E4DF_RUN_REPORT && seen & SEEN_PLAN)
		return usage_error("-c makes no plan, so it has no policy and "
				   "no limit");
	if (run & E4DF_RUN_DRY && seen & SEEN_TIME)
		return usage_error("--time cannot be planned, so -n does not "
				   "have it");
	if (!(run & E4DF_RUN_DRY) && seen & SEEN_RATE)
		return usage_error("--rate is for -n");
	return STATUS_DONE;
}

static enum status check_options(const struct options *options)
{
	enum status status;
	unsigned int run = options->run.flags, looks;

	looks = run & (E4DF_RUN_REPORT | E4DF_RUN_DRY);
	if (looks == (E4DF_RUN_REPORT | E4DF_RUN_DRY))
		return usage_error("-c and -n exclude each other");
	if (looks && run & E4DF_RUN_REPAIR)
		return usage_error("-p writes, which -c and -n do not");
	if (looks && options->run.undo)
		return usage_error("-z saves what is overwritten, and -c and "
				   "-n write nothing");
	if (options->flags & OPTIONS_QUIET && options->flags & OPTIONS_VERBOSE)
		return usage_error("-q and -v exclude each other");
	if (options->flags & OPTIONS_JSON &&
	    options->progress_fd == STDOUT_FILENO)
		return usage_error("with --json the standard output is not "
				   "free for -C");
	status = check_looks(options);
	return status ? status : check_policy(options);
}

/* Brings into the form of the library what the options say together. */
static void set_policy(struct options *options)
{
	struct e4df_options *run = &options->run;
	unsigned int seen = options->flags;

	run->scope.paths = options->paths;
	run->scope.excludes = options->excludes;
	if (seen & SEEN_PERFECT)
		run->good_run = 0;
	else if (!(seen & SEEN_GOOD_RUN))
		run->good_run = GOOD_RUN;
	if (seen & SEEN_COMPACT)
		run->goal = E4DF_COMPACT;
	if (seen & SEEN_OPTIMIZE) {
		run->goal = E4DF_OPTIMIZE;
		run->order.flags |= E4DF_ORDER_ALL;
	}
	options->flags &= ~SEEN;
}

static enum status read_list(struct options *options)
{
	struct e4df_order_options *order = &options->run.order;
	const char *name = options->list_name;
	int err;

	if (!name)
		return STATUS_DONE;
	err = parse_read_file(name, &options->list, &order->list_bytes);
	if (err) {
		fprintf(stderr, "%s: the list %s cannot be read: %s\n", PROGRAM,
			strcmp(name, "-") ? name : "of the standard input",
			strerror(err));
		return STATUS_FAILED;
	}
	order->list = options->list;
	return STATUS_DONE;
}

static enum status alloc_words(int argc, struct options *options)
{
	options->paths = calloc((size_t)argc + 1, sizeof(*options->paths));
	options->excludes =
		calloc((size_t)argc + 1, sizeof(*options->excludes));
	if (options->paths && options->excludes)
		return STATUS_DONE;
	fprintf(stderr, "%s: out of memory\n", PROGRAM);
	return STATUS_FAILED;
}

enum status options_parse(int argc, char **argv, struct options *ret)
{
	int has_offset = 0;
	enum status status;

	*ret = (struct options){ .progress_fd = OPTIONS_NO_FD };
	if (argc > 0)
		argv[0] = (char *)PROGRAM; /* getopt's messages begin with it */
	status = alloc_words(argc, ret);
	if (!status)
		status = parse_options(argc, argv, &has_offset, ret);
	if (status || ret->flags & (OPTIONS_HELP | OPTIONS_VERSION))
		return status;
	if (argc - optind != 1)
		return usage_error(argc > optind ?
					   "more than one device or image" :
					   "no device or image is given");
	status = check_options(ret);
	set_policy(ret);
	if (!status)
		status = parse_target(argv[optind], &has_offset, ret);
	if (!status)
		status = name_undo(ret);
	return status ? status : read_list(ret);
}

void options_free(struct options *options)
{
	free(options->path);
	free(options->undo);
	free(options->list);
	free(options->paths);
	free(options->excludes);
}
