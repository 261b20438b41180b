/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scattered allocator: free space as a deck of cards.
 *
 * The free space is cut into pieces of random length, and the pieces are
 * shuffled.  Who needs blocks takes them from the top; what is never taken
 * stays free.  Taking does not mark anything in use: that is the caller's.
 */
#ifndef TESTS_TOOLS_DECK_H
#define TESTS_TOOLS_DECK_H

#include <stdlib.h>
#include <ext2fs/ext2fs.h>

#include "prng.h"
#include "tool.h"

#define DECK_PIECE_MAX 16384 /* blocks: any piece fits one extent */

struct piece {
	blk64_t pblk;
	blk64_t len; /* blocks */
};

struct deck {
	struct piece *piece; /* owned; the top is the last one */
	size_t count;
	size_t room;
	blk64_t unit; /* blocks in a cluster; all lengths are multiples */
};

static inline void deck_put(struct deck *deck, struct piece p)
{
	if (deck->count == deck->room) {
		deck->room = deck->room * 2 + 1024;
		deck->piece = must_alloc(
			realloc(deck->piece, deck->room * sizeof(p)));
	}
	deck->piece[deck->count++] = p;
}

static inline blk64_t deck_blocks(const struct deck *deck)
{
	blk64_t sum = 0;
	size_t i;

	for (i = 0; i < deck->count; i++)
		sum += deck->piece[i].len;
	return sum;
}

/* Up to @want blocks, rounded up to clusters, from the top. */
static inline struct piece deck_take(struct deck *deck, blk64_t want)
{
	struct piece *top, taken;

	if (!deck->count)
		die("no free block left");
	top = &deck->piece[deck->count - 1];
	taken = *top;
	want = (want + deck->unit - 1) / deck->unit * deck->unit;
	if (taken.len > want) {
		taken.len = want;
		top->pblk += want;
		top->len -= want;
	} else {
		deck->count--;
	}
	return taken;
}

static inline void deck_cut(struct deck *deck, struct prng *rng, uint64_t mean,
			    blk64_t pblk, blk64_t end)
{
	blk64_t len;

	for (; pblk < end; pblk += len) {
		len = 1 + prng_exponential(rng, mean - 1);
		if (len > DECK_PIECE_MAX)
			len = DECK_PIECE_MAX;
		len = (len + deck->unit - 1) / deck->unit * deck->unit;
		if (len > end - pblk)
			len = end - pblk;
		deck_put(deck, (struct piece){ pblk, len });
	}
}

static inline void deck_shuffle(struct deck *deck, struct prng *rng)
{
	struct piece card;
	size_t i, j;

	for (i = deck->count; i > 1; i--) {
		j = (size_t)prng_below(rng, i);
		card = deck->piece[i - 1];
		deck->piece[i - 1] = deck->piece[j];
		deck->piece[j] = card;
	}
}

/* The free blocks in [start, last], in pieces of @mean blocks on average. */
static inline void deck_build(struct deck *deck, ext2_filsys fs,
			      struct prng *rng, uint64_t mean, blk64_t start,
			      blk64_t last)
{
	ext2fs_block_bitmap map = fs->block_map;
	blk64_t end;

	deck->unit = (blk64_t)EXT2FS_CLUSTER_RATIO(fs);
	while (start <= last && !ext2fs_find_first_zero_block_bitmap2(
					map, start, last, &start)) {
		if (ext2fs_find_first_set_block_bitmap2(map, start, last, &end))
			end = last + 1;
		deck_cut(deck, rng, mean, start, end);
		start = end;
	}
	deck_shuffle(deck, rng);
}

#endif
