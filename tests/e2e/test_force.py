#!/usr/bin/env python3
"""The hook's veto of a takeover by dead interval, what S6 keeps back, and the way out of both: takeover
--force."""

import os
import stat
import sys
import time

from harness.apart import ApartLedger
from harness.pair import Case, main

DEAD_MS = 2500
POOL = {"name": "pool-a", "network": "10.1.0.0/24"}
HOOK = """#!/bin/sh
[ "$IPSP_EVENT" = takeover-check ] || exit 0
echo "$IPSP_CONTEXT $IPSP_ROLE $IPSP_PEER_STATE $IPSP_ADDRESS $IPSP_PEER" >>"{asked}"
[ -e "{yes}" ]
"""


class Arbiter:
    """A hook that says no until it is told to say yes."""

    def __init__(self, host):
        self._asked = os.path.join(host.folder, "asked")
        self._yes = os.path.join(host.folder, "yes")
        self.path = path = os.path.join(host.folder, "hook")
        with open(path, "w", encoding="utf-8") as file:
            file.write(HOOK.format(asked=self._asked, yes=self._yes))
        os.chmod(path, stat.S_IRWXU)
        host.config.extra += f'hook = "{path}";\n'

    def asked(self):
        try:
            with open(self._asked, encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def agree(self):
        open(self._yes, "w", encoding="utf-8").close()


class Force(Case):
    namespaces = True
    lasts = 8

    def shared(self, arbiters=(), sessions=(5, 5)):
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        self.arbiters = {number: Arbiter(pair.hosts[number]) for number in arbiters}
        pair.ledger = ApartLedger()
        pair.start(dead_interval_ms=DEAD_MS, hello_interval_ms=100, block_size=8)
        for number, count in enumerate(sessions):
            gateway = pair.gateway(number)
            for session in range(count):
                gateway.request(f"{gateway.name}-{session}@isp", f"s{session}")
        pair.work(20, "the sessions")
        pair.settle()
        return pair

    def force(self, pair, number):
        """takeover --force on a side that waits: it serves at once. A node of the peer's comes over,
        with its address."""
        host, there = pair.hosts[number], pair.gateways[1 - number]
        self.assertIn("an address may be in use on both sides", host.do("takeover", "--force"))
        status = host.status()
        self.assertEqual((status["role"], status["state"]), ("primary", "peer-down"))
        self.assertTrue(status["serving"])
        pair.ledger.apart = True
        address, (subscriber, _) = next(iter(there.sessions().items()))
        pair.gateways[number].request(subscriber, "moved", address)
        pair.loop.until(pair.gateways[number].idle, 10, "a session after the forced takeover")
        pair.ledger.apart = False
        self.assertEqual(pair.ledger.open_twice(), {address})

    def back(self, pair, number, primary):
        """The other side is back: both share, with the roles that the takeover has brought."""
        host, gateway = pair.hosts[number], pair.gateways[number]
        if not host.running():
            host.launch()
            host.wait_ready()
            gateway.attach()
        pair.net.lose(0)
        pair.wait_sharing()
        pair.work(10, "the gateways")
        pair.settle()
        pair.check_ledger()
        self.assertEqual(pair.ledger.open_twice(), set())
        self.assertEqual(pair.roles(), primary)
        for h in pair.hosts:
            self.assertEqual(h.counters()["duplicates-found"], 0)

    def test_veto(self):
        pair = self.shared(arbiters=(1,))
        pair.hosts[0].kill9()
        pair.loop.until(lambda: not pair.gateways[0].connected(), 10, "the agent to end")
        host = pair.hosts[1]
        pair.loop.until(lambda: host.status()["waiting-for"] == "veto", DEAD_MS / 1000 + 5,
                        lambda: f"the veto: {host.status()}")
        self.assertEqual(self.arbiters[1].asked(), ["isp1 secondary lost 192.0.2.2 192.0.2.1"])
        status = host.status()
        self.assertEqual((status["role"], status["serving"]), ("secondary", False))
        self.assertEqual(host.counters()["takeovers"], 0)
        # a no of the arbiter is one: nothing is wrong with the hook
        self.assertIn("the takeover is vetoed, and asked for every 30 s: the hook ended with exit code 1 at "
                      "takeover-check", status["notes"])
        self.assertNotIn("can't be run", " ".join(status["notes"]))
        refused = host.ctl("request", "new@isp")
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stderr, "locked|no-primary")
        # what a session has is confirmed all the same
        address, (subscriber, session) = next(iter(pair.gateways[1].sessions().items()))
        self.assertEqual(host.do("request", subscriber, "--session", session).split()[0], address)
        self.assertIn("veto", host.do("show", "log"))
        self.force(pair, 1)
        self.back(pair, 0, ("secondary", "primary"))

    def test_veto_and_the_peer_is_back(self):
        """Loss alone never changes ownership: back, everything is as it was."""
        pair = self.shared(arbiters=(0, 1))
        pair.net.lose(100)
        pair.loop.until(
            lambda: all(host.status()["waiting-for"] == "veto" for host in pair.hosts),
            DEAD_MS / 1000 + 5, pair.story,
        )
        for gateway in pair.gateways:
            gateway.request("new@isp", f"new-{gateway.name}")  # waits until it may be served
        for _ in range(50):
            pair.loop.turn(0.02)
        self.assertEqual([len(gateway.sessions()) for gateway in pair.gateways], [5, 5])
        self.back(pair, 0, ("primary", "secondary"))
        for host in pair.hosts:
            counters = host.counters()
            self.assertEqual((counters["takeovers"], counters["heals"]), (0, 0))

    def test_a_witness_that_answers_one_side_only(self):
        pair = self.shared(arbiters=(0, 1))
        self.arbiters[1].agree()
        pair.net.lose(100)
        pair.loop.until(lambda: pair.hosts[1].status()["state"] == "peer-down",
                        DEAD_MS / 1000 + 5, pair.story)
        pair.loop.until(lambda: pair.hosts[0].status()["waiting-for"] == "veto", 5, pair.story)
        self.assertFalse(pair.hosts[0].status()["serving"])
        for number in range(20):
            pair.gateways[1].request(f"yes{number}@isp", f"y{number}")
        for number in range(10):
            pair.gateways[0].request(f"no{number}@isp", f"n{number}")
        pair.loop.until(pair.gateways[1].idle, 10, "the side that took over to serve")
        self.assertEqual(len(pair.gateways[0].sessions()), 5)
        self.back(pair, 0, ("secondary", "primary"))

    def test_kept_back_by_s6(self):
        """A secondary that never gave a session an address does not take over, says so, and is forced."""
        pair = self.shared(sessions=(5, 0))
        host = pair.hosts[1]
        self.assertIn("takeover     not by itself", host.do("show", "ip", "ipsp"))
        pair.hosts[0].kill9()
        pair.loop.until(lambda: not pair.gateways[0].connected(), 10, "the agent to end")
        end = time.monotonic() + DEAD_MS / 1000 + 1.5
        while time.monotonic() < end:
            pair.loop.turn(0.05)
        status = host.status()
        self.assertEqual((status["role"], status["state"]), ("secondary", "peer-lost"))
        self.assertFalse(status["may-take-over"])
        self.assertEqual(status["waiting-for"], "peer")
        self.assertIsNone(status["peer"]["dead-in-ms"])
        self.assertEqual(host.log().count("the dead interval has run out, but this side does not take over"), 1)
        self.assertIn("takeover --force", host.do("show", "ip", "ipsp"))
        self.force(pair, 1)
        self.back(pair, 0, ("secondary", "primary"))

    def test_refused_while_the_peer_is_up(self):
        pair = self.shared()
        for host in pair.hosts:
            refused = host.ctl("takeover", "--force")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("the peer is up", refused.stderr)
            self.assertEqual(host.counters()["takeovers"], 0)
        # in agreement it is done, and nothing is lost by it
        pair.hosts[1].do("takeover")
        pair.wait_roles("secondary", "primary")
        pair.settle()
        pair.check_ledger()


class Unusable(Case):
    """The hook goes while the daemon runs, and is back."""

    lasts = 8

    def test_a_hook_that_goes(self):
        pair = self.pair(trapd=False)
        host = pair.hosts[1]
        arbiter = Arbiter(host)
        arbiter.agree()
        pair.start(dead_interval_ms=DEAD_MS, hello_interval_ms=100)
        noted = lambda: " ".join(host.status()["notes"])
        self.assertNotIn("hook", noted())
        os.rename(arbiter.path, arbiter.path + ".away")
        pair.loop.until(lambda: f"the hook can't be run: {arbiter.path}: No such file" in noted(), 30, pair.story)
        host.do("request", "u1@isp")  # else S6 would keep it back
        pair.settle()
        pair.hosts[0].kill9()
        pair.loop.until(lambda: host.status()["waiting-for"] == "veto", 30, pair.story)
        self.assertIn("the takeover is vetoed, and asked for every 30 s: the hook can't be run", noted())
        self.assertEqual(noted().count("can't be run"), 1)
        text = host.do("show", "ip", "ipsp")
        self.assertIn("waits for the hook to allow the takeover", text)
        self.assertIn("the hook can't be run", host.do("show", "log"))
        os.rename(arbiter.path + ".away", arbiter.path)
        pair.loop.until(lambda: "can be run again" in host.do("show", "log"), 30, pair.story)
        host.do("takeover", "--force")
        self.assertNotIn("hook", noted())


if __name__ == "__main__":
    sys.exit(main())
