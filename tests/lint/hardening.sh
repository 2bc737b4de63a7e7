#!/bin/sh
# What an attacker finds in the way: each binary as the compiler left it. The argument is a build folder.
#
#   sh tests/lint/hardening.sh build/plain
set -eu
build=${1:?a build folder}
fault=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# lacks FILE KIND: prints what FILE lacks; KIND is "program" or "library".
lacks() {
	readelf -hldW "$1" >"$work/elf"
	nm -D --undefined-only "$1" | sed 's/.* //; s/@.*//' >"$work/symbols"
	if [ "$2" = program ]; then
		grep -q 'Flags:.* PIE' "$work/elf" || printf ' pie'
	fi
	grep -q 'GNU_RELRO' "$work/elf" || printf ' relro'
	grep -qE 'BIND_NOW|Flags:.* NOW' "$work/elf" || printf ' bind-now'
	grep -q 'GNU_STACK .* RW ' "$work/elf" || printf ' non-executable-stack'
	grep -qx '__stack_chk_fail' "$work/symbols" || printf ' stack-protector'
	# (the library calls nothing that has a checked form)
	[ "$2" = library ] || grep -qE '^__[a-z]+_chk$' "$work/symbols" || printf ' fortify'
	# the note that would make the kernel use them needs a C library that has it, too; a grant has no
	# instructions to spare for them in the daemon
	case $(basename "$1")-$(uname -m) in
	ipspd-*) ;;
	*-x86_64) [ "$(objdump -d --no-show-raw-insn "$1" | grep -c endbr64)" -gt 20 ] || printf ' control-flow' ;;
	esac
}

for one in "program src/ipspd" "program src/ipspctl" "program src/ipsp-monitor" "library src/libipsp.so"; do
	kind=${one%% *} file=$build/${one#* }
	[ -e "$file" ] || { echo "hardening: $file is not built"; exit 1; }
	missing=$(lacks "$file" "$kind")
	echo "$(basename "$file"):${missing:- pie relro bind-now stack fortify}${missing:+ MISSING}"
	[ -z "$missing" ] || fault=1
done

# A check that can't fail is none: a program without any of it must be found to lack it all.
echo 'int main(void) { return 0; }' >"$work/bare.c"
gcc -no-pie -fno-stack-protector -fcf-protection=none -U_FORTIFY_SOURCE -Wl,-z,norelro -Wl,-z,lazy \
	-Wl,-z,execstack -o "$work/bare" "$work/bare.c" 2>/dev/null
found=$(lacks "$work/bare" program)
[ "$(uname -m)" = x86_64 ] || found="$found control-flow"
for thing in pie relro bind-now non-executable-stack stack-protector fortify control-flow; do
	case "$found " in
	*" $thing "*) ;;
	*)
		echo "hardening: the check does not see that $thing is missing"
		fault=1
		;;
	esac
done
exit "$fault"
