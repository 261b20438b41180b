/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "states.h"

#include <string.h>

#include "../tools/prng.h"

#define SECTOR 512 /* bytes; what no disk tears */

static const char *const names[STATES_KINDS] = {
	[STATES_PREFIX] = "prefix", [STATES_SINGLE] = "single",
	[STATES_BUT] = "but",	    [STATES_TORN] = "torn",
	[STATES_SUBSET] = "subset", [STATES_SECTORS] = "sectors",
};

const char *states_name(enum states_kind kind)
{
	return names[kind];
}

enum states_kind states_kind_of(const char *name)
{
	enum states_kind kind = 0;

	while (kind < STATES_KINDS && strcmp(names[kind], name))
		kind++;
	return kind;
}

uint64_t states_count(const struct record_epoch *e, enum states_kind kind,
		      uint64_t wanted)
{
	int is_one_sector = e->count == 1 && e->bytes <= SECTOR;

	switch (kind) {
	case STATES_PREFIX:
	case STATES_SINGLE:
	case STATES_BUT:
		return e->count;
	case STATES_SUBSET:
		return e->count > 2 ? wanted : 0;
	default:
		return is_one_sector ? 0 : wanted;
	}
}

static void poke(struct disk *disk, const struct record_write *w)
{
	disk_poke(disk, w->offset, w->data, w->bytes);
}

/* Each sector of a write with the same chance, in 256ths. */
static void poke_sectors(struct disk *disk, const struct record_write *w,
			 struct prng *rng, uint64_t chance)
{
	for (size_t at = 0, len; at < w->bytes; at += len) {
		len = SECTOR - (w->offset + at) % SECTOR;
		if (len > w->bytes - at)
			len = w->bytes - at;
		if (prng_below(rng, 256) < chance)
			disk_poke(disk, w->offset + at, w->data + at, len);
	}
}

/* Few, half of, or nearly all. */
static uint64_t draw_chance(struct prng *rng)
{
	static const uint64_t chances[] = { 8, 32, 128, 128, 224, 248 };

	return chances[prng_below(rng, 6)];
}

static void make_torn(struct disk *disk, const struct record_epoch *e,
		      struct prng *rng)
{
	size_t last = (size_t)prng_below(rng, e->count);

	for (size_t i = 0; i < last; i++)
		poke(disk, &e->v[i]);
	poke_sectors(disk, &e->v[last], rng, draw_chance(rng));
}

static void make_subset(struct disk *disk, const struct record_epoch *e,
			struct prng *rng)
{
	uint64_t chance = draw_chance(rng);

	for (size_t i = 0; i < e->count; i++)
		if (prng_below(rng, 256) < chance)
			poke(disk, &e->v[i]);
}

/* Some writes whole, some not at all, most of them in sectors. */
static void make_sectors(struct disk *disk, const struct record_epoch *e,
			 struct prng *rng)
{
	uint64_t chance = draw_chance(rng);

	for (size_t i = 0; i < e->count; i++) {
		uint64_t way = prng_below(rng, 4);

		if (way == 0)
			poke(disk, &e->v[i]);
		else if (way > 1)
			poke_sectors(disk, &e->v[i], rng, chance);
	}
}

void states_make(struct disk *disk, const struct record_epoch *e,
		 const struct states_state *state, uint64_t seed)
{
	struct prng rng = { prng_mix(seed) ^ prng_mix(state->epoch) ^
			    prng_mix(~state->number) ^ state->kind };

	switch (state->kind) {
	case STATES_PREFIX:
		for (size_t i = 0; i < state->number && i < e->count; i++)
			poke(disk, &e->v[i]);
		break;
	case STATES_SINGLE:
		poke(disk, &e->v[state->number % e->count]);
		break;
	case STATES_BUT:
		for (size_t i = 0; i < e->count; i++)
			if (i != state->number)
				poke(disk, &e->v[i]);
		break;
	case STATES_TORN:
		make_torn(disk, e, &rng);
		break;
	case STATES_SUBSET:
		make_subset(disk, e, &rng);
		break;
	default:
		make_sectors(disk, e, &rng);
	}
}

void states_settle(struct disk *disk, const struct record_epoch *e)
{
	for (size_t i = 0; i < e->count; i++)
		disk_settle(disk, e->v[i].offset, e->v[i].data, e->v[i].bytes);
}
