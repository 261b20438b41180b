#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whole runs on file systems that hold every kind of inode, in the
# configurations of tests/matrix.list.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"
. "$srcdir/tests/matrix.sh"

skip_without_mount
need_cmd setfattr attr

while read -r size words options <&3; do
	case $size in
	'' | '#'*) continue ;;
	esac
	# shellcheck disable=SC2086 # words
	config "$size" "${words//[-,]/ }" $options
done 3<"$srcdir/tests/matrix.list"
