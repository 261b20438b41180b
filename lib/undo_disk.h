/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * undo_disk - layer 0: the structures of an undo file
 *
 * All fields are little-endian, as the host is (see configure.ac).  Source:
 * lib/ext2fs/undo_io.c and misc/e2undo.c of e2fsprogs 1.47.0.
 *
 * The file consists of blocks of block_size bytes:
 *
 *	block 0         the header, 512 bytes
 *	super_offset    the superblock as it is on the target now, 1024 bytes,
 *	                with s_magic inverted
 *	key_offset      a block of keys, then the data of each of its keys in
 *	                the same order, each beginning at a block; then, if the
 *	                block of keys is full, the next block of keys, and so on
 *
 * All checksums are ext2fs_crc32c_le(~0, ...).
 */
#ifndef E4DF_UNDO_DISK_H
#define E4DF_UNDO_DISK_H

#include <stddef.h>
#include <stdint.h>

#define UNDO_MAGIC	   "E2UNDO02" /* without the end of a string */
#define UNDO_KEYS_MAGIC	   0xCADECADEu
#define UNDO_FINISHED	   0x1u /* state */
#define UNDO_HAS_FS_OFFSET 0x1u /* compat */
#define UNDO_MIN_BLOCK	   1024u
#define UNDO_MAX_BLOCK	   (1024u * 1024)
#define UNDO_MAX_KEY	   512 /* blocks of data of one key */

struct undo_header {
	char magic[8];
	uint64_t num_keys;     /* in all blocks of keys */
	uint64_t super_offset; /* blocks */
	uint64_t key_offset;   /* blocks */
	uint32_t block_size;   /* bytes, of this file's blocks */
	uint32_t fs_block_size;
	uint32_t super_crc;
	uint32_t state;
	uint32_t compat;
	uint32_t incompat;
	uint32_t ro_compat;
	uint32_t reserved;
	uint64_t fs_offset; /* bytes before the file system */
	uint8_t unused[436];
	uint32_t crc; /* of all before */
};
_Static_assert(sizeof(struct undo_header) == 512, "undo header");
_Static_assert(offsetof(struct undo_header, fs_offset) == 64, "undo header");

struct undo_key {
	uint64_t fs_block; /* where the data belong */
	uint32_t crc;	   /* of the data */
	uint32_t bytes;	   /* of data */
};
_Static_assert(sizeof(struct undo_key) == 16, "undo key");

/* Takes a whole block; the checksum is over that, with crc = 0. */
struct undo_keys {
	uint32_t magic;
	uint32_t crc;
	uint64_t reserved;
	struct undo_key v[];
};
_Static_assert(sizeof(struct undo_keys) == 16, "undo keys");

#endif
