#!/bin/sh
# Builds ipspd for s390x, a big-endian machine, and runs the unit tests and stories there under qemu-user.
#
#   sh tests/big_endian.sh [--build FOLDER] [REGEX]     REGEX: only the tests that it matches
#
# The compiler and qemu are Debian packages and are installed where they are missing (root). The libraries
# for s390x are downloaded with an apt of their own into FOLDER/root: the machine gets no foreign architecture.
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=$top/build/big-endian
only=.
while [ $# -gt 0 ]; do
	case $1 in
	--build)
		[ $# -ge 2 ] || exit 2
		build=$2
		shift
		;;
	-*)
		sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
	*) only=$1 ;;
	esac
	shift
done
mkdir -p "$build"
build=$(CDPATH='' cd -- "$build" && pwd)
sh "$top/docs/packages.sh" big-endian

root=$build/root
packages='libsodium-dev libsodium23 libcmocka-dev libcmocka0 libevent-dev libevent-2.1-7 libjansson-dev
	libjansson4 libconfig-dev libconfig9 libsnmp-dev libsnmp40 libssl-dev libssl3 libc6-dev libc6 libsystemd0'
if [ ! -e "$root/complete" ]; then
	apt=$build/apt
	rm -rf "$apt" "$root"
	mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$root"
	: >"$apt/state/status"
	cat >"$apt/apt.conf" <<-END
		Dir::State "$apt/state";
		Dir::Cache "$apt/cache";
		Dir::State::status "$apt/state/status";
		APT::Architecture "s390x";
		APT::Architectures { "s390x"; };
		APT::Sandbox::User "root";
	END
	export APT_CONFIG="$apt/apt.conf"
	apt-get -q update >"$build/apt.log"
	# shellcheck disable=SC2086 # a list of names
	(cd "$apt" && apt-get -q download $packages >>"$build/apt.log")
	unset APT_CONFIG
	for package in "$apt"/*.deb; do
		dpkg-deb -x "$package" "$root"
	done
	: >"$root/complete"
fi

cat >"$build/s390x.cmake" <<END
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(CMAKE_C_COMPILER s390x-linux-gnu-gcc)
set(CMAKE_FIND_ROOT_PATH $root)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_C_FLAGS_INIT "-idirafter $root/usr/include/s390x-linux-gnu")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,$root/usr/lib/s390x-linux-gnu:$root/lib/s390x-linux-gnu")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "\${CMAKE_EXE_LINKER_FLAGS_INIT}")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-s390x;-L;$root;-E;LD_LIBRARY_PATH=$root/usr/lib/s390x-linux-gnu)
END
export PKG_CONFIG_LIBDIR="$root/usr/lib/s390x-linux-gnu/pkgconfig:$root/usr/share/pkgconfig"
export PKG_CONFIG_SYSROOT_DIR="$root"
launcher=
if command -v ccache >/dev/null; then
	launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
fi
# shellcheck disable=SC2086 # no word, or one
cmake -S "$top" -B "$build/out" -DCMAKE_TOOLCHAIN_FILE="$build/s390x.cmake" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	-DCMAKE_C_FLAGS_RELWITHDEBINFO='-O1 -g' -DIPSPD_TESTS=ON -DIPSPD_WERROR=ON -DIPSPD_LTO=OFF $launcher
cmake --build "$build/out" -j "$(getconf _NPROCESSORS_ONLN)"
# Two need what qemu-user 7.2 does not translate: SO_PEERGROUPS, and the control messages of UDP_SEGMENT and
# IP_PKTINFO.
ctest --test-dir "$build/out" -LE slow -R "$only" -E '^test_(access|udp)$' \
	--output-on-failure -j "$(getconf _NPROCESSORS_ONLN)" --timeout 900
