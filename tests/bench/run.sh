#!/bin/sh
# Installs what is missing, builds optimised, and measures: see bench.py, docs/performance.md.
#
#   sh tests/bench/run.sh                      everything, some 20 minutes on two idle cores
#   sh tests/bench/run.sh --quick              some seconds a row: shows that it works, no more
#   sh tests/bench/run.sh --rows G1,G17,BULK   these rows only
#   sh tests/bench/run.sh --gate               what repeats: memory and instructions; a gate of CI
#   sh tests/bench/run.sh --rounds 3 --seconds 0.5 --alone --out FOLDER --document FILE
#
# --alone leaves out Redis, SQLite and Kea. --out gets results.json, table.txt, callgrind.txt and the
# plots (default: build/bench-results). IPSPD_BENCH_DISK is where daemons keep their state; default:
# the folder for temporary files. Needs Debian 12 and root: two hosts are two network namespaces.
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
build=$top/build/bench
out=
for argument in "$@"; do
	case $argument in
	--help | -h)
		sed -n '2,13s/^# \{0,1\}//p' "$0"
		exec python3 "$top/tests/bench/bench.py" --help
		;;
	--out | --out=*) out=given ;;
	esac
done
if [ "$(id -u)" -ne 0 ]; then
	echo 'run.sh: must be root: two hosts are two network namespaces here' >&2
	exit 1
fi
mkdir -p "$build" "$top/build/bench-results"
sh "$top/docs/packages.sh" bench >"$build/packages.log" 2>&1 || {
	cat "$build/packages.log" >&2
	exit 1
}
launcher=
if command -v ccache >/dev/null; then
	launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
fi
{
	# as it is packaged, but with symbols for the profile
	cmake -S "$top" -B "$build" -DIPSPD_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DCMAKE_C_FLAGS_RELWITHDEBINFO='-O2 -g' ${launcher:+"$launcher"} &&
		cmake --build "$build" -j "$(getconf _NPROCESSORS_ONLN)"
} >"$build/build.log" 2>&1 || {
	tail -n 30 "$build/build.log" >&2
	exit 1
}
export IPSPD_BUILD="$build"
if [ -z "$out" ]; then
	set -- --out "$top/build/bench-results" "$@"
fi
exec python3 "$top/tests/bench/bench.py" "$@"
