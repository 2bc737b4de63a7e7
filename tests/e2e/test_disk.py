#!/usr/bin/env python3
"""The disk with the state directory is full, for real: what the side says, what goes on, and that it goes on by
itself once there is room. Also at a start, with a manager of SNMPv3, whose engine is a file there."""

import os
import shutil
import signal
import sys
import time

from harness import mounts, process
from harness.config import Context
from harness.pair import Case, main

SIZE = 8 << 20
V3 = """snmp = {{ sinks = ( {{ host = "127.0.0.1"; port = 9; version = "3"; user = "ops";
  auth-protocol = "SHA"; auth-passphrase-file = "{0}"; }} ); }};
"""


class Disk(Case):
    def small(self):
        """A pair whose first host has a small disk, nothing running yet."""
        if not mounts.private():
            self.skipTest("no mount namespaces here")
        pair = self.pair(trapd=False)
        self.state = pair.hosts[0].config.state
        mounts.small_disk(self.state, SIZE)
        self.addCleanup(mounts.unmount, self.state)
        self.hook = os.path.join(pair.folder, "hook")
        self.events = os.path.join(pair.folder, "events")
        with open(self.hook, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\necho "$IPSP_EVENT $IPSP_DISK" >>{self.events}\n')
        os.chmod(self.hook, 0o755)
        pair.hosts[0].config.extra = f'hook = "{self.hook}";\n'
        return pair

    def hooks(self):
        try:
            with open(self.events, encoding="ascii") as file:
                return [line for line in file.read().splitlines() if line.startswith("disk-full")]
        except FileNotFoundError:
            return []

    def test_one_context_more(self):
        """A reload that adds a context finds the disk full: it is refused, and the others go on."""
        pair = self.small()
        pair.ipsp(0, "primary", hello_interval_ms=100)
        host = pair.hosts[0]
        host.start()
        full = mounts.fill(self.state)
        host.config.others.append(
            Context(context="isp2", pools=[{"name": "pool-b", "network": "10.2.0.0/24"}]))
        host.write_config()
        refused = host.ctl("reload")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("isp2: its lease file", refused.stderr)
        self.assertIsNotNone(host.status_or_none(), host.tail())
        self.assertEqual(host.starts, 1)
        os.unlink(full)
        self.assertEqual(host.ctl("reload").returncode, 0)

    def test_full_and_back(self):
        pair = self.small()
        # The least that a store needs to begin: what it keeps back finds no room. (The lease file, which
        # might come too late for any, is there from an earlier start.)
        pair.ipsp(0, "primary")
        pair.hosts[0].start()
        self.assertEqual(pair.hosts[0].stop(), 0)
        os.unlink(os.path.join(self.state, "store"))
        full = mounts.fill(self.state, leave=256 << 10)
        pair.launch(hello_interval_ms=100)
        host, peer = pair.hosts
        pair.loop.until(lambda: host.status()["disk-full"], 15, pair.story)
        pair.loop.until(lambda: host.status()["peer"]["state"] == "up", 15, pair.story)
        status = host.status()
        self.assertFalse(status["serving"])
        self.assertIn("the disk is full: make room there", host.log())
        self.assertIn("is full", status["notes"][0])
        for side in (host, peer):
            refused = side.ctl("request", f"{side.name}@isp")
            self.assertEqual(refused.returncode, 1)
            if side is host:
                self.assertIn("disk-full", refused.stderr)
        pair.loop.until(lambda: self.hooks() == ["disk-full full"], 10, self.hooks)
        self.assertEqual(host.counters()["peer-losses"], 0)

        os.unlink(full)
        pair.loop.until(lambda: host.status()["serving"], 15, pair.story)
        self.assertFalse(host.status()["disk-full"])
        self.assertIn("the disk has room again", host.log())
        pair.loop.until(lambda: self.hooks()[1:] == ["disk-full room"], 10, self.hooks)
        pair.wait_sharing()
        for side in (host, peer):
            side.do("request", f"{side.name}@isp")

    def test_stands_still(self):
        """A flush that takes long is said while it lasts, and when it is over."""
        host = self.pair(trapd=False).hosts[0]
        host.start()
        self.assertEqual(host.stop(), 0)
        host.environment = dict(self.preloaded("slowsync"), SLOWSYNC_MS="2900")
        host.start()
        process.until(lambda: "the disk stands still: a flush runs for 2" in host.log(), 20, host.tail)
        shown = host.status()
        self.assertTrue(any("the disk stands still" in note for note in shown["notes"]), shown["notes"])
        self.assertGreaterEqual(host.counters()["flush-stands-ms"], 2000)
        process.until(lambda: "the disk goes on: that flush took" in host.log(), 10, host.tail)
        process.until(lambda: host.counters()["flush-longest-ms"] >= 2900, 10, host.tail)

    def test_a_pause_is_not_the_disk(self):
        """The whole process is stopped while a flush runs: that time says nothing of the disk."""
        pair = self.pair(trapd=False)
        pair.ipsp(0, "primary", hello_interval_ms=100)
        host = pair.hosts[0]
        host.environment = dict(self.preloaded("slowsync"), SLOWSYNC_MS="1000")
        host.start()
        process.until(lambda: host.status()["serving"], 20, host.tail)
        host.do("request", "u1@isp")
        process.until(lambda: host.counters()["flush-stands-ms"] > 0, 10, host.tail)
        host.signal(signal.SIGSTOP)
        time.sleep(3)
        host.signal(signal.SIGCONT)
        time.sleep(1)
        self.assertNotIn("stands still", host.log())
        self.assertLess(host.counters()["flush-longest-ms"], 2900)

    def test_removed_under_the_daemon(self):
        """What it would write is lost with it, so it stops as after a write that failed."""
        for how in ("removed", "replaced"):
            with self.subTest(how):
                host = self.pair(trapd=False).hosts[0]
                host.start()
                host.do("request", "u1@isp")
                store = os.path.join(host.config.state, "store")
                if how == "removed":
                    shutil.rmtree(host.config.state)
                else:
                    shutil.copy(store, store + ".copy")
                    os.rename(store + ".copy", store)
                time.sleep(0.6)
                host.ctl("request", "u2@isp")
                process.until(lambda: not host.running(), 10, host.tail)
                self.assertRegex(host.log(), f"store was {how} under the running daemon: stopping, as nothing")

    def test_start_with_a_full_disk(self):
        """It starts, and serves once there is room; its traps need no restart either."""
        pair = self.small()
        secret = os.path.join(pair.folder, "passphrase")
        with open(secret, "w", encoding="ascii") as file:
            file.write("a long passphrase\n")
        os.chmod(secret, 0o600)
        host = pair.hosts[0]
        host.config.extra += V3.format(secret)
        pair.launch(hello_interval_ms=100)
        pair.wait_sharing()
        address = host.do("request", "u1@isp").split()[0]
        host.kill9()
        os.unlink(os.path.join(self.state, "snmp-engine"))
        full = mounts.fill(self.state)
        host.launch()
        host.wait_ready()
        self.assertIn(address, host.sessions())
        host.do("release", address)
        os.unlink(full)
        pair.wait_sharing()
        host.do("request", "u2@isp")
        self.assertEqual(host.starts, 2)


if __name__ == "__main__":
    sys.exit(main())
