#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The second half of the configurations of matrix-pairs.sh.

. "${0%/*}/../lib.sh"
. "$srcdir/tests/layout.sh"
. "$srcdir/tests/matrix.sh"

skip_without_mount
need_cmd setfattr attr

draw_pairs 2 2
