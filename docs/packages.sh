#!/bin/sh
# The Debian packages that the project needs, and their installation where they are missing.
#
#   sh docs/packages.sh build    to build ipspd
#   sh docs/packages.sh package  to build the Debian packages of ipspd: docs/package.sh
#   sh docs/packages.sh demo     to build it and to run docs/quickstart.sh
#   sh docs/packages.sh test     to build it and to run tests/run.sh
#   sh docs/packages.sh bench    to build it and to run tests/bench/run.sh
#   sh docs/packages.sh big-endian    to run tests/big_endian.sh
#
# Without root it installs nothing: it says what is missing and how to get it, and exits 1.
set -eu

build='build-essential cmake pkg-config libsodium-dev libevent-dev libconfig-dev libsnmp-dev
	libjansson-dev libseccomp-dev'
package='debhelper dpkg-dev'
demo='snmptrapd'
test='libcmocka-dev clang libclang-rt-14-dev clang-format clang-tidy cppcheck shellcheck binutils lintian
	python3 iproute2 nftables snmp util-linux procps systemd freeradius freeradius-utils git valgrind
	prometheus snmpd tshark'
# Redis, Kea and SQLite are there to be measured beside it
bench='libcmocka-dev python3 iproute2 util-linux procps valgrind gnuplot-nox redis-server redis-tools
	kea-dhcp4-server kea-admin libsqlite3-dev'

# The libraries for it are downloaded by tests/big_endian.sh, beside those of this machine
big_endian='cmake pkg-config gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user'

case ${1-} in
build) wanted=$build ;;
package) wanted="$build $package" ;;
demo) wanted="$build $demo" ;;
test) wanted="$build $package $demo $test" ;;
bench) wanted="$build $bench" ;;
big-endian) wanted=$big_endian ;;
*)
	echo 'usage: packages.sh build|package|demo|test|bench|big-endian' >&2
	exit 2
	;;
esac

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in $wanted; do
	installed "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
	echo 'all Debian packages that are needed are installed'
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "packages are missing; as root: apt-get install$missing" >&2
	exit 1
fi

# A package's own service (snmptrapd's) is not wanted, only its program: nothing is started by the
# installation unless the host has a policy of its own.
policy=/usr/sbin/policy-rc.d
ours=
if [ ! -e "$policy" ]; then
	ours=yes
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q </dev/null
# shellcheck disable=SC2086 # a list of words
apt-get install -q -y --no-install-recommends $missing </dev/null
[ -z "$ours" ] || rm -f "$policy"
