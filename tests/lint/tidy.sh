#!/bin/sh
# clang-tidy with .clang-tidy over every C file that is compiled.
#
#   tidy.sh BUILD [FILE...]    BUILD has a compile_commands.json made for clang; without files: all
set -eu
. "$(dirname -- "$0")/common.sh"

if [ $# -eq 0 ] || [ ! -f "$1/compile_commands.json" ]; then
	echo 'usage: tidy.sh BUILD [FILE...]   (BUILD: a folder that cmake has configured)' >&2
	exit 2
fi
build=$1
list=$(mktemp)
trap 'rm -f "$list"' EXIT
shift
if [ $# -gt 0 ]; then
	printf '%s\n' "$@"
else
	# crc32c.c: its tables are macros that the compiler expands, half a minute's work for clang-tidy
	c_files src tests | grep '\.c$' | grep -vx 'src/base/crc32c\.c' | while read -r file; do
		# what this build doesn't compile (the shim of a system test, say) has no options to check it with
		if grep -qF "/$file\"" "$build/compile_commands.json"; then
			echo "$file"
		fi
	done
# One file a process: clang-tidy 14 finds va_lists "uninitialized" in the second file that it is given.
fi >"$list"
if [ ! -s "$list" ]; then
	echo "tidy: $build compiles none of the files" >&2
	exit 2
fi
{
	status=0
	xargs -P "$jobs" -n 1 clang-tidy -p "$build" --quiet --warnings-as-errors='*' <"$list" 2>&1 || status=$?
	echo "xargs ended with $status"
} | awk '
		/^[0-9]+ warnings? (generated|treated)/ || /^Suppressed / || /^Use -header-filter/ { next }
		/^xargs ended with / { ended = $4; next }
		/(^| )(error|warning): / || /^Error while / { found++ }
		{ print; fflush() }
		END {
			if (found) { printf "clang-tidy: %d findings\n", found; exit 1 }
			if (ended != 0) { printf "clang-tidy ended with %s, and named nothing\n", ended; exit 1 }
		}'
echo "tidy: nothing found in $(wc -l <"$list") files"
