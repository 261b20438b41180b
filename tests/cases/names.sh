#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The order of readdir that the library computes, against what a kernel (6.18)
# has listed for the same images; tests/kernel/names.sh asks the one that runs.
# With RECORD=1 and root this prints the list below anew.

. "${0%/*}/../lib.sh"

printf %0200d 1 >text # too long to be within an inode

# make MKE2FS-OPTION...
# Directories that may be within inodes, of one block, and of more blocks with
# long names; the bytes of some are above 127. A directory with an index is made
# by e2fsck -D.
make()
{
	local dir n

	mkimg img 16M -N 512 "$@"
	{
		for dir in small large small/below; do
			echo "mkdir $dir"
			for n in {1..9}; do
				echo "write text $dir/file$n"
				echo "write text $dir/$(printf '\303\244%d\377' "$n")"
			done
		done
		echo "mkdir tiny"
		for n in {1..4}; do
			echo "write text tiny/$n"
		done
		for n in {10..60}; do
			echo "write text large/long.$(printf "%0${n}d" "$n")"
		done
	} >commands
	debugfs -w -f commands img >/dev/null 2>debugfs.err
	[ "$(wc -l <debugfs.err)" = 1 ] || fail "$(cat debugfs.err)"
}

# Directories with names that are folded; as the directories, so that they are
# empty first. Those that cannot be folded are in one of one block only: e2fsck
# 1.47 has no hash of these.
make_folded()
{
	local n

	mkimg img 16M -b 1024 -N 512 -O casefold
	fsdebug img "mkdir few" "mkdir many" \
		"set_inode_field few flags 0x40080000" \
		"set_inode_field many flags 0x40080000" >/dev/null
	for n in {1..9}; do
		printf 'write text few/%b%d\n' '\303\204' $n '\303\377' $n
	done >commands
	for n in {10..30}; do
		printf 'write text many/%b-%d\n' \
			'\303\204-Stra\303\237e' $n \
			'A\314\210-e\314\201' $n \
			'\316\221\316\222\316\223\316\243\317\202' $n \
			'soft\302\255hyphen\342\200\213' $n \
			'\304\260I\304\261i' $n \
			'\352\260\200\355\225\234' $n \
			'\357\274\241\357\274\242' $n \
			'\360\220\220\200\360\220\220\201' $n
	done >>commands
	fsdebug img "$(cat commands)" >/dev/null
}

# check WHAT WANTED
# Leaves the order of the inodes in order.WHAT.
check()
{
	"$TOOLS/names" img >"order.$1"
	[ "$(wc -l <"order.$1")" -gt 100 ] || fail "few inodes: $1"
	if [ -n "${RECORD-}" ]; then
		mkdir -p mnt
		mount -o loop,ro img mnt
		"$TOOLS/names" -k mnt >listed
		unmount mnt
		awk 'NR == FNR { has[$1]; next } $1 in has' "order.$1" listed |
			cksum | sed "s/^/$1 /"
		return
	fi
	assert_clean img
	assert_eq "$(awk -v what="$1" '$1 == what { print $2, $3 }' wanted)" \
		"$(cksum <"order.$1")" "the order of: $1"
}

cat >wanted <<'END'
legacy-1-linear 1645957494 369
legacy-1-indexed 4208875407 369
legacy-2-linear 908201627 369
legacy-2-indexed 4017407445 369
half_md4-1-linear 923884821 369
half_md4-1-indexed 2507766373 369
half_md4-2-linear 536432808 369
half_md4-2-indexed 2019333596 369
tea-1-linear 3413025685 369
tea-1-indexed 4029568415 369
tea-2-linear 107292789 369
tea-2-indexed 2303582179 369
blocks-4k 2507766373 369
no-index 219803381 369
inline 3099120017 366
batches 2706735743 4929
indexed-before-tea 1330093769 369
folded-linear 1949140766 669
folded-indexed 1573382052 669
END

for hash in legacy half_md4 tea; do
	for flags in 1 2; do
		make -b 1024
		tune2fs -E hash_alg=$hash img >/dev/null
		fsdebug img "set_super_value flags $flags" >/dev/null
		check $hash-$flags-linear
		e2fsck -fyD img >/dev/null 2>&1 || :
		check $hash-$flags-indexed
		! cmp -s order.$hash-$flags-linear order.$hash-$flags-indexed ||
			fail "an index makes no difference"
	done
	! cmp -s order.$hash-1-indexed order.$hash-2-indexed ||
		fail "$hash: signs make no difference"
done
make -b 4096
check blocks-4k
make -b 1024 -O ^dir_index
check no-index
make -b 1024 -O inline_data
check inline
# More directories than are read together, and sorted meanwhile.
mkimg img 16M -b 4096 -N 2048
for n in {1..400}; do
	printf '%s\n' "mkdir $n" "write text $n/a" "write text $n/b"
done >commands
debugfs -w -f commands img >/dev/null 2>&1
check batches
make -b 1024
e2fsck -fyD img >/dev/null 2>&1 || :
tune2fs -E hash_alg=tea img >/dev/null
check indexed-before-tea

# Folded names; what a kernel (6.12) with CONFIG_UNICODE has listed.
make_folded
check folded-linear
e2fsck -fyD img >/dev/null 2>&1 || :
check folded-indexed

# Folded and encrypted: each entry holds its hash, behind its name. Here these
# are the last eight bytes of longer names, which are cut off.
mkimg img 1M -b 1024 -N 64 -O casefold,encrypt,^metadata_csum,^has_journal
fsdebug img "mkdir both" >/dev/null
for n in {1..9}; do
	echo "write text both/sixteen-bytes--${n}12345678"
done >commands
fsdebug img "$(cat commands)" >/dev/null
fsdebug img "set_inode_field both flags 0x40080800" >/dev/null
at=$(($(debugfs -R "bmap both 0" img 2>/dev/null) * 1024 + 24))
: >hashes
for n in {1..9}; do
	major=$((n * 5 % 9 / 2)) minor=$((9 - n * 5 % 9))
	poke img $((at + 6)) "\\x10"
	poke img $((at + 24)) "\\0\\0\\0\\x$major\\0\\0\\0\\x$minor"
	at=$((at + 32))
	echo "$major $minor $((12 + n))" >>hashes
done
"$TOOLS/names" img | sed '/^2$/d; /^11$/d' >order
echo 12 >wanted
sort -n hashes | cut -d ' ' -f 3 >>wanted
cmp wanted order || fail "not in the order of the hashes in the entries"
