"""A real systemd in a box: a copy-on-write view of this host in namespaces of its own.

PID 1 of the box is this host's systemd, with its journal. The box sees the host's root file system, and what
it writes stays in a tmpfs of its own. It has a network namespace with nothing but lo; join() lays a cable
between two boxes. All mounts are in the box's own mount namespace, so nothing is left when it ends.

With IPSPD_ROOT=FOLDER the box sees the root file system that lies there instead of this host's.

A box is held by a process (this file as a program) that reads a pipe of the test. When the pipe ends, in
whatever way the test ended, it kills the box and removes its control group.
"""

import functools
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

if __name__ != "__main__":
    from . import process

ROOT = os.environ.get("IPSPD_ROOT", "/")  # another Debian's, as debootstrap makes one
SYSTEMD = "/lib/systemd/systemd"
NEEDS = ("unshare", "nsenter", "ip", "systemctl", "journalctl")
BOOT_S = 60  # a busy machine; about one second on an idle one
NAME = "ipspd-box."  # of the control groups; then the holder's pid
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
    "LANG": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0",
}

KINDS = ("--pid", "--fork", "--kill-child", "--mount", "--propagation", "private", "--net", "--ipc", "--uts",
         "--cgroup")

# The steps of BOOT that may be forbidden. $1: a folder to mount on
PROBE = r"""
mount -t tmpfs tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t proc proc proc
mkdir -p oldroot
pivot_root . oldroot
"""

# Becomes PID 1 of the box. $1: a folder to work in; $2: which hierarchy of control groups, v1 or v2; $3: systemd;
# $4: the root file system that it sees
BOOT = r"""
set -eu
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$4,upperdir=$1/up,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
for place in run:755 tmp:1777 dev:755; do
	mount -t tmpfs -o "mode=${place#*:}" tmpfs "${place%:*}"
done
for node in null zero full random urandom tty; do
	: >"dev/$node"
	mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
if [ "$2" = v2 ]; then
	mount -t cgroup2 cgroup2 sys/fs/cgroup
else
	mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
	mkdir sys/fs/cgroup/systemd
	mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
ip link set lo up
rm -rf etc/machine-id var/log/journal etc/systemd/system/*.wants usr/sbin/policy-rc.d
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >etc/machine-id
echo '127.0.0.1 localhost' >etc/hosts
for unit in systemd-udevd systemd-udev-trigger systemd-modules-load systemd-sysctl systemd-timesyncd \
	systemd-binfmt systemd-random-seed systemd-hwdb-update; do
	ln -sf /dev/null "etc/systemd/system/$unit.service"
done
mkdir -p oldroot
pivot_root . oldroot
cd /
umount -l /oldroot
rmdir /oldroot
# as at a boot (a container's manager does this otherwise): credentials reach a unit through it
mount --make-rshared /
exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin "$3" --system --unit=basic.target \
	</dev/null >/run/boot.log 2>&1
"""


# ---------------------------------------------------------------- control groups of this host


def hierarchies():
    """Where boxes can have their control groups: {"v1": folder, "v2": folder}, or fewer."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(" ", 2)
            if kind == "cgroup2":
                found.setdefault("v2", before.split(" ")[4])
            elif kind == "cgroup" and "name=systemd" in options.strip().split(","):
                found.setdefault("v1", before.split(" ")[4])
    return {name: folder for name, folder in found.items() if os.access(folder, os.W_OK)}


def remove_group(folder):
    """Removes a control group without processes, and those below it."""
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            pass  # not empty yet: the caller looks whether it is gone


def remains(holder):
    """What is there of a holder's boxes: control groups, and folders to mount on."""
    places = [*hierarchies().values(), tempfile.gettempdir()]
    return [path for place in places for path in glob.glob(f"{place}/{NAME}*.{holder}")]


def sweep(folder):
    """Removes what is left of boxes whose holders are gone: they were killed, and so were the boxes."""
    for place in (folder, tempfile.gettempdir()):
        for path in glob.glob(os.path.join(place, NAME + "*")):
            if not os.path.exists(f"/proc/{path.rpartition('.')[2]}"):
                remove_group(path)


# ---------------------------------------------------------------- in the test


@functools.cache
def why_not():
    """Why there can be no box here; None: there can."""
    if os.geteuid() != 0:
        return "a systemd of its own needs root"
    missing = [name for name in NEEDS if not shutil.which(name)]
    if missing or not os.access(SYSTEMD, os.X_OK):
        return f"a systemd of its own needs {', '.join(missing) or SYSTEMD}"
    if not hierarchies():
        return "a systemd of its own needs a hierarchy of control groups that can be written to"
    # (a container may have no right to mount, and in a chroot there is no root to exchange)
    done = process.run(["unshare", *KINDS, "sh", "-ec", PROBE, "probe", tempfile.gettempdir()])
    return f"no namespaces for a systemd here: {done.stderr.strip()}" if done.returncode else None


class Box:
    """One booted box. @hierarchy: v1 or v2; None: what there is, v2 first."""

    def __init__(self, name, hierarchy=None):
        self.name = name
        there = hierarchies()
        kind = hierarchy or max(there)
        sweep(there[kind])
        self._holder = subprocess.Popen(
            [sys.executable, "-B", os.path.abspath(__file__), name, kind, there[kind]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )
        line = self._holder.stdout.readline()
        if not line.strip():
            raise RuntimeError(f"box {name}: it can't be made: {self._holder.wait()}")
        self.pid = int(line)
        self.holder = self._holder.pid
        self.prefix = ["nsenter", f"--target={self.pid}", "--all", "--root", "--wd", "--",
                       "env", "-i", *(f"{key}={value}" for key, value in ENVIRONMENT.items())]
        try:
            process.until(self._booted, BOOT_S, lambda: f"box {name} to boot\n{self.boot_log()}", 0.1)
            self.check("hostname", name)
        except BaseException:
            self.close()
            raise

    def _booted(self):
        if self._holder.poll() is not None:
            raise RuntimeError(f"box {self.name}: it ended with {self._holder.returncode}")
        # before it has a root of its own, commands would be the host's
        return os.path.exists(self.path("/run/systemd/private")) and \
            self.run("systemctl", "is-active", "-q", "basic.target").returncode == 0

    def boot_log(self):
        try:
            return self.read("/run/boot.log")
        except OSError:
            return "(nothing was written)"

    def path(self, inside):
        """Where the host finds what is @inside in the box."""
        return f"/proc/{self.pid}/root{inside}"

    def read(self, inside):
        with open(self.path(inside), encoding="utf-8", errors="replace") as file:
            return file.read()

    def write(self, inside, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        with open(self.path(inside), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(inside), mode)

    def run(self, *argv, timeout=60, stdin=None):
        """Runs a program inside, as root; the result is process.run()'s."""
        options = {} if stdin is None else {"input": stdin, "stdin": None}
        return process.run([*self.prefix, *argv], timeout=timeout, **options)

    def check(self, *argv, **options):
        """One that must succeed; returns what it printed."""
        done = self.run(*argv, **options)
        if done.returncode != 0:
            raise AssertionError(f"{self.name}: {' '.join(argv)} ended with {done.returncode}: "
                                 f"{done.stdout}{done.stderr}")
        return done.stdout

    def paste(self, text, timeout=60):
        """Lines as somebody pastes them into a root shell, the first that fails ends it."""
        return self.check("bash", "-euo", "pipefail", "-c", text, timeout=timeout)

    def spawn(self, *argv, **options):
        return process.spawn([*self.prefix, *argv], **options)

    def close(self):
        self._holder.stdin.close()
        try:
            self._holder.wait(20)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        self._holder.stdout.close()


def join(boxes, addresses, length=24, link="ipsp"):
    """A cable between two boxes, with these addresses at its ends."""
    first, second = boxes
    first.check("ip", "link", "add", link, "type", "veth", "peer", "name", "other")
    # the other end goes by a name that is not taken, and by a process's number as this host counts
    done = process.run(["nsenter", f"--net=/proc/{first.pid}/ns/net", "ip", "link", "set", "other",
                        "netns", str(second.pid)])
    if done.returncode != 0:
        raise RuntimeError(f"a cable between two boxes: {done.stderr}")
    second.check("ip", "link", "set", "other", "name", link)
    for box, address in zip(boxes, addresses):
        box.check("ip", "address", "add", f"{address}/{length}", "dev", link)
        box.check("ip", "link", "set", link, "up")


# ---------------------------------------------------------------- the holder


def child_of(pid):
    """The process that unshare has forked; 0: not yet."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return int(file.read().split()[0])
    except (OSError, IndexError):
        return 0


def into_group(group):
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    with open(os.path.join(group, "cgroup.procs"), "w", encoding="ascii") as file:
        file.write(str(os.getpid()))


def hold(name, kind, hierarchy):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    group = os.path.join(hierarchy, f"{NAME}{name}.{os.getpid()}")
    folder = os.path.join(tempfile.gettempdir(), f"{NAME}{name}.{os.getpid()}")
    os.mkdir(group)
    os.mkdir(folder)
    shell = subprocess.Popen(
        ["unshare", *KINDS, "sh", "-c", BOOT, "boot", folder, kind, SYSTEMD, ROOT],
        stdin=subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=lambda: into_group(group),
    )
    try:
        while shell.poll() is None and not child_of(shell.pid):
            time.sleep(0.01)
        first = child_of(shell.pid)
        print(first or "", flush=True)
        sys.stdin.read()
        if first and shell.poll() is None:
            os.kill(first, signal.SIGKILL)  # with it goes everything that is inside
    finally:
        shell.kill()
        shell.wait()
        end = time.monotonic() + 10
        while os.path.exists(group) and time.monotonic() < end:
            remove_group(group)
            time.sleep(0.02)
        os.rmdir(folder)


if __name__ == "__main__":
    hold(*sys.argv[1:])
