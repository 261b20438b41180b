/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * namespace_priv - what the parts of namespace share; no one else includes it
 *
 *	namespace.c		paths, and what they resolve to
 *	namespace_read.c	directories, in batches, in physical order
 *	namespace_target.c	what an entry names
 *	namespace_hash.c	the order of readdir
 *	namespace_keep.c	what is kept of a batch
 *	namespace_walk.c	from the root down: patterns
 *	namespace_order.c	the order of a reader
 */
#ifndef E4DF_NAMESPACE_PRIV_H
#define E4DF_NAMESPACE_PRIV_H

#include "crew.h"
#include "namespace.h"
#include "spans.h"

#define NONE UINT32_MAX /* no entry, no directory, no name */

/* A directory; its entries end where those of the next one begin. */
struct ns_dir {
	__u32 index;	/* in the map, or behind it */
	__u32 first;	/* entry */
	__u32 named_by; /* the first entry that names it, or NONE */
};

/* The name of an entry, if it is kept. */
struct ns_name {
	__u32 entry;
	__u32 at; /* byte in the pool */
};

struct e4df_namespace {
	/* Immutable. */
	struct e4df_volume *vol;    /* (borrowed) */
	const struct e4df_map *map; /* (borrowed) */
	unsigned int flags;	    /* E4DF_NAMESPACE_ */
	__u32 count;		    /* indices that the map has, */
	__u32 xattrs;		    /* and the first of its xattr blocks */
	/* Mutable until all is read. */
	struct ns_dir *dirs; /* (owned) as they were read */
	size_t dir_count, dir_alloc;
	__u32 *by_index; /* (owned) numbers of dirs, by index */
	__u32 *targets;	 /* (owned) [entry] = index */
	size_t entry_count, entry_alloc;
	struct ns_name *names; /* (owned) by entry */
	size_t name_count, name_alloc;
	char *pool; /* (owned) each name ends with a 0 */
	size_t pool_size, pool_alloc;
	ext2_ino_t *inlined; /* (owned) [k] has the index count + k */
	size_t inlined_count, inlined_alloc;
	__u32 root; /* its index */
	__u64 damage;
};

/* Indices there are: of the map, and of directories within their inodes. */
static inline __u32 ns_indices(const struct e4df_namespace *ns)
{
	return ns->count + (__u32)ns->inlined_count;
}

/* The number of the directory with an index, and the one an entry is in. */
__u32 e4df_namespace_dir(const struct e4df_namespace *ns, __u32 index);
__u32 e4df_namespace_dir_of(const struct e4df_namespace *ns, __u32 entry);

/* The end of a directory's entries. */
static inline __u32 ns_end(const struct e4df_namespace *ns, __u32 dir)
{
	return dir + 1 < ns->dir_count ? ns->dirs[dir + 1].first :
					 (__u32)ns->entry_count;
}

/* NULL if it is not kept. */
const char *e4df_namespace_name(const struct e4df_namespace *ns, __u32 entry);

/* The inode number behind an index; that of an xattr block's first owner. */
ext2_ino_t e4df_namespace_ino(const struct e4df_namespace *ns, __u32 index);

/* The index of the xattr block whose first owner is ino, or NOTHING. */
__u32 e4df_namespace_xattr(const struct e4df_namespace *ns, ext2_ino_t ino);

/* Finds what entries name, one after the other. */
struct ns_finder {
	/* Immutable. */
	struct e4df_namespace *ns; /* (borrowed) gets those that are inlined */
	ext2_filsys fs;		   /* (borrowed) */
	const struct e4df_gate *gate; /* (borrowed) */
	/* Mutable. */
	struct e4df_spans inlined; /* (owned) within their inodes */
	__u32 hint;		   /* the index that was found last */
};

/*
 * The index of what an entry names: of the map, or behind it, or NOTHING.
 * Returns ENOMEM or E4DF_ET_OVERFLOW.
 */
errcode_t e4df_namespace_target(struct ns_finder *f,
				const struct ext2_dir_entry *dirent,
				__u32 *target);

/* An entry before its place is known. */
struct ns_raw {
	__u32 dir;    /* in the batch */
	__u32 lblk;   /* block of the directory, */
	__u32 offset; /* and bytes into it */
	__u32 hash;
	__u32 minor;
	__u32 target; /* index */
	__u32 name;   /* byte in the batch's pool: length, then the name */
};

/* How the kernel orders a directory. */
struct ns_rule {
	__u32 index;	  /* of the directory */
	__u32 flags;	  /* E4DF_DIRECTORY_FLAGS */
	__u32 blocks;	  /* 0: within its inode */
	int is_bad;	  /* has an index that makes no sense */
	unsigned version; /* of the hash, as its index says */
	__u32 entries;	  /* of it in the batch */
	__u32 first;	  /* slot, for the sort */
};

/* Reads from a directory's first block what hash its index has. */
void e4df_namespace_look_at_root(ext2_filsys fs, struct ns_rule *rule,
				 const void *block);

/* The directories that are read together, and their entries. */
struct ns_batch {
	struct ns_rule *rules; /* (owned) */
	size_t rule_count, rule_alloc;
	struct ns_raw *raw; /* (owned) */
	size_t raw_count, raw_alloc;
	char *pool; /* (owned) */
	size_t pool_size, pool_alloc;
	/* While a thread sorts it. */
	ext2_filsys fs;		  /* (borrowed) */
	struct e4df_transfer job; /* of no bytes */
	errcode_t err;		  /* what became of it */
};

/*
 * Sorts the entries, by directory and within each as readdir returns them.
 * Returns ENOMEM.
 */
errcode_t e4df_namespace_sort(ext2_filsys fs, struct ns_batch *b);

/* The same by a thread, which has the batch until b->job has been awaited. */
void e4df_namespace_start_sort(struct e4df_crew *crew, ext2_filsys fs,
			       struct ns_batch *b);

/* Inodes of which the names are kept. */
struct ns_wanted {
	const ext2_ino_t *v; /* (borrowed) */
	size_t count;
};

/*
 * Appends the directories of a sorted batch and their entries, and empties it.
 * Returns ENOMEM or E4DF_ET_OVERFLOW.
 */
errcode_t e4df_namespace_keep(struct e4df_namespace *ns,
			      const struct ns_wanted *wanted,
			      struct ns_batch *b);

/* A walk down the tree; each name comes once, each directory is entered once. */
struct ns_frame {
	__u32 at, end; /* of its entries, or of the list */
	__u32 *list;   /* (owned) entries as sorted, or NULL */
	size_t path;   /* length of its path, without '/' at the end */
	int is_below;  /* the user's */
};

struct ns_walk {
	const struct e4df_namespace *ns; /* (borrowed) */
	enum e4df_sort sort;
	const __u64 *keys;	/* (borrowed) [index], for the sort */
	struct ns_frame *stack; /* (owned) */
	size_t depth, alloc;
	unsigned char *entered; /* (owned) a bit for each directory, */
	unsigned char *told;	/* (owned) and for each index */
	struct ns_frame next;	/* the directory to enter, if its end is not
				 * 0; the user may set is_below */
	__u32 next_dir;		/* NONE: no directory */
};

errcode_t e4df_namespace_begin(struct ns_walk *w,
			       const struct e4df_namespace *ns);
void e4df_namespace_end(struct ns_walk *w);

/* Enters a directory, by its number, if that has not been done. */
errcode_t e4df_namespace_enter(struct ns_walk *w, __u32 dir);

/* The next entry; NONE at the end.  Its directory is the top of the stack. */
errcode_t e4df_namespace_next(struct ns_walk *w, __u32 *entry);

/* Calls back for an index, once, and for the xattr block of the inode. */
errcode_t e4df_namespace_tell(struct ns_walk *w, __u32 index,
			      const struct e4df_visitor *visitor);

#endif
