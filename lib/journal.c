/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e4df_err.h"
#include "jbd2_disk.h"

#define OUT_BYTES   (1 << 20) /* log blocks written at once */
#define RESERVED_FC 256	      /* never used: fast commit's blocks */

/* ext2fs_*_be* work on values; the log is big-endian throughout. */
#define be16(x) ext2fs_cpu_to_be16(x)
#define be32(x) ext2fs_cpu_to_be32(x)

enum state {
	OPEN,	   /* the log is empty and closed */
	CLEAN,	   /* the log is empty and open */
	COMMITTED, /* a transaction is to be replayed or checkpointed */
};

struct e4df_journal {
	/* Immutable once open. */
	struct e4df_gate *gate; /* (borrowed) */
	struct e4df_sink *sink; /* (borrowed) */
	unsigned int bs;
	blk64_t *log;		    /* (owned) log block -> block */
	__u32 first;		    /* log block of the first descriptor */
	__u32 end;		    /* first log block not to be used */
	struct e4df_runs log_grant; /* the whole log */
	int is_v3, is_v2, is_64bit;
	__u32 seed; /* of the checksums */
	/* Mutable. */
	enum state state;
	struct jbd2_super *super; /* (owned) block 0 as on disk */
	__u32 tid;		  /* of the transaction being made */
	/* The log being written: a run of blocks not yet handed on. */
	char *out;	 /* (owned) OUT_BYTES */
	blk64_t out_blk; /* where it begins */
	__u32 out_blocks;
	__u32 position; /* next log block */
};

static __u32 crc(__u32 seed, const void *data, size_t bytes)
{
	return ext2fs_crc32c_le(seed, data, bytes);
}

static int has_csum(const struct e4df_journal *j)
{
	return j->is_v2 || j->is_v3;
}

/* Bytes of a tag (jbd2's journal_tag_bytes). */
static unsigned int tag_bytes(const struct e4df_journal *j)
{
	if (j->is_v3)
		return 16;
	return 8U + (j->is_64bit ? 4U : 0) + (j->is_v2 ? 2U : 0);
}

/* Tags that a descriptor block holds: its first one brings a uuid. */
static unsigned int tags_per_block(const struct e4df_journal *j)
{
	unsigned int tail = has_csum(j) ? 4 : 0;

	return (j->bs - (unsigned int)sizeof(struct jbd2_head) - 16 - tail) /
	       tag_bytes(j);
}

static errcode_t bad(struct e4df_journal *j, const char *what)
{
	return e4df_event_fail(j->sink, E4DF_ET_BAD_JOURNAL,
			       "the journal's superblock is damaged (%s); run "
			       "e2fsck -f first",
			       what);
}

/* Nothing wrong, but not for us. */
static errcode_t unusable(struct e4df_journal *j, const char *what)
{
	e4df_event_find(j->sink, E4DF_NOTE, 0, 0,
			"the journal cannot be used (%s): metadata are written "
			"in order instead",
			what);
	return E4DF_ET_NO_JOURNAL;
}

static errcode_t check_super(struct e4df_journal *j, __u32 log_blocks)
{
	struct jbd2_super *sb = j->super;
	__u32 incompat = be32(sb->incompat), compat = be32(sb->compat);
	int v2 = (incompat & JBD2_INCOMPAT_CSUM_V2) != 0;
	int v3 = (incompat & JBD2_INCOMPAT_CSUM_V3) != 0;
	__u32 want = sb->checksum, have;

	if (be32(sb->head.magic) != JBD2_MAGIC)
		return bad(j, "no magic number");
	if (be32(sb->head.type) == JBD2_SUPER_V1)
		return j->super->start ? bad(j, "it is not empty") :
					 unusable(j, "it is of version 1");
	if (be32(sb->head.type) != JBD2_SUPER_V2)
		return bad(j, "unknown type");
	if (be32(sb->blocksize) != j->bs)
		return bad(j, "block size");
	if (be32(sb->first) < 1 || be32(sb->maxlen) > log_blocks ||
	    be32(sb->first) >= be32(sb->maxlen) ||
	    be32(sb->num_fc_blks) >= be32(sb->maxlen))
		return bad(j, "length");
	if (sb->start || sb->error)
		return bad(j, "it is not empty");
	if (incompat & ~JBD2_INCOMPAT_KNOWN || sb->ro_compat ||
	    compat & ~JBD2_COMPAT_CHECKSUM || be32(sb->nr_users) > 1)
		return e4df_event_fail(j->sink, E4DF_ET_FEATURE,
				       "the journal has a feature that is not "
				       "supported; nothing done");
	if ((v2 && v3) || ((v2 || v3) && compat))
		return bad(j, "two kinds of checksum");
	if (v2 || v3) {
		sb->checksum = 0;
		have = crc(~0U, sb, sizeof(*sb));
		sb->checksum = want;
		if (sb->checksum_type != JBD2_CHECKSUM_CRC32C ||
		    have != be32(want))
			return bad(j, "checksum");
	}
	if (be32(sb->maxlen) < 1024)
		return unusable(j, "it is shorter than 1024 blocks");
	return 0;
}

/*
 * The features the kernel would set at its next mount: V3 with metadata_csum,
 * 64BIT with 64bit; fast and asynchronous commit are off while we write.
 */
static void choose_features(struct e4df_journal *j,
			    const struct e4df_journal_options *o)
{
	__u32 incompat = be32(j->super->incompat);

	incompat &= ~(JBD2_INCOMPAT_FAST_COMMIT | JBD2_INCOMPAT_ASYNC_COMMIT);
	if (o->has_64bit)
		incompat |= JBD2_INCOMPAT_64BIT;
	if (o->has_metadata_csum) {
		incompat &= ~JBD2_INCOMPAT_CSUM_V2;
		incompat |= JBD2_INCOMPAT_CSUM_V3;
		j->super->compat &= be32(~JBD2_COMPAT_CHECKSUM);
		j->super->checksum_type = JBD2_CHECKSUM_CRC32C;
	}
	j->super->incompat = be32(incompat);
	j->is_v2 = (incompat & JBD2_INCOMPAT_CSUM_V2) != 0;
	j->is_v3 = (incompat & JBD2_INCOMPAT_CSUM_V3) != 0;
	j->is_64bit = (incompat & JBD2_INCOMPAT_64BIT) != 0;
	j->seed = crc(~0U, j->super->uuid, sizeof(j->super->uuid));
}

static errcode_t map_log(struct e4df_journal *j,
			 const struct e4df_journal_options *o,
			 __u32 *log_blocks)
{
	blk64_t count = e4df_extents_blocks(o->log, o->log_extents);
	__u32 n = 0;
	errcode_t err = 0;

	if (!count || count > UINT32_MAX)
		return bad(j, "length");
	j->log = malloc(count * sizeof(*j->log));
	if (!j->log)
		return ENOMEM;
	for (__u32 i = 0; i < o->log_extents && !err; i++) {
		const struct e4df_extent *e = &o->log[i];

		if (e->lblk != n || e->flags)
			return bad(j, "it has holes");
		for (__u32 k = 0; k < e->len; k++)
			j->log[n++] = e->pblk + k;
		err = e4df_runs_push(&j->log_grant, e->pblk, e->len);
	}
	e4df_runs_sort(&j->log_grant);
	/* the kernel goes by the size, and refuses a log that is longer */
	*log_blocks = n < o->size ? n : (__u32)o->size;
	return err;
}

/* The number of log blocks from n on that are one read. */
static __u32 contiguous(const struct e4df_journal *j, __u32 n, __u32 end)
{
	__u32 most = OUT_BYTES / j->bs, len = 1;

	while (len < most && n + len < end &&
	       j->log[n + len] == j->log[n] + len)
		len++;
	return len;
}

/*
 * I9.  A log that was zeroed lazily, or made anew, may still hold committed
 * transactions of old; recovery would take one with the expected id for ours.
 */
static errcode_t choose_tid(struct e4df_journal *j)
{
	__u32 maxlen = be32(j->super->maxlen);
	errcode_t err = 0;

	j->tid = be32(j->super->sequence);
	for (__u32 n = 1, len; n < maxlen && !err; n += len) {
		len = contiguous(j, n, maxlen);
		err = e4df_event_check(j->sink);
		if (!err)
			err = e4df_gate_read(j->gate, j->log[n], len, j->out);
		for (__u32 i = 0; i < len && !err; i++) {
			const struct jbd2_head *head =
				(void *)(j->out + (size_t)i * j->bs);
			__u32 tid = be32(head->tid);

			if (be32(head->magic) == JBD2_MAGIC &&
			    (__s32)(tid - j->tid) >= 0)
				j->tid = tid + 1;
		}
	}
	return err;
}

errcode_t e4df_journal_open(const struct e4df_journal_options *o,
			    struct e4df_journal **ret)
{
	struct e4df_journal *j = calloc(1, sizeof(*j));
	__u32 log_blocks = 0;
	errcode_t err;

	if (!j)
		return ENOMEM;
	j->gate = o->gate;
	j->sink = o->sink;
	j->bs = o->block_size;
	j->super = calloc(1, j->bs);
	j->out = malloc(OUT_BYTES);
	err = j->super && j->out ? map_log(j, o, &log_blocks) : ENOMEM;
	if (!err)
		err = e4df_gate_read(j->gate, j->log[0], 1, j->super);
	if (!err)
		err = check_super(j, log_blocks);
	if (!err)
		err = choose_tid(j);
	if (err) {
		e4df_journal_close(j);
		return err;
	}
	choose_features(j, o);
	j->first = be32(j->super->first);
	j->end = be32(j->super->num_fc_blks);
	j->end = be32(j->super->maxlen) -
		 (j->end > RESERVED_FC ? j->end : RESERVED_FC);
	*ret = j;
	return 0;
}

void e4df_journal_close(struct e4df_journal *j)
{
	if (!j)
		return;
	e4df_runs_free(&j->log_grant);
	free(j->super);
	free(j->out);
	free(j->log);
	free(j);
}

int e4df_journal_is_clean(const struct e4df_journal *j)
{
	return j->state != COMMITTED;
}

/* n images take n + ceil(n / tags) + commit + terminator. */
__u32 e4df_journal_capacity(const struct e4df_journal *j)
{
	__u32 usable = j->end > j->first + 3 ? j->end - j->first - 3 : 0;
	__u32 tags = tags_per_block(j);

	return (__u32)((blk64_t)usable * tags / (tags + 1));
}

/* Only the first 512 bytes of the journal superblock ever change. */
static errcode_t write_super(struct e4df_journal *j, __u32 start)
{
	struct jbd2_super *sb = j->super;
	errcode_t err;

	sb->sequence = be32(j->tid);
	sb->start = be32(start);
	if (has_csum(j)) {
		sb->checksum = 0;
		sb->checksum = be32(crc(~0U, sb, sizeof(*sb)));
	}
	e4df_gate_grant(j->gate, &j->log_grant, "the journal");
	err = e4df_gate_write(j->gate, j->log[0], 1, sb);
	e4df_gate_grant(j->gate, NULL, NULL);
	return err ? err : e4df_gate_flush(j->gate);
}

errcode_t e4df_journal_start(struct e4df_journal *j)
{
	errcode_t err = write_super(j, j->first); /* I7 */

	if (!err)
		j->state = CLEAN;
	return err;
}

errcode_t e4df_journal_stop(struct e4df_journal *j)
{
	errcode_t err = j->state == CLEAN ? write_super(j, 0) : 0;

	if (!err)
		j->state = OPEN;
	return err;
}

static errcode_t flush_out(struct e4df_journal *j)
{
	errcode_t err = 0;

	if (j->out_blocks)
		err = e4df_gate_write(j->gate, j->out_blk, j->out_blocks,
				      j->out);
	j->out_blocks = 0;
	return err;
}

/* The next block of the log; NULL contents are zeros. */
static errcode_t put(struct e4df_journal *j, const void *data)
{
	blk64_t blk = j->log[j->position];
	errcode_t err;

	if (j->out_blocks == OUT_BYTES / j->bs ||
	    (j->out_blocks && blk != j->out_blk + j->out_blocks)) {
		err = flush_out(j);
		if (err)
			return err;
	}
	if (!j->out_blocks)
		j->out_blk = blk;
	if (data)
		memcpy(j->out + (size_t)j->out_blocks * j->bs, data, j->bs);
	else
		memset(j->out + (size_t)j->out_blocks * j->bs, 0, j->bs);
	j->out_blocks++;
	j->position++;
	return 0;
}

/* Log copies must not begin with the magic number. */
static int must_escape(const void *image)
{
	__u32 magic;

	memcpy(&magic, image, 4);
	return be32(magic) == JBD2_MAGIC;
}

static __u32 image_checksum(const struct e4df_journal *j, const void *image)
{
	static const __u32 zero;
	__u32 tid = be32(j->tid), sum = crc(j->seed, &tid, 4);

	if (!must_escape(image))
		return crc(sum, image, j->bs);
	sum = crc(sum, &zero, 4);
	return crc(sum, (const char *)image + 4, j->bs - 4);
}

static void fill_tag(const struct e4df_journal *j, char *at, blk64_t blk,
		     const void *image, __u32 flags)
{
	__u32 sum = has_csum(j) ? image_checksum(j, image) : 0;
	struct jbd2_tag3 v3 = {
		.blocknr = be32((__u32)blk),
		.flags = be32(flags),
		.blocknr_high = be32((__u32)(blk >> 32)),
		.checksum = be32(sum),
	};
	struct jbd2_tag old = {
		.blocknr = v3.blocknr,
		.blocknr_high = v3.blocknr_high,
		.flags = be16((__u16)flags),
		.checksum = be16((__u16)sum),
	};

	if (j->is_v3)
		memcpy(at, &v3, sizeof(v3));
	else
		memcpy(at, &old, j->is_64bit ? 12 : 8);
}

static void fill_head(const struct e4df_journal *j, void *block, __u32 type)
{
	struct jbd2_head *head = block;

	memset(block, 0, j->bs);
	head->magic = be32(JBD2_MAGIC);
	head->type = be32(type);
	head->tid = be32(j->tid);
}

/* The descriptor of count images from `first` on. */
static void fill_descriptor(const struct e4df_journal *j, char *block,
			    const struct e4df_stage *stage, size_t first,
			    size_t count)
{
	char *at = block + sizeof(struct jbd2_head);

	fill_head(j, block, JBD2_DESCRIPTOR);
	for (size_t i = 0; i < count; i++) {
		blk64_t blk;
		const void *image = e4df_stage_image(stage, first + i, &blk);
		__u32 flags = (i ? JBD2_TAG_SAME_UUID : 0) |
			      (i + 1 == count ? JBD2_TAG_LAST : 0) |
			      (must_escape(image) ? JBD2_TAG_ESCAPE : 0);

		fill_tag(j, at, blk, image, flags);
		at += tag_bytes(j);
		if (!i) {
			memcpy(at, j->super->uuid, 16);
			at += 16;
		}
	}
	if (has_csum(j)) {
		__u32 sum = be32(crc(j->seed, block, j->bs));

		memcpy(block + j->bs - 4, &sum, 4);
	}
}

/* One descriptor and the images it describes. */
static errcode_t put_group(struct e4df_journal *j, char *block,
			   const struct e4df_stage *stage, size_t first,
			   size_t count)
{
	errcode_t err;

	fill_descriptor(j, block, stage, first, count);
	err = put(j, block);
	for (size_t i = 0; i < count && !err; i++) {
		blk64_t blk;
		const void *image = e4df_stage_image(stage, first + i, &blk);

		err = put(j, image);
		if (!err && must_escape(image))
			memset(j->out + (size_t)(j->out_blocks - 1) * j->bs, 0,
			       4);
	}
	return err;
}

/* Everything but the commit block, whose slot and successor are zeroed. */
static errcode_t put_log(struct e4df_journal *j, const struct e4df_stage *stage,
			 char *block)
{
	size_t images = e4df_stage_count(stage), count;
	size_t tags = tags_per_block(j);
	errcode_t err = 0;

	j->position = j->first;
	j->out_blocks = 0;
	for (size_t i = 0; i < images && !err; i += count) {
		count = images - i;
		if (count > tags)
			count = tags;
		err = put_group(j, block, stage, i, count);
	}
	if (!err)
		err = put(j, NULL); /* the commit's slot */
	if (!err)
		err = put(j, NULL); /* ends every scan of the log */
	return err ? err : flush_out(j);
}

/* The slot held zeros: one sector changes, so this cannot be torn. */
static errcode_t put_commit(struct e4df_journal *j, char *block)
{
	struct jbd2_commit *commit = (void *)block;

	fill_head(j, block, JBD2_COMMIT);
	if (has_csum(j))
		commit->checksum[0] = be32(crc(j->seed, block, j->bs));
	return e4df_gate_write(j->gate, j->log[j->position - 2], 1, block);
}

errcode_t e4df_journal_commit(struct e4df_journal *j,
			      const struct e4df_stage *stage)
{
	char *block;
	errcode_t err;

	if (e4df_stage_count(stage) > e4df_journal_capacity(j))
		return E4DF_ET_TOO_LARGE;
	block = malloc(j->bs);
	if (!block)
		return ENOMEM;
	e4df_gate_grant(j->gate, &j->log_grant, "the journal");
	err = put_log(j, stage, block);
	if (!err)
		err = e4df_gate_flush(j->gate); /* I3: data and log */
	if (!err)
		err = put_commit(j, block);
	if (!err) {
		j->state = COMMITTED; /* perhaps; from here on: replay */
		err = e4df_gate_flush(j->gate); /* the atomic point */
	}
	e4df_gate_grant(j->gate, NULL, NULL);
	free(block);
	return err;
}

errcode_t e4df_journal_checkpoint(struct e4df_journal *j,
				  const struct e4df_stage *stage)
{
	errcode_t err =
		e4df_stage_write(stage, j->gate, NULL, "the checkpoint");

	if (!err)
		err = e4df_gate_flush(j->gate); /* I5, I6 */
	if (err)
		return err;
	j->tid++;
	err = write_super(j, j->first); /* I6: emptied */
	if (!err)
		j->state = CLEAN;
	return err;
}
