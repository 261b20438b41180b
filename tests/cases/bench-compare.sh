#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# bench/compare finds what became worse beyond the spread, nothing else, and
# says what is wrong with a file that bench/run has not written.

. "${0%/*}/../lib.sh"

need_cmd jq

# row WHAT NAME LOW MEDIAN HIGH
row()
{
	printf '{"group": "kind", "image": "aged", "bytes": 1048576,
		"what": "%s", "figures": {"%s": {"low": %s, "median": %s,
		"high": %s}}}' "$@"
}

# results FILE ROW...
results()
{
	local file=$1 IFS=,

	shift
	printf '{"version": 1, "machine": {"cpu": "a"}, "settings": {"seed": 1},
		"rows": [%s]}\n' "$*" >"$file"
}

# compare STATUS [ARGUMENT...]
compare()
{
	local status=$1

	shift
	assert_exit "$status" "$BASH" "$srcdir/bench/compare" "$@" old new
}

# one STATUS NAME OLD... NEW...: one figure of e4offdefrag's
one()
{
	results old "$(row e4offdefrag "$2" "$3" "$4" "$5")"
	results new "$(row e4offdefrag "$2" "$6" "$7" "$8")"
	compare "$1"
}

# -- what counts

one 0 wall 1 1.1 1.2 1 1.1 1.2
assert_grep '^No figure differs' out
one 1 wall 1 1.1 1.2 1.3 1.4 1.5
assert_grep '^WORSE .*e4offdefrag  *wall  *1.1  *1.4  *+27.3 %$' out
assert_grep '^1 regressions$' out
one 0 wall 1.3 1.4 1.5 1 1.1 1.2
assert_grep '^better .* -21.4 %$' out

# the spreads touch; less than 5 %; less than a clock can tell
one 0 wall 1 1.1 1.2 1.2 1.4 1.5
one 0 wall 1 1 1 1.04 1.04 1.04
one 0 cpu 0.01 0.01 0.01 0.03 0.03 0.03
one 1 cpu 0.01 0.01 0.01 0.04 0.04 0.04
one 0 peak_kib 1000 1000 1000 1256 1256 1256
one 1 peak_kib 1000 1000 1000 1257 1257 1257

# from nothing to something, and quality
one 1 excess_runs 0 0 0 1 1 1
assert_grep '^WORSE .*excess_runs  *0  *1  *-$' out

# another tolerance
one 1 wall 1 1 1 1.06 1.06 1.06
compare 0 -t 6.5

# -- peers are not judged, but noted

results old "$(row e4offdefrag wall 1 1 1)" "$(row dd wall 1 1 1)"
results new "$(row dd wall 2 2 2)" "$(row e4offdefrag wall 1 1 1)"
compare 0
assert_grep '^note .* dd  *wall .*+100 %' out

# -- what is not there any more

results new "$(row dd wall 1 1 1)"
compare 1
assert_grep '^WORSE .*e4offdefrag  *all  *-  *missing' out
results new "$(row e4offdefrag cpu 1 1 1)"
compare 1
assert_grep '^WORSE .*e4offdefrag  *wall  *1  *missing' out
results old "$(row dd wall 1 1 1)"
compare 0

# -- another machine

results old "$(row e4offdefrag wall 1 1 1)"
sed 's/"cpu": "a"/"cpu": "b"/; s/"seed": 1/"seed": 2/' old >new
compare 0
assert_grep '^compare: the runs differ in: cpu, seed$' err

sed 's/"seed": 1/"bytes": 1/' old >new
compare 8
assert_grep '^compare: the two were made with another --size$' err

# -- malformed

# malformed MESSAGE, of the file new
malformed()
{
	compare 8
	assert_eq "compare: new: $1" "$(cat err)"
	assert_eq "" "$(cat out)"
}

rm new
malformed "cannot be read"
: >new
malformed "not one JSON value"
echo '{"version": 1, "rows": [' >new
malformed "not JSON"
cat old old >new
malformed "not one JSON value"
echo '[1]' >new
malformed "not an object"
sed 's/"version": 1/"version": 2/' old >new
malformed "not of version 1"
echo '{"version": 1}' >new
malformed "no rows"
results new
malformed "no rows"
results new "$(row dd wall 1 1 1)" '{"group": "kind"}'
malformed "row 2 is malformed"
results new "$(row dd wall 1 '"x"' 1)"
malformed "row 1 is malformed"
results new "$(row dd wall 2 1 2)"
malformed "row 1 is malformed"
results new "$(row dd wall 1 1 1)" "$(row dd wall 1 1 1)"
malformed "a row is there twice"
mkdir dir
assert_exit 8 "$BASH" "$srcdir/bench/compare" old dir

# -- usage

assert_exit 16 "$BASH" "$srcdir/bench/compare" old
assert_exit 16 "$BASH" "$srcdir/bench/compare" -x old old
assert_exit 16 "$BASH" "$srcdir/bench/compare" -t five old old
assert_grep '^usage: compare' err
