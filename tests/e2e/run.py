#!/usr/bin/env python3
"""Runs the system tests: all of them, or those whose names are given (upgrade, kill.Killed, ...).

  --jobs N   so many at once, each in a process of its own; 0: one after the other, in this one
  --long     the long form of tests that have one (ten measures instead of three)
  --check    runs nothing: only looks whether there are tests of these names

IPSPD_BUILD names the build folder, IPSPD_KEEP=1 keeps the tests' folders, IPSPD_SEED=N repeats the
choice of a random test. Tests that measure time come last, when nothing else is running that works the
processor. The last line says how many passed.
"""

import argparse
import glob
import importlib
import os
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from harness import process  # noqa: E402  the path comes first

JOBS = 3  # on any machine: they wait for timers most of their time


class Result(unittest.TextTestResult):
    """One line before each test, one after it, with the time that it took."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.passed = 0
        self._began = 0.0

    def startTest(self, test):
        unittest.TestResult.startTest(self, test)
        self._began = time.monotonic()
        print(f"  {test.id()}", flush=True)

    def _line(self, word):
        print(f"  {word} ({time.monotonic() - self._began:.1f} s)", flush=True)

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self.passed += 1
        self._line("ok")

    def addFailure(self, test, err):
        unittest.TestResult.addFailure(self, test, err)
        self._line("FAILED")

    def addError(self, test, err):
        unittest.TestResult.addError(self, test, err)
        self._line("FAILED")

    def addSubTest(self, test, subtest, err):
        unittest.TestResult.addSubTest(self, test, subtest, err)
        if err is not None:
            self._line(f"FAILED {subtest.id().partition(' ')[2]}")

    def addSkip(self, test, reason):
        unittest.TestResult.addSkip(self, test, reason)
        self._line(f"skipped: {reason}")


class Job:
    """One test in a process of its own. What it prints is shown when it has ended."""

    def __init__(self, name):
        self._output = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")
        self._process = process.spawn(
            [sys.executable, os.path.join(HERE, "run.py"), "--jobs", "0", name],
            stdout=self._output, stderr=self._output,
        )
        self._name = name

    def ended(self):
        return self._process.poll() is not None

    def report(self):
        """Prints what it said; returns (passed, failed, skipped)."""
        self._output.seek(0)
        lines = self._output.read().splitlines()
        self._output.close()
        counts = counts_of(lines[-1]) if lines else None
        # (one that has only skipped something has passed nothing, and ends with 1 as well)
        if counts is None or sum(counts) == 0 or (
            (self._process.returncode != 0) != (counts[1] > 0 or counts[0] == 0)
        ):
            lines.append(f"  {self._name} ended with {self._process.returncode}")
            counts = (0, 1, 0)
        elif counts[1] == 0:
            # unittest's own words about a good end say nothing that the line before them doesn't
            lines = [line for line in lines if line.startswith("  ")]
        print("\n".join(lines), flush=True)
        return counts


def counts_of(line):
    """What ending() made, read again; None: it is another line."""
    words = line.replace(",", "").split()
    if words[1::2] not in (["passed", "failed"], ["passed", "failed", "skipped"]):
        return None
    numbers = [int(word) for word in words[0::2]]
    return (*numbers, 0)[:3]


def ending(passed, failed, skipped):
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def inside(word):
    """Has the file the class and the method that @word names? (A file that can't be loaded is a test that fails.)"""
    name, *path = word.split(".")
    if not path:
        return True
    try:
        thing = importlib.import_module(f"test_{name}")
    except Exception:  # pylint: disable=broad-except  whatever is wrong with it, its test will say it
        return True
    for part in path:
        thing = getattr(thing, part, None)
    return thing is not None


def names(words):
    found = sorted(
        os.path.basename(path)[len("test_"):-len(".py")]
        for path in glob.glob(os.path.join(HERE, "test_*.py"))
    )
    words = [word.removeprefix("test_") for word in words]
    unknown = [word for word in words if word.partition(".")[0] not in found or not inside(word)]
    if unknown:
        print(f"run.py: no such test: {', '.join(unknown)}; there are: {', '.join(found)}", file=sys.stderr)
        sys.exit(2)
    return [f"test_{word}" for word in words or found]


def tests_of(suite):
    for thing in suite:
        if isinstance(thing, unittest.TestSuite):
            yield from tests_of(thing)
        else:
            yield thing


def run_here(suite):
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=0)
    result = runner.run(suite)
    failed = {test.id() for test, _ in result.failures + result.errors}
    return result.passed, len(failed), len(result.skipped)


def run_jobs(tests, most):
    """All of @tests, the longest first, @most of them at a time."""
    waiting = sorted(tests, key=lambda test: -getattr(test, "lasts", 0))
    # (of a file that can't be loaded unittest makes a test with the file's name at the end of its id)
    waiting = [test.id().removeprefix("unittest.loader._FailedTest.") for test in waiting]
    running, total = [], (0, 0, 0)
    while waiting or running:
        while waiting and len(running) < most:
            running.append(Job(waiting.pop(0)))
        for job in [job for job in running if job.ended()]:
            running.remove(job)
            total = tuple(sum(pair) for pair in zip(total, job.report()))
        time.sleep(0.02)
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args()
    if chosen.long:
        os.environ["IPSPD_LONG"] = "1"
    if chosen.check:
        names(chosen.names)
        return 0
    try:
        program = process.program("ipspd")
    except RuntimeError as error:
        sys.exit(f"run.py: {error}")
    suite = unittest.defaultTestLoader.loadTestsFromNames(names(chosen.names))
    if chosen.jobs < 1:
        counts = run_here(suite)
    else:
        print(f"system tests of {program}, {chosen.jobs} at once")
        tests = list(tests_of(suite))
        measuring = [test for test in tests if getattr(test, "measures", False)]
        others = [test for test in tests if test not in measuring]
        counts = tuple(
            sum(pair)
            for pair in zip(run_jobs(others, chosen.jobs), run_jobs(measuring, chosen.jobs))
        )
    print(ending(*counts))
    return 1 if counts[1] or sum(counts) == counts[1] + counts[2] else 0


if __name__ == "__main__":
    sys.exit(main())
