/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "namespace_priv.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

#define WINDOW_BYTES (64 << 10) /* of an inode table, read at once */

const char *e4df_sort_name(enum e4df_sort sort)
{
	static const char *const names[E4DF_SORT_COUNT] = {
		[E4DF_SORT_READDIR] = "readdir", [E4DF_SORT_NAME] = "name",
		[E4DF_SORT_INODE] = "inode",	 [E4DF_SORT_SIZE] = "size",
		[E4DF_SORT_MTIME] = "mtime",
	};

	return names[sort];
}

/* A part of an inode table that has been read. */
struct window {
	ext2_filsys fs; /* (borrowed) */
	char *buf;	/* (owned) */
	blk64_t blk;	/* its first block, */
	blk64_t blocks; /* and how many; 0 at first */
	blk64_t most;	/* that it takes */
};

static errcode_t load(struct window *w, struct e4df_volume *vol, ext2_ino_t ino,
		      const struct ext2_inode_large **ret)
{
	const struct ext2_super_block *sb = w->fs->super;
	blk64_t bs = w->fs->blocksize;
	dgrp_t group = (ino - 1) / sb->s_inodes_per_group;
	blk64_t byte = (blk64_t)((ino - 1) % sb->s_inodes_per_group) *
		       EXT2_INODE_SIZE(sb);
	blk64_t table = ext2fs_inode_table_loc(w->fs, group);
	blk64_t end = table + w->fs->inode_blocks_per_group;
	blk64_t blk = table + byte / bs;
	errcode_t err = 0;

	if (blk < w->blk || blk >= w->blk + w->blocks) {
		w->blk = blk;
		w->blocks = end - blk < w->most ? end - blk : w->most;
		err = e4df_event_check(e4df_volume_sink(vol));
		if (!err)
			err = e4df_gate_read(e4df_volume_gate(vol), blk,
					     w->blocks, w->buf);
	}
	if (err)
		w->blocks = 0;
	else
		*ret = (const void *)(w->buf + (blk - w->blk) * bs + byte % bs);
	return err;
}

/* Seconds are 34 bits, from 1901 on, nanoseconds 30 (ext4_decode_extra_time) */
static __u64 mtime_key(const struct ext2_super_block *sb,
		       const struct ext2_inode_large *inode)
{
	__u64 seconds = (__u64)((__s64)(__s32)inode->i_mtime + (1LL << 31));
	__u32 extra = 0;

	if (EXT2_INODE_SIZE(sb) > EXT2_GOOD_OLD_INODE_SIZE &&
	    EXT2_GOOD_OLD_INODE_SIZE + (size_t)inode->i_extra_isize >=
		    offsetof(struct ext2_inode_large, i_atime_extra))
		extra = inode->i_mtime_extra;
	seconds += (__u64)(extra & 3) << 32;
	return seconds << 30 | extra >> 2;
}

static errcode_t read_keys(const struct e4df_namespace *ns, enum e4df_sort sort,
			   __u64 *keys)
{
	struct window w = { .fs = e4df_volume_fs(ns->vol) };
	const struct ext2_inode_large *inode;
	errcode_t err = 0;

	w.most = WINDOW_BYTES / w.fs->blocksize;
	w.buf = malloc(WINDOW_BYTES);
	if (!w.buf)
		return ENOMEM;
	for (__u32 i = 0; i < ns_indices(ns) && !err; i++) {
		err = load(&w, ns->vol, e4df_namespace_ino(ns, i), &inode);
		if (!err)
			keys[i] = sort == E4DF_SORT_SIZE ?
					  EXT2_I_SIZE(inode) :
					  mtime_key(w.fs->super, inode);
	}
	free(w.buf);
	return err;
}

struct list {
	__u32 *v; /* (owned) room for all */
	__u32 count;
};

static errcode_t add_to_list(void *ctx, __u32 index)
{
	struct list *list = ctx;

	list->v[list->count++] = index;
	return 0;
}

static errcode_t walk_root(struct ns_walk *w, struct list *list)
{
	const struct e4df_namespace *ns = w->ns;
	const struct e4df_visitor visitor = { add_to_list, list };
	__u32 entry = 0, dir;
	errcode_t err;

	if (ns->root >= ns_indices(ns))
		return 0;
	dir = e4df_namespace_dir(ns, ns->root);
	err = e4df_namespace_tell(w, ns->root, &visitor);
	if (!err && dir != NONE)
		err = e4df_namespace_enter(w, dir);
	while (!err) {
		err = e4df_namespace_next(w, &entry);
		if (err || entry == NONE)
			break;
		err = e4df_namespace_tell(w, ns->targets[entry], &visitor);
	}
	return err;
}

errcode_t e4df_namespace_order(const struct e4df_namespace *ns,
			       enum e4df_sort sort, __u32 **order, __u32 *count)
{
	int is_read = sort == E4DF_SORT_SIZE || sort == E4DF_SORT_MTIME;
	struct list list = { .count = 0 };
	__u64 *keys = NULL;
	struct ns_walk w;
	errcode_t err = e4df_namespace_begin(&w, ns);

	if (err)
		return err;
	list.v = malloc(((size_t)ns->count + 1) * sizeof(*list.v));
	if (is_read)
		keys = calloc((size_t)ns_indices(ns) + 1, sizeof(*keys));
	if (!list.v || (is_read && !keys))
		err = ENOMEM;
	if (!err && is_read)
		err = read_keys(ns, sort, keys);
	w.sort = sort;
	w.keys = keys;
	if (!err)
		err = walk_root(&w, &list);
	e4df_namespace_end(&w);
	free(keys);
	if (err) {
		free(list.v);
		return err;
	}
	*order = list.v;
	*count = list.count;
	return 0;
}
