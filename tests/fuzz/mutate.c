/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate - damage the metadata of an ext2/3/4 image in one to four places
 *
 * The places are drawn from all metadata that libext2fs finds (survey.c): bits
 * flip, fields get values from the edges of what is allowed, fields and whole
 * blocks come to others of their kind.  Then, mostly, the checksums are made
 * right (seal.c), so that not they alone tell.  The same seed on the same image
 * gives the same bytes.  Says on stdout what it has changed.  With -f it is no
 * file system, but an undo file, or any other.
 *
 * cc -o mutate mutate.c survey.c files.c seal.c -lext2fs -lcom_err
 */
#include "mutate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often a kind is drawn, out of the sum; those an image has none of, not */
static const struct {
	const char *name;
	unsigned int weight;
	unsigned int head; /* bytes that matter most */
} kinds[KINDS] = {
	[SUPER] = { "superblock", 8, 0x180 },
	[DESC] = { "descriptor", 8, 32 },
	[BLOCK_BITMAP] = { "block bitmap", 5, 1024 },
	[INODE_BITMAP] = { "inode bitmap", 4, 64 },
	[INODE] = { "inode", 34, 160 },
	[EXTENTS] = { "extent block", 20, 120 },
	[INDIRECT] = { "indirect block", 14, 128 },
	[DIRECTORY] = { "directory block", 12, 120 },
	[XATTR] = { "xattr block", 8, 80 },
	[JOURNAL] = { "journal superblock", 4, 0x60 },
	[INTERNAL] = { "internal block", 5, 256 },
	[UNDO_HEADER] = { "undo header", 20, 80 },
	[UNDO_KEYS] = { "undo keys", 20, 64 },
	[BYTES] = { "file", 1, 4096 },
};

/* Where the fields of an inode are, and how many bytes they have. */
static const struct field {
	unsigned char at, len;
} inode_fields[] = {
	{ 0, 2 },   { 2, 2 },	{ 4, 4 },   { 16, 4 },	{ 20, 4 },  { 26, 2 },
	{ 28, 4 },  { 32, 4 },	{ 36, 4 },  { 100, 4 }, { 104, 4 }, { 108, 4 },
	{ 116, 2 }, { 118, 2 }, { 120, 2 }, { 128, 2 },
};

/* A field within a part. */
struct place {
	struct part *part; /* (borrowed) */
	size_t at;	   /* bytes into the part */
	size_t len;	   /* 1, 2, 4 */
};

static uint32_t get(const struct image *img, const struct place *p)
{
	uint32_t value = 0;

	memcpy(&value, img->byte + p->part->at + p->at, p->len);
	return value;
}

static void put(struct image *img, const struct place *p, uint32_t value)
{
	printf("%s of inode %u, group %u, at %llu: %zu bytes at %zu: %#x "
	       "becomes %#x\n",
	       kinds[p->part->kind].name, p->part->ino, p->part->group,
	       (unsigned long long)p->part->at, p->len, p->at, get(img, p),
	       value);
	memcpy(img->byte + p->part->at + p->at, &value, p->len);
}

static struct part *draw_of(struct image *img, struct prng *rng, enum kind kind)
{
	size_t from = img->first[kind];

	return &img->part[from + prng_below(rng, img->first[kind + 1] - from)];
}

static struct part *draw_part(struct image *img, struct prng *rng)
{
	unsigned int sum = 0;
	uint64_t n;

	for (int k = 0; k < KINDS; k++)
		if (img->first[k] < img->first[k + 1])
			sum += kinds[k].weight;
	n = prng_below(rng, sum);
	for (int k = 0;; k++) {
		if (img->first[k] == img->first[k + 1])
			continue;
		if (n < kinds[k].weight)
			return draw_of(img, rng, (enum kind)k);
		n -= kinds[k].weight;
	}
}

/* A field of a header of 12 bytes, or of one of the entries behind it. */
static void draw_extent_field(const struct image *img, struct prng *rng,
			      struct place *p, size_t from, size_t room)
{
	static const struct field of_header[] = {
		{ 0, 2 }, { 2, 2 }, { 4, 2 }, { 6, 2 }, { 8, 4 },
	};
	static const struct field of_entry[] = {
		{ 0, 4 }, { 4, 2 }, { 4, 4 }, { 6, 2 }, { 8, 4 }, { 8, 2 },
	};
	struct place count = { p->part, from + 2, 2 };
	uint32_t entries = get(img, &count);
	uint64_t entry, drawn = prng_next(rng);

	if (entries >= room / 12)
		entries = (uint32_t)(room / 12 - 1);
	entry = prng_below(rng, entries + 2ULL); /* 0 is the header */
	if (entry * 12 + 12 > room)
		entry = 0;
	if (entry) {
		p->at = from + entry * 12 + of_entry[drawn % 6].at;
		p->len = of_entry[drawn % 6].len;
	} else {
		p->at = from + of_header[drawn % 5].at;
		p->len = of_header[drawn % 5].len;
	}
}

static void draw_inode_field(const struct image *img, struct prng *rng,
			     struct place *p)
{
	struct place flags = { p->part, 32, 4 };
	const struct field *f;

	if (prng_below(rng, 2)) {
		f = &inode_fields[prng_below(rng, sizeof(inode_fields) /
							  sizeof(*f))];
		p->at = f->at;
		p->len = f->len;
	} else if (get(img, &flags) & EXT4_EXTENTS_FL) {
		draw_extent_field(img, rng, p, 40, 60);
	} else {
		p->at = 40 + 4 * prng_below(rng, EXT2_N_BLOCKS);
		p->len = 4;
	}
}

/* A field of a directory entry, or a byte of its name. */
static void draw_entry_field(const struct image *img, struct prng *rng,
			     struct place *p)
{
	static const struct field fields[] = {
		{ 0, 4 }, { 4, 2 }, { 6, 1 }, { 7, 1 }, { 8, 1 }, { 9, 1 },
	};
	const struct field *f = &fields[prng_below(rng, 6)];
	struct place next = { p->part, 4, 2 };
	uint64_t skip = prng_below(rng, 12);
	uint32_t len;

	while (skip--) {
		len = get(img, &next);
		if (len < 8 || next.at - 4 + len + 12 > p->part->len)
			break;
		next.at += len;
	}
	p->at = next.at - 4 + f->at;
	p->len = f->len;
}

/* Any field: of those that are known, near the start, anywhere. */
static void draw_field(const struct image *img, struct prng *rng,
		       struct place *p)
{
	uint64_t how = prng_below(rng, 8), room = p->part->len;

	if (how < 6 && p->part->kind == INODE) {
		draw_inode_field(img, rng, p);
		return;
	}
	if (how < 6 && p->part->kind == EXTENTS) {
		draw_extent_field(img, rng, p, 0, room);
		return;
	}
	if (how < 5 && p->part->kind == DIRECTORY) {
		draw_entry_field(img, rng, p);
		return;
	}
	if (how < 7 && room > kinds[p->part->kind].head)
		room = kinds[p->part->kind].head;
	p->len = 1U << prng_below(rng, 3);
	p->at = prng_below(rng, room / p->len) * p->len;
}

/* What is at an edge, or the number of something that there is. */
static uint32_t draw_value(struct image *img, struct prng *rng)
{
	const uint32_t edges[] = {
		0,
		1,
		2,
		7,
		11,
		12,
		0x7f,
		0xff,
		0x7fff,
		0x8000,
		0x8001,
		0xfffe,
		0xffff,
		0x10000,
		0x7fffffff,
		0x80000000,
		0xfffffffe,
		0xffffffff,
		img->blocks,
		img->blocks - 1,
		img->inodes,
		img->inodes + 1,
		img->block_size,
		img->block_size - 12,
		0xf30a,
		EXT4_EXTENTS_FL,
	};
	size_t n = sizeof(edges) / sizeof(*edges);
	uint64_t i = prng_below(rng, n + n / 2);

	if (i < n)
		return edges[i];
	switch (i % 3) {
	case 0:
		return (uint32_t)(draw_part(img, rng)->at / img->block_size);
	case 1:
		return (uint32_t)prng_below(rng, img->blocks + 1ULL);
	default:
		return (uint32_t)prng_next(rng);
	}
}

/*
 * What becomes of a field.  *other is the same one of another part of this
 * kind, which has got the value of this one; or its part is NULL.
 */
static uint32_t new_value(struct image *img, struct prng *rng,
			  const struct place *p, struct place *other)
{
	uint64_t how = prng_below(rng, 16);
	uint32_t value = get(img, p);

	other->part = NULL;
	if (how < 4)
		return value ^ 1U << prng_below(rng, p->len * 8);
	if (how < 9)
		return draw_value(img, rng);
	if (how < 11)
		return value + (uint32_t)prng_below(rng, 9) - 4;
	*other = *p;
	other->part = draw_of(img, rng, p->part->kind);
	value = get(img, other);
	if (how < 14)
		other->part = NULL;
	return value;
}

static void change_field(struct image *img, struct prng *rng, struct part *part)
{
	struct place p = { .part = part }, other;
	uint32_t value, old;
	int tries = 16;

	do {
		draw_field(img, rng, &p);
		old = get(img, &p);
		value = new_value(img, rng, &p, &other);
		if (p.len < 4)
			value &= (1U << p.len * 8) - 1;
	} while (value == old && --tries);
	put(img, &p, value);
	if (other.part) {
		other.part->is_touched = true;
		put(img, &other, old);
	}
}

/* All of a part: that of another one, zeros, noise. */
static void change_part(struct image *img, struct prng *rng, struct part *part)
{
	unsigned char *to = img->byte + part->at;
	const struct part *from = prng_below(rng, 2) ?
					  draw_of(img, rng, part->kind) :
					  draw_part(img, rng);
	size_t len = from->len < part->len ? from->len : part->len;
	uint64_t how = prng_below(rng, 8);

	printf("%s of inode %u, group %u, at %llu: all of it\n",
	       kinds[part->kind].name, part->ino, part->group,
	       (unsigned long long)part->at);
	if (how < 5)
		memmove(to, img->byte + from->at, len);
	else if (how < 7)
		memset(to, how == 5 ? 0 : 0xff, part->len);
	else
		for (size_t i = 0; i < part->len; i++)
			to[i] = (unsigned char)prng_next(rng);
}

static void change(struct image *img, struct prng *rng)
{
	struct part *part = draw_part(img, rng);

	part->is_touched = true;
	if (part->kind == SUPER || prng_below(rng, 12))
		change_field(img, rng, part);
	else
		change_part(img, rng, part);
}

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

static void sort_parts(struct image *img)
{
	size_t i = 0;

	qsort(img->part, img->count, sizeof(*img->part), compare_parts);
	for (int kind = 0; kind <= KINDS; kind++) {
		while (i < img->count && (int)img->part[i].kind < kind)
			i++;
		img->first[kind] = i;
	}
}

static void map_file(struct image *img, const char *name)
{
	struct stat st;
	int fd = open(name, O_RDWR | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		die("%s: %m", name);
	img->len = (uint64_t)st.st_size;
	img->byte =
		mmap(NULL, img->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (img->byte == MAP_FAILED)
		die("%s: %m", name);
	close(fd);
}

static void open_image(struct image *img, const char *name)
{
	struct ext2_super_block *sb;

	must(ext2fs_open(name, EXT2_FLAG_64BITS | EXT2_FLAG_JOURNAL_DEV_OK, 0,
			 0, unix_io_manager, &img->fs),
	     name);
	sb = img->fs->super;
	if (!ext2fs_has_feature_journal_dev(sb))
		must(ext2fs_read_inode_bitmap(img->fs), name);
	img->block_size = img->fs->blocksize;
	img->blocks = sb->s_blocks_count;
	img->inodes = sb->s_inodes_count;
	survey(img);
}

int main(int argc, char **argv)
{
	struct image img = { .part = NULL };
	struct prng rng = { 1 };
	bool is_file = false;
	uint64_t changes;
	int opt;

	initialize_ext2_error_table();
	while ((opt = getopt(argc, argv, "fs:")) != -1) {
		if (opt == 'f')
			is_file = true;
		else if (opt == 's')
			rng.state =
				prng_mix(parse_number(optarg, 0, UINT64_MAX));
		else
			return EXIT_FAILURE;
	}
	if (optind != argc - 1)
		die("usage: mutate [-f] [-s seed] IMAGE");
	map_file(&img, argv[optind]);
	if (is_file)
		survey_file(&img);
	else
		open_image(&img, argv[optind]);
	sort_parts(&img);
	changes = 1 + prng_below(&rng, 1 + prng_below(&rng, 4));
	while (changes--)
		change(&img, &rng);
	if (prng_below(&rng, 8)) {
		seal(&img);
		puts("checksums made right");
	}
	free(img.part);
	munmap(img.byte, img.len);
	if (img.fs)
		ext2fs_free(img.fs);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
