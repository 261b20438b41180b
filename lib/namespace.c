/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "namespace_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

void e4df_namespace_free(struct e4df_namespace *ns)
{
	if (!ns)
		return;
	free(ns->dirs);
	free(ns->by_index);
	free(ns->targets);
	free(ns->names);
	free(ns->pool);
	free(ns->inlined);
	free(ns);
}

__u64 e4df_namespace_damage(const struct e4df_namespace *ns)
{
	return ns->damage;
}

__u32 e4df_namespace_root(const struct e4df_namespace *ns)
{
	return ns->root;
}

__u32 e4df_namespace_dir(const struct e4df_namespace *ns, __u32 index)
{
	size_t lo = 0, hi = ns->dir_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ns->dirs[ns->by_index[mid]].index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < ns->dir_count && ns->dirs[ns->by_index[lo]].index == index ?
		       ns->by_index[lo] :
		       NONE;
}

__u32 e4df_namespace_dir_of(const struct e4df_namespace *ns, __u32 entry)
{
	size_t lo = 0, hi = ns->dir_count;

	/* the last one that does not begin behind it */
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (ns->dirs[mid].first <= entry)
			lo = mid;
		else
			hi = mid;
	}
	return (__u32)lo;
}

const char *e4df_namespace_name(const struct e4df_namespace *ns, __u32 entry)
{
	size_t lo = 0, hi = ns->name_count;

	if (ns->name_count == ns->entry_count)
		return ns->pool + ns->names[entry].at;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ns->names[mid].entry < entry)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < ns->name_count && ns->names[lo].entry == entry ?
		       ns->pool + ns->names[lo].at :
		       NULL;
}

ext2_ino_t e4df_namespace_ino(const struct e4df_namespace *ns, __u32 index)
{
	return index < ns->count ? e4df_map_inode(ns->map, index)->ino :
				   ns->inlined[index - ns->count];
}

__u32 e4df_namespace_xattr(const struct e4df_namespace *ns, ext2_ino_t ino)
{
	__u32 index = e4df_map_find_xattr(ns->map, ino);

	return index < ns->count ? index : E4DF_NAMESPACE_NOTHING;
}

/*
 * The first entry that names an index.  Only those of directories are at hand,
 * for a path is asked of few files; the others are looked for.
 */
static __u32 find_entry(const struct e4df_namespace *ns, __u32 index)
{
	__u32 dir = e4df_namespace_dir(ns, index);

	if (dir != NONE)
		return ns->dirs[dir].named_by;
	for (size_t k = 0; k < ns->name_count; k++)
		if (ns->targets[ns->names[k].entry] == index)
			return ns->names[k].entry;
	return NONE;
}

/* The index that a path goes through: an xattr block's owner has the name. */
static __u32 named_index(const struct e4df_namespace *ns, __u32 index)
{
	ext2_ino_t ino;

	if (index >= ns->count ||
	    e4df_map_inode(ns->map, index)->kind != E4DF_XATTR ||
	    find_entry(ns, index) != NONE)
		return index;
	ino = e4df_map_inode(ns->map, index)->ino;
	for (__u32 k = 0; k < ns->inlined_count; k++)
		if (ns->inlined[k] == ino)
			return ns->count + k;
	return e4df_map_find(ns->map, ino);
}

/*
 * The entry above an index, the root's is NONE.  Sets *dir to the directory
 * that it is in.
 */
static __u32 climb(const struct e4df_namespace *ns, __u32 index, __u32 *dir)
{
	__u32 entry = find_entry(ns, index);

	if (entry != NONE)
		*dir = e4df_namespace_dir_of(ns, entry);
	return entry;
}

/* The bytes of a path with its '/', 0 if there is none. */
static size_t measure_path(const struct e4df_namespace *ns, __u32 index)
{
	size_t bytes = 0, steps = 0;

	while (index != ns->root) {
		__u32 dir = 0, entry = climb(ns, index, &dir);
		const char *name;

		/* A directory that contains itself has no path. */
		if (entry == NONE || steps++ > ns->dir_count)
			return 0;
		name = e4df_namespace_name(ns, entry);
		if (!name)
			return 0;
		bytes += strlen(name) + 1;
		index = ns->dirs[dir].index;
	}
	return bytes ? bytes : 1;
}

errcode_t e4df_namespace_path(const struct e4df_namespace *ns, __u32 index,
			      char **path)
{
	size_t bytes;
	char *text;

	index = named_index(ns, index);
	bytes = index < ns_indices(ns) ? measure_path(ns, index) : 0;
	*path = NULL;
	if (!bytes)
		return 0;
	text = malloc(bytes + 1);
	if (!text)
		return ENOMEM;
	strcpy(text, "/");
	text[bytes] = 0;
	while (index != ns->root) {
		__u32 dir = 0, entry = climb(ns, index, &dir);
		const char *name = e4df_namespace_name(ns, entry);

		bytes -= strlen(name);
		memcpy(text + bytes, name, strlen(name));
		text[--bytes] = '/';
		index = ns->dirs[dir].index;
	}
	*path = text;
	return 0;
}

/* The entry of a directory with this name, NONE if there is none. */
static __u32 look_up(const struct e4df_namespace *ns, __u32 dir,
		     const char *name, size_t len)
{
	for (__u32 e = ns->dirs[dir].first; e < ns_end(ns, dir); e++) {
		const char *other = e4df_namespace_name(ns, e);

		if (!strncmp(other, name, len) && !other[len])
			return e;
	}
	return NONE;
}

/* "..": the directory above; the root is its own. */
static __u32 parent_of(const struct e4df_namespace *ns, __u32 index)
{
	__u32 dir = NONE, entry = climb(ns, index, &dir);

	if (index == ns->root || entry == NONE)
		return ns->root;
	return ns->dirs[dir].index;
}

static errcode_t no_path(const struct e4df_namespace *ns, const char *path,
			 size_t len, const char *what)
{
	return e4df_event_fail(e4df_volume_sink(ns->vol), E4DF_ET_PATH,
			       "%s: %.*s%s%s", path, (int)len, path, what,
			       ns->damage ? " (some directories cannot be "
					    "read)" :
					    "");
}

errcode_t e4df_namespace_resolve(const struct e4df_namespace *ns,
				 const char *path, __u32 *index)
{
	__u32 at = ns->root;
	const char *p = path;

	for (;;) {
		__u32 dir, entry;
		size_t len;

		p += strspn(p, "/");
		len = strcspn(p, "/");
		dir = at < ns_indices(ns) ? e4df_namespace_dir(ns, at) : NONE;
		if (dir == NONE && p > path && (len || p[-1] == '/'))
			return no_path(ns, path, (size_t)(p - path),
				       " is not a directory; symbolic links "
				       "are not followed");
		if (!len)
			break;
		if (len == 2 && !memcmp(p, "..", 2)) {
			at = parent_of(ns, at);
		} else if (len != 1 || *p != '.') {
			entry = look_up(ns, dir, p, len);
			if (entry == NONE)
				return no_path(ns, path,
					       (size_t)(p - path) + len,
					       " is not there");
			at = ns->targets[entry];
		}
		p += len;
	}
	*index = at;
	return 0;
}
