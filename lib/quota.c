/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "quota.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

#define BLOCK	     1024U
#define ROOT	     1U /* block */
#define DEPTH	     4
#define REFS	     (BLOCK / 4)
#define SIZE_MAX_KIB (1U << 21) /* no quota file is larger, for e2fsck */

struct head {
	__u32 magic;
	__u32 version;
	__u32 block_grace, inode_grace, flags;
	__u32 blocks;
	__u32 free_block;
	__u32 free_entry;
};
_Static_assert(sizeof(struct head) == 32, "on-disk format");

struct leaf_head {
	__u32 next_free, prev_free;
	__u16 entries;
	__u16 pad1;
	__u32 pad2;
};

struct entry {
	__u32 id;
	__u32 pad;
	__u64 inode_hard_limit, inode_soft_limit;
	__u64 inodes;
	__u64 hard_limit, soft_limit; /* in 1024 bytes */
	__u64 space;
	__u64 time, inode_time; /* when the grace ends */
};

#define ENTRIES ((BLOCK - sizeof(struct leaf_head)) / sizeof(struct entry))
_Static_assert(sizeof(struct leaf_head) == 16, "on-disk format");
_Static_assert(sizeof(struct entry) == 72, "on-disk format");
_Static_assert(ENTRIES == 14, "on-disk format");

static const __u32 magics[E4DF_QUOTA_TYPES] = {
	[E4DF_QUOTA_USER] = 0xd9c01f11,
	[E4DF_QUOTA_GROUP] = 0xd9c01927,
	[E4DF_QUOTA_PROJECT] = 0xd9c03f14,
};

const char *e4df_quota_name(enum e4df_quota_type type)
{
	static const char *const names[E4DF_QUOTA_TYPES] = {
		[E4DF_QUOTA_USER] = "user",
		[E4DF_QUOTA_GROUP] = "group",
		[E4DF_QUOTA_PROJECT] = "project",
	};

	return names[type];
}

ext2_ino_t e4df_quota_inode(const struct ext2_super_block *sb,
			    enum e4df_quota_type type)
{
	if (!(sb->s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_QUOTA))
		return 0;
	if (type == E4DF_QUOTA_PROJECT &&
	    EXT2_INODE_SIZE(sb) == EXT2_GOOD_OLD_INODE_SIZE)
		return 0; /* inodes without room for a project */
	return type == E4DF_QUOTA_USER	? sb->s_usr_quota_inum :
	       type == E4DF_QUOTA_GROUP ? sb->s_grp_quota_inum :
					  sb->s_prj_quota_inum;
}

/*
 * As e2fsck's check_blocks() and the kernel's S_NOQUOTA have it.  Inodes that
 * hold the value of an extended attribute count for who refers to them.
 */
int e4df_quota_is_counted(const struct ext2_super_block *sb, ext2_ino_t ino,
			  const struct ext2_inode_large *inode)
{
	if (ino != EXT2_ROOT_INO && ino < EXT2_FIRST_INODE(sb))
		return 0;
	return ino != sb->s_prj_quota_inum && ino != sb->s_orphan_file_inum &&
	       !(inode->i_flags & EXT4_EA_INODE_FL);
}

__u32 e4df_quota_owner(const struct ext2_super_block *sb,
		       const struct ext2_inode_large *inode,
		       enum e4df_quota_type type)
{
	size_t end = offsetof(struct ext2_inode_large, i_projid) +
		     sizeof(inode->i_projid);

	if (type == E4DF_QUOTA_USER)
		return inode_uid(*inode);
	if (type == E4DF_QUOTA_GROUP)
		return inode_gid(*inode);
	if (EXT2_INODE_SIZE(sb) < end ||
	    EXT2_GOOD_OLD_INODE_SIZE + (size_t)inode->i_extra_isize < end)
		return 0;
	return inode->i_projid;
}

/* A buffer for reading, with the block of the file system that it has. */
struct reader {
	const struct e4df_quota_file *file; /* (borrowed) */
	char *block;			    /* (owned) */
	blk64_t pblk;			    /* 0 = none */
};

/* Where a block of the quota file is; pblk 0 = in a hole, so all zeros. */
static void locate(const struct e4df_quota_file *file, __u32 blk, blk64_t *pblk,
		   unsigned int *offset)
{
	blk64_t byte = (blk64_t)blk * BLOCK, lblk = byte / file->block_size;
	__u32 lo = 0, hi = file->count;

	*pblk = 0;
	*offset = (unsigned int)(byte % file->block_size);
	while (lo < hi) {
		__u32 mid = lo + (hi - lo) / 2;
		const struct e4df_extent *e = &file->extents[mid];

		if (lblk >= (blk64_t)e->lblk + e->len)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < file->count && lblk >= file->extents[lo].lblk &&
	    !(file->extents[lo].flags & E4DF_EXTENT_UNWRITTEN))
		*pblk = file->extents[lo].pblk +
			(lblk - file->extents[lo].lblk);
}

static errcode_t reader_open(struct reader *r,
			     const struct e4df_quota_file *file)
{
	r->file = file;
	r->pblk = 0;
	r->block = malloc(file->block_size);
	return r->block ? 0 : ENOMEM;
}

static errcode_t reader_get(struct reader *r, __u32 blk, void *ret)
{
	unsigned int offset;
	blk64_t pblk;
	errcode_t err;

	locate(r->file, blk, &pblk, &offset);
	if (!pblk) {
		memset(ret, 0, BLOCK);
		return 0;
	}
	if (pblk != r->pblk) {
		r->pblk = 0;
		err = r->file->read(r->file->ctx, pblk, r->block);
		if (err)
			return err;
		r->pblk = pblk;
	}
	memcpy(ret, r->block + offset, BLOCK);
	return 0;
}

static const struct entry *entries_of(const void *leaf)
{
	return (const void *)((const char *)leaf + sizeof(struct leaf_head));
}

/* An entry without any bit set is free, even where the id 0 is sought. */
static int is_used(const struct entry *e)
{
	static const struct entry unused;

	return memcmp(e, &unused, sizeof(unused)) != 0;
}

/* The index of the entry of an id; ENTRIES = it is not there. */
static unsigned int find_in_leaf(const void *leaf, __u32 id)
{
	const struct entry *e = entries_of(leaf);
	unsigned int i;

	for (i = 0; i < ENTRIES; i++)
		if (is_used(&e[i]) && ext2fs_le32_to_cpu(e[i].id) == id)
			break;
	return i;
}

/* How a block was met; no way leads twice into a node. */
enum met { UNSEEN, NODE, LEAF };

struct walk {
	struct reader reader;
	struct e4df_quota_fault *fault; /* (borrowed) */
	errcode_t (*visit)(void *ctx, const struct e4df_quota_usage *u);
	void *ctx;
	__u32 blocks;	     /* of the file */
	unsigned char *seen; /* (owned) enum met, by block */
	__u32 node[DEPTH][REFS];
	__u64 leaf[BLOCK / 8];
	__u32 leaf_block;    /* that `leaf` has; 0 = none */
	__u64 used, visited; /* entries */
};

static errcode_t refuse(struct walk *w, __u32 block, const char *text)
{
	w->fault->text = text;
	w->fault->block = block;
	return E4DF_ET_INCONSISTENT;
}

static errcode_t check_head(struct walk *w, __u64 size)
{
	__u32 block[REFS];
	const struct head *head = (const void *)block;
	errcode_t err = reader_get(&w->reader, 0, block);

	if (err)
		return err;
	if (ext2fs_le32_to_cpu(head->magic) != magics[w->reader.file->type])
		return refuse(w, 0, "wrong magic number");
	if (ext2fs_le32_to_cpu(head->version) != 1)
		return refuse(w, 0, "unknown version");
	w->blocks = ext2fs_le32_to_cpu(head->blocks);
	if (w->blocks <= ROOT || w->blocks > SIZE_MAX_KIB ||
	    w->blocks > size / BLOCK + (size % BLOCK != 0))
		return refuse(w, 0, "wrong number of blocks");
	if (ext2fs_le32_to_cpu(head->free_block) >= w->blocks ||
	    ext2fs_le32_to_cpu(head->free_entry) >= w->blocks)
		return refuse(w, 0, "block number out of range");
	return 0;
}

/* Reads the leaf, unless it is the one at hand; new ones are counted. */
static errcode_t walk_leaf(struct walk *w, __u32 blk)
{
	errcode_t err;

	if (w->seen[blk] == NODE)
		return refuse(w, blk, "a block is node and leaf at once");
	if (w->leaf_block == blk)
		return 0;
	w->leaf_block = 0;
	err = reader_get(&w->reader, blk, w->leaf);
	if (err)
		return err;
	w->leaf_block = blk;
	for (unsigned int i = 0; i < ENTRIES && w->seen[blk] == UNSEEN; i++)
		w->used += (__u64)is_used(&entries_of(w->leaf)[i]);
	w->seen[blk] = LEAF;
	return 0;
}

static errcode_t visit_id(struct walk *w, __u32 blk, __u32 id)
{
	struct e4df_quota_usage u = { .id = id };
	const struct entry *e;
	unsigned int i;
	errcode_t err = walk_leaf(w, blk);

	if (err)
		return err;
	i = find_in_leaf(w->leaf, id);
	if (i == ENTRIES)
		return refuse(w, blk, "an entry is missing");
	e = &entries_of(w->leaf)[i];
	u.space = ext2fs_le64_to_cpu(e->space);
	u.inodes = ext2fs_le64_to_cpu(e->inodes);
	w->visited++;
	return w->visit(w->ctx, &u);
}

/* Ends: it goes down four levels, and into each block only once. */
static errcode_t walk_node(struct walk *w, __u32 blk, int depth, __u32 prefix)
{
	errcode_t err;

	if (w->seen[blk] != UNSEEN)
		return refuse(w, blk, "the tree comes twice to a block");
	w->seen[blk] = NODE;
	err = reader_get(&w->reader, blk, w->node[depth]);
	for (__u32 i = 0; i < REFS && !err; i++) {
		__u32 next = ext2fs_le32_to_cpu(w->node[depth][i]);
		__u32 id = prefix << 8 | i;

		if (!next)
			continue;
		if (next <= ROOT || next >= w->blocks)
			return refuse(w, blk, "block number out of range");
		err = depth + 1 < DEPTH ? walk_node(w, next, depth + 1, id) :
					  visit_id(w, next, id);
	}
	return err;
}

errcode_t e4df_quota_walk(const struct e4df_quota_file *file, __u64 size,
			  errcode_t (*visit)(void *ctx,
					     const struct e4df_quota_usage *u),
			  void *ctx, struct e4df_quota_fault *fault)
{
	struct walk w = { .fault = fault, .visit = visit, .ctx = ctx };
	errcode_t err = reader_open(&w.reader, file);

	fault->text = NULL;
	if (!err)
		err = check_head(&w, size);
	if (!err) {
		w.seen = calloc(w.blocks, sizeof(*w.seen));
		err = w.seen ? walk_node(&w, ROOT, 0, 0) : ENOMEM;
	}
	if (!err && w.used != w.visited)
		err = refuse(&w, ROOT, "the tree does not lead to all entries");
	free(w.seen);
	free(w.reader.block);
	return err;
}

errcode_t e4df_quota_find(const struct e4df_quota_file *file, __u32 id,
			  blk64_t *pblk, unsigned int *offset)
{
	__u64 block[BLOCK / 8];
	const __u32 *refs = (const void *)block;
	struct reader r;
	errcode_t err = reader_open(&r, file);
	__u32 blk = ROOT;
	unsigned int i;

	for (int depth = 0; depth < DEPTH && !err; depth++) {
		err = reader_get(&r, blk, block);
		if (err)
			break;
		blk = ext2fs_le32_to_cpu(refs[id >> (24 - 8 * depth) & 0xff]);
		if (!blk)
			err = E4DF_ET_INCONSISTENT;
	}
	if (!err)
		err = reader_get(&r, blk, block);
	free(r.block);
	if (err)
		return err;
	i = find_in_leaf(block, id);
	locate(file, blk, pblk, offset);
	if (i == ENTRIES || !*pblk)
		return E4DF_ET_INCONSISTENT;
	*offset += (unsigned int)((const char *)&entries_of(block)[i] -
				  (const char *)block);
	return 0;
}

/*
 * Who comes back to the soft limit begins anew with the grace time, as in the
 * kernel's dquot_decr_space().  What goes beyond it gets its time from the
 * kernel, at the next allocation: here no clock decides.
 *
 * An entry begins at 16 + 72 n: space and time are never in two sectors.
 */
errcode_t e4df_quota_add_space(void *entry, __s64 bytes)
{
	struct entry *e = entry;
	__u64 space = ext2fs_le64_to_cpu(e->space), now = space + (__u64)bytes;

	if (bytes < 0 ? now > space : now < space)
		return E4DF_ET_INCONSISTENT;
	e->space = ext2fs_cpu_to_le64(now);
	if (bytes < 0 &&
	    now / 1024 + (now % 1024 != 0) <= ext2fs_le64_to_cpu(e->soft_limit))
		e->time = 0;
	return 0;
}
