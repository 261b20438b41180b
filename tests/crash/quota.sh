#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Power cuts where the mapping blocks of files count for their owners: after
# the recovery e2fsck -fn must find the usage of each right. (Few kernels can
# mount these.)

. "${0%/*}/images.sh"

# owned IMAGE: gives the inodes to owners, more than one leaf of the tree has
owned()
{
	"$TOOLS/imgsum" -d "$1" | awk '$1 == 2 || NF > 1 && $1 > 10 {
		printf "sif <%d> uid %d\n", $1, NR % 40 * 3000
		printf "sif <%d> gid %d\n", $1, NR % 7
		printf "sif <%d> projid %d\n", $1, NR % 2
	}' >sif.in
	debugfs -w -f sif.in "$1" >/dev/null 2>&1
	tune2fs -O quota -Q usrquota,grpquota,prjquota "$1" >/dev/null
}

# usage IMAGE
usage()
{
	local type

	for type in user group project; do
		debugfs -R "list_quota $type" "$1" 2>/dev/null
	done
}

# crash IMAGE BATCHES [OPTION...]
crash()
{
	local image=$1 batches=$2

	shift 2
	usage "$image" >before
	cp "$image" whole
	"$E4OFFDEFRAG" whole >/dev/null
	usage whole >after
	! cmp -s before after || fail "$image: the usage does not change"
	journaled "$image" "v3, 64 bits" --batches="$batches" --each=4 \
		--mounts=0 "$@"
}

mkimg small 16M -b 1024 -I 256 -J size=1 -O project
"$TOOLS/fragment" -s 1 -f 40 -p 85 -m 2048 -k 1 small
owned small
crash small 10

mkimg large 16M -b 4096 -I 256 -J size=4 -O project
"$TOOLS/fragment" -s 2 -f 60 -p 80 -m 512 -k 1 large
owned large
crash large 5

# Without a journal the usage is written last, so a crash can leave it behind:
# then the old quota files are there, and e2fsck -p at boot repairs them.
mkimg ordered 16M -b 1024 -I 256 -O project,^has_journal
"$TOOLS/fragment" -s 1 -f 40 -p 80 -m 2048 -k 1 ordered
owned ordered
e2fsck -fp ordered >out 2>&1 || : # its index for a large directory
assert_clean ordered
cp ordered before
"$E4OFFDEFRAG" ordered >/dev/null
usage ordered >usage.wanted
project=$(debugfs -R stats ordered 2>/dev/null |
	sed -n 's/^Project quota inode: *//p')
for ino in 3 4 "$project"; do
	for ((i = 0; i < 300; i++)); do echo "bmap <$ino> $i"; done
done | debugfs -f - before 2>/dev/null | sed -n '/^[1-9]/p' |
	while read -r blk; do
		dd if=before of=ordered bs=1024 skip="$blk" seek="$blk" \
			count=1 conv=notrunc status=none
	done
usage ordered >usage.found
! cmp -s usage.wanted usage.found || fail "the usage is not behind"
assert_exit 4 e2fsck -fn ordered
debugfs -w -R "ssv state 0" ordered 2>/dev/null
assert_exit 1 e2fsck -p ordered
assert_clean ordered
usage ordered >usage.found
cmp usage.wanted usage.found || fail "e2fsck -p has not repaired the usage"
"$TOOLS/imgsum" ordered >sum.found
"$TOOLS/imgsum" before | cmp - sum.found || fail "other files behind e2fsck -p"
