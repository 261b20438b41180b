#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes ./configure from a git checkout.

set -eu
cd "$(dirname "$0")"

for need in autoreconf:autoconf automake:automake pkg-config:pkg-config; do
	command -v "${need%%:*}" >/dev/null || {
		echo "autogen.sh: ${need%%:*} is missing" \
			"(Debian: ${need##*:})" >&2
		exit 1
	}
done
exec autoreconf --install --force --warnings=all
