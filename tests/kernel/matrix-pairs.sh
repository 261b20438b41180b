#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whole runs on file systems that hold every kind of inode: of each two
# features, sizes or places that mke2fs can give to a file system, there is one
# that has both. E4OFFDEFRAG_MATRIX=N adds N more that are drawn at random.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"
. "$srcdir/tests/matrix.sh"

skip_without_mount
need_cmd setfattr attr

draw_pairs 1 2
