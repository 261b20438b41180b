/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jbd2_disk - layer 0: the journal's structures on disk
 *
 * All fields are big-endian.  Source: the kernel's Documentation/filesystems/
 * ext4/journal.rst and include/linux/jbd2.h.
 */
#ifndef E4DF_JBD2_DISK_H
#define E4DF_JBD2_DISK_H

#include <stddef.h>
#include <stdint.h>

#define JBD2_MAGIC	0xC03B3998u
#define JBD2_DESCRIPTOR 1
#define JBD2_COMMIT	2
#define JBD2_SUPER_V1	3
#define JBD2_SUPER_V2	4
#define JBD2_REVOKE	5

#define JBD2_COMPAT_CHECKSUM	   0x01u
#define JBD2_INCOMPAT_REVOKE	   0x01u
#define JBD2_INCOMPAT_64BIT	   0x02u
#define JBD2_INCOMPAT_ASYNC_COMMIT 0x04u
#define JBD2_INCOMPAT_CSUM_V2	   0x08u
#define JBD2_INCOMPAT_CSUM_V3	   0x10u
#define JBD2_INCOMPAT_FAST_COMMIT  0x20u
#define JBD2_INCOMPAT_KNOWN	   0x3fu

#define JBD2_CHECKSUM_CRC32C 4

#define JBD2_TAG_ESCAPE	   1
#define JBD2_TAG_SAME_UUID 2
#define JBD2_TAG_LAST	   8

/*
 * The head of every control block of the log:
 *
 *	0        4        8        12
 *	| magic  | type   | tid    | ...
 */
struct jbd2_head {
	uint32_t magic;
	uint32_t type;
	uint32_t tid;
};
_Static_assert(sizeof(struct jbd2_head) == 12, "jbd2 header");

/*
 * The journal superblock, log block 0; it uses the first 1024 bytes.
 *
 *	0x00 head   0x0c blocksize maxlen first   0x18 sequence start errno
 *	0x24 compat incompat ro_compat            0x30 uuid[16]
 *	0x40 nr_users dynsuper max_transaction max_trans_data
 *	0x50 checksum_type  0x54 num_fc_blks  0x58 head  ...  0xfc checksum
 *	0x100 users[768]
 *
 * All that this library changes lies in the first 512 bytes.
 */
struct jbd2_super {
	struct jbd2_head head;
	uint32_t blocksize;
	uint32_t maxlen;
	uint32_t first;
	uint32_t sequence;
	uint32_t start;
	uint32_t error;
	uint32_t compat;
	uint32_t incompat;
	uint32_t ro_compat;
	uint8_t uuid[16];
	uint32_t nr_users;
	uint32_t dynsuper;
	uint32_t max_transaction;
	uint32_t max_trans_data;
	uint8_t checksum_type;
	uint8_t padding2[3];
	uint32_t num_fc_blks;
	uint32_t log_head;
	uint32_t padding[40];
	uint32_t checksum;
	uint8_t users[768];
};
_Static_assert(sizeof(struct jbd2_super) == 1024, "jbd2 superblock");
_Static_assert(offsetof(struct jbd2_super, checksum) == 0xfc, "jbd2 csum");
_Static_assert(offsetof(struct jbd2_super, checksum_type) == 0x50, "type");

/*
 * The commit block; checksum[0] covers the whole block.
 */
struct jbd2_commit {
	struct jbd2_head head;
	uint8_t checksum_type;
	uint8_t checksum_size;
	uint8_t padding[2];
	uint32_t checksum[8];
	uint64_t seconds;
	uint32_t nanoseconds;
} __attribute__((packed));
_Static_assert(offsetof(struct jbd2_commit, checksum) == 0x10, "commit csum");
_Static_assert(offsetof(struct jbd2_commit, seconds) == 0x30, "commit time");

/*
 * Tags in a descriptor block.  V3 takes 16 bytes.  The older form takes 8,
 * 12 with 64BIT, and 2 dead bytes more with V2, so that it is not aligned:
 * always copy, never cast.
 *
 *	V3	| blocknr | flags (32)        | blocknr_high | checksum (32) |
 *	older	| blocknr | csum (16) | flags (16) | [blocknr_high] | [2 dead]
 */
struct jbd2_tag3 {
	uint32_t blocknr;
	uint32_t flags;
	uint32_t blocknr_high;
	uint32_t checksum;
};
_Static_assert(sizeof(struct jbd2_tag3) == 16, "jbd2 V3 tag");

struct jbd2_tag {
	uint32_t blocknr;
	uint16_t checksum;
	uint16_t flags;
	uint32_t blocknr_high;
};
_Static_assert(sizeof(struct jbd2_tag) == 12, "jbd2 tag");

#endif
