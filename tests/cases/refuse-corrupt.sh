#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file system that contradicts itself is refused with exit status 4; the
# contradiction is named, and not a byte is written. Each image here is one
# that e2fsck finds errors in too.

. "${0%/*}/../lib.sh"

# in_all_modes PATTERN: with -p too, which is for what was marked as unclean.
in_all_modes()
{
	local mode

	for mode in -v -c -n -p; do
		assert_exit 4 "$E4OFFDEFRAG" $mode img
		assert_eq "" "$(cat out)" "standard output: $1"
		assert_grep "^e4offdefrag: $1" err
		tail -n 1 err | grep -q '^e4offdefrag: .*; run e2fsck -f first' ||
			fail "the last line does not say what to do: $1"
	done
}

# damaged PATTERN
# The image img must be refused in this way.
damaged()
{
	local got=0

	# Some errors do not show in the status that -n gives.
	e2fsck -fn img >fsck.out 2>&1 || got=$?
	[ $got -ge 4 ] || grep -q 'Fix? no\|^Clear? no' fsck.out ||
		{ cat fsck.out >&2; fail "e2fsck finds nothing wrong with: $1"; }
	assert_unchanged img in_all_modes "$1"
	count=$((count + 1))
}
count=0

# change COMMAND...: a fresh img, changed by debugfs.
change()
{
	cp base img
	fsdebug img "$@" >/dev/null
}

# set_group FIELD VALUE: in the descriptor of group 0.
set_group()
{
	change "set_bg 0 $1 $2" "set_bg 0 checksum calc"
}

# look COMMAND: what debugfs has to say about base.
look()
{
	debugfs -R "$1" base 2>/dev/null
}

# stat_of NAME PATTERN: the number that the parentheses in a pattern match.
stat_of()
{
	look "stat $1" | sed -nE "s/.*$2.*/\\1/p" | sed 1q
}

inode_of()
{
	stat_of "$1" '^Inode: ([0-9]+)'
}

sectors_of()
{
	stat_of "$1" 'Blockcount: ([0-9]+)'
}

# group FIELD: a number in the descriptor of group 0.
group()
{
	look stats | sed -n '/^ *Group *0:/,/^ *Group *1:/p' |
		sed -nE "s/.*[ (,]([0-9]+) $1.*/\\1/p" | sed 1q
}

# inode_at NAME: where it is, in bytes.
inode_at()
{
	look "imap $1" | sed -nE \
		's/.*block ([0-9]+), offset (0x[0-9a-f]+)/\1 * 1024 + \2/p'
}

# -- the file system: two groups, a file in one piece, one with a hole, one
# with a mapping block, one in indirect blocks, two with an xattr block

# pieces FILE COUNT: five blocks of each eight.
pieces()
{
	local i

	rm -f "$1"
	for ((i = 0; i < $2; i++)); do
		head -c 5120 data | dd of="$1" bs=8192 seek="$i" status=none
	done
}

# make_base MKE2FS-OPTION...
make_base()
{
	mkimg base 12M -b 1024 -I 256 "$@"
	fsdebug base "write data a" "write data b" "write hole hole" \
		"write deep deep" "mkdir dir" "write data dir/c" \
		"write data owner" "ea_set owner user.x -f value" \
		"write data other" "ea_set other user.x -f value" >/dev/null
	assert_clean base
	cp base img
	assert_exit 0 "$E4OFFDEFRAG" -c img
	assert_exit 0 "$E4OFFDEFRAG" img

	a=$(inode_of a)
	b=$(inode_of b)
	deep=$(inode_of deep)
	block=$(look "bmap a 3" | sed 's/ .*//')
	free=$(look ffb | sed -nE 's/^Free blocks found: ([0-9]+).*/\1/p')
	free_inode=$(look ffi | sed -nE 's/^Free inode found: ([0-9]+)/\1/p')
	table=$(look stats | sed -nE 's/.*inode table at ([0-9]+).*/\1/p' |
		sed 1q)
	xattr=$(stat_of owner 'File ACL: ([0-9]+)')
	node=$(look "ex deep" | awk '$1 == "0/" && $2 == 1 { print $8 }')
	for i in "$a" "$b" "$deep" "$block" "$free" "$free_inode" "$table" \
		"$xattr"; do
		[[ $i =~ ^[1-9][0-9]*$ ]] || fail "base: '$i' is no number"
	done
}

head -c 60000 /dev/urandom >data
head -c 600 data >value
pieces hole 2
pieces deep 20

# -- what does not need checksums

check_common()
{
	local n

	change "setb $free"
	damaged "block $free: block is not in use but marked in the bitmap"
	change "freeb $block"
	damaged "block $block: block is in use but free in the bitmap"

	n=$(look "bmap a 0" | sed 's/ .*//')
	if [ $mapping = extents ]; then
		change "sif b block[5] $n"
	else
		change "sif b block[3] $block"
		n=$block
	fi
	damaged "inode $b, block $n: block claimed twice, also by inode $a"
	for n in "$table" "$xattr"; do
		if [ $mapping = extents ]; then
			change "sif b block[5] $n"
		else
			change "sif b block[3] $n"
		fi
		damaged ".*block $n: block claimed twice, also by"
	done

	n=$(group 'free block')
	set_group free_blocks_count $((n + 1))
	damaged "group 0: $((n + 1)) free blocks, should be $n"
	n=$(group 'free inode')
	set_group free_inodes_count $((n - 1))
	damaged "group 0: $((n - 1)) free inodes, should be $n"
	n=$(group 'used director')
	set_group used_dirs_count $((n + 1))
	damaged "group 0: $((n + 1)) directories, should be $n"

	n=$(look stats | sed -n 's/^Free blocks: *//p')
	change "ssv free_blocks_count $((n - 1))"
	damaged "superblock: $((n - 1)) free blocks, should be $n"
	n=$(look stats | sed -n 's/^Free inodes: *//p')
	change "ssv free_inodes_count $((n + 1))"
	damaged "superblock: $((n + 1)) free inodes, should be $n"

	change "seti <$free_inode>"
	damaged "inode [0-9]*, block [0-9]*: inode bitmap of group 0 differs"
	change "freei <$b>"
	damaged "inode [0-9]*, block [0-9]*: inode bitmap of group 0 differs"

	for n in a deep dir hole; do
		change "sif $n blocks $(($(sectors_of $n) + 2))"
		damaged "inode $(inode_of $n): i_blocks is $(($(
			sectors_of $n) + 2)), should be $(sectors_of $n)"
	done
	change "sif a blocks 0"
	damaged "\(inode\|block\) [0-9]*: "

	# One xattr block with two owners that knows of one.
	change "sif other file_acl $xattr"
	damaged "inode $(inode_of owner), block $xattr: xattr block has 2"
	change "sif owner file_acl 99999"
	damaged "inode $(inode_of owner), block 99999: xattr block out of range"
	change "sif owner file_acl $free"
	damaged "inode $(inode_of owner), block $free: not an xattr block"

	set_group inode_table 99999
	damaged ""
	set_group block_bitmap 99999
	damaged "block 99999: group 0: metadata out of range"
	set_group inode_bitmap "$(look stats | sed -nE \
		's/.*block bitmap at ([0-9]+).*/\1/p' | sed 1q)"
	damaged "blocks of metadata that are claimed twice: 1"
	# What would not be replayed after a power cut.
	change "sif <8> mode 040600"
	damaged "img: the journal inode is damaged"

	change "sif <7> block[DIND] 99999"
	damaged "inode 7, block 99999: block number out of range"

	# Bits behind the end of the file system, in the last group's bitmap.
	n=$(look stats | sed -nE 's/.*block bitmap at ([0-9]+).*/\1/p' |
		sed -n 2p)
	cp base img
	poke img $((n * 1024 + 1000)) '\0'
	damaged "block $n: "
	cp base img
	poke img $((n * 1024 + 511)) '\0' # one bit, behind 4095 that count
	damaged "block $n: "
	n=$(look stats | sed -nE 's/.*inode bitmap at ([0-9]+).*/\1/p' |
		sed 1q)
	cp base img
	poke img $((n * 1024 + 1000)) '\0'
	damaged "block $n: "
}

# -- extents; the root: magic and entries, max and depth, generation, and then
# each entry: logical, length and high bits, physical

check_extents()
{
	local len n

	# A file that maps what everyone else calls free.
	n=$(look "bmap a 58" | sed 's/ .*//')
	assert_eq 55 $((n - block)) "a is in one piece"
	change "sif a blocks 0" "freeb $((block - 3)) 59" \
		"set_bg 0 free_blocks_count $(($(group 'free block') + 59))" \
		"set_bg 0 checksum calc" \
		"ssv free_blocks_count $(($(look stats |
			sed -n 's/^Free blocks: *//p') + 59))"
	damaged "inode $a: i_blocks is 0, should be"

	len=$(look "ex a" | awk 'NR == 2 { print $NF }')
	change "sif a block[5] 99999"
	damaged "inode $a: invalid extent 0: logical 0, physical 99999"
	change "sif a block[5] 12280"
	damaged "inode $a: invalid extent 0: logical 0, physical 12280"
	change "sif a block[5] 0"
	damaged "inode $a: invalid extent 0: logical 0, physical 0"
	change "sif a block[4] $((len | 1 << 16))"
	damaged "inode $a: invalid extent 0: logical 0, physical 429"
	change "sif a block[4] 0"
	damaged "inode $a: invalid extent 0: .* length 0"
	change "sif a block[3] 0xfffffff0"
	damaged "inode $a: invalid extent 0: logical 4294967280"
	change "sif hole block[6] 3"
	damaged "inode $(inode_of hole): invalid extent 1: logical 3"
	change "sif <8> size 99999999"
	damaged "img: the journal inode is damaged"

	# Not copied, but e2fsck makes these written, and nobody else reads the
	# target of a link.
	change "sif dir block[4] 0x8001"
	damaged "inode $(inode_of dir), block [0-9]*: extent of a directory"
	change "symlink link $(printf '%0200d' 0)" "sif link block[4] 0x8001"
	assert_unchanged img in_all_modes \
		"inode [0-9]*, block [0-9]*: extent of a symbolic link"

	change "sif a block[0] 0x0001f30b"
	damaged "inode $a: invalid extent tree header"
	change "sif a block[0] 0x0005f30a"
	damaged "inode $a: invalid extent tree header"
	change "sif a block[1] 0x00000005"
	damaged "inode $a: invalid extent tree header"
	change "sif a block[1] 0x00060004"
	damaged "inode $a: extent tree is too deep"
	change "sif a block[1] 0x00010004"
	damaged "inode $a\(, block [0-9]*\|\): "

	change "sif deep block[4] 99999"
	damaged "inode $deep: invalid extent index 0: .*block 99999"
	change "sif deep block[4] $block"
	damaged "inode $deep, block $block: "
	change "sif deep block[1] 0x00020004"
	damaged "inode $deep, block $node: invalid extent tree header"
	change "sif deep block[3] 1"
	damaged "inode $deep, block $node: invalid extent 0: logical 0"
}

# tree OFFSET BYTES: a change to the mapping block.
tree()
{
	cp base img
	poke img $((node * 1024 + $1)) "$2"
}

mapping=extents
make_base
[ -n "$node" ] || fail "base: no mapping block"
check_common
check_extents

# -- checksums

tree 1000 X
damaged "inode $deep, block $node: wrong checksum in an extent tree block"
tree 16 '\1'
damaged "inode $deep, block $node: wrong checksum in an extent tree block"
cp base img
poke img $(($(inode_at a) + 2)) X # the owner
damaged "inode $a: wrong checksum"
cp base img
poke img $((2 * 1024 + 20)) X # where the exclude bitmap would be
damaged "group 0: wrong checksum of the descriptor"
for kind in block inode; do
	csum=$(dumpe2fs base 2>/dev/null |
		sed -nE "s/^ *${kind^} bitmap at.*csum (0x[0-9a-f]+)/\\1/p" |
		sed 1q)
	for n in 1 $((csum ^ 1)) $((csum ^ 1 << 31)); do # either half
		set_group ${kind}_bitmap_csum "$n"
		damaged "block [0-9]*: group 0: wrong checksum of the $kind bitmap"
	done
done
cp base img
poke img $((xattr * 1024 + 900)) XYZXYZ
damaged "inode $(inode_of owner), block $xattr: wrong checksum of an xattr"

# -- what was never written, it is said, but was

set_group itable_unused 1530
damaged "inode [0-9]*, block [0-9]*: inode bitmap of group 0 differs"
set_group itable_unused 60000
damaged "group 0: more unused inodes than inodes"
set_group flags 1
damaged "group 0: "
set_group flags 2
damaged "block [0-9]*: block is in use but free in the bitmap"

# -- without checksums more can be wrong below the surface

make_base -O ^metadata_csum
check_common
check_extents
change "feature -extent"
damaged "inode [0-9]*: is mapped by extents, without the feature extent"
tree 0 X
damaged "inode $deep, block $node: invalid extent tree header"
tree 2 '\0\0'
damaged "inode $deep, block $node: invalid extent tree header"
tree 6 '\1' # its depth, which the kernel looks at, but not e2fsck
assert_unchanged img in_all_modes \
	"inode $deep, block $node: invalid extent tree header"
tree 24 '\1\0\0\0'
damaged "inode $deep, block $node: invalid extent 1: logical 1"
tree 20 '\0\0\0\1'
damaged "inode $deep, block $node: invalid extent 0: .* physical 1677"
cp base img
poke img $((xattr * 1024 + 4)) '\3' # the number of owners
damaged "inode [0-9]*, block $xattr: xattr block has 1 owners, should have 3"
cp base img
poke img $((xattr * 1024 + 8)) '\2' # the number of its blocks
damaged "inode [0-9]*, block $xattr: not an xattr block"
cp base img
poke img $((xattr * 1024)) X
damaged "inode [0-9]*, block $xattr: not an xattr block"
cp base img
poke img $((1024 + 40)) '\010\040' # 8200 inodes for 8192 bits
poke img 1024 '\020\100'
damaged "8200 inodes per group do not fit the bitmap"
# Two files with the same mapping block.
words=()
for i in {0..5}; do
	words+=("sif b block[$i] $(od -An -tu4 -j $(($(inode_at deep) + 40 + \
		4 * i)) -N 4 base | tr -d ' ')")
done
change "${words[@]}" "sif b blocks $(sectors_of deep)"
damaged "inode [0-9]*, block $node: block claimed twice, also by inode"

# -- indirect blocks

mapping=indirect
make_base -O ^metadata_csum,^64bit,^extent
check_common
change "sif a block[2] 99999"
damaged "inode $a, block 99999: block number out of range"
change "sif a block[IND] 99999"
damaged "inode $a, block 99999: block number out of range"
# One block of numbers in two places of a file, and one that names itself.
n=$(stat_of deep '\(IND\):([0-9]+)')
change "sif deep block[DIND] $n"
damaged "inode $deep, block $n: indirect block that is used twice"
change "sif deep block[IND] 0" "sif deep block[TIND] $n"
for i in {0..31}; do
	poke img $((n * 1024 + 4 * i)) \
		"\\$(printf %o $((n % 256)))\\$(printf %o $((n / 256)))"
done
damaged "inode $deep, block $n: indirect block that is used twice"

# -- clusters of four blocks: the file data has 59 blocks, so 15 clusters

# first NAME: where it begins
first()
{
	look "bmap $1 0" | sed 's/ .*//'
}

check_clusters()
{
	local a0 b0 n

	a0=$(first a)
	b0=$(first b)
	assert_eq 0 $((a0 % 4 + b0 % 4)) "files begin with a cluster"

	change "setb $free"
	damaged "block $free: block is not in use but marked in the bitmap"
	change "freeb $((a0 + 6))"
	damaged "block $((a0 + 4)): block is in use but free in the bitmap"

	# Also where each block has one owner only, but not its cluster.
	change "sif b block[5] $a0"
	damaged "inode $b, block $a0: block claimed twice, also by inode $a"
	change "punch b 0 0" "punch b 2 999" "punch a 1 999" \
		"sif b block[5] $((a0 + 1))"
	damaged "inode $b, block $a0: block claimed twice, also by inode $a"
	n=$(((table + 3) / 4 * 4))
	change "sif b block[5] $n"
	damaged ".*block $n: block claimed twice, also by"

	change "sif b block[5] $((b0 + 1))"
	damaged "inode $b, block $((b0 + 1)): logical block 0 is not at its"
	# In the middle of a cluster the file goes on in another one.
	change "punch b 9 9" "sif b block[8] $((b0 + 14))"
	damaged "inode $b, block $((b0 + 14)): logical block 10 is not at its"

	# Two logical clusters in one physical cluster, side by side.
	change "sif a block[0] 0x2f30a" "sif a block[3] 2" "sif a block[4] 2" \
		"sif a block[5] $((a0 + 2))" "sif a block[6] 4" \
		"sif a block[7] 2" "sif a block[8] $a0"
	damaged "inode $a, block $a0: block claimed twice, also by inode $a"

	n=$(group 'free cluster')
	set_group free_blocks_count $((n + 1))
	damaged "group 0: $((n + 1)) free blocks, should be $n"
	n=$(look stats | sed -n 's/^Free blocks: *//p')
	change "ssv free_blocks_count $((n - 4))"
	damaged "superblock: $((n - 4)) free blocks, should be $n"
	change "ssv free_blocks_count $((n + 1))"
	damaged "superblock: $((n + 1)) free blocks, should be $n"

	# The blocks that it has, or one cluster more; and without those of
	# the mapping block and of the xattr block.
	for n in a:118 a:128 deep:$(($(sectors_of deep) - 8)) \
		owner:$(($(sectors_of owner) - 8)); do
		change "sif ${n%:*} blocks ${n#*:}"
		damaged "inode $(inode_of ${n%:*}): i_blocks is ${n#*:}, should"
	done

	change "sif a flags 0" "sif a block[3] 0" "sif a block[4] 0" \
		"sif a block[0] $a0" "sif a block[1] $((a0 + 1))" \
		"sif a block[2] $((a0 + 2))" "sif a block[5] 0" \
		"sif a blocks 8"
	damaged "inode $a: is mapped by blocks, not by extents"

	# A mapping block in a hole of a cluster of its own file.
	n=$(($(look "bmap deep 4" | sed 's/ .*//') + 2))
	change "sif deep block[4] $n"
	twin "$node" "$n"
	damaged "inode $deep, block $((n - 2)): block claimed twice, also by"

	change "ssv first_data_block 1"
	damaged "the first cluster does not begin at block 0"
	# As many blocks, but for the bits above the 32nd.
	n=$(look stats | sed -n 's/^Clusters per group: *//p')
	n=$((n + (1 << 30)))
	change "ssv clusters_per_group $n"
	damaged "$n clusters per group are not"
}

# twin BLOCK TO: the same in another place
twin()
{
	dd if=base of=img bs=1024 skip="$1" seek="$2" count=1 conv=notrunc \
		status=none
}

mapping=extents
pieces deep 30
make_base -O bigalloc -C 4096
check_clusters
make_base -O bigalloc,^metadata_csum -C 4096
check_clusters
change "sif other file_acl $((xattr + 1))" # two of them in one cluster
twin "$xattr" $((xattr + 1))
damaged "inode [0-9]*, block $xattr: block claimed twice, also by inode"

# -- none of this: i_blocks counts the values in inodes of their own as well

make_base -O ea_inode
head -c 1024 data >value # all that debugfs takes; too much for the inode
for i in a deep; do
	change "ea_set $i user.big -f value" \
		"sif $i blocks $(($(sectors_of $i) + 2))"
	assert_clean img
	assert_exit 0 "$E4OFFDEFRAG" img
	assert_clean img
done

echo "$count images refused"
