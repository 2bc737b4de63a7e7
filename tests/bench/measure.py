"""Samples, and how quiet the machine was when they were taken."""

import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

from harness import process  # noqa: E402  the path comes first


class Results:
    """cell -> one sample for each round. A cell is a name with its unit at the end: "G1 ipspd two /s"."""

    def __init__(self):
        self.samples = {}
        self.notes = []
        self.busy = []  # cells of samples that were taken beside a busy neighbour

    def add(self, cell, value):
        self.samples.setdefault(cell, []).append(value)

    def get(self, cell):
        return self.samples.get(cell, [])

    def note(self, text):
        self.notes.append(text)
        say(f"# {text}")

    def as_json(self):
        return {cell: {"median": statistics.median(values), "min": min(values), "max": max(values),
                       "samples": values} for cell, values in self.samples.items()}


class Quiet:
    """Before a sample: waits for the neighbours to be quiet, while the budget of waiting lasts."""

    def __init__(self, budget_s):
        self.left = budget_s

    def wait(self):
        """True: the machine is quiet, as far as a tenth of a second can tell."""
        began = time.monotonic()
        while True:
            busy = others_busy(0.1)
            if busy <= 0.15:
                return True
            if self.left - (time.monotonic() - began) <= 0:
                self.left = 0
                return False
            self.left -= 0.2
            time.sleep(0.2)


def others_busy(seconds):
    """Cores that are in use while this process sleeps."""
    before = cpu_ticks()
    time.sleep(seconds)
    return (cpu_ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds


def cpu_ticks():
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    user, nice, system, _idle, _wait, irq, softirq, steal = fields[:8]
    return user + nice + system + irq + softirq + steal


def say(text):
    print(text, file=sys.stderr, flush=True)


def program(name):
    path = os.path.join(process.build_folder(), "tests", "bench", name)
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"{path} is missing: build first")
    return path


def run_lines(argv, prefix=(), timeout=180):
    """Runs one of the programs here to its end; its lines of JSON."""
    done = subprocess.run([*prefix, *map(str, argv)], text=True, capture_output=True,
                          timeout=timeout, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def options(**given):
    """depth=64 -> ["--depth", 64]; True is an option without a value, None is none."""
    argv = []
    for name, value in given.items():
        if value is None or value is False:
            continue
        argv.append("--" + name.replace("_", "-"))
        if value is not True:
            argv.append(value)
    return argv


def rss_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def pin(pid, cpu):
    """The main thread only: what waits for the disk beside it runs where it likes."""
    os.sched_setaffinity(pid, {cpu})
