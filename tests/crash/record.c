/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static errcode_t add_write(struct record *r, uint64_t offset, size_t bytes,
			   const void *data)
{
	struct record_write w = { .offset = offset, .bytes = bytes };
	struct record_epoch *e;
	errcode_t err = 0;

	if (r->is_flushed) {
		err = e4df_grow(&r->v, &r->alloc, r->count + 1, sizeof(*r->v));
		if (err)
			return err;
		memset(&r->v[r->count++], 0, sizeof(*r->v));
		r->is_flushed = 0;
	}
	e = &r->v[r->count - 1];
	err = e4df_grow(&e->v, &e->alloc, e->count + 1, sizeof(*e->v));
	if (err)
		return err;
	w.data = malloc(bytes);
	if (!w.data)
		return ENOMEM;
	memcpy(w.data, data, bytes);
	e->v[e->count++] = w;
	e->bytes += bytes;
	r->writes++;
	return 0;
}

static errcode_t before(void *ctx, enum e4df_gate_op op, uint64_t offset,
			size_t bytes, const void *data)
{
	struct record *r = ctx;

	if (op == E4DF_GATE_FLUSH)
		r->is_flushed = 1;
	return op == E4DF_GATE_WRITE ? add_write(r, offset, bytes, data) : 0;
}

struct e4df_gate_tap record_tap(struct record *record)
{
	return (struct e4df_gate_tap){ .before = before, .ctx = record };
}

void record_free(struct record *r)
{
	for (size_t i = 0; i < r->count; i++) {
		for (size_t k = 0; k < r->v[i].count; k++)
			free(r->v[i].v[k].data);
		free(r->v[i].v);
	}
	free(r->v);
	*r = (struct record)RECORD_INIT;
}
