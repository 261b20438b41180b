/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
		err = e4df_scan(vol, flags, sink, &map);
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
	struct file_digest *v; /* (owned) by inode */
	size_t count;
};

void e4df_digests_free(struct e4df_digests *digests)
{
	if (!digests)
		return;
	free(digests->v);
	free(digests);
}

size_t e4df_digests_count(const struct e4df_digests *digests)
{
	return digests->count;
}

static errcode_t digest_file(struct e4df_gate *gate, unsigned int bs,
			     const struct e4df_map *map, char *buf,
			     struct file_digest *file)
{
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
			err = e4df_gate_read(gate, e[i].pblk + done, len, buf);
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

static errcode_t list_files(const struct e4df_map *map,
			    const struct e4df_plan *plan,
			    struct e4df_digests *d)
{
	__u32 count = e4df_map_count(map);
	unsigned char *is_changed = calloc((size_t)count + 1, 1);

	d->v = calloc((size_t)count + 1, sizeof(*d->v));
	if (!is_changed || !d->v) {
		free(is_changed);
		return ENOMEM;
	}
	for (size_t i = 0; i < e4df_plan_count(plan); i++) {
		const struct e4df_batch *b = e4df_plan_batch(plan, i);

		for (size_t k = 0; k < b->change_count; k++)
			is_changed[b->changes[k].inode] = 1;
	}
	for (__u32 i = 0; i < count; i++)
		if (is_changed[i])
			d->v[d->count++] = (struct file_digest){
				.inode = i,
				.ino = e4df_map_inode(map, i)->ino,
			};
	free(is_changed);
	return 0;
}

errcode_t e4df_verify_digest(struct e4df_volume *vol,
			     const struct e4df_map *map,
			     const struct e4df_plan *plan,
			     struct e4df_digests **ret)
{
	unsigned int bs = e4df_volume_fs(vol)->blocksize;
	struct e4df_digests *d = calloc(1, sizeof(*d));
	char *buf = malloc(READ_BYTES > bs ? READ_BYTES : bs);
	errcode_t err = d && buf ? list_files(map, plan, d) : ENOMEM;

	for (size_t i = 0; !err && i < d->count; i++) {
		err = digest_file(e4df_volume_gate(vol), bs, map, buf,
				  &d->v[i]);
		e4df_event_advance(e4df_volume_sink(vol), i + 1, d->count);
	}
	free(buf);
	if (err)
		e4df_digests_free(d);
	else
		*ret = d;
	return err;
}

errcode_t e4df_digests_compare(const struct e4df_digests *before,
			       const struct e4df_digests *after,
			       struct e4df_sink *sink)
{
	size_t bad = 0;

	for (size_t i = 0; i < before->count; i++) {
		if (before->v[i].digest == after->v[i].digest)
			continue;
		bad++;
		e4df_event_find(sink, E4DF_DAMAGE, before->v[i].ino, 0,
				"contents differ from before");
	}
	if (!bad)
		return 0;
	return e4df_event_fail(sink, E4DF_ET_VERIFY,
			       "%zu file%s differ%s from before; suspect the "
			       "memory or the disk",
			       bad, bad == 1 ? "" : "s", bad == 1 ? "s" : "");
}
