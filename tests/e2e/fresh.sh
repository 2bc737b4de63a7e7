#!/bin/sh
# Both README commands, as they stand there, on a fresh minimal Debian 12: debootstrap into a folder,
# the repository cloned into it, chroot. As root; takes its time and some 3 GB in TMPDIR.
#
#   sh tests/e2e/fresh.sh               what is committed
#   sh tests/e2e/fresh.sh --worktree    the work tree as it is
#   MIRROR=URL sh tests/e2e/fresh.sh    another mirror of Debian
#
# The chroot lives in namespaces of its own for mounts and processes: whatever happens, nothing stays
# mounted and nothing goes on running. The folder is removed at the end; KEEP=1 keeps it.
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
mirror=${MIRROR:-http://deb.debian.org/debian}
where=/usr/src/ipspd

# The second half of this script: within the namespaces, for the folder $2.
if [ "${1-}" = --inside ]; then
	root=$2
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	mount --rbind /dev "$root/dev"
	while read -r command; do
		printf '\n######## %s\n' "$command"
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
			chroot "$root" sh -c "cd $where && $command" </dev/null
	done <"$root/commands"
	exit 0
fi

worktree=
case ${1-} in
--worktree) worktree=yes ;;
'') ;;
*)
	sed -n '5,7s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
[ "$(id -u)" -eq 0 ] || {
	echo 'fresh.sh: only root can debootstrap and chroot' >&2
	exit 1
}
for program in debootstrap git unshare; do
	command -v "$program" >/dev/null || {
		echo "fresh.sh: $program is missing" >&2
		exit 1
	}
done

root=$(mktemp -d "${TMPDIR:-/tmp}/ipspd-fresh.XXXXXX")
trap '[ -n "${KEEP-}" ] || rm -rf --one-file-system "$root"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$root"

echo "debootstrap of Debian 12 in $root"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || {
	tail -n 20 "$root.log" >&2
	exit 1
}
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc/resolv.conf"

if [ -n "$worktree" ]; then
	mkdir -p "$root$where"
	(cd "$top" && git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$root$where")
else
	git clone -q "$top" "$root$where"
fi

# The README's commands: the lines of its code blocks that begin with "sh ".
awk '/^```/ { inside = $0 == "```sh"; next } inside && /^sh / { sub(/[ \t]*#.*/, ""); print }' \
	"$top/README.md" >"$root/commands"
if ! printf 'sh docs/quickstart.sh\nsh tests/run.sh\n' | cmp -s - "$root/commands"; then
	echo 'fresh.sh: README.md does not have its two commands:' >&2
	cat "$root/commands" >&2
	exit 1
fi

unshare --mount --propagation private --pid --fork --kill-child -- sh "$0" --inside "$root"
printf '\nBoth commands work on a fresh minimal Debian 12.\n'
