/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In what order the kernel's readdir returns the entries of a directory:
 * ext4_readdir(), is_dx_dir() and ext4_dx_readdir() in fs/ext4/dir.c,
 * ext4_htree_fill_tree() and dx_probe() in fs/ext4/namei.c.
 */
#include "namespace_priv.h"

#include <stdlib.h>
#include <string.h>

#define ROOT_INFO 24 /* bytes into the first block, behind "." and ".." */
#define LAST_HASH 0xfffffffeU /* the kernel's sign of the end; not given out */

/* Do the entries hold their hash?  (ext4_hash_in_dirent) */
static int has_stored_hash(const struct ns_rule *rule)
{
	return rule->flags & EXT4_ENCRYPT_FL && rule->flags & EXT4_CASEFOLD_FL;
}

void e4df_namespace_look_at_root(ext2_filsys fs, struct ns_rule *rule,
				 const void *block)
{
	const struct ext2_dx_root_info *info =
		(const void *)((const char *)block + ROOT_INFO);
	unsigned int levels = ext2fs_has_feature_largedir(fs->super) ? 3 : 2;
	int is_known = has_stored_hash(rule) ?
			       info->hash_version == EXT2_HASH_SIPHASH :
			       info->hash_version <= EXT2_HASH_TEA;

	rule->version = info->hash_version;
	rule->is_bad = !is_known || info->unused_flags & 1 ||
		       info->indirect_levels >= levels;
}

/*
 * Also a directory of one block, or within its inode, is sorted by hash, though
 * it has no index.
 */
static int is_hashed(ext2_filsys fs, const struct ns_rule *rule)
{
	if (!ext2fs_has_feature_dir_index(fs->super))
		return 0;
	if (rule->flags & EXT2_INDEX_FL)
		return !rule->is_bad;
	return rule->blocks <= 1;
}

/* Which variant of a hash takes a character above 127 for a positive number. */
static int is_unsigned(const struct ext2_super_block *sb)
{
	if (sb->s_flags & EXT2_FLAGS_UNSIGNED_HASH)
		return 1;
	return !(sb->s_flags & EXT2_FLAGS_SIGNED_HASH) && (char)-1 > 0;
}

static void hash_entry(ext2_filsys fs, const struct ns_rule *rule,
		       struct ns_raw *raw, const char *pool)
{
	const struct ext2_super_block *sb = fs->super;
	const char *name = pool + raw->name;
	int version = rule->flags & EXT2_INDEX_FL ? (int)rule->version :
						    sb->s_def_hash_version;

	if (version <= EXT2_HASH_TEA && is_unsigned(sb))
		version += EXT2_HASH_LEGACY_UNSIGNED;
	if (ext2fs_dirhash2(version, name + 1, (unsigned char)*name,
			    fs->encoding, (int)rule->flags, sb->s_hash_seed,
			    &raw->hash, &raw->minor)) {
		raw->hash = 0;
		raw->minor = 0;
	}
	if (raw->hash == LAST_HASH)
		raw->hash -= 2;
}

static int compare_raw(const void *a, const void *b)
{
	const struct ns_raw *x = a, *y = b;

	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	if (x->minor != y->minor)
		return x->minor < y->minor ? -1 : 1;
	if (x->lblk != y->lblk)
		return x->lblk < y->lblk ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int is_tie(const struct ns_raw *x, const struct ns_raw *y)
{
	return x->dir == y->dir && x->hash == y->hash && x->minor == y->minor;
}

/*
 * Names with one hash are a list in the kernel's tree, of which the first one
 * met stays the head, and each further one is put behind that.
 */
static void turn_ties(ext2_filsys fs, const struct ns_rule *rules,
		      struct ns_raw *raw, size_t count)
{
	size_t end;

	for (size_t i = 0; i < count; i = end) {
		end = i + 1;
		while (end < count && is_tie(&raw[i], &raw[end]))
			end++;
		if (!is_hashed(fs, &rules[raw[i].dir]))
			continue;
		for (size_t k = i + 1, m = end - 1; k < m; k++, m--) {
			struct ns_raw swap = raw[k];

			raw[k] = raw[m];
			raw[m] = swap;
		}
	}
}

void e4df_namespace_sort(ext2_filsys fs, const struct ns_rule *rules,
			 struct ns_raw *raw, size_t count, const char *pool)
{
	for (size_t i = 0; i < count; i++) {
		const struct ns_rule *rule = &rules[raw[i].dir];

		if (!is_hashed(fs, rule))
			raw[i].hash = raw[i].minor = 0;
		else if (!has_stored_hash(rule))
			hash_entry(fs, rule, &raw[i], pool);
	}
	if (count)
		qsort(raw, count, sizeof(*raw), compare_raw);
	turn_ties(fs, rules, raw, count);
}
