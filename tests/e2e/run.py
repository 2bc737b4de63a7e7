#!/usr/bin/env python3
"""Runs the system tests: all of them, or those whose names are given (upgrade kill loss ...).

IPSPD_BUILD names the build folder, IPSPD_KEEP=1 keeps the tests' folders, IPSPD_SEED=N repeats the
choice of a random test. The last line says how many passed.
"""

import glob
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from harness import process  # noqa: E402  the path comes first


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


def names(words):
    found = sorted(
        os.path.basename(path)[len("test_"):-len(".py")]
        for path in glob.glob(os.path.join(HERE, "test_*.py"))
    )
    unknown = [word for word in words if word not in found]
    if unknown:
        sys.exit(f"run.py: no such test: {', '.join(unknown)}; there are: {', '.join(found)}")
    return words or found


def main():
    chosen = names(sys.argv[1:])
    try:
        print(f"system tests of {process.program('ipspd')}")
    except RuntimeError as error:
        sys.exit(f"run.py: {error}")
    suite = unittest.defaultTestLoader.loadTestsFromNames([f"test_{name}" for name in chosen])
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=0)
    result = runner.run(suite)
    failed = {test.id() for test, _ in result.failures + result.errors}
    ends = f"{result.passed} passed, {len(failed)} failed"
    print(ends + (f", {len(result.skipped)} skipped" if result.skipped else ""))
    return 1 if failed or result.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
