/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xjournal.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "e4df_err.h"
#include "super.h"

/* What is read of an external journal. */
struct device {
	struct ext2_super_block sb;
	struct jbd2_super jsb;
};

errcode_t e4df_xjournal_check_idle(const struct jbd2_super *jsb,
				   const char *path, struct e4df_sink *sink)
{
	if (ext2fs_be32_to_cpu(jsb->head.magic) != JBD2_MAGIC)
		return 0;
	if (jsb->start)
		return e4df_event_fail(sink, E4DF_ET_BAD_JOURNAL,
				       "%s has a journal with data, although "
				       "it is marked as empty; run e2fsck -f "
				       "first",
				       path);
	if (jsb->error)
		return e4df_event_fail(sink, E4DF_ET_ERROR_FS,
				       "%s has an error recorded in its "
				       "journal; run e2fsck -f first",
				       path);
	return 0;
}

static errcode_t read_at(int fd, void *buf, size_t bytes, uint64_t offset)
{
	ssize_t got = pread(fd, buf, bytes, (off_t)offset);

	if (got < 0)
		return errno;
	return (size_t)got == bytes ? 0 : EXT2_ET_SHORT_READ;
}

/*
 * An external journal begins with an ext2 superblock of its own; the journal's
 * stands in the block behind (the kernel's ext4_get_dev_journal).
 */
static errcode_t read_device(const char *name, struct device *d)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	errcode_t err;

	if (fd < 0)
		return errno;
	err = read_at(fd, &d->sb, sizeof(d->sb), E4DF_SUPER_OFFSET);
	if (!err && d->sb.s_log_block_size <= 6) {
		uint64_t bs = 1024ULL << d->sb.s_log_block_size;

		err = read_at(fd, &d->jsb, sizeof(d->jsb),
			      (E4DF_SUPER_OFFSET / bs + 1) * bs);
	}
	close(fd);
	return err;
}

static int is_journal(const struct device *d, const unsigned char uuid[16])
{
	return d->sb.s_magic == EXT2_SUPER_MAGIC &&
	       d->sb.s_feature_incompat & EXT3_FEATURE_INCOMPAT_JOURNAL_DEV &&
	       !memcmp(d->sb.s_uuid, uuid, 16) &&
	       ext2fs_be32_to_cpu(d->jsb.head.magic) == JBD2_MAGIC;
}

errcode_t e4df_xjournal_check(const char *journal, const unsigned char uuid[16],
			      const char *path, struct e4df_sink *sink)
{
	struct device device = { .sb = { .s_inodes_count = 0 } };
	char text[E4DF_SUPER_UUID_TEXT];
	char *found = NULL;
	errcode_t err;

	e4df_super_print_uuid(uuid, text);
	if (!journal)
		journal = found = blkid_get_devname(NULL, "UUID", text);
	if (!journal)
		return e4df_event_fail(sink, E4DF_ET_NO_JOURNAL,
				       "%s has its journal on another device, "
				       "UUID %s, which cannot be found; name "
				       "it with -j",
				       path, text);
	err = read_device(journal, &device);
	if (err)
		err = e4df_event_fail(sink, err,
				      "cannot read the journal %s: "
				      "%s",
				      journal, error_message(err));
	else if (!is_journal(&device, uuid))
		err = e4df_event_fail(sink, E4DF_ET_NO_JOURNAL,
				      "%s is not the journal of %s, which has "
				      "the UUID %s",
				      journal, path, text);
	else
		err = e4df_xjournal_check_idle(&device.jsb, path, sink);
	free(found);
	return err;
}
