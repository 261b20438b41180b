#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel reads ahead in what is open: libblkid switches that off, and the
# program on again.

. "${0%/*}/../lib.sh"

why=$(skip_without_iotrap) || skip "$why"

NORMAL=0 # POSIX_FADV_NORMAL

mkimg img 8M
for mode in -c -n -v; do
	assert_exit 0 iotrap img "$E4OFFDEFRAG" $mode img
	read -r reads _ _ advice <iotrap.log
	[ "$reads" -gt 0 ] || fail "nothing was read with $mode"
	assert_eq $NORMAL "$advice" "the advice that is in force with $mode"
done
