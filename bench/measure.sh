# SPDX-License-Identifier: GPL-2.0-or-later
# How bench/run measures (bash, after scripts/common.sh).
#
# Whoever is measured works on loop devices with direct I/O, so that the cache
# of the host has no part in it, and so that each device counts the requests of
# one contender alone: those of /sys/block/loopN/stat, after merging.
#
# A measured figure is a line of tab-separated fields in $tmp/figures:
#
#	group image bytes what round name value
#
# bench/rows.jq makes medians of them.

export LC_ALL=C

group='' image='' bytes=0 what='' round=0 # of the figures that come next
loops=() mounts=()

release()
{
	local dir dev

	for dir in "${mounts[@]}"; do
		umount "$dir" 2>/dev/null || :
	done
	for dev in "${loops[@]}"; do
		losetup -d "$dev" 2>/dev/null || :
	done
}

# put NAME VALUE
put()
{
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$group" "$image" "$bytes" \
		"$what" "$round" "$1" "$2" >>"$tmp/figures"
}

# attach FILE: leaves the device in $dev
attach()
{
	dev=$(losetup -f --show --direct-io=on "$1")
	loops+=("$dev")
}

# detach DEVICE...: returns when they are gone
detach()
{
	local one kept=() i

	for one; do
		[ -n "$one" ] || continue
		for ((i = 0; i < 100; i++)); do
			losetup -d "$one" 2>/dev/null || :
			losetup "$one" >/dev/null 2>&1 || break
			sleep 0.1
		done
	done
	for one in "${loops[@]}"; do
		[[ " $* " == *" $one "* ]] || kept+=("$one")
	done
	loops=("${kept[@]}")
}

# attach_mount DEVICE DIRECTORY [OPTION]
attach_mount()
{
	mkdir -p "$2"
	[[ " ${mounts[*]} " == *" $2 "* ]] || mounts+=("$2")
	run mount -o "noatime${3:+,$3}" "$1" "$2"
}

cold()
{
	run sync
	echo 3 >/proc/sys/vm/drop_caches
}

# counters DEVICE...: requests and sectors read, the same written, flushes
counters()
{
	local one

	for one; do
		cat "/sys/block/${one#/dev/}/stat"
	done | awk '{ a += $1; b += $3; c += $5; d += $7; e += $16 }
		END { printf "%.0f %.0f %.0f %.0f %.0f\n",
			a, b, c, d, e }'
}

# used COMMAND...
# Runs it, and adds its CPU seconds and peak memory to the figures.
used()
{
	run /usr/bin/time -q -o "$tmp/time" -f '%U %S %M' "$@" \
		>"$tmp/out" 2>"$tmp/err"
}

# measure FUNCTION DEVICE...
# Cold cache; the time until all is on the disk.  Returns the function's status,
# after a note of its last message if that is not 0.
measure()
{
	local function=$1 start end before status=0

	shift
	: >"$tmp/time"
	: >"$tmp/err"
	cold
	before=$(counters "$@")
	start=$EPOCHREALTIME
	$function || status=$?
	run sync "$@"
	end=$EPOCHREALTIME
	if [ $status != 0 ]; then
		put note "status $status: $(tail -n 1 "$tmp/err" |
			sed 's/.*: //')"
		return $status
	fi
	put wall "$(awk "BEGIN { printf \"%.3f\", $end - $start }")"
	tail -n 1 "$tmp/time" >"$tmp/usage"
	if read -r user system peak <"$tmp/usage"; then
		put cpu "$(awk "BEGIN { print $user + $system }")"
		put peak_kib "$peak"
	fi
	put_counters "$before" "$(counters "$@")"
}

# put_counters BEFORE AFTER
put_counters()
{
	local name value

	# shellcheck disable=SC2086 # words
	printf '%s %s %s %s %s %s %s %s %s %s\n' $1 $2 | awk '{
		printf "read_requests %.0f\n", $6 - $1
		printf "read_bytes %.0f\n", ($7 - $2) * 512
		printf "write_requests %.0f\n", $8 - $3
		printf "write_bytes %.0f\n", ($9 - $4) * 512
		printf "flushes %.0f\n", $10 - $5
	}' >"$tmp/counted"
	while read -r name value; do
		put "$name" "$value"
	done <"$tmp/counted"
}

# ---- how good a result is

# quality TARGET: of an ext2/3/4 image, as -c has it
quality()
{
	local name value

	"$tool" -c --json "$1" >"$tmp/quality"
	jq -r '.before | "excess_runs \(.runs - .ideal_runs)",
		"fragmented_files \(.fragmented_files)",
		"free_runs \(.free_runs)"' "$tmp/quality" >"$tmp/counted"
	while read -r name value; do
		put "$name" "$value"
	done <"$tmp/counted"
}

# quality_xfs DEVICE: the same of an XFS, as filefrag and xfs_db have it
quality_xfs()
{
	local dir=$tmp/mnt-quality

	attach_mount "$1" "$dir" ro
	find "$dir" -type f -print0 | xargs -0 filefrag >"$tmp/frag" 2>&1
	umount "$dir"
	awk '$(NF - 2) > 1 { excess += $(NF - 2) - 1; n++ }
		END { print n + 0, excess + 0 }' "$tmp/frag" >"$tmp/counted"
	read -r fragmented excess <"$tmp/counted"
	put excess_runs "$excess"
	put fragmented_files "$fragmented"
	put free_runs "$(xfs_db -r -c 'freesp -s' "$1" |
		sed -n 's/^total free extents //p')"
}

# ---- what is fragmented

# fragmented_ranges FILE >LIST, for rawscan: joined, and cut at 1 MiB
fragmented_ranges()
{
	"$tools/imglayout" -f "$1" | {
		read -r size
		echo "$size"
		sort -n | awk -v most=$((1048576 / size)) '
			function out() { if (len) print at, len }
			{
				for (n = $2; n; n -= take) {
					if (!len || $1 != at + len ||
					    len == most) {
						out()
						at = $1
						len = 0
					}
					take = most - len < n ? most - len : n
					len += take
					$1 += take
				}
			}
			END { out() }'
	}
}

# fragmented_xfs DIRECTORY: bytes in files of more than one extent
fragmented_xfs()
{
	find "$1" -type f -print0 | xargs -0 filefrag |
		sed -nE 's/(.*): ([2-9]|[0-9]{2,}) extents found$/\1/p' |
		xargs -rd '\n' stat -c '%b %B' |
		awk '{ n += $1 * $2 } END { printf "%.0f\n", n }'
}
