#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Power cuts while blocks of extended attributes move, whose owners must all
# switch at once; without a journal only those move that can.

. "${0%/*}/images.sh"

# blocks IMAGE: those of extended attributes, each once.
blocks()
{
	"$TOOLS/imgsum" -d "$1" |
		sed -nE 's/^([0-9]+) .* acl=1 .*/stat <\1>/p' >stat.in
	debugfs -f stat.in "$1" 2>/dev/null |
		sed -nE 's/^File ACL: //p' | sort -nu
}

# assert_moves IMAGE BLOCKS
# So many blocks must move, or it is no test.
assert_moves()
{
	local image=$1 moved

	cp "$image" moved
	"$E4OFFDEFRAG" -q --compact moved
	blocks "$image" >blocks.before
	blocks moved >blocks.after
	assert_eq "$(wc -l <blocks.before)" "$(wc -l <blocks.after)" "blocks"
	moved=$(comm -23 <(sort blocks.before) <(sort blocks.after) | wc -l)
	[ "$moved" -ge "$2" ] || fail "$image: only $moved blocks move"
}

# crash IMAGE BLOCKS BATCHES LOG [OPTION...]
crash()
{
	local image=$1 log=$4

	assert_moves "$image" "$2"
	journaled "$image" "$log" --compact --batches="$3" --each=5 "${@:5}"
}

# Old inodes, each with a block of its own; no checksums.
mkimg own 12M -b 1024 -J size=1 -I 128 -O ^metadata_csum,^64bit >/dev/null
"$TOOLS/fragment" -s 1 -f 60 -p 75 -m 512 -k 4 own
"$TOOLS/share" -s 1 -b 60 -n 1 own
crash own 10 5 "none, 32 bits"

# Owners in many inode tables, checksums.
mkimg shared 12M -b 1024 -J size=1
"$TOOLS/fragment" -s 2 -f 90 -p 75 -m 512 -k 4 shared
"$TOOLS/share" -s 2 -b 20 -n 5 shared
crash shared 5 5 "v3, 64 bits"

# One group, one block that belongs to all.
mkimg all 16M -b 4096 -J size=4
"$TOOLS/fragment" -s 3 -f 150 -p 85 -m 256 -k 8 all
"$TOOLS/share" -s 3 -b 12 -n 12 all
crash all 1 3 "v3, 64 bits"

# Without a journal.
mkimg alone 12M -b 1024 -I 128 -O ^has_journal,^metadata_csum
"$TOOLS/fragment" -s 1 -f 60 -p 75 -m 512 -k 4 alone
"$TOOLS/share" -s 1 -b 60 -n 1 alone
assert_moves alone 10
ordered alone --compact --batches=3 --each=5
mkimg sums 12M -b 1024 -O ^has_journal
"$TOOLS/fragment" -s 2 -f 90 -p 75 -m 512 -k 4 sums
"$TOOLS/share" -s 2 -b 30 -n 2 sums
ordered sums --compact --batches=3 --each=5
