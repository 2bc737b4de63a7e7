#!/bin/sh
# The layers hold: cli -> include/ipsp.h <- lib -> base <- core <- daemon. Of base the cli has how names
# are shown.
#
#   layers.sh BUILD    BUILD is a build without sanitizers (they would add symbols of their own)
#
# The objects of base and core may refer to nothing of the world outside but what is listed here: no
# socket, no file, no clock, no random number, no foreign library but libsodium in core. Beside that,
# what they include.
set -eu
. "$(dirname -- "$0")/common.sh"

if [ $# -ne 1 ] || [ ! -d "$1/src" ]; then
	echo 'usage: layers.sh BUILD   (a build without sanitizers)' >&2
	exit 2
fi
build=$(CDPATH='' cd -- "$1" && pwd)
faults=$(mktemp)
trap 'rm -f "$faults"' EXIT

# libc: memory, text, sorting, and what the compiler puts in by itself
allowed='mem(cpy|move|set|cmp|chr|rchr)|mempcpy|memmem
str(len|nlen|cmp|ncmp|chr|rchr|str|cpy|ncpy|dup|ndup|spn|cspn|tol|toll|toul|toull|pbrk)
(v)?snprintf|malloc|calloc|realloc|reallocarray|free|abort|qsort|bsearch|isalnum|isdigit|isspace|__ctype_b_loc
__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__cpu_(model|indicator_init)
__isoc99_sscanf|__isoc23_strto(l|ll|ul|ull)
__(memcpy|memmove|memset|mempcpy|strcpy|strncpy|strcat|strncat|snprintf|vsnprintf)_chk'
addr_only='inet_pton|inet_ntop'             # text of addresses, in base/addr.c alone
sodium='crypto_[a-z0-9_]+|sodium_[a-z0-9_]+' # core alone; not randombytes: it gets its seed

symbols() { # every symbol that the object refers to and doesn't have itself
	nm -u "$1" | awk '{ print $NF }' | sed 's/@.*//'
}

check_object() { # object layer
	pattern="ipsp_[a-z0-9_]+|$(echo "$allowed" | tr '\n' '|')"
	case $1 in */base/addr.c.o) pattern="$pattern|$addr_only" ;; esac
	[ "$2" = base ] || pattern="$pattern|$sodium"
	symbols "$1" | grep -vxE "($pattern)" | while read -r symbol; do
		echo "src/$2/$(basename "$1" .o): refers to $symbol, which $2 may not use"
	done >>"$faults"
}
for layer in base core; do
	find "$build/src/CMakeFiles/ipsp_$layer.dir/$layer" -name '*.c.o' | while read -r object; do
		check_object "$object" "$layer"
	done
done
objects=$(find "$build/src/CMakeFiles" -path '*/ipsp_base.dir/*.o' -o -path '*/ipsp_core.dir/*.o' | wc -l)
if [ "$objects" -eq 0 ]; then
	echo "layers: no object of base and core below $build: is it built?" >&2
	exit 2
fi

# Includes: the C library's plain headers, and what lies below.
plain='assert|ctype|endian|errno|inttypes|limits|stdalign|stdarg|stdbool|stddef|stdint|stdio|stdlib|string'
check_includes() { # layer, pattern of what is allowed, files that are excepted
	grep -nE '^[[:space:]]*#[[:space:]]*include' -r "src/$1" --include='*.[ch]' |
		grep -vE ":[[:space:]]*#[[:space:]]*include[[:space:]]*($2)" |
		grep -vE "^(${3:-none}):" |
		sed "s|\$|   <- $1 may not include this|" >>"$faults" || true
}
check_includes base "<($plain)\.h>|\"base/|<ipsp\.h>|\"ipsp\.h\"" 'src/base/addr\.[ch]'
grep -nE '^[[:space:]]*#[[:space:]]*include' src/base/addr.[ch] |
	grep -vE "include[[:space:]]*(<($plain)\.h>|<(arpa|netinet)/in(et)?\.h>|<sys/socket\.h>|\"base/)" >>"$faults" || true
check_includes core "<($plain)\.h>|<sodium\.h>|\"(base|core)/|<ipsp\.h>|\"ipsp\.h\""
check_includes lib '<[^>]*>|"(base|lib)/|"ipsp\.h"'
check_includes cli '<[^>]*>|"(cli/|base/shown\.h|metrics/metrics\.h)|"ipsp\.h"' # base: that one alone
check_includes monitor '<[^>]*>|"(monitor/|metrics/metrics\.h)'
check_includes metrics "<($plain)\.h>|<jansson\.h>|\"metrics/"
check_includes daemon '<[^>]*>|"(base|core|daemon)/|"ipsp\.h"'

# A foreign library lives in one file of the daemon, jansson in the four that show.
check_home() { # header pattern, how many files may include it
	homes=$(grep -lE "include[[:space:]]*<$1" -r src/daemon --include='*.[ch]' || true)
	if [ "$(echo "$homes" | grep -c .)" -gt "$2" ]; then
		echo "$1 is included by more than $2: $(echo "$homes" | tr '\n' ' ')" >>"$faults"
	fi
}
check_home 'libconfig' 1
check_home 'net-snmp' 1
check_home 'jansson' 4
if grep -lE 'include[[:space:]]*<(libconfig|net-snmp|jansson)' -r src/daemon --include='*.h' >>"$faults"; then
	echo 'a foreign type in a header of the daemon' >>"$faults"
fi

if [ -s "$faults" ]; then
	cat "$faults"
	echo "layers: $(wc -l <"$faults") faults in $objects objects"
	exit 1
fi
echo "layers: $objects objects of base and core refer to nothing outside"
