#!/usr/bin/env python3
"""What is said of a peer that stops in order, and drains: of a primary without a session, without a peer,
and of a side that takes over."""

import os
import stat
import sys
import time

from harness.host import total
from harness.pair import Case, main

DEAD_MS = 2500
POOL = {"name": "pool-a", "network": "10.1.0.0/24"}
SIZE = 254
HOOK = """#!/bin/sh
echo "$IPSP_EVENT $IPSP_PEER_STATE" >>"{calls}"
"""


class Hook:
    """A hook that writes down what it was called for."""

    def __init__(self, host):
        self._calls = os.path.join(host.folder, "calls")
        path = os.path.join(host.folder, "hook")
        with open(path, "w", encoding="utf-8") as file:
            file.write(HOOK.format(calls=self._calls))
        os.chmod(path, stat.S_IRWXU)
        host.config.extra += f'hook = "{path}";\n'

    def calls(self):
        try:
            with open(self._calls, encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []


class Roles(Case):
    def shared(self, trapd=False, **options):
        pair = self.pair(trapd=trapd)
        self.hooks = [Hook(host) for host in pair.hosts]
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        pair.start(hello_interval_ms=100, dead_interval_ms=DEAD_MS, **options)
        return pair

    def test_a_stop_is_no_alarm(self):
        """The upgrade: HA1 is drained and stopped for longer than the dead interval."""
        pair = self.shared()
        first, second = pair.hosts
        gateway = pair.gateway(1)
        gateway.request("u1@isp", "s1")
        pair.work(10, "a session")
        first.do("drain", "--wait", "--timeout", "20")
        self.assertEqual(first.stop(), 0)
        self.assertIn("stopping: goodbye is said to the peer", first.log())
        pair.loop.until(lambda: second.status()["peer"]["state"] == "stopped", 5, pair.story)
        end = time.monotonic() + 2 * DEAD_MS / 1000
        while time.monotonic() < end:
            self.assertEqual(second.status()["peer"]["state"], "stopped")
            self.assertEqual(second.ctl("request", "u2@isp").returncode, 0)
            second.do("release", second.ctl("request", "u2@isp").stdout.strip())
        self.assertIn("the peer has stopped in order", second.do("show", "ip", "ipsp"))
        log = second.do("show", "log")
        self.assertIn(f"this side owns {SIZE} of {SIZE} addresses and serves on", log)
        for alarm in ("lost", "marked down", "taking over", "not heard, and the dead"):
            self.assertNotIn(alarm, log)
        calls = self.hooks[1].calls()
        self.assertEqual(calls.count("peer-stopped stopped"), 1, calls)
        self.assertFalse([call for call in calls if "lost" in call or "down" in call], calls)
        self.assertNotIn("serving-change stopped", calls)
        first.start()
        pair.wait_sharing()
        pair.check_ledger()

    def test_a_stop_with_sessions(self):
        """What its sessions have is said to follow, and then it is said that it has."""
        pair = self.shared()
        first, second = pair.hosts
        self.assertEqual(first.ctl("request", "u1@isp").returncode, 0)
        self.assertEqual(first.stop(), 0)
        pair.loop.until(lambda: second.status()["peer"]["state"] == "down", 20, pair.story)
        log = second.do("show", "log")
        self.assertIn("with 1 sessions left", log)
        self.assertIn("the other 1 addresses are used here as well", log)
        calls = self.hooks[1].calls()
        self.assertEqual(calls.count("peer-stopped stopped"), 1, calls)
        self.assertEqual(calls.count("peer-down down"), 1, calls)

    def test_drain_without_a_session(self):
        """All addresses and the role move, and the trap is sent; only then it is safe to stop."""
        pair = self.shared(trapd=True)
        first, second = pair.hosts
        done = first.do("drain", "--wait", "--timeout", "20")
        self.assertIn("safe to stop", done)
        self.assertEqual(total(first.status(), "released"), SIZE)
        self.assertEqual(pair.roles(), ("secondary", "primary"))
        self.assertEqual(total(second.status(), "free"), SIZE)
        pair.loop.until(lambda: pair.traps(0, "starIPSPAllAddrsFree"), 10, "the trap")
        first.do("undrain")  # where it stays: a standby that serves
        pair.wait_sharing()
        self.assertEqual(first.ctl("request", "u1@isp").returncode, 0)

    def test_drained_and_takes_over(self):
        """Refused while the peer is not up; and a side that takes over is drained no more."""
        pair = self.shared()
        first, second = pair.hosts
        second.kill9()
        pair.loop.until(lambda: first.status()["peer"]["state"] != "up", 10, pair.story)
        refused = first.ctl("drain", "--wait")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("no-peer", refused.stderr)
        self.assertFalse(first.status()["draining"])
        self.assertIn("nobody gives new sessions addresses", first.do("drain", "--force"))
        self.assertIn("draining", first.ctl("request", "u1@isp").stderr)
        pair.loop.until(lambda: first.status()["serving"], 20, pair.story)
        self.assertFalse(first.status()["draining"])
        self.assertIn("drained no more", first.do("show", "log"))
        self.assertEqual(first.ctl("request", "u1@isp").returncode, 0)


if __name__ == "__main__":
    sys.exit(main())
