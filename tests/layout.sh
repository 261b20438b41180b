# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced after lib.sh by tests that do whole runs: what must be true of a run,
# by the word of others (the kernel, e2fsck, debugfs) wherever possible.
#
#	. "$srcdir/tests/layout.sh"

# member FILE [OBJECT] NAME
# Prints a value of what --json has printed.
member()
{
	if [ $# = 2 ]; then
		sed -nE "s/^  \"$2\": (.*[^,]),?\$/\1/p" "$1"
	else
		sed -nE "/^  \"$2\": \{/,/^  \}/s/^    \"$3\": (.*[^,]),?\$/\1/p" \
			"$1"
	fi
}

# assert_same FILE FILE WHAT
assert_same()
{
	cmp -s "$1" "$2" && return
	diff "$1" "$2" | sed -n 1,20p >&2 || :
	fail "differs: $3"
}

# ---- what is in an image

# kernel_view IMAGE
# Prints what a real mount shows: names in the order of readdir, contents,
# metadata, xattrs, holes.
kernel_view()
{
	mkdir -p view
	mount -o loop,ro "$1" view
	"$TOOLS/treesum" view
	unmount view
}

# image_view IMAGE
# The same without a mount, inode by inode.
image_view()
{
	"$TOOLS/imgsum" -d "$1"
}

# inode IMAGE PATH
# Prints its number.
inode()
{
	debugfs -R "stat \"$2\"" "$1" 2>/dev/null |
		sed -nE 's/^Inode: ([0-9]+) .*/\1/p'
}

# places IMAGE INODE...
# Prints which blocks each of them has.
places()
{
	local image=$1 ino

	shift
	for ino; do
		debugfs -R "stat <$ino>" "$image" 2>/dev/null |
			sed -n '/^EXTENTS:$/,$p; /^BLOCKS:$/,$p'
	done
}

# breaks IMAGE
# Prints an inode number for each place at which one of its blocks does not lie
# directly behind the block before: as e2fsck sees it. With bigalloc (cluster
# is the number of blocks in one), at which its cluster does not, as debugfs
# lists the blocks.
cluster=1
breaks()
{
	[ $cluster = 1 ] || {
		data_breaks "$1"
		return
	}
	e2fsck -fn -E fragcheck "$1" 2>/dev/null |
		sed -nE 's/^ *([0-9]+)\(.\): expecting .*/\1/p'
}

# data_ranges IMAGE
# Prints for each inode that owns blocks its number, and behind it, a line for
# each, the number with the first and last block of what debugfs lists as data.
data_ranges()
{
	image_view "$1" | sed -nE 's/^(2|[0-9]{2,}) .*/stat <\1>/p' >stat.in
	debugfs -f stat.in "$1" 2>/dev/null | awk '
		/^Inode: / { ino = $2; print ino }
		/^\(/ {
			n = split($0, part, /, */)
			for (i = 1; i <= n; i++) {
				if (part[i] !~ /^\([0-9]+(-[0-9]+)?(\[u\])?\)/)
					continue
				sub(/^\(.*\):/, "", part[i])
				split(part[i], blk, "-")
				print ino, blk[1], blk[2] ? blk[2] : blk[1]
			}
		}'
}

# data_breaks IMAGE
# The same as breaks for data alone, mapping blocks left out.
data_breaks()
{
	data_ranges "$1" | awk -v ratio=$cluster '
		function cluster(blk) { return int(blk / ratio) }
		NF == 1 { last = ""; next }
		{
			gap = cluster($2) - cluster(last)
			if (last && gap != 1 && (gap || ratio == 1))
				print $1
			last = $3
		}'
}

# ---- what must be true

# assert_quiet IMAGE
# e2fsck finds no errors and has nothing to remark either, as that a tree
# "could be narrower".
assert_quiet()
{
	assert_clean "$1"
	! grep -v '^e2fsck [0-9]\|^Pass [1-5]: \|^[^ ]*: [0-9]*/[0-9]* files ' \
		fsck.out >&2 || fail "e2fsck remarks on $1"
}

# assert_small_trees IMAGE BLOCK-SIZE
# Every extent tree has as few blocks as its extents need, by what debugfs
# says of them: none up to four extents.
assert_small_trees()
{
	image_view "$1" | sed -nE 's/^([0-9]+) .*/ex <\1>/p' >ex.in
	debugfs -f ex.in "$1" 2>/dev/null | awk -v bs="$2" '
		function check(    want, n) {
			for (n = leaves; n > 4; want += n)
				n = int((n - 1) / fanout) + 1
			if (nodes == want)
				return
			print ino ": " leaves " extents, " nodes + 0 \
				" tree blocks instead of " want + 0
			bad = 1
		}
		BEGIN { fanout = int((bs - 12) / 12) }
		/^debugfs: ex / {
			check()
			ino = $3
			nodes = leaves = 0
		}
		/^ *[0-9]+\/ *[0-9]+ / {
			split($0, level, "/")
			if (level[1] + 0 < level[2] + 0) nodes++; else leaves++
			trees++
		}
		END { check(); exit bad || !trees }' >&2 ||
		fail "extent trees of $1 are larger than need be"
}

# assert_foretold: by plan.json, of -n, what run.json tells
assert_foretold()
{
	sed -n '/^  "after"/,/^  }/p' plan.json >predicted
	sed -n '/^  "after"/,/^  }/p' run.json >reached
	assert_same predicted reached "-n and what was reached"
	assert_eq "$(member plan.json bytes_to_move)" \
		"$(member run.json bytes_moved)" "bytes moved"
	assert_eq "$(member plan.json steps_to_do)" \
		"$(member run.json steps_done)" "steps done"
}

# assert_whole_run IMAGE BLOCK-SIZE [INODE...]
# All that a run promises if there is room and every file can be in one run,
# but for those inodes, which must stay where they are. Leaves the image
# defragmented, and the reports in plan.json, run.json and run.err. $policy is
# another option for all runs.
assert_whole_run()
{
	local image=$1 bs=$2 stuck

	shift 2
	places "$image" "$@" >places.before
	kernel_view "$image" >kernel.before
	image_view "$image" >image.before
	breaks "$image" >breaks.before
	cp "$image" again.img

	# -n writes nothing, and its prediction is exact.
	assert_unchanged "$image" assert_exit 0 "$E4OFFDEFRAG" ${policy-} --json -n "$image"
	mv out plan.json
	assert_exit 0 "$E4OFFDEFRAG" ${policy-} --json -v "$image"
	mv out run.json
	mv err run.err
	assert_foretold

	# Nothing but places has changed, and those inodes have not moved.
	assert_quiet "$image"
	kernel_view "$image" >kernel.after
	image_view "$image" >image.after
	assert_same kernel.before kernel.after "what the kernel shows"
	assert_same image.before image.after "what is in the image"
	places "$image" "$@" >places.after
	assert_same places.before places.after "where the inodes $* are"

	# The layout is ideal, and e2fsck and debugfs agree with the report.
	breaks "$image" >breaks.after
	printf '%s\n' "$@" | grep -Fxf - breaks.before >breaks.wanted || :
	assert_same breaks.wanted breaks.after "inodes with breaks"
	stuck=$(uniq breaks.wanted | wc -l)
	assert_eq "$stuck" "$(member run.json after fragmented_files)" \
		"fragmented files left"
	assert_eq "$(member run.json after files)" \
		"$(member run.json after ideal_runs)" "ideal runs"
	assert_eq $(($(member run.json before files) + $(wc -l <breaks.before))) \
		"$(member run.json before runs)" "runs before"
	assert_eq $(($(member run.json after files) + $(wc -l <breaks.after))) \
		"$(member run.json after runs)" "runs after"
	assert_small_trees "$image" "$bs"

	# The same input gives the same output; a second run changes nothing.
	assert_exit 0 "$E4OFFDEFRAG" ${policy-} -q again.img
	cmp "$image" again.img || fail "two runs on the same input differ"
	rm again.img
	assert_unchanged "$image" assert_exit 0 "$E4OFFDEFRAG" ${policy-} --json "$image"
	assert_eq 0 "$(member out bytes_moved)" "bytes moved by a second run"
	assert_eq 0 "$(member out steps_done)" "steps done by a second run"
}

# ---- runs that were cut short

# needs_recovery IMAGE
needs_recovery()
{
	dumpe2fs -h "$1" >header 2>/dev/null
	grep -q '^Filesystem features:.* needs_recovery' header
}

# reached REPORT prints what was reached, by the report.
reached()
{
	local name

	for name in fragmented_files runs ideal_runs layout_score; do
		member "$1" after $name
	done
}

# note_whole_run IMAGE
# Before any other run on a copy of the image: what is in it, and what a run
# that is not disturbed makes of it, in the files whole.*.
note_whole_run()
{
	image_view "$1" >whole.image
	cp "$1" whole.img
	assert_exit 0 "$E4OFFDEFRAG" --json whole.img
	mv out whole.json
	reached whole.json >whole.reached
	assert_quiet whole.img
	breaks whole.img >whole.breaks
	rm whole.img
}

# assert_intact IMAGE WHEN
# What is true of every image that was left behind, once it is recovered.
assert_intact()
{
	assert_clean "$1"
	assert_contents "$1" "$2"
}

assert_contents()
{
	image_view "$1" >image.now
	assert_same whole.image image.now "what is in the image, $2"
}

# assert_resumes IMAGE WHEN
# Another run ends where one that was not cut short does, and has not more to
# do than that one.
assert_resumes()
{
	assert_exit 0 "$E4OFFDEFRAG" --json "$1"
	reached out >reached.now
	assert_same whole.reached reached.now "the layout in the end, $2"
	[ "$(member out bytes_moved)" -le "$(member whole.json bytes_moved)" ] ||
		fail "more to move than at the start, $2"
	assert_quiet "$1"
	assert_contents "$1" "$2, and another run"
	breaks "$1" >breaks.now
	assert_same whole.breaks breaks.now "the breaks in the end, $2"
}
