/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imgsum - what an ext2/3/4 image holds, without where it lies
 *
 * With -d one line for each inode in use (contents.h); the last line is a
 * digest of all lines.  With -k an inode that cannot be read has a line that
 * says so, instead of being the end.  The image is only read; a journal that
 * waits for recovery is ignored.
 *
 * cc -o imgsum imgsum.c contents.c -lext2fs -lcom_err
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "contents.h"
#include "tool.h"

static void print(void *ctx, const char *line)
{
	(void)ctx;
	puts(line);
}

static void open_image(struct contents *c, const char *name)
{
	errcode_t err = ext2fs_open(name, EXT2_FLAG_64BITS, 0, 0,
				    unix_io_manager, &c->fs);

	if (!err)
		err = ext2fs_read_inode_bitmap(c->fs);
	if (err)
		die("%s: %s", name, error_message(err));
}

int main(int argc, char **argv)
{
	struct contents c = { .line = NULL };
	errcode_t err;
	int opt;

	initialize_ext2_error_table();
	while ((opt = getopt(argc, argv, "dk")) != -1) {
		if (opt == 'd')
			c.line = print;
		else if (opt == 'k')
			c.is_tolerant = 1;
		else
			return EXIT_FAILURE;
	}
	if (optind != argc - 1)
		die("usage: imgsum [-dk] IMAGE[?offset=BYTES]");
	open_image(&c, argv[optind]);
	err = contents_sum(&c);
	if (err)
		die("inode %u: %s: %s", c.ino, c.what, error_message(err));
	printf("%016llx\n", (unsigned long long)c.sum);
	ext2fs_close_free(&c.fs);
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
