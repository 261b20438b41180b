# SPDX-License-Identifier: GPL-2.0-or-later
# jq -R -n -f: the figures that bench/measure.sh wrote, to rows of medians.

def number: if test("^-?[0-9]+([.][0-9]+)?$") then tonumber else . end;

# The lower one of two in the middle.
def spread:
	sort | { median: .[(length - 1) / 2 | floor], low: .[0], high: .[-1] };

[inputs | split("\t") | {
	group: .[0], image: .[1], bytes: (.[2] | tonumber), what: .[3],
	name: .[5], value: (.[6] | number)
}]
| reduce .[] as $one ([];
	([$one.group, $one.image, $one.bytes, $one.what]) as $key
	| (map(.key == $key) | index(true)) as $at
	| if $at then .[$at].figures[$one.name] += [$one.value]
	  else . + [{ key: $key, figures: { ($one.name): [$one.value] } }] end)
| map({ group: .key[0], image: .key[1], bytes: .key[2], what: .key[3] }
	+ ({ note: (.figures.note // [] | .[0]) }
		| with_entries(select(.value)))
	+ { figures: (.figures | del(.note) | map_values(spread)) })
