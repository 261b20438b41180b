/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "load.h"

#include <stdlib.h>

#include "spans.h"

void e4df_load_free(struct e4df_load *load)
{
	free(load->pieces);
	free(load->reads);
	free(load->writes);
	*load = (struct e4df_load){ .pieces = NULL };
}

int e4df_load_is_plain(const struct e4df_load *load,
		       const struct e4df_request *read)
{
	const struct e4df_piece *p = &load->pieces[read->first];

	for (__u32 i = 1; i < read->count; i++, p++)
		if (p[1].from != p->from + p->len || p[1].at != p->at + p->len)
			return 0;
	return 1;
}

struct e4df_piece e4df_load_part(const struct e4df_piece *piece,
				 const struct e4df_request *read)
{
	struct e4df_piece part = *piece;
	blk64_t end = read->blk + read->len;

	if (part.from < read->blk) {
		blk64_t skip = read->blk - part.from;

		part.from += skip;
		part.to += skip;
		part.at += skip;
		part.len -= (__u32)skip;
	}
	if (part.from + part.len > end)
		part.len = (__u32)(end - part.from);
	return part;
}

int e4df_load_is_touched(const struct e4df_load *load,
			 const struct e4df_request *read,
			 const struct e4df_runs *runs)
{
	const struct e4df_piece *p = &load->pieces[read->first];

	for (__u32 i = 0; i < read->count; i++)
		if (e4df_runs_is_touched(runs, p[i].from, p[i].len))
			return 1;
	return 0;
}

void e4df_loader_release(struct e4df_loader *loader)
{
	free(loader->moves);
	loader->moves = NULL;
}

/* -- which pieces ---------------------------------------------------------- */

/*
 * `brought` has what the batches of a load bring where: the pieces by their
 * destinations; owner = index.
 */

/*
 * Where the data of a block are before the load's first batch.  What an earlier
 * batch of the load brings there is not to be read from there, and is all the
 * same.  Cuts *len to what lies in one piece, or in none.
 */
static blk64_t trace(const struct e4df_load *load,
		     const struct e4df_spans *brought, blk64_t blk, __u32 *len)
{
	const struct e4df_span *n = e4df_spans_floor(brought, blk);
	blk64_t from = blk, end;

	if (n && blk < n->key + n->len) {
		from = load->pieces[n->owner].from +
		       (blk - load->pieces[n->owner].to);
		end = n->key + n->len;
	} else {
		n = e4df_spans_ceil(brought, blk);
		end = n ? n->key : blk + *len;
	}
	if (*len > end - blk)
		*len = (__u32)(end - blk);
	return from;
}

/* What earlier batches have brought to these blocks is elsewhere by now. */
static errcode_t forget(struct e4df_spans *brought, blk64_t blk, __u32 len)
{
	const struct e4df_span *n;
	blk64_t end = blk + len;
	errcode_t err = 0;

	while (!err && (n = e4df_spans_floor(brought, end - 1)) &&
	       n->key + n->len > blk) {
		struct e4df_span old = *n;

		e4df_spans_erase(brought, old.key, old.len);
		if (old.key < blk)
			err = e4df_spans_insert(brought, old.key, blk - old.key,
						old.owner, 0);
		if (!err && old.key + old.len > end)
			err = e4df_spans_insert(brought, end,
						old.key + old.len - end,
						old.owner, 0);
	}
	return err;
}

/* The rest of a move, or as much as there is room for. */
static errcode_t add_piece(struct e4df_loader *loader, struct e4df_load *load,
			   struct e4df_spans *brought)
{
	const struct e4df_move *move = &loader->moves[loader->move];
	blk64_t room = loader->limits.load - load->blocks;
	struct e4df_piece piece = {
		.to = move->to + loader->skip,
		.len = move->len - loader->skip,
		.batch = loader->next,
	};
	errcode_t err = e4df_grow(&load->pieces, &load->alloc, load->count + 1,
				  sizeof(*load->pieces));

	if (err)
		return err;
	if (piece.len > room)
		piece.len = (__u32)room;
	piece.from =
		trace(load, brought, move->from + loader->skip, &piece.len);
	err = forget(brought, piece.to, piece.len);
	if (!err)
		err = e4df_spans_insert(brought, piece.to, piece.len,
					(__u32)load->count, 0);
	if (err)
		return err;
	load->pieces[load->count++] = piece;
	load->blocks += piece.len;
	loader->skip += piece.len;
	if (loader->skip == move->len) {
		loader->skip = 0;
		loader->move++;
	}
	return 0;
}

/* Goes on to a batch that has something to read; past all if none has. */
static errcode_t find_batch(struct e4df_loader *loader)
{
	errcode_t err;

	while (loader->next < loader->count) {
		if (loader->moves && loader->move < loader->move_count)
			return 0;
		if (loader->moves) {
			e4df_loader_release(loader);
			loader->next++;
			continue;
		}
		loader->move = 0;
		err = e4df_batch_reads(&loader->batches[loader->next],
				       &loader->moves, &loader->move_count);
		if (err)
			return err;
	}
	return 0;
}

errcode_t e4df_load_add_taken(const struct e4df_batch *batches, size_t from,
			      size_t to, struct e4df_runs *ret)
{
	errcode_t err = 0;

	for (; from < to && !err; from++)
		err = e4df_batch_add_taken(&batches[from], 0, ret);
	e4df_runs_sort(ret);
	return err;
}

static errcode_t add_pieces(struct e4df_loader *loader, struct e4df_load *load)
{
	struct e4df_spans brought = E4DF_SPANS_INIT;
	errcode_t err = find_batch(loader);

	load->first = load->last = loader->next;
	while (loader->next < loader->count && !err &&
	       load->blocks < loader->limits.load) {
		load->last = loader->next;
		err = add_piece(loader, load, &brought);
		if (!err)
			err = find_batch(loader);
	}
	e4df_spans_free(&brought);
	return err;
}

/* -- how they are written, and read ---------------------------------------- */

static int compare_to(const void *a, const void *b)
{
	const struct e4df_piece *x = a, *y = b;

	if (x->batch != y->batch)
		return x->batch < y->batch ? -1 : 1;
	return (x->to > y->to) - (x->to < y->to);
}

static int compare_from(const void *a, const void *b)
{
	const struct e4df_piece *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

static errcode_t add_request(struct e4df_request **v, size_t *count,
			     size_t *alloc, const struct e4df_request *request)
{
	errcode_t err = e4df_grow(v, alloc, *count + 1, sizeof(**v));

	if (!err)
		(*v)[(*count)++] = *request;
	return err;
}

static struct e4df_request *last_of(struct e4df_request *v, size_t count)
{
	return count ? &v[count - 1] : NULL;
}

/* Continues the last write, or begins one, or both. */
static errcode_t add_write(struct e4df_load *load, blk64_t most,
			   const struct e4df_piece *piece)
{
	blk64_t done = 0, n;
	errcode_t err = 0;

	for (; done < piece->len && !err; done += n) {
		struct e4df_request *w =
			last_of(load->writes, load->write_count);
		blk64_t blk = piece->to + done;

		n = piece->len - done;
		if (w && w->batch == piece->batch && w->blk + w->len == blk &&
		    w->len < most) {
			if (n > most - w->len)
				n = most - w->len;
			w->len += (__u32)n;
			continue;
		}
		if (n > most)
			n = most;
		err = add_request(&load->writes, &load->write_count,
				  &load->write_alloc,
				  &(struct e4df_request){
					  .blk = blk,
					  .at = piece->at + done,
					  .len = (__u32)n,
					  .batch = piece->batch,
				  });
	}
	return err;
}

/* Is a source to be read by the request before it?  It may have it already. */
static int is_near(const struct e4df_request *r, blk64_t from,
		   const struct e4df_load_limits *limits)
{
	blk64_t end = r->blk + r->len;

	return from >= r->blk && from - r->blk < limits->request &&
	       (from <= end || from - end <= limits->gap);
}

/* Continues the last read, or begins one, or both. */
static errcode_t add_read(struct e4df_load *load,
			  const struct e4df_load_limits *limits, size_t i)
{
	const struct e4df_piece *piece = &load->pieces[i];
	blk64_t from = piece->from, end = piece->from + piece->len, n;
	errcode_t err = 0;

	for (; from < end && !err; from += n) {
		struct e4df_request *r = last_of(load->reads, load->read_count);

		n = end - from;
		if (r && is_near(r, from, limits)) {
			blk64_t left = limits->request - (from - r->blk);

			if (n > left)
				n = left;
			if (r->len < from + n - r->blk)
				r->len = (__u32)(from + n - r->blk);
			r->count = (__u32)(i + 1 - r->first);
			continue;
		}
		if (n > limits->request)
			n = limits->request;
		err = add_request(&load->reads, &load->read_count,
				  &load->read_alloc,
				  &(struct e4df_request){
					  .blk = from,
					  .at = piece->at + from - piece->from,
					  .len = (__u32)n,
					  .count = 1,
					  .first = i,
				  });
	}
	return err;
}

errcode_t e4df_loader_next(struct e4df_loader *loader, struct e4df_load *load)
{
	blk64_t at = 0;
	errcode_t err;

	load->count = load->read_count = load->write_count = 0;
	load->blocks = 0;
	err = add_pieces(loader, load);
	if (err || !load->count)
		return err;
	qsort(load->pieces, load->count, sizeof(*load->pieces), compare_to);
	for (size_t i = 0; i < load->count && !err; i++) {
		load->pieces[i].at = at;
		at += load->pieces[i].len;
		err = add_write(load, loader->limits.request, &load->pieces[i]);
	}
	qsort(load->pieces, load->count, sizeof(*load->pieces), compare_from);
	for (size_t i = 0; i < load->count && !err; i++)
		err = add_read(load, &loader->limits, i);
	return err;
}
