#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A run and each of the stock tools on the same file system, in both orders.
# On a device the second one is refused, where the tool asks at all; on an
# image file no tool but qemu asks, and the manual page says so.

. "${0%/*}/../lib.sh"

skip_without_mount
need_cmd perl perl-base

mkimg fresh 16M -b 1024
"$TOOLS/fragment" -s 1 -f 200 -p 60 fresh
digest fresh >want
cp fresh alone
assert_exit 0 "$E4OFFDEFRAG" alone
mkdir mnt

# A tool that is refused changes nothing and says so.
# refuses PATTERN COMMAND...
refuses()
{
	local pattern=$1 status=0

	shift
	"$@" >out 2>&1 || status=$?
	[ $status != 0 ] || fail "not refused during a run: $*"
	assert_grep "$pattern" out
}

# ---- first the run, then another one: a device

cp fresh img
attach img
hold_run "$loop"
cp img before
refuses "is in use by another program" "$E4OFFDEFRAG" "$loop"
refuses "is in use by another program" "$E4OFFDEFRAG" -n "$loop"
refuses "already mounted or mount point busy\|in use" mount "$loop" mnt
refuses "is in use\|Device or resource busy" e2fsck -f -y "$loop"
refuses "Device or resource busy" resize2fs "$loop" 12M
refuses "in use by the system" mke2fs -q -t ext4 "$loop"
refuses "in use\|busy" mkswap "$loop"
refuses "in use\|busy" wipefs -a "$loop"
cmp before img || fail "somebody has written to $loop during the run"
# tune2fs and debugfs ask only whether it is mounted (see LIMITS); this one
# shows it without harm.
assert_exit 0 debugfs -w -R quit "$loop"
finish_run 0
cmp alone img || fail "$loop: other than the run on the image"
for ((i = 0; i < 2; i++)); do
	# it is free again at once
	assert_exit 0 e2fsck -f -p "$loop"
done
detach "$loop"

# ---- the same, an image file: a second run is refused, all others are not

cp fresh img
hold_run img
refuses "is in use by another program" "$E4OFFDEFRAG" img
refuses "is in use by another program" "$E4OFFDEFRAG" -c img
if command -v qemu-io >/dev/null; then
	refuses "lock" qemu-io -f raw -c length img
fi
allowed=
attach img && allowed="$allowed losetup"
detach "$loop"
mount -o loop,ro,noload img mnt && allowed="$allowed mount"
unmount mnt
e2fsck -f -n img >out 2>&1 && allowed="$allowed e2fsck"
debugfs -w -R quit img >out 2>&1 && allowed="$allowed debugfs"
finish_run 0
cmp alone img || fail "what only looks has changed the run on an image"
assert_eq " losetup mount e2fsck debugfs" "$allowed" \
	"what no lock of ours keeps off an image file (see LIMITS)"

# ---- first another one, then a run

# refused PATTERN TARGET
refused()
{
	for mode in -v -n -p; do
		assert_refused 8 "$1" "$2" $mode
	done
}

if why=$(skip_without_iotrap); then
	slow=yes
else
	slow=
	echo "not tried, what needs slow tools: $why"
fi

# against TARGET COMMAND...
# The run is refused while the command has the target open: for its first read,
# which takes longer than anybody waits here.
against()
{
	rm -f iotrap.begun
	env LD_PRELOAD="$TOOLS/iotrap.so" IOTRAP_FILE="$1" \
		IOTRAP_MARK=iotrap.begun IOTRAP_READ_MS=60000 \
		"${@:2}" >other.out 2>&1 &
	other=$!
	wait_until [ -e iotrap.begun ]
	assert_exit 8 "$E4OFFDEFRAG" "$1"
	assert_grep "^e4offdefrag: $1 is in use by another program; end" err
	kill -0 $other || fail "too fast: ${*:2}"
	kill -KILL $other
	{ wait $other || :; } 2>/dev/null
}

# is_free DEVICE: nobody has it for himself, so it is not mounted any more
is_free()
{
	perl -e 'use Fcntl; sysopen(F, $ARGV[0], O_RDONLY | O_EXCL) or exit 1' \
		"$1"
}

cp fresh img
attach img
mount -o ro "$loop" mnt
sync
refused "is mounted on .*/mnt; unmount it" "$loop"
refused "is mounted on .*/mnt; unmount it\|is attached to $loop" img
umount mnt
wait_until is_free "$loop"
blockdev --flushbufs "$loop"
if [ "$slow" ]; then
	against "$loop" e2fsck -f -y "$loop"
	against "$loop" resize2fs "$loop" 12M
fi
refused "is attached to $loop; detach it" img
detach "$loop"

# All of them have an image file open, which a run does not begin with.
case $(stat -f -c %T .) in
ext2/ext3 | tmpfs | xfs | btrfs | f2fs)
	if [ "$slow" ]; then
		against img e2fsck -f -y img
		against img resize2fs img 12M
		against img tune2fs -L new img
		against img debugfs -w -R "stat /" img
	fi
	;;
*)
	echo "images open elsewhere: not tried on $(stat -f -c %T .)"
	;;
esac
