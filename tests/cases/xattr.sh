#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Blocks of extended attributes that several inodes share: they make way, with
# all their owners; those that cannot are left where they are, and so are those
# of files that are left alone.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

need_cmd debugfs e2fsprogs

# fragmented PERCENT MKE2FS-OPTION...: the image img, without shared blocks.
fragmented()
{
	local percent=$1

	shift
	mkimg img 24M -b 1024 "$@" >/dev/null
	"$TOOLS/fragment" -s 7 -f 300 -p "$percent" -m 2048 -k 8 -x img
}

# attributes IMAGE: a line for each inode that has such a block.
attributes()
{
	image_view "$1" | sed -nE 's/^([0-9]+) .* acl=1 .*/stat <\1>/p' >stat.in
	debugfs -f stat.in "$1" 2>/dev/null | awk '
		/^Inode: / { ino = $2 }
		/^File ACL: / { print ino, $3 }'
}

# moved: how many blocks of img have another place than in img.before, and no
# block is without one of its owners.
moved()
{
	attributes img.before >acl.before
	attributes img >acl.after
	join acl.before acl.after |
		awk '{ if ($2 in to && to[$2] != $3) exit 1; to[$2] = $3 }
		END { for (b in to) n += b != to[b]; print n + 0 }' ||
		fail "two owners of a block are at odds"
}

# whole_run [OPTION...]
# Nothing changes but places, and -n has said so; a second run does nothing.
whole_run()
{
	local files

	cp img img.before
	image_view img >before
	assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" --json -n "$@" img
	mv out plan.json
	assert_exit 0 "$E4OFFDEFRAG" --json --verify "$@" img
	mv out run.json
	assert_quiet img
	image_view img >after
	assert_same before after "what is in the image"
	assert_foretold

	# Attribute blocks are neither files nor data.
	files=$(image_view img | sed -nE 's/^(2|[0-9]{2,}) .*/stat <\1>/p' |
		tee stat.in | wc -l)
	[ "$(member run.json before files)" -le "$files" ] ||
		fail "more files than inodes"
	[ "$(member run.json files_to_move)" -le "$files" ] ||
		fail "more files move than there are"
	assert_eq "$(member run.json files_to_move)" \
		"$(member run.json files_compared)" "files compared"
	assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" "$@" img
}

# assert_ideal: but for the files that are left alone.
assert_ideal()
{
	assert_eq "$(sed -nE '/^  "skipped"/,/^  \]/s/.*"files": //p' run.json |
		awk '{ n += $1 } END { print n + 0 }')" \
		"$(member run.json after fragmented_files)" "fragmented files"
	! grep -q '"no better place"' run.json ||
		fail "a file found no better place"
}

# Many owners, in old and in new inodes, with and without checksums; the
# smallest journal.
for options in "-I 128 -O ^metadata_csum,^64bit" "-I 256" "-I 128"; do
	# shellcheck disable=SC2086 # several words
	fragmented 70 -J size=1 $options
	"$TOOLS/share" -s 1 -b 40 -n 8 img
	whole_run
	[ "$(moved)" -gt 5 ] || fail "hardly a block has moved: $options"
	assert_ideal
done

# A block of attributes in the middle of all the room there is. Its owners are
# the first inodes: a directory, files, hundreds of pipes, which own nothing
# else. Then a file comes that needs the room on both sides.
# split OWNERS BLOCK MKE2FS-OPTION...
split()
{
	local i owners=$1 blk=$2

	shift 2
	mkimg img 8M -b 1024 "$@" >/dev/null
	{
		echo "write small a"
		echo "write swap swap"
		for ((i = 3; i < owners; i++)); do
			echo "mknod pipe$i p"
		done
	} >commands
	debugfs -w -f commands img >/dev/null 2>&1
	"$TOOLS/share" -l -n "$owners" -a "$blk" img
	fsdebug img "write large large" >/dev/null
	assert_clean img
	assert_eq "$owners" "$(attributes img | wc -l)" "owners"
	breaks img | grep -qx "$(inode img large)" ||
		fail "the large file is in one piece"
	cp img img.split
}

# joins [OPTION...], stays [OPTION...]: what a run of img makes of it
joins()
{
	whole_run "$@"
	assert_eq 1 "$(moved)" "blocks that have moved: $*"
	assert_ideal
	! breaks img | grep -vx 8 || fail "a file in pieces: $*" # but the log
	cp img.split img
}

stays()
{
	whole_run "$@"
	assert_eq 0 "$(moved)" "blocks that have moved: $*"
	breaks img | grep -qx "$(inode img large)" ||
		fail "the large file is in one piece: $*"
	cp img.split img
}

head -c 2000 /dev/urandom >small
head -c 5000000 /dev/urandom >large
head -c 40960 /dev/urandom >swap

split 600 5000 -J size=1 -N 640
joins
fsdebug img "sif a flags 0x80010" >/dev/null # immutable
cp img img.split
stays
joins --move-immutable
fsdebug img "sif a flags 0x80000" >/dev/null
cp img img.split
joins

# A swap file among the owners.
first=$(debugfs -R "bmap swap 3" img 2>/dev/null)
poke img $((first * 1024 + 1014)) SWAPSPACE2
cp img img.split
stays

# An inode is a block here, and the log too short for all of them.
split 700 6500 -J size=1 -I 1024 -N 1100
joins
split 800 6500 -J size=1 -I 1024 -N 1100
stays

# Without a journal owners in one sector move, others do not.
split 2 4000 -O ^has_journal -N 640
joins
split 3 4000 -O ^has_journal -N 640
stays
split 2 4000 -O ^has_journal,^metadata_csum,^64bit -I 128 -N 640
joins
split 3 4000 -O ^has_journal,^metadata_csum,^64bit -I 128 -N 640
stays
