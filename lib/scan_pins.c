/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"
#include "unreadable.h"

#define PAGES_AHEAD 256	       /* announced ahead, at most about */
#define PAGES_GAP   (64 << 10) /* bytes between them, read through */

static errcode_t add_boot(struct scan *s, ext2_ino_t ino)
{
	errcode_t err = e4df_grow(&s->boot, &s->boot_alloc, s->boot_count + 1,
				  sizeof(*s->boot));

	if (!err)
		s->boot[s->boot_count++] = ino;
	return err;
}

struct boot_walk {
	struct scan *s;
	errcode_t err;
};

static int visit_entry(ext2_ino_t dir, int entry, struct ext2_dir_entry *dirent,
		       int offset, int blocksize, char *buf, void *data)
{
	struct boot_walk *walk = data;
	int len = ext2fs_dirent_name_len(dirent);

	(void)dir;
	(void)entry;
	(void)offset;
	(void)blocksize;
	(void)buf;
	if ((len == 1 && dirent->name[0] == '.') ||
	    (len == 2 && dirent->name[0] == '.' && dirent->name[1] == '.'))
		return 0;
	walk->err = e4df_event_check(walk->s->sink);
	if (!walk->err && dirent->inode)
		walk->err = add_boot(walk->s, dirent->inode);
	return walk->err ? DIRENT_ABORT : 0;
}

static int compare_inos(const void *a, const void *b)
{
	const ext2_ino_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static errcode_t boot_failed(struct scan *s, errcode_t err)
{
	if (err == E4DF_ET_CANCELLED)
		return err;
	if (e4df_gate_cause(s->gate, err))
		return e4df_gate_cause(s->gate, err);
	return e4df_event_fail(s->sink, E4DF_ET_INCONSISTENT,
			       "/boot cannot be read: %s; run e2fsck -f first",
			       error_message(err));
}

/*
 * Boot loaders keep lists of block numbers (extlinux, LILO, GRUB's core
 * image).  If the first 1024 bytes, which are theirs, are in use, everything
 * below /boot stays where it is.  Entries are appended while earlier ones are
 * visited, so the list is also the queue of the walk.
 */
errcode_t e4df_scan_find_boot(struct scan *s)
{
	struct boot_walk walk = { .s = s };
	unsigned int bs = s->geometry.block_size;
	char *block = malloc(bs);
	ext2_ino_t boot;
	int is_used = 0;
	errcode_t err;

	if (!block)
		return ENOMEM;
	err = e4df_gate_read(s->gate, 0, 1, block);
	for (int i = 0; !err && i < 1024 && !is_used; i++)
		is_used = block[i] != 0;
	free(block);
	if (err || !is_used)
		return err;
	err = ext2fs_lookup(s->fs, EXT2_ROOT_INO, "boot", 4, NULL, &boot);
	if (err)
		return err == EXT2_ET_FILE_NOT_FOUND ? 0 : boot_failed(s, err);
	err = add_boot(s, boot);
	for (size_t i = 0; i < s->boot_count && !err; i++) {
		err = ext2fs_dir_iterate2(s->fs, s->boot[i],
					  DIRENT_FLAG_INCLUDE_EMPTY, NULL,
					  visit_entry, &walk);
		if (err == EXT2_ET_NO_DIRECTORY)
			err = 0;
		if (!err)
			err = walk.err;
		if (!err && s->boot_count > s->fs->super->s_inodes_count)
			return e4df_event_fail(s->sink, E4DF_ET_INCONSISTENT,
					       "/boot contains itself; run "
					       "e2fsck -f first");
	}
	if (err)
		return boot_failed(s, err);
	if (s->boot_count)
		qsort(s->boot, s->boot_count, sizeof(*s->boot), compare_inos);
	return 0;
}

/* Where the first page of a possible swap file ends, on disk. */
struct swap_page {
	blk64_t blk;	 /* of the page's last 10 bytes */
	unsigned int at; /* bytes into that block */
	__u32 index;
};

/* Is this list of extents without holes from the start? */
static int is_solid(const struct e4df_extent *e, __u32 count)
{
	blk64_t next = 0;

	for (__u32 i = 0; i < count; i++) {
		if (e[i].lblk != next)
			return 0;
		next += e[i].len;
	}
	return 1;
}

/* Where it is on disk; 0 if it reads as zeros, which sign nothing. */
static blk64_t find_block(const struct e4df_extent *e, __u32 count,
			  blk64_t lblk)
{
	for (__u32 i = 0; i < count; i++)
		if (lblk >= e[i].lblk && lblk - e[i].lblk < e[i].len)
			return e[i].flags & E4DF_EXTENT_UNWRITTEN ?
				       0 :
				       e[i].pblk + (lblk - e[i].lblk);
	return 0;
}

static int compare_pages(const void *a, const void *b)
{
	const struct swap_page *x = a, *y = b;

	if (x->blk != y->blk)
		return x->blk < y->blk ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/* mkswap signs the end of the first page; pages have one of these sizes. */
static struct swap_page *list_pages(struct scan *s, size_t *ret_count)
{
	static const unsigned int page_sizes[] = { 4096, 16384, 65536 };
	struct swap_page *pages =
		malloc((s->swap_count * 3 + 1) * sizeof(*pages));
	unsigned int bs = s->geometry.block_size;
	size_t n = 0;

	for (size_t i = 0; pages && i < s->swap_count; i++) {
		__u32 index = s->swap[i];
		const struct e4df_inode *inode = e4df_map_inode(s->map, index);
		const struct e4df_extent *e = e4df_map_extents(s->map, index);

		if (!is_solid(e, inode->data))
			continue;
		for (int k = 0; k < 3; k++) {
			unsigned int at = page_sizes[k] - 10;
			blk64_t blk = find_block(e, inode->data, at / bs);

			if (blk)
				pages[n++] = (struct swap_page){
					.blk = blk,
					.at = at % bs,
					.index = index,
				};
		}
	}
	if (pages)
		qsort(pages, n, sizeof(*pages), compare_pages);
	*ret_count = n;
	return pages;
}

static errcode_t judge_page(struct scan *s, const struct swap_page *page,
			    const char *block)
{
	const char *sign = block + page->at;

	if (!memcmp(sign, "SWAPSPACE2", 10) || !memcmp(sign, "SWAP-SPACE", 10))
		e4df_map_set_why(s->map, page->index, E4DF_WHY_SWAP);
	else if (!memcmp(sign, "S1SUSPEND", 9) ||
		 !memcmp(sign, "S2SUSPEND", 9) ||
		 !memcmp(sign, "ULSUSPEND", 9) ||
		 !memcmp(sign, "LINHIB0001", 10))
		return e4df_event_fail(
			s->sink, E4DF_ET_HIBERNATED,
			"inode %u holds a hibernated system; "
			"resume or discard it first; nothing "
			"was changed",
			e4df_map_inode(s->map, page->index)->ino);
	return 0;
}

/* The xattr blocks of swap files stay too; of others that stay scan knows. */
static void pin_xattrs(struct scan *s)
{
	__u32 all = e4df_map_count(s->map), count;

	for (__u32 i = 0; i < all; i++) {
		const ext2_ino_t *owner;

		if (e4df_map_inode(s->map, i)->kind != E4DF_XATTR)
			continue;
		owner = e4df_map_owners(s->map, i, &count);
		for (__u32 k = 0; k < count; k++) {
			__u32 at = e4df_map_find(s->map, owner[k]);

			if (at < all &&
			    e4df_map_inode(s->map, at)->why == E4DF_WHY_SWAP)
				e4df_map_set_why(s->map, i, E4DF_WHY_SWAP);
		}
	}
}

/* Whether it is one cannot be told; it would not be moved in either case. */
static void leave_out(struct scan *s, const struct swap_page *page)
{
	const struct e4df_inode *inode = e4df_map_inode(s->map, page->index);

	if (inode->why != E4DF_MOVABLE)
		return;
	e4df_map_set_why(s->map, page->index, E4DF_WHY_UNREADABLE);
	if (!(s->flags & E4DF_SCAN_AGAIN))
		e4df_unreadable_tell(s->sink, inode->ino, page->blk);
}

/*
 * A last cluster that the file system does not hold all of is no place to move
 * to, and what is in it stays.
 */
errcode_t e4df_scan_pin_tail(struct scan *s)
{
	blk64_t end = s->geometry.blocks;
	blk64_t start = end >> s->bits << s->bits;
	errcode_t err;

	if (start == end)
		return 0;
	for (__u32 i = 0; i < e4df_map_count(s->map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(s->map, i);
		const struct e4df_extent *e = e4df_map_extents(s->map, i);
		int is_there = 0;

		for (__u32 n = 0; n < inode->data + inode->tree; n++)
			is_there |= e[n].pblk + e[n].len > start;
		if (is_there && inode->why == E4DF_MOVABLE)
			e4df_map_set_why(s->map, i, E4DF_WHY_LAST_CLUSTER);
	}
	err = e4df_runs_push(&s->fixed, start, end - start);
	e4df_runs_sort(&s->fixed);
	return err;
}

/* From *next on, those that come soon; what lies close together as one. */
static void announce_pages(struct scan *s, const struct swap_page *pages,
			   size_t count, size_t now, size_t *next)
{
	blk64_t gap = PAGES_GAP / s->geometry.block_size;

	if (*next > now + PAGES_AHEAD / 2)
		return;
	while (*next < count && *next < now + PAGES_AHEAD) {
		blk64_t first = pages[*next].blk, end = first + 1;

		while (++*next < count && pages[*next].blk < end + gap)
			end = pages[*next].blk + 1;
		e4df_gate_prefetch(s->gate, first, end - first);
	}
}

errcode_t e4df_scan_find_swap(struct scan *s)
{
	struct swap_page *pages;
	char *block;
	blk64_t bad;
	size_t count, ahead = 0;
	errcode_t err = 0;

	if (!s->swap_count)
		return 0;
	pages = list_pages(s, &count);
	block = malloc(s->geometry.block_size);
	if (!pages || !block)
		err = ENOMEM;
	for (size_t i = 0; !err && i < count; i++) {
		announce_pages(s, pages, count, i, &ahead);
		err = e4df_event_check(s->sink);
		if (err)
			break;
		err = e4df_gate_read_data(s->gate, pages[i].blk, 1, block,
					  &bad);
		if (!err)
			err = judge_page(s, &pages[i], block);
		if (err != E4DF_ET_UNREADABLE)
			continue;
		leave_out(s, &pages[i]);
		err = 0;
	}
	if (!err)
		pin_xattrs(s);
	free(block);
	free(pages);
	return err;
}
