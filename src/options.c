/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "options.h"

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
	KEY_COMPACT = 0x100,
	KEY_GOOD_RUN,
	KEY_PERFECT,
	KEY_MAX_WRITE,
	KEY_CONVERT,
	KEY_MOVE_BOOT,
	KEY_MOVE_IMMUTABLE,
	KEY_VERIFY,
	KEY_JSON,
};

/* The one table behind parsing and --help. */
static const struct row {
	int key;
	const char *name;   /* long form, or NULL */
	const char *value;  /* what it is called, or NULL */
	unsigned int run;   /* E4DF_RUN_ flags it sets */
	unsigned int flags; /* OPTIONS_ flags it sets */
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
	{ KEY_COMPACT, "compact", NULL, 0, OPTIONS_COMPACT,
	  "move everything to the front, each file in one piece" },
	{ KEY_GOOD_RUN, "good-run", "SIZE", 0, OPTIONS_GOOD_RUN,
	  "how long a run is not moved only to be joined (32M)" },
	{ KEY_PERFECT, "perfect", NULL, 0, OPTIONS_PERFECT,
	  "join long runs, too, whatever it costs" },
	{ KEY_MAX_WRITE, "max-write", "SIZE", 0, OPTIONS_MAX_WRITE,
	  "move at most so much data, what gains most first" },
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
	"                   [-j journal] [-z undo_file] [--compact]\n"
	"                   [--good-run=SIZE] [--perfect] [--max-write=SIZE]\n"
	"                   [--convert-extents] [--move-boot] [--move-immutable]\n"
	"                   [--verify] [--json] device|image[?offset=N]\n";

void options_print_help(FILE *out)
{
	fprintf(out, "%s\n", usage);
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		char form[32];

		if (row->key >= KEY_COMPACT)
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

static enum status parse_bytes(const char *name, uint64_t *ret)
{
	if (parse_size(optarg, INT64_MAX, ret) || !*ret)
		return usage_error("--%s: '%s' is not a size (digits, and K, "
				   "M, G or T)",
				   name, optarg);
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
	case KEY_GOOD_RUN:
		options->flags |= OPTIONS_GOOD_RUN;
		return parse_bytes("good-run", &options->run.good_run);
	case KEY_MAX_WRITE:
		options->flags |= OPTIONS_MAX_WRITE;
		return parse_bytes("max-write", &options->run.max_write);
	case '?':
		fputs(usage, stderr); /* getopt has told why */
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].key == key) {
			options->run.flags |= rows[i].run;
			options->flags |= rows[i].flags;
		}
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
		if (rows[i].key < KEY_COMPACT) {
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

static enum status check_policy(const struct options *options)
{
	unsigned int flags = options->flags;

	if (options->run.flags & E4DF_RUN_REPORT && flags & OPTIONS_PLAN)
		return usage_error("-c makes no plan, so it has no --compact, "
				   "--good-run, --perfect and --max-write");
	if (flags & OPTIONS_PERFECT && flags & OPTIONS_GOOD_RUN)
		return usage_error("--perfect and --good-run exclude each "
				   "other");
	if (flags & OPTIONS_COMPACT && flags & OPTIONS_NOT_COMPACT)
		return usage_error("--compact moves all that is in the way, so "
				   "it has no --good-run, --perfect and "
				   "--max-write");
	return STATUS_DONE;
}

/* What the options say together. */
static void set_policy(struct options *options)
{
	if (options->flags & OPTIONS_COMPACT)
		options->run.goal = E4DF_COMPACT;
	else if (!(options->flags & (OPTIONS_GOOD_RUN | OPTIONS_PERFECT)))
		options->run.good_run = GOOD_RUN;
}

static enum status check_options(const struct options *options)
{
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
	return check_policy(options);
}

enum status options_parse(int argc, char **argv, struct options *ret)
{
	int has_offset = 0;
	enum status status;

	*ret = (struct options){ .progress_fd = OPTIONS_NO_FD };
	if (argc > 0)
		argv[0] = (char *)PROGRAM; /* getopt's messages begin with it */
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
	return status ? status : name_undo(ret);
}

void options_free(struct options *options)
{
	free(options->path);
	free(options->undo);
}
