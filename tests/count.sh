# Sourced by tests/run.sh, and by tests/lint/runner.sh, which tests it: what was run, and how it ended.
# shellcheck shell=sh
#
# A part that has run nothing, or skipped everything, has shown nothing: that is a failure. So is a runner
# that ends with another status than its own count says.
passed=0
failed=0
skipped=0

# add PASSED FAILED SKIPPED: what a runner of many tests has counted.
add() {
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
}

# wrong WORDS...: one failure more.
wrong() {
	echo "FAILED  $*"
	add 0 1 0
}

# part_begins NAME, part_ends: around a part, all of whose tests are counted between them.
part_begins() {
	part=$1
	done_before=$((passed + failed))
	skipped_before=$skipped
}

part_ends() {
	if [ $((passed + failed)) -gt "$done_before" ]; then
		return
	fi
	if [ "$skipped" -gt "$skipped_before" ]; then
		wrong "$part: everything was skipped"
	else
		wrong "$part: nothing was run"
	fi
}

# count WHAT STATUS PASSED FAILED SKIPPED: of a runner that has ended with STATUS. It must be 0 where
# something passed and nothing failed, and there alone.
count() {
	add "$3" "$4" "$5"
	if [ $(($3 + $4)) -eq 0 ]; then
		if [ "$5" -gt 0 ]; then
			wrong "$1: everything was skipped"
		else
			wrong "$1: nothing was run"
		fi
	elif [ "$2" -eq 0 ] && [ "$4" -gt 0 ]; then
		wrong "$1 ended with 0, and counted $4 failed"
	elif [ "$2" -ne 0 ] && [ "$4" -eq 0 ]; then
		wrong "$1 ended with $2, and counted none failed"
	fi
}

# count_ctest STATUS LOG: "87% tests passed, 2 tests failed out of 15"
count_ctest() {
	set -- "$1" "$(sed -n 's/^[0-9]*% tests passed, \([0-9]*\) tests\{0,1\} failed out of \([0-9]*\)$/\1 \2/p' "$2" |
		tail -n 1)" "$(grep -c '\*\*\*\(Skipped\|Not Run\)' "$2")"
	if [ -z "$2" ]; then
		wrong "ctest did not come to its end (status $1)"
		return
	fi
	# what ctest did not run is none of those that passed
	count ctest "$1" $((${2#* } - ${2% *} - $3)) "${2% *}" "$3"
}

# count_e2e STATUS LOG: "12 passed, 0 failed, 1 skipped" is the last line.
count_e2e() {
	status=$1
	# shellcheck disable=SC2046 # two or three numbers
	set -- $(tail -n 1 "$2" |
		sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)\{0,1\}$/\1 \2 \4/p')
	if [ $# -eq 0 ]; then
		wrong "the system tests did not come to their end (status $status)"
		return
	fi
	count 'the system tests' "$status" "$1" "$2" "${3:-0}"
}

# has_run WHAT LOG PATTERN: a step that ended well has a line in its log that says what it did.
has_run() {
	grep -qE "$3" "$2" || wrong "$1: its log does not say that it has done anything ($2)"
}
