#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every source and every test of the tree is in the list of its Makemodule.am:
# else it would not run, or be missing from the tarball.

. "${0%/*}/../lib.sh"

unlisted=

# check LIST FILE...
check()
{
	local list=$1 file name

	shift
	for file; do
		name=${file#"$srcdir"/}
		case $name in
		tests/*.c) name="${name%.c}(\.c)?" ;; # or its program
		*e4df_err.[ch]) continue ;;   # generated
		esac
		[ -e "$file" ] || continue # a pattern without a match
		grep -qE "(^|[[:space:]])$name(\.c)?([[:space:]]|\$)" \
			"$srcdir/$list" || unlisted="$unlisted $name"
	done
}

check lib/Makemodule.am "$srcdir"/lib/*.[ch]
check src/Makemodule.am "$srcdir"/src/*.[ch]
check tests/Makemodule.am "$srcdir"/tests/{cases,kernel,crash,fault,fuzz}/*.sh \
	"$srcdir"/tests/unit/test_*.c "$srcdir"/tests/tools/*.[ch] \
	"$srcdir"/tests/crash/mutants/*.patch
assert_eq "" "$unlisted" "not in a Makemodule.am"
