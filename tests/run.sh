#!/bin/sh
# Installs what is missing, builds, and runs every test.
#
#   sh tests/run.sh                      everything, as CI does
#   sh tests/run.sh lint e2e             these parts only: build unit sim fuzz lint bench e2e
#   sh tests/run.sh --seeds 200000 sim   a larger swarm
#   sh tests/run.sh --fuzz 600 fuzz      each fuzz target for ten minutes; default: one; 0: none
#   sh tests/run.sh --afl 600 fuzz       and AFL++ on `ipspd -t` for ten minutes; needs the package afl++
#   sh tests/run.sh --tests 'upgrade kill' e2e    these system tests only
#   sh tests/run.sh --only NAME          one unit test (test_pool), story (part of its name), seed (4711),
#                                        or system test (drain, kill.Killed), with all that it prints
#   sh tests/run.sh --build FOLDER       builds there; default: build/ in the tree
#
# Needs Debian 12; root, or the packages of docs/packages.sh installed. The output of every step is
# in FOLDER/log; of one that fails the end is shown. The last line: how many tests passed and failed. A part
# that ran nothing, or skipped all of it, has failed (tests/count.sh).
set -u

usage() {
	sed -n '2,17s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
build=$top/build
seeds=20000
fuzz=60
afl=0
tests=
only=
parts=
while [ $# -gt 0 ]; do
	case $1 in
	--seeds | --fuzz | --afl | --tests | --only | --build)
		[ $# -ge 2 ] || usage
		case $1 in
		--seeds) seeds=$2 ;;
		--fuzz) fuzz=$2 ;;
		--afl) afl=$2 ;;
		--tests) tests=$2 ;;
		--only) only=$2 ;;
		--build) build=$2 ;;
		esac
		shift
		;;
	build | unit | sim | fuzz | lint | bench | e2e) parts="$parts $1" ;;
	*) usage ;;
	esac
	shift
done
case $seeds$fuzz$afl in *[!0-9]*) usage ;; esac
[ "$seeds" -gt 0 ] || usage
parts=${parts:- build unit sim fuzz lint bench e2e}
if [ -n "$tests" ]; then
	case "$parts " in *' e2e '*) ;; *) usage ;; esac
	# before all else is built and run
	if command -v python3 >/dev/null; then
		# shellcheck disable=SC2086 # a list of names
		python3 "$top/tests/e2e/run.py" --check $tests || exit 2
	fi
fi
# shellcheck source=tests/count.sh
. "$top/tests/count.sh"

mkdir -p "$build/log" || exit 1
build=$(CDPATH='' cd -- "$build" && pwd)
asan=$build/asan   # gcc, sanitizers: unit and system tests
plain=$build/plain # gcc, optimised, asserts on: the simulator's swarm
clang=$build/clang # clang, sanitizers, fuzz targets: a second opinion on warnings
tsan=$build/tsan   # gcc, ThreadSanitizer: what uses the threads of the store and the log
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
began=$(date +%s)
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_stack_use_after_return=1:strict_string_checks=1"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-}:print_stacktrace=1"

wants() {
	case "$parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

say() {
	printf '\n== %s\n' "$*"
}

# step NAME SECONDS COMMAND...: one test of ours. It is ended when it takes longer.
step() {
	name=$1
	limit=$2
	shift 2
	log=$build/log/$(echo "$name" | tr -cs 'A-Za-z0-9\n' '-').log
	from=$(date +%s)
	if timeout -k 10 "$limit" "$@" >"$log" 2>&1 </dev/null; then
		add 1 0 0
		echo "ok      $name ($(($(date +%s) - from)) s)"
		return 0
	else
		status=$?
	fi
	add 0 1 0
	[ "$status" -ne 124 ] || echo "ended after $limit s" >>"$log"
	echo "FAILED  $name ($(($(date +%s) - from)) s), the end of $log:"
	tail -n 40 "$log" | sed 's/^/        /'
	return 1
}

# configure FOLDER COMPILER OPTION...
configure() {
	folder=$1
	compiler=$2
	shift 2
	launcher=
	if command -v ccache >/dev/null; then
		launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
	fi
	cmake -S "$top" -B "$folder" -DCMAKE_C_COMPILER="$compiler" -DIPSPD_TESTS=ON -DIPSPD_WERROR=ON \
		${launcher:+"$launcher"} "$@"
}

# make_build NAME TARGETS FOLDER COMPILER OPTION...
make_build() {
	name=$1
	targets=$2
	folder=$3
	shift 2
	configure "$@" >"$build/log/configure-$(basename "$folder").log" 2>&1 </dev/null || {
		wrong "cmake for $name:"
		tail -n 30 "$build/log/configure-$(basename "$folder").log" | sed 's/^/        /'
		return 1
	}
	# shellcheck disable=SC2086 # a list of names
	step "$name" 1200 cmake --build "$folder" -j "$jobs" --target $targets
}

build_asan() { # TARGET
	make_build 'gcc, ASan and UBSan' "$1" "$asan" gcc -DCMAKE_BUILD_TYPE=Debug \
		-DCMAKE_C_FLAGS_DEBUG='-O1 -g' -DIPSPD_SANITIZE=address,undefined
}

build_plain() { # TARGET
	make_build 'gcc, optimised' "$1" "$plain" gcc -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DCMAKE_C_FLAGS_RELWITHDEBINFO='-O2 -g'
}

builds() {
	say 'Builds, warnings are errors'
	build_asan all
	build_plain all
	make_build 'clang, with the fuzz targets' all "$clang" clang -DCMAKE_BUILD_TYPE=Debug \
		-DCMAKE_C_FLAGS_DEBUG='-O1 -g' -DIPSPD_SANITIZE=address,undefined -DIPSPD_FUZZ=ON
	make_build 'gcc, ThreadSanitizer' 'ipspd ipspctl test_store test_writer test_events' "$tsan" gcc -DCMAKE_BUILD_TYPE=Debug \
		-DCMAKE_C_FLAGS_DEBUG='-O1 -g' -DIPSPD_SANITIZE=thread
}

unit() {
	say 'Unit tests, and the stories of the simulator'
	log=$build/log/ctest.log
	status=0
	ctest --test-dir "$asan" -LE slow --output-on-failure -j "$jobs" --timeout 300 >"$log" 2>&1 </dev/null ||
		status=$?
	cat "$log"
	count_ctest "$status" "$log"
	step 'bulk work, optimised: no turn takes 100 ms' 120 "$plain/tests/test_bulk"
	step 'the store and its flusher under ThreadSanitizer' 300 "$tsan/tests/test_store"
	step 'the log and its writer under ThreadSanitizer' 120 "$tsan/tests/test_writer"
	step 'the events and their files under ThreadSanitizer' 120 "$tsan/tests/test_events"
}

sim() {
	say "Simulator: a swarm of $seeds seeds (the stories are among the unit tests)"
	step 'explorer: all that may happen in a tiny world' 900 "$plain/tests/sim/explore" --states 50000 \
		--audit 64 --jobs "$jobs" && tail -n 1 "$log" | sed 's/^/        /' &&
		has_run explorer "$log" '^[1-9][0-9]* states visited.* 0 roots failed$'
	step 'explorer: simpler rules fail' 600 sh "$top/tests/sim/variants.sh" "$top" &&
		sed 's/^/        /' "$log"
	step 'simulator: an attacker between four contexts, 20000 seeds' 900 "$plain/tests/sim/sim" --swarm 20000 \
		--attacker --jobs "$jobs" && has_run attacker "$log" '^20000 runs, 0 failed'
	step "simulator, $seeds seeds" 7200 "$plain/tests/sim/sim" --swarm "$seeds" --jobs "$jobs" &&
		tail -n 5 "$log" | sed 's/^/        /' && has_run simulator "$log" "^$seeds runs, 0 failed"
}

# Each target for its seconds, as many at a time as there are processors; then what came of each.
fuzzing() {
	say "Fuzz targets: how far their corpora reach, then $fuzz s of each"
	step 'the corpora reach as far as they did' 600 sh "$top/tests/fuzz/coverage.sh" "$clang" &&
		sed 's/^/        /' "$log" && has_run coverage "$log" '^fuzz_.* edges'
	targets=
	for target in "$clang"/tests/fuzz/fuzz_*; do
		if [ -f "$target" ] && [ -x "$target" ]; then
			targets="$targets $(basename "$target")"
		fi
	done
	[ -n "$targets" ] || wrong 'there is no fuzz target: the build with clang did not make them'
	# shellcheck disable=SC2086 # a list of names
	[ "$fuzz" -eq 0 ] || printf '%s\n' $targets |
		xargs -P "$jobs" -n 1 sh "$top/tests/fuzz/one.sh" "$clang" "$build" "$fuzz"
	for name in $targets; do
		[ "$fuzz" -gt 0 ] || break
		raw=$build/log/$name.fuzz
		# shellcheck disable=SC2016 # for the shell inside
		step "$name, $fuzz s" 30 sh -c 'cat "$1"; exit "$(cat "$1.status")"' - "$raw" &&
			has_run "$name" "$log" '^Done [1-9][0-9]* runs'
	done
	[ "$afl" -eq 0 ] || step 'AFL++ on ipspd -t' $((afl + 900)) sh "$top/tests/fuzz/afl.sh" "$build/afl" "$afl"
}

lint() {
	say 'Lint'
	lint=$top/tests/lint
	step 'clang-format' 120 sh "$lint/format.sh"
	step 'clang-tidy' 1200 sh "$lint/tidy.sh" "$clang"
	step 'cppcheck' 600 sh "$lint/cppcheck.sh"
	step 'layers' 120 sh "$lint/layers.sh" "$plain"
	step 'hardening' 60 sh "$lint/hardening.sh" "$plain" && sed 's/^/        /' "$log"
	step 'the same programs from the same source' 600 sh "$lint/reproducible.sh" && sed 's/^/        /' "$log"
	step 'symbols of the library' 60 sh "$lint/symbols.sh" "$plain"
	step 'clocks' 60 sh "$lint/clocks.sh"
	step 'names' 60 sh "$lint/names.sh"
	step 'system calls' 60 python3 "$lint/syscalls.py"
	step 'requirements' 60 python3 "$lint/trace.py"
	step 'scripts' 120 sh "$lint/scripts.sh"
	step 'the counting of this runner' 60 sh "$lint/runner.sh"
	step 'bugs to be planted have their places' 60 sh "$top/tests/sim/planted.sh" --places
}

bench() {
	say 'Memory and instructions, which repeat'
	if [ "$(id -u)" -ne 0 ]; then
		echo 'skipped: two hosts are two network namespaces here, which needs root'
		add 0 0 1
		return
	fi
	if IPSPD_BUILD=$plain step 'memory and instructions within their goals' 300 \
		python3 "$top/tests/bench/bench.py" --gate --quick; then
		sed -n '/^G/s/^/        /p' "$log"
		has_run 'memory and instructions' "$log" '^G'
	fi
}

e2e() {
	say 'System tests: two daemons, a cable, snmptrapd'
	# (of some tests alone, one that needs the packages builds them)
	if [ -z "$tests" ]; then
		step 'Debian packages' 900 sh "$top/docs/package.sh" --output "$build/package" &&
			export IPSPD_DEBS="$build/package"
	fi
	log=$build/log/e2e.log
	# the status is that of the tests, not of tee
	# shellcheck disable=SC2086 # a list of names
	{
		status=0
		IPSPD_BUILD=$asan IPSPD_PACKAGED=$plain timeout -k 30 3000 python3 "$top/tests/e2e/run.py" $tests 2>&1 \
			</dev/null || status=$?
		echo "$status" >"$log.status"
	} | tee "$log"
	count_e2e "$(cat "$log.status")" "$log"
	[ -n "$tests" ] || step 'daemons and their flushers under ThreadSanitizer' 300 \
		env IPSPD_BUILD="$tsan" python3 "$top/tests/e2e/run.py" flush
}

# one NAME: the kind of test is found by its name, and only what it needs is built.
one() {
	case $1 in
	*[!0-9]*) ;;
	*)
		build_plain sim || exit 1
		exec "$plain/tests/sim/sim" --seed "$1" -v
		;;
	esac
	if [ -f "$top/tests/unit/$1.c" ]; then
		build_asan "$1" || exit 1
		exec "$asan/tests/$1"
	fi
	if grep -qE "cmocka_unit_test[a-z_]*\([a-z0-9_]*$1" "$top"/tests/sim/stories*.c; then
		build_asan stories || exit 1
		exec "$asan/tests/sim/stories" "$1"
	fi
	python3 "$top/tests/e2e/run.py" --check "$1" || exit 2
	build_asan all || exit 1
	build_plain all || exit 1
	IPSPD_BUILD=$asan IPSPD_PACKAGED=$plain exec python3 "$top/tests/e2e/run.py" --jobs 0 "$1"
}

echo "Testing $top, building in $build"
sh "$top/docs/packages.sh" test || exit 1
[ -z "$only" ] || one "$only"
# Everything else stands on the builds. They are quick where nothing has changed.
part_begins builds
builds
part_ends
for name in unit sim fuzz lint bench e2e; do
	wants "$name" || continue
	part_begins "$name"
	case $name in
	fuzz) fuzzing ;;
	*) "$name" ;;
	esac
	part_ends
done

say "It took $(($(date +%s) - began)) s"
if [ "$skipped" -gt 0 ]; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
