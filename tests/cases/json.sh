#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --json prints one JSON object and nothing else, with the members that the
# manual page lists and the figures of the text report.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

mkimg fresh 48M
"$TOOLS/fragment" -s 3 -f 300 -p 60 fresh

python=$(command -v python3 || :)
[ -n "$python" ] || echo "python3 is not here: the syntax is not checked"
touch names

# json STATUS ARGUMENT...
# Leaves the object in the file out.
json()
{
	local status=$1

	shift
	assert_exit "$status" "$E4OFFDEFRAG" --json "$@"
	[ -z "$python" ] || "$python" -m json.tool <out >/dev/null ||
		fail "not JSON: $*"
	sed -nE 's/^ *"([a-z_]+)": .*/\1/p' out >>names
	sed -nE 's/^  "([a-z_]+)": .*/\1/p' out >top.now
	[ -s top ] || cp top.now top
	cmp top top.now || fail "other members than without: $*"
	assert_eq "$status" "$(error_status)" "error in the object of: $*"
}

error_status()
{
	local error

	error=$(member out error)
	if [ "$error" = null ]; then echo 0; else member out error status; fi
}

# assert_member WANTED NAME...
assert_member()
{
	local want=$1

	shift
	assert_eq "$want" "$(member out "$@")" "$*"
}

# assert_figures OBJECT COLUMN: those of out are those of the table in text.
assert_figures()
{
	local object=$1 column=$2 title name

	while IFS=: read -r title name; do
		assert_member "$(sed -n "s/^$title  *//p" text |
			awk -v c="$column" '{ print $c }')" "$object" "$name"
	done <<-END
		Files:files
		Fragmented files:fragmented_files
		Runs:runs
		Ideal runs:ideal_runs
		Layout score:layout_score
		Free runs:free_runs
	END
}

# read_cost OBJECT prints what is in it.
read_cost()
{
	sed -n "/^  \"$1\": {/,/^  }/p" out |
		sed -n '/^    "read_cost": {/,/^    }/p'
}

# assert_read_cost OBJECT COLUMN: the same as in text, for the counts and time
assert_read_cost()
{
	local object=$1 column=$2 title name

	while IFS=: read -r title name; do
		assert_eq "$(sed -n "s/^$title  *//p" text | sed 's/ s\>//g' |
			awk -v c="$column" '{ print $c }')" \
			"$(read_cost "$object" | sed -nE \
			"s/^ *\"$name\": ([0-9]+(\.[0-9])?).*/\1/p")" \
			"$object: $title"
	done <<-END
		Read requests:requests
		Read seeks:seeks
		Read time:seconds
	END
	[ "$(read_cost "$object" | wc -l)" = 7 ] ||
		fail "read_cost of $object has other members"
}

# -- a file that is fragmented and skipped

json 0 -c fresh
ino=$(sed -nE 's/^      "inode": ([0-9]+),$/\1/p' out | sed 1q)
flags=$(debugfs -R "stat <$ino>" fresh 2>/dev/null |
	sed -nE 's/.*Flags: (0x[0-9a-f]+).*/\1/p')
debugfs -w -R "set_inode_field <$ino> flags $((flags | 0x10))" fresh \
	>/dev/null 2>&1
assert_clean fresh

# -- the report, the plan, the run

assert_exit 0 "$E4OFFDEFRAG" -c fresh
cp out text
assert_unchanged fresh json 0 -c fresh
assert_eq "" "$(cat err)" "standard error with --json"
assert_member 1 version
assert_member '"report"' action
assert_member '"fresh"' device
assert_member 0 offset
assert_member null after
assert_member null bytes_to_move
assert_member "$(blkid -p -s UUID -o value fresh | sed 's/.*/"&"/')" \
	filesystem uuid
assert_member $((48 << 20)) filesystem bytes
assert_figures before 1
assert_read_cost before 1
read_cost before >cost.before
assert_grep '"reason": "immutable or append-only"' out
assert_grep '1 file: immutable or append-only' text
assert_eq 10 "$(grep -c '^      "path": "/' out)" "worst files with a path"
sed -nE 's/^ +[0-9]+ +[0-9]+  (\/.*)/\1/p' text >paths
sed -nE 's/^      "path": "(.*)",$/\1/p' out | cmp paths - ||
	fail "the worst files are others than in the text"

assert_exit 0 "$E4OFFDEFRAG" -n fresh
cp out text
assert_unchanged fresh json 0 -n fresh
assert_member '"plan"' action
assert_figures before 1
assert_figures after 2
assert_read_cost before 1
assert_read_cost after 2
read_cost before | cmp cost.before - || fail "-n reads otherwise than -c"
assert_grep "^Would move .* ($(member out bytes_to_move) bytes) of $(member out \
	files_to_move) files in $(member out steps_to_do) step" text
assert_member null bytes_moved
grep -v '^ *"bytes_read"\|^ *"bytes_written"\|"flushes"' out >plan

cp fresh img
assert_exit 0 "$E4OFFDEFRAG" img
cp out text
cp fresh img
json 0 img
assert_member '"defrag"' action
assert_figures before 1
assert_figures after 2
assert_grep "^Moved .* ($(member out bytes_moved) bytes) of $(member out \
	files_to_move) files in $(member out steps_done) step" text
assert_member "$(member out bytes_to_move)" bytes_moved
assert_member "$(member out steps_to_do)" steps_done
assert_member null files_compared
# The run has done what the plan said, to the last free run.
sed -nE '/^  "(before|after)"/,/^  \}/p; /_to_(move|do)"/p' plan >planned
sed -nE '/^  "(before|after)"/,/^  \}/p; /_to_(move|do)"/p' out |
	cmp planned - || fail "the run is not what was planned"

cp fresh img
json 0 --verify img
assert_member "$(member out files_to_move)" files_compared
read_cost after >cost.after
! cmp -s cost.before cost.after || fail "reading takes what it took before"
json 0 -q img
assert_member 0 bytes_moved
for object in before after; do
	read_cost $object | cmp cost.after - ||
		fail "reading takes another time $object a run without moves"
done
# the reader does not follow --sort
json 0 -n --optimize --sort=name img
read_cost before | cmp cost.after - || fail "--sort changes the reader"

# -- -v: messages go to standard error

json 0 -v -n fresh
! grep -v '^e4offdefrag: ' err || fail "these lines have no prefix"

# -- an offset, and names that need escapes

truncate -s 1M shifted
cat fresh >>shifted
json 0 -c 'shifted?offset=1048576'
assert_member '"shifted"' device
assert_member 1048576 offset
name=$'a"b\\c\td\xff\xc3\xa4'
cp fresh "$name"
tune2fs -L $'l"\xc3\n' "$name" >/dev/null
json 0 -c "$name"
assert_member $'"a\\"b\\\\c\\u0009d\\ufffd\xc3\xa4"' device
assert_member '"l\"\ufffd\u000a"' filesystem label

# -- failures

json 8 no-such
assert_member null filesystem
assert_grep "^e4offdefrag: $(member out error text | sed 's/^"//;s/"$//')$" err
block=$(debugfs -R "bmap <$ino> 0" fresh 2>/dev/null)
cp fresh bad
debugfs -w -R "freeb $block" bad >/dev/null 2>&1
assert_unchanged bad json 4 bad
assert_grep '^e4offdefrag: ' err
assert_grep '^      "text": "' out
assert_exit 16 "$E4OFFDEFRAG" --json
assert_eq "" "$(cat out)" "standard output after a usage error"

# -- the members are those of the manual page

sed -n '/^\.SH JSON OUTPUT/,/^\.SH SAFETY/p' "$srcdir/man/e4offdefrag.8" |
	grep -oE '\\fB[a-z_]+\\fR' | sed 's/\\fB//;s/\\fR//' | sort -u >documented
sort -u names | diff documented - ||
	fail "the manual page (<) and the program (>) have other members"
