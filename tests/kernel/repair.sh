#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the kernel leaves after a crash, with a journal to be replayed, is
# refused; with -p e2fsck replays it, the run is done, and the kernel shows
# the same files as before the crash.

. "${0%/*}/../lib.sh"

skip_without_mount

# view IMAGE prints what the kernel shows.
view()
{
	mount -o loop,ro "$1" mnt
	"$TOOLS/treesum" mnt
	unmount mnt
}

mkdir mnt
for features in has_journal fast_commit orphan_file ^metadata_csum; do
	mkimg live 48M -b 1024 -O "$features"
	"$TOOLS/fragment" -s 4 -f 200 -p 40 live
	if ! mount -o loop live mnt 2>/dev/null; then
		echo "$features: not tried, this kernel does not mount it"
		continue
	fi
	# The last writes are in the journal, and one file has no name any more.
	mkdir mnt/late
	for i in {1..30}; do
		echo "late $i" >mnt/late/$i
	done
	exec 9>mnt/gone
	head -c 300000 /dev/urandom >&9
	rm mnt/gone
	sync
	cp --sparse=always live crashed
	exec 9>&-
	unmount mnt

	cp crashed img
	e2fsck -p img >fsck.out 2>&1 || :
	assert_clean img
	view img >want
	assert_eq 30 "$(grep -c 'late/[0-9]' want)" "files in the journal"

	cp crashed img
	for mode in -v -c -n; do
		assert_refused 8 "img has a journal that must be replayed; \
run e2fsck -p" img $mode
	done
	assert_exit 0 "$E4OFFDEFRAG" -p --verify img
	assert_clean img
	view img | diff want - || fail "$features: other files after -p"

	# The same on a device; and at an offset that is the way to do it.
	{
		head -c 1048576 /dev/zero
		cat crashed
	} >shifted
	assert_refused 8 "journal .*offset; .*losetup -o" \
		"shifted?offset=1048576" -p
	attach -o 1048576 shifted
	assert_exit 0 "$E4OFFDEFRAG" -p "$loop"
	detach "$loop"
	tail -c +1048577 shifted >other
	assert_clean other
	view other | diff want - || fail "$features: other files after -p"
done
