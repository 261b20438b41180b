/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For test tools that call libext2fs, or this library: an error code other than
 * 0 is the end, with its message.
 */
#ifndef TESTS_TOOLS_MUST_H
#define TESTS_TOOLS_MUST_H

#include <et/com_err.h>

#include "tool.h"

static inline void must(errcode_t err, const char *what)
{
	if (err)
		die("%s: %s", what, error_message(err));
}

#endif
