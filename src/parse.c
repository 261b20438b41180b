/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The digits at the start of s.  Returns what follows, NULL without a number */
static const char *take_digits(const char *s, uint64_t *ret)
{
	uint64_t n = 0;

	if (*s < '0' || *s > '9')
		return NULL;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10U, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return NULL;
	*ret = n;
	return s;
}

int parse_number(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t n;
	const char *end = take_digits(s, &n);

	if (!end || *end || n > max)
		return -1;
	*ret = n;
	return 0;
}

int parse_size(const char *s, uint64_t max, uint64_t *ret)
{
	static const char units[] = "kmgtKMGT";
	uint64_t n;
	const char *end = take_digits(s, &n), *unit;

	if (!end)
		return -1;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1] ||
		    __builtin_mul_overflow(
			    n, 1ULL << (10 * ((unit - units) % 4 + 1)), &n))
			return -1;
	}
	if (n > max)
		return -1;
	*ret = n;
	return 0;
}

static int read_all(int fd, char **text, size_t *bytes)
{
	size_t alloc = 1 << 16, have = 0;
	char *buf = malloc(alloc), *more;
	ssize_t got = 1;

	while (buf && got) {
		if (have + 1 == alloc) {
			alloc *= 2;
			more = realloc(buf, alloc);
			if (!more)
				break;
			buf = more;
		}
		got = read(fd, buf + have, alloc - have - 1);
		if (got > 0)
			have += (size_t)got;
		else if (got < 0 && errno != EINTR)
			break;
	}
	if (!buf || got) {
		int err = got < 0 ? errno : ENOMEM;

		free(buf);
		return err;
	}
	buf[have] = '\0';
	*text = buf;
	*bytes = have;
	return 0;
}

int parse_read_file(const char *name, char **text, size_t *bytes)
{
	int is_input = !strcmp(name, "-");
	int fd = is_input ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return errno;
	err = read_all(fd, text, bytes);
	if (!is_input)
		close(fd);
	return err;
}
