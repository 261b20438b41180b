#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Do the tests of power cuts find what they are there to find? Each patch in
# mutants/ is one deliberate fault in the library, told in its first lines, and
# the image that shows it. A program for the crash states is linked with each
# fault, and must find a state that is not good. The table says which one.
#
# Faults that no state can show, and so are not here:
#
# - The start of the log is not flushed: the flush before the first commit
#   record covers it, and until then both the old and the new superblock of the
#   log lead to nothing that is committed.
# - Blocks that begin with the magic number are not escaped (nor marked as if
#   they were): a descriptor says how many blocks to pass over, and behind the
#   commit record there are zeros, so no image is ever taken for a part of the
#   log. tests/unit/test_journal.c looks at the bytes.
# - The last flush of a run is dropped: nothing is written behind it. The program
#   that is linked here demands it of every run.
# - The log's last block, which ends every scan, is not zeroed: a block behind
#   the commit record counts only if it bears the next id, and no block in the
#   log bears an id as high as ours (I9); images are escaped.
# - Without a journal, no flush between the freed blocks of one batch and the
#   data of the next: these blocks are free by the switch, which is flushed,
#   and the next marks are flushed before its own. Only at the end of the run
#   it matters: ordered-flush-freed.

. "${0%/*}/images.sh"

need_cmd patch
need_cmd make
build=$TOOLS/../..
[ -e "$build/Makefile" ] || skip "needs the build directory: $build"
cc=$(sed -n 's/^CC = //p' "$build/Makefile")
need_cmd "${cc%% *}" gcc
unset MAKEFLAGS MFLAGS MAKELEVEL # this is not a part of that make

# ---- what they are tried on

mkimg plain 8M -b 1024 -J size=1 -N 256
"$TOOLS/fragment" -s 6 -f 20 -p 85 -m 512 -k 2 plain
mkimg stale 12M -b 4096 -J size=4 -N 256
"$TOOLS/fragment" -s 2 -f 20 -p 60 -m 512 -k 8 stale
printf '\300\073\071\230' | dd of=stale conv=notrunc status=none
make_stale stale
mkimg ordered 8M -b 1024 -O ^has_journal -N 256
"$TOOLS/fragment" -s 7 -f 20 -p 80 -m 256 -k 2 ordered
tidy ordered

# Runs that are soon at their end: one change.
make_short short -J size=1
make_short oshort -O ^has_journal
tidy oshort

# ---- one fault

# link_mutant PATCH DIRECTORY
link_mutant()
{
	local file

	mkdir -p "$2/lib"
	sed -n 's,^+++ b/lib/,,p' "$1" >"$2/files"
	[ -s "$2/files" ] || fail "${1##*/} changes nothing"
	while read -r file; do
		case $file in *.c) ;; *) fail "${1##*/} changes $file" ;; esac
		cp "$srcdir/lib/$file" "$2/lib/"
	done <"$2/files"
	patch -s -F 0 -p 1 -d "$2" <"$1" >"$2/patch.out" 2>&1 ||
		fail "mutant ${2##*/} does not apply: $(cat "$2/patch.out")"
	rm -f "$2"/lib/*.orig
	make -s -C "$build" mutant MUTANT="$2/lib" >"$2/make.out" 2>&1 ||
		fail "mutant ${2##*/} does not build: $(cat "$2/make.out")"
}

# hunt NAME
# Prints a line of the table.
hunt()
{
	local name=$1 image status=0

	link_mutant "$srcdir/tests/crash/mutants/$name.patch" "$tmp/$name.d"
	read -r image < <(sed -n 's/^Shown by //p' \
		"$srcdir/tests/crash/mutants/$name.patch")
	set -- --lax --each=20 --random=8
	case $image in o*) set -- "$@" --ordered ;; esac
	mkdir "$name.d/run"
	"$name.d/lib/enumerate" --dir="$name.d/run" "$@" "$image" \
		>"$name.d/out" 2>&1 || status=$?
	[ $status = 2 ] || {
		cat "$name.d/out" >&2
		fail "mutant $name is not found: status $status"
	}
	awk -v name="$name" -v image="$image" '
		/^BAD: / { sub(/^BAD: [^:]*: /, ""); reason = $0 }
		/^again: / {
			split($3, word, ":")
			kind = word[2]
			how = word[4] ? word[4] : "e2fsck"
		}
		/^after / { tried = $2 }
		END {
			printf "%-24s %-8s %-7s %-6s %5d  %s\n", name, image,
				kind, how, tried, reason
		}' "$name.d/out"
	rm -r "$name.d"
}

# The unchanged program finds nothing on these images.
for image in plain stale short; do
	journaled $image "v3, 64 bits" --each=6 >/dev/null
done
for image in ordered oshort; do
	ordered $image --each=6 --mounts=0 >/dev/null
done

printf '%-24s %-8s %-7s %-6s %5s  %s\n' fault image state by tried found
count=0
for patch in "$srcdir"/tests/crash/mutants/*.patch; do
	name=${patch##*/}
	hunt "${name%.patch}"
	count=$((count + 1))
done
[ $count -gt 20 ] || fail "only $count faults"
echo "$count faults, all found"
