/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options - the command line, read and checked
 */
#ifndef E4DF_OPTIONS_H
#define E4DF_OPTIONS_H

#include <stdio.h>

#include "engine.h"

#define PROGRAM "e4offdefrag"

enum status {
	STATUS_DONE = 0,
	STATUS_INCONSISTENT = 4,
	STATUS_FAILED = 8,
	STATUS_USAGE = 16,
	STATUS_CANCELLED = 32,
};

#define OPTIONS_QUIET	0x1
#define OPTIONS_VERBOSE 0x2
#define OPTIONS_JSON	0x4
#define OPTIONS_HELP	0x8  /* print the help, do nothing else */
#define OPTIONS_VERSION 0x10 /* print the version, do nothing else */

#define OPTIONS_NO_FD (-1) /* no -C */
#define OPTIONS_BAR   0	   /* -C 0: a line for people, on stderr */

struct options {
	struct e4df_options run; /* but the cancel flag */
	const char *target;	 /* (borrowed from argv) as given */
	char *path;		 /* (owned) target without ?offset= */
	char *undo;		 /* (owned) NULL, or the file of -z '' */
	const char *list_name;	 /* (borrowed from argv) of --order, or NULL */
	char *list;		 /* (owned) NULL, or what --order has read */
	const char **paths;	 /* (owned) of run.scope */
	const char **excludes;	 /* (owned) of run.scope */
	unsigned int flags;	 /* OPTIONS_ */
	int progress_fd;	 /* an open descriptor, or see above */
};

/*
 * Reads the command line, and the list of --order.  Returns STATUS_DONE,
 * STATUS_USAGE with the reason and a short usage on stderr, or STATUS_FAILED,
 * told there too, without memory or for a list that cannot be read.  With
 * OPTIONS_HELP or OPTIONS_VERSION nothing else in *ret counts.
 * options_free() must follow in any case.
 */
enum status options_parse(int argc, char **argv, struct options *ret);
void options_free(struct options *options);

void options_print_help(FILE *out);
void options_print_version(FILE *out);

#endif
