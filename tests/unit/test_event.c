/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "event.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "e4df_err.h"
#include "unit.h"

/* What came last. */
struct heard {
	struct e4df_finding finding;
	struct e4df_progress progress;
	char text[1024];
	unsigned int findings, progresses;
};

static void on_finding(void *ctx, const struct e4df_finding *finding)
{
	struct heard *heard = ctx;

	heard->finding = *finding;
	snprintf(heard->text, sizeof(heard->text), "%s", finding->text);
	heard->findings++;
}

static void on_progress(void *ctx, const struct e4df_progress *progress)
{
	struct heard *heard = ctx;

	heard->progress = *progress;
	heard->progresses++;
}

static void findings(void **state)
{
	struct heard heard = { .findings = 0 };
	struct e4df_sink sink = { .finding = on_finding, .ctx = &heard };

	(void)state;
	e4df_event_find(&sink, E4DF_DAMAGE, 12, 1ULL << 40, "%s %d", "n", 5);
	assert_int_equal(heard.finding.severity, E4DF_DAMAGE);
	assert_int_equal(heard.finding.code, 0);
	assert_int_equal(heard.finding.ino, 12);
	assert_int_equal(heard.finding.blk, 1ULL << 40);
	assert_string_equal(heard.text, "n 5");
	assert_int_equal(e4df_event_fail(&sink, EIO, "why %u", 7U), EIO);
	assert_int_equal(heard.finding.severity, E4DF_FAILURE);
	assert_int_equal(heard.finding.code, EIO);
	assert_int_equal(heard.finding.ino, 0);
	assert_string_equal(heard.text, "why 7");
	e4df_event_phase(&sink, 1, "scanning"); /* nobody listens */
	assert_int_equal(heard.findings, 2);
}

/* A text of any length is cut, not overrun. */
static void long_text(void **state)
{
	struct heard heard = { .findings = 0 };
	struct e4df_sink sink = { .finding = on_finding, .ctx = &heard };
	char name[2000];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = 0;
	e4df_event_find(&sink, E4DF_NOTE, 0, 0, "%s", name);
	assert_in_range(strlen(heard.text), 255, 1000);
	assert_memory_equal(heard.text, name, strlen(heard.text));
}

static void progress(void **state)
{
	struct heard heard = { .findings = 0 };
	struct e4df_sink sink = { .progress = on_progress, .ctx = &heard };

	(void)state;
	e4df_event_phase(&sink, 3, "moving");
	assert_int_equal(heard.progress.phase, 3);
	assert_string_equal(heard.progress.name, "moving");
	assert_int_equal(heard.progress.done, 0);
	assert_int_equal(heard.progress.total, 0);
	e4df_event_advance(&sink, 5, 1ULL << 33);
	assert_int_equal(heard.progress.phase, 3);
	assert_int_equal(heard.progress.done, 5);
	assert_int_equal(heard.progress.total, 1ULL << 33);
	assert_int_equal(heard.progresses, 2);
	sink.now.bytes = 9;
	e4df_event_phase(&sink, 4, "verifying"); /* begins at nothing */
	assert_int_equal(heard.progress.done, 0);
	assert_int_equal(heard.progress.bytes, 0);
	assert_int_equal(e4df_event_fail(&sink, ENOENT, "unheard"), ENOENT);
	assert_int_equal(heard.findings, 0);
}

static void no_sink(void **state)
{
	(void)state;
	e4df_event_find(NULL, E4DF_NOTE, 0, 0, "%s", "");
	e4df_event_phase(NULL, 1, "");
	e4df_event_advance(NULL, 1, 2);
	assert_int_equal(e4df_event_fail(NULL, ENOSPC, "%d", 1), ENOSPC);
}

/* The way back: one flag, which may be missing. */
static void cancel(void **state)
{
	volatile sig_atomic_t flag = 0;
	struct e4df_sink sink = { .cancel = NULL };

	(void)state;
	assert_int_equal(e4df_event_check(NULL), 0);
	assert_int_equal(e4df_event_check(&sink), 0);
	sink.cancel = &flag;
	assert_int_equal(e4df_event_check(&sink), 0);
	flag = 1;
	assert_int_equal(e4df_event_check(&sink), E4DF_ET_CANCELLED);
	e4df_event_phase(&sink, 2, "scanning"); /* a phase changes nothing */
	assert_int_equal(e4df_event_check(&sink), E4DF_ET_CANCELLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(findings), cmocka_unit_test(long_text),
		cmocka_unit_test(progress), cmocka_unit_test(no_sink),
		cmocka_unit_test(cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
