#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --help, the manual page and the README say the same, and the program does
# what they say about its exit status.

. "${0%/*}/../lib.sh"

man=$srcdir/man/e4offdefrag.8
readme=$srcdir/README

# Text of the manual page's section $1, without font changes.
section()
{
	sed -n "/^\.SH $1\$/,/^\.SH /{/^\.SH /!p}" "$man" |
		sed 's/\\f[BIRP]//g; s/\\-/-/g'
}

# Options at the start of the lines on stdin: "-h, --help  text" gives two.
# What stands behind two blanks or a tab is text.
options()
{
	sed -n 's/^[[:space:]]*\(-[-a-zA-Z]\)/\1/p' |
		sed 's/\(  \|	\).*//' |
		grep -oE -- '(^|[ ,/|])--?[A-Za-z][-a-z]*' |
		tr -d ' ,/|' | sort -u
}

# The words of the synopsis in a text, up to the next blank line.
synopsis()
{
	sed -n '/e4offdefrag \[-/,/^[[:space:]]*$/p' |
		sed '1s/.*e4offdefrag \[/e4offdefrag [/' |
		tr -s '[:space:]' ' ' | sed 's/ $//'
}

assert_exit 0 "$E4OFFDEFRAG" --help
cp out help
assert_eq "" "$(cat err)" "--help writes to the standard error"
assert_exit 0 "$E4OFFDEFRAG" -h
assert_eq "$(cat help)" "$(cat out)" "-h is not --help"

# -- options

section OPTIONS >man.options
grep -A1 '^\.TP' man.options | options >man.list
options <help >help.list
[ -s man.list ] || fail "no options found in the manual page"
assert_eq "$(cat man.list)" "$(cat help.list)" \
	"options: the manual page (wanted) and --help (found) differ"

# -- the synopsis, and that it names every option but those for help

words=$(section SYNOPSIS | tr -s '[:space:]' ' ' | sed 's/ $//')
assert_eq "$words" "$(synopsis <help)" \
	"synopsis: the manual page (wanted) and --help (found) differ"
assert_eq "$words" "$(synopsis <"$readme")" \
	"synopsis: the manual page (wanted) and the README (found) differ"
while read -r option; do
	case $option in
	-h | --help | --version) continue ;;
	--*) want="\\[$option[]= ]" ;;
	*) want="\\[-[A-Za-z]*${option#-}" ;;
	esac
	[[ $words =~ $want ]] || fail "option $option is not in the synopsis"
done <man.list

# -- exit status

# "Exit status: 0 done, 4 ..." up to the full stop.
statuses()
{
	tr '\n' ' ' | sed -n 's/.*[Ee]xit status: \([^.]*\)\..*/\1/p' |
		grep -oE '[0-9]+'
}

want=$(section 'EXIT STATUS' | grep -xE '[0-9]+')
assert_eq "$want" "$(statuses <"$readme")" \
	"exit status: the manual page (wanted) and the README (found) differ"
assert_eq "$want" "$(statuses <help)" \
	"exit status: the manual page (wanted) and --help (found) differ"
assert_exit 16 "$E4OFFDEFRAG"
assert_exit 16 "$E4OFFDEFRAG" --no-such-option image
assert_exit 16 "$E4OFFDEFRAG" one two
assert_exit 16 "$E4OFFDEFRAG" -E no-such-option image
assert_exit 8 "$E4OFFDEFRAG" no-such-image
assert_grep no-such-image err

# -- the version

assert_exit 0 "$E4OFFDEFRAG" -V
version=$(sed 1q out)
assert_eq "$version" "$(sed -n 's/^\.TH.*"\(e4offdefrag [^"]*\)".*/\1/p' \
	"$man")" "-V (wanted) and the manual page (found) differ"
assert_eq "$version" "$(sed -nE '1s/^(e4offdefrag [^ ]*).*/\1/p' \
	"$srcdir/NEWS")" "-V (wanted) and NEWS (found) differ"

# -- what keeps a crash harmless: listed where it is cited, and the other way

grep -oE '^I[0-9]+ ' "$srcdir/CONTRIBUTING" | tr -d ' ' | sort >listed
cat "$srcdir"/lib/*.[ch] "$srcdir"/tests/crash/*.[ch] |
	grep -oE '\bI[0-9]+\b' | sort -u >cited
[ -s listed ] || fail "CONTRIBUTING lists no invariants"
assert_eq "$(cat listed)" "$(cat cited)" \
	"invariants: CONTRIBUTING (wanted) and the code (found) differ"

# -- the form of the manual page; a machine without mandoc leaves it out

if command -v mandoc >/dev/null; then
	mandoc -T lint -W style "$man" || fail "mandoc has remarks"
else
	echo "mandoc is not here (Debian: mandoc): the page was not linted"
fi
