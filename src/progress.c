/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define UPDATE_MS 100  /* at most ten updates a second */
#define SURE_MS	  2000 /* before that, no rate and no time left */
#define LINE_MAX  256  /* bytes of a bar, more than any is long */

void progress_init(struct progress *progress, enum progress_kind kind, int fd,
		   const char *device)
{
	*progress = (struct progress){
		.kind = kind,
		.fd = kind == PROGRESS_BAR ? STDERR_FILENO : fd,
		.device = device,
	};
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* One write a line: whole lines for whoever reads the other end of a pipe. */
static void put(struct progress *progress, const char *s, size_t len)
{
	if (write(progress->fd, s, len) != (ssize_t)len)
		progress->kind = PROGRESS_NONE;
}

static int columns(int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) || size.ws_col < 2)
		return 80;
	return size.ws_col < LINE_MAX / 2 ? size.ws_col : LINE_MAX / 2;
}

/* Draws the text over the line that is there, blanks over its rest. */
static void draw(struct progress *progress, const char *text)
{
	char line[LINE_MAX];
	int width = (int)strlen(text), last = columns(progress->fd) - 1, len;

	if (width > last)
		width = last;
	if (progress->width > last)
		progress->width = last;
	len = snprintf(line, sizeof(line), "\r%-*.*s%s", progress->width, width,
		       text, width ? "" : "\r");
	progress->width = width;
	put(progress, line, (size_t)len);
}

void progress_clear(struct progress *progress)
{
	if (progress->kind == PROGRESS_BAR && progress->width)
		draw(progress, "");
}

/* Appends to text[LINE_MAX]; what does not fit is cut off. */
static void append(char *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void append(char *text, const char *format, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + len, LINE_MAX - len, format, args);
	va_end(args);
}

static void show_bar(struct progress *progress, const struct e4df_progress *now,
		     uint64_t elapsed)
{
	char text[LINE_MAX] = "";
	double share = 0;
	uint64_t left;

	append(text, "%s", now->name);
	if (now->total && now->done <= now->total) {
		share = (double)now->done / (double)now->total;
		append(text, ": %3u %%", (unsigned int)(share * 100));
	}
	if (now->bytes && elapsed >= SURE_MS)
		append(text, "  %.1f MiB/s",
		       (double)now->bytes / 1048.576 / (double)elapsed);
	if (share > 0 && elapsed >= SURE_MS) {
		left = (uint64_t)((double)elapsed * (1 / share - 1) / 1000);
		append(text, "  %u:%02u:%02u left", (unsigned int)(left / 3600),
		       (unsigned int)(left / 60 % 60),
		       (unsigned int)(left % 60));
	}
	draw(progress, text);
}

/* As in e2fsck; without a known end there is nothing that a reader can use. */
static void show_line(struct progress *progress,
		      const struct e4df_progress *now)
{
	char line[LINE_MAX];
	int len;

	len = snprintf(line, sizeof(line), "%d %llu %llu %s\n", now->phase,
		       (unsigned long long)now->done,
		       (unsigned long long)now->total, progress->device);
	if (len >= (int)sizeof(line)) {
		len = (int)sizeof(line) - 1;
		line[len - 1] = '\n';
	}
	progress->shown_done = now->done;
	progress->shown_total = now->total;
	put(progress, line, (size_t)len);
}

void progress_show(struct progress *progress, const struct e4df_progress *now)
{
	uint64_t t;
	int is_new, is_end;

	if (progress->kind == PROGRESS_NONE)
		return;
	t = now_ms();
	is_new = now->phase != progress->phase;
	if (is_new) {
		progress->phase = now->phase;
		progress->begun = t;
		progress->shown_done = progress->shown_total = 0;
	}
	if (progress->kind == PROGRESS_BAR) {
		if (!is_new && t - progress->shown_at < UPDATE_MS)
			return;
		show_bar(progress, now, t - progress->begun);
	} else {
		is_end = now->done == now->total;
		if (!now->total || (now->done == progress->shown_done &&
				    now->total == progress->shown_total))
			return;
		if (!is_end && progress->shown_total &&
		    t - progress->shown_at < UPDATE_MS)
			return;
		show_line(progress, now);
	}
	progress->shown_at = t;
}
