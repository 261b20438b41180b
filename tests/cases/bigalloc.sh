#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# File systems with bigalloc, without a mount: a whole run changes nothing but
# places, also where hardly anything is free and where the last cluster is not
# whole.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

need_cmd debugfs e2fsprogs

# run WHAT: leaves the report in run.json
run()
{
	assert_clean img
	image_view img >before
	assert_exit 0 "$E4OFFDEFRAG" -v --json --verify img
	mv out run.json
	mv err run.err
	[ "$(member run.json steps_done)" -gt 0 ] || fail "nothing done: $1"
	[ "$(member run.json after runs)" -lt \
		"$(member run.json before runs)" ] || fail "no gain: $1"
	assert_clean img
	image_view img >after
	assert_same before after "what is in the image: $1"
	assert_unchanged img assert_exit 0 "$E4OFFDEFRAG" img
	printf '%-44s %5d -> %5d runs, ideal %5d\n' "$1" \
		"$(member run.json before runs)" \
		"$(member run.json after runs)" \
		"$(member run.json after ideal_runs)"
}

# as_found: the report agrees with debugfs on the runs of all files
as_found()
{
	breaks img >breaks
	assert_eq $(($(member run.json after files) + $(wc -l <breaks))) \
		"$(member run.json after runs)" "runs after"
}

for geometry in "1024 2048" "1024 16384" "2048 8192" "4096 65536"; do
	for features in has_journal ^has_journal,^metadata_csum; do
		read -r bs size <<<"$geometry"
		cluster=$((size / bs))
		mkimg img 48M -b "$bs" -C "$size" -O bigalloc,$features
		"$TOOLS/fragment" -s 3 -f 100 -p 60 -m 2048 \
			-k $((size / 512)) -x img
		run "$bs, $size, $features"
		as_found
	done
done

# Three blocks of descriptors, which with blocks of 1 KiB are in other places
# than libext2fs 1.47 thinks.
cluster=2
mkimg img 48M -b 1024 -C 2048 -g 512 -O bigalloc,^resize_inode
"$TOOLS/fragment" -s 3 -f 100 -p 60 -m 512 -k 4 img
run "many groups"
as_found

for percent in 90 95; do
	cluster=4
	mkimg img 32M -b 1024 -C 4096 -O bigalloc
	"$TOOLS/fragment" -s 3 -f 100 -p $percent -m 2048 -k 16 img
	run "$percent % full"
	as_found
done

# ---- a mapping block that is not the first of its cluster, as e2fsck -y can
# leave it behind

cluster=4
for features in metadata_csum ^metadata_csum; do
	mkimg img 16M -b 1024 -C 4096 -O bigalloc,$features
	"$TOOLS/fragment" -s 4 -f 20 -p 60 -m 512 -k 4 img
	moved=0
	for ((ino = 12; ino < 60; ino++)); do
		node=$(debugfs -R "ex <$ino>" img 2>/dev/null |
			awk '$1 == "0/" && $2 == 1 { print $8; exit }')
		[ "$node" ] || continue
		dd if=img of=img bs=1024 skip="$node" seek=$((node + 3)) \
			count=1 conv=notrunc status=none
		fsdebug img "sif <$ino> block[4] $((node + 3))" >/dev/null
		moved=$((moved + 1))
	done
	[ $moved -gt 4 ] || fail "only $moved mapping blocks"
	run "mapping blocks within clusters, $features"
	as_found
done

# ---- xattr blocks in such places, which they keep

mkimg img 16M -b 1024 -C 4096 -O bigalloc,^metadata_csum
"$TOOLS/fragment" -s 4 -f 20 -p 60 -m 512 -k 4 img
head -c 600 /dev/zero | tr '\0' x >value
for ((ino = 60; ino < 66; ino++)); do
	fsdebug img "ea_set <$ino> user.x -f value" >/dev/null
	acl=$(debugfs -R "stat <$ino>" img 2>/dev/null |
		sed -n 's/.*File ACL: \([0-9]*\).*/\1/p')
	dd if=img of=img bs=1024 skip="$acl" seek=$((acl + 3)) count=1 \
		conv=notrunc status=none
	fsdebug img "sif <$ino> file_acl $((acl + 3))" >/dev/null
done
run "xattr blocks within clusters"

# ---- the end within a cluster, with a file there that has two pieces

cluster=16
mkimg img 16M -b 1024 -C 16384 -O bigalloc
head -c 17408 /dev/urandom >data
fsdebug img "write data edge" "ssv blocks_count 16379" >/dev/null
"$TOOLS/fragment" -s 5 -f 60 -p 60 -m 512 -k 32 img
at=$(debugfs -R "bmap edge 0" img 2>/dev/null)
assert_eq $((at + 16)) "$(debugfs -R "bmap edge 16" img 2>/dev/null)" "a run"
for blk in 16368 16378; do
	debugfs -R "testb $blk" img 2>/dev/null | grep -q 'not in use' ||
		fail "the last cluster is in use"
done
cp img free
fsdebug img "sif edge block[0] 0x2f30a" "sif edge block[4] 16" \
	"sif edge block[6] 16" "sif edge block[7] 1" \
	"sif edge block[8] 16368" "freeb $((at + 16))" "setb 16368" >/dev/null
dd if=free of=img bs=1024 skip=$((at + 16)) seek=16368 count=1 conv=notrunc \
	status=none
ino=$(inode img /edge)
places img "$ino" >places
run "the last cluster, in use"
assert_grep "inode $ino: in the incomplete last cluster" run.err
assert_grep '"reason": "in the incomplete last cluster"' run.json
places img "$ino" | cmp - places || fail "the file at the end was moved"
as_found
cp free img
run "the last cluster, free"
assert_eq 0 "$(member run.json after fragmented_files)" "fragmented files"
as_found
