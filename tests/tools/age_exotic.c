/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files and inodes of kinds that growing and deleting alone do not make. */
#include <fcntl.h>
#include <unistd.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "age.h"

static int create(struct ager *a, const char *name, uint64_t len)
{
	int fd = openat(a->root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			0644);

	must(fd, "create", name);
	if (!age_put(a, fd, name, prng_next(&a->rng), 0, len))
		die("%s: no space for it", name);
	return fd;
}

static void make_ranges(struct ager *a)
{
	uint64_t bs = a->block_size, i;
	int fd;

	/* short enough for one tree level: e2fsck 1.47.0 takes an index node
	 * behind the end of file for an error */
	fd = create(a, "exotic-keep-size", 100001);
	age_change_space(fd, "keep-size", FALLOC_FL_KEEP_SIZE, 0, 1 << 18);
	must(close(fd), "close", "keep-size");

	fd = create(a, "exotic-unwritten", 0);
	age_change_space(fd, "unwritten", 0, 0, 600 * bs);
	for (i = 0; i < 40; i++)
		age_put(a, fd, "unwritten", i, (15 * i + i % 7) * bs,
			bs * (i % 5));
	must(close(fd), "close", "unwritten");

	fd = create(a, "exotic-punched", 600 * bs);
	for (i = 0; i < 40; i++)
		age_change_space(fd, "punched",
				 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (15 * i + i % 7) * bs, bs * (1 + i % 5));
	must(close(fd), "close", "punched");

	fd = create(a, "exotic-sparse", 0);
	for (i = 0; i < 40; i++)
		age_put(a, fd, "sparse", i, (i * i + i) * bs, bs);
	must(ftruncate(fd, (off_t)(INT64_C(1) << 32)), "truncate", "sparse");
	must(close(fd), "close", "sparse");
}

/* Every second block is a hole. */
static void make_comb(struct ager *a, uint64_t extents)
{
	uint64_t bs = a->block_size, i;
	int fd = create(a, "exotic-comb", 2 * extents * bs);

	must(fsync(fd), "fsync", "comb");
	for (i = 0; i < extents; i++)
		age_change_space(fd, "comb",
				 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (2 * i + 1) * bs, bs);
	must(close(fd), "close", "comb");
}

/* Two files grow by a block each in turn. */
static void make_torn(struct ager *a, uint64_t extents)
{
	uint64_t bs = a->block_size, i, key = prng_next(&a->rng);
	int fd[2] = { create(a, "exotic-torn-a", 0),
		      create(a, "exotic-torn-b", 0) };

	for (i = 0; i < 2 * extents; i++) {
		age_change_space(fd[i & 1], "torn", 0, i / 2 * bs, bs);
		if (a->no_fallocate &&
		    (!age_put(a, fd[i & 1], "torn", 0, i / 2 * bs, bs) ||
		     !age_settle(a, fd[i & 1], "torn")))
			die("torn: no space for it");
	}
	for (i = 0; i < 2; i++) {
		if (!age_put(a, fd[i], "torn", key + i, 0, extents * bs))
			die("torn: no space for it");
		must(close(fd[i]), "close", "torn");
	}
}

static void make_links(struct ager *a)
{
	char name[NAME_ROOM], target[1000], path[PATH_ROOM];
	struct file *file;
	size_t len;
	unsigned int i;

	for (i = 0; i < 40; i++) {
		len = 1 + (size_t)prng_below(&a->rng, i < 20 ? 59 : 900);
		if (i >= 20)
			len += 60; /* does not fit into the inode */
		memset(target, 'a' + (int)i % 26, len);
		target[len] = '\0';
		age_make_name("exotic-symlink", i, 60, name);
		must(symlinkat(target, a->root, name), "symlink", name);
	}
	for (i = 0; i < 100 && a->count; i++) {
		file = &a->settled[prng_below(&a->rng, a->count)];
		age_file_path(a, file, path);
		age_make_name("exotic-link", i, 100, name);
		must(linkat(a->root, path, a->root, name, 0), "link", name);
	}
}

static void make_nodes(struct ager *a)
{
	int root = a->root;

	must(mkfifoat(root, "exotic-fifo", 0600), "mknod", "fifo");
	must(mknodat(root, "exotic-char", S_IFCHR | 0600, makedev(1, 3)),
	     "mknod", "char");
	must(mknodat(root, "exotic-block", S_IFBLK | 0600, makedev(7, 300)),
	     "mknod", "block");
	must(mknodat(root, "exotic-socket", S_IFSOCK | 0600, 0), "mknod",
	     "socket");
}

/* The flag is set last: nothing else can be done afterwards. */
static void make_flagged(struct ager *a, const char *name, int flag)
{
	int fd = create(a, name, 99999), flags;

	must(ioctl(fd, FS_IOC_GETFLAGS, &flags), "getting flags", name);
	flags |= flag;
	must(ioctl(fd, FS_IOC_SETFLAGS, &flags), "setting flags", name);
	must(close(fd), "close", name);
}

static void make_xattrs(struct ager *a, const char *name, size_t len)
{
	int fd = create(a, name, 5000);

	must(fsetxattr(fd, "user.first", age_bytes(a, 1, 0, len), len, 0),
	     "setxattr", name);
	must(fsetxattr(fd, "user.second", "2", 1, 0), "setxattr", name);
	must(close(fd), "close", name);
}

void age_make_exotic(struct ager *a)
{
	uint64_t extents = a->blocks / 16;

	if (extents > TORN_EXTENTS)
		extents = TORN_EXTENTS;
	if (a->extents)
		extents = a->extents;
	age_delete_to(a, 600);
	make_ranges(a);
	make_comb(a, extents);
	make_torn(a, extents);
	make_links(a);
	make_nodes(a);
	make_xattrs(a, "exotic-xattr-small", 20);
	make_xattrs(a, "exotic-xattr-large", 700);
	make_flagged(a, "exotic-immutable", FS_IMMUTABLE_FL);
	make_flagged(a, "exotic-append", FS_APPEND_FL);
}
