/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * order - layer 5: in which order files are laid out
 *
 * First what a list asks for, then, if all files are laid out, the others as
 * a recursive reader meets them.
 *
 * The list is text, an entry on each line: a path, an inode number (12, or
 * <12> as debugfs writes it), or a pattern.  Blank lines and those that begin
 * with '#' do not count.  If there is a NUL in it, each entry ends with one
 * instead, and every entry counts.  What is listed twice has its first place.
 */
#ifndef E4DF_ORDER_H
#define E4DF_ORDER_H

#include "event.h"
#include "namespace.h"

struct e4df_order_options {
	const char *list; /* (borrowed) a NUL follows; NULL: no list */
	size_t list_bytes;
	unsigned int flags; /* E4DF_ORDER_ */
	enum e4df_sort sort;
};

#define E4DF_ORDER_ALL 0x1 /* files that are not listed follow, sorted */

struct e4df_order {
	__u32 *v; /* (owned) indices of the map */
	__u32 count;
	__u32 listed;  /* the first so many are the list's */
	__u64 unknown; /* entries of the list that name nothing */
};

/* Does it need names, and all of them (E4DF_NAMESPACE_ALL)? */
int e4df_order_needs_names(const struct e4df_order_options *options);

/*
 * Makes the order; entries that name nothing are noted.  The caller calls
 * e4df_order_release() in any case.  Returns ENOMEM, E4DF_ET_CANCELLED or
 * what reading inodes returns.
 */
errcode_t e4df_order_make(const struct e4df_order_options *options,
			  const struct e4df_namespace *names,
			  const struct e4df_map *map, struct e4df_sink *sink,
			  struct e4df_order *order);
void e4df_order_release(struct e4df_order *order);

#endif
