#!/usr/bin/env python3
"""What one local user does to the others: how long a second client waits while the first behaves as badly as it
may, beside what it waits otherwise; hellos go out on time meanwhile, and memory stays flat."""

import grp
import json
import os
import sys
import time
import unittest

from harness import process
from harness.pair import Case, main

ROUNDS = 4  # the best of them counts: that the machine is busy is no fault of the daemon
QUIET_S, LOUD_S = 0.6, 1.2
FLOOR_MS = 5  # what the machine may add to any answer
LATE_MS = 1000  # a hello, on a busy machine; it was 69 s once
GROWS = 4 << 20  # from the first to the last round
HOLDS = 48 << 20  # at any time, more than before: 16 MiB for a user, and what it takes to serve it
MANY = 20000  # sessions, so that what is shown is long
GOOD, BAD = 64001, 64002
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "localuser.py")


def first():
    """Where the system lets it, the daemon and who is measured have the processor before all else: then what is
    measured is the daemon, not how busy the machine is."""
    words = ["chrt", "--fifo", "1"]
    try:
        return words if process.run([*words, "true"]).returncode == 0 else []
    except FileNotFoundError:
        return []


def groups():
    """Three groups of this host that are not root's, by the keys of the configuration."""
    found = sorted((entry.gr_gid, entry.gr_name) for entry in grp.getgrall() if 0 < entry.gr_gid < 1000)
    return dict(zip(("group", "gateway_group", "status_group"), found))


def as_user(uid, gid, *words):
    member = [f"--groups={gid}"] if gid else ["--clear-groups"]
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", *member, "--",
            sys.executable, "-B", SCRIPT, *(str(word) for word in words)]


@unittest.skipIf(os.geteuid() != 0, "only root can be other users, too")
class Neighbours(Case):
    measures = True

    def setUp(self):
        super().setUp()
        self.two = self.pair(trapd=False)
        self.groups = groups()
        self.victim = self.two.hosts[0]
        for host in self.two.hosts:
            host.build = process.packaged_folder()  # sanitizers take time, and keep what was freed
            host.run_under(*first())
        for key, (_, name) in self.groups.items():
            setattr(self.victim.config, key, name)
        self.two.start(hello_interval_ms=100)
        folder = self.victim.folder
        while folder != os.path.dirname(self.folder):  # the socket's own mode is what counts
            os.chmod(folder, 0o755)
            folder = os.path.dirname(folder)
        lines = "".join(json.dumps({"id": n, "op": "request", "subscriber": f"many{n}@isp"}) + "\n" for n in range(MANY))
        done = process.run([process.program("ipspctl", self.victim.build), "-s", self.victim.socket, "agent"], input=lines,
                           stdin=None)
        self.assertEqual(done.stdout.count('"ok":true'), MANY)

    def measure(self, seconds):
        """The p99 of a gateway's request, in ms."""
        done = process.run(first() + as_user(GOOD, self.groups["gateway_group"][0], self.victim.socket, "measure", seconds))
        self.assertEqual(done.returncode, 0, done.stderr)
        return float(done.stdout.split()[1])

    def disturbed(self, kind, level):
        """The same while somebody else does @kind; and the most memory meanwhile."""
        gid = self.groups[level][0] if level else None
        bad = process.spawn(as_user(BAD, gid, self.victim.socket, kind))
        try:
            time.sleep(0.3)
            loud = self.measure(LOUD_S)
            self.assertIsNone(bad.poll(), "it has ended")
        finally:
            bad.kill()
            bad.wait()
        return loud

    def neighbour(self, kind, level):
        """Its p99 stays under twice the quiet one, in one round at least."""
        before, memory, rounds = process.memory(self.victim.pid), [], []
        for number in range(ROUNDS):
            quiet = self.measure(QUIET_S)
            loud = self.disturbed(kind, level)
            memory.append(process.memory(self.victim.pid))
            rounds.append(loud / max(quiet, FLOOR_MS / 2))
            self.say(f"{kind}: p99 {quiet:.2f} ms quiet, {loud:.2f} ms disturbed: {loud / quiet:.1f} times; "
                     f"memory {memory[-1] >> 20} MiB")
            if number > 0 and min(rounds) < 2:
                break
        counters = self.victim.counters()
        self.say(f"the latest hello was {counters['hello-late-max-ms']} ms late")
        self.assertLess(min(rounds), 2)
        self.assertLess(max(memory) - before, HOLDS)
        self.assertLess(memory[-1] - memory[0], GROWS)
        self.assertLess(counters["hello-late-max-ms"], LATE_MS)
        self.assertEqual(self.two.hosts[1].counters()["peer-losses"], 0)
        self.assertTrue(self.two.sharing())

    def test_without_the_group(self):
        """Every connection is refused, by the system."""
        self.neighbour("outside", None)

    def test_everything(self):
        """Reads the file again, shows, compares and asks for addresses without an end."""
        self.neighbour("everything", "group")

    def test_gateway(self):
        self.neighbour("gateway", "gateway_group")

    def test_status(self):
        self.neighbour("status", "status_group")

    def test_floods(self):
        """A hundred connections whose requests are refused."""
        self.neighbour("flood", "gateway_group")

    def test_sends_half_a_frame(self):
        self.neighbour("half", "gateway_group")

    def test_never_reads(self):
        self.neighbour("deaf", "gateway_group")


if __name__ == "__main__":
    sys.exit(main())
