#!/usr/bin/env python3
"""A side that has lost its state directory while it was down: it serves nothing until its peer has given it
anew what the peer doesn't own, its sessions get their addresses back, and nothing is given twice.

Both gateways work all the time. What was given anew is kept back until the gateways of that side have asked for
the addresses that they have: new sessions wait that long, refused with `locked`."""

import os
import shutil
import sys
from collections import Counter

from harness.host import total
from harness.pair import Case, main

POOL = {"name": "pool-a", "network": "10.1.0.0/24"}
HOLD = {"name": "hold", "network": "10.255.255.1/32", "type": "private"}
SESSIONS = 40


class Wiped(Case):
    lasts = 12
    namespaces = True

    def wipe(self, number):
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        pair.start(hello_interval_ms=100, block_size=1)
        gateways = [pair.gateway(0), pair.gateway(1)]
        for gateway in gateways:
            for session in range(SESSIONS):
                gateway.request(f"{gateway.name}-{session}@isp", f"s{session}")
        pair.work(20, "the first sessions")
        pair.settle()
        before = [dict(gateway.sessions()) for gateway in gateways]
        host, gateway, other = pair.hosts[number], gateways[number], gateways[1 - number]

        host.kill9()
        pair.loop.until(lambda: not gateway.connected(), 10, "the agent to end")
        shutil.rmtree(host.config.state)
        os.mkdir(host.config.state, 0o700)
        # In the meantime and all along the other side goes on.
        for session in range(20):
            other.request(f"meanwhile{session}@isp", f"m{session}")
        host.launch()
        host.wait_ready()
        gateway.attach()
        for session in range(20):
            gateway.request(f"after{session}@isp", f"a{session}")
        pair.wait_sharing()
        pair.work(30, "all sessions")
        pair.settle()

        # The gateway's sessions are what ipspd no longer knew, each has been asked for again.
        self.assertEqual(set(gateway.lost), set(before[number]))
        gateway.lost.clear()
        pair.check_ledger()
        for held, gw in zip(before, gateways):
            self.assertLessEqual(held.items(), gw.sessions().items(), f"sessions of {gw.name}")
            self.assertEqual(len(gw.sessions()), SESSIONS + 20)
            self.assertEqual(gw.reasons, {})
        self.assertEqual(pair.roles(), ("primary", "secondary"))
        log = host.do("show", "log", "-n", "100")
        self.assertIn("has lost its state", log)
        self.assertIn("given anew", pair.hosts[1 - number].do("show", "log", "-n", "100"))
        # Resupplied: it has addresses of its own again, and the other one is asked for the rest.
        for h in pair.hosts:
            self.assertEqual(h.counters()["takeovers"], 0)
        gateway.request("more@isp", "more")
        pair.work(10, "one more")
        self.assertGreaterEqual(total(host.status(), "used"), SESSIONS + 21)

    def test_both(self):
        """The runbook's way: AAA sends new sessions to the secondary alone, the primary's reserve keeps them
        off there until all that were before have their addresses again, and the placeholder keeps the role
        where it is, also where the first session of before ends before the next one is asked for."""
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        settings = {"hello_interval_ms": 100}
        pair.start(**settings)
        gateways = [pair.gateway(0), pair.gateway(1)]
        for gateway in gateways:
            for session in range(SESSIONS):
                gateway.request(f"{gateway.name}-{session}@isp", f"s{session}")
        pair.work(20, "the first sessions")
        before = [dict(gateway.sessions()) for gateway in gateways]
        for host, gateway in zip(pair.hosts, gateways):
            host.kill9()
            shutil.rmtree(host.config.state)
            os.mkdir(host.config.state, 0o700)
            pair.loop.until(lambda: not gateway.connected(), 10, "the agent to end")

        for number, role in enumerate(("primary", "secondary")):
            pair.hosts[number].config.pools = [dict(POOL), dict(HOLD)]
            pair.ipsp(number, role, **settings, reserved_free_percentage=0 if number else 100)
        pair.hosts[0].start()
        pair.loop.until(lambda: pair.hosts[0].status()["serving"], 20, pair.story)
        pair.hosts[0].do("request", "placeholder", "--pool", HOLD["name"])
        pair.hosts[1].start()
        pair.wait_sharing()
        first = next(iter(before[0]))
        subscriber, session = before[0].pop(first)
        gateways[0].ledger.drop(first, gateways[0].name)
        pair.hosts[0].do("request", subscriber, "--session", session, "--address", first)
        pair.hosts[0].do("release", first)
        # The new ones are there first, and go on asking.
        new = pair.gateway(1, name="new")
        refused = Counter()
        self.ask(pair, new, 100, refused)
        self.assertEqual(set(refused), {"exhausted"})
        for gateway in gateways:
            gateway.attach()
        pair.loop.until(lambda: all(gateway.attached for gateway in gateways), 20, "the gateways")
        pair.work(30, "the sessions of before")
        self.ask(pair, new, 100, refused)
        for held, gateway in zip(before, gateways):
            self.assertEqual(set(gateway.lost), set(held))
            gateway.lost.clear()
            self.assertEqual(gateway.sessions(), held, f"the sessions of {gateway.name}")
        self.assertEqual((new.sessions(), set(refused)), ({}, {"exhausted"}))

        self.assertEqual(pair.roles(), ("primary", "secondary"))

        pair.ipsp(0, "primary", **settings)
        pair.hosts[0].write_config()
        pair.hosts[0].do("reload")
        pair.hosts[0].do("release", HOLD["network"].partition("/")[0])
        self.ask(pair, new, 100, refused)
        self.assertEqual(len(new.sessions()), 100)
        pair.settle()
        pair.check_ledger()

    def ask(self, pair, gateway, number, refused):
        for session in range(number):
            gateway.request(f"new{session}@isp", f"n{session}")
        pair.loop.until(lambda: gateway.open_jobs() == 0, 30, "the new ones")
        refused.update(error for _, error, _ in gateway.refused)
        gateway.refused.clear()

    def test_secondary(self):
        self.wipe(1)

    def test_primary(self):
        self.wipe(0)


if __name__ == "__main__":
    sys.exit(main())
