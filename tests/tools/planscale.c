/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * planscale - what a plan of millions of files costs, without an image
 *
 * Makes the map of an aged file system in memory and plans it.  The file
 * system is written from eight places at the same time; at each, hundreds of
 * files grow by turns, or at once if they are whole, and gaps stay behind
 * until 30 % is free.  Sizes are log-normal: 16 KiB in the median, 64 MiB at
 * most; a file has five runs in the mean, and some have thousands.
 *
 * The map is built in its final order, so nothing but the files that are
 * growing is kept besides.  The figures of the plan come from its batches,
 * after the peak of memory has been read.
 */
#include "plan.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>

#include "e4df_err.h"
#include "prng.h"
#include "tool.h"
#include "tree.h"
#include "update.h"

enum {
	BLOCK = 4096,
	GROUP = 32768, /* blocks */
	PER_FLEX = 16, /* groups */
	INODES = 2048, /* in a group */
	FLEX_FIXED = PER_FLEX * (2 + INODES / 16),
	BACKUP = 600, /* superblock and descriptors, in the first group */
	PLACES = 8,
	GROWING = 1024, /* files, all places together */
	MEDIAN = 4,
	OCTAVES = 3,
	LARGEST = 16384,
	PIECE = 5, /* blocks in the mean, where it goes in turns */
	WHOLE_PIECE = 500,
	GAP = 12,	   /* blocks in the mean */
	NEIGHBOURS = 4096, /* files whose order a hash mixes */
	BATCH_BLOCKS = (64 << 20) / BLOCK,
};

struct growing {
	struct e4df_extent *v; /* (owned) */
	__u32 count, alloc;
	__u32 size, goal;  /* blocks */
	unsigned int home; /* place */
	bool is_whole;
};

struct scale {
	/* Immutable after the start */
	__u32 files;
	struct e4df_policy policy;
	__u32 *order;		    /* (owned) */
	bool has_free_runs;	    /* to be counted */
	unsigned int whole_percent; /* of the files are written at once */

	/* Mutable */
	struct prng rng;
	struct e4df_map *map; /* (owned) */
	blk64_t groups;
	struct e4df_runs fixed, free_blocks; /* (owned) */
	unsigned int growing_count;
	blk64_t at[PLACES];		      /* next block */
	blk64_t used[PLACES], unused[PLACES]; /* without what is fixed */
	struct growing growing[GROWING];
	__u32 made;
	__u64 runs;
};

struct figures {
	blk64_t fragmented;  /* blocks of files that are */
	__u64 before, after; /* excess runs */
	size_t free_before, free_after;
};

static void check(errcode_t err, const char *what)
{
	if (err)
		die("%s: %s", what, error_message(err));
}

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long peak_kib(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_maxrss;
}

/* -- the map ------------------------------------------------------------ */

static void push(struct e4df_runs *runs, blk64_t start, blk64_t len)
{
	check(e4df_runs_push(runs, start, len), "runs");
}

/* A place goes through every eighth group; what is fixed is at its head. */
static void enter_group(struct scale *s, unsigned int place, blk64_t group)
{
	blk64_t len = group % PER_FLEX ? 0 : FLEX_FIXED;

	if (group >= s->groups)
		len = 0;
	else if (group == 0)
		len += BACKUP;
	push(&s->fixed, group * GROUP, len);
	s->at[place] = group * GROUP + len;
}

static __u32 advance(struct scale *s, unsigned int place, __u32 want)
{
	blk64_t left = GROUP - s->at[place] % GROUP;
	__u32 len = want < left ? want : (__u32)left;

	s->at[place] += len;
	if (len == left)
		enter_group(s, place, s->at[place] / GROUP - 1 + PLACES);
	return len;
}

static bool is_full(const struct scale *s, unsigned int place)
{
	return s->at[place] / GROUP >= s->groups;
}

/* Towards the end no gaps are left: the files may be larger than estimated. */
static bool is_late(const struct scale *s, unsigned int place)
{
	return s->at[place] / GROUP + PLACES + s->groups / 32 >= s->groups;
}

static void leave_gap(struct scale *s, unsigned int place)
{
	blk64_t start = s->at[place];
	__u32 len = 1 + (__u32)prng_exponential(&s->rng, GAP - 1);

	if (s->unused[place] * 7 > s->used[place] * 3 || is_late(s, place))
		return;
	len = advance(s, place, len);
	s->unused[place] += len;
	push(&s->free_blocks, start, len);
}

static unsigned int choose_place(struct scale *s, unsigned int home)
{
	if (prng_below(&s->rng, 4) == 0)
		home = (unsigned int)prng_below(&s->rng, PLACES);
	for (unsigned int i = 0; i < PLACES; i++)
		if (!is_full(s, (home + i) % PLACES))
			return (home + i) % PLACES;
	die("more blocks than were estimated");
}

/* Appends up to `want` blocks to an extent list. */
static __u32 grow(struct scale *s, struct growing *f, __u32 want,
		  unsigned int flags)
{
	unsigned int place = choose_place(s, f->home);
	struct e4df_extent *last = f->count ? &f->v[f->count - 1] : NULL;
	blk64_t start = s->at[place];
	__u32 len = advance(s, place, want);

	s->used[place] += len;
	if (last && !flags && last->pblk + last->len == start) {
		last->len += len;
	} else {
		if (f->count == f->alloc) {
			f->alloc = f->alloc * 2 + 8;
			f->v = must_alloc(
				realloc(f->v, f->alloc * sizeof(*f->v)));
		}
		f->v[f->count++] = (struct e4df_extent){
			.pblk = start & E4DF_PBLK_MAX,
			.flags = flags & 0xffff,
			.lblk = flags ? f->v[0].lblk : f->size,
			.len = len,
		};
	}
	if (prng_below(&s->rng, 3) == 0)
		leave_gap(s, place);
	return len;
}

static void begin_file(struct scale *s, struct growing *f)
{
	uint64_t size = prng_lognormal(&s->rng, MEDIAN, OCTAVES);

	f->count = 0;
	f->size = 0;
	f->goal = size < 1 ? 1 : size > LARGEST ? LARGEST : (__u32)size;
	f->home = (unsigned int)prng_below(&s->rng, PLACES);
	f->is_whole = prng_below(&s->rng, 100) < s->whole_percent;
}

static void end_file(struct scale *s, struct growing *f)
{
	__u32 data = f->count, index;
	__u32 tree = e4df_tree_blocks(e4df_tree_entries(f->v, data), BLOCK);

	while (f->count < data + tree)
		grow(s, f, 1, E4DF_EXTENT_TREE);
	check(e4df_map_add_inode(s->map, 12 + s->made + s->made / 4,
				 s->made % 64 || f->goal > 64 ? E4DF_REGULAR :
								E4DF_DIRECTORY,
				 E4DF_MOVABLE, &index),
	      "inode");
	check(e4df_map_set_extents(s->map, index, f->v, data, tree), "extents");
	s->runs += data;
	s->made++;
}

static void grow_one(struct scale *s, struct growing *f)
{
	__u32 want = 1 + (__u32)prng_exponential(&s->rng, f->is_whole ?
								  WHOLE_PIECE :
								  PIECE - 1);

	if (want > f->goal - f->size)
		want = f->goal - f->size;
	f->size += grow(s, f, want, 0);
	if (f->size == f->goal) {
		end_file(s, f);
		begin_file(s, f);
	}
}

/* What no place has reached is free. */
static void free_tails(struct scale *s)
{
	for (unsigned int i = 0; i < PLACES; i++)
		while (!is_full(s, i)) {
			blk64_t start = s->at[i];
			__u32 len = (__u32)(GROUP - start % GROUP);

			push(&s->free_blocks, start, advance(s, i, len));
		}
}

/* Files that are still growing have never been. */
static void drop_growing(struct scale *s)
{
	for (unsigned int i = 0; i < s->growing_count; i++) {
		struct growing *f = &s->growing[i];

		for (__u32 n = 0; n < f->count; n++)
			push(&s->free_blocks, f->v[n].pblk, f->v[n].len);
		free(f->v);
	}
}

static void make_map(struct scale *s)
{
	/* 44 blocks for each file, free ones included, and whole rounds */
	blk64_t groups = (blk64_t)s->files * 44 / GROUP / PLACES + 1;
	struct e4df_geometry g = {
		.blocks = groups * PLACES * GROUP,
		.block_size = BLOCK,
		.blocks_per_group = GROUP,
		.inodes_per_group = INODES,
		.inodes_per_block = 16,
		.descs_per_block = 64,
		.groups = (unsigned int)groups * PLACES,
		.groups_per_flex = PER_FLEX,
	};

	s->groups = g.groups;
	s->growing_count = s->files / 512 < GROWING ? s->files / 512 + 1 :
						      GROWING;
	check(e4df_map_new(&g, &s->map), "map");
	for (unsigned int i = 0; i < PLACES; i++)
		enter_group(s, i, i);
	for (unsigned int i = 0; i < s->growing_count; i++)
		begin_file(s, &s->growing[i]);
	while (s->made < s->files)
		grow_one(s, &s->growing[prng_below(&s->rng, s->growing_count)]);
	drop_growing(s);
	free_tails(s);
	e4df_runs_sort(&s->fixed);
	e4df_runs_sort(&s->free_blocks);
	check(e4df_map_finish(s->map, &s->fixed, &s->free_blocks), "map");
}

/* The order of a tree: neighbours stay neighbours, but in no order. */
static void make_order(struct scale *s)
{
	s->order = must_alloc(malloc(s->files * sizeof(*s->order)));
	for (__u32 i = 0; i < s->files; i++) {
		__u32 first = i / NEIGHBOURS * NEIGHBOURS;
		__u32 other = first + (__u32)prng_below(&s->rng, i - first + 1);

		s->order[i] = s->order[other];
		s->order[other] = i;
	}
	s->policy.order = s->order;
	s->policy.order_count = s->files;
}

/* -- the figures -------------------------------------------------------- */

/* A number of runs becomes, or ceases to be, free at a block. */
struct event {
	blk64_t at;
	int by;
};

struct events {
	struct event *v; /* (owned) */
	size_t count, alloc;
};

static void add_events(struct events *e, const struct e4df_runs *runs, int by)
{
	for (size_t i = 0; i < runs->count; i++) {
		const struct e4df_range *r = &runs->v[i];

		check(e4df_grow(&e->v, &e->alloc, e->count + 2, sizeof(*e->v)),
		      "events");
		e->v[e->count++] = (struct event){ r->start, by };
		e->v[e->count++] = (struct event){ r->start + r->len, -by };
	}
}

static int compare_events(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* The free runs that all batches leave. */
static size_t free_runs_left(const struct scale *s,
			     const struct e4df_plan *plan)
{
	struct events e = { NULL, 0, 0 };
	size_t left = 0, i;
	int depth = 0, was;

	add_events(&e, e4df_map_free_blocks(s->map), 1);
	for (i = 0; i < e4df_plan_count(plan); i++) {
		const struct e4df_batch *b = e4df_plan_batch(plan, i);
		struct e4df_runs runs = E4DF_RUNS_INIT;

		check(e4df_batch_taken(b, 0, &runs), "batch");
		add_events(&e, &runs, -1);
		check(e4df_batch_released(b, 0, &runs), "batch");
		add_events(&e, &runs, 1);
		e4df_runs_free(&runs);
	}
	qsort(e.v, e.count, sizeof(*e.v), compare_events);
	for (i = 0; i < e.count;) {
		blk64_t at = e.v[i].at;

		was = depth;
		for (; i < e.count && e.v[i].at == at; i++)
			depth += e.v[i].by;
		if (depth < 0 || depth > 1)
			die("block %llu is free %d times",
			    (unsigned long long)at, depth);
		left += depth > was;
	}
	free(e.v);
	return left;
}

/* The layout that all batches lead to, but for what is free. */
static void carry_out(struct e4df_map *map, const struct e4df_plan *plan)
{
	for (size_t i = 0; i < e4df_plan_count(plan); i++) {
		struct e4df_update u;

		check(e4df_update_make(map, e4df_plan_batch(plan, i), &u),
		      "update");
		for (size_t n = 0; n < u.mapping_count; n++)
			check(e4df_map_change(map, &u.mappings[n],
					      u.extents + u.mappings[n].first),
			      "update");
		e4df_update_release(&u);
	}
}

/* Excess runs of all files; *fragmented are the blocks of those with any. */
static __u64 excess_of(const struct e4df_map *map, blk64_t *fragmented)
{
	struct e4df_shape shape;
	__u64 sum = 0;

	*fragmented = 0;
	for (__u32 i = 0; i < e4df_map_count(map); i++) {
		e4df_map_measure(map, i, &shape);
		if (shape.runs <= shape.ideal)
			continue;
		sum += shape.runs - shape.ideal;
		*fragmented += shape.blocks;
	}
	return sum;
}

/* The map follows. */
static struct figures figures_of(const struct scale *s,
				 const struct e4df_plan *plan)
{
	struct figures f = { 0 };
	blk64_t left;

	f.free_before = e4df_map_free_blocks(s->map)->count;
	f.free_after = s->has_free_runs ? free_runs_left(s, plan) : 0;
	f.before = excess_of(s->map, &f.fragmented);
	carry_out(s->map, plan);
	f.after = excess_of(s->map, &left);
	return f;
}

static void print(const struct scale *s, const struct e4df_plan *plan,
		  double map_seconds, double plan_seconds, long map_kib,
		  long kib)
{
	struct figures f = figures_of(s, plan);
	blk64_t blocks = e4df_map_geometry(s->map)->blocks;
	blk64_t unused = e4df_runs_blocks(e4df_map_free_blocks(s->map));
	blk64_t copied = e4df_plan_copy_blocks(plan);

	printf("files=%u runs=%llu used_percent=%.1f map_seconds=%.2f "
	       "map_mib=%ld plan_seconds=%.2f peak_mib=%ld batches=%zu "
	       "fragmented_blocks=%llu copied_blocks=%llu copied_ratio=%.3f "
	       "excess_before=%llu excess_after=%llu free_runs_before=%zu",
	       s->files, (unsigned long long)s->runs,
	       100.0 * (double)(blocks - unused) / (double)blocks, map_seconds,
	       map_kib >> 10, plan_seconds, kib >> 10, e4df_plan_count(plan),
	       (unsigned long long)f.fragmented, (unsigned long long)copied,
	       f.fragmented ? (double)copied / (double)f.fragmented : 0,
	       (unsigned long long)f.before, (unsigned long long)f.after,
	       f.free_before);
	if (s->has_free_runs)
		printf(" free_runs_after=%zu", f.free_after);
	putchar('\n');
}

/* -- the frame ---------------------------------------------------------- */

static enum e4df_goal parse_goal(const char *arg)
{
	if (strcmp(arg, "defrag") == 0)
		return E4DF_DEFRAG;
	if (strcmp(arg, "optimize") == 0)
		return E4DF_OPTIMIZE;
	if (strcmp(arg, "compact") == 0)
		return E4DF_COMPACT;
	die("%s: not one of defrag, optimize, compact", arg);
}

static void parse(struct scale *s, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "n:s:g:r:l:m:w:f")) != -1) {
		if (opt == 'n')
			s->files = (__u32)parse_number(optarg, 1, 100000000);
		else if (opt == 's')
			s->rng.state =
				prng_mix(parse_number(optarg, 0, UINT64_MAX));
		else if (opt == 'g')
			s->policy.goal = parse_goal(optarg);
		else if (opt == 'r')
			s->policy.good_run = parse_number(optarg, 0, LARGEST);
		else if (opt == 'l')
			s->policy.log_blocks =
				(__u32)parse_number(optarg, 1, UINT32_MAX);
		else if (opt == 'm')
			s->policy.max_blocks =
				parse_number(optarg, 0, UINT64_MAX);
		else if (opt == 'w')
			s->whole_percent =
				(unsigned int)parse_number(optarg, 0, 100);
		else if (opt == 'f')
			s->has_free_runs = true;
		else
			exit(EXIT_FAILURE);
	}
	if (optind != argc)
		die("usage: planscale [-n files] [-s seed] [-g goal] "
		    "[-r good-run] [-l log-blocks] [-m max-blocks] "
		    "[-w whole-percent] [-f]");
}

int main(int argc, char **argv)
{
	struct scale s = {
		.files = 100000,
		.whole_percent = 35,
		.policy = { .good_run = (32 << 20) / BLOCK,
			    .batch_blocks = BATCH_BLOCKS,
			    .log_blocks = 16384 },
	};
	struct e4df_plan *plan;
	double start, made, planned;
	long map_kib, kib;

	initialize_e4df_error_table();
	parse(&s, argc, argv);
	start = seconds(CLOCK_PROCESS_CPUTIME_ID);
	make_map(&s);
	make_order(&s);
	made = seconds(CLOCK_PROCESS_CPUTIME_ID);
	map_kib = peak_kib();
	check(e4df_plan_build(s.map, &s.policy, &plan), "plan");
	planned = seconds(CLOCK_PROCESS_CPUTIME_ID);
	kib = peak_kib();
	print(&s, plan, made - start, planned - made, map_kib, kib);
	e4df_plan_free(plan);
	e4df_map_free(s.map);
	free(s.order);
	return EXIT_SUCCESS;
}
