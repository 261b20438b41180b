/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <errno.h>
#include <stdlib.h>

#define READ_BYTES (1 << 20)  /* one read at most */
#define GAP_BYTES  (64 << 10) /* read through, not around */
#define AHEAD	   128	      /* reads announced ahead, at most */

/* The end of the group of wanted blocks that begins at i and is one read. */
static size_t read_end(struct scan *s, const struct scan_blocks *b, size_t i)
{
	blk64_t bs = s->geometry.block_size, first = b->blk(s, b->ctx, i);
	blk64_t last = first, next;
	size_t end = i + 1;

	for (; end < b->count; end++, last = next) {
		next = b->blk(s, b->ctx, end);
		if (next < last || (next - last) * bs > GAP_BYTES ||
		    (next - first + 1) * bs > READ_BYTES)
			break;
	}
	return end;
}

/* From *next on, until so many reads are on their way. */
static void announce(struct scan *s, const struct scan_blocks *b, size_t *next,
		     unsigned int *pending)
{
	if (*pending > AHEAD / 2)
		return;
	for (; *pending < AHEAD && *next < b->count; ++*pending) {
		blk64_t first = b->blk(s, b->ctx, *next);
		size_t end = read_end(s, b, *next);

		e4df_gate_prefetch(s->gate, first,
				   b->blk(s, b->ctx, end - 1) - first + 1);
		*next = end;
	}
}

errcode_t e4df_scan_read_sorted(struct scan *s, const struct scan_blocks *b)
{
	unsigned int bs = s->geometry.block_size, pending = 0;
	size_t ahead = 0, end;
	errcode_t err = 0;
	char *buf;

	if (!b->count)
		return 0;
	buf = malloc(READ_BYTES > bs ? READ_BYTES : bs);
	if (!buf)
		return ENOMEM;
	for (size_t i = 0; i < b->count && !err; i = end) {
		blk64_t first = b->blk(s, b->ctx, i);

		announce(s, b, &ahead, &pending);
		end = read_end(s, b, i);
		err = e4df_event_check(s->sink);
		if (!err)
			err = e4df_gate_read(
				s->gate, first,
				b->blk(s, b->ctx, end - 1) - first + 1, buf);
		for (size_t k = i; k < end && !err; k++)
			err = b->visit(s, b->ctx, k,
				       buf + (b->blk(s, b->ctx, k) - first) *
						       bs);
		pending--;
	}
	free(buf);
	return err;
}
