#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file system that is ext2/3/4 but not fit for a run is refused: cut off,
# with features that are not supported, in need of e2fsck, hibernated, or
# with a damaged journal. One line says why and what to do; nothing is
# written. With -p e2fsck does what it can first.

. "${0%/*}/../lib.sh"

# refused STATUS PATTERN MODE...
refused()
{
	local status=$1 pattern=$2 mode

	shift 2
	for mode; do
		assert_refused "$status" "img .*$pattern" img "$mode"
	done
}

# accepted MODE...
accepted()
{
	local mode

	for mode; do
		assert_exit 0 "$E4OFFDEFRAG" "$mode" img
	done
}

# le FILE OFFSET BYTES and be FILE OFFSET BYTES print a number.
le()
{
	od -An --endian=little -tu"$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

be()
{
	od -An --endian=big -tu"$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

mkimg fresh 12M -b 1024
head -c 60000 /dev/urandom >data
fsdebug fresh "write data file" >/dev/null
cp fresh img
accepted -c -n -v
assert_clean img

# -- cut off

for bytes in 1 1024 4194304; do
	cp fresh img
	truncate -s -$bytes img
	refused 8 "shorter than its file system (12288 blocks of 1024 bytes)" \
		-v -c -n -p
done
cp fresh img
truncate -s 2047 img
refused 8 "" -v -c -n -p
{
	head -c 1048576 /dev/zero
	head -c -1024 fresh
} >shifted
for mode in -v -c -n -p; do
	assert_refused 8 "shorter than its file system" \
		"shifted?offset=1048576" $mode
done

# -- features

# set_bit FIELD OFFSET BIT
set_bit()
{
	cp fresh img
	fsdebug img "ssv $1 $(($(le fresh "$2" 4) | 1 << $3))" >/dev/null
}

# refuse_bits FIELD OFFSET LETTER SUPPORTED-BIT...
refuse_bits()
{
	local field=$1 offset=$2 letter=$3 bit count=0

	shift 3
	for bit in {0..31}; do
		[[ " $* " = *" $bit "* ]] && continue
		set_bit "$field" "$offset" "$bit"
		refused 8 "has the feature [-a-zA-Z_0-9]*, which is not" -v
		count=$((count + 1))
	done
	assert_eq 32 $((count + $#)) "bits of $field"
	assert_grep "FEATURE_${letter}31" err
	refused 8 "has the feature FEATURE_${letter}31, which is not" -c -n -p
}

refuse_bits feature_compat $((1024 + 92)) C 0 2 3 4 5 9 10 11 12
refuse_bits feature_incompat $((1024 + 96)) I 1 2 4 6 7 8 9 10 13 14 15 16 17
refuse_bits feature_ro_compat $((1024 + 100)) R 0 1 3 4 5 6 8 9 10 13 15 16

set_bit feature_ro_compat $((1024 + 100)) 14
refused 8 "has the feature shared_blocks, which is not" -v -c -n -p
set_bit feature_ro_compat $((1024 + 100)) 12
refused 8 "has the feature read-only, .*forbidden" -v -c -n -p
mkimg img 12M -O journal_dev
refused 8 "has the feature journal_dev, .*external journal" -v -c -n -p
cp fresh img
fsdebug img "ssv rev_level 2" >/dev/null
refused 8 "has revision 2, which is not supported" -v -c -n -p

# -- the superblock itself

cp fresh img
poke img $((1024 + 120)) X # the label
assert_refused 4 "img: the superblock's checksum is wrong; run e2fsck -f" img
for mode in -c -n -p; do
	assert_refused 4 "img: the superblock's checksum" img $mode
done

# -- marks of e2fsck and of the kernel

# fixed_by_p: with -p the run is done, and the files are what they were.
fixed_by_p()
{
	assert_exit 0 "$E4OFFDEFRAG" -p img
	assert_clean img
	digest fresh >want
	digest img | cmp want - || fail "other files after -p"
	assert_exit 0 "$E4OFFDEFRAG" img
}

for state in 2 3; do
	cp fresh img
	fsdebug img "ssv state $state" >/dev/null
	refused 8 "is marked as having errors; run e2fsck -f" -v -c -n
	fixed_by_p
done
cp fresh img
fsdebug img "ssv state 0" >/dev/null
refused 8 "was not cleanly unmounted; run e2fsck -p" -v -c -n
fixed_by_p

# An orphan: an inode without a name, to be truncated or deleted.
cp fresh img
fsdebug img "write data gone" >/dev/null
ino=$(fsdebug img "stat gone" | sed -n 's/^Inode: \([0-9]*\) .*/\1/p')
fsdebug img "unlink gone" "sif <$ino> links_count 0" "sif <$ino> dtime 0" \
	"ssv last_orphan $ino" >/dev/null
refused 8 "orphaned inodes to clean up; run e2fsck -p" -v -c -n
assert_exit 0 "$E4OFFDEFRAG" -p img
assert_clean img
debugfs -R "stat <$ino>" img 2>/dev/null | grep -q '^ *dtime: 0x[0-9a-f]*[1-9a-f]' ||
	fail "the orphan was not deleted"

mkimg fresh.orphan 12M -b 1024 -O orphan_file
cp fresh.orphan img
accepted -c -n -v
fsdebug img "feature orphan_present" >/dev/null
refused 8 "orphaned inodes to clean up; run e2fsck -p" -v -c -n
assert_exit 0 "$E4OFFDEFRAG" -p img
assert_clean img

# -- the journal

journal=$(($(debugfs -R "bmap <8> 0" fresh 2>/dev/null) * 1024))
assert_eq $((0xc03b3998)) "$(be fresh $journal 4)" "the journal's magic number"

cp fresh img
poke img $((journal + 28)) '\0\0\0\1' # s_start
refused 8 "journal .*although .*; run e2fsck -f" -v -c -n -p
e2fsck -fy img >fsck.out 2>&1 || :
fixed_by_p

cp fresh img
poke img $((journal + 32)) '\xff\xff\xff\xfb' # s_errno
refused 8 "error .*in its journal; run e2fsck -f" -v -c -n
fixed_by_p

# An external journal that is not there, or another file in its place.
mkimg img 12M -b 1024 -O ^has_journal
fsdebug img "feature has_journal" "ssv journal_dev 0x0801" \
	"ssv journal_uuid 5a3f6d70-1d2c-4e9b-8a51-0e4f0ff5e701" >/dev/null
refused 8 "journal on another device, UUID 5a3f6d70-1d2c-4e9b-8a51-0e4f0ff5e701\
, which cannot be found; name it with -j" -v -n -p
accepted -c
for mode in -jnone -njnone; do
	assert_refused 8 "cannot read the journal none: No such file" img $mode
	assert_refused 8 "fresh is not the journal of img" img ${mode%none}fresh
done
mkimg log 4M -b 1024 -O journal_dev
fsdebug img "ssv journal_uuid 5a3f6d70-1d2c-4e9b-8a51-0e4f0ff5e700" >/dev/null
accepted -jlog -njlog
poke log $((2048 + 28)) '\0\0\0\1' # s_start
refused 8 "journal with data, .*; run e2fsck -f" -jlog -njlog
poke log $((2048 + 28)) '\0\0\0\0\xff\xff\xff\xfb' # s_errno
refused 8 "error recorded in its journal; run e2fsck -f" -jlog -njlog

# jsb OFFSET BYTES PATTERN [OFFSET BYTES]: changes to the journal's superblock.
# It is looked at behind the report, which does not need it and is there all
# the same.
jsb()
{
	cp fresh img
	poke img $((journal + $1)) "$2"
	[ $# = 3 ] || poke img $((journal + $4)) "$5"
	for mode in -q -nq -pq; do
		assert_refused 8 "$3" img $mode
	done
	accepted -c
}

jsb 4 '\0\0\0\7' "journal's superblock is damaged (.*type); run e2fsck -f"
jsb 0 '\0\0\0\0' "journal's superblock is damaged (.*magic.*); run e2fsck -f"
jsb 12 '\0\0\x10\0' "journal's superblock is damaged (block size)"
jsb 16 '\0\x10\0\0' "journal's superblock is damaged (length)"
jsb 20 '\0\0\0\0' "journal's superblock is damaged (length)"
jsb 36 '\0\0\0\2' "journal has a feature that is not supported"
jsb 40 '\0\0\0\x40' "journal has a feature that is not supported"
jsb 40 '\0\0\0\x18' "journal's superblock is damaged (two kinds of checksum)"
jsb 40 '\0\0\0\x10' "journal's superblock is damaged (checksum)"
jsb 40 '\0\0\0\x10' "journal's superblock is damaged (checksum)" 80 '\4'
jsb 44 '\0\0\0\1' "journal has a feature that is not supported"
jsb 64 '\0\0\0\2' "journal has a feature that is not supported"
# One block less than the log, by the size of its inode: the kernel would not
# replay that. The tests of e2fsck are in refuse-corrupt.sh.
cp fresh img
fsdebug img "sif <8> size $((1024 * 1023))" >/dev/null
for mode in -q -nq -pq; do
	assert_refused 8 "journal's superblock is damaged (length)" img $mode
done
cp fresh img
fsdebug img "sif <8> block[4] 0" "sif <8> block[5] 0" >/dev/null
for mode in -v -c -n -p; do
	assert_exit 4 "$E4OFFDEFRAG" $mode img
done

# -- a journal that waits: one block of a file is right only in there

# waiting FILE makes a copy of fresh with it.
waiting()
{
	local block

	block=$(debugfs -R "bmap file 7" fresh 2>/dev/null)
	cp fresh "$1"
	dd if=fresh of=block bs=1024 skip="$block" count=1 status=none
	poke "$1" $((block * 1024)) 'not this'
	fsdebug "$1" jo "jw -b $block block" jc >/dev/null
}

waiting dirty
digest fresh >want
! digest dirty | cmp -s want - || fail "nothing is left to the journal"
cp dirty img
refused 8 "journal that must be replayed; run e2fsck -p" -v -c -n
fixed_by_p
debugfs -R "cat file" img 2>/dev/null | cmp data - || fail "a lost write"

# Behind an offset e2fsck would replay it, and then go on where there is none.
head -c 1048576 /dev/urandom >pad
cat pad dirty pad >shifted
for mode in -v -c -n -p; do
	assert_refused 8 "journal .*offset; .*losetup -o" \
		"shifted?offset=1048576" $mode
done
# What is not in the journal e2fsck repairs there too.
cp fresh img
fsdebug img "ssv state 0" >/dev/null
cat pad img pad >shifted
assert_exit 0 "$E4OFFDEFRAG" -p -E offset=1048576 shifted
dd if=shifted of=img bs=1M skip=1 count=12 status=none
accepted -v
assert_clean img
digest img | cmp want - || fail "other files after -p at an offset"
head -c 1048576 shifted | cmp pad - || fail "wrote in front"
tail -c 1048576 shifted | cmp pad - || fail "wrote behind"

# Names that mean something else to e2fsck.
cp dirty other
for name in "LABEL=dirty" "-n" "UUID=5a3f6d70-1d2c-4e9b-8a51-0e4f0ff5e700" \
	"a b" "other?x=1" "other?offset=1?"; do
	cp dirty ./"$name"
	assert_unchanged other assert_exit 0 "$E4OFFDEFRAG" -p -- "$name"
	mv ./"$name" img
	assert_clean img
	digest img | cmp want - || fail "other files after -p in $name"
done
# -- what e2fsck -p cannot do

cp fresh img
fsdebug img "ssv state 0" "sif file block[5] 99999" >/dev/null
assert_exit 8 "$E4OFFDEFRAG" -p img
assert_grep '^e4offdefrag: e2fsck -p could not repair img; run e2fsck' err
cp dirty img
assert_unchanged img assert_exit 8 env PATH=/nowhere "$E4OFFDEFRAG" -p img
assert_grep '^e4offdefrag: .*e2fsck' err
# It is not called without need, and not for what is damaged.
cp fresh img
PATH=/nowhere accepted -p
fsdebug img "freeb $(debugfs -R "bmap file 3" fresh 2>/dev/null)" >/dev/null
assert_unchanged img assert_exit 4 "$E4OFFDEFRAG" -p img

# -- a hibernated system

# swap SIGNATURE PAGE-BYTES makes a swap file as swapon and s2disk leave it.
swap()
{
	head -c 131072 /dev/zero | tr '\0' x >swap
	poke swap $(($2 - 10)) "$1"
}

for mapping in extent ^extent,^64bit; do
	mkimg empty 12M -b 1024 -O "$mapping"
	for page in 4096 16384 65536; do
		for sign in S1SUSPEND S2SUSPEND ULSUSPEND LINHIB0001; do
			swap $sign $page
			cp empty img
			fsdebug img "write swap swap" >/dev/null
			assert_refused 8 "hibernated system; resume" img
		done
		for mode in -c -n -p; do
			assert_refused 8 "hibernated system; resume" img $mode
		done
		swap SWAPSPACE2 $page
		cp empty img
		fsdebug img "write swap swap" >/dev/null
		accepted -c -n -v
	done
done
# The same bytes elsewhere are just bytes.
swap S1SUSPEND 8192
cp empty img
fsdebug img "write swap swap" >/dev/null
accepted -c -n -v
