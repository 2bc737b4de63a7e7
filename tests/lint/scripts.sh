#!/bin/sh
# The shell scripts are POSIX sh and shellcheck finds nothing; the Python files compile.
set -eu
. "$(dirname -- "$0")/common.sh"

find . -name .git -prune -o -path './build*' -prune -o -type f -name '*.sh' -print | sort |
	xargs shellcheck -x -s sh -P tests/lint
shellcheck -x -s sh conf/debian/ipspd.p* conf/debian/tests/upgrade conf/debian/tests/library
find tests docs -name '*.py' -print | sort | while read -r file; do
	python3 - "$file" <<'PYTHON'
import ast
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    ast.parse(file.read(), sys.argv[1])
PYTHON
done
echo 'scripts: nothing found'
