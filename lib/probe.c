/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fs.h>

#include "e4df_err.h"

#define MAGIC_AT (1024 + 56) /* s_magic */

/*
 * The loop device whose backing file is this inode, in buf; NULL if none.
 * Also finds loop devices that nobody has mounted.
 */
static const char *find_loop(const struct stat *st, char *buf, size_t size)
{
	const char *found = NULL;
	glob_t g;

	if (glob("/sys/block/loop*/loop/backing_file", 0, NULL, &g))
		return NULL;
	for (size_t i = 0; i < g.gl_pathc && !found; i++) {
		char line[4096] = "";
		struct stat other;
		FILE *f = fopen(g.gl_pathv[i], "re");

		if (!f)
			continue;
		if (fgets(line, sizeof(line), f)) {
			line[strcspn(line, "\n")] = '\0';
			if (!stat(line, &other) && other.st_dev == st->st_dev &&
			    other.st_ino == st->st_ino) {
				/* /sys/block/loopN/... */
				snprintf(buf, size, "/dev/%.*s",
					 (int)strcspn(g.gl_pathv[i] + 11, "/"),
					 g.gl_pathv[i] + 11);
				found = buf;
			}
		}
		fclose(f);
	}
	globfree(&g);
	return found;
}

static errcode_t refuse_if_mounted(const char *path, struct e4df_sink *sink)
{
	char dir[4096] = "";
	int flags = 0;
	errcode_t err;

	err = ext2fs_check_mount_point(path, &flags, dir, sizeof(dir) - 1);
	if (err || !(flags & (EXT2_MF_MOUNTED | EXT2_MF_SWAP)))
		return 0; /* unknown: O_EXCL and the locks decide */
	if (flags & EXT2_MF_SWAP)
		return e4df_event_fail(sink, E4DF_ET_BUSY,
				       "%s is active swap space; nothing done",
				       path);
	return e4df_event_fail(sink, E4DF_ET_MOUNTED,
			       "%s is mounted%s%s; unmount it first", path,
			       dir[0] ? " on " : "", dir);
}

static errcode_t busy(struct e4df_sink *sink, const char *path)
{
	return e4df_event_fail(sink, E4DF_ET_BUSY,
			       "%s is in use by another program; end that "
			       "first",
			       path);
}

/*
 * Three locks, as different holders honour different ones: flock (udev, other
 * e4offdefrag), an open file description lock (qemu), and for image files a
 * write lease, which is granted only if nobody else has the file open; it is
 * given back at once, since holding it would block others' open().
 */
static errcode_t lock(int fd, const char *path, int is_writing, int is_file,
		      struct e4df_sink *sink)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return busy(sink, path);
	if (!is_file)
		return 0;
	if (is_writing) {
		if (fcntl(fd, F_OFD_SETLK, &range) < 0 &&
		    (errno == EAGAIN || errno == EACCES))
			return busy(sink, path);
	} else if (!fcntl(fd, F_OFD_GETLK, &range) && range.l_type != F_UNLCK) {
		return busy(sink, path);
	}
	if (!fcntl(fd, F_SETLEASE, F_WRLCK))
		fcntl(fd, F_SETLEASE, F_UNLCK);
	else if (errno == EAGAIN || errno == EBUSY)
		return busy(sink, path);
	return 0;
}

/* Not all kernels let open() fail on a device that cannot be written to. */
static errcode_t refuse_if_read_only(int fd, const char *path,
				     struct e4df_sink *sink)
{
	int is_read_only = 0;

	if (ioctl(fd, BLKROGET, &is_read_only) < 0 || !is_read_only)
		return 0;
	return e4df_event_fail(sink, EROFS, "cannot open %s: %s", path,
			       strerror(EROFS));
}

static errcode_t measure(int fd, const char *path, const struct stat *st,
			 struct e4df_sink *sink, uint64_t *size)
{
	if (S_ISREG(st->st_mode)) {
		*size = (uint64_t)st->st_size;
		return 0;
	}
	if (S_ISBLK(st->st_mode)) {
		if (!ioctl(fd, BLKGETSIZE64, size))
			return 0;
		return e4df_event_fail(sink, errno,
				       "the size of %s cannot be "
				       "read: %s",
				       path, strerror(errno));
	}
	return e4df_event_fail(sink, E4DF_ET_NOT_EXT,
			       "%s is neither a block device nor an image "
			       "file",
			       path);
}

errcode_t e4df_probe_open(const char *path, unsigned int flags,
			  struct e4df_sink *sink, int *ret_fd, uint64_t *size)
{
	int mode = flags & E4DF_PROBE_WRITE ? O_RDWR : O_RDONLY;
	char loop[64];
	const char *holder;
	struct stat st;
	errcode_t err;
	int fd;

	if (stat(path, &st) < 0)
		return e4df_event_fail(sink, errno, "cannot open %s: %s", path,
				       strerror(errno));
	err = refuse_if_mounted(path, sink);
	if (err)
		return err;
	if (S_ISBLK(st.st_mode))
		mode |= O_EXCL;
	else if (!S_ISREG(st.st_mode))
		return measure(-1, path, &st, sink, size);
	holder = S_ISREG(st.st_mode) ? find_loop(&st, loop, sizeof(loop)) :
				       NULL;
	if (holder)
		return e4df_event_fail(sink, E4DF_ET_BUSY,
				       "%s is attached to %s; detach it "
				       "(losetup -d) or name the loop device",
				       path, holder);
	fd = open(path, mode | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		return busy(sink, path);
	if (fd < 0)
		return e4df_event_fail(sink, errno, "cannot open %s: %s", path,
				       strerror(errno));
	err = lock(fd, path, flags & E4DF_PROBE_WRITE, S_ISREG(st.st_mode),
		   sink);
	if (!err && flags & E4DF_PROBE_WRITE && S_ISBLK(st.st_mode))
		err = refuse_if_read_only(fd, path, sink);
	if (!err)
		err = measure(fd, path, &st, sink, size);
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

errcode_t e4df_probe_read(int fd, const char *path, uint64_t offset, void *buf,
			  size_t bytes, size_t *got, struct e4df_sink *sink)
{
	ssize_t n = 1;

	memset(buf, 0, bytes);
	*got = 0;
	while (*got < bytes && n) {
		n = pread(fd, (char *)buf + *got, bytes - *got,
			  (off_t)(offset + *got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return e4df_event_fail(
				sink, errno,
				"reading at byte %llu of %s failed while %s: "
				"%s",
				(unsigned long long)(offset + *got), path,
				e4df_event_now(sink), strerror(errno));
		*got += (size_t)n;
	}
	return 0;
}

/* libblkid could not look: its own or the device's fault. */
static errcode_t probe_failed(const char *path, struct e4df_sink *sink)
{
	errcode_t err = errno ? errno : EIO;

	return e4df_event_fail(sink, err,
			       "looking for the signature blocks of %s failed "
			       "while %s: %s",
			       path, e4df_event_now(sink), error_message(err));
}

/* Disk image formats, which libblkid does not know. */
static const char *image_format(const char *head)
{
	static const struct {
		const char *magic, *name;
		size_t len, at;
	} formats[] = {
		{ "QFI\xfb", "a qcow2 image", 4, 0 },
		{ "KDMV", "a VMDK image", 4, 0 },
		{ "vhdxfile", "a VHDX image", 8, 0 },
		{ "conectix", "a VHD image", 8, 0 },
		{ "\x7f\x10\xda\xbe", "a VDI image", 4, 64 },
		{ "QED", "a QED image", 4, 0 },
		{ "\x1f\x8b", "a gzip file", 2, 0 },
		{ "\x28\xb5\x2f\xfd", "a zstd file", 4, 0 },
		{ "\xfd\x37zXZ", "an xz file", 5, 0 },
	};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!memcmp(head + formats[i].at, formats[i].magic,
			    formats[i].len))
			return formats[i].name;
	return NULL;
}

static errcode_t refuse_contents(struct e4df_sink *sink, const char *path,
				 const char *what, const char *advice)
{
	return e4df_event_fail(sink, E4DF_ET_NOT_EXT,
			       "%s contains %s, not an ext2/3/4 file system"
			       "%s%s",
			       path, what, *advice ? "; " : "", advice);
}

/* What libblkid says is there, when it is not an ext file system. */
static errcode_t name_contents(blkid_probe probe, const char *path,
			       int has_magic, struct e4df_sink *sink)
{
	const char *type = NULL;
	int found;

	errno = 0;
	found = blkid_do_safeprobe(probe);
	if (found == -1)
		return probe_failed(path, sink);
	if (found == -2)
		return e4df_event_fail(sink, E4DF_ET_NOT_EXT,
				       "%s bears the signatures of more than "
				       "one file system; see wipefs(8)",
				       path);
	if (!found)
		blkid_probe_lookup_value(probe, "TYPE", &type, NULL);
	if (type && has_magic &&
	    (!strncmp(type, "ext", 3) || !strcmp(type, "jbd")))
		return 0;
	if (type)
		return refuse_contents(
			sink, path, type,
			!strcmp(type, "crypto_LUKS") ?
				"open it with cryptsetup and name the "
				"mapped device" :
			!strcmp(type, "LVM2_member") ? "name a logical volume" :
						       "");
	if (has_magic)
		return 0;
	type = NULL;
	blkid_reset_probe(probe);
	blkid_probe_enable_superblocks(probe, 0);
	blkid_probe_enable_partitions(probe, 1);
	if (!blkid_do_safeprobe(probe))
		blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL);
	if (type)
		return e4df_event_fail(sink, E4DF_ET_NOT_EXT,
				       "%s contains a partition table (%s); "
				       "name a partition, or FILE?offset=BYTES "
				       "(see fdisk -l)",
				       path, type);
	return e4df_event_fail(sink, E4DF_ET_NOT_EXT,
			       "%s does not contain an ext2/3/4 file system",
			       path);
}

errcode_t e4df_probe_identify(int fd, const char *path, uint64_t offset,
			      struct e4df_sink *sink)
{
	char head[2048];
	const char *format;
	int has_magic;
	blkid_probe probe;
	size_t got;
	errcode_t err;

	err = e4df_probe_read(fd, path, offset, head, sizeof(head), &got, sink);
	if (err)
		return err;
	format = image_format(head);
	if (format)
		return refuse_contents(sink, path, format,
				       "convert it to a raw image first");
	has_magic = (unsigned char)head[MAGIC_AT] == 0x53 &&
		    (unsigned char)head[MAGIC_AT + 1] == 0xEF;
	probe = blkid_new_probe();
	if (!probe)
		return ENOMEM;
	if (blkid_probe_set_device(probe, fd, (blkid_loff_t)offset, 0) < 0) {
		blkid_free_probe(probe);
		return e4df_event_fail(sink, E4DF_ET_NOT_EXT,
				       "%s cannot be examined at offset %llu; "
				       "is it shorter than that?",
				       path, (unsigned long long)offset);
	}
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
	err = name_contents(probe, path, has_magic, sink);
	blkid_free_probe(probe);
	/* libblkid has switched off the kernel's read-ahead for the file */
	posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
	return err;
}
