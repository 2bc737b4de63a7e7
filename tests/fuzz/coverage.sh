#!/bin/sh
# How much of the code that each fuzz target links its checked-in corpus reaches: printed, and held to the
# floors in tests/fuzz/floors (target, edges in a thousand). Some of it depends on times and threads, so
# a floor lies a little below what was measured when it was set.
#
#   sh tests/fuzz/coverage.sh FOLDER            FOLDER: a build with -DIPSPD_FUZZ=ON
#   sh tests/fuzz/coverage.sh --set FOLDER      sets the floors
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
set_floors=
if [ "${1-}" = --set ]; then
	set_floors=yes
	shift
fi
[ $# -eq 1 ] || {
	sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
	exit 2
}
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
targets=0

# reached LOG: edges that were reached, and all that there are
reached() {
	sed -n -e 's/.*(\([0-9]*\) inline 8-bit counters).*/all \1/p' \
		-e 's/^#[0-9]*[[:space:]]*\(INITED\|DONE\)[[:space:]]*cov: \([0-9]*\) .*/got \2/p' "$1" |
		awk '$1 == "all" { all = $2 } $1 == "got" { got = $2 } END { print got + 0, all + 0 }'
}

for target in "$build"/tests/fuzz/fuzz_*; do
	if [ ! -f "$target" ] || [ ! -x "$target" ]; then
		continue
	fi
	targets=$((targets + 1))
	noun=$(basename "$target")
	noun=${noun#fuzz_}
	if ! timeout 300 "$target" -runs=0 -timeout=20 -artifact_prefix="$work/" "$here/corpus/$noun" \
		>"$work/log" 2>&1 </dev/null; then
		echo "fuzz_$noun: its corpus fails:"
		tail -n 30 "$work/log" | sed 's/^/    /'
		failed=1
		continue
	fi
	# shellcheck disable=SC2046 # two numbers
	set -- $(reached "$work/log")
	if [ "$2" -eq 0 ]; then
		echo "fuzz_$noun: its log has no coverage"
		failed=1
		continue
	fi
	share=$(($1 * 1000 / $2))
	floor=$(sed -n "s/^$noun \([0-9]*\)$/\1/p" "$here/floors")
	printf 'fuzz_%-8s %5d of %5d edges: %2d.%d %%' "$noun" "$1" "$2" $((share / 10)) $((share % 10))
	if [ -n "$set_floors" ]; then
		echo "$noun $((share - 5 - share / 30))" >>"$work/floors"
		echo
	elif [ -z "$floor" ]; then
		echo ', and it has no floor'
		failed=1
	elif [ "$share" -lt "$floor" ]; then
		printf ', below its floor of %d.%d %%\n' $((floor / 10)) $((floor % 10))
		failed=1
	else
		printf ', floor %d.%d %%\n' $((floor / 10)) $((floor % 10))
	fi
done
if [ "$targets" -eq 0 ]; then
	echo 'there is no fuzz target'
	failed=1
fi
if [ -n "$set_floors" ] && [ "$failed" -eq 0 ]; then
	mv "$work/floors" "$here/floors"
fi
exit "$failed"
