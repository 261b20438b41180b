#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# File systems of all kinds: nearly full ones, tiny ones, with each feature
# that is supported, and with files that are skipped for a reason. Whatever
# the run can do, it ends well, leaves a clean file system, changes nothing
# but places, makes nothing worse, and the next run changes nothing.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

skip_without_mount
need_cmd mkswap util-linux
need_cmd chattr e2fsprogs

# The kernel need not know every feature that e2fsprogs and we do.
mounts()
{
	mkdir -p view
	mount -o loop,ro "$1" view 2>/dev/null && unmount view
}

# assert_run WHAT [IMAGE]
# Leaves the report in run.json. Prints a line.
assert_run()
{
	local what=$1 img=${2:-img} by=kernel

	assert_clean "$img"
	image_view "$img" >image.before
	breaks "$img" >breaks.before
	if mounts "$img"; then
		kernel_view "$img" >kernel.before
	else
		by=e2fsprogs
	fi
	assert_exit 0 "$E4OFFDEFRAG" --json -v "$img"
	mv out run.json
	mv err run.err
	assert_clean "$img"
	image_view "$img" >image.after
	assert_same image.before image.after "what is in the image: $what"
	if [ $by = kernel ]; then
		kernel_view "$img" >kernel.after
		assert_same kernel.before kernel.after \
			"what the kernel shows: $what"
	fi
	breaks "$img" >breaks.after
	[ "$(wc -l <breaks.after)" -le "$(wc -l <breaks.before)" ] ||
		fail "more fragmented than before: $what"
	assert_unchanged "$img" assert_exit 0 "$E4OFFDEFRAG" --json "$img"
	assert_eq 0 "$(member out steps_done)" "steps of a second run: $what"
	printf '%-44s %5d -> %5d runs, ideal %5d (%s)\n' "$what" \
		"$(member run.json before runs)" \
		"$(member run.json after runs)" \
		"$(member run.json after ideal_runs)" $by
}

# assert_ideal WHAT [IMAGE]: with room enough everything becomes ideal.
assert_ideal()
{
	assert_run "$@"
	[ "$(member run.json before fragmented_files)" != 0 ] ||
		fail "nothing was fragmented: $1"
	assert_eq 0 "$(member run.json after fragmented_files)" \
		"fragmented files left: $1"
	assert_quiet "${2:-img}"
}

# skipped REASON: how many files were, by the report
skipped()
{
	sed -nE "/\"reason\": \"$1\"/,/files/s/.*\"files\": ([0-9]+).*/\1/p" \
		run.json
}

# fragmented IMAGE-SIZE PERCENT [MKE2FS-OPTION...]
largest=16384 # KiB of a file
fragmented()
{
	local size=$1 percent=$2

	shift 2
	mkimg img "$size" "$@"
	"$TOOLS/fragment" -s 7 -f 300 -p "$percent" -m "$largest" img
}

on_mount()
{
	mkdir -p mnt
	mount -o loop img mnt
	"$@"
	unmount mnt
}

# interleave FILE FILE COUNT: each grows by COUNT pieces, by turns.
interleave()
{
	local i file

	for ((i = 0; i < $3; i++)); do
		for file in "$1" "$2"; do
			head -c 12288 /dev/urandom | dd of="$file" bs=12288 \
				oflag=append conv=notrunc,fsync status=none
		done
	done
}

# ---- nearly full

for percent in 95 99; do
	fragmented 96M $percent
	assert_run "$percent % full, from scratch"
done

fill_up()
{
	"$TOOLS/age" -s 3 -t 95 -r 2 -m 2048 mnt
	[ "$1" = 95 ] || head -c 1G /dev/zero >mnt/rest 2>/dev/null || :
	[ "$1" != 99 ] || truncate -s -700K mnt/rest
}

for percent in 95 99 100; do
	mkimg img 96M -m 0
	on_mount fill_up $percent
	assert_run "$percent % full, aged"
done

# ---- small

for bs in 1 2 4; do
	mkimg img $((bs < 4 ? 8 : 16))M -b ${bs}k -J size=$bs
	"$TOOLS/fragment" -s 7 -f 60 -p 70 -k 2 -m 300 img
	assert_ideal "tiny, $bs KiB blocks, 1024 of them journal"
done

# ---- directories

make_dirs()
{
	local i j

	mkdir mnt/{a,b,c}
	for ((i = 0; i < 12; i++)); do
		for j in a b c; do
			printf "mnt/$j/$i-%0200d\n" {1..100} | xargs touch
			sync -f mnt
		done
	done
}

mkimg img 48M -b 1024
on_mount make_dirs
[ "$(breaks img | sort -u | wc -l)" -ge 3 ] ||
	fail "the directories are not fragmented"
assert_ideal "directories with index and many blocks"

# ---- large and sparse

make_sparse()
{
	local i

	for ((i = 0; i < 40; i++)); do
		head -c 8192 /dev/urandom | dd of=mnt/sparse bs=8192 \
			seek=$((i * i * 1600)) conv=notrunc,fsync status=none
		head -c 4096 /dev/urandom >mnt/small$i
	done
	truncate -s 20G mnt/sparse
	rm mnt/small*[13579]
}

mkimg img 48M
on_mount make_sparse
assert_ideal "a sparse file of 20 GiB"

# ---- trees larger than need be, though the file is in one piece

make_hollow()
{
	interleave mnt/a mnt/b 20
	truncate -s 12288 mnt/a mnt/b
}

mkimg img 48M
on_mount make_hollow
assert_eq "" "$(breaks img)" "files with breaks"
e2fsck -fn img 2>/dev/null | grep 'could be shorter' >/dev/null ||
	fail "no tree is larger than need be"
assert_run "trees left by truncate"
assert_eq 0 "$(member run.json bytes_moved)" "bytes moved for a tree"
assert_quiet img

# ---- files that stay where they are

make_swap()
{
	interleave mnt/swap mnt/other 30
	mkswap mnt/swap >/dev/null 2>&1
}

mkimg img 48M
on_mount make_swap
ino=$(inode img /swap)
places img "$ino" >before
assert_run "a swap file"
assert_eq "$ino" "$(uniq breaks.after)" "fragmented after the run"
assert_eq 1 "$(skipped 'swap file')" "swap files skipped"
places img "$ino" | cmp - before || fail "the swap file was moved"

make_boot()
{
	mkdir -p mnt/boot/grub
	interleave mnt/boot/grub/core.img mnt/other 9
}

mkimg img 48M
on_mount make_boot
cp img without
assert_ideal "/boot, no boot sector" without
poke img 0 '\353\130'
ino=$(inode img /boot/grub/core.img)
places img "$ino" >before
assert_run "/boot with a boot sector"
assert_eq "$ino" "$(uniq breaks.after)" "fragmented after the run"
assert_eq 1 "$(skipped 'below .boot with a boot sector in use')" \
	"files below /boot skipped"
places img "$ino" | cmp - before || fail "a file below /boot was moved"

# ---- mapped by blocks

# of_type TYPE FUNCTION [MKE2FS-OPTION...]
# A file system of that type, scattered by the tool or filled on a mount.
of_type()
{
	local type=$1 make=$2

	shift 2
	rm -f img
	truncate -s 64M img
	mke2fs -q -F -t "$type" "$@" img
	if [ "$make" = scatter ]; then
		"$TOOLS/fragment" -s 7 -f 300 -p 70 img
	else
		on_mount "$make"
	fi
}

# Trees of three levels with 1 KiB blocks, directories of many blocks.
make_old()
{
	local i

	interleave mnt/a mnt/b 400
	for ((i = 0; i < 20; i++)); do # up to 12 GiB
		head -c 8192 /dev/urandom | dd of=mnt/sparse bs=8192 \
			seek=$((i * i * 4000)) conv=notrunc,fsync status=none
		head -c 4096 /dev/urandom >mnt/small$i
	done
	mkdir mnt/{d,e}
	for ((i = 0; i < 12; i++)); do
		printf "mnt/d/$i-%0200d\n" {1..50} | xargs touch
		printf "mnt/e/$i-%0200d\n" {1..50} | xargs touch
		sync -f mnt
	done
}

block_mapped()
{
	local bs make

	for bs in 1024 4096; do
		for make in scatter make_old; do
			of_type "$1" $make -b $bs "${@:2}"
			assert_ideal "block-mapped: ${*/-O ^extent,^64bit/}, $bs, $make"
			assert_eq "" "$(data_breaks img | uniq)" "broken files"
		done
	done
}

block_mapped ext2
block_mapped ext3
block_mapped ext4 -O ^extent,^64bit
block_mapped ext4 -O ^extent,^64bit,^has_journal

# ---- features: what mke2fs can make

# feature WHAT MKE2FS-OPTION...
feature()
{
	local what=$1

	shift
	truncate -s 96M probe
	mke2fs -q -F -t ext4 "$@" probe 2>mke2fs.err || {
		echo "$what: not with this mke2fs: $(tail -n 1 mke2fs.err)"
		return
	}
	fragmented 96M 70 "$@"
	assert_ideal "$what"
}

# Small groups, so that there are many: first with files larger than they are.
groups="-b 1024 -g 2048"
fragmented 96M 70 -O ^flex_bg $groups
assert_run "files larger than a group"
largest=1024
feature "sparse_super2" -O sparse_super2 $groups
feature "meta_bg" -O meta_bg,^resize_inode $groups
feature "meta_bg, 64bit, no flex_bg" -O meta_bg,^resize_inode,^flex_bg $groups
feature "no flex_bg" -O ^flex_bg $groups
feature "no resize_inode" -O ^resize_inode $groups
feature "no sparse_super" -O ^sparse_super,^resize_inode $groups
feature "uninit_bg" -O ^metadata_csum,uninit_bg $groups
feature "no group checksums" -O ^metadata_csum,^uninit_bg $groups
feature "metadata_csum_seed" -O metadata_csum_seed
feature "no dir_index, filetype, large_file" -O ^dir_index,^filetype,^large_file
feature "no huge_file, dir_nlink, extra_isize" \
	-O ^huge_file,^dir_nlink,^extra_isize
feature "inodes of 128 bytes" -I 128
feature "inodes of 1024 bytes" -I 1024
for name in stable_inodes orphan_file fast_commit ea_inode large_dir \
	inline_data casefold encrypt verity project; do
	feature $name -O $name
done

# Blocks that only some kernels can mount.
for bs in 16 64; do
	mkimg img $((bs * 4))M -b $((bs * 1024)) -J size=$bs
	"$TOOLS/fragment" -s 7 -f 200 -p 70 -k 128 img
	assert_ideal "$bs KiB blocks"
done
