#!/usr/bin/env python3
"""Users who take what they can get of the control socket: the others are served all the same, the log says how
many there were, and memory stays flat."""

import os
import sys
import time
import unittest

from harness import process
from harness.pair import Case, main

GREEDY, OTHER = 64001, 64002

HOLD = """
import socket, sys
held = []
for _ in range(1100):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(sys.argv[1])
    held.append(sock)
print("all are in", flush=True)
sys.stdin.read()
"""

STORM = """
import socket, sys, time
held, end = [], time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(sys.argv[1])
    held.append(sock)
    if len(held) == 400:
        held.clear()
"""


def as_user(uid, *words):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", *words]


@unittest.skipIf(os.geteuid() != 0, "only root can be another user too")
class Greedy(Case):
    def setUp(self):
        super().setUp()
        self.victim = self.host()
        self.victim.start()
        folder = self.victim.folder
        while folder != os.path.dirname(self.folder):
            os.chmod(folder, 0o755)
            folder = os.path.dirname(folder)
        os.chmod(self.victim.socket, 0o666)

    def ctl(self, uid, *words):
        return process.run(as_user(uid, process.program("ipspctl"), "-s", self.victim.socket, *words), timeout=30)

    def memory(self):
        with open(f"/proc/{self.victim.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def greedy(self, script, *words, **options):
        child = process.spawn(as_user(GREEDY, sys.executable, "-c", script, self.victim.socket, *words), **options)
        self.addCleanup(process.stop, child)
        return child

    def test_one_user_takes_all_connections(self):
        crowd = self.greedy(HOLD, stdin=process.subprocess.PIPE, stdout=process.subprocess.PIPE, text=True)
        self.addCleanup(crowd.stdout.close)
        self.addCleanup(crowd.stdin.close)
        self.assertEqual(crowd.stdout.readline(), "all are in\n")
        for uid in (OTHER, 0):
            began = time.monotonic()
            done = self.ctl(uid, "request", f"u{uid}@isp")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertLess(time.monotonic() - began, 3)
        self.assertIn("overloaded", self.ctl(GREEDY, "request", "u@isp").stderr)

    def test_a_storm_of_connections(self):
        log, memory = len(self.victim.log()), self.memory()
        storm = [self.greedy(STORM, "3") for _ in range(2)]
        took = []
        while any(child.poll() is None for child in storm):
            for uid in (OTHER, 0):
                began = time.monotonic()
                done = self.ctl(uid, "request", f"u{len(took)}@isp")
                self.assertEqual(done.returncode, 0, done.stderr)
                took.append(time.monotonic() - began)
        self.assertLess(max(took), 2, took)
        self.assertLess(len(self.victim.log()) - log, 20000)
        self.assertLess(self.memory() - memory, 16 << 20)
        process.until(lambda: "without a line of their own" in self.victim.log(), 15, "the log to say how many")


if __name__ == "__main__":
    sys.exit(main())
