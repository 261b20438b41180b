/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "namespace_priv.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

#define AHEAD 16 /* entries */

/* Was the bit set already?  It is from now on. */
static int test_and_set(unsigned char *bits, __u32 n)
{
	unsigned char mask = (unsigned char)(1 << n % 8);
	int was_set = bits[n / 8] & mask;

	bits[n / 8] |= mask;
	return was_set;
}

errcode_t e4df_namespace_begin(struct ns_walk *w,
			       const struct e4df_namespace *ns)
{
	*w = (struct ns_walk){ .ns = ns, .next_dir = NONE };
	w->entered = calloc(ns->dir_count / 8 + 1, 1);
	w->told = calloc(ns_indices(ns) / 8 + 1, 1);
	if (w->entered && w->told)
		return 0;
	e4df_namespace_end(w);
	return ENOMEM;
}

void e4df_namespace_end(struct ns_walk *w)
{
	while (w->depth)
		free(w->stack[--w->depth].list);
	free(w->stack);
	free(w->entered);
	free(w->told);
}

struct item {
	__u64 key;
	const char *name; /* (borrowed) "" unless it decides */
	__u32 entry;
};

static int compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int order;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	order = strcmp(x->name, y->name);
	return order ? order : (x->entry > y->entry) - (x->entry < y->entry);
}

/* The entries of a directory in another order than readdir's. */
static errcode_t sort_frame(const struct ns_walk *w, struct ns_frame *frame)
{
	const struct e4df_namespace *ns = w->ns;
	size_t count = frame->end - frame->at;
	struct item *items = malloc((count + 1) * sizeof(*items));

	frame->list = malloc((count + 1) * sizeof(*frame->list));
	if (!items || !frame->list) {
		free(items);
		free(frame->list);
		return ENOMEM;
	}
	for (__u32 i = 0; i < count; i++) {
		__u32 entry = frame->at + i, index = ns->targets[entry];
		int is_name = w->sort == E4DF_SORT_NAME;

		items[i] = (struct item){
			.name = is_name ? e4df_namespace_name(ns, entry) : "",
			.entry = entry,
		};
		if (!is_name && index != E4DF_NAMESPACE_NOTHING)
			items[i].key = w->keys ? w->keys[index] :
						 e4df_namespace_ino(ns, index);
	}
	if (count)
		qsort(items, count, sizeof(*items), compare_items);
	for (size_t i = 0; i < count; i++)
		frame->list[i] = items[i].entry;
	frame->at = 0;
	frame->end = (__u32)count;
	free(items);
	return 0;
}

errcode_t e4df_namespace_enter(struct ns_walk *w, __u32 dir)
{
	struct ns_frame frame = w->next;
	errcode_t err;

	memset(&w->next, 0, sizeof(w->next));
	w->next_dir = NONE;
	if (test_and_set(w->entered, dir))
		return 0;
	frame.at = w->ns->dirs[dir].first;
	frame.end = ns_end(w->ns, dir);
	err = e4df_grow(&w->stack, &w->alloc, w->depth + 1, sizeof(*w->stack));
	if (!err && w->sort != E4DF_SORT_READDIR)
		err = sort_frame(w, &frame);
	if (!err)
		w->stack[w->depth++] = frame;
	return err;
}

/*
 * Entries in the order of a hash lead to inodes in no order.  What is fetched
 * while those before are visited need not be waited for: first the inodes, and
 * when they are there, their extents.
 */
static void fetch_ahead(const struct e4df_namespace *ns,
			const struct ns_frame *top)
{
	__u32 far, near;

	if (top->list || top->end - top->at <= AHEAD)
		return;
	far = ns->targets[top->at + AHEAD];
	near = ns->targets[top->at + AHEAD / 2];
	if (far < ns->count)
		__builtin_prefetch(e4df_map_inode(ns->map, far));
	if (near < ns->count)
		__builtin_prefetch(e4df_map_extents(ns->map, near));
}

errcode_t e4df_namespace_next(struct ns_walk *w, __u32 *entry)
{
	const struct e4df_namespace *ns = w->ns;
	errcode_t err = 0;
	__u32 index;

	*entry = NONE;
	if (w->next_dir != NONE)
		err = e4df_namespace_enter(w, w->next_dir);
	if (err)
		return err;
	while (w->depth) {
		struct ns_frame *top = &w->stack[w->depth - 1];

		if (top->at < top->end) {
			fetch_ahead(ns, top);
			*entry = top->list ? top->list[top->at] : top->at;
			top->at++;
			break;
		}
		free(top->list);
		w->depth--;
	}
	if (*entry == NONE)
		return 0;
	index = ns->targets[*entry];
	if (index >= ns->count ?
		    index < ns_indices(ns) :
		    e4df_map_inode(ns->map, index)->kind == E4DF_DIRECTORY)
		w->next_dir = e4df_namespace_dir(ns, index);
	return 0;
}

errcode_t e4df_namespace_tell(struct ns_walk *w, __u32 index,
			      const struct e4df_visitor *visitor)
{
	const struct e4df_namespace *ns = w->ns;
	__u32 xattr = E4DF_NAMESPACE_NOTHING;
	errcode_t err = 0;

	if (index >= ns_indices(ns) || test_and_set(w->told, index))
		return 0;
	if (index < ns->count)
		err = visitor->visit(visitor->ctx, index);
	if (!err && ns->xattrs < ns->count && index < ns->xattrs)
		xattr = e4df_namespace_xattr(ns, e4df_namespace_ino(ns, index));
	else if (!err && index >= ns->count)
		xattr = e4df_namespace_xattr(ns, e4df_namespace_ino(ns, index));
	if (xattr == E4DF_NAMESPACE_NOTHING || test_and_set(w->told, xattr))
		return err;
	return visitor->visit(visitor->ctx, xattr);
}

errcode_t e4df_namespace_walk(const struct e4df_namespace *ns, __u32 index,
			      const struct e4df_visitor *visitor)
{
	struct ns_walk w;
	__u32 dir, entry;
	errcode_t err;

	if (index >= ns_indices(ns))
		return 0;
	err = e4df_namespace_begin(&w, ns);
	if (err)
		return err;
	err = e4df_namespace_tell(&w, index, visitor);
	dir = e4df_namespace_dir(ns, index);
	if (!err && dir != NONE)
		err = e4df_namespace_enter(&w, dir);
	while (!err) {
		err = e4df_namespace_next(&w, &entry);
		if (err || entry == NONE)
			break;
		err = e4df_namespace_tell(&w, ns->targets[entry], visitor);
	}
	e4df_namespace_end(&w);
	return err;
}

/* A pattern, and the path of the entry at hand. */
struct glob {
	const char *pattern; /* (borrowed) */
	int has_slash;
	unsigned int flags; /* E4DF_NAMESPACE_BELOW */
	char *path;	    /* (owned) */
	size_t alloc;
	__u64 matches;
};

/* Extends the path of the directory on top of the stack by a name. */
static errcode_t set_path(struct glob *g, size_t len, const char *name,
			  size_t *path_len)
{
	size_t more = strlen(name);
	errcode_t err = e4df_grow(&g->path, &g->alloc, len + more + 2, 1);

	if (err)
		return err;
	g->path[len] = '/';
	memcpy(g->path + len + 1, name, more + 1);
	*path_len = len + more + 1;
	return 0;
}

/* The path begins with a '/', the pattern may. */
static int is_match(const struct glob *g, const char *path, const char *name)
{
	if (!g->has_slash)
		return !fnmatch(g->pattern, name, 0);
	return !fnmatch(g->pattern, path + (*g->pattern != '/'), FNM_PATHNAME);
}

static errcode_t match_entry(struct ns_walk *w, struct glob *g, __u32 entry,
			     const struct e4df_visitor *visitor)
{
	const struct e4df_namespace *ns = w->ns;
	const struct ns_frame *top = &w->stack[w->depth - 1];
	const char *name = e4df_namespace_name(ns, entry);
	int is_below = top->is_below, matches;
	size_t len;
	errcode_t err = set_path(g, top->path, name, &len);

	if (err)
		return err;
	matches = is_match(g, g->path, name);
	g->matches += matches != 0;
	w->next.path = len;
	w->next.is_below = is_below ||
			   (matches && g->flags & E4DF_NAMESPACE_BELOW);
	if (!matches && !is_below)
		return 0;
	return e4df_namespace_tell(w, ns->targets[entry], visitor);
}

/* The root has no name of its own. */
static errcode_t match_root(struct ns_walk *w, struct glob *g,
			    const struct e4df_visitor *visitor)
{
	__u32 dir = w->ns->root < ns_indices(w->ns) ?
			    e4df_namespace_dir(w->ns, w->ns->root) :
			    NONE;
	errcode_t err = 0;

	if (!strcmp(g->pattern, "/")) {
		g->matches++;
		w->next.is_below = (g->flags & E4DF_NAMESPACE_BELOW) != 0;
		err = e4df_namespace_tell(w, w->ns->root, visitor);
	}
	if (err || dir == NONE)
		return err;
	return e4df_namespace_enter(w, dir);
}

errcode_t e4df_namespace_glob(const struct e4df_namespace *ns,
			      const char *pattern, unsigned int flags,
			      const struct e4df_visitor *visitor,
			      __u64 *matches)
{
	struct glob g = {
		.pattern = pattern,
		.has_slash = strchr(pattern, '/') != NULL,
		.flags = flags,
	};
	struct ns_walk w;
	__u32 entry;
	errcode_t err = e4df_namespace_begin(&w, ns);

	if (err)
		return err;
	err = match_root(&w, &g, visitor);
	while (!err) {
		err = e4df_namespace_next(&w, &entry);
		if (err || entry == NONE)
			break;
		err = match_entry(&w, &g, entry, visitor);
	}
	e4df_namespace_end(&w);
	free(g.path);
	if (!err && matches)
		*matches = g.matches;
	return err;
}
