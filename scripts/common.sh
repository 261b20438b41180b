# SPDX-License-Identifier: GPL-2.0-or-later
# What scripts/demo, scripts/check and bench/run share (bash).

set -eu -o pipefail
set -m # each command in the background is a process group: see run
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self=${0##*/}
jobs=$(nproc 2>/dev/null || echo 2)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/e4offdefrag-$self.XXXXXX")
child=

# What a script has to give back at its end, before its files go.
release()
{
	:
}

cleanup()
{
	local status=$? wait

	trap - EXIT
	trap '' HUP INT TERM
	if [ -n "$child" ]; then
		kill -TERM -- "-$child" 2>/dev/null || :
		wait "$child" 2>/dev/null || :
		# Its children may still clean up after themselves.
		for wait in {1..50}; do
			kill -0 -- "-$child" 2>/dev/null || break
			sleep 0.2
		done
	fi
	cd /
	release || :
	rm -rf --one-file-system "$tmp"
	exit $status
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "$self" "$*" >&2
	exit 1
}

# run COMMAND...
# Waits so that a signal to this script is handled at once, and ends the
# command with all its children.
run()
{
	local status=0

	"$@" </dev/null &
	child=$!
	wait "$child" || status=$?
	child=
	return $status
}

# What a build needs, as Debian packages.
build_packages="gcc libc6-dev make autoconf automake pkg-config
	libext2fs-dev libblkid-dev comerr-dev zlib1g-dev e2fsprogs"

# install_packages PACKAGE...
# Says which of them are missing and installs these, no others.
install_packages()
{
	local package state missing=() as_root=()

	if ! command -v dpkg-query >/dev/null; then
		say "This is not a Debian system, so nothing will be installed."
		say "Needed, by their Debian names:" "$@"
		return
	fi
	for package; do
		state=$(dpkg-query -W -f '${db:Status-Status}' \
			"$package" 2>/dev/null) || state=
		[ "$state" = installed ] || missing+=("$package")
	done
	if [ ${#missing[@]} = 0 ]; then
		say "Nothing to install: all packages needed are there."
		return
	fi
	say "Will install with apt-get: ${missing[*]}"
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "not root, and no sudo." \
			"As root: apt-get install ${missing[*]}"
		as_root=(sudo)
	fi
	# In the foreground: sudo may ask for a password.
	"${as_root[@]}" apt-get -q update &&
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
			--no-install-recommends install "${missing[@]}" ||
		die "apt-get failed; missing: ${missing[*]}"
}

# logged LOG COMMAND...
# Runs with the output in a file of its own, and shows its end on failure.
logged()
{
	local log=$1 status=0

	shift
	run "$@" >"$log" 2>&1 || status=$?
	if [ $status != 0 ]; then
		tail -n 40 "$log"
		say "$self: status $status: $*"
	fi
	return $status
}

# configure_in DIRECTORY [CONFIGURE-OPTION...]
# Makes the directory ready for make.
configure_in()
{
	local dir=$1

	shift
	mkdir -p "$dir"
	if [ ! -e "$top/configure" ]; then
		logged "$tmp/autogen.log" "$top/autogen.sh" || return
	fi
	(cd "$dir" && "$top/configure" -q "$@")
}
