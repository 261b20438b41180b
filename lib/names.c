/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct search {
	const struct e4df_sink *sink;
	const ext2_ino_t *ino;
	ext2_ino_t *parent; /* [i] of ino[i]; 0 = not found yet */
	size_t count;
	size_t left;
};

static int visit_entry(ext2_ino_t dir, int entry, struct ext2_dir_entry *dirent,
		       int offset, int blocksize, char *buf, void *data)
{
	struct search *s = data;
	int len = ext2fs_dirent_name_len(dirent);

	(void)offset;
	(void)blocksize;
	(void)buf;
	if (entry == DIRENT_DOT_FILE || entry == DIRENT_DOT_DOT_FILE ||
	    (len == 1 && dirent->name[0] == '.'))
		return 0;
	for (size_t i = 0; i < s->count; i++)
		if (s->ino[i] == dirent->inode && !s->parent[i]) {
			s->parent[i] = dir;
			s->left--;
		}
	return s->left && !e4df_event_check(s->sink) ? 0 : DIRENT_ABORT;
}

static errcode_t name_one(ext2_filsys fs, ext2_ino_t ino, ext2_ino_t parent,
			  char **ret)
{
	char *path = NULL;
	errcode_t err = 0;

	if (ino != EXT2_ROOT_INO && parent)
		err = ext2fs_get_pathname(fs, parent, ino, &path);
	if (e4df_gate_cause(e4df_gate_of(fs->io), err) == ENOMEM)
		return ENOMEM;
	if (ino == EXT2_ROOT_INO)
		*ret = strdup("/");
	else if (path && !err)
		*ret = path;
	else if (asprintf(ret, "<inode %u>", ino) < 0)
		*ret = NULL;
	return *ret ? 0 : ENOMEM;
}

static errcode_t find_names(struct e4df_volume *vol, const struct e4df_map *map,
			    const ext2_ino_t *ino, size_t count, char **path)
{
	ext2_filsys fs = e4df_volume_fs(vol);
	struct e4df_gate *gate = e4df_volume_gate(vol);
	struct search s = {
		.sink = e4df_volume_sink(vol),
		.ino = ino,
		.count = count,
		.left = count,
	};
	errcode_t err = 0, cause;

	s.parent = calloc(count + 1, sizeof(*s.parent));
	if (!s.parent)
		return ENOMEM;
	for (size_t i = 0; i < count; i++)
		s.left -= ino[i] == EXT2_ROOT_INO;
	for (__u32 i = 0; i < e4df_map_count(map) && s.left && !err; i++) {
		const struct e4df_inode *inode = e4df_map_inode(map, i);

		if (inode->kind != E4DF_DIRECTORY)
			continue;
		/* empty entries: to be asked in each block */
		err = ext2fs_dir_iterate2(fs, inode->ino,
					  DIRENT_FLAG_INCLUDE_EMPTY, NULL,
					  visit_entry, &s);
		cause = e4df_gate_cause(gate, err);
		if (cause && cause != ENOMEM)
			err = 0;
		if (!err)
			err = e4df_event_check(s.sink);
	}
	for (size_t i = 0; i < count && !err; i++) {
		err = name_one(fs, ino[i], s.parent[i], &path[i]);
		if (!err)
			err = e4df_event_check(s.sink);
	}
	free(s.parent);
	return err;
}

/* What cannot be read gives no name; that is nothing to complain of. */
errcode_t e4df_names_find(struct e4df_volume *vol, const struct e4df_map *map,
			  const ext2_ino_t *ino, size_t count, char **path)
{
	struct e4df_gate *gate = e4df_volume_gate(vol);
	errcode_t err;

	e4df_gate_set_sink(gate, NULL);
	err = find_names(vol, map, ino, count, path);
	e4df_gate_set_sink(gate, e4df_volume_sink(vol));
	return err;
}
