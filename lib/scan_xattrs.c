/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <stdlib.h>
#include <ext2fs/ext2_ext_attr.h>

errcode_t e4df_scan_note_xattr(struct scan *s, ext2_ino_t ino, blk64_t blk)
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

static blk64_t xattr_block(struct scan *s, size_t i)
{
	return s->xattrs[i].blk;
}

/* Called for each reference; the first one of a block looks at it. */
static errcode_t visit_xattr(struct scan *s, size_t i, void *block)
{
	struct ext2_ext_attr_header *head = block;
	const struct scan_xattr *x = &s->xattrs[i];
	size_t refs = 1;

	if (i && s->xattrs[i - 1].blk == x->blk)
		return 0;
	while (i + refs < s->xattr_count && s->xattrs[i + refs].blk == x->blk)
		refs++;
	if (ext2fs_le32_to_cpu(head->h_magic) != EXT2_EXT_ATTR_MAGIC)
		e4df_scan_damage(s, x->ino, x->blk, "not an xattr block");
	else if (!ext2fs_ext_attr_block_csum_verify(s->fs, x->ino, x->blk,
						    head))
		e4df_scan_damage(s, x->ino, x->blk,
				 "wrong checksum of an xattr block");
	else if (ext2fs_le32_to_cpu(head->h_refcount) != refs)
		e4df_scan_damage(s, x->ino, x->blk,
				 "xattr block has %u "
				 "owners, should have %u",
				 (unsigned int)refs,
				 ext2fs_le32_to_cpu(head->h_refcount));
	return e4df_runs_push(&s->fixed, x->blk, 1);
}

errcode_t e4df_scan_xattrs(struct scan *s)
{
	blk64_t shared;
	errcode_t err;

	if (s->xattr_count)
		qsort(s->xattrs, s->xattr_count, sizeof(*s->xattrs),
		      compare_xattrs);
	err = e4df_scan_read_sorted(s, s->xattr_count, xattr_block,
				    visit_xattr);
	shared = e4df_runs_sort(&s->fixed);
	if (!err && shared)
		e4df_scan_damage(s, 0, 0,
				 "blocks of metadata that are claimed twice: "
				 "%llu",
				 (unsigned long long)shared);
	return err;
}
