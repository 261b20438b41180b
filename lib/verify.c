/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <ext2fs/ext2_ext_attr.h>

#include "digest.h"
#include "e4df_err.h"
#include "scan.h"

#define READ_BYTES (1 << 20)

errcode_t e4df_verify_layout(struct e4df_volume *vol, unsigned int flags,
			     const struct e4df_map *expected)
{
	struct e4df_sink *sink = e4df_volume_sink(vol);
	struct e4df_map *map = NULL;
	errcode_t err = e4df_volume_reload(vol);

	if (!err)
		err = e4df_scan(vol, flags | E4DF_SCAN_AGAIN, sink, &map);
	if (!err && !e4df_map_is_equal(map, expected))
		err = e4df_event_fail(sink, E4DF_ET_VERIFY,
				      "the layout is not the one that was "
				      "planned; the file system is consistent, "
				      "but please report this");
	e4df_map_free(map);
	return err;
}

struct file_digest {
	__u32 inode; /* index into the map */
	ext2_ino_t ino;
	uint64_t digest;
};

struct e4df_digests {
	struct file_digest *v; /* (owned) */
	size_t count, alloc;
};

errcode_t e4df_digests_new(struct e4df_digests **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : ENOMEM;
}

void e4df_digests_free(struct e4df_digests *digests)
{
	if (!digests)
		return;
	free(digests->v);
	free(digests);
}

/* Only the checksum of an xattr block knows where the block is. */
static void blank_place(const struct e4df_map *map, __u32 inode, char *block)
{
	if (e4df_map_inode(map, inode)->kind == E4DF_XATTR)
		memset(block + offsetof(struct ext2_ext_attr_header,
					h_checksum),
		       0, sizeof(__u32));
}

/* E4DF_ET_UNREADABLE: *bad is the block. */
static errcode_t digest_file(struct e4df_volume *vol,
			     const struct e4df_map *map, char *buf,
			     struct file_digest *file, blk64_t *bad)
{
	struct e4df_gate *gate = e4df_volume_gate(vol);
	unsigned int bs = e4df_volume_fs(vol)->blocksize;
	const struct e4df_extent *e = e4df_map_extents(map, file->inode);
	__u32 count = e4df_map_inode(map, file->inode)->data;
	uint64_t digest = E4DF_DIGEST_INIT;
	errcode_t err = 0;

	for (__u32 i = 0; i < count && !err; i++) {
		__u32 done = 0;

		if (e[i].flags & E4DF_EXTENT_UNWRITTEN)
			continue;
		e4df_gate_prefetch(gate, e[i].pblk, e[i].len);
		while (done < e[i].len && !err) {
			__u32 len = e[i].len - done;
			__u64 at = (__u64)(e[i].lblk + done) * bs;

			if (len > READ_BYTES / bs)
				len = READ_BYTES / bs;
			err = e4df_event_check(e4df_volume_sink(vol));
			if (!err)
				err = e4df_gate_read_data(
					gate, e[i].pblk + done, len, buf, bad);
			if (!err)
				blank_place(map, file->inode, buf);
			/* where the bytes stand in the file counts as well,
			 * in steps that do not depend on the extents */
			for (__u32 k = 0; k < len && !err; k++, at += bs) {
				digest = e4df_digest_add(digest, &at,
							 sizeof(at));
				digest = e4df_digest_add(
					digest, buf + (size_t)k * bs, bs);
			}
			done += len;
		}
	}
	file->digest = digest;
	return err;
}

/* Appends the plan's files that are not there yet. */
static errcode_t list_files(const struct e4df_map *map,
			    const struct e4df_plan *plan,
			    struct e4df_digests *d)
{
	__u32 count = e4df_map_count(map);
	unsigned char *is_new = calloc((size_t)count + 1, 1);
	errcode_t err = is_new ? 0 : ENOMEM;

	for (size_t i = 0; i < e4df_plan_count(plan) && !err; i++) {
		const struct e4df_batch *b = e4df_plan_batch(plan, i);

		for (size_t k = 0; k < b->change_count; k++)
			is_new[b->changes[k].inode] = 1;
	}
	for (size_t i = 0; i < d->count && !err; i++)
		is_new[d->v[i].inode] = 0;
	for (__u32 i = 0; i < count && !err; i++) {
		if (!is_new[i])
			continue;
		err = e4df_grow(&d->v, &d->alloc, d->count + 1, sizeof(*d->v));
		if (!err)
			d->v[d->count++] = (struct file_digest){
				.inode = i,
				.ino = e4df_map_inode(map, i)->ino,
			};
	}
	free(is_new);
	return err;
}

errcode_t e4df_digests_add(struct e4df_digests *d, struct e4df_volume *vol,
			   const struct e4df_map *map,
			   const struct e4df_plan *plan, struct e4df_runs *bad)
{
	unsigned int bs = e4df_volume_fs(vol)->blocksize;
	char *buf = malloc(READ_BYTES > bs ? READ_BYTES : bs);
	size_t kept = d->count;
	errcode_t err = buf ? list_files(map, plan, d) : ENOMEM;
	blk64_t blk;

	for (size_t i = kept; !err && i < d->count; i++) {
		struct file_digest file = d->v[i];

		err = digest_file(vol, map, buf, &file, &blk);
		if (!err)
			d->v[kept++] = file;
		else if (err == E4DF_ET_UNREADABLE)
			err = e4df_runs_push(bad, blk, 1);
		e4df_event_advance(e4df_volume_sink(vol), i + 1, d->count);
	}
	d->count = kept;
	free(buf);
	e4df_runs_sort(bad);
	return !err && bad->count ? E4DF_ET_UNREADABLE : err;
}

/* Is the file what it was?  Counts it in *differ if not. */
static errcode_t compare_file(const struct file_digest *file,
			      struct e4df_volume *vol,
			      const struct e4df_map *map, char *buf,
			      size_t *differ)
{
	struct file_digest now = *file;
	blk64_t blk = 0;
	errcode_t err = digest_file(vol, map, buf, &now, &blk);

	if (err && err != E4DF_ET_UNREADABLE)
		return err;
	if (!err && now.digest == file->digest)
		return 0;
	(*differ)++;
	e4df_event_find(e4df_volume_sink(vol), E4DF_DAMAGE, file->ino, blk,
			err ? "cannot be read back" :
			      "contents differ from before");
	return 0;
}

errcode_t e4df_digests_compare(const struct e4df_digests *d,
			       struct e4df_volume *vol,
			       const struct e4df_map *map, uint64_t *compared)
{
	struct e4df_sink *sink = e4df_volume_sink(vol);
	unsigned int bs = e4df_volume_fs(vol)->blocksize;
	char *buf = malloc(READ_BYTES > bs ? READ_BYTES : bs);
	errcode_t err = buf ? 0 : ENOMEM;
	size_t bad = 0;

	*compared = 0;
	for (size_t i = 0; i < d->count && !err; i++) {
		e4df_event_advance(sink, i + 1, d->count);
		if (e4df_map_inode(map, d->v[i].inode)->why ==
		    E4DF_WHY_UNREADABLE)
			continue;
		err = compare_file(&d->v[i], vol, map, buf, &bad);
		if (e4df_kind_is_file(e4df_map_inode(map, d->v[i].inode)->kind))
			*compared += !err;
	}
	free(buf);
	if (err || !bad)
		return err;
	return e4df_event_fail(sink, E4DF_ET_VERIFY,
			       "%zu file%s differ%s from before or cannot be "
			       "read back; suspect the memory or the disk",
			       bad, bad == 1 ? "" : "s", bad == 1 ? "s" : "");
}
