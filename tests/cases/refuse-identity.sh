#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is not an ext2/3/4 file system is refused under its real name, and not
# written to. What this machine has no tool for is told and left out.

. "${0%/*}/../lib.sh"

# have COMMAND DEBIAN-PACKAGE WHAT
have()
{
	command -v "$1" >/dev/null && return
	echo "$3: not tried, needs $1 (Debian: $2)"
	return 1
}

# blank SIZE makes the file img.
blank()
{
	rm -f img
	truncate -s "$1" img
}

# refused PATTERN [FILE]
refused()
{
	local file=${2:-img} mode

	# -p must not hand to e2fsck what it does not know either.
	for mode in -v -c -n -p --json; do
		if [ $mode = --json ]; then
			assert_unchanged "$file" \
				assert_exit 8 "$E4OFFDEFRAG" --json "$file"
			assert_grep "\"text\": \"$file .*$1" out
		else
			assert_refused 8 "$file .*$1" "$file" $mode
		fi
	done
}

# -- other file systems and containers

if have mkfs.xfs xfsprogs XFS; then
	blank 320M
	mkfs.xfs -q img
	truncate -s 4M img # its size is not looked at
	refused "contains xfs, not an ext2/3/4 file system"
fi
if have mkfs.btrfs btrfs-progs Btrfs; then
	blank 128M
	mkfs.btrfs -q img
	refused "contains btrfs, not an ext2/3/4 file system"
fi
if have mkfs.vfat dosfstools FAT; then
	blank 2M
	mkfs.vfat img >/dev/null
	refused "contains vfat, not an ext2/3/4 file system"
fi
if have mksquashfs squashfs-tools Squashfs; then
	mkdir tree
	blank 0
	mksquashfs tree img -noappend -quiet >/dev/null
	refused "contains squashfs, not an ext2/3/4 file system"
fi
if have cryptsetup cryptsetup-bin LUKS; then
	blank 4M
	printf x | cryptsetup luksFormat -q --type luks1 \
		--pbkdf-force-iterations 1000 img -
	refused "contains crypto_LUKS, not .*cryptsetup"
	blank 20M
	printf x | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
		--pbkdf-force-iterations 1000 img -
	refused "contains crypto_LUKS, not .*cryptsetup"
fi
if have mkswap util-linux "swap space"; then
	blank 1M
	mkswap -q img
	refused "contains swap, not an ext2/3/4 file system"
fi

# pvcreate takes devices only. The label as it writes it, in sector 1:
# "LABELONE", its sector, a checksum, where the rest begins, the type, the id.
lvm_label()
{
	poke "$1" 512 'LABELONE\1\0\0\0\0\0\0\0\x77\xe9\xdd\x69\x20\0\0\0'
	poke "$1" 536 'LVM2 001e4offdefragLVMlabeloftests000000'
}

blank 4M
lvm_label img
refused "contains LVM2_member, not .*logical volume"

# -- partition tables

if have sfdisk fdisk "partition tables"; then
	blank 4M
	printf 'label: gpt\nsize=1M\nsize=1M\n' | sfdisk -q img
	refused "contains a partition table (gpt).*offset="
	blank 4M
	printf 'label: dos\nsize=1M\nsize=1M\n' | sfdisk -q img
	refused "contains a partition table (dos).*offset="
fi

# -- disk images that are not raw, and compressed ones; an ext4 inside

mkimg inside 4M
if have qemu-img qemu-utils "disk image formats"; then
	while read -r format name; do
		qemu-img convert -f raw -O "$format" inside img
		refused "contains $name, not .*raw image"
	done <<-END
		qcow2 a qcow2 image
		qed a QED image
		vdi a VDI image
		vhdx a VHDX image
		vmdk a VMDK image
		vpc a VHD image
	END
fi
while read -r command package name; do
	have "$command" "$package" "$name" || continue
	"$command" -q -c <inside >img
	refused "contains $name"
done <<-END
	gzip gzip a gzip file
	xz xz-utils an xz file
	zstd zstd a zstd file
END

# -- nothing

blank 4M
refused "does not contain an ext2/3/4 file system"
yes "a line of text" | head -c 65536 >img || :
refused "does not contain an ext2/3/4 file system"
blank 1
refused "does not contain an ext2/3/4 file system"
blank 0
refused ""

# -- an ext4 that bears the label of an LVM member too: who knows which is
# the stale one?

cp inside img
lvm_label img
refused "contains LVM2_member"

# -- the magic number alone does not make an ext4

blank 1M
poke img 1080 '\x53\xef'
for mode in -v -c -n -p; do
	got=0
	assert_unchanged img "$E4OFFDEFRAG" $mode img >out 2>err || got=$?
	[[ $got = [48] ]] || fail "exit status $got for a bare magic number"
	assert_grep '^e4offdefrag: .*img' err
done

# -- an offset that misses the file system

cp inside img
assert_refused 8 "img does not contain an ext2/3/4 file system" \
	"img?offset=1048576"
assert_refused 8 "img does not contain an ext2/3/4 file system" \
	img -E offset=1
assert_refused 8 "img is shorter than the offset" img -E offset=4194304

# -- what is not a file; none of these may block

mkdir dir
mkfifo fifo
for target in dir fifo /dev/null /dev/zero /dev/tty; do
	for mode in -v -c -n -p; do
		assert_exit 8 timeout 60 "$E4OFFDEFRAG" $mode $target
		assert_grep "^e4offdefrag: $target is neither a block device \
nor an image file" err
	done
done
assert_eq "" "$(ls dir)" "what is in the directory"
ln -s loop loop
assert_exit 8 "$E4OFFDEFRAG" loop
assert_grep '^e4offdefrag: cannot open loop: Too many levels' err
ln -s gone dangling
assert_exit 8 "$E4OFFDEFRAG" dangling
assert_grep '^e4offdefrag: cannot open dangling: No such file' err
[ ! -e gone ] || fail "made the file that a link points to"

# -- a link to an image is as good as the image

ln -s inside link
assert_exit 0 "$E4OFFDEFRAG" -c link
