/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "namespace_priv.h"

#include <errno.h>

#include "e4df_err.h"

/*
 * The index of an inode number, as e4df_map_find() says.  Entries that follow
 * each other often name inodes that do, and as the map leaves some out, two
 * of them are no farther apart in it than their numbers are.
 */
static __u32 find_index(struct ns_finder *f, ext2_ino_t ino)
{
	const struct e4df_map *map = f->ns->map;
	__u32 lo = 0, hi = f->ns->xattrs, end = hi, guess;
	ext2_ino_t from;

	if (!hi)
		return f->ns->count;
	from = e4df_map_inode(map, f->hint)->ino;
	if (ino >= from) {
		lo = f->hint;
		if (ino - from < hi - lo)
			hi = lo + (ino - from) + 1;
	} else {
		hi = f->hint;
		if (from - ino < hi)
			lo = hi - (from - ino);
	}
	/* where it is if none between is left out */
	guess = ino >= from && hi > lo ? hi - 1 : lo;
	if (e4df_map_inode(map, guess)->ino == ino)
		lo = hi = guess;
	while (lo < hi) {
		__u32 mid = lo + (hi - lo) / 2;

		if (e4df_map_inode(map, mid)->ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == end || e4df_map_inode(map, lo)->ino != ino)
		return f->ns->count;
	f->hint = lo;
	return lo;
}

/* Gives a directory within its inode an index, once. */
static errcode_t add_inlined(struct ns_finder *f, ext2_ino_t ino, __u32 *target)
{
	struct e4df_namespace *ns = f->ns;
	const struct e4df_span *node = e4df_spans_floor(&f->inlined, ino);
	__u32 k = (__u32)ns->inlined_count;
	errcode_t err;

	if (node && node->key == ino) {
		*target = ns->count + node->owner;
		return 0;
	}
	if (ns->count >= NONE - 1 - k)
		return E4DF_ET_OVERFLOW;
	err = e4df_grow(&ns->inlined, &ns->inlined_alloc, (size_t)k + 1,
			sizeof(*ns->inlined));
	if (!err)
		err = e4df_spans_insert(&f->inlined, ino, 1, k, 0);
	if (err)
		return err;
	ns->inlined[ns->inlined_count++] = ino;
	*target = ns->count + k;
	return 0;
}

/* What an inode number stands for that the map does not have. */
static errcode_t look_aside(struct ns_finder *f, ext2_ino_t ino, int may_be_dir,
			    __u32 *target)
{
	struct ext2_inode inode;
	errcode_t err;

	if (may_be_dir && ext2fs_has_feature_inline_data(f->fs->super)) {
		err = ext2fs_read_inode(f->fs, ino, &inode);
		if (e4df_gate_cause(f->gate, err) == ENOMEM)
			return ENOMEM;
		if (!err && inode.i_links_count &&
		    inode.i_flags & EXT4_INLINE_DATA_FL &&
		    LINUX_S_ISDIR(inode.i_mode))
			return add_inlined(f, ino, target);
	}
	*target = e4df_namespace_xattr(f->ns, ino);
	return 0;
}

errcode_t e4df_namespace_target(struct ns_finder *f,
				const struct ext2_dir_entry *dirent,
				__u32 *target)
{
	int type = ext2fs_dirent_file_type(dirent);
	__u32 index = find_index(f, dirent->inode);

	if (index == f->ns->count)
		return look_aside(
			f, dirent->inode,
			type == EXT2_FT_DIR ||
				!ext2fs_has_feature_filetype(f->fs->super),
			target);
	*target = e4df_map_inode(f->ns->map, index)->kind == E4DF_INTERNAL ?
			  E4DF_NAMESPACE_NOTHING :
			  index;
	return 0;
}
