#!/bin/sh
# cppcheck over the programs and the library. What it is told to pass over is listed here, with why.
set -eu
. "$(dirname -- "$0")/common.sh"

# missingIncludeSystem: system headers are not analysed, so that the findings are ours
# unusedFunction is not enabled: it can't see calls through tables and from tests
# funcArgOrderDifferent: compares names, and takes a short name in a definition for another argument
# normalCheckLevelMaxBranches, checkersReport: remarks on cppcheck itself
cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --language=c \
	--enable=warning,performance,portability \
	--suppress=missingIncludeSystem --suppress=funcArgOrderDifferent --suppress=unmatchedSuppression \
	--suppress=normalCheckLevelMaxBranches --suppress=checkersReport \
	-Iinclude -Isrc -D__linux__ -DIPSPD_VERSION='"0"' \
	--library=tests/lint/cppcheck.cfg -j "$jobs" src include
