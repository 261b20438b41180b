/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster.h"

#include <errno.h>
#include <stdlib.h>

/* Appends, joined to the last one if it is adjacent and alike. */
static __u32 append(struct e4df_extent *v, __u32 count,
		    const struct e4df_extent *e)
{
	struct e4df_extent *last = count ? &v[count - 1] : NULL;

	if (last && last->lblk + (blk64_t)last->len == e->lblk &&
	    last->pblk + last->len == e->pblk && last->flags == e->flags) {
		last->len += e->len;
		return count;
	}
	v[count] = *e;
	return count + 1;
}

static __u32 last_lblk(const struct e4df_extent *e)
{
	return e->lblk + (e->len - 1);
}

static blk64_t last_pblk(const struct e4df_extent *e)
{
	return e->pblk + (e->len - 1);
}

__u32 e4df_cluster_find_bad(const struct e4df_extent *data, __u32 count,
			    unsigned int bits)
{
	blk64_t mask = (1ULL << bits) - 1;

	for (__u32 i = 0; i < count; i++) {
		const struct e4df_extent *e = &data[i];

		if ((e->pblk ^ e->lblk) & mask)
			return i;
		if (i && last_lblk(e - 1) >> bits == e->lblk >> bits &&
		    last_pblk(e - 1) >> bits != e->pblk >> bits)
			return i;
	}
	return count;
}

__u32 e4df_cluster_fold(const struct e4df_extent *data, __u32 count,
			unsigned int bits, struct e4df_extent *ret)
{
	__u32 n = 0;

	for (__u32 i = 0; i < count; i++) {
		__u32 first = data[i].lblk >> bits;
		__u32 last = last_lblk(&data[i]) >> bits;
		struct e4df_extent e = {
			.pblk = (data[i].pblk >> bits) & E4DF_PBLK_MAX,
			.lblk = first,
			.len = last - first + 1,
		};

		if (i && last_lblk(&data[i - 1]) >> bits == first) {
			e.pblk = (e.pblk + 1) & E4DF_PBLK_MAX;
			e.lblk++;
			e.len--;
		}
		if (e.len)
			n = append(ret, n, &e);
	}
	return n;
}

__u32 e4df_cluster_spread(const struct e4df_extent *data, __u32 count,
			  unsigned int bits, const struct e4df_extent *clusters,
			  __u32 cluster_count, struct e4df_extent *ret)
{
	blk64_t mask = (1ULL << bits) - 1;
	const struct e4df_extent *c = clusters, *end = c + cluster_count;
	__u32 n = 0;

	for (__u32 i = 0; i < count; i++) {
		__u32 done = 0;

		while (done < data[i].len) {
			__u32 lblk = data[i].lblk + done;
			blk64_t at = lblk >> bits, stop, room;
			struct e4df_extent e = {
				.flags = data[i].flags,
				.lblk = lblk,
				.len = data[i].len - done,
			};

			while (c + 1 < end && last_lblk(c) < at)
				c++;
			e.pblk = ((c->pblk + (at - c->lblk)) << bits |
				  (lblk & mask)) &
				 E4DF_PBLK_MAX;
			stop = ((blk64_t)c->lblk + c->len) << bits;
			room = stop - lblk;
			if (e.len > room)
				e.len = (__u32)room;
			n = append(ret, n, &e);
			done += e.len;
		}
	}
	return n;
}

__u32 e4df_cluster_pieces(const struct e4df_extent *data, __u32 count)
{
	__u32 pieces = 0;

	for (__u32 i = 0; i < count; i++)
		pieces += !i || data[i].flags != data[i - 1].flags ||
			  data[i - 1].lblk + (blk64_t)data[i - 1].len !=
				  data[i].lblk;
	return pieces;
}

static errcode_t add_inode(struct e4df_map *clusters,
			   const struct e4df_map *map, __u32 index,
			   struct e4df_extent *temp)
{
	unsigned int bits = e4df_map_geometry(map)->cluster_bits;
	const struct e4df_inode *inode = e4df_map_inode(map, index);
	const struct e4df_extent *e = e4df_map_extents(map, index);
	__u32 data, same;
	errcode_t err = e4df_map_add_inode(clusters, inode->ino, inode->kind,
					   inode->why, &same);

	if (err || inode->why != E4DF_MOVABLE)
		return err;
	data = e4df_cluster_fold(e, inode->data, bits, temp);
	for (__u32 i = 0; i < inode->tree; i++) {
		temp[data + i] = e[inode->data + i];
		temp[data + i].pblk = (e[inode->data + i].pblk >> bits) &
				      E4DF_PBLK_MAX;
	}
	e4df_map_set_format(clusters, same, inode->format);
	return e4df_map_set_extents(clusters, same, temp, data, inode->tree);
}

static errcode_t copy_divided(const struct e4df_runs *from, unsigned int bits,
			      struct e4df_runs *to)
{
	errcode_t err = e4df_runs_reserve(to, from->count);

	for (size_t i = 0; i < from->count && !err; i++)
		err = e4df_runs_push(to, from->v[i].start, from->v[i].len);
	e4df_runs_divide(to, bits);
	return err;
}

static __u32 longest_list(const struct e4df_map *map)
{
	__u32 most = 0;

	for (__u32 i = 0; i < e4df_map_count(map); i++) {
		const struct e4df_inode *inode = e4df_map_inode(map, i);

		if (inode->data + inode->tree > most)
			most = inode->data + inode->tree;
	}
	return most;
}

errcode_t e4df_cluster_map(const struct e4df_map *map, struct e4df_map **ret)
{
	struct e4df_geometry g = *e4df_map_geometry(map);
	struct e4df_runs fixed = E4DF_RUNS_INIT, unused = E4DF_RUNS_INIT;
	struct e4df_map *clusters = NULL;
	struct e4df_extent *temp;
	unsigned int bits = g.cluster_bits;
	errcode_t err;

	g.blocks = (g.blocks + (1ULL << bits) - 1) >> bits;
	g.first_block >>= bits;
	g.blocks_per_group >>= bits;
	g.cluster_bits = 0;
	temp = malloc(((size_t)longest_list(map) + 1) * sizeof(*temp));
	err = temp ? e4df_map_new(&g, &clusters) : ENOMEM;
	for (__u32 i = 0; i < e4df_map_count(map) && !err; i++)
		err = add_inode(clusters, map, i, temp);
	if (!err)
		err = copy_divided(e4df_map_fixed(map), bits, &fixed);
	if (!err)
		err = copy_divided(e4df_map_free_blocks(map), bits, &unused);
	if (!err)
		err = e4df_map_finish(clusters, &fixed, &unused);
	e4df_runs_free(&fixed);
	e4df_runs_free(&unused);
	free(temp);
	if (err)
		e4df_map_free(clusters);
	else
		*ret = clusters;
	return err;
}
