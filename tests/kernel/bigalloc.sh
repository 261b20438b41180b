#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# bigalloc: clusters of 2 to 64 blocks, with all block sizes, on file systems
# that the kernel has aged and that hold holes and unwritten ranges within
# clusters, blocks behind the end of file, trees of two levels, xattrs, and
# files that must not be moved.
#
#	bigalloc.sh [BLOCK-SIZE CLUSTER-SIZE IMAGE-SIZE FEATURE,FEATURE...
#		[MKE2FS-OPTION...]]

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

skip_without_mount
mkdir mnt

# append NAME COUNT BLOCK-SIZE
append()
{
	head -c $(($2 * $3)) /dev/urandom |
		dd of="$1" bs="$3" oflag=append conv=notrunc,fsync status=none
}

# Two files that grow in turn by parts of clusters.
make_pair()
{
	local i

	for ((i = 0; i < 40; i++)); do
		append mnt/pair-a 3 "$1"
		append mnt/pair-b 5 "$1"
	done
}

# stay IMAGE: the inodes that must
stay()
{
	local name

	for name in immutable append; do
		inode "$1" /exotic-$name
	done
}

# mixed IMAGE PATH: extents that begin in the cluster where the one before ends
mixed()
{
	debugfs -R "ex \"$2\"" "$1" 2>/dev/null | tr '/-' '  ' |
		awk -v ratio=$cluster '
			!/^ *[0-9]/ || $1 < $2 { next }
			last != "" && int($7 / ratio) == last { n++ }
			{ last = int($8 / ratio) }
			END { print n + 0 }'
}

one()
{
	local bs=$1 size=$2 features=$4 name

	cluster=$((size / bs))
	mkimg img "$3" -b "$bs" -C "$size" -O "bigalloc,$features" "${@:5}"
	mount -o loop img mnt
	"$TOOLS/age" -s "$size" -r 2 -m 4096 -e mnt
	make_pair "$bs"
	unmount mnt
	assert_clean img
	for name in unwritten punched comb; do
		[ $cluster = 2 ] && [ $name != unwritten ] ||
			[ "$(mixed img /exotic-$name)" -ge 5 ] ||
			fail "$name: no clusters with several extents"
	done
	# shellcheck disable=SC2046 # one word for each
	assert_whole_run img "$bs" $(stay img)
	printf '%5s %6s %-32s %5d files, %6d runs -> %5d\n' "$bs" "$size" \
		"$features" "$(member run.json before files)" \
		"$(member run.json before runs)" "$(member run.json after runs)"
}

if [ $# -ge 4 ]; then
	one "$@"
	exit
fi

one 4096 8192 160M metadata_csum,64bit
one 4096 16384 160M ^has_journal
one 4096 65536 256M ^metadata_csum,^64bit
one 4096 262144 512M metadata_csum
one 2048 8192 128M ^has_journal,^metadata_csum,uninit_bg,^64bit
# More than one block of descriptors: with blocks of 1 KiB these are in other
# places than libext2fs thinks.
one 1024 2048 320M metadata_csum,64bit
one 1024 2048 320M ^has_journal,metadata_csum,64bit
one 1024 16384 160M meta_bg,^resize_inode -g 512
one 1024 65536 256M ^flex_bg,ea_inode,inline_data
