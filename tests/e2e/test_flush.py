#!/usr/bin/env python3
"""What a session waits for: a session that needs the peer for one round trip and one flush, the giver's,
not the taker's own; one that doesn't need the peer for no flush.

Shown twice: by the daemons' counters, and by the clock, with a disk (slowsync.c) on one side whose
flushes take half a second.
"""

import os
import sys
import time

from harness.pair import Case, main

SLOW_MS = 1000
MANY = 50


class Flushes(Case):
    measures = True  # by the clock

    def slow(self, host, milliseconds):
        """The daemon on @host will have a disk with slow flushes, which are counted."""
        host.environment = dict(
            self.preloaded("slowsync"), SLOWSYNC_MS=str(milliseconds),
            SLOWSYNC_LOG=os.path.join(host.folder, "flushes"),
        )

    def flushes(self, host):
        return os.path.getsize(os.path.join(host.folder, "flushes"))

    def shared(self, slow_side):
        """A pair that shares one by one, the gateways, and 60 sessions on the primary."""
        pair = self.pair(trapd=False)
        for number, host in enumerate(pair.hosts):
            self.slow(host, SLOW_MS if number == slow_side else 0)
        pair.start(block_size=1)
        first, second = pair.gateway(0), pair.gateway(1)
        for number in range(MANY):
            first.request(f"u{number}@isp", f"ha1-{number}")
        pair.work(60, "the first sessions")
        self.rest(pair)
        return pair, first, second

    def rest(self, pair):
        """Until what is flushed within a second without anyone waiting has been flushed."""
        def counts():
            return [self.flushes(host) for host in pair.hosts]
        last = [counts(), time.monotonic()]

        def quiet():
            if counts() != last[0]:
                last[:] = [counts(), time.monotonic()]
            return time.monotonic() - last[1] > 2.0
        pair.loop.until(quiet, 60, "the disks to be quiet")

    def timed(self, pair, gateway, *request):
        """How many seconds one request of @gateway takes."""
        gateway.request(*request)
        began = time.monotonic()
        pair.loop.until(gateway.idle, 30, f"the answer to {request}")
        self.assertEqual(gateway.refused, [])
        return time.monotonic() - began

    def hand_over(self, slow_side):
        pair, first, second = self.shared(slow_side)
        address, (subscriber, _) = next(iter(first.sessions().items()))
        before = [host.counters() for host in pair.hosts]
        took = self.timed(pair, second, subscriber, "there", address)
        after = [host.counters() for host in pair.hosts]
        giver, taker = (
            {name: after[i][name] - before[i].get(name, 0) for name in after[i]}
            for i in (0, 1)
        )
        self.assertEqual(taker["requests-asked"], 1)
        # (it is said once more a second after the giver's word that it works on it: as long as its flush takes)
        self.assertLessEqual(taker["requests-repeated"], 1, "more than one round trip")
        self.assertEqual(taker["flushes-waited"], 0, "waited for the taker's own flush")
        self.assertEqual(giver["peer-requests"], 1)
        self.assertEqual(giver["grants-sent"], 1)
        self.assertEqual(giver["releases-asked"], 1)
        return took

    def test_the_taker_does_not_wait_for_its_own_flush(self):
        took = self.hand_over(slow_side=1)
        self.assertLess(took, SLOW_MS / 1000 * 0.8)

    def test_the_taker_waits_for_one_flush_of_the_giver(self):
        took = self.hand_over(slow_side=0)
        self.assertGreaterEqual(took, SLOW_MS / 1000)
        self.assertLess(took, SLOW_MS / 1000 * 1.8, "more than one flush")

    def test_a_session_that_needs_nobody_waits_for_no_flush(self):
        pair, first, _ = self.shared(slow_side=0)
        before = pair.hosts[0].counters()
        for number in range(MANY):
            took = self.timed(pair, first, f"local{number}@isp", f"local-{number}")
            self.assertLess(took, SLOW_MS / 1000 * 0.8)
        after = pair.hosts[0].counters()
        self.assertEqual(after["requests-local"] - before["requests-local"], MANY)
        self.assertEqual(after["requests-asked"], before["requests-asked"])
        self.assertEqual(after["flushes-waited"], before["flushes-waited"])

    def test_power_waits_for_the_flush(self):
        """durability = "power": the other promise, which shows that the clock above can see a wait."""
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            self.slow(host, SLOW_MS)
        pair.start(block_size=1, durability="power")
        first = pair.gateway(0)
        self.rest(pair)
        before = pair.hosts[0].counters()
        took = self.timed(pair, first, "careful@isp", "s1")
        self.assertGreaterEqual(took, SLOW_MS / 1000)
        after = pair.hosts[0].counters()
        self.assertEqual(after["flushes-waited"] - before["flushes-waited"], 1)


if __name__ == "__main__":
    sys.exit(main())
