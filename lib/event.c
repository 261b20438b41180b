/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "event.h"

#include <stdarg.h>
#include <stdio.h>

#include "e4df_err.h"

static void hand_over(struct e4df_sink *sink, struct e4df_finding *finding,
		      const char *format, va_list args)
{
	char text[512];

	if (!sink || !sink->finding)
		return;
	vsnprintf(text, sizeof(text), format, args);
	finding->text = text;
	sink->finding(sink->ctx, finding);
}

void e4df_event_find(struct e4df_sink *sink, enum e4df_severity severity,
		     ext2_ino_t ino, blk64_t blk, const char *format, ...)
{
	struct e4df_finding finding = {
		.severity = severity,
		.ino = ino,
		.blk = blk,
	};
	va_list args;

	va_start(args, format);
	hand_over(sink, &finding, format, args);
	va_end(args);
}

errcode_t e4df_event_fail(struct e4df_sink *sink, errcode_t code,
			  const char *format, ...)
{
	struct e4df_finding finding = {
		.severity = E4DF_FAILURE,
		.code = code,
	};
	va_list args;

	va_start(args, format);
	hand_over(sink, &finding, format, args);
	va_end(args);
	return code;
}

void e4df_event_phase(struct e4df_sink *sink, int phase, const char *name)
{
	if (!sink)
		return;
	sink->now = (struct e4df_progress){ .phase = phase, .name = name };
	if (sink->progress)
		sink->progress(sink->ctx, &sink->now);
}

const char *e4df_event_now(const struct e4df_sink *sink)
{
	return sink && sink->now.name ? sink->now.name : "starting";
}

void e4df_event_advance(struct e4df_sink *sink, uint64_t done, uint64_t total)
{
	if (!sink)
		return;
	sink->now.done = done;
	sink->now.total = total;
	if (sink->progress)
		sink->progress(sink->ctx, &sink->now);
}

errcode_t e4df_event_check(const struct e4df_sink *sink)
{
	return sink && sink->cancel && *sink->cancel ? E4DF_ET_CANCELLED : 0;
}
