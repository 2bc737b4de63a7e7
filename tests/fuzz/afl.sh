#!/bin/sh
# AFL++ on `ipspd -t`: the program itself reads each file, from its options to its exit status.
#
#   sh tests/fuzz/afl.sh FOLDER [SECONDS]     60 s by default; FOLDER gets the build and what is found
#
# Needs the package afl++, which nothing else needs. Fails where a file ends ipspd by a signal, or
# where it takes more than two seconds; those files are in FOLDER/found/default/crashes and hangs.
set -eu

[ $# -eq 1 ] || [ $# -eq 2 ] || {
	sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
	exit 2
}
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
seconds=${2:-60}
if ! command -v afl-fuzz >/dev/null || ! command -v afl-clang-fast >/dev/null; then
	echo 'afl.sh: AFL++ is missing: apt-get install afl++' >&2
	exit 1
fi
mkdir -p "$1"
folder=$(CDPATH='' cd -- "$1" && pwd)
export AFL_QUIET=1
cmake -S "$top" -B "$folder/build" -DCMAKE_C_COMPILER=afl-clang-fast -DCMAKE_BUILD_TYPE=Debug \
	-DCMAKE_C_FLAGS_DEBUG='-O1 -g -fsanitize=undefined -fno-sanitize-recover=all' >"$folder/configure.log"
cmake --build "$folder/build" -j "$(getconf _NPROCESSORS_ONLN)" --target ipspd >"$folder/build.log" 2>&1 || {
	tail -n 20 "$folder/build.log"
	exit 1
}

rm -rf "$folder/found" "$folder/seeds"
mkdir "$folder/seeds"
for seed in "$top"/tests/fuzz/corpus/config/*; do
	[ ! -s "$seed" ] || cp "$seed" "$folder/seeds"
done
# undefined behaviour aborts, so that it is a signal
export UBSAN_OPTIONS=abort_on_error=1:halt_on_error=1
export AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1
timeout -k 10 "$((seconds + 300))" afl-fuzz -V "$seconds" -t 2000 -i "$folder/seeds" -o "$folder/found" \
	-x "$top/tests/fuzz/config.dict" -- "$folder/build/src/ipspd" -t -c @@ >"$folder/afl.log" 2>&1 </dev/null || {
	tail -n 20 "$folder/afl.log"
	exit 1
}
stats=$folder/found/default/fuzzer_stats
value() {
	sed -n "s/^$1 *: *//p" "$stats"
}
printf 'ipspd -t: %s runs in %s s, %s files that are new to it, %s of its edges\n' "$(value execs_done)" \
	"$(value run_time)" "$(value corpus_found)" "$(value bitmap_cvg)"
bad=$(($(value saved_crashes) + $(value saved_hangs)))
if [ "$bad" -gt 0 ] || [ "$(value execs_done)" -eq 0 ]; then
	echo "$(value saved_crashes) crashes, $(value saved_hangs) hangs: see $folder/found/default"
	exit 1
fi
