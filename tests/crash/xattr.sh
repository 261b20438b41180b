#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Power cuts while blocks of extended attributes move, whose owners must all
# switch at once. enumerate.c says how, enumerate.sh how to ask for more.

. "${0%/*}/../lib.sh"

need_cmd debugfs e2fsprogs
: "${CRASH:=$TOOLS/../crash/enumerate}"

# blocks IMAGE: those of extended attributes, each once.
blocks()
{
	"$TOOLS/imgsum" -d "$1" |
		sed -nE 's/^([0-9]+) .* acl=1 .*/stat <\1>/p' >stat.in
	debugfs -f stat.in "$1" 2>/dev/null |
		sed -nE 's/^File ACL: //p' | sort -nu
}

# crash IMAGE BLOCKS BATCHES
# So many blocks must move, in so many steps at least, or it is no test.
crash()
{
	local image=$1 moved

	cp "$image" moved
	"$E4OFFDEFRAG" -q moved
	blocks "$image" >blocks.before
	blocks moved >blocks.after
	assert_eq "$(wc -l <blocks.before)" "$(wc -l <blocks.after)" "blocks"
	moved=$(comm -23 <(sort blocks.before) <(sort blocks.after) | wc -l)
	[ "$moved" -ge "$2" ] || fail "$image: only $moved blocks move"
	mkdir "$image.d"
	"$CRASH" --dir="$image.d" --imgsum="$TOOLS/imgsum" --batches="$3" \
		--each="${CRASH_EACH:-5}" --random="${CRASH_RANDOM:-2}" \
		--rounds="${CRASH_ROUNDS:-1}" --mounts="${CRASH_MOUNTS:-0}" \
		"$image" || fail "$image: not every state is good"
	rm -r "$image.d"
}

# Old inodes, each with a block of its own; no checksums.
mkimg own 12M -b 1024 -J size=1 -I 128 -O ^metadata_csum,^64bit >/dev/null
"$TOOLS/fragment" -s 1 -f 60 -p 75 -m 512 -k 4 own
"$TOOLS/share" -s 1 -b 60 -n 1 own
crash own 10 5

# Owners in many inode tables, checksums.
mkimg shared 12M -b 1024 -J size=1
"$TOOLS/fragment" -s 2 -f 90 -p 75 -m 512 -k 4 shared
"$TOOLS/share" -s 2 -b 20 -n 5 shared
crash shared 5 5

# One group, one block that belongs to all.
mkimg all 16M -b 4096 -J size=4
"$TOOLS/fragment" -s 3 -f 150 -p 60 -m 256 -k 8 all
"$TOOLS/share" -s 3 -b 12 -n 12 all
crash all 1 3
