/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "namespace_priv.h"

#include "e4df_err.h"

/* Is the name of what has this index to be kept? */
static int is_kept(const struct e4df_namespace *ns,
		   const struct ns_wanted *wanted, __u32 index)
{
	ext2_ino_t ino;

	if (ns->flags & E4DF_NAMESPACE_ALL || index >= ns->count ||
	    e4df_map_inode(ns->map, index)->kind == E4DF_DIRECTORY)
		return 1;
	ino = e4df_map_inode(ns->map, index)->ino;
	for (size_t i = 0; i < wanted->count; i++)
		if (wanted->v[i] == ino)
			return 1;
	return 0;
}

static errcode_t keep_name(struct e4df_namespace *ns, __u32 entry,
			   const char *raw)
{
	size_t len = (unsigned char)*raw;
	char *to;
	errcode_t err;

	if (ns->pool_size + len + 1 > NONE)
		return E4DF_ET_OVERFLOW;
	err = e4df_grow(&ns->names, &ns->name_alloc, ns->name_count + 1,
			sizeof(*ns->names));
	if (!err)
		err = e4df_grow(&ns->pool, &ns->pool_alloc,
				ns->pool_size + len + 1, 1);
	if (err)
		return err;
	to = ns->pool + ns->pool_size;
	for (size_t i = 0; i < len; i++)
		to[i] = raw[i + 1] && raw[i + 1] != '/' ? raw[i + 1] : '?';
	to[len] = 0;
	ns->names[ns->name_count++] = (struct ns_name){
		.entry = entry,
		.at = (__u32)ns->pool_size,
	};
	ns->pool_size += len + 1;
	return 0;
}

static errcode_t add_entry(struct e4df_namespace *ns,
			   const struct ns_wanted *wanted,
			   const struct ns_raw *raw, const char *pool)
{
	__u32 entry = (__u32)ns->entry_count;
	errcode_t err = 0;

	if (entry == NONE)
		return E4DF_ET_OVERFLOW;
	err = e4df_grow(&ns->targets, &ns->entry_alloc, (size_t)entry + 1,
			sizeof(*ns->targets));
	if (!err && is_kept(ns, wanted, raw->target))
		err = keep_name(ns, entry, pool + raw->name);
	if (err)
		return err;
	ns->targets[ns->entry_count++] = raw->target;
	return 0;
}

static errcode_t add_dir(struct e4df_namespace *ns, __u32 index)
{
	errcode_t err = e4df_grow(&ns->dirs, &ns->dir_alloc, ns->dir_count + 1,
				  sizeof(*ns->dirs));

	if (!err)
		ns->dirs[ns->dir_count++] = (struct ns_dir){
			.index = index,
			.first = (__u32)ns->entry_count,
			.named_by = NONE,
		};
	return err;
}

errcode_t e4df_namespace_keep(struct e4df_namespace *ns,
			      const struct ns_wanted *wanted,
			      struct ns_batch *b)
{
	size_t i = 0;
	errcode_t err = 0;

	for (__u32 d = 0; d < b->rule_count && !err; d++) {
		err = add_dir(ns, b->rules[d].index);
		for (; i < b->raw_count && b->raw[i].dir == d && !err; i++)
			err = add_entry(ns, wanted, &b->raw[i], b->pool);
	}
	b->rule_count = b->raw_count = b->pool_size = 0;
	return err;
}
