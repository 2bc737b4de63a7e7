#!/usr/bin/env python3
"""Users who take what they can get of the control socket: the others are served all the same, the log says how
many there were, and memory stays flat."""

import os
import select
import socket
import sys
import threading
import time
import unittest

from harness import control, process
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
        self.victim.build = process.packaged_folder()  # the address sanitizer keeps what was freed
        self.victim.start()
        folder = self.victim.folder
        while folder != os.path.dirname(self.folder):
            os.chmod(folder, 0o755)
            folder = os.path.dirname(folder)
        os.chmod(self.victim.socket, 0o666)

    def ctl(self, uid, *words):
        return process.run(as_user(uid, process.program("ipspctl"), "-s", self.victim.socket, *words), timeout=30)

    def memory(self):
        return process.memory(self.victim.pid)

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
            self.assertLess(time.monotonic() - began, 9)  # it had to wait for a place: 10 s
        self.assertIn("overloaded", self.ctl(GREEDY, "request", "u@isp").stderr)

    def test_a_storm_of_connections(self):
        log, memory = len(self.victim.log()), self.memory()
        storm = [self.greedy(STORM, "8") for _ in range(2)]
        took = []
        while any(child.poll() is None for child in storm):
            for uid in (OTHER, 0):
                began = time.monotonic()
                done = self.ctl(uid, "request", f"u{len(took)}@isp")
                self.assertEqual(done.returncode, 0, done.stderr)
                took.append(time.monotonic() - began)
        self.assertLess(max(took), 6, took)  # not when the storm is over
        self.assertLess(len(self.victim.log()) - log, 20000)
        self.assertLess(self.memory() - memory, 16 << 20)
        process.until(lambda: "without a line of their own" in self.victim.log(), 15, "the log to say how many")


class Commands(Case):
    def pipeline(self, host, seconds):
        """Sends drain and undrain as fast as they are taken."""
        end, number, unsent = time.monotonic() + seconds, 0, control.HELLO
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(host.socket)
            sock.setblocking(False)
            while time.monotonic() < end:
                readable, writable, _ = select.select([sock], [sock], [], 1)
                if readable:
                    sock.recv(1 << 20)
                if writable:
                    if not unsent:
                        unsent = b"".join(control.command(number + i, ("drain", "undrain")[i % 2]) for i in range(20))
                        number += 20
                    unsent = unsent[sock.send(unsent):]

    def test_drains_in_a_loop(self):
        pair = self.pair(trapd=False)
        pair.hosts[0].environment = dict(self.preloaded("slowsync"), SLOWSYNC_MS="200")
        pair.start(hello_interval_ms=100)
        pair.settle()
        loops = [threading.Thread(target=self.pipeline, args=(pair.hosts[0], 6)) for _ in range(2)]
        took, hellos = [], pair.hosts[0].counters()["hellos-sent"]
        for loop in loops:
            loop.start()
        while any(loop.is_alive() for loop in loops):
            began = time.monotonic()
            pair.hosts[0].do("show", "ip", "ipsp")
            took.append(time.monotonic() - began)
        for loop in loops:
            loop.join()
        self.assertGreater(pair.hosts[0].counters()["hellos-sent"] - hellos, 30)  # 60 were due
        self.assertLess(len(pair.hosts[0].log()), 100000)
        self.assertLess(max(took), 5, took)
        self.assertEqual(pair.hosts[1].counters()["takeovers"], 0)
        pair.hosts[0].ctl("undrain")
        pair.wait_sharing()


if __name__ == "__main__":
    sys.exit(main())
