#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Small inodes, so that every ACL and attribute needs a block, and the kernel
# has files with the same ones share it: thousands of files that have one of
# two ACLs, and hundreds with an attribute of their own. All files reach their
# ideal, and the kernel reads the same attributes as before.
#
# XATTR_KEEP names a copy of the image before the run, to be measured.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

skip_without_mount
need_cmd setfattr attr
mkdir mnt

# acl NUMBER: one that lets one more user read, as the kernel takes it
acl()
{
	local none=ffffffff id

	printf -v id '%02x%02x0000' $(($1 % 256)) $(($1 / 256))
	printf '0x02000000%s%s%s%s%s' "01000600$none" "02000400$id" \
		"04000400$none" "10000600$none" "20000400$none"
}

# members NUMBER: every tenth of all files, or directories of the list
members()
{
	awk -v n="$1" 'NR % 10 == n' list | tr '\n' '\0'
}

# blocks IMAGE: a line for each owner of one
blocks()
{
	image_view "$1" | sed -nE 's/^([0-9]+) .* acl=1 .*/stat <\1>/p' >stat.in
	debugfs -f stat.in "$1" 2>/dev/null | sed -nE 's/^File ACL: //p'
}

# one BLOCK-SIZE FEATURES
one()
{
	local bs=$1 i

	mkimg img 320M -b "$bs" -I 128 -N 16384 -O "$2" >/dev/null
	mount -o loop img mnt
	fallocate -l 180M mnt/ballast # all else is behind it
	"$TOOLS/age" -s 1 -t 90 -r 2 -m 256 mnt
	rm mnt/ballast
	(cd mnt && find . -type f -o -type d | sort) >list
	cd mnt
	for i in {0..6}; do
		(cd .. && members "$i") | xargs -0 \
			setfattr -n system.posix_acl_access \
			-v "$(acl $((1000 + i / 4)))"
	done
	(cd .. && members 7) | while read -rd '' name; do
		setfattr -n user.note -v "of $name" "$name"
	done
	cd ..
	unmount mnt
	assert_clean img
	[ -z "${XATTR_KEEP-}" ] || cp img "$XATTR_KEEP.$bs"

	blocks img >before
	most=$(sort before | uniq -c | sort -n | awk 'END { print $1 }')
	policy=--compact assert_whole_run img "$bs"
	blocks img >after
	moved=$(comm -23 <(sort -u before) <(sort -u after) | wc -l)
	echo "$bs $2: $(wc -l <before) owners of $(sort -u before | wc -l)" \
		"blocks, $most at most; $moved blocks have moved;" \
		"$(member run.json before runs) runs ->" \
		"$(member run.json after runs)"
	[ "$most" -ge 600 ] || fail "the kernel does not share"
	[ "$moved" -ge 20 ] || fail "hardly a block has moved"
	assert_same <(sort before | uniq -c | awk '{ print $1 }' | sort) \
		<(sort after | uniq -c | awk '{ print $1 }' | sort) "sharing"
}

one 1024 metadata_csum
one 4096 ^metadata_csum,^64bit
