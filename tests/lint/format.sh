#!/bin/sh
# Every C file looks as clang-format makes it look (.clang-format). `format.sh --fix` makes them so.
set -eu
. "$(dirname -- "$0")/common.sh"

case ${1-} in
--fix) c_files . | xargs clang-format -i ;;
'') c_files . | xargs clang-format --dry-run -Werror ;;
*)
	echo 'usage: format.sh [--fix]' >&2
	exit 2
	;;
esac
