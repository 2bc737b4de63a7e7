#!/bin/sh
# What libipsp exports is what is promised: the library of a build, its map, its header, and the list that the
# Debian package keeps have the same symbols. The argument is a build folder.
#
#   sh tests/lint/symbols.sh build/plain
#
# A symbol that is missing breaks programs that were built with it. A new one is put into the map and into the
# list, there with the version that brings it.
set -eu
. "$(dirname -- "$0")/common.sh"
build=${1:?a build folder}
listed=conf/debian/libipsp1.symbols
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fault=0

nm -D --defined-only "$build/src/libipsp.so" | sed 's/.* //; s/@@/@/' | grep -v '^IPSP_1$' | sort >"$work/library"
sed -n 's/^ \([a-z0-9_]*@[A-Za-z0-9_.]*\) .*/\1/p' "$listed" | sort >"$work/listed"
sed -n 's/^\t\t\(ipsp_[a-z0-9_]*\);$/\1@IPSP_1/p' src/lib/ipsp.map | sort >"$work/map"
# (a comment may name a function, too, but is no declaration)
sed 's|/\*.*\*/||; /\/\*/,/\*\//d' include/ipsp.h | grep -o '\bipsp_[a-z0-9_]*(' | tr -d '(' | sort -u |
	sed 's/$/@IPSP_1/' | grep -v '_fn@' >"$work/header"

same() { # same A B WHAT
	if ! diff "$work/$1" "$work/$2" >"$work/difference"; then
		echo "symbols: $3:"
		sed -n "s/^< \\(.*\\)/    \\1 is in the $1 only/p; s/^> \\(.*\\)/    \\1 is in the $2 only/p" "$work/difference"
		fault=1
	fi
}
[ -s "$work/library" ] || {
	echo "symbols: $build/src/libipsp.so exports nothing"
	exit 1
}
same library listed "$build/src/libipsp.so and $listed"
same library map "$build/src/libipsp.so and src/lib/ipsp.map"
same library header "$build/src/libipsp.so and include/ipsp.h"
[ "$fault" -ne 0 ] || echo "symbols: $(wc -l <"$work/library") in the library, all listed and declared"
exit "$fault"
