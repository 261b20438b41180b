/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scope - layer 5: which files are to be improved, and which stay
 *
 * A file that is not wanted is not improved for its own sake, but may make
 * room for others; it stays as contiguous as it is.  One that is excluded
 * stays where it is, and so do its blocks of extended attributes.
 */
#ifndef E4DF_SCOPE_H
#define E4DF_SCOPE_H

#include "event.h"
#include "namespace.h"

struct e4df_scope_options {
	/* (borrowed) only these, and what is below them; none: all */
	const char *const *paths;
	size_t path_count;
	/* (borrowed) patterns: not these, and what is below them */
	const char *const *excludes;
	size_t exclude_count;
	uint64_t min_bytes; /* only files whose blocks are as large */
	uint32_t min_runs;  /* only files with as many runs */
};

/* Does it need names (E4DF_NAMESPACE_ALL)? */
int e4df_scope_needs_names(const struct e4df_scope_options *options);

/*
 * Pins what is excluded, in a map that has just been finished, for
 * E4DF_WHY_EXCLUDED; inodes that are not movable keep their reason.  The
 * names may be NULL if nothing needs them.  Returns ENOMEM, or E4DF_ET_PATH,
 * explained, if there are directories that cannot be read.
 */
errcode_t e4df_scope_exclude(const struct e4df_scope_options *options,
			     const struct e4df_namespace *names,
			     struct e4df_map *map, struct e4df_sink *sink);

/*
 * For each index of the map: is it to be improved?  *is_wanted is the
 * caller's to free; NULL if all are.  The attribute blocks of a file are
 * wanted with the first of their owners.  Returns ENOMEM, or E4DF_ET_PATH,
 * explained, for a path that does not exist.
 */
errcode_t e4df_scope_choose(const struct e4df_scope_options *options,
			    const struct e4df_namespace *names,
			    const struct e4df_map *map,
			    unsigned char **is_wanted);

#endif
