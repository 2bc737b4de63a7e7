"""Mounts that nobody else sees: the test's own process, and what it starts, get a mount namespace."""

import ctypes
import os

from . import process

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x20000


def private():
    """From here on what is mounted is mounted for this process and its children only; False: it can't be."""
    if os.geteuid() != 0 or _LIBC.unshare(_CLONE_NEWNS) != 0:
        return False
    return _mount("--make-rprivate", "/")


def small_disk(folder, size):
    """@folder gets a disk of its own, of @size bytes."""
    os.makedirs(folder, exist_ok=True)
    assert _mount("-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder), "a small disk"


def instead_of(path, own):
    """The file @own is seen at @path, and what is written to it."""
    assert _mount("--bind", own, path), f"{own} over {path}"


def unmount(path):
    process.run(["umount", "--lazy", path])


def fill(folder, leave=0):
    """Writes a file until the disk is full, but for @leave bytes; returns its path."""
    path = os.path.join(folder, "fill")
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            pass
    if leave:
        os.truncate(path, max(0, os.path.getsize(path) - leave))
    return path


def _mount(*words):
    return process.run(["mount", *words]).returncode == 0
