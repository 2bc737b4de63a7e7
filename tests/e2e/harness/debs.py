"""The Debian packages of this tree, and their installation into a box as an administrator does it."""

import fcntl
import glob
import os
import shutil

from . import process

BUILD_S = 900  # half a minute of processor time


def build(output, version=None):
    """docs/package.sh into the folder @output, another one than the last time's."""
    words = ["--version", version] if version else []
    done = process.run(["sh", os.path.join(process.TOP, "docs", "package.sh"), "--output", output, *words],
                       timeout=BUILD_S)
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)


def built(name="package", version=None):
    """The folder of packages @name, which several tests use: it is built once for each state of the tree.

    $IPSPD_DEBS and $IPSPD_DEBS_NEXT name folders where they lie already.
    """
    given = os.environ.get({"package": "IPSPD_DEBS", "package-next": "IPSPD_DEBS_NEXT"}[name])
    if given:
        return given
    folder = os.path.join(os.path.abspath(process.build_folder()), "packages", name)
    os.makedirs(folder, exist_ok=True)
    with open(folder + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several tests may run at once
        state = f"{version} {newest()}"
        stamp = os.path.join(folder, "stamp")
        if not os.path.exists(stamp) or open(stamp, encoding="ascii").read() != state:
            build(folder, version)
            with open(stamp, "w", encoding="ascii") as file:
                file.write(state)
    return folder


def newest():
    """When a file of the tree was last changed."""
    times = [0]
    for folder, names, files in os.walk(process.TOP):
        names[:] = [name for name in names if not name.startswith(("build", ".git", "__pycache__"))]
        times += [os.lstat(os.path.join(folder, name)).st_mtime_ns for name in files]
    return max(times)


def version(folder):
    """Of the packages in @folder."""
    name, = glob.glob(os.path.join(folder, "ipspd_*.deb"))
    return os.path.basename(name).split("_")[1]


def put(box, folder, where="/build/package"):
    """Copies the packages into the box, to where docs/package.sh makes them in its root."""
    shutil.rmtree(box.path(where), ignore_errors=True)
    os.makedirs(box.path(where))
    for deb in glob.glob(os.path.join(folder, "*.deb")):
        shutil.copy(deb, box.path(where))
