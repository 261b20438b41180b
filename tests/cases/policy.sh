#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --compact leaves nothing behind the free space, --max-write keeps to its
# bytes and another run goes on, --good-run lets long runs stay.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

run()
{
	"$E4OFFDEFRAG" --json "$@" >run.json || fail "$* ends with $?"
}

# The contents are as before, and the file system is clean.
check()
{
	assert_eq "$sum" "$("$TOOLS/imgsum" "$1" | sha256sum)" \
		"$2: other contents"
	e2fsck -fn "$1" >fsck 2>&1 || { cat fsck; fail "$2: not clean"; }
}

truncate -s 32M made.img
mke2fs -q -F -t ext4 -b 1024 made.img
"$TOOLS/fragment" -s 5 made.img >/dev/null
sum=$("$TOOLS/imgsum" made.img | sha256sum)

cp made.img copy.img
run --compact copy.img
check copy.img --compact
end=$(member run.json after largest_free_run)
[ "$end" -gt $(($(member run.json after free_bytes) / 2)) ] ||
	fail "--compact leaves free runs of $end bytes at most"
end=$(member run.json after data_end)
"$TOOLS/imglayout" -b copy.img | sort -n >places
[ "$end" -ge $((($(tail -n 1 places) + 1) * 1024)) ] ||
	fail "there is data behind the end of data, $end"
[ "$end" -lt "$(member run.json before data_end)" ] ||
	fail "--compact does not bring the end of data forward"
run --compact copy.img
assert_eq 0 "$(member run.json bytes_to_move)" "a second --compact moves something"
resize2fs -f copy.img $((end / 1024)) >resize 2>&1 || { cat resize; fail resize2fs; }
"$TOOLS/imglayout" -b copy.img | sort -n | cmp places - || # inodes move, too
	fail "resize2fs to the end of data has moved blocks"
e2fsck -fn copy.img >fsck 2>&1 || { cat fsck; fail "resize2fs: not clean"; }

cp made.img copy.img
run -n copy.img
all=$(member run.json bytes_to_move)
rounds=0
while :; do
	run --max-write=$((all / 4)) copy.img
	moved=$(member run.json bytes_moved)
	[ "$moved" -le $((all / 4)) ] || fail "--max-write: $moved moved"
	[ "$moved" -gt 0 ] || break
	rounds=$((rounds + 1))
	[ "$rounds" -lt 40 ] || fail "--max-write does not come to an end"
done
[ "$rounds" -gt 2 ] || fail "--max-write: done in $rounds runs"
check copy.img --max-write

cp made.img copy.img
run --good-run=1K copy.img
assert_eq 0 "$(member run.json bytes_moved)" "--good-run=1K moves something"
grep -q '"in long runs already"' run.json || fail "no reason is given"
run --perfect copy.img
[ "$(member run.json bytes_moved)" -gt 0 ] || fail "--perfect moves nothing"
check copy.img --perfect
