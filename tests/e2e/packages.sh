#!/bin/sh
# The Debian packages on a fresh minimal Debian 12, from their build to their purge. As root; takes some ten
# minutes and 2 GB.
#
#   sh tests/e2e/packages.sh                  what is committed
#   sh tests/e2e/packages.sh --worktree       the work tree as it is
#   sh tests/e2e/packages.sh --root FOLDER    keeps the minimal Debian there for the next time
#   MIRROR=URL sh tests/e2e/packages.sh       another mirror of Debian
#
# debootstrap makes the Debian, and a copy of it builds the packages with what docs/package.sh installs there. apt
# installs them with what they depend on, in a chroot without a systemd. Then the system tests of the packages,
# of README and of operations.md are run, their hosts being boxes of that Debian, each with a systemd.
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
mirror=${MIRROR:-http://deb.debian.org/debian}

within() { # within ROOT COMMAND: in a shell of the chroot; called in the namespaces
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		chroot "$1" sh -euc "$2" </dev/null
}

prepare() {
	mount -t proc proc "$1/proc"
	mount --rbind /dev "$1/dev"
	cp /etc/resolv.conf "$1/etc/resolv.conf"
}

# The second half of this script: within the namespaces, for the folder $2.
if [ "${1-}" = --inside ]; then
	folder=$2
	mkdir -p "$folder/changed" "$folder/overlay" "$folder/copy"
	mount -t overlay -o "lowerdir=$folder/debian,upperdir=$folder/changed,workdir=$folder/overlay" overlay "$folder/copy"
	prepare "$folder/copy"
	within "$folder/copy" 'cd /usr/src/ipspd && sh docs/package.sh'
	# shellcheck disable=SC2016 # the shell of the chroot expands it
	within "$folder/copy" 'cd /usr/src/ipspd && set -- build/package/ipspd_*.deb && version=${1#*_} &&
		sh docs/package.sh --output build/next --version "${version%%_*}+next"'
	rm -rf "$folder/package" "$folder/next"
	cp -r "$folder/copy/usr/src/ipspd/build/package" "$folder/copy/usr/src/ipspd/build/next" "$folder"

	prepare "$folder/debian"
	mkdir -p "$folder/debian/build"
	cp -r "$folder/package" "$folder/debian/build"
	within "$folder/debian" 'apt-get update -q && apt install -y ./build/package/*.deb && ipspd -V &&
		apt purge -y ipspd ipsp-monitor libipsp1 libipsp-dev && test ! -e /etc/ipspd'
	rm -rf "$folder/debian/build"
	exit 0
fi

usage() {
	sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

worktree='' folder='' kept=''
while [ $# -gt 0 ]; do
	case $1 in
	--worktree) worktree=yes ;;
	--root)
		[ $# -ge 2 ] || usage
		folder=$2 kept=yes
		shift
		;;
	*) usage ;;
	esac
	shift
done
[ "$(id -u)" -eq 0 ] || {
	echo 'packages.sh: only root can debootstrap and chroot' >&2
	exit 1
}
for program in debootstrap git unshare; do
	command -v "$program" >/dev/null || {
		echo "packages.sh: $program is missing" >&2
		exit 1
	}
done

folder=${folder:-$(mktemp -d "${TMPDIR:-/tmp}/ipspd-packages.XXXXXX")}
mkdir -p "$folder"
folder=$(CDPATH='' cd -- "$folder" && pwd)
trap '[ -n "$kept" ] || rm -rf --one-file-system "$folder"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$folder"
if [ ! -e "$folder/complete" ]; then
	echo "debootstrap of Debian 12 in $folder/debian"
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2,procps,ca-certificates \
		bookworm "$folder/debian" "$mirror" >"$folder/debootstrap.log" 2>&1 || {
		tail -n 20 "$folder/debootstrap.log" >&2
		exit 1
	}
	: >"$folder/complete"
fi

rm -rf "$folder/changed"
source=$folder/changed/usr/src/ipspd
mkdir -p "$source"
if [ -n "$worktree" ]; then
	(cd "$top" && git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$source")
else
	rmdir "$source"
	git clone -q "$top" "$source"
fi

unshare --mount --propagation private --pid --fork --kill-child -- sh "$0" --inside "$folder"

echo 'The system tests, on that Debian'
mkdir -p "$folder/build"
cmake -S "$top" -B "$folder/build" >"$folder/build.log" 2>&1 && cmake --build "$folder/build" -j2 >>"$folder/build.log" 2>&1
export IPSPD_BUILD="$folder/build" IPSPD_ROOT="$folder/debian" IPSPD_DEBS="$folder/package" IPSPD_DEBS_NEXT="$folder/next"
python3 "$top/tests/e2e/run.py" --jobs 2 packages.Installing packages.Upgrade packages.Removal packages.AsInstalled \
	readme.FiveMinutes operations
printf '\nThe packages work on a fresh minimal Debian 12.\n'
