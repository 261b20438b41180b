/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * manyfiles - fill a directory with many small files, 1000 in a directory
 *
 * Each has one block, preallocated and not written, so that an image of
 * millions of files takes little room.
 *
 * cc -o manyfiles manyfiles.c
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "tool.h"

enum {
	IN_DIRECTORY = 1000,
	NAME_ROOM = 32,
};

static void enter_directory(unsigned int number)
{
	char name[NAME_ROOM];

	snprintf(name, sizeof(name), "%u", number);
	if (number && chdir(".."))
		die("cannot go up: %s", strerror(errno));
	if (mkdir(name, 0755) || chdir(name))
		die("directory %s: %s", name, strerror(errno));
}

static void make_file(unsigned int number)
{
	char name[NAME_ROOM];
	int fd;

	snprintf(name, sizeof(name), "%u", number);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || fallocate(fd, 0, 0, 1) || close(fd))
		die("file %s: %s", name, strerror(errno));
}

int main(int argc, char **argv)
{
	uint64_t count;

	if (argc != 3)
		die("usage: manyfiles directory count");
	count = parse_number(argv[2], 0, UINT32_MAX);
	if (chdir(argv[1]))
		die("%s: %s", argv[1], strerror(errno));
	for (unsigned int i = 0; i < count; i++) {
		if (i % IN_DIRECTORY == 0)
			enter_directory(i / IN_DIRECTORY);
		make_file(i);
	}
	return 0;
}
