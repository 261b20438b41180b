#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Block size, metadata_csum and 64bit in all combinations, on file systems that
# the kernel has aged and that hold what is rare: unwritten ranges, holes,
# blocks behind the end of file, thousands of extents in one file, which need
# trees two levels deep, xattrs, long symlinks, hard links, device nodes, and
# files that must not be moved.
#
#	matrix.sh [BLOCK-SIZE FEATURE,FEATURE]

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

skip_without_mount
need_cmd chattr e2fsprogs
mkdir mnt

# append NAME COUNT BLOCK-SIZE
append()
{
	head -c $(($2 * $3)) /dev/urandom |
		dd of="$1" bs="$3" oflag=append conv=notrunc,fsync status=none
}

# two files that grow in turn, and then must stay where they are
make_stubborn()
{
	local i

	for ((i = 0; i < 20; i++)); do
		append mnt/immutable 3 "$1"
		append mnt/append 2 "$1"
	done
	chattr +i mnt/immutable
	chattr +a mnt/append
}

# depth IMAGE PATH: that of its extent tree
depth()
{
	debugfs -R "ex \"$2\"" "$1" 2>/dev/null |
		sed -nE '2s,^ *0/ *([0-9]+) .*,\1,p'
}

# Blocks behind the end of file are few here, so that their tree has one level:
# e2fsck 1.47.0 takes an index entry that begins there for an error, which has
# nothing to do with us. Hence the check before the run.
one()
{
	local bs=$1 features=$2 name ino stay=()

	mkimg img 256M -b "$bs" -O "$features"
	mount -o loop img mnt
	"$TOOLS/age" -s "$bs" -r 2 -m 4096 -e mnt
	make_stubborn "$bs"
	umount mnt
	assert_clean img
	[ "$(depth img /exotic-comb)" -ge 2 ] &&
		[ "$(depth img /exotic-torn-a)" -ge 2 ] ||
		fail "no tree with two levels of mapping blocks"
	for name in immutable append exotic-immutable exotic-append; do
		stay+=("$(inode img "/$name")")
	done

	assert_whole_run img "$bs" "${stay[@]}"
	assert_eq 2 "$(depth img /exotic-comb)" "depth, every other block a hole"
	assert_eq 0 "$(depth img /exotic-torn-a)" "depth, no holes"
	assert_grep '"reason": "immutable or append-only"' run.json
	for ino in "${stay[@]:0:2}"; do
		assert_grep "$ino.*immutable or append-only" run.err
	done
	printf '%5s %-22s %5d files, %6d runs -> %5d\n' "$bs" "$features" \
		"$(member run.json before files)" \
		"$(member run.json before runs)" "$(member run.json after runs)"
}

if [ $# = 2 ]; then
	one "$@"
	exit
fi
for bs in 1024 2048 4096; do
	for csum in metadata_csum ^metadata_csum; do
		for wide in 64bit ^64bit; do
			one $bs $csum,$wide
		done
	done
done
