#!/bin/sh
# The counting of tests/run.sh (tests/count.sh): what was not run, was skipped as a whole, or ended with
# another status than it counts, is a failure. Each case is the output of a runner, made up here.
set -eu
. "$(dirname -- "$0")/common.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0
cases=0

# expect WANTED WHAT COMMAND...: in a shell of its own; WANTED is "PASSED FAILED SKIPPED" at its end.
expect() {
	wanted=$1
	what=$2
	shift 2
	cases=$((cases + 1))
	got=$(
		. tests/count.sh
		"$@" >"$work/said"
		echo "$passed $failed $skipped"
	)
	[ "$got" = "$wanted" ] && return
	echo "runner: $what: counted \"$got\", not \"$wanted\":"
	sed 's/^/    /' "$work/said"
	faults=$((faults + 1))
}

output() { # lines...
	printf '%s\n' "$@" >"$work/log"
}

e2e() { # wanted, what, status, lines...
	wanted=$1
	what=$2
	status=$3
	shift 3
	output "$@"
	expect "$wanted" "e2e, $what" count_e2e "$status" "$work/log"
}

unit() {
	wanted=$1
	what=$2
	status=$3
	shift 3
	output "$@"
	expect "$wanted" "ctest, $what" count_ctest "$status" "$work/log"
}

e2e '12 0 0' 'all good' 0 '  ok (0.1 s)' '12 passed, 0 failed'
e2e '12 0 3' 'some skipped' 0 '12 passed, 0 failed, 3 skipped'
e2e '11 1 0' 'one failed' 1 '11 passed, 1 failed'
e2e '0 1 0' 'nothing run' 1 '0 passed, 0 failed'
e2e '0 1 0' 'nothing run, and no word of it' 0 '0 passed, 0 failed'
e2e '0 1 4' 'everything skipped' 1 '0 passed, 0 failed, 4 skipped'
e2e '0 1 4' 'everything skipped, status 0' 0 '0 passed, 0 failed, 4 skipped'
e2e '12 1 0' 'a good count and a bad end' 1 '12 passed, 0 failed'
e2e '12 1 0' 'ended by the time limit behind its count' 124 '12 passed, 0 failed'
e2e '11 2 0' 'a bad count and a good end' 0 '11 passed, 1 failed'
e2e '0 1 0' 'cut off' 124 '  ok (0.1 s)' 'test_x'
e2e '0 1 0' 'cut off behind the count of one test' 1 '12 passed, 0 failed' 'Traceback'
e2e '0 1 0' 'no output' 1 ''
e2e '0 1 0' 'a name that is none' 1 'run.py: no such test: nonsense; there are: aaa'

unit '15 0 0' 'all good' 0 '100% tests passed, 0 tests failed out of 15' 'Total Test time (real) = 1 sec'
unit '13 2 0' 'two failed' 8 '87% tests passed, 2 tests failed out of 15'
unit '0 1 0' 'one alone, failed' 8 '0% tests passed, 1 tests failed out of 1'
unit '0 1 0' 'no test' 0 'No tests were found!!!'
unit '0 1 0' 'out of none' 0 '100% tests passed, 0 tests failed out of 0'
unit '15 1 0' 'a good count and a bad end' 124 '100% tests passed, 0 tests failed out of 15'
unit '13 3 0' 'a bad count and a good end' 0 '87% tests passed, 2 tests failed out of 15'
unit '13 0 2' 'two skipped' 0 '14/15 Test #1: a ...***Skipped' '15/15 Test #2: b ...***Skipped' \
	'100% tests passed, 0 tests failed out of 15'
unit '0 1 1' 'all skipped' 0 '1/1 Test #1: a ...***Skipped' '100% tests passed, 0 tests failed out of 1'
unit '0 1 0' 'no output' 1 ''

a_part() { # commands, a word each, between its beginning and its end
	part_begins part
	"$@"
	part_ends
}
expect '0 1 0' 'a part of nothing' a_part true
expect '0 1 2' 'a part that skipped everything' a_part add 0 0 2
expect '1 0 2' 'a part that skipped something' a_part add 1 0 2
expect '0 1 0' 'a part that failed' a_part add 0 1 0
two_parts() {
	a_part add 1 0 0
	a_part true
}
expect '1 1 0' 'a part of nothing behind a good one' two_parts

output '20 runs, 0 failed'
expect '0 0 0' 'a log that says what was done' has_run sim "$work/log" '^20 runs, 0 failed'
expect '0 1 0' 'one that does not' has_run sim "$work/log" '^30 runs'

# Parts and tests that don't exist are an error before anything is built or run.
refuses() {
	cases=$((cases + 1))
	if sh tests/run.sh --build "$work/build" "$@" >"$work/said" 2>&1; then
		status=0
	else
		status=$?
	fi
	[ "$status" -eq 2 ] && [ ! -e "$work/build/asan" ] && return
	echo "runner: run.sh $* ended with $status:"
	tail -n 3 "$work/said" | sed 's/^/    /'
	faults=$((faults + 1))
}
refuses nonsense
refuses unit nonsense
refuses --seeds 0 sim
refuses --seeds many sim
refuses --tests nonsense e2e
refuses --tests upgrade unit
refuses --tests upgrade.Nonsense e2e
refuses --tests upgrade.Upgrade.nonsense e2e
refuses --nonsense
refuses --seeds

[ "$faults" -eq 0 ] || exit 1
echo "runner: $cases cases"
