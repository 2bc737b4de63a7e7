#!/bin/sh
# Builds the Debian packages of this tree.
#
#   sh docs/package.sh                  into build/package
#   sh docs/package.sh --output FOLDER  into another folder
#   sh docs/package.sh --version V      says that it is version V
#
# Then: apt install ./build/package/*.deb
#
# The packages that it needs to build are installed when it is run as root (docs/packages.sh). The version
# is that of CMakeLists.txt, and from git the time and name of the commit, so that a later commit is an
# upgrade. The same tree makes the same packages, byte for byte, in whatever folder. Earlier packages of
# ipspd in FOLDER go. FOLDER/upload has all that belongs together, as an archive takes it: with the source
# and with the symbols for a debugger.
set -eu
umask 022

usage() {
	sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
output=$top/build/package
version=
while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || usage
	case $1 in
	--output) output=$2 ;;
	--version) version=$2 ;;
	*) usage ;;
	esac
	shift 2
done

fail() {
	echo "package.sh: $1" >&2
	exit 1
}

git_here() {
	git -c safe.directory="$top" -C "$top" "$@"
}

sh "$top/docs/packages.sh" package || exit 1

# ---------------------------------------------------------------- version and date

project=$(sed -n 's/^project(ipspd VERSION \([0-9.]*\).*/\1/p' "$top/CMakeLists.txt")
changelog=$top/conf/debian/changelog
[ "$(dpkg-parsechangelog -l "$changelog" -S Version)" = "$project" ] ||
	fail "conf/debian/changelog does not begin with the version of CMakeLists.txt, $project"
entry= # of the changelog, for what is no release
date=$(dpkg-parsechangelog -l "$changelog" -S Date)
from_git=
if [ -e "$top/.git" ] && command -v git >/dev/null; then
	from_git=yes
	commit=$(git_here rev-parse --short=10 HEAD)
	tag=$(git_here tag --points-at HEAD -l "v$project")
	changed=$(git_here status --porcelain)
	if [ -z "$tag" ] || [ -n "$changed" ]; then
		date=$(git_here log -1 --format=%cD)
		: "${version:=$project+git$(TZ=UTC git_here log -1 --format=%cd \
			--date=format-local:%Y%m%d.%H%M%S).$commit${changed:+.changed}}"
		entry="Built from commit $commit${changed:+, with changes that are not committed}."
	fi
fi
: "${version:=$project}"
[ "$version" = "$project" ] || : "${entry:=A build of its own.}"

# ---------------------------------------------------------------- the tree

mkdir -p "$output"
output=$(CDPATH='' cd -- "$output" && pwd)
case $output in *[[:space:]]*) fail "dpkg can't build in a folder with a space in its name: --output another one" ;; esac
rm -rf "$output/source" "$output/upload"
for name in ipspd libipsp1 libipsp-dev ipsp-monitor; do
	rm -f "$output/$name"_*.deb
done
mkdir "$output/upload"
tree=$output/source/ipspd
mkdir -p "$tree"

files() {
	if [ -n "$from_git" ]; then
		git_here ls-files -co --exclude-standard -z
	else
		find . \( -path './build*' -o -path ./debian -o -name .cache -o -name __pycache__ \) -prune -o \
			! -type d -print0
	fi
}
cd "$top"
# (what was removed and not committed is listed, too)
# shellcheck disable=SC2016 # the inner shell expands it
files | xargs -0 sh -c 'for file; do [ ! -e "$file" ] || printf "%s\0" "$file"; done' sh |
	xargs -0 cp --parents -d -t "$tree"
cp -r "$tree/conf/debian" "$tree/debian"
if [ -n "$entry" ]; then
	maintainer=$(sed -n 's/^Maintainer: //p' conf/debian/control)
	{
		printf 'ipspd (%s) unstable; urgency=medium\n\n  * %s\n\n' "$version" "$entry"
		printf ' -- %s  %s\n\n' "$maintainer" "$date"
		cat conf/debian/changelog
	} >"$tree/debian/changelog"
fi

# ---------------------------------------------------------------- the packages

log=$output/build.log
echo "building the packages of ipspd $version, see $log"
cd "$tree"
dpkg-buildpackage -us -uc -j"$(getconf _NPROCESSORS_ONLN)" >"$log" 2>&1 </dev/null || {
	tail -n 30 "$log" >&2
	fail "the build failed, all that it said is in $log"
}
cd "$output"
find source -maxdepth 1 -type f -exec mv {} upload \;
rm -rf source
find upload -name '*.deb' ! -name '*-dbgsym_*' -exec ln {} . \;
ls "$output"/*.deb
