/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

struct maker {
	const struct e4df_namespace *names; /* (borrowed) */
	const struct e4df_map *map;	    /* (borrowed) */
	struct e4df_sink *sink;		    /* (borrowed) */
	struct e4df_order *order;	    /* (borrowed) */
	unsigned char *is_placed;	    /* (owned) for each index */
	__u32 count;			    /* indices */
};

int e4df_order_needs_names(const struct e4df_order_options *o)
{
	return o->list || o->flags & E4DF_ORDER_ALL;
}

static void place(struct maker *m, __u32 index)
{
	if (index >= m->count || m->is_placed[index])
		return;
	m->is_placed[index] = 1;
	m->order->v[m->order->count++] = index;
}

/* An inode alone, and the attribute block that goes with it. */
static void place_inode(struct maker *m, __u32 index)
{
	if (index >= m->count)
		return;
	place(m, index);
	place(m,
	      e4df_map_find_xattr(m->map, e4df_map_inode(m->map, index)->ino));
}

static errcode_t visit(void *ctx, __u32 index)
{
	place(ctx, index);
	return 0;
}

static void note_unknown(struct maker *m, const char *entry)
{
	m->order->unknown++;
	e4df_event_find(m->sink, E4DF_NOTE, 0, 0,
			"listed, but not in the file system: %s", entry);
}

/* 12 or <12>.  Returns 0 if it is something else. */
static int parse_inode(const char *s, __u64 *ret)
{
	int has_bracket = *s == '<';
	__u64 n = 0;

	s += has_bracket;
	if (*s < '0' || *s > '9')
		return 0;
	for (; *s >= '0' && *s <= '9'; s++)
		if (n <= UINT32_MAX)
			n = n * 10 + (__u64)(*s - '0');
	if (has_bracket && *s++ != '>')
		return 0;
	*ret = n;
	return !*s;
}

/* Like e4df_namespace_resolve(), but what is not there is no failure. */
static errcode_t find_path(struct maker *m, const char *path, __u32 *index)
{
	void (*finding)(void *ctx, const struct e4df_finding *finding) =
		m->sink->finding;
	errcode_t err;

	m->sink->finding = NULL;
	err = e4df_namespace_resolve(m->names, path, index);
	m->sink->finding = finding;
	return err;
}

/* A name can hold what a pattern is made of, so it counts as one first. */
static errcode_t place_path(struct maker *m, const char *entry)
{
	const struct e4df_visitor visitor = { .visit = visit, .ctx = m };
	__u64 matches = 0;
	__u32 index;
	errcode_t err = find_path(m, entry, &index);

	if (!err) {
		place_inode(m, index);
		return 0;
	}
	if (err != E4DF_ET_PATH)
		return err;
	if (strpbrk(entry, "*?[")) {
		err = e4df_namespace_glob(m->names, entry, 0, &visitor,
					  &matches);
		if (err)
			return err;
	}
	if (!matches)
		note_unknown(m, entry);
	return 0;
}

static errcode_t place_entry(struct maker *m, const char *entry)
{
	__u64 ino;
	__u32 index;

	if (!parse_inode(entry, &ino))
		return place_path(m, entry);
	index = ino <= UINT32_MAX ? e4df_map_find(m->map, (ext2_ino_t)ino) :
				    m->count;
	if (index == m->count)
		index = e4df_map_find_xattr(m->map, (ext2_ino_t)ino);
	if (ino > UINT32_MAX || index == m->count)
		note_unknown(m, entry);
	else
		place_inode(m, index);
	return 0;
}

static errcode_t place_list(struct maker *m, const char *list, size_t bytes)
{
	int end = memchr(list, '\0', bytes) ? '\0' : '\n';
	const char *at = list, *stop = list + bytes;
	errcode_t err = 0;

	while (at < stop && !err) {
		const char *next = memchr(at, end, (size_t)(stop - at));
		size_t len = (size_t)((next ? next : stop) - at);
		char *entry;

		if (len && !(end && *at == '#')) {
			entry = strndup(at, len);
			err = entry ? place_entry(m, entry) : ENOMEM;
			free(entry);
		}
		if (!err)
			err = e4df_event_check(m->sink);
		at += len + 1;
	}
	return err;
}

/* Those that are not listed. */
static errcode_t place_rest(struct maker *m, enum e4df_sort sort)
{
	__u32 *v, count;
	errcode_t err = e4df_namespace_order(m->names, sort, &v, &count);

	if (err)
		return err;
	for (__u32 i = 0; i < count; i++)
		place(m, v[i]);
	free(v);
	return 0;
}

errcode_t e4df_order_make(const struct e4df_order_options *o,
			  const struct e4df_namespace *names,
			  const struct e4df_map *map, struct e4df_sink *sink,
			  struct e4df_order *order)
{
	struct maker m = {
		.names = names,
		.map = map,
		.sink = sink,
		.order = order,
		.count = e4df_map_count(map),
	};
	errcode_t err = 0;

	*order = (struct e4df_order){ .v = NULL };
	if (!e4df_order_needs_names(o))
		return 0;
	order->v = malloc(((size_t)m.count + 1) * sizeof(*order->v));
	m.is_placed = calloc((size_t)m.count + 1, 1);
	if (!order->v || !m.is_placed)
		err = ENOMEM;
	if (!err && o->list)
		err = place_list(&m, o->list, o->list_bytes);
	order->listed = order->count;
	if (!err && o->flags & E4DF_ORDER_ALL)
		err = place_rest(&m, o->sort);
	free(m.is_placed);
	return err;
}

void e4df_order_release(struct e4df_order *order)
{
	free(order->v);
	order->v = NULL;
}
