#!/usr/bin/env python3
"""The planned handover by drain --wait with sessions that move and sessions that are new; and stops: with
the peer there, with the peer gone, and twice."""

import os
import re
import signal
import sys
import time

from harness import process
from harness.host import total
from harness.pair import Case, main

SESSIONS = 400
NEW = 100


def stop_timeout():
    """What the unit grants to a stop, in seconds."""
    with open(os.path.join(process.TOP, "conf", "ipspd.service"), encoding="utf-8") as file:
        return int(re.search(r"(?m)^TimeoutStopSec=(\d+)", file.read()).group(1))


class Handover(Case):
    def test_drain_with_sessions(self):
        """All handed over with their addresses, used = 0, one trap, exit code 0; meanwhile new sessions
        are served by the secondary and refused by the primary."""
        pair = self.pair()
        pair.start()
        first, second = pair.gateway(0), pair.gateway(1)
        for number in range(SESSIONS):
            first.request(f"u{number}@isp", f"s{number}")
        pair.work(30, "the sessions")
        moving = dict(first.sessions())
        drain = process.spawn(
            [process.program("ipspctl"), "-s", pair.hosts[0].socket, "drain", "--wait", "--timeout", "120"],
            stdout=process.subprocess.DEVNULL, stderr=process.subprocess.DEVNULL)
        pair.loop.until(lambda: pair.hosts[0].status()["draining"], 10, "the drain to begin")
        refused = pair.hosts[0].ctl("request", "late@isp")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("draining", refused.stderr)
        for number, (address, (subscriber, _)) in enumerate(moving.items()):
            second.request(subscriber, f"moved-{subscriber}", address)
            if number % (SESSIONS // NEW) == 0:
                second.request(f"n{number}@isp", f"new-{number}")
        pair.work(60, "the handover")
        pair.loop.until(lambda: drain.poll() is not None, 30, "drain --wait to end")
        self.assertEqual(drain.returncode, 0)
        status = pair.hosts[0].status()
        self.assertEqual(total(status, "used"), 0)
        self.assertEqual(total(status, "in-transit"), 0)
        pair.wait_roles("secondary", "primary")
        pair.loop.until(lambda: pair.traps(0, "starIPSPAllAddrsFree"), 20, "the trap")
        end = time.monotonic() + 3
        while time.monotonic() < end:  # a second one would have come
            pair.loop.turn(0.05)
        self.assertEqual(len(pair.traps(0, "starIPSPAllAddrsFree")), 1)
        self.assertTrue(pair.hosts[0].status()["all-free"])
        self.assertEqual(first.sessions(), {})
        self.assertEqual(len(second.sessions()), SESSIONS + NEW)
        self.assertEqual({address: who for address, (who, _) in second.sessions().items()
                          if address in moving}, {address: who for address, (who, _) in moving.items()})
        pair.settle()
        pair.check_ledger()


class Stop(Case):
    def shared(self):
        pair = self.pair(trapd=False)
        pair.start()
        for number in (0, 1):
            pair.gateway(number).request(f"u{number}@isp", "s")
        pair.work(20, "the sessions")
        pair.settle()
        return pair

    def test_hands_over_while_the_peer_is_there(self):
        pair = self.shared()
        self.assertEqual(pair.hosts[0].stop(), 0)
        status = pair.hosts[1].status()
        self.assertEqual(status["role"], "primary")
        self.assertTrue(status["serving"])
        self.assertEqual(total(status, "released"), 1)  # the session's; all else has moved
        pair.hosts[1].do("request", "new@isp")

    def test_just_closes_while_the_peer_is_gone(self):
        """Within the unit's stop timeout, at any moment of the peer's absence."""
        for absent in (0.0, 3.0):  # not noticed yet; lost
            with self.subTest(absent):
                pair = self.shared()
                pair.hosts[1].kill9()
                time.sleep(absent)
                sessions = pair.hosts[0].sessions()
                began = time.monotonic()
                self.assertEqual(pair.hosts[0].stop(), 0)
                self.assertLess(time.monotonic() - began, stop_timeout() - 2)
                pair.hosts[0].start()
                self.assertEqual(pair.hosts[0].sessions(), sessions)

    def test_twice(self):
        """A second SIGTERM, and a second start, change nothing."""
        pair = self.shared()
        host = pair.hosts[0]
        second = process.run([process.program("ipspd"), "-f", "-c", host.file], timeout=20)
        self.assertNotEqual(second.returncode, 0)
        self.assertTrue(pair.sharing(), "a second start disturbed the first one")
        for _ in range(3):
            host.signal(signal.SIGTERM)
        process.until(lambda: not host.running(), 20, "ipspd to stop")
        self.assertEqual(host.ended(), 0, host.tail())
        self.assertEqual(pair.hosts[1].status()["role"], "primary")
        host.start()
        pair.loop.until(lambda: not pair.gateways[0].connected(), 10, "the gateway to notice")
        pair.gateways[0].attach()
        pair.loop.until(lambda: pair.gateways[0].attached, 20, "the gateway to attach")
        pair.wait_sharing()
        pair.wait_roles("primary", "secondary")
        pair.settle()
        pair.check_ledger()


if __name__ == "__main__":
    sys.exit(main())
