/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * survey - does a run contain what it is meant to try?
 */
#ifndef TESTS_CRASH_SURVEY_H
#define TESTS_CRASH_SURVEY_H

#include "record.h"

#define SURVEY_DEPTHS 6

/*
 * Blocks that files had when the run began, and that it has overwritten: it
 * must have freed them first, by an earlier batch.  `image` is what it began
 * with.  Whatever fails ends the program, here and below.
 */
uint64_t survey_reused(const char *image, const struct record *record);

/* Counts the files and directories of an image by their tree's depth. */
void survey_depths(const char *image, uint64_t count[SURVEY_DEPTHS]);

/* Files and directories of an image that are mapped by indirect blocks. */
uint64_t survey_indirect(const char *image);

#endif
