#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# -z: whatever became of the run, e2undo brings the file system back, every
# byte of it. The run does with an undo file what it does without.

. "${0%/*}/../lib.sh"

need_cmd e2undo e2fsprogs

MIB=$((1 << 20))

# undone ORIGINAL IMAGE [E2UNDO-OPTION...]
undone()
{
	assert_exit 0 e2undo "${@:3}" undo "$2"
	assert_eq "" "$(cat out err)" "what e2undo says"
	cmp "$1" "$2" || fail "e2undo has not brought it back"
}

# no_undo_file: none was left behind.
no_undo_file()
{
	[ ! -e undo ] || fail "an undo file was left behind by: $*"
}

# refused STATUS PATTERN IMAGE UNDO-FILE [ARGUMENT...]
refused()
{
	assert_refused "$1" "$2" "$3" -z "$4" "${@:5}"
}

# full_disk KIB ARGUMENT...: a run with its undo file on so small a file
# system. What is in the undo file is copied to undo.
full_disk()
{
	local size=$1

	shift
	mkdir -p small
	# shellcheck disable=SC2016 # for the inner shell
	unshare -rm sh -c '
		mount -t tmpfs -o size="$1"k none small || exit 99
		shift
		status=0
		"$@" || status=$?
		[ ! -e small/undo ] || cp small/undo undo
		exit $status' sh "$size" "$E4OFFDEFRAG" -z small/undo "$@"
}

# Multi-mount protection lasts long: beside all the rest.
with_mmp()
{
	mkdir mmp
	cd mmp
	cp ../fresh-1k img
	tune2fs -O mmp img >/dev/null
	cp img fresh
	assert_exit 0 "$E4OFFDEFRAG" -z undo img
	assert_clean img
	undone fresh img
	rm undo

	# What another host may be using; and no room for the block itself.
	mkfragmented img 150 -b 4096 -O ^metadata_csum
	tune2fs -O mmp img >/dev/null
	if [ "$has_small" ]; then
		assert_unchanged img assert_exit 8 full_disk 4 -q img
		assert_eq 1 "$(wc -l <err)" "lines about the full disk"
		rm -f undo
	fi
	block=$(debugfs -R dump_mmp img 2>/dev/null |
		sed -n 's/^block_number: //p')
	poke img $((block * 4096 + 4)) '\x50\x4d\x4d\xe2'
	refused 8 "in use by another host" img undo
	no_undo_file "multi-mount protection"
}

full_disk 4 -V >/dev/null 2>&1 && has_small=yes || has_small=

mkfragmented fresh-1k 150 -b 1024
mkfragmented fresh-4k 150 -b 4096
with_mmp &
mmp=$!

# -- kinds of file systems

for options in "-b 1024" "-b 4096" "-b 1024 -O ^metadata_csum,uninit_bg" \
	"-b 4096 -O ^has_journal" "-b 2048 -O ^64bit,meta_bg,^resize_inode"; do
	# shellcheck disable=SC2086
	mkfragmented fresh 150 $options
	cp fresh img
	assert_exit 0 "$E4OFFDEFRAG" --json img
	mv img want
	mv out want.json
	cp fresh img
	assert_exit 0 "$E4OFFDEFRAG" -v --json -z undo img
	cmp want img || fail "$options: another result with -z"
	cmp want.json out || fail "$options: another report with -z"
	assert_grep '^e4offdefrag: this can be undone by: e2undo undo img$' err
	assert_eq 600 "$(stat -c %a undo)" "mode of the undo file"
	assert_clean img
	assert_unchanged undo assert_exit 0 "$E4OFFDEFRAG" -z undo img
	undone fresh img
	rm undo
done
assert_exit 0 "$E4OFFDEFRAG" -z undo want
no_undo_file "a run with nothing to do"

# -- at an offset, also at one that no block boundary knows of

for offset in $MIB 512 32256; do
	head -c $offset /dev/urandom >disk
	cat fresh-4k >>disk
	head -c 5000 /dev/urandom >>disk
	cp disk disk.fresh
	assert_exit 0 "$E4OFFDEFRAG" -z undo "disk?offset=$offset"
	! cmp -s disk disk.fresh || fail "offset $offset: nothing was to do"
	cp disk disk.done
	undone disk.fresh disk
	cp disk.done disk
	undone disk.fresh disk -o $offset
	rm undo
done

# -- a signal: undone, or gone on with by the next run

cp fresh-4k img
measure_run fresh-4k -q

# strike SIGNAL N: at a moment of the run that N draws. Leaves $status.
strike()
{
	local us=$((length * ($2 * 7 % 20 + 1) / 20)) pid

	rm -f undo
	cp fresh-4k img
	"$E4OFFDEFRAG" -q -z undo img 2>err &
	pid=$!
	nap $us
	kill -s "$1" $pid 2>/dev/null || :
	status=0
	{ wait $pid || status=$?; } 2>/dev/null
}

cancelled=0
for ((i = 0; i < 100 && cancelled < 5; i++)); do
	strike INT $i
	if [ $status = 0 ]; then
		missed late
		continue
	fi
	assert_clean img
	if cmp -s img fresh-4k; then
		missed early
		no_undo_file "a run that was cancelled before it wrote"
		continue
	fi
	[ $status = 32 ] || fail "exit status $status after SIGINT"
	cancelled=$((cancelled + 1))
	if ((cancelled % 2)); then
		assert_exit 0 "$E4OFFDEFRAG" -z undo img
		assert_clean img
		assert_exit 0 "$E4OFFDEFRAG" -n img
		assert_grep '^Nothing to do' out
	fi
	undone fresh-4k img
done
assert_eq 5 $cancelled "runs that were cancelled while they wrote"

# -- kill -9: e2undo brings back all but its own mark that e2fsck is due

# without_super FILE prints all bytes but those of the superblock.
without_super()
{
	head -c 1024 "$1"
	tail -c +2049 "$1"
}

killed=0 forced=0 recovered=0
for ((i = 0; i < 200 && killed < 10; i++)); do
	strike KILL $i
	if [ $status = 0 ]; then
		missed late
		continue
	elif cmp -s img fresh-4k; then
		missed early
		continue
	fi
	e2undo -h undo img >header 2>/dev/null || : # always 1
	grep -q '^state:.*0x0$' header || continue
	killed=$((killed + 1))
	cp img recovered
	e2fsck -p recovered >fsck.out 2>&1 || [ $? = 1 ] ||
		fail "$(cat fsck.out)"
	if ! cmp -s img recovered; then
		assert_unchanged recovered assert_exit 1 e2undo undo recovered
		assert_grep "superblock doesn't match" out
		recovered=$((recovered + 1))
	fi
	e2undo undo img >out 2>err && status=0 || status=$?
	if [ $status = 1 ]; then
		# between the superblock and its copy
		assert_grep "superblock doesn't match" out
		forced=$((forced + 1))
		assert_exit 0 e2undo -f undo img
	fi
	assert_eq "Incomplete undo record; run e2fsck." "$(cat err)" "e2undo"
	without_super fresh-4k >want
	without_super img | cmp want - || fail "not brought back after kill -9"
	dumpe2fs -h img >header 2>/dev/null
	grep -q '^Filesystem state: *not clean$' header ||
		fail "e2undo has not asked for e2fsck"
	e2fsck -p img >fsck.out 2>&1 || [ $? = 1 ] || fail "$(cat fsck.out)"
	assert_clean img
	refused 8 "undo file undo was not finished" fresh-4k undo
done
assert_eq 10 $killed "runs that were killed while they wrote"
[ $recovered -gt 0 ] || fail "no run has left anything to recover"
echo "$killed runs killed, $recovered of them with something to recover," \
	"$forced between the superblock and its copy"

# -- no room for the undo file: nothing more is written, and all is clean

rm -f undo
if [ ! "$has_small" ]; then
	echo "full disks were not tested: no tmpfs without root here"
else
	# Full just when the group descriptors and what is near to them in the
	# first step are to be saved: that is before the step is committed.
	cp fresh-4k img
	assert_exit 0 "$E4OFFDEFRAG" -q -z undo img
	e2undo -n -v undo img >out
	gdt=$(sed -n 's/^Replayed block .* from \([0-9]*\) to 1$/\1/p' out)
	[ "$gdt" ] || fail "the group descriptors are not in the undo file"
	for kib in 4 8 12 16 20 40 100 300 1000 3000 5000 $((gdt * 4 - 4)) \
		$((gdt * 4)) $((gdt * 4 + 4)) $((gdt * 4 + 8)); do
		for fresh in fresh-4k fresh-1k; do
			cp $fresh img
			rm -f undo
			assert_exit 8 full_disk $kib -q img
			assert_eq 1 "$(wc -l <err)" "lines about $kib KiB"
			assert_grep 'undo file.*: No space left on device$' err
			assert_clean img
			[ ! -e undo ] || undone $fresh img
			cmp $fresh img || fail "$kib KiB: written, not undone"
		done
	done
	[ -e undo ] || fail "no run has written anything before it was full"
fi

# -- refused, with no file left behind and no byte changed

rm -f undo
ln fresh-4k hard
ln -s fresh-4k soft
mkfifo fifo
head -c 5000 /dev/urandom >text
: >empty
for name in fresh-4k hard soft; do
	refused 8 "undo file $name is what is to be changed itself" \
		fresh-4k $name
done
for name in fifo . /dev/null /dev/full; do
	refused 8 "undo file $name is not a regular file" fresh-4k $name
done
assert_unchanged text refused 8 "undo file text is there and is not an undo" \
	fresh-4k text
refused 8 "cannot open the undo file no/undo: No such file" fresh-4k no/undo
for mode in -c -n; do
	assert_unchanged fresh-4k \
		assert_exit 16 "$E4OFFDEFRAG" $mode -z undo fresh-4k
	assert_grep '^e4offdefrag: -z saves' err
	no_undo_file $mode
done
cp fresh-4k img
fsdebug img "ssv state 0" >/dev/null
refused 8 "was not cleanly unmounted" img undo
no_undo_file "a refused state"
for name in img fifo text no/undo; do
	refused 8 "undo file" img $name -p
done
refused 8 "does not contain" text undo
no_undo_file "what is no file system"
cp fresh-4k img
bitmap=$(debugfs -R stats img 2>/dev/null |
	sed -nE 's/.*block bitmap at ([0-9]+).*/\1/p' | sed 1q)
poke img $((bitmap * 4096 + 900)) '\x01'
assert_unchanged img assert_exit 4 "$E4OFFDEFRAG" -q -z undo img
no_undo_file "an inconsistent file system"

# Of another file system, and of another state of the same one.
cp fresh-4k img
assert_exit 0 "$E4OFFDEFRAG" -z undo img
assert_unchanged undo refused 8 "undo file undo was made for another block" \
	fresh-1k undo
mkfragmented other 150 -b 4096 -L other
assert_unchanged undo refused 8 "undo file undo is of another" other undo
tune2fs -L changed img >/dev/null
assert_unchanged undo refused 8 "undo file undo is of another" img undo

# An empty file is as good as none.
cp fresh-4k img
assert_exit 0 "$E4OFFDEFRAG" -z empty img
mv empty undo
undone fresh-4k img

# -- a file that another tool has begun, and with -p that is e2fsck

rm undo
cp fresh-4k img
tune2fs -z undo -L begun img >/dev/null
assert_exit 0 "$E4OFFDEFRAG" -z undo img
tune2fs -z undo -L ended img >/dev/null
undone fresh-4k img

for damage in "ssv state 0" jo; do
	rm undo
	cp fresh-1k img
	if [ "$damage" = jo ]; then
		dd if=img of=block bs=1024 skip=1 count=1 status=none
		fsdebug img jo "jw -b 1 block" jc >/dev/null
	else
		fsdebug img "$damage" >/dev/null
	fi
	cp img dirty
	assert_exit 0 "$E4OFFDEFRAG" -p -z undo img
	assert_clean img
	! cmp -s img dirty || fail "nothing was done after: $damage"
	undone dirty img
done

# -- -z '': the directory is the environment's

rm undo
mkdir dir
cp fresh-4k img
for dir in "" none; do
	E2FSPROGS_UNDO_DIR=$dir assert_unchanged img \
		assert_exit 16 "$E4OFFDEFRAG" -z '' img
done
export E2FSPROGS_UNDO_DIR=$PWD/dir
name=dir/e4offdefrag-img.e2undo
assert_exit 0 "$E4OFFDEFRAG" -z '' ./img
ln $name undo
assert_unchanged $name assert_exit 0 "$E4OFFDEFRAG" -z '' img
undone fresh-4k img
# What does not fit any more is replaced, and only an undo file is.
tune2fs -L changed img >/dev/null
cp img changed
assert_exit 0 "$E4OFFDEFRAG" -z '' img
mv $name undo
undone changed img
name=dir/e4offdefrag-changed.e2undo
cp text $name
assert_unchanged $name refused 8 "is there and is not an undo file" changed ''
E2FSPROGS_UNDO_DIR=no refused 8 "cannot open the undo file no/" changed ''

wait $mmp || fail "the part about multi-mount protection failed"
