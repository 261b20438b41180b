#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The feature quota: what users, groups and projects use is checked before a
# run, and follows the number of mapping blocks in it; by the word of debugfs
# and of e2fsck. Limits and all else stay.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

need_cmd debugfs e2fsprogs
types="user group project"

# counted IMAGE: the inodes that have owners
counted()
{
	image_view "$1" | awk '$1 == 2 || NF > 1 && $1 > 10 { print $1 }'
}

# owned IMAGE
# Gives the inodes to many owners: near each other and far, shared and alone.
owned()
{
	counted "$1" | awk '{
		n = NR
		uid = n % 4 == 0 ? n : n % 4 == 1 ? n * 257 : \
			n % 4 == 2 ? 65536 + n * 13 : n % 200 * 16777216 + n
		printf "sif <%d> uid %d\n", $1, uid
		printf "sif <%d> gid %d\n", $1, n * 7919 % 30 * 5000
		printf "sif <%d> projid %d\n", $1, n % 5
	}' >sif.in
	debugfs -w -f sif.in "$1" >/dev/null 2>&1
}

# make IMAGE BLOCK-SIZE FEATURES [QUOTA-TYPES [SIZE]]
make()
{
	mkimg "$1" "${5:-32M}" -b "$2" -I 256 -O "project,$3"
	"$TOOLS/fragment" -s 6 -x -f 60 -p 60 -m 2048 -k 2 "$1" >/dev/null
	owned "$1"
	tune2fs -O quota -Q "${4:-usrquota,grpquota,prjquota}" "$1" >/dev/null
	e2fsck -fy "$1" >/dev/null 2>&1 || : # a tree that could be narrower
	assert_clean "$1"
}

# used IMAGE TYPE: id, space and inodes of each, as the quota file says
used()
{
	debugfs -R "list_quota $2" "$1" 2>/dev/null |
		awk 'NR > 1 { print $1, $2, $5 }' | sort -n
}

# summed IMAGE TYPE: the same, as the inodes say
summed()
{
	counted "$1" | sed 's/.*/stat <&>/' >stat.in
	debugfs -f stat.in "$1" 2>/dev/null |
		awk -v type="$2" -v project="$(inum "$1" prj)" '
		/^Inode: / { ino = $2 }
		/^User: / {
			for (i = 1; i < NF; i++) {
				sub(":", "", $i)
				if (tolower($i) == type) id = $(i + 1)
			}
		}
		/Blockcount: / {
			if (ino == project)
				next
			space[id] += $NF * 512
			inodes[id]++
		}
		END { for (id in inodes) print id, space[id], inodes[id] }
	' | sort -n
}

# inum IMAGE usr|grp|prj
inum()
{
	debugfs -R stats "$1" 2>/dev/null | sed -nE "s/^$(
		case $2 in usr) echo User ;; grp) echo Group ;; *) echo Project
		esac) quota inode: *([0-9]+)/\1/p"
}

# file_at IMAGE INODE BYTE: where in the image that byte of a file is
file_at()
{
	local bs blk

	bs=$(debugfs -R stats "$1" 2>/dev/null |
		sed -n 's/^Block size: *//p')
	blk=$(debugfs -R "bmap <$2> $(($3 / bs))" "$1" 2>/dev/null)
	echo $((blk * bs + $3 % bs))
}

# entry_of IMAGE INODE ID: where in the quota file the entry of an id is
entry_of()
{
	debugfs -R "dump <$2> quota.file" "$1" 2>/dev/null
	od -An -v -w4 -tu4 quota.file | awk -v id="$3" '
		{ at = (NR - 1) * 4 }
		at >= 2048 && at % 1024 >= 16 && (at % 1024 - 16) % 72 == 0 {
			if ($1 == id && !n++) print at
		}'
}

# dumped IMAGE WHEN: the quota files, in quota.TYPE.WHEN
dumped()
{
	local type ino

	rm -f quota.*."$2"
	for type in usr grp prj; do
		ino=$(inum "$1" $type)
		[ -z "$ino" ] || debugfs -R "dump <$ino> quota.$type.$2" \
			"$1" 2>/dev/null
	done
}

# assert_same_but_space: of the quota files before and after
assert_same_but_space()
{
	local type

	for type in usr grp prj; do
		[ -e quota.$type.before ] || continue
		cmp -l quota.$type.before quota.$type.after >differences || :
		awk '{
			at = $1 - 1
			byte = (at % 1024 - 16) % 72
			if (at < 2048 || byte < 48 || byte >= 56) {
				print
				bad = 1
			}
		} END { exit bad }' differences >&2 ||
			fail "not only space has changed in a quota file"
	done
}

# whole IMAGE [OPTION...]
# A run after which everything is right. Leaves the usage in used.TYPE.before
# and used.TYPE.after.
whole()
{
	local image=$1 type

	shift
	image_view "$image" >view.before
	dumped "$image" before
	for type in $types; do
		used "$image" $type >used.$type.before
		summed "$image" $type >sum
		assert_same sum used.$type.before "$type, sum and usage before"
	done
	assert_unchanged "$image" assert_exit 0 "$E4OFFDEFRAG" -n "$@" "$image"
	assert_exit 0 "$E4OFFDEFRAG" --verify "$@" "$image"
	assert_quiet "$image"
	for type in $types; do
		used "$image" $type >used.$type.after
		summed "$image" $type >sum
		assert_same sum used.$type.after "$type, sum and usage after"
	done
	image_view "$image" >view.after
	dumped "$image" after
	assert_same_but_space
	assert_unchanged "$image" assert_exit 0 "$E4OFFDEFRAG" "$@" "$image"
}

# saved TYPE: who uses less space than before, and how much
saved()
{
	join used.$1.before used.$1.after | awk '$2 != $4 { print $1, $2 - $4 }'
}

for bs in 1024 4096; do
	for features in has_journal ^has_journal ^metadata_csum,^64bit; do
		make img $bs $features
		cp img first
		whole img
		assert_same view.before view.after "what is in the image"
		for type in $types; do
			saved $type >saved
			[ -s saved ] || fail "no $type uses less than before"
			assert_eq "" "$(awk -v bs=$bs \
				'$2 <= 0 || $2 % bs' saved)" "savings"
		done
		assert_eq 5 "$(grep -c . saved)" "projects that use less"
		[ "$(awk '$1 >= 65536' used.user.after | wc -l)" -ge 14 ] ||
			fail "the tree of users is not deep"
	done
done

# What debugfs finds by the way through the tree is the same.
while read -r id space inodes; do
	debugfs -R "get_quota user $id" img 2>/dev/null |
		awk 'NR > 1 { print $1, $2, $5 }' >got
	assert_eq "$id $space $inodes" "$(cat got)" "get_quota of $id"
done <used.user.after

# In place, block maps keep their blocks; as extents they need fewer.
make img 1024 ^extent,^64bit
whole img
assert_eq "" "$(saved user)" "savings without extents"
tune2fs -O extent img >/dev/null
whole img --convert-extents
[ -n "$(saved user)" ] || fail "extents use as much as block maps"

# Some of the files only.
types=group
make img 1024 has_journal grpquota
whole img
[ -n "$(saved group)" ] || fail "no group uses less than before"
types="user group project"

# -- limits stay; who is no longer above the soft one has no time limit

le8() # NUMBER
{
	local i

	for ((i = 0; i < 8; i++)); do
		printf '\\x%02x' $(($1 >> 8 * i & 255))
	done
}

cp first img
whole img
saver=$(saved user | sed -n '1s/ .*//p')
after=$(awk -v id="$saver" '$1 == id { print $2 }' used.user.after)
cp first img
entry=$(entry_of img 3 "$saver")
poke img "$(file_at img 3 $((entry + 8)))" "$(le8 1000)"  # inodes, hard
poke img "$(file_at img 3 $((entry + 16)))" "$(le8 900)"  # inodes, soft
poke img "$(file_at img 3 $((entry + 32)))" "$(le8 99999)"
poke img "$(file_at img 3 $((entry + 40)))" "$(le8 $(((after + 1023) / 1024)))"
poke img "$(file_at img 3 $((entry + 56)))" "$(le8 1700000000)"
poke img "$(file_at img 3 $((entry + 64)))" "$(le8 1700000001)"
assert_clean img
dumped img before
assert_exit 0 "$E4OFFDEFRAG" img
assert_quiet img
dumped img after
assert_eq "$(le8 1700000000)" "$(le8 "$(od -An -tu8 -j $((entry + 56)) -N 8 \
	quota.usr.before | tr -d ' ')")" "the time limit before"
poke quota.usr.before $((entry + 56)) '\0\0\0\0\0\0\0\0'
assert_same_but_space

# -- values of attributes in inodes of their own: in the inode, in a block

make img 1024 ea_inode
head -c 3000 /dev/urandom >value
head -c 500 /dev/zero | tr '\0' x >small
echo text >text
long=$(printf '%0100d' 0) # more than there is room for in the inode
fsdebug img "write text one" "ea_set -f value one user.value" \
	"write text two" "ea_set -f small two user.small" \
	"ea_set -f value two user.$long" "ea_set -f value two user.a$long" \
	"sif one uid 7001" "sif two uid 7002" >/dev/null
e2fsck -fy img >/dev/null 2>&1 || :
assert_clean img
used img user >before
assert_grep '^7001 .* 2$' before
assert_grep '^7002 .* 3$' before
assert_exit 0 "$E4OFFDEFRAG" img
assert_quiet img
used img user | grep '^700[12] ' >after
grep '^700[12] ' before | assert_same - after "usage of who has such values"

# -- damage

# untouched PATTERN
untouched()
{
	local mode

	for mode in -c -n -v; do
		assert_unchanged img assert_exit 4 "$E4OFFDEFRAG" $mode img
		assert_grep "$1" err
		assert_grep "run e2fsck -f first" err
	done
}

# refused PATTERN: by us, and by e2fsck, which helps
refused()
{
	! e2fsck -fn img >fsck.out 2>&1 || grep -q "? no$" fsck.out ||
		fail "e2fsck finds nothing wrong: $1"
	untouched "$1"
	e2fsck -fy img >fsck.out 2>&1 || :
	e2fsck -fy img >fsck.out 2>&1 || :
	assert_clean img
	assert_exit 0 "$E4OFFDEFRAG" -c img
}

# refused_alone PATTERN: e2fsck does not look at this, but tune2fs helps
refused_alone()
{
	assert_clean img
	untouched "$1"
	tune2fs -O ^quota img >/dev/null
	tune2fs -O quota -Q usrquota,grpquota,prjquota img >/dev/null
	assert_exit 0 "$E4OFFDEFRAG" -c img
}

# damage QUOTA-INODE BYTE BYTES PATTERN [FUNCTION]
damage()
{
	cp first img
	poke img "$(file_at img "$1" "$2")" "$3"
	${5:-refused} "$4"
}

make first 1024 has_journal usrquota,grpquota,prjquota 16M
project=$(inum first prj)
user=$(used first user | awk '$1 > 65536 && !n++ { print $1 }')
entry=$(entry_of first 3 "$user")
damage 3 $((entry + 48 + 1)) '\xee' "usage of user $user is .* bytes"
damage 3 $((entry + 24)) '\x9' "usage of user $user is .* and 9 inodes, should"
damage 3 $((entry)) '\0\0\0\x7f' "user quota file, block .*: an entry is"
entry=$(entry_of first 4 145000)
damage 4 $((entry + 48 + 2)) '\xee' "usage of group 145000 is .* bytes"
entry=$(entry_of first "$project" 3)
damage "$project" $((entry + 48 + 3)) '\x7' "usage of project 3 is .* bytes"
for ino in 3 4 $project; do
	damage $ino 0 '\1' "quota file, block 0: wrong magic" \
		refused_alone
	damage $ino 4 '\x9' "quota file, block 0: unknown version"
	damage $ino 20 '\xff\xff\xff\0' "quota file, block 0: wrong number"
	damage $ino 24 '\xff\xff\xff\0' "quota file, block 0: block number"
	damage $ino 1024 '\xff\xff\0\0' "quota file, block 1: block number"
	damage $ino 1024 '\0\0\0\0' "has no entry"
	damage $ino 2048 '\1' "quota file, block 2: block number out of range"
	damage $ino 2048 '\2' "quota file, block 2: the tree comes twice"

	cp first img
	fsdebug img "sif <$ino> size 3000" >/dev/null
	refused "quota file, block 0: wrong number"
done
cp first img
fsdebug img "sif <3> mode 0120777" >/dev/null
refused "inode 3: the user quota file is missing"
cp first img
fsdebug img "ssv prj_quota_inum 5" >/dev/null
refused "inode 5: not the place of a project quota file"
cp first img
fsdebug img "ssv grp_quota_inum 13" >/dev/null
refused "inode 13: not the place of a group quota file"
cp first img
fsdebug img "ssv usr_quota_inum 0" >/dev/null
refused "inode 3: the inode is for quota"
