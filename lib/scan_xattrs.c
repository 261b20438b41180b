/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <ext2fs/ext2_ext_attr.h>

errcode_t e4df_scan_note_xattr(struct scan *s, ext2_ino_t ino, blk64_t blk,
			       enum e4df_why why)
{
	errcode_t err;

	if (!e4df_scan_is_in_range(s, blk, 1)) {
		e4df_scan_damage(s, ino, blk, "xattr block out of range");
		return 0;
	}
	err = e4df_grow(&s->xattrs, &s->xattr_alloc, s->xattr_count + 1,
			sizeof(*s->xattrs));
	if (!err)
		s->xattrs[s->xattr_count++] = (struct scan_xattr){
			.blk = blk,
			.ino = ino,
			.why = why,
		};
	return err;
}

static int compare_xattrs(const void *a, const void *b)
{
	const struct scan_xattr *x = a, *y = b;

	if (x->blk != y->blk)
		return x->blk < y->blk ? -1 : 1;
	return (x->ino > y->ino) - (x->ino < y->ino);
}

static blk64_t xattr_block(struct scan *s, void *ctx, size_t i)
{
	(void)ctx;
	return s->xattrs[i].blk;
}

static int is_first(const struct scan *s, size_t i)
{
	return !i || s->xattrs[i - 1].blk != s->xattrs[i].blk;
}

/* The references to the block of the i-th, which is the first of them. */
static __u32 count_refs(const struct scan *s, size_t i)
{
	size_t end = i + 1;

	while (end < s->xattr_count && !is_first(s, end))
		end++;
	return (__u32)(end - i);
}

/* Called for each reference; the first one of a block looks at it. */
static errcode_t visit_xattr(struct scan *s, void *ctx, size_t i, void *block)
{
	struct ext2_ext_attr_header *head = block;
	const struct scan_xattr *x = &s->xattrs[i];
	__u32 refs;

	(void)ctx;
	if (!is_first(s, i))
		return 0;
	refs = count_refs(s, i);
	if (ext2fs_le32_to_cpu(head->h_magic) != EXT2_EXT_ATTR_MAGIC ||
	    ext2fs_le32_to_cpu(head->h_blocks) != 1)
		e4df_scan_damage(s, x->ino, x->blk, "not an xattr block");
	else if (!ext2fs_ext_attr_block_csum_verify(s->fs, x->ino, x->blk,
						    head))
		e4df_scan_damage(s, x->ino, x->blk,
				 "wrong checksum of an xattr block");
	else if (ext2fs_le32_to_cpu(head->h_refcount) != refs)
		e4df_scan_damage(s, x->ino, x->blk,
				 "xattr block has %u "
				 "owners, should have %u",
				 refs, ext2fs_le32_to_cpu(head->h_refcount));
	return e4df_scan_quota_xattrs(s, i, refs, head);
}

/* The first reference to an xattr block. */
struct head {
	size_t first; /* index of the reference */
	ext2_ino_t ino;
};

static int compare_heads(const void *a, const void *b)
{
	const struct head *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

/*
 * One block, with all its owners.  It stays if any of these does: what is said
 * of files that are left alone is true of their inodes as well.
 */
static errcode_t add_block(struct scan *s, size_t first)
{
	const struct scan_xattr *x = &s->xattrs[first];
	__u32 count = count_refs(s, first);
	ext2_ino_t *owner = malloc(count * sizeof(*owner));
	enum e4df_why why = E4DF_MOVABLE;
	errcode_t err;

	if (!owner)
		return ENOMEM;
	for (__u32 i = 0; i < count; i++) {
		owner[i] = x[i].ino;
		if (why == E4DF_MOVABLE)
			why = x[i].why;
	}
	err = e4df_map_add_xattr(s->map, x->blk, owner, count, why);
	free(owner);
	return err;
}

/* To the map, by first owner: no inode has two, and none changes its block. */
static errcode_t add_blocks(struct scan *s)
{
	struct head *heads = malloc((s->xattr_count + 1) * sizeof(*heads));
	size_t count = 0;
	errcode_t err = heads ? 0 : ENOMEM;

	for (size_t i = 0; i < s->xattr_count && !err; i++)
		if (is_first(s, i))
			heads[count++] = (struct head){
				.first = i,
				.ino = s->xattrs[i].ino,
			};
	if (!err)
		qsort(heads, count, sizeof(*heads), compare_heads);
	for (size_t i = 0; i < count && !err; i++)
		err = add_block(s, heads[i].first);
	free(heads);
	return err;
}

/*
 * The metadata of the groups may share clusters among themselves; each xattr
 * block has one of its own, and is claimed like a file.
 */
errcode_t e4df_scan_xattrs(struct scan *s)
{
	const struct scan_blocks blocks = {
		.count = s->xattr_count,
		.blk = xattr_block,
		.visit = visit_xattr,
	};
	blk64_t shared = e4df_runs_sort(&s->fixed);
	errcode_t err;

	e4df_runs_round(&s->fixed, s->bits, s->geometry.blocks);
	if (shared)
		e4df_scan_damage(s, 0, 0,
				 "blocks of metadata that are claimed twice: "
				 "%llu",
				 (unsigned long long)shared);
	if (!s->xattr_count)
		return 0;
	qsort(s->xattrs, s->xattr_count, sizeof(*s->xattrs), compare_xattrs);
	err = e4df_scan_read_sorted(s, &blocks);
	return err ? err : add_blocks(s);
}
