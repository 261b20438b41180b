/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mutate.h"

#include <stddef.h>
#include <string.h>

/*
 * An undo file, as lib/ext2fs/undo_io.c of e2fsprogs has it: a header; blocks
 * of keys, each with the data of its keys behind it.
 */
struct undo_header {
	char magic[8];
	uint64_t num_keys;
	uint64_t super_offset;
	uint64_t key_offset; /* blocks */
	uint32_t block_size;
	uint8_t more[472];
	uint32_t crc;
};
_Static_assert(sizeof(struct undo_header) == 512, "undo header");

/* The keys themselves have 16 bytes, too. */
struct undo_keys {
	uint32_t magic;
	uint32_t crc;
	uint64_t reserved;
};

static void survey_undo(struct image *img, const struct undo_header *h)
{
	struct part part = { .kind = UNDO_HEADER, .len = sizeof(*h) };
	uint64_t at = h->key_offset, left = h->num_keys, each, bytes;

	img->block_size = h->block_size;
	add_part(img, &part);
	each = h->block_size / sizeof(struct undo_keys) - 1;
	part.kind = UNDO_KEYS;
	part.len = h->block_size;
	while (left) {
		part.at = at * h->block_size;
		add_part(img, &part);
		at++;
		for (uint64_t i = 1; i <= each && left; i++, left--) {
			bytes = 0;
			memcpy(&bytes, img->byte + part.at + 16 * i + 12, 4);
			at += (bytes + h->block_size - 1) / h->block_size;
		}
	}
}

void survey_file(struct image *img)
{
	const struct part all = { .kind = BYTES, .len = img->len };
	struct undo_header h;

	img->block_size = 1024;
	if (img->len > sizeof(h)) {
		memcpy(&h, img->byte, sizeof(h));
		if (!memcmp(h.magic, "E2UNDO02", sizeof(h.magic))) {
			survey_undo(img, &h);
			return;
		}
	}
	add_part(img, &all);
}

void seal_undo(struct image *img, const struct part *part)
{
	size_t at = part->kind == UNDO_HEADER ?
			    offsetof(struct undo_header, crc) :
			    offsetof(struct undo_keys, crc);
	size_t len = part->kind == UNDO_HEADER ? at : part->len;
	uint32_t crc = 0;

	if (part->kind == UNDO_KEYS)
		memcpy(img->byte + part->at + at, &crc, sizeof(crc));
	crc = ext2fs_crc32c_le(~0U, img->byte + part->at, len);
	memcpy(img->byte + part->at + at, &crc, sizeof(crc));
}
