"""Processes that end with the test, and waiting with a deadline."""

import ctypes
import os
import signal
import subprocess
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def build_folder():
    """Where the programs are: $IPSPD_BUILD, or what tests/run.sh makes by default."""
    return os.environ.get("IPSPD_BUILD") or os.path.join(TOP, "build", "asan")


def packaged_folder():
    """The build that is installed: one without sanitizers, which a program of others can link to."""
    return os.environ.get("IPSPD_PACKAGED") or build_folder()


def program(name, build=None):
    path = os.path.join(build or build_folder(), "src", name)
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"{path} is missing: build first, or set IPSPD_BUILD to the build folder")
    return path


def memory(pid):
    """The bytes of its own that are in memory. Means nothing where a sanitizer keeps what was freed."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def traced():
    """What a daemon is started with where $IPSPD_STRACE names a folder: its system calls are written there, a
    file for each thread (tests/lint/syscalls.py reads them)."""
    folder = os.environ.get("IPSPD_STRACE")
    if not folder:
        return []
    _traced.append(None)
    name = os.path.join(folder, f"{os.getpid()}-{len(_traced)}")
    return ["strace", "-D", "-ff", "-qq", "-s", "24", "-o", name]


_traced = []


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn(argv, **options):
    """Like subprocess.Popen, for a process that is killed when this one dies."""
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(argv, preexec_fn=_die_with_parent, **options)


def run(argv, timeout=60, **options):
    """Runs to the end; the result has .returncode, .stdout and .stderr as text. It has a minute at least:
    who wants to know that a program is quick measures it."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(
        argv, text=True, capture_output=True, timeout=max(timeout, 60), check=False, **options
    )


def stop(process, timeout=20):
    """Asks a process to end, insists after @timeout seconds; returns its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


class TooLate(AssertionError):
    """What a test waited for has not come about."""


LEAST_S = 30  # the sanitizers' build, three times slower than here


def until(condition, seconds, what, step=0.05, idle=time.sleep, least=LEAST_S):
    """Polls @condition until it is true and returns its value; TooLate after @seconds, or @least.

    @seconds is what it takes at most with the programs as they are configured: that the machine is slow is no
    fault. @what is a text, or a function that makes one when it is needed. @idle(step) passes the time between
    two looks: a test that has agents running hands in the loop that serves them.
    """
    seconds = max(seconds, least)
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            text = what() if callable(what) else what
            raise TooLate(f"after {seconds} s still waiting for: {text}")
        idle(step)
