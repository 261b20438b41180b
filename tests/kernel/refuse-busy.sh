#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is mounted, attached or in use is refused, and not written to; a loop
# device that nobody uses is as good as the image.

. "${0%/*}/../lib.sh"

skip_without_mount
need_cmd perl perl-base
need_cmd setpriv util-linux

MIB=$((1 << 20))

# refused PATTERN TARGET... : each of them, however it is asked for
refused()
{
	local pattern=$1 mode

	shift
	for target; do
		for mode in -v -c -n -p; do
			assert_refused 8 "$pattern" "$target" $mode
		done
	done
}

# as_nobody COMMAND...
as_nobody()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

mkimg fresh 16M -b 1024
"$TOOLS/fragment" -s 1 -f 200 -p 60 fresh
digest fresh >want
cp fresh alone
assert_exit 0 "$E4OFFDEFRAG" alone
cp fresh img
ln -s img link
ln img hard
mkdir -p mnt

# -- mounted, by mount(8) or by hand

for option in ro rw; do
	mount -o loop,$option img mnt
	sync
	loop=$(losetup -n -O NAME -j img)
	refused "is mounted on .*/mnt; unmount it" "$loop"
	refused "is mounted on .*/mnt; unmount it\|attached to $loop; detach" \
		img link hard
	# A mount below another directory, too.
	mkdir -p other
	mount --bind mnt other
	umount mnt
	refused "is mounted on .*/other; unmount it" "$loop"
	unmount other
	cp fresh img
done

# -- attached, but not mounted

attach img
refused "is attached to $loop; detach it" \
	img link hard
assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" -c "$loop"
assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" -n "$loop"

# -- the loop device in use: claimed, locked, or by another run

perl -e 'use Fcntl; sysopen(F, $ARGV[0], O_RDONLY | O_EXCL) or die "$!";
	open(R, ">", "claimed"); sleep' "$loop" &
claimer=$!
wait_until [ -e claimed ]
refused "$loop is in use by another program; end that" "$loop"
kill $claimer
wait $claimer || :
exec 9<"$loop"
flock 9
refused "$loop is in use by another program; end that" "$loop"
flock -u 9
flock -s 9
refused "$loop is in use by another program; end that" "$loop"
exec 9<&-

hold_run "$loop"
refused "$loop is in use by another program; end that" "$loop"
refused ".* is attached to $loop" img
kill -STOP "$held"
refused "$loop is in use by another program; end that" "$loop"
kill -CONT "$held"
finish_run 0
cmp img alone || fail "$loop: other than the run on the image"
assert_exit 0 "$E4OFFDEFRAG" "$loop"
detach "$loop"
cmp img alone || fail "the second run changed something"
mount -o loop,ro img mnt
unmount mnt

# -- a device that is too short, or read-only

cp fresh img
attach --sizelimit $((15 * MIB)) img
refused "shorter than its file system" "$loop"
detach "$loop"
attach -r img
for mode in -v -p; do
	assert_refused 8 "cannot open $loop: " "$loop" $mode
done
for mode in -c -n; do
	assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" $mode "$loop"
done
detach "$loop"

# -- a partition, and the whole disk

if command -v sfdisk >/dev/null; then
	truncate -s 40M disk
	printf '%s\n' "label: gpt" "start=4096, size=32768" \
		"start=40960, size=32768" | sfdisk -q disk
	dd if=fresh of=disk bs=1M seek=2 conv=notrunc status=none
	dd if=fresh of=disk bs=1M seek=20 conv=notrunc status=none
	attach -o $((2 * MIB)) --sizelimit $((16 * MIB)) disk
	refused "disk is attached to $loop" "disk?offset=$((20 * MIB))"
	assert_exit 0 "$E4OFFDEFRAG" "$loop"
	detach "$loop"
	dd if=disk bs=1M skip=2 count=16 status=none | cmp alone - ||
		fail "behind losetup -o: other than alone"
	attach disk
	refused "partition table (gpt)" "$loop"
	assert_exit 0 "$E4OFFDEFRAG" -E offset=$((20 * MIB)) "$loop"
	detach "$loop"
	dd if=disk bs=1M skip=20 count=16 status=none | cmp alone - ||
		fail "at an offset of $loop: other than alone"
else
	echo "partitions: not tried, needs sfdisk (Debian: fdisk)"
fi

# -- an image that another program has open; file systems without leases
# (fcntl(2)) cannot tell

case $(stat -f -c %T .) in
ext2/ext3 | tmpfs | xfs | btrfs | f2fs)
	for how in '9<img' '9>>img' '9<>img'; do
		eval "exec $how"
		refused "is in use by another program; end that" \
			img link hard
		exec 9<&-
	done
	;;
*)
	echo "images open elsewhere: not tried on $(stat -f -c %T .)"
	;;
esac
assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" -c img

# Locks are seen everywhere; by those too who may not have leases.
chmod 755 .
cp fresh theirs
chmod 666 theirs
assert_exit 0 as_nobody "$E4OFFDEFRAG" -n theirs
for how in "-s" "-x"; do
	exec 9<theirs
	flock $how 9
	for mode in -v -c -n; do
		assert_unchanged theirs \
			assert_exit 8 as_nobody "$E4OFFDEFRAG" $mode theirs
		assert_grep "theirs is in use by another program" err
	done
	exec 9<&-
done
if command -v qemu-io >/dev/null; then
	mkfifo commands
	qemu-io -f raw theirs <commands >qemu.out 2>&1 &
	qemu=$!
	exec 9>commands
	echo "length" >&9
	wait_until grep -q MiB qemu.out
	for mode in -v -n; do
		assert_unchanged theirs \
			assert_exit 8 as_nobody "$E4OFFDEFRAG" $mode theirs
		assert_grep "theirs is in use by another program" err
	done
	exec 9>&-
	wait $qemu
else
	echo "qemu's locks: not tried, needs qemu-io (Debian: qemu-utils)"
fi

# -- two runs

hold_run img
refused "is in use by another program; end that" img link hard
if command -v qemu-io >/dev/null; then
	! qemu-io -f raw -c length img >qemu.out 2>&1 ||
		fail "qemu opens an image that is being written"
	assert_grep 'lock' qemu.out
fi
finish_run 0
cmp img alone || fail "the run that was held: other than alone"

# -- without root, on an image of one's own

assert_exit 0 as_nobody "$E4OFFDEFRAG" theirs
cmp theirs alone || fail "without root: other than alone"
cp fresh theirs
chmod 644 theirs
for mode in -v -p; do
	assert_unchanged theirs \
		assert_exit 8 as_nobody "$E4OFFDEFRAG" $mode theirs
	assert_grep "cannot open theirs: Permission denied" err
done
assert_unchanged theirs assert_exit 0 as_nobody "$E4OFFDEFRAG" -n theirs
