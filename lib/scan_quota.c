/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <stdlib.h>
#include <string.h>
#include <ext2fs/ext2_ext_attr.h>

#include "e4df_err.h"

/*
 * What e2fsck does in its passes 1 and 6: each inode's blocks and the inode
 * itself are counted for its user, group and project, and the sums must be
 * those in the quota files.  Memory: 24 bytes for each id, and as much again.
 */

static int compare_usages(const void *a, const void *b)
{
	const struct e4df_quota_usage *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* By id, each once. */
static void merge(struct scan_quota *q)
{
	size_t n = 0;

	if (q->count)
		qsort(q->v, q->count, sizeof(*q->v), compare_usages);
	for (size_t i = 0; i < q->count; i++)
		if (n && q->v[n - 1].id == q->v[i].id) {
			q->v[n - 1].space += q->v[i].space;
			q->v[n - 1].inodes += q->v[i].inodes;
		} else {
			q->v[n++] = q->v[i];
		}
	q->count = n;
}

/* Grows only if merging has not emptied half of the vector. */
static errcode_t add(struct scan_quota *q, const struct e4df_quota_usage *u)
{
	errcode_t err = 0;

	if (q->count && q->v[q->count - 1].id == u->id) {
		q->v[q->count - 1].space += u->space;
		q->v[q->count - 1].inodes += u->inodes;
		return 0;
	}
	if (q->count == q->alloc) {
		merge(q);
		if (q->count >= q->alloc / 2)
			err = e4df_grow(&q->v, &q->alloc, q->alloc + 1,
					sizeof(*q->v));
	}
	if (!err)
		q->v[q->count++] = *u;
	return err;
}

static errcode_t add_to_owners(struct scan *s,
			       const struct ext2_inode_large *inode,
			       struct e4df_quota_usage u)
{
	errcode_t err = 0;

	for (enum e4df_quota_type t = 0; t < E4DF_QUOTA_TYPES && !err; t++) {
		if (!s->quotas[t].ino)
			continue;
		u.id = e4df_quota_owner(s->fs->super, inode, t);
		err = add(&s->quotas[t], &u);
	}
	return err;
}

/* Attributes whose value lies in an inode of its own. */
static __u32 count_values(const void *entries, const void *end)
{
	const char *at = entries;
	const struct ext2_ext_attr_entry *e = entries;
	__u32 values = 0;

	while ((size_t)((const char *)end - at) >= sizeof(*e) &&
	       !EXT2_EXT_IS_LAST_ENTRY(e)) {
		size_t len = EXT2_EXT_ATTR_LEN(e->e_name_len);

		values += e->e_value_inum != 0;
		if (len > (size_t)((const char *)end - at))
			break;
		at += len;
		e = (const void *)at;
	}
	return values;
}

/* Of the attributes in the inode itself. */
static __u32 values_in(struct scan *s, const struct ext2_inode_large *inode)
{
	size_t size = EXT2_INODE_SIZE(s->fs->super);
	const char *from = (const char *)inode, *end = from + size;
	size_t at = EXT2_GOOD_OLD_INODE_SIZE;
	__u32 magic;

	if (size <= at || !ext2fs_has_feature_ea_inode(s->fs->super))
		return 0;
	at += inode->i_extra_isize;
	if (at % 4 || at + 2 * sizeof(magic) > size)
		return 0;
	memcpy(&magic, from + at, sizeof(magic));
	if (ext2fs_le32_to_cpu(magic) != EXT2_EXT_ATTR_MAGIC)
		return 0;
	return count_values(from + at + sizeof(magic), end);
}

/* Inodes 3 and 4 are for quota files or for nothing. */
static void note_file(struct scan *s, ext2_ino_t ino,
		      const struct ext2_inode_large *inode)
{
	for (int t = 0; t < E4DF_QUOTA_TYPES; t++)
		if (ino == s->quotas[t].ino) {
			s->quotas[t].size = EXT2_I_SIZE(inode);
			s->quotas[t].is_file = LINUX_S_ISREG(inode->i_mode);
			return;
		}
	if (ino == EXT4_USR_QUOTA_INO || ino == EXT4_GRP_QUOTA_INO)
		e4df_scan_damage(s, ino, 0,
				 "the inode is for quota, which is not used, "
				 "but it is not empty");
}

errcode_t e4df_scan_quota_inode(struct scan *s, ext2_ino_t ino,
				struct ext2_inode_large *inode)
{
	struct e4df_quota_usage u = { .inodes = 1 };

	note_file(s, ino, inode);
	if (!e4df_quota_is_counted(s->fs->super, ino, inode))
		return 0;
	u.space = ext2fs_get_stat_i_blocks(s->fs, EXT2_INODE(inode)) * 512;
	u.inodes += values_in(s, inode);
	return add_to_owners(s, inode, u);
}

/* The owners were not kept when their inodes went by; this is rare. */
errcode_t e4df_scan_quota_xattrs(struct scan *s, size_t i, size_t refs,
				 const void *block)
{
	const char *end = (const char *)block + s->geometry.block_size;
	struct e4df_quota_usage u = { .space = 0 };
	struct ext2_inode_large inode;
	errcode_t err = 0;

	if (!ext2fs_has_feature_quota(s->fs->super) ||
	    !ext2fs_has_feature_ea_inode(s->fs->super))
		return 0;
	u.inodes = count_values((const struct ext2_ext_attr_header *)block + 1,
				end);
	for (; refs && u.inodes && !err; i++, refs--) {
		ext2_ino_t ino = s->xattrs[i].ino;

		memset(&inode, 0, sizeof(inode));
		err = ext2fs_read_inode_full(s->fs, ino, EXT2_INODE(&inode),
					     sizeof(inode));
		if (!err && e4df_quota_is_counted(s->fs->super, ino, &inode))
			err = add_to_owners(s, &inode, u);
	}
	return err;
}

void e4df_scan_quota_start(struct scan *s)
{
	static const ext2_ino_t places[E4DF_QUOTA_TYPES] = {
		[E4DF_QUOTA_USER] = EXT4_USR_QUOTA_INO,
		[E4DF_QUOTA_GROUP] = EXT4_GRP_QUOTA_INO,
	};
	struct ext2_super_block *sb = s->fs->super;

	for (enum e4df_quota_type t = 0; t < E4DF_QUOTA_TYPES; t++) {
		ext2_ino_t ino = e4df_quota_inode(sb, t);

		s->quotas[t].ino = ino;
		if (!ino || ino == places[t])
			continue;
		if (!places[t] && ino >= EXT2_FIRST_INODE(sb) &&
		    ino <= sb->s_inodes_count)
			continue;
		e4df_scan_damage(s, ino, 0, "not the place of a %s quota file",
				 e4df_quota_name(t));
	}
}

/* The sums, while the file's entries go by. */
struct comparison {
	struct scan *s;
	const struct scan_quota *q;
	const char *name;
	size_t next; /* sum not yet met */
};

static errcode_t compare(void *ctx, const struct e4df_quota_usage *found)
{
	static const struct e4df_quota_usage nothing;
	struct comparison *c = ctx;
	const struct e4df_quota_usage *want = &nothing;

	while (c->next < c->q->count && c->q->v[c->next].id < found->id)
		e4df_scan_damage(c->s, c->q->ino, 0, "%s %u has no entry",
				 c->name, c->q->v[c->next++].id);
	if (c->next < c->q->count && c->q->v[c->next].id == found->id)
		want = &c->q->v[c->next++];
	if (found->space != want->space || found->inodes != want->inodes)
		e4df_scan_damage(c->s, c->q->ino, 0,
				 "usage of %s %u is %llu bytes and %llu "
				 "inodes, should be %llu and %llu",
				 c->name, found->id,
				 (unsigned long long)found->space,
				 (unsigned long long)found->inodes,
				 (unsigned long long)want->space,
				 (unsigned long long)want->inodes);
	return 0;
}

static errcode_t read_block(void *ctx, blk64_t pblk, void *block)
{
	return e4df_gate_read(ctx, pblk, 1, block);
}

static errcode_t check_file(struct scan *s, enum e4df_quota_type type,
			    __u32 index)
{
	struct scan_quota *q = &s->quotas[type];
	struct e4df_quota_file file = {
		.type = type,
		.block_size = s->geometry.block_size,
		.extents = e4df_map_extents(s->map, index),
		.count = e4df_map_inode(s->map, index)->data,
		.read = read_block,
		.ctx = s->gate,
	};
	struct comparison c = {
		.s = s,
		.q = q,
		.name = e4df_quota_name(type),
	};
	struct e4df_quota_fault fault;
	errcode_t err;

	merge(q);
	err = e4df_quota_walk(&file, q->size, compare, &c, &fault);
	if (err == E4DF_ET_INCONSISTENT && fault.text) {
		e4df_scan_damage(s, q->ino, 0, "%s quota file, block %u: %s",
				 c.name, fault.block, fault.text);
		return 0;
	}
	while (!err && c.next < q->count)
		e4df_scan_damage(s, q->ino, 0, "%s %u has no entry", c.name,
				 q->v[c.next++].id);
	return err;
}

/*
 * Usage follows from mappings and counts: with damage there, differences
 * here would say nothing new.
 */
errcode_t e4df_scan_quota_check(struct scan *s)
{
	errcode_t err = 0;
	unsigned int files = 0;
	blk64_t blocks = 0;

	if (s->damage)
		return 0;
	for (enum e4df_quota_type t = 0; t < E4DF_QUOTA_TYPES && !err; t++) {
		struct scan_quota *q = &s->quotas[t];
		__u32 index = e4df_map_find(s->map, q->ino);

		if (!q->ino)
			continue;
		if (!q->is_file || index == e4df_map_count(s->map)) {
			e4df_scan_damage(s, q->ino, 0,
					 "the %s quota file is missing",
					 e4df_quota_name(t));
			continue;
		}
		err = check_file(s, t, index);
		files++;
		blocks += e4df_extents_blocks(
			e4df_map_extents(s->map, index),
			e4df_map_inode(s->map, index)->data);
	}
	e4df_map_set_quota(s->map, files, blocks);
	return err;
}
