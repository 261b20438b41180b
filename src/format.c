/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "format.h"

const char *format_size(char buf[FORMAT_SIZE], uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(buf, FORMAT_SIZE, "%u B", (unsigned int)bytes);
		return buf;
	}
	/* From 1023.95 on it would be printed as 1024.0. */
	for (; value >= 1023.95 && i < 5; i++)
		value /= 1024;
	snprintf(buf, FORMAT_SIZE, "%.1f %s", value, units[i]);
	return buf;
}

const char *format_score(char buf[FORMAT_SIZE], const struct e4df_stats *stats)
{
	unsigned int millionths;

	millionths = (unsigned int)(e4df_stats_score(stats) * 1e6);
	snprintf(buf, FORMAT_SIZE, "%u.%06u", millionths / 1000000,
		 millionths % 1000000);
	return buf;
}

unsigned int format_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned int len, code;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	code = p[0] & (0x7fU >> len);
	for (unsigned int i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fU);
	}
	/* Too long for its code, a surrogate, behind the end of Unicode. */
	if ((len == 3 && code < 0x800) || (len == 4 && code < 0x10000) ||
	    (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
		return 0;
	return len;
}

/* Control characters are U+0000 to U+001F and U+007F to U+009F. */
static int is_control(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}

void format_print(FILE *out, const char *s)
{
	while (*s) {
		unsigned int len = format_utf8(s);

		if (!len || is_control(s)) {
			fprintf(out, "\\%03o", (unsigned char)*s++);
			continue;
		}
		fwrite(s, 1, len, out);
		s += len;
	}
}
