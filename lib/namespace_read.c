/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "namespace_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"

#define BATCH_BYTES (512 << 10) /* of directories, sorted together */
#define AHEAD	    16		/* batches, announced ahead */
#define READ_BYTES  (1 << 20)	/* one read at most */
#define GAP_BYTES   (64 << 10)	/* read through, not around */
#define MIN_ENTRY   8		/* bytes of an entry without a name */

/* A directory still to be read. */
struct waiting {
	blk64_t pblk; /* its first block */
	__u32 index;
};

/* A block of a batch's directories. */
struct part {
	blk64_t pblk;
	__u32 lblk;
	__u32 dir; /* in the batch */
};

struct reader {
	/* Immutable. */
	struct e4df_namespace *ns; /* what is made */
	ext2_filsys fs;		   /* (borrowed) */
	struct e4df_gate *gate;	   /* (borrowed) */
	const struct e4df_sink *sink;
	struct ns_wanted wanted;
	/* Mutable. */
	struct ns_finder finder;
	char *buf; /* (owned) READ_BYTES or a block */
	/* What is read together. */
	struct part *parts; /* (owned) */
	size_t part_count, part_alloc;
	struct ns_batch batches[2];
	struct ns_batch *batch;	 /* the one that is read, and */
	struct ns_batch *sorted; /* the one before, by the thread */
	struct e4df_crew *crew;	 /* (owned) that thread; NULL at first */
	struct e4df_range ahead; /* to be announced, as one */
};

static errcode_t keep_raw_name(struct ns_batch *b, const char *name,
			       unsigned int len, __u32 *at)
{
	errcode_t err;

	if (b->pool_size + len + 1 > NONE)
		return E4DF_ET_OVERFLOW;
	err = e4df_grow(&b->pool, &b->pool_alloc, b->pool_size + len + 1, 1);
	if (err)
		return err;
	*at = (__u32)b->pool_size;
	b->pool[b->pool_size++] = (char)len;
	memcpy(b->pool + b->pool_size, name, len);
	b->pool_size += len;
	return 0;
}

static int is_dots(const char *name, unsigned int len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

/* An entry that has been found to be within its block. */
static errcode_t add_raw(struct reader *r, const struct ext2_dir_entry *dirent,
			 unsigned int rec_len, const struct part *part,
			 unsigned int offset)
{
	struct ns_batch *b = r->batch;
	struct ns_rule *rule = &b->rules[part->dir];
	unsigned int len = (unsigned int)ext2fs_dirent_name_len(dirent);
	struct ns_raw raw = {
		.dir = part->dir,
		.lblk = part->lblk,
		.offset = offset,
	};
	errcode_t err;

	if (!dirent->inode || !len || is_dots(dirent->name, len))
		return 0;
	err = e4df_namespace_target(&r->finder, dirent, &raw.target);
	if (err)
		return err;
	if (raw.target == E4DF_NAMESPACE_NOTHING &&
	    !(r->ns->flags & E4DF_NAMESPACE_ALL))
		return 0;
	if (rule->flags & EXT4_ENCRYPT_FL && rule->flags & EXT4_CASEFOLD_FL &&
	    MIN_ENTRY + ((len + 3) & ~3U) + 8 <= rec_len) {
		raw.hash = EXT2_DIRENT_HASH(dirent);
		raw.minor = EXT2_DIRENT_MINOR_HASH(dirent);
	}
	err = keep_raw_name(b, dirent->name, len, &raw.name);
	if (!err)
		err = e4df_grow(&b->raw, &b->raw_alloc, b->raw_count + 1,
				sizeof(*b->raw));
	if (err)
		return err;
	b->raw[b->raw_count++] = raw;
	rule->entries++;
	return 0;
}

/* Nodes of an index, and checksums, are entries without an inode. */
static errcode_t read_block(struct reader *r, const struct part *part,
			    char *block)
{
	unsigned int bs = r->fs->blocksize, at = 0, rec_len;
	errcode_t err = e4df_event_check(r->sink);

	if (!part->lblk)
		e4df_namespace_look_at_root(r->fs, &r->batch->rules[part->dir],
					    block);
	while (at + MIN_ENTRY <= bs && !err) {
		struct ext2_dir_entry *dirent = (void *)(block + at);
		unsigned int len = (unsigned int)ext2fs_dirent_name_len(dirent);

		if (ext2fs_get_rec_len(r->fs, dirent, &rec_len) ||
		    rec_len < MIN_ENTRY || rec_len % 4 || rec_len > bs - at ||
		    (dirent->inode && len + MIN_ENTRY > rec_len)) {
			r->ns->damage++;
			return 0;
		}
		err = add_raw(r, dirent, rec_len, part, at);
		at += rec_len;
	}
	return err;
}

/* The end of the parts that begin at i and are one read. */
static size_t read_end(const struct reader *r, size_t i)
{
	blk64_t bs = r->fs->blocksize;
	size_t end = i + 1;

	while (end < r->part_count &&
	       (r->parts[end].pblk - r->parts[i].pblk + 1) * bs <= READ_BYTES &&
	       (r->parts[end].pblk - r->parts[end - 1].pblk) * bs <= GAP_BYTES)
		end++;
	return end;
}

/* One by one, if they cannot be read together. */
static errcode_t read_parts(struct reader *r, size_t i, size_t end)
{
	blk64_t first = r->parts[i].pblk;
	blk64_t blocks = r->parts[end - 1].pblk - first + 1;
	int is_read = !e4df_gate_read(r->gate, first, blocks, r->buf);
	size_t bs = r->fs->blocksize;
	errcode_t err = 0;

	for (; i < end && !err; i++) {
		const struct part *part = &r->parts[i];
		char *block = r->buf;

		if (is_read)
			block += (part->pblk - first) * bs;
		else if (e4df_gate_read(r->gate, part->pblk, 1, block)) {
			r->ns->damage++;
			continue;
		}
		err = read_block(r, part, block);
	}
	return err;
}

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return (x->pblk > y->pblk) - (x->pblk < y->pblk);
}

static errcode_t read_batch(struct reader *r)
{
	errcode_t err = 0;
	size_t end;

	if (r->part_count)
		qsort(r->parts, r->part_count, sizeof(*r->parts),
		      compare_parts);
	for (size_t i = 0; i < r->part_count && !err; i = end) {
		end = read_end(r, i);
		err = e4df_event_check(r->sink);
		if (!err)
			err = read_parts(r, i, end);
	}
	return err;
}

static errcode_t keep_batch(struct reader *r, struct ns_batch *b)
{
	errcode_t err = e4df_event_check(r->sink);

	return err ? err : e4df_namespace_keep(r->ns, &r->wanted, b);
}

/* Waits for the batch that was handed over, if there is one. */
static errcode_t take_back(struct reader *r)
{
	struct ns_batch *b = r->sorted;

	if (!b->rule_count)
		return 0;
	e4df_crew_wait(r->crew, &b->job);
	return b->err ? b->err : keep_batch(r, b);
}

/* What has been read is sorted by a thread, while more is read. */
static errcode_t hand_over(struct reader *r)
{
	struct ns_batch *b = r->batch;
	errcode_t err = r->crew ? take_back(r) : e4df_crew_new(1, 0, &r->crew);

	if (err)
		return err;
	r->batch = r->sorted;
	r->sorted = b;
	e4df_namespace_start_sort(r->crew, r->fs, b);
	return 0;
}

/* The same at once, behind what was handed over. */
static errcode_t finish_batch(struct reader *r)
{
	errcode_t err = take_back(r);

	if (!err)
		err = e4df_namespace_sort(r->fs, r->batch);
	return err ? err : keep_batch(r, r->batch);
}

static errcode_t add_rule(struct reader *r, __u32 index, __u32 flags,
			  __u32 blocks)
{
	struct ns_batch *b = r->batch;
	errcode_t err = e4df_grow(&b->rules, &b->rule_alloc, b->rule_count + 1,
				  sizeof(*b->rules));

	if (!err)
		b->rules[b->rule_count++] = (struct ns_rule){
			.index = index,
			.flags = flags,
			.blocks = blocks,
			.is_bad = 1,
		};
	return err;
}

/* Adds a directory to the batch. */
static errcode_t add_parts(struct reader *r, __u32 index)
{
	const struct e4df_inode *inode = e4df_map_inode(r->ns->map, index);
	const struct e4df_extent *e = e4df_map_extents(r->ns->map, index);
	__u32 dir = (__u32)r->batch->rule_count;
	errcode_t err = add_rule(r, index, e4df_map_flags(r->ns->map, index),
				 inode->data ? e[inode->data - 1].lblk +
						       e[inode->data - 1].len :
					       0);

	for (__u32 i = 0; i < inode->data && !err; i++) {
		if (e[i].flags & E4DF_EXTENT_UNWRITTEN) {
			r->ns->damage += e[i].len;
			continue;
		}
		err = e4df_grow(&r->parts, &r->part_alloc,
				r->part_count + e[i].len, sizeof(*r->parts));
		for (__u32 k = 0; k < e[i].len && !err; k++)
			r->parts[r->part_count++] = (struct part){
				.pblk = e[i].pblk + k,
				.lblk = e[i].lblk + k,
				.dir = dir,
			};
	}
	return err;
}

static int compare_waiting(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	return (x->pblk > y->pblk) - (x->pblk < y->pblk);
}

/* The directories of the map, by their first block. */
static errcode_t list_dirs(const struct e4df_namespace *ns,
			   struct waiting **ret, size_t *ret_count)
{
	size_t count = 0, n = 0;
	struct waiting *list;

	for (__u32 i = 0; i < ns->xattrs; i++)
		count += e4df_map_inode(ns->map, i)->kind == E4DF_DIRECTORY;
	list = malloc((count + 1) * sizeof(*list));
	if (!list)
		return ENOMEM;
	for (__u32 i = 0; i < ns->xattrs; i++) {
		const struct e4df_inode *inode = e4df_map_inode(ns->map, i);

		if (inode->kind == E4DF_DIRECTORY)
			list[n++] = (struct waiting){
				.pblk = inode->data ?
						e4df_map_extents(ns->map, i)
							->pblk :
						0,
				.index = i,
			};
	}
	qsort(list, n, sizeof(*list), compare_waiting);
	*ret = list;
	*ret_count = n;
	return 0;
}

/* Joined with what was announced last, if not much lies between. */
static void announce(struct reader *r, blk64_t pblk, blk64_t len)
{
	blk64_t end = r->ahead.start + r->ahead.len;

	if (len && r->ahead.len && pblk >= end &&
	    (pblk - end) * r->fs->blocksize <= GAP_BYTES) {
		r->ahead.len = pblk + len - r->ahead.start;
		return;
	}
	if (r->ahead.len)
		e4df_gate_prefetch(r->gate, r->ahead.start, r->ahead.len);
	r->ahead = (struct e4df_range){ pblk, len };
}

/* Announces a directory.  Returns its blocks. */
static blk64_t look_ahead(struct reader *r, __u32 index)
{
	const struct e4df_inode *inode = e4df_map_inode(r->ns->map, index);
	const struct e4df_extent *e = e4df_map_extents(r->ns->map, index);
	blk64_t sum = 0;

	for (__u32 i = 0; i < inode->data; i++) {
		if (e[i].flags & E4DF_EXTENT_UNWRITTEN)
			continue;
		announce(r, e[i].pblk, e[i].len);
		sum += e[i].len;
	}
	return sum;
}

/* A batch is at least one directory, and then not much more than its bytes. */
static errcode_t read_mapped(struct reader *r)
{
	size_t most = BATCH_BYTES / r->fs->blocksize, count = 0, ahead = 0;
	blk64_t announced = 0, listed = 0;
	struct waiting *list = NULL;
	errcode_t err = list_dirs(r->ns, &list, &count);

	for (size_t i = 0; i < count && !err; i++) {
		err = add_parts(r, list[i].index);
		if (err || (r->part_count < most && i + 1 < count))
			continue;
		listed += r->part_count;
		while (ahead < count && announced < listed + AHEAD * most)
			announced += look_ahead(r, list[ahead++].index);
		announce(r, 0, 0);
		err = read_batch(r);
		r->part_count = 0;
		if (!err)
			err = i + 1 < count ? hand_over(r) : finish_batch(r);
	}
	free(list);
	return err;
}

struct inline_walk {
	struct reader *r;
	struct part place; /* where the next entry seems to be */
	errcode_t err;
};

static int visit_entry(ext2_ino_t dir, int entry, struct ext2_dir_entry *dirent,
		       int offset, int blocksize, char *buf, void *data)
{
	struct inline_walk *walk = data;
	unsigned int rec_len;

	(void)dir;
	(void)entry;
	(void)offset;
	(void)blocksize;
	(void)buf;
	walk->err = ext2fs_get_rec_len(walk->r->fs, dirent, &rec_len);
	if (!walk->err)
		walk->err = add_raw(walk->r, dirent, rec_len, &walk->place, 0);
	walk->place.lblk++;
	return walk->err ? DIRENT_ABORT : 0;
}

static errcode_t read_inlined(struct reader *r, __u32 k)
{
	struct e4df_namespace *ns = r->ns;
	struct inline_walk walk = { .r = r };
	struct ext2_inode inode = { .i_flags = 0 };
	errcode_t err, cause;

	err = ext2fs_read_inode(r->fs, ns->inlined[k], &inode);
	cause = e4df_gate_cause(r->gate, err);
	if (cause == ENOMEM)
		return ENOMEM;
	/* An index is for blocks. */
	walk.err = add_rule(r, ns->count + k,
			    inode.i_flags & E4DF_DIRECTORY_FLAGS &
				    ~(__u32)EXT2_INDEX_FL,
			    0);
	if (walk.err)
		return walk.err;
	if (!err)
		err = ext2fs_dir_iterate2(r->fs, ns->inlined[k], 0, NULL,
					  visit_entry, &walk);
	if (walk.err)
		return walk.err;
	cause = e4df_gate_cause(r->gate, err);
	if (cause == ENOMEM)
		return ENOMEM;
	ns->damage += err != 0;
	return finish_batch(r);
}

/* Of a directory: its index, and its number as it was read. */
struct place {
	__u32 index, dir;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static errcode_t index_dirs(struct e4df_namespace *ns)
{
	struct place *list = malloc((ns->dir_count + 1) * sizeof(*list));

	ns->by_index = malloc((ns->dir_count + 1) * sizeof(*ns->by_index));
	if (!list || !ns->by_index) {
		free(list);
		return ENOMEM;
	}
	for (__u32 d = 0; d < ns->dir_count; d++)
		list[d] = (struct place){ ns->dirs[d].index, d };
	if (ns->dir_count)
		qsort(list, ns->dir_count, sizeof(*list), compare_places);
	for (__u32 i = 0; i < ns->dir_count; i++)
		ns->by_index[i] = list[i].dir;
	free(list);
	return 0;
}

/* The names of all directories are kept. */
static void name_dirs(struct e4df_namespace *ns)
{
	for (size_t k = 0; k < ns->name_count; k++) {
		__u32 entry = ns->names[k].entry;
		__u32 index = ns->targets[entry], dir;

		if (index == E4DF_NAMESPACE_NOTHING ||
		    (index < ns->count &&
		     e4df_map_inode(ns->map, index)->kind != E4DF_DIRECTORY))
			continue;
		dir = e4df_namespace_dir(ns, index);
		if (dir != NONE && ns->dirs[dir].named_by == NONE)
			ns->dirs[dir].named_by = entry;
	}
}

static errcode_t read_all(struct reader *r)
{
	struct ext2_dir_entry root = {
		.inode = EXT2_ROOT_INO,
		.name_len = EXT2_FT_DIR << 8,
	};
	size_t bs = r->fs->blocksize;
	errcode_t err;

	r->buf = malloc(READ_BYTES > bs ? READ_BYTES : bs);
	if (!r->buf)
		return ENOMEM;
	/* Most inodes have one name.  What is not used takes no memory. */
	err = e4df_grow(&r->ns->targets, &r->ns->entry_alloc, r->ns->count,
			sizeof(*r->ns->targets));
	if (!err)
		err = e4df_namespace_target(&r->finder, &root, &r->ns->root);
	if (!err)
		err = read_mapped(r);
	/* Of directories within their inodes more turn up on the way. */
	for (__u32 k = 0; k < r->ns->inlined_count && !err; k++)
		err = read_inlined(r, k);
	if (!err)
		err = index_dirs(r->ns);
	if (!err)
		name_dirs(r->ns);
	return err;
}

static void release(struct reader *r)
{
	e4df_crew_free(r->crew);
	e4df_spans_free(&r->finder.inlined);
	free(r->buf);
	free(r->parts);
	for (int i = 0; i < 2; i++) {
		free(r->batches[i].rules);
		free(r->batches[i].raw);
		free(r->batches[i].pool);
	}
}

/* What cannot be read has no names; that is nothing to complain of. */
errcode_t e4df_namespace_read(struct e4df_volume *vol,
			      const struct e4df_map *map, unsigned int flags,
			      const ext2_ino_t *wanted, size_t wanted_count,
			      struct e4df_namespace **ret)
{
	struct e4df_namespace *ns = calloc(1, sizeof(*ns));
	struct reader r = {
		.ns = ns,
		.fs = e4df_volume_fs(vol),
		.gate = e4df_volume_gate(vol),
		.sink = e4df_volume_sink(vol),
		.wanted = { wanted, wanted_count },
	};
	errcode_t err;

	if (!ns)
		return ENOMEM;
	r.finder = (struct ns_finder){ .ns = ns, .fs = r.fs, .gate = r.gate };
	r.batch = &r.batches[0];
	r.sorted = &r.batches[1];
	ns->vol = vol;
	ns->map = map;
	ns->flags = flags;
	ns->count = ns->xattrs = e4df_map_count(map);
	while (ns->xattrs &&
	       e4df_map_inode(map, ns->xattrs - 1)->kind == E4DF_XATTR)
		ns->xattrs--;
	e4df_gate_set_sink(r.gate, NULL);
	err = read_all(&r);
	e4df_gate_set_sink(r.gate, e4df_volume_sink(vol));
	release(&r);
	if (err)
		e4df_namespace_free(ns);
	else
		*ret = ns;
	return err;
}
