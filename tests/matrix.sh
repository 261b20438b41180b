# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced after lib.sh and layout.sh: whole runs on file systems of one
# configuration each, with every kind of inode that its features allow, made
# by the kernel where it can and without it where it cannot.
#
#	. "$srcdir/tests/matrix.sh"

# What the program refuses by now: it is shown that it does. Without a name here
# the configurations that have the feature are run like all others.
: "${refused=}"

# populate IMAGE WORD...
# Words: "boot", a boot sector in use; "large", the deepest trees, and not much
# else.
populate()
{
	local image=$1 percent=40 mean=16 status=0

	shift
	fill=fill
	[[ " $* " != *" large "* ]] || percent=45 mean=256 fill=fill_large
	"$TOOLS/fragment" -s 7 -f 120 -p $percent -m 512 -k $mean -a "$image"
	# Directories get an index; it needs no mount, so also with casefold.
	e2fsck -fyD -E no_optimize_extents "$image" >fsck.out 2>&1 || status=$?
	if [ $status -gt 1 ]; then
		cat fsck.out >&2
		fail "e2fsck -D: status $status"
	fi
	by_kernel "$image"
	[[ " $* " != *" boot "* ]] || poke "$image" 0 '\353\130'
	assert_clean "$image"
}

# mount_image OPTIONS IMAGE: fails if the kernel does not do it
mount_image()
{
	mkdir -p mnt
	mount -o "loop,$1" "$2" mnt 2>/dev/null
}

# What is encrypted is so by a key of the kernel's own, for tests.
mount_options()
{
	local options=rw

	! has "$1" encrypt || options=rw,test_dummy_encryption
	! has "$1" project || options=ro
	! has "$1" quota || options=ro
	echo $options
}

# has IMAGE FEATURE
has()
{
	dumpe2fs -h "$1" 2>/dev/null |
		grep -q "^Filesystem features:.* $2\( \|\$\)"
}

by_kernel()
{
	kernel=$(mount_options "$1")
	if mount_image "$kernel" "$1"; then
		[ "$kernel" = ro ] || $fill
		unmount mnt
	else
		kernel=no
	fi
}

# Ages it, and adds what the tool without the kernel cannot know.
fill()
{
	local i bs

	# trees of two levels, but not more than that
	bs=$(stat -f -c %S mnt)
	"$TOOLS/age" -s 3 -r 1 -m 512 -t 50 -e \
		-n $((4 * ((bs - 12) / 12) + 40)) mnt
	mkdir mnt/one mnt/two
	for ((i = 0; i < 6; i++)); do
		printf "mnt/one/$i-%0150d\n" {1..40} | xargs touch
		printf "mnt/two/$i-%0200d\n" {1..40} | xargs touch
		sync -f mnt
		# inline, if that can be; and one that is not any more
		printf '%0*d' $((i * 20)) 0 >mnt/one/small$i
		printf '%0*d' $((i * 20)) 0 >>mnt/two/grown
	done
	for i in 100 3000 20000; do # of the last two some can have none
		setfattr -n user.large -v "$(printf "%0${i}d" 0)" mnt/one/small1 \
			2>/dev/null || :
		setfattr -n user.large -v "$(printf "%0${i}d" 0)" mnt/two \
			2>/dev/null || :
	done
}

# A directory of so many blocks that its index has three levels.
fill_large()
{
	mkdir mnt/large
	seq -f "mnt/large/%0230.0f" 50000 | xargs touch
	sync -f mnt
	rm mnt/large/*7
}

# ---- judging a run

views()
{
	image_view "$1" >"image.$2"
	"$TOOLS/imglayout" "$1" >"layout.$2"
	"$TOOLS/imglayout" -r "$1" >"raw.$2"
	"$TOOLS/imglayout" -s "$1" >"super.$2"
}

# by_mount IMAGE WHEN: what the kernel shows, if it mounts it at all
by_mount()
{
	[ $kernel != no ] || return 0
	mount_image "${kernel/rw/ro}" "$1"
	"$TOOLS/treesum" mnt >"kernel.$2"
	unmount mnt
}

# left: each file above its ideal, its runs above one, and the reason
left()
{
	sed -nE 's/^e4offdefrag: inode ([0-9]+): (.*)$/\1 \2/p' run.err
}

# Each fragmented file that is left has a reason, the reason is true, and what
# imgsum counts is what the report says.
assert_reasons()
{
	local spare ino why

	spare=$(($(member run.json after ideal_runs) - \
		$(member run.json after files)))
	for when in before after; do
		assert_eq "$(awk '{ n++; runs += $4 } END { print n, runs }' \
			layout.$when)" \
			"$(member run.json $when files) $(member run.json \
				$when runs)" "files and runs $when"
	done
	left >left
	assert_eq "$(wc -l <left)" "$(member run.json after fragmented_files)" \
		"fragmented files left"
	# without a reason only what no place could hold in one piece
	awk -v spare="$spare" '
		NR == FNR { named[$1] = 1; next }
		!($1 in named) { spare -= $4 - 1 }
		($1 in named) && $4 < 2 { bad = 1 }
		END { exit bad || spare < 0 }' left layout.after ||
		fail "files are left without a reason"
	while read -r ino why; do
		is_true "$ino" "$why" || fail "inode $ino is not: $why"
	done <left
}

# No tree has more blocks than it needs; those of many extents that could be
# joined have none, and those that could not be have levels.
assert_trees()
{
	grep -q ' extents ' layout.after || return 0
	assert_small_trees img "$bs"
	if [[ $what == *large_dir* && $fill == fill_large ]]; then
		debugfs -R "htree_dump /large" img 2>/dev/null |
			sed -n 1,20p >htree || :
		assert_grep "Indirect levels: 2" htree
		assert_some_depth 3
	fi
	# With clusters, large blocks or large tables there is no room for such.
	! has img bigalloc && [ "$bs" -le 4096 ] &&
		grep -q '^[0-9]* extents [23] [0-9]\{3\}' layout.before || return 0
	paste -d ' ' layout.before layout.after | awk '
		$3 == 2 && $10 == 0 && $11 == 1 { torn++ }
		$3 == 2 && $10 == 2 { comb++ }
		END { exit !torn || !comb }' ||
		fail "no tree has lost its levels, or none kept them"
}

# assert_some_depth N: an extent tree is that deep, and is that afterwards
assert_some_depth()
{
	assert_grep "^[0-9]* extents $1 " layout.before
	assert_grep "^[0-9]* extents $1 " layout.after
}

# is_true INODE REASON
is_true()
{
	local path

	case $2 in
	"immutable or append-only")
		grep -qE "^$1 .* flags=[0-9a-f]*[1-3ab5-79d-f][0-9a-f] " \
			image.before || return
		[ $((0x$(sed -nE "s/^$1 .* flags=([0-9a-f]+) .*/\1/p" \
			image.before) & 0x30)) -ne 0 ]
		;;
	"swap file")
		debugfs -R "ncheck $1" img 2>/dev/null |
			grep -q '/exotic-swapfile$'
		;;
	"below /boot with a boot sector in use")
		debugfs -R "ncheck $1" img 2>/dev/null | grep -q '/boot'
		;;
	*)
		false
		;;
	esac
}

# untouched COMMAND...: img has the same bytes afterwards
untouched()
{
	cp img was
	"$@"
	assert_equal_bytes was "wrote to img: $*"
	rm was
}

# assert_equal_bytes FILE WHAT
# img is like that, but for the MMP block: each opening leaves a new number.
assert_equal_bytes()
{
	local mmp

	mmp=$(dumpe2fs -h img 2>/dev/null |
		sed -n 's/^MMP block number: *//p')
	[ -z "$mmp" ] || dd if="$1" of=img bs="$bs" skip="$mmp" seek="$mmp" \
		count=1 conv=notrunc status=none
	cmp img "$1" || fail "$2"
}

# A run on img, whose description is the rest.
judge()
{
	assert_grep . image.before
	by_mount img before
	cp img again
	untouched assert_exit 0 "$E4OFFDEFRAG" --json -n "${how[@]}" img
	mv out plan.json
	assert_exit 0 "$E4OFFDEFRAG" --json -v "${how[@]}" img
	mv out run.json
	mv err run.err
	views img after
	assert_same image.before image.after "what is in the image"
	assert_same raw.before raw.after "the bytes of inodes"
	assert_same super.before super.after "the superblock"
	assert_foretold
	[ "$(member run.json before fragmented_files)" -gt 20 ] ||
		fail "hardly anything was fragmented"
	assert_reasons
	assert_trees
	quiet img
	assert_exit 0 "$E4OFFDEFRAG" -q "${how[@]}" again
	assert_equal_bytes again "two runs on the same input differ"
	untouched assert_exit 0 "$E4OFFDEFRAG" --json "${how[@]}" img
	assert_eq 0 "$(member out steps_done)" "steps done by a second run"
	by_mount img after
	[ $kernel = no ] || assert_same kernel.before kernel.after \
		"what the kernel shows"
}

# The kernel goes on with it, and e2fsck agrees.
assert_usable()
{
	local i

	[[ $kernel == rw* ]] || return 0
	mount_image "$kernel" img
	rm -r mnt/one mnt/large/*[1-3] 2>/dev/null || :
	head -c 3000000 /dev/zero >mnt/new
	for i in 1 2 3; do
		head -c 5000 /dev/zero >>mnt/new-torn
		head -c 5000 /dev/zero >>mnt/exotic-torn-a
	done
	mkdir mnt/three
	unmount mnt
	assert_clean img
}

# config SIZE WORDS MKE2FS-OPTION...
# Words: those of populate; "bad", blocks that are bad; "middle" or "external",
# the journal; "mmp" and "quota", set behind the population, as each opening
# takes its time, or the tools do not count.
config()
{
	local size=$1 words=" $2 " blocks

	shift 2
	what=$*
	how=()
	bs=$(sed -nE 's/.*-b ([0-9]+).*/\1/p' <<<"$*")
	blocks=$(($(numfmt --from=iec "$size") / bs))
	if [[ $words == *" bad "* ]]; then
		# not where metadata are
		printf '%d\n' $((blocks / 3 + 900)) $((blocks / 3 + 901)) \
			$((blocks / 3 + 1700)) $((blocks * 3 / 4 + 990)) >bad
		set -- "$@" -l bad
	fi
	if [[ $words == *" middle "* ]]; then
		set -- "$@" -J "location=$((blocks / 2))"
	fi
	mkimg img "$size" "$@"
	! is_refused "$words" "$@" || return 0
	populate img "$words"
	finish_image "$words"
	views img before
	judge
	[[ $words == *" mmp "* ]] || assert_usable
	summary "$words" "$what"
}

# is_refused WORDS OPTION...
is_refused()
{
	local feature

	for feature in $refused; do
		[[ " $* " == *[\ ,]"$feature"[\ ,]* ]] || continue
		finish_image "$1"
		assert_refused 8 "feature $feature" img
		echo "refused: $what"
		return
	done
	return 1
}

finish_image()
{
	case $1 in
	*" mmp "*)
		tune2fs -O mmp -E mmp_update_interval=1 img >/dev/null
		kernel=no
		;;
	*" quota "*)
		tune2fs -O quota -Q usrquota,grpquota img >/dev/null
		# tune2fs 1.47.0 counts the values of xattrs twice
		e2fsck -fy -E no_optimize_extents img >/dev/null 2>&1 ||
			[ $? = 1 ]
		assert_clean img
		kernel=${kernel/rw*/ro}
		;;
	*" external "*)
		rm -f log
		mkimg log 4M -b 4096 -O journal_dev
		fsdebug img "feature has_journal" "ssv journal_dev 0x0801" \
			"ssv journal_uuid 5a3f6d70-1d2c-4e9b-8a51-0e4f0ff5e700" \
			>/dev/null
		how=(-j log)
		kernel=no
		;;
	esac
}

# quiet IMAGE: as assert_quiet, with the external journal if there is one
quiet()
{
	if [ ${#how[@]} = 0 ]; then
		assert_quiet "$1"
	else
		e2fsck -fn -j log "$1" >fsck.out 2>&1 || {
			cat fsck.out >&2
			fail "e2fsck finds errors with an external journal"
		}
	fi
}

# A line: by whom it was mounted, runs, and what is left for which reason.
summary()
{
	local reasons

	reasons=$(cut -d ' ' -f 2- left | sort | uniq -c |
		sed -E 's/^ *([0-9]+) (.*)/\1 \2/' | paste -sd, -)
	printf '%-3s %5d files %6d -> %4d runs, ideal %4d, left: %s | %s%s\n' \
		"${kernel%%,*}" "$(member run.json before files)" \
		"$(member run.json before runs)" \
		"$(member run.json after runs)" \
		"$(member run.json after ideal_runs)" "${reasons:-none}" \
		"$2" "${1:+ [${1## }]}"
}

# ---- pairs

# Not together, of e2fsck 1.47.0's own making: bad blocks and clusters ("claimed
# for no reason", on a fresh file system), quota and inline data (it does not
# count symbolic links that are inline, but tune2fs and the kernel do).
factors()
{
	echo bs 1024 2048 4096
	[[ $refused == *bigalloc* ]] || cat <<-'EOF'
	cluster none 4 16
	! cluster=16 bs=4096
	! cluster=4 map=^extent
	! cluster=16 map=^extent
	! cluster=4 groups=small
	! cluster=16 groups=small
	! cluster=4 place=bad
	! cluster=16 place=bad
	EOF
	[[ $refused == *quota* ]] || echo quota none quota
	cat <<-'EOF'
	inode 128 256 512 1024
	layout flex_bg ^flex_bg meta_bg,^resize_inode
	layout+ meta_bg,^resize_inode,^flex_bg sparse_super2
	layout+ ^sparse_super,^resize_inode ^resize_inode
	csum metadata_csum metadata_csum,metadata_csum_seed
	csum+ ^metadata_csum,uninit_bg ^metadata_csum,^uninit_bg
	width 64bit ^64bit
	map extent ^extent
	journal has_journal ^has_journal fast_commit orphan_file middle
	groups large small
	more none ea_inode,large_dir inline_data encrypt casefold
	more+ verity,stable_inodes project
	place plain bad boot
	! map=^extent width=64bit
	! map=^extent more=verity,stable_inodes
	! inode=128 more=inline_data
	! inode=128 more=project
	! quota=quota more=inline_data
	EOF
}

# draw_pairs PART PARTS: every PARTS-th of them
draw_pairs()
{
	local word key value row size words features part=$1 parts=$2 n=0

	factors | awk '$1 ~ /\+$/ { $1 = ""; line = line $0; next }
		line { print line } { line = $0 } END { print line }' |
		awk -v seed=1 -v more="${E4OFFDEFRAG_MATRIX:-0}" \
			-f "$srcdir/tests/pairs.awk" >pairs
	while read -r row <&3; do
		[ $((n++ % parts)) = $((part - 1)) ] || continue
		words='' features='' args=()
		for word in $row; do
			key=${word%%=*} value=${word#*=}
			case $key,$value in
			bs,*)
				args+=(-b "$value") bs=$value
				size=$((bs == 1024 ? 64 : bs / 1024 * 48))
				;;
			inode,*) args+=(-I "$value") ;;
			groups,small) args+=(-g 4096) ;;
			groups,large | *,none | *,plain) ;;
			cluster,*)
				args+=(-C $((value * bs)))
				features+=,bigalloc
				[ "$value" != 16 ] || size=192
				;;
			*,middle | *,bad | *,boot | *,quota) words+=" $value" ;;
			*) features+=,$value ;;
			esac
		done
		config ${size}M "$words" "${args[@]}" -O "${features#,}"
	done 3<pairs
}
