#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file system inside of a partitioned image: the run does there what it does
# to the file system alone, and nothing outside of it changes.

. "${0%/*}/../lib.sh"

need_cmd sfdisk fdisk

MIB=$((1 << 20))

# part N SIZE-IN-MIB: what lies there.
part()
{
	dd if=disk bs=1M skip="$1" count="$2" status=none
}

# outside prints all the rest.
outside()
{
	part 0 2
	part 18 2
	part 44 4
}

mkimg one 16M -b 1024
"$TOOLS/fragment" -s 1 -f 200 -p 60 one
mkimg two 24M -b 4096
"$TOOLS/fragment" -s 2 -f 200 -p 60 two
for i in one two; do
	cp $i $i.alone
	assert_exit 0 "$E4OFFDEFRAG" $i.alone
	! cmp -s $i $i.alone || fail "$i: nothing was to do"
done

for label in gpt dos; do
	head -c $((48 * MIB)) /dev/urandom >disk
	printf '%s\n' "label: $label" "unit: sectors" \
		"start=2048, size=2048" "start=4096, size=32768" \
		"start=40960, size=49152" | sfdisk -q --wipe always disk
	dd if=one of=disk bs=1M seek=2 conv=notrunc status=none
	dd if=two of=disk bs=1M seek=20 conv=notrunc status=none
	outside >before

	assert_refused 8 "partition table ($label)" disk
	for mode in -c -n; do
		assert_unchanged disk assert_exit 0 "$E4OFFDEFRAG" $mode \
			"disk?offset=$((2 * MIB))"
		assert_unchanged disk assert_exit 0 "$E4OFFDEFRAG" $mode \
			-E offset=$((20 * MIB)) disk
	done
	assert_exit 0 "$E4OFFDEFRAG" "disk?offset=$((2 * MIB))"
	part 2 16 | cmp one.alone - || fail "$label: other than alone"
	part 20 24 | cmp two - || fail "$label: changed another partition"
	assert_exit 0 "$E4OFFDEFRAG" --verify -E offset=$((20 * MIB)) disk
	part 20 24 | cmp two.alone - || fail "$label: other than alone"
	part 2 16 | cmp one.alone - || fail "$label: changed another partition"
	outside | cmp before - || fail "$label: wrote outside the partitions"
done

# At an offset that no block boundary knows of, and the last block counts.
{
	head -c 512 /dev/urandom
	cat two
} >disk
assert_exit 0 "$E4OFFDEFRAG" "disk?offset=512"
tail -c +513 disk | cmp two.alone - || fail "offset 512: other than alone"
truncate -s -1 disk
assert_refused 8 "shorter than its file system" "disk?offset=512"
# One more sector in front of another file system: not this one.
assert_refused 8 "does not contain" "disk?offset=1024"
