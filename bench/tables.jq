# SPDX-License-Identifier: GPL-2.0-or-later
# jq -r -f: results.json to RESULTS.md.

# With so many digits behind the point; "-" for nothing.
def fixed($digits):
	if . == null then "-"
	elif $digits == 0 then round | tostring
	else pow(10; $digits) as $scale
	| (. * $scale | round) as $n
	| ($n / $scale | floor | tostring) + "."
		+ ($n % $scale | tostring | "000" + . | .[-$digits:])
	end;

def mib: if . == null then "-" else . / 1048576 | fixed(1) end;
def kib: if . == null then "-" else . / 1024 | fixed(1) end;
def seconds:
	if . == null then "-"
	else "\(.median | fixed(2)) "
		+ "(\(.low | fixed(2))..\(.high | fixed(2)))" end;
def row: "| " + join(" | ") + " |";
def table($head): ($head | row), ($head | map("---") | row), (.[] | row);
def size:
	if . % 1073741824 == 0 then "\(. / 1073741824) GiB"
	else "\(. / 1048576 | fixed(0)) MiB" end;

def figures_table:
	map(.figures as $f | [.what, ($f.wall | seconds), ($f.cpu | seconds),
		($f.read_bytes.median | mib),
		($f.read_requests.median | fixed(0)),
		($f.write_bytes.median | mib),
		($f.write_requests.median | fixed(0)),
		($f.flushes.median | fixed(0)),
		($f.peak_kib.median | kib),
		($f.excess_runs.median | fixed(0)),
		($f.fragmented_files.median | fixed(0)),
		($f.free_runs.median | fixed(0))]
		| if length and $f.wall == null then .[1] = "-" else . end)
	| table(["", "wall s", "CPU s", "read MiB", "reads", "written MiB",
		"writes", "flushes", "peak MiB", "excess runs",
		"fragmented files", "free runs"]);

def ratio_table:
	map(select(.to_dd) | .to_dd as $f | [.what, ($f.wall, $f.cpu,
		$f.read_bytes, $f.read_requests,
		$f.write_bytes, $f.write_requests, $f.flushes,
		$f.peak_kib | fixed(2))])
	| table(["by dd", "wall", "CPU", "bytes read", "reads",
		"bytes written", "writes", "flushes", "peak"]);

def notes: .[] | select(.note) | "", "\(.what): \(.note)";

# A column for each kind: seconds by those of dd, and excess runs left.
def summary:
	map(select(.group == "kind")) as $rows
	| ($rows | map(.image) | unique) as $images
	| def cell($what):
		. as $image
		| $rows
		| map(select(.image == $image and .what == $what)) | .[0]
		| if . == null then "-"
		  elif .figures.wall == null and .what != "before" then "failed"
		  else "\(.to_dd.wall | fixed(2)); \(.figures.excess_runs.median
			| fixed(0))" end;
	"", "## Seconds by those of dd; excess runs left", "",
	($rows | reduce .[].what as $what ([];
		if index($what) then . else . + [$what] end)
	| map(. as $what | [$what] + ($images | map(cell($what))))
	| table([""] + $images));

def kind_section:
	(map(select(.what == "before")) | .[0].figures) as $before
	| "", "## \(.[0].image), \(.[0].bytes | size)", "",
	"\($before.files.median) files, \($before.fragmented_files.median) "
	+ "of them fragmented, these of "
	+ "\($before.fragmented_bytes.median | mib) MiB.",
	"", figures_table, "", ratio_table, notes;

def growth_section:
	"", "## Growth", "",
	(map(. as $r | .figures as $f | [(.bytes | size), .what,
		($f.wall | seconds), ($f.cpu | seconds),
		(if $f.wall then $f.wall.median / (.bytes / 1073741824)
		 else null end | fixed(2)),
		(.to_dd.wall | fixed(2)),
		($f.peak_kib.median | kib)])
	| map(select(.[1] != "before"))
	| table(["size", "", "wall s", "CPU s", "s for each GiB", "wall by dd",
		"peak MiB"]));

def memory_section:
	"", "## The same image in memory: what the software costs", "",
	(map(.figures as $f | [.what, ($f.wall | seconds), ($f.cpu | seconds),
		($f.peak_kib.median | kib)])
	| table(["", "wall s", "CPU s", "peak MiB"]));

def scan_section:
	"", "## Looking only (-c)", "",
	(map(.figures as $f | [.image, .what, ($f.wall | seconds),
		($f.cpu | seconds), ($f.read_bytes.median | mib),
		($f.peak_kib.median | kib),
		(.wall_to_raw | fixed(2))])
	| table(["image", "", "wall s", "CPU s", "read MiB", "peak MiB",
		"wall by raw"]));

def top:
	map(select(.function != "all") | "`\(.function)` (\(.percent) %)")
	| .[:3] | join(", ");

def profile_section($title):
	. as $all
	| reduce .[].of as $of ([]; if index($of) then . else . + [$of] end)
	| .[] as $of
	| $all
	| map(select(.of == $of))
	| "", "### \($of): \($title)", "", "Most: \(top).", "",
	(map(["\(.percent)", .where // "",
		if .function == "all" then "all of it"
		else "`\(.function)`" end])
	| table(["%", "", "function"]));

.machine as $m | .settings as $set
| "# Results", "",
"Made by bench/run, like results.json; bench/README says what the rows and "
+ "figures are.  Medians of \($set.runs), and in brackets the lowest and the "
+ "highest.",
"", "\(.program), \(.date), seed \($set.seed).", "",
"- CPU: \($m.cpu), \($m.cores) cores"
+ (if $m.virtual then ", a virtual machine" else "" end),
"- RAM: \($m.ram_mib) MiB",
"- disk: \($m.disk)"
+ (if $m.rotational then ", rotational as the kernel has it" else "" end)
+ "; images on loop devices with direct I/O, on \($m.host_fs)",
"- kernel: \($m.kernel); e2fsprogs \($m.e2fsprogs); "
+ "xfsprogs \($m.xfsprogs)",
"- load: \($m.load)",
(if $m.note != "" then "- \($m.note)" else empty end),
(.skipped[] | "- skipped: \(.)"),
(.rows | summary),
(.rows | map(select(.group == "kind")) | [group_by([.image, .bytes])[]]
	| .[] | kind_section),
(.rows | map(select(.group == "growth")) | select(length > 0)
	| sort_by(.bytes) | growth_section),
(.rows | map(select(.group == "memory")) | select(length > 0)
	| memory_section),
(.rows | map(select(.group == "scan")) | select(length > 0)
	| scan_section),
"", "## What the time goes for",
(.profile | profile_section("CPU time, the kernel with it")),
(.instructions | profile_section("instructions of the program, "
	+ "on the image of bench/counts"))
