/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

/* A mark for each index of the map. */
struct marks {
	unsigned char *v; /* (owned) */
	__u32 count;
};

static errcode_t mark(void *ctx, __u32 index)
{
	struct marks *marks = ctx;

	marks->v[index] = 1;
	return 0;
}

static errcode_t marks_init(struct marks *marks, const struct e4df_map *map)
{
	marks->count = e4df_map_count(map);
	marks->v = calloc((size_t)marks->count + 1, 1);
	return marks->v ? 0 : ENOMEM;
}

int e4df_scope_needs_names(const struct e4df_scope_options *o)
{
	return o->path_count || o->exclude_count;
}

/* The attribute blocks of what is marked, whichever owner that is. */
static void mark_xattrs(const struct e4df_map *map, struct marks *marks)
{
	for (__u32 i = 0; i < marks->count; i++) {
		const ext2_ino_t *owner;
		__u32 owners;

		if (e4df_map_inode(map, i)->kind != E4DF_XATTR)
			continue;
		owner = e4df_map_owners(map, i, &owners);
		for (__u32 k = 0; k < owners && !marks->v[i]; k++) {
			__u32 at = e4df_map_find(map, owner[k]);

			if (at < marks->count)
				marks->v[i] = marks->v[at];
		}
	}
}

static errcode_t pin_marked(struct e4df_map *map, const struct marks *marks)
{
	__u32 *list = malloc(((size_t)marks->count + 1) * sizeof(*list));
	size_t n = 0;
	errcode_t err;

	if (!list)
		return ENOMEM;
	for (__u32 i = 0; i < marks->count; i++)
		if (marks->v[i] && e4df_map_inode(map, i)->why == E4DF_MOVABLE)
			list[n++] = i;
	err = e4df_map_pin(map, list, n, E4DF_WHY_EXCLUDED);
	free(list);
	return err;
}

errcode_t e4df_scope_exclude(const struct e4df_scope_options *o,
			     const struct e4df_namespace *names,
			     struct e4df_map *map, struct e4df_sink *sink)
{
	struct marks marks;
	const struct e4df_visitor visitor = { .visit = mark, .ctx = &marks };
	errcode_t err;

	if (!o->exclude_count)
		return 0;
	if (e4df_namespace_damage(names))
		return e4df_event_fail(sink, E4DF_ET_PATH,
				       "directories could not be read while "
				       "%s, so it is not known what is "
				       "excluded; nothing done",
				       e4df_event_now(sink));
	err = marks_init(&marks, map);
	for (size_t i = 0; i < o->exclude_count && !err; i++) {
		__u64 matches = 0;

		err = e4df_namespace_glob(names, o->excludes[i],
					  E4DF_NAMESPACE_BELOW, &visitor,
					  &matches);
		if (!err && !matches)
			e4df_event_find(sink, E4DF_NOTE, 0, 0,
					"nothing to exclude matches %s",
					o->excludes[i]);
	}
	if (!err) {
		mark_xattrs(map, &marks);
		err = pin_marked(map, &marks);
	}
	free(marks.v);
	return err;
}

static errcode_t mark_paths(const struct e4df_scope_options *o,
			    const struct e4df_namespace *names,
			    struct marks *marks)
{
	const struct e4df_visitor visitor = { .visit = mark, .ctx = marks };
	errcode_t err = 0;

	if (!o->path_count)
		memset(marks->v, 1, marks->count);
	for (size_t i = 0; i < o->path_count && !err; i++) {
		__u32 index;

		err = e4df_namespace_resolve(names, o->paths[i], &index);
		if (!err && index != E4DF_NAMESPACE_NOTHING)
			err = e4df_namespace_walk(names, index, &visitor);
	}
	return err;
}

/* Takes the mark from what is too small, or in few runs. */
static void unmark_small(const struct e4df_scope_options *o,
			 const struct e4df_map *map, struct marks *marks)
{
	unsigned int bs = e4df_map_geometry(map)->block_size;

	for (__u32 i = 0; i < marks->count; i++) {
		const struct e4df_inode *inode = e4df_map_inode(map, i);
		struct e4df_shape shape;

		if (inode->kind == E4DF_XATTR) {
			__u32 at = e4df_map_find(map, inode->ino);

			marks->v[i] &= at < marks->count && marks->v[at];
			continue;
		}
		e4df_map_measure(map, i, &shape);
		if (shape.blocks * bs < o->min_bytes ||
		    shape.runs < o->min_runs)
			marks->v[i] = 0;
	}
}

errcode_t e4df_scope_choose(const struct e4df_scope_options *o,
			    const struct e4df_namespace *names,
			    const struct e4df_map *map,
			    unsigned char **is_wanted)
{
	struct marks marks;
	errcode_t err;

	*is_wanted = NULL;
	if (!o->path_count && !o->min_bytes && !o->min_runs)
		return 0;
	err = marks_init(&marks, map);
	if (!err)
		err = mark_paths(o, names, &marks);
	if (err) {
		free(marks.v);
		return err;
	}
	if (o->min_bytes || o->min_runs)
		unmark_small(o, map, &marks);
	*is_wanted = marks.v;
	return 0;
}
