/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In what order the kernel's readdir returns the entries of a directory:
 * ext4_readdir(), is_dx_dir() and ext4_dx_readdir() in fs/ext4/dir.c,
 * ext4_htree_fill_tree() and dx_probe() in fs/ext4/namei.c.
 */
#include "namespace_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FEW	  16 /* entries, which need no better sort */
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

/*
 * Which variant of a hash takes a character above 127 for a positive number.
 * Where no flag says it, the kernel takes what its own characters are: unsigned
 * on every processor since 6.2 (-funsigned-char).
 */
static int is_unsigned(const struct ext2_super_block *sb)
{
	return sb->s_flags & EXT2_FLAGS_UNSIGNED_HASH ||
	       !(sb->s_flags & EXT2_FLAGS_SIGNED_HASH);
}

static void hash_entry(ext2_filsys fs, const struct ns_rule *rule,
		       struct ns_raw *raw, const char *pool)
{
	const struct ext2_super_block *sb = fs->super;
	const char *name = pool + raw->name;
	int len = (unsigned char)*name;
	int version = rule->flags & EXT2_INDEX_FL ? (int)rule->version :
						    sb->s_def_hash_version;
	errcode_t err;

	if (version <= EXT2_HASH_TEA && is_unsigned(sb))
		version += EXT2_HASH_LEGACY_UNSIGNED;
	err = ext2fs_dirhash2(version, name + 1, len, fs->encoding,
			      (int)rule->flags, sb->s_hash_seed, &raw->hash,
			      &raw->minor);
	/* A name that cannot be folded: the kernel takes it as it is. */
	if (err)
		err = ext2fs_dirhash(version, name + 1, len, sb->s_hash_seed,
				     &raw->hash, &raw->minor);
	if (err) {
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
 * met stays the head, and each further one is put behind that.  (If some of
 * them are in another block than the rest, the first one is not known without
 * the index; only the legacy hash, of 32 bits, has so many.)
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

static __u32 slot_of(const struct ns_batch *b, const struct ns_raw *raw)
{
	const struct ns_rule *rule = &b->rules[raw->dir];

	return rule->first + (__u32)((__u64)raw->hash * rule->entries >> 32);
}

/* Entries of one slot; few, unless someone has looked for names like that. */
static void sort_slot(struct ns_raw *raw, size_t count)
{
	if (count > FEW) {
		qsort(raw, count, sizeof(*raw), compare_raw);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		struct ns_raw x = raw[i];
		size_t k = i;

		for (; k && compare_raw(&x, &raw[k - 1]) < 0; k--)
			raw[k] = raw[k - 1];
		raw[k] = x;
	}
}

/*
 * Hashes are spread evenly: as many slots as a directory has entries, for equal
 * parts of what a hash can be, have about one of them each.
 */
static errcode_t sort_batch(struct ns_batch *b)
{
	struct ns_raw *sorted = malloc(b->raw_count * sizeof(*sorted));
	size_t *end = calloc(b->raw_count + 1, sizeof(*end));
	__u32 slots = 0;

	if (!sorted || !end) {
		free(sorted);
		free(end);
		return ENOMEM;
	}
	for (size_t d = 0; d < b->rule_count; d++) {
		b->rules[d].first = slots;
		slots += b->rules[d].entries;
	}
	for (size_t i = 0; i < b->raw_count; i++)
		end[slot_of(b, &b->raw[i]) + 1]++;
	for (size_t i = 0; i < b->raw_count; i++)
		end[i + 1] += end[i];
	/* end[] of the slot before is where the next of this one goes */
	for (size_t i = 0; i < b->raw_count; i++)
		sorted[end[slot_of(b, &b->raw[i])]++] = b->raw[i];
	for (size_t i = 0, from = 0; i < b->raw_count; from = end[i++])
		sort_slot(sorted + from, end[i] - from);
	free(end);
	free(b->raw);
	b->raw = sorted;
	b->raw_alloc = b->raw_count;
	return 0;
}

errcode_t e4df_namespace_sort(ext2_filsys fs, struct ns_batch *b)
{
	errcode_t err;

	if (!b->raw_count)
		return 0;
	for (size_t i = 0; i < b->raw_count; i++) {
		const struct ns_rule *rule = &b->rules[b->raw[i].dir];

		if (!is_hashed(fs, rule))
			b->raw[i].hash = b->raw[i].minor = 0;
		else if (!has_stored_hash(rule))
			hash_entry(fs, rule, &b->raw[i], b->pool);
	}
	err = sort_batch(b);
	if (!err)
		turn_ties(fs, b->rules, b->raw, b->raw_count);
	return err;
}

static void run_sort(struct e4df_transfer *job, const void *data)
{
	struct ns_batch *b = job->ctx;

	(void)data;
	b->err = e4df_namespace_sort(b->fs, b);
}

/* It changes nothing but the batch: fs and its superblock are only read. */
void e4df_namespace_start_sort(struct e4df_crew *crew, ext2_filsys fs,
			       struct ns_batch *b)
{
	b->fs = fs;
	b->job = (struct e4df_transfer){
		.fd = -1,
		.then = run_sort,
		.ctx = b,
	};
	e4df_crew_add(crew, &b->job);
}
