#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is wrong on the command line is told in one line and a short usage,
# with exit status 16; a target that cannot be used is exit status 8. Neither
# touches the image.

. "${0%/*}/../lib.sh"

mkimg img 8M
sum=$(sha256sum <img)

# refused STATUS PATTERN ARGUMENT...
refused()
{
	local status=$1 pattern=$2

	shift 2
	assert_exit "$status" "$E4OFFDEFRAG" "$@"
	assert_eq "" "$(cat out)" "standard output of: $*"
	assert_eq "e4offdefrag: " "$(head -c 13 err)" "message for: $*"
	[[ $(sed 1q err) =~ $pattern ]] || {
		cat err >&2
		fail "the message for '$*' does not match: $pattern"
	}
	if [ "$status" = 16 ]; then
		assert_grep '^Usage: e4offdefrag \[' err
	else
		assert_eq 1 "$(wc -l <err)" "lines of the message for: $*"
	fi
	assert_eq "$sum" "$(sha256sum <img)" "wrote to the image: $*"
}

# -- options

refused 16 "no device or image"
refused 16 "no device or image" -c
refused 16 "more than one" img img
refused 16 "empty" ""
refused 16 "invalid option.*Z" -Z img
refused 16 "--no-such" --no-such img
refused 16 "--json" --json=yes img
refused 16 "requires an argument" --max-write
for size in 0 -1 x 1X 1KK 99999999999999999999 9999999999T ""; do
	refused 16 "not a size" "--max-write=$size" img
	refused 16 "not a size" --good-run "$size" img
done
for size in "" x 1kk 8388608T 99999999999999999999; do
	refused 16 "--memory: '$size' is not a size" "--memory=$size" img
done
for size in 0 1 1M 16777215; do
	refused 16 "--memory: less than 16M is not enough" "--memory=$size" img
done
refused 16 "-c makes no plan" -c --memory=1G img
refused 16 "-c makes no plan" -c --compact img
refused 16 "-c makes no plan" -c --max-write=1G img
refused 16 "exclude each other" --perfect --good-run=1M img
refused 16 "--compact moves all" --compact --perfect img
refused 16 "--compact moves all" --compact --max-write=1M img
refused 16 "--compact moves everything" --compact --path=/ img
refused 16 "--compact moves everything" --compact --min-runs=2 img
refused 16 "--compact moves everything" --compact --order=list --order-at=5 img
refused 16 "exclude each other" --compact --optimize img
refused 16 "--sort is for --optimize" --sort=name img
refused 16 "--order-at is for --order" --order-at=5 img
refused 16 "--time cannot be planned" -n --time=5 img
refused 16 "--rate is for -n" --rate=1M img
for option in --time=1 --optimize --order=list --good-run=1M --perfect; do
	refused 16 "-c makes no plan" -c $option img
done
for sort in "" names READDIR 0; do
	refused 16 "--sort: '$sort' is none of" --optimize "--sort=$sort" img
done
refused 16 "--directories is for --optimize" --directories=inline img
refused 16 "--directories is for --optimize" --compact --directories=together img
refused 16 "-c makes no plan" -c --directories=inline img
for place in "" in INLINE inline, front; do
	refused 16 "--directories: '$place' is neither together nor inline" \
		--optimize "--directories=$place" img
done
refused 16 "--directories.*requires an argument" --optimize img --directories
for n in "" -1 x 1.5 100 1k; do
	refused 16 "--order-at: '$n' is not a number" --order=list \
		"--order-at=$n" img
done
for n in "" -1 x 1k 4294967296; do
	refused 16 "--min-runs: '$n' is not a number" "--min-runs=$n" img
	refused 16 "--time: '$n' is not a number" "--time=$n" img
done
for size in "" -1 x 1kk 1P 1KiB 8388608T 99999999999999999999; do
	refused 16 "--min-size: '$size' is not a size" "--min-size=$size" img
	refused 16 "--rate: '$size' is not a size" -n "--rate=$size" img
done
refused 16 "--rate: '0' is not a size" -n --rate=0 img
refused 16 "--path: the name is empty" --path= img
refused 16 "--exclude: the name is empty" --exclude "" img
refused 16 "--order.*requires an argument" img --order
refused 8 "list no-list cannot be read" --order=no-list img
refused 16 "ambiguous" --ver img
refused 16 "requires an argument.*C" img -C
refused 16 "requires an argument.*E" img -E
refused 16 "requires an argument.*z" img -z
refused 16 "-z saves" -c -z undo img
refused 16 "-z saves" -z undo -n img
refused 16 "-c and -n" -c -n img
refused 16 "-p" -c -p img
refused 16 "-p" -n -p img
refused 16 "-q and -v" -qv img

# -- file descriptors

for fd in "" x -1 1x 2147483648 99999999999999999999; do
	refused 16 "'$fd' is not a file descriptor" -C "$fd" img
done
exec 7>&-
refused 16 "descriptor 7" -C 7 img
exec 7<img
refused 16 "descriptor 7" -C 7 img
exec 7<&-
refused 16 "standard output" --json -C 1 img

# -- extended options and offsets

for word in "" foo offset offse=1 xoffset=1 "offset=0,foo" "offset=0,"; do
	refused 16 "unknown extended option" -E "$word" img
done
for bytes in "" x -1 +1 " 1" "1 " 1k 0x10 1.0 9223372036854775808 \
	18446744073709551616 99999999999999999999999; do
	refused 16 "not an offset" -E "offset=$bytes" img
	refused 16 "not an offset" "img?offset=$bytes"
done
refused 16 "two different offsets" -E offset=1024 "img?offset=2048"
refused 16 "two different offsets" -E offset=1024,offset=2048 img
refused 16 "empty" "?offset=0"

# -- targets

mkdir dir
: >empty
head -c 1 img >one
refused 8 no-such no-such
refused 8 no-such "no-such?offset=0"
refused 8 dir dir
refused 8 empty empty
refused 8 one one
refused 8 /dev/null /dev/null
refused 8 img -E offset=8388608 img
refused 8 img "img?offset=9223372036854775807"
refused 8 img "img?offset=1024"

# -- what is right

truncate -s 1M shifted
cat img >>shifted
# Without a suffix the name of a file that exists counts as it is.
cp img "img?offset=1"
for args in "-c img" "-c -- img" "img -c" "-qc img" "-c -E offset=0 img" \
	"-c img?offset=0" "-c -E offset=1048576 shifted" \
	"-c shifted?offset=1048576" "-c img?offset=1" \
	"-c -E offset=1048576,offset=1048576 shifted?offset=1048576" \
	"-c --path / --min-size=1M --min-runs 2 --exclude=x --exclude y img" \
	"-n --max-write=1T --good-run 64k --rate=100m img" \
	"-n --memory=16M img" "-n --memory=8388607T img" \
	"-n --optimize --sort size img" "-n --min-size=0 --perfect img"; do
	# shellcheck disable=SC2086
	assert_exit 0 "$E4OFFDEFRAG" $args
	assert_eq "" "$(cat err)" "messages for: $args"
done
assert_eq "$sum" "$(sha256sum <img)" "-c wrote to the image"
