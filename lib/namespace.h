/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * namespace - layer 4: the names in the directories, and what they tell
 *
 * Reads every directory once, after the scan, in physical order as far as
 * that goes, and keeps for each name the index in the map of what it names,
 * in the order in which the kernel's readdir returns it.  That order is known
 * because the seed of the hash is.
 *
 * What an index of the map does not have is left out: inodes without blocks
 * are not told.  An inode without blocks, but with an xattr block of its own,
 * is that block.  A directory within its inode has an index of its own behind
 * those of the map, which the queries take and never tell.
 *
 * A block that cannot be read, or makes no sense, has no names; that is
 * nothing to complain of, and is counted.  Bytes that no name can have (in
 * encrypted ones) are '?'.
 *
 * Memory: 4 bytes for each name, 16 for each directory, and 9 and its length
 * for each name that is kept; some MiB while it reads.  A thread sorts names
 * meanwhile; nothing depends on it.
 */
#ifndef E4DF_NAMESPACE_H
#define E4DF_NAMESPACE_H

#include "map.h"
#include "volume.h"

struct e4df_namespace;

#define E4DF_NAMESPACE_ALL 0x1 /* keep all names */

/*
 * Without E4DF_NAMESPACE_ALL only the names of directories and of the inodes
 * in `wanted` are kept, which is enough for their paths and for orders but
 * that by name.  Volume and map are borrowed: indices stay as they are
 * while files move, but behind a new scan.  Returns ENOMEM,
 * E4DF_ET_CANCELLED or E4DF_ET_OVERFLOW (4 GiB of names).
 */
errcode_t e4df_namespace_read(struct e4df_volume *vol,
			      const struct e4df_map *map, unsigned int flags,
			      const ext2_ino_t *wanted, size_t wanted_count,
			      struct e4df_namespace **ret);
void e4df_namespace_free(struct e4df_namespace *ns);

/* Blocks of directories that could not be read, or not to their end. */
__u64 e4df_namespace_damage(const struct e4df_namespace *ns);

/*
 * The path of an inode, from the root on, by the first of its names that was
 * read; an xattr block's is that of its first owner.  *path is the caller's to
 * free; NULL where no kept name leads there.  Returns ENOMEM.
 */
errcode_t e4df_namespace_path(const struct e4df_namespace *ns, __u32 index,
			      char **path);

#define E4DF_NAMESPACE_NOTHING UINT32_MAX /* it has no blocks */

/* The index of the root, which may be within its inode, or NOTHING. */
__u32 e4df_namespace_root(const struct e4df_namespace *ns);

/*
 * The index of what a path names (needs E4DF_NAMESPACE_ALL).  Symbolic links
 * are not followed; the path begins at the root, with or without '/'.  ".."
 * is understood, and names are compared byte by byte.  *index may be
 * E4DF_NAMESPACE_NOTHING, and that of a directory within its inode.  Returns
 * E4DF_ET_PATH, explained to the sink.
 */
errcode_t e4df_namespace_resolve(const struct e4df_namespace *ns,
				 const char *path, __u32 *index);

/* Who is called back; an error returned ends the query, and is returned. */
struct e4df_visitor {
	errcode_t (*visit)(void *ctx, __u32 index);
	void *ctx; /* (borrowed) */
};

/*
 * Calls back once for each inode below a directory, and for itself first, in
 * readdir order; for a file, for it alone.  xattr blocks follow their first
 * owner.  Returns what the visitor returns, or ENOMEM.
 */
errcode_t e4df_namespace_walk(const struct e4df_namespace *ns, __u32 index,
			      const struct e4df_visitor *visitor);

#define E4DF_NAMESPACE_BELOW 0x1 /* and all that is below what matches */

/*
 * The same for each inode with a path that matches (needs
 * E4DF_NAMESPACE_ALL); each comes once, followed by its xattr block.  A
 * pattern without '/' is compared with the last component of a path; one with
 * '/' with the whole of it, from the root on, with or without the '/' at the
 * front; neither '*', '?' nor '[' matches a '/' then (fnmatch,
 * FNM_PATHNAME; a leading '.' is nothing special).  *matches (may be NULL) is
 * the number of names that matched, also of what has no blocks.
 */
errcode_t e4df_namespace_glob(const struct e4df_namespace *ns,
			      const char *pattern, unsigned int flags,
			      const struct e4df_visitor *visitor,
			      __u64 *matches);

/* In what order a reader takes the entries of a directory. */
enum e4df_sort {
	E4DF_SORT_READDIR, /* as the kernel returns them */
	E4DF_SORT_NAME,	   /* bytes ascending (needs E4DF_NAMESPACE_ALL) */
	E4DF_SORT_INODE,   /* numbers ascending */
	E4DF_SORT_SIZE,	   /* bytes ascending */
	E4DF_SORT_MTIME,   /* oldest first */
	E4DF_SORT_COUNT
};

/* "readdir", "name" ... */
const char *e4df_sort_name(enum e4df_sort sort);

/*
 * The order in which a recursive reader meets the inodes: from the root on,
 * each directory before what is in it, and at its place among its siblings;
 * equals as readdir has them.  Each index comes once, at its first name, and
 * then its xattr block.  What no name leads to is not in it.  *order (count
 * entries) is the caller's to free.  SIZE and MTIME read the inodes once more.
 * Returns ENOMEM, E4DF_ET_CANCELLED or errno.
 */
errcode_t e4df_namespace_order(const struct e4df_namespace *ns,
			       enum e4df_sort sort, __u32 **order,
			       __u32 *count);

#endif
