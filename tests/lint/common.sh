# Sourced by the lint scripts: where the tree is, and which C files it has.
# shellcheck shell=sh
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
cd "$top" || exit 1

# The C files below the folders that are given, a line each.
c_files() {
	find "$@" -name '.?*' -prune -o -path './build*' -prune -o \
		-type f -name '*.[ch]' -print | sed 's|^\./||' | sort
}

# shellcheck disable=SC2034 # for the scripts that source this
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
