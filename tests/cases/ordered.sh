#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# File systems without a journal that can be used: the same result as with
# one, and the journal that is not used stays as it is.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"

need_cmd debugfs e2fsprogs

# ordered IMAGE NOTE [OPTION...]
# A whole run, which says why it does without; nothing but places changes.
ordered()
{
	local image=$1 note=$2

	shift 2
	image_view "$image" >before
	assert_exit 0 "$E4OFFDEFRAG" -v --json --verify "$@" "$image"
	assert_grep "$note.*: metadata are written in order instead" err
	mv out run.json
	[ "$(member run.json steps_done)" -gt 0 ] || fail "nothing was done"
	assert_eq 0 "$(member run.json after fragmented_files)" "fragmented"
	image_view "$image" >after
	assert_same before after "what is in $image"
	assert_unchanged "$image" assert_exit 0 "$E4OFFDEFRAG" "$@" "$image"
}

for bs in 1024 4096; do
	for features in metadata_csum ^metadata_csum,^uninit_bg uninit_bg; do
		mkfragmented img 60 -b $bs -O ^has_journal,$features
		ordered img "no internal journal"
		assert_quiet img
	done
done

# Inodes of two sectors: what changes of them is in the first.
mkfragmented img 60 -b 4096 -O ^has_journal -I 1024
ordered img "no internal journal"
assert_quiet img

# A journal of version 1, and one that claims to be short.
mkfragmented img 60 -b 1024 -J size=1
log=$(($(debugfs -R "bmap <8> 0" img 2>/dev/null) * 1024))
cp img short
poke img $((log + 4)) '\0\0\0\3'
poke short $((log + 16)) '\0\0\x03\xff'
debugfs -R "dump <8> log.before" img 2>/dev/null
ordered img "cannot be used (it is of version 1)"
debugfs -R "dump <8> log.after" img 2>/dev/null
cmp log.before log.after || fail "the journal of version 1 has changed"
assert_clean img
ordered short "cannot be used (it is shorter than 1024 blocks)"

# An external journal.
mkimg log 4M -b 4096 -O journal_dev
mkfragmented img 60 -b 4096 -O ^has_journal
fsdebug img "feature has_journal" "ssv journal_dev 0x0801" \
	"ssv journal_uuid 5a3f6d70-1d2c-4e9b-8a51-0e4f0ff5e700" >/dev/null
cp log log.before
ordered img "no internal journal" -j log
cmp log log.before || fail "the external journal has changed"
e2fsck -fn -j log img >fsck.out 2>&1 || {
	cat fsck.out >&2
	fail "e2fsck finds errors behind the run with an external journal"
}
