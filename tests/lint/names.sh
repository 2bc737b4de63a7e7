#!/bin/sh
# Nothing in the tree names a machine that it was made on, and nothing is left to be done later.
set -eu
. "$(dirname -- "$0")/common.sh"

files() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard
	else
		find . -name .git -prune -o -path './build*' -prune -o -type f -print | sed 's|^\./||'
	fi | grep -vx 'tests/lint/names\.sh'
}
fault=0
forbid() { # what it is, pattern
	if files | tr '\n' '\0' | xargs -0 grep -nIE -e "$2"; then
		echo "names: $1"
		fault=1
	fi
}

forbid 'a path of somebody'"'"'s machine' \
	'/(home|Users)/[a-z]+/|/root/|/mnt/[a-z]'
forbid 'something left for later' '(^|[^A-Za-z_])(TODO|FIXME|XXX|HACK)([^A-Za-z_]|$)'

# The top level is fixed, so that a reader finds everything at once.
for name in * .[!.]*; do
	case $name in
	CMakeLists.txt | src | include | conf | mibs | tests | docs | README.md | LICENSE | build* | .*) ;;
	'*') ;;
	*)
		echo "names: $name does not belong at the top level"
		fault=1
		;;
	esac
done
[ "$fault" -eq 0 ] && echo 'names: nothing in the tree names a machine'
exit "$fault"
