#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The judge of all other tests: whatever of a file changes, its digest does,
# and what is no part of a file does not count.

. "${0%/*}/../lib.sh"

need_cmd debugfs e2fsprogs

mkimg img 8M -b 1024 -O ^metadata_csum
seq 100000 102999 >host # 21 blocks
fsdebug img "mkdir dir" "write host dir/file" "write host dir/other" \
	"ea_set dir/file user.small in-the-inode" >/dev/null
fsdebug img "ea_set dir/other user.name $(printf '%0300d' 7)" >/dev/null

# Leaves the number of a block of a file in $blk.
block_of()
{
	blk=$(debugfs -R "bmap $1 $2" img 2>/dev/null)
	blk=${blk%% *} # "(uninit)" may follow
	[ "${blk:-0}" -gt 0 ] || fail "$1 has no block $2"
}

# counts WHAT COMMAND...
# The digest changes with what the command changes in a copy.
counts()
{
	local what=$1 before after

	shift
	cp img copy
	before=$(digest copy)
	"$@" >/dev/null
	after=$(digest copy) || fail "cannot be read any more: $what"
	[ "$before" != "$after" ] || fail "does not count: $what"
}

# does_not_count WHAT COMMAND...
does_not_count()
{
	local what=$1 before

	shift
	cp img copy
	before=$(digest copy)
	"$@" >/dev/null
	! cmp -s img copy || fail "changes nothing: $what"
	assert_eq "$before" "$(digest copy)" "the digest, which counts $what"
}

block_of dir/file 0
counts "the first byte" poke copy $((blk * 1024)) 'x'
block_of dir/file 20
counts "the last block" poke copy $((blk * 1024 + 1)) 'x'
counts "zeros behind the end" poke copy $((blk * 1024 + 1023)) 'x'
block_of dir 0
counts "a name" poke copy $((blk * 1024 + 32)) 'x'
counts "a directory's unused end" poke copy $((blk * 1024 + 1023)) 'x'
counts "a mode" fsdebug copy "sif dir/file mode 0100600"
counts "a time" fsdebug copy "sif dir/file mtime 1"
counts "a size" fsdebug copy "sif dir/file size 5000"
counts "flags" fsdebug copy "sif dir/file flags 0x80010"
counts "a new name" fsdebug copy "ln dir/file dir/new"
counts "a small attribute" fsdebug copy "ea_set dir/file user.small else"
counts "no attribute" fsdebug copy "ea_rm dir/file user.small"
blk=$(debugfs -R "stat dir/other" img 2>/dev/null |
	sed -n 's/.*File ACL: *\([0-9]*\).*/\1/p')
[ "$blk" -gt 0 ] || fail "no block of attributes"
counts "an attribute's block" \
	fsdebug copy "ea_set dir/other user.name $(printf '%0300d' 8)"

# Blocks that are not written (a length of 32768 more in the extent): that they
# are not counts, and not what is in them. Blocks behind the end count.
counts "not written" fsdebug copy "sif dir/file block[4] $((32768 + 21))"
fsdebug img "sif dir/file block[4] $((32768 + 21))" >/dev/null
block_of dir/file 5
does_not_count "what is not written" poke copy $((blk * 1024)) 'x'
fsdebug img "sif dir/other size 1000" >/dev/null
block_of dir/other 20
counts "a byte behind the end" poke copy $((blk * 1024)) 'x'
counts "no block behind the end" fsdebug copy "sif dir/other block[4] 20"

# A place, the journal and free blocks do not count.
block_of '<8>' 5
does_not_count "the log" poke copy $((blk * 1024)) 'x'
does_not_count "a free block" poke copy $((8191 * 1024)) 'x'
move()
{
	block_of dir/other 0
	dd if=copy of=copy bs=1024 skip="$blk" seek=8000 count=21 \
		conv=notrunc status=none
	fsdebug copy "sif dir/other block[5] 8000"
}
does_not_count "a place" move
