#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The order of readdir that the library computes is the kernel's, for each hash,
# with and without an index of any depth, and within inodes.

. "${0%/*}/../lib.sh"

skip_without_mount

names=$TOOLS/names

options=

# fill COMMAND...
# Has a command fill a mount of img, with $options.
fill()
{
	mkdir -p mnt
	mount -o "loop,$options" img mnt
	"$@"
	unmount mnt
}

# assert_order WHAT [LEAST-INODES]
# Both see the same on img.
assert_order()
{
	local what=$1 least=${2:-700} count

	[ "${flags-1}" = 0 ] || assert_clean img
	"$names" img >computed
	mkdir -p mnt
	mount -o loop,ro img mnt
	"$names" -k mnt >listed
	unmount mnt
	# Inodes without blocks are left out.
	awk 'NR == FNR { has[$1]; next } $1 in has' computed listed >there
	cmp there computed || fail "another order: $what"
	count=$(wc -l <computed)
	[ "$count" -ge "$least" ] || fail "$count inodes only: $what"
	printf '%-44s %6d inodes\n' "$what" "$count"
}

# Directories of one block, of a few with an index, and of more levels; each
# in another one, among files.
make_tree()
{
	local dir=mnt n

	for n in 3 12 90 250; do
		mkdir "$dir/sub$n"
		"$names" -m "$dir" "$n" "$n"
		dir=$dir/sub$n
	done
	"$names" -m "$dir" 400 7 12
	mkdir "$dir"/{x,y,z}{1..20}
	for n in {x,y,z}{1..20}; do
		"$names" -m "$dir/$n" 6 "${n#?}" 12
		echo text >"$dir/$n/file"
		ln "$dir/$n/file" "$dir/$n/another"
		ln "$dir/$n/file" "mnt/$n"
	done
}

# set_super FIELD VALUE: checksums follow, the file system stays clean
set_super()
{
	fsdebug img "set_super_value $1 $2" >/dev/null
}

# depth IMAGE PATH: levels of nodes below the root of a directory's index
depth()
{
	debugfs -R "htree_dump $2" "$1" 2>/dev/null |
		sed -nE 's/.*Indirect levels: ([0-9]+).*/\1/p' | sed 1q
}

# ---- each hash, of signed and of unsigned characters

for bs in 1024 4096; do
	for hash in legacy half_md4 tea; do
		# 1: signed, 2: unsigned; 0: unsigned for the kernel, but
		# for e2fsck what the processor has
		for flags in 1 2 0; do
			mkimg img 32M -b $bs -N 4000
			tune2fs -E hash_alg=$hash img >/dev/null
			set_super flags $((flags ? flags : 2))
			fill make_tree
			set_super flags $flags
			assert_order "$hash, flags $flags, blocks of $bs"
		done
	done
done

unset flags

# ---- other hashes than that of their index for directories of one block

mkimg img 32M -N 4000
fill make_tree
cp img hashes
tune2fs -E hash_alg=tea img >/dev/null
assert_order "half_md4 in indices, tea elsewhere"
cp hashes img
set_super hash_seed 01234567-89ab-cdef-0123-456789abcdef
e2fsck -fyD img >/dev/null 2>&1 || :
assert_order "another seed, all indices made anew"

# ---- no index, and when directories get one

mkimg img 32M -b 4096 -O ^dir_index -N 4000
fill make_tree
assert_order "never a dir_index"
tune2fs -O dir_index img >/dev/null
assert_order "dir_index, directories of many blocks without"
e2fsck -fyD img >/dev/null 2>&1 || :
assert_order "dir_index, all made by e2fsck -D"

# ---- indices of one and of two levels of nodes below their root

make_deep()
{
	mkdir mnt/deep
	"$names" -m mnt/deep "$1" 3
}

mkimg img 64M -b 1024 -N 9000
fill make_deep 6000
assert_eq 1 "$(depth img /deep)" "levels"
assert_order "two levels" 6000
mkimg img 200M -b 1024 -N 70000 -O large_dir
fill make_deep 60000
assert_eq 2 "$(depth img /deep)" "levels with large_dir"
assert_order "three levels" 59000

# ---- names with the same hash; but not those of one hash in two blocks

make_ties()
{
	[ "$1" = 0 ] || "$names" -m mnt "$1" 9 40
	"$names" -t mnt "$2"
}

for n in 0 1200; do
	mkimg img 32M -N 4000
	tune2fs -E hash_alg=legacy img >/dev/null
	fill make_ties $n 70
	debugfs -R 'htree_dump /' img 2>/dev/null | grep -c 'Entry.*(\*\*)' || :
	assert_order "70 ties among $n names" 200
done

# ---- within inodes

make_inlined()
{
	local dir=mnt n

	make_tree
	for n in {1..6}; do
		dir=$dir/d$n
		mkdir "$dir"
		head -c 5000 /dev/zero | tee "$dir"/{c,a,b} >/dev/null
	done
}

for size in 256 1024; do
	mkimg img 32M -N 4000 -O inline_data -I $size
	fill make_inlined
	assert_order "inline_data, inodes of $size"
done

# ---- folded and encrypted names, where the kernel has them

# Among the names are some that cannot be folded; e2fsck 1.47 has no hash of
# these, and complains of their index.
make_folded()
{
	local dir=mnt/folded name n

	mkdir "$dir"
	chattr +F "$dir"
	"$names" -m "$dir" 700 5
	"$names" -m "$dir" 300 6 3
	mkdir "$dir"/{Text,Few}
	for n in {1..30}; do
		for name in "Ä-Straße-$n" $'A\u0308-e\u0301'"-$n" \
			"ΑΒΓΣς-$n" $'soft\u00adhyphen\u200b'"-$n" "İIıi-$n" \
			"가한글-$n" "ＡＢ-$n" "𐐀𐐁-$n" "ﬁﬂ-$n" \
			$'not\377\303'"UTF-8-$n"; do
			echo text >"$dir/Text/$name"
			[ "$n" -gt 2 ] || echo text >"$dir/Few/$name"
		done
	done
}

has_feature()
{
	[ -e "/sys/fs/ext4/features/$1" ]
}

# The mount of assert_order is without the key.
options=test_dummy_encryption=v2
if has_feature test_dummy_encryption_v2; then
	for bs in 1024 4096; do
		mkimg img 32M -b $bs -N 4000 -O encrypt
		fill make_tree
		assert_order "encrypt, blocks of $bs"
	done
else
	echo "encrypt: not in this kernel"
fi
if has_feature test_dummy_encryption_v2 && has_feature encrypted_casefold; then
	mkimg img 32M -b 1024 -N 4000 -O casefold,encrypt
	fill make_folded
	flags=0 assert_order "casefold and encrypt"
else
	echo "casefold and encrypt: not in this kernel"
fi
options=
if has_feature casefold; then
	mkimg img 32M -b 1024 -N 4000 -O casefold
	fill make_folded
	flags=0 assert_order "casefold"
else
	echo "casefold: not in this kernel"
fi

# ---- as the program itself changes it: places only

mkimg img 64M -b 1024 -N 9000
fill make_deep 6000
"$names" img >before
assert_exit 0 "$E4OFFDEFRAG" --optimize -q img
assert_order "after --optimize" 6000
cmp before computed || fail "--optimize changes the order"
