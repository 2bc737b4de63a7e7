#!/usr/bin/env python3
"""Soak, the short form: 50,000 sessions and a hundred reconnects of each kind leave descriptors and memory as
they were. It runs the build without sanitizers. With IPSPD_LONG=1: a million and a thousand."""

import os
import sys

from harness import process
from harness.pair import Case, main

SOAK = os.path.join(process.TOP, "tests", "e2e", "soak.py")


class Soak(Case):
    namespaces = True
    lasts = 60

    def test_flat(self):
        if not os.environ.get("IPSPD_PACKAGED"):
            self.skipTest("the sanitizers' memory is not the daemon's: IPSPD_PACKAGED names a build without")
        words = ["--long"] if os.environ.get("IPSPD_LONG") else []
        done = process.run([sys.executable, SOAK, *words], timeout=3600,
                           env=dict(os.environ, IPSPD_BUILD=os.environ["IPSPD_PACKAGED"]))
        print(done.stdout, file=sys.stderr)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    sys.exit(main())
