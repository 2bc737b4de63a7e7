#!/usr/bin/env python3
"""A cut in one direction only, longer than the dead interval, with both gateways asking all the time.

The side that doesn't hear takes over, and it alone. The other one hears hellos that promise nothing, and
stops assigning when its lease ends, which is before that. No address has two holders at any time.
"""

import sys
import time

from harness.host import total
from harness.pair import Case, main

DEAD_MS = 3000
POOL = {"name": "pool-a", "network": "10.1.0.0/24"}
BEFORE = 20
DURING = 30  # new sessions of each side: fewer than the block that a secondary has


class OneWay(Case):
    namespaces = True
    lasts = 12

    def cut_off(self, deaf):
        """Nothing arrives at the side @deaf any more; it sends as before."""
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        pair.start(dead_interval_ms=DEAD_MS, hello_interval_ms=100, block_size=64)
        gateways = [pair.gateway(0), pair.gateway(1)]
        for gateway in gateways:
            for number in range(BEFORE):
                gateway.request(f"{gateway.name}-{number}@isp", f"s{number}")
        pair.work(20, "the first sessions")
        pair.settle()

        pair.net.sides[deaf].lose(100)
        cut_at = time.monotonic()
        for number in range(DURING):
            for gateway in gateways:
                gateway.request(f"{gateway.name}-cut{number}@isp", f"c{number}")
            end = time.monotonic() + (DEAD_MS + 1000) / 1000 / DURING
            while time.monotonic() < end:
                pair.loop.turn(0.01)
        self.assertGreater(time.monotonic() - cut_at, DEAD_MS / 1000)
        self.assertGreater(pair.net.sides[deaf].lost(), 0, "the cut was not there")

        taker, other = pair.hosts[deaf], pair.hosts[1 - deaf]
        pair.loop.until(lambda: taker.status()["state"] == "peer-down", 5, pair.story)
        pair.loop.until(gateways[deaf].idle, 5, "the side that took over to serve")
        self.assertEqual(len(gateways[deaf].sessions()), BEFORE + DURING)
        self.assertEqual(taker.status()["role"], "primary")
        status = other.status()
        self.assertFalse(status["serving"], "it serves although its lease has ended")
        self.assertNotEqual(status["state"], "peer-down")
        refused = other.ctl("request", "late@isp")
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertIn("locked", refused.stderr)
        self.says_the_cause(other, taker)

        pair.net.lose(0)
        pair.wait_sharing()
        pair.work(20, "the sessions that had to wait")
        pair.settle()
        pair.check_ledger()
        self.assertEqual(taker.status()["role"], "primary", "it took over and isn't primary")
        self.assertEqual(taker.counters()["takeovers"], 1)
        self.assertEqual(other.counters()["takeovers"], 0)
        for host, gateway in zip(pair.hosts, gateways):
            counters = host.counters()
            self.assertEqual(counters["duplicates-found"] + counters["duplicates-resolved"], 0)
            self.assertEqual(gateway.reasons, {}, "sessions were ended")
            self.assertEqual(total(host.status(), "used"), BEFORE + DURING)

    def says_the_cause(self, other, taker):
        """@other is alive, and not heard: it says so, and no command is offered that would make duplicates."""
        status = other.status()
        self.assertEqual(status["waiting-for"], "unheard")
        self.assertEqual(status["link"], {"bound": True, "error": None})
        shown = other.do("show", "ip", "ipsp")
        self.assertIn("does not hear this side", shown)
        self.assertNotIn("no session was given", shown)
        self.assertNotIn("silent for long enough", shown)
        self.assertIn("the peer is heard, but does not hear this side", other.log())
        self.assertIn("new sessions are not served: the peer does not hear this side", other.log())
        for words in (["takeover"], ["takeover", "--force"]):
            refused = other.ctl(*words)
            self.assertEqual(refused.returncode, 1 if status["role"] == "secondary" else 0, refused)
            if status["role"] == "secondary":
                self.assertIn("does not hear this side", refused.stderr)
                self.assertNotIn("asks it", refused.stderr)
                self.assertNotIn("gone for good", refused.stderr)
        self.assertNotIn("does not hear this side", taker.do("show", "ip", "ipsp"))

    def test_the_secondary_does_not_hear(self):
        self.cut_off(deaf=1)

    def test_the_primary_does_not_hear(self):
        self.cut_off(deaf=0)


if __name__ == "__main__":
    sys.exit(main())
