# SPDX-License-Identifier: GPL-2.0-or-later
# jq -n -r -f: all parts, to results.json, a row on each line.  A row has each
# figure also as a ratio to that of dd in the same run.

def round4: . * 10000 | round / 10000;

# Of the read device for what scans: their limit is `raw'.
def scan_rows:
	map({ group: "scan", image, what, bytes: 0, figures: {
		wall: .seconds, cpu, peak_kib: .kib, read_bytes: .bytes
	}, wall_to_raw: .ratio });

def with_ratios($all):
	. as $row
	| ($all | map(select(.what == "dd" and .group == $row.group and
		.image == $row.image and .bytes == $row.bytes)) | .[0]) as $dd
	| if $dd and (.figures.wall // false) then
		.to_dd = ([.figures | to_entries[]
			| ($dd.figures[.key].median // 0) as $base
			| select($base > 0)
			| { key, value: (.value.median / $base | round4) }]
			| from_entries)
	  else . end;

def lines:
	if type == "array" and length > 0 then
		"[\n" + (map(tojson) | join(",\n")) + "\n]"
	else tojson end;

($rows[0] + ($scan[0] | scan_rows)) as $all
| {
	version: 1,
	date: $date,
	program: $program,
	settings: { bytes: $bytes, runs: $runs, seed: $seed },
	machine: $machine[0],
	skipped: $skipped[0],
	rows: ($all | map(with_ratios($all))),
	profile: ($profile[0]
		| map({ of: .[0], percent: (.[1] | rtrimstr("%") | tonumber),
			where: (.[2] | split("/") | .[-1]), function: .[3] })),
	instructions: ($counts[0]
		| map({ of: .[0], percent: (.[1] | tonumber),
			function: .[2] }))
}
| "{\n" + (to_entries | map("\(.key | tojson): \(.value | lines)")
	| join(",\n")) + "\n}"
