#!/usr/bin/env python3
"""The interface goes down, or loses its address, for less than the dead interval: nothing changes by itself,
each side serves from what it owns, and everything is as before when it is back (B8)."""

import sys
import time

from harness.host import total
from harness.net import LINK, VethNet
from harness.pair import Case, main

POOL = {"name": "pool-a", "network": "10.1.0.0/24"}


class VethNet6(VethNet):
    addresses = ("2001:db8::1", "2001:db8::2")
    prefix_length = 64


class Interface(Case):
    namespaces = True
    over = VethNet

    def network(self):
        return self.over()

    def lose_and_return(self, lose, give_back):
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        # (the lease lasts as long as the test: from what a side owns it serves all the time)
        pair.start(dead_interval=25, hello_interval_ms=100, block_size=16)
        for number in (0, 1):
            gateway = pair.gateway(number)
            for session in range(5):
                gateway.request(f"{gateway.name}-{session}@isp", f"s{session}")
        pair.work(20, "the sessions")
        pair.settle()
        # (a block that was asked for ahead is there: what is used up comes from it)
        pair.loop.until(lambda: all(total(host.status(), "free") >= 5 for host in pair.hosts), 10,
                        pair.story)
        before = [host.status() for host in pair.hosts]

        lose(pair.net)
        pair.loop.until(
            lambda: all(host.status()["state"] == "peer-lost" for host in pair.hosts), 15,
            lambda: f"both to have lost the other\n{pair.story()}")
        for was, host in zip(before, pair.hosts):
            now = host.status()
            for key in ("role", "epoch", "serving"):
                self.assertEqual(was[key], now[key])
            self.assertEqual(total(was, "released"), total(now, "released"))
            self.assertEqual(now["peer"]["state"], "lost")
            self.assertGreater(now["peer"]["dead-in-ms"], 1000)
        for gateway in pair.gateways:
            for session in range(5):
                gateway.request(f"{gateway.name}-alone{session}@isp", f"a{session}")
        pair.work(10, "sessions without the link")
        # What the peer owns is refused with the reason, at once.
        theirs = next(iter(pair.gateways[0].sessions()))
        began = time.monotonic()
        refused = pair.hosts[1].ctl("request", "ha1-0@isp", "--address", theirs)
        self.assertIn("no-primary", refused.stderr)
        self.assertLess(time.monotonic() - began, 4)  # less than the request timeout

        give_back(pair.net)
        pair.wait_sharing()
        pair.settle()
        pair.check_ledger()
        self.assertEqual(pair.roles(), ("primary", "secondary"))
        for host, gateway in zip(pair.hosts, pair.gateways):
            counters = host.counters()
            self.assertEqual((counters["takeovers"], counters["heals"], counters["peer-losses"]),
                             (0, 0, 1))
            self.assertEqual((len(gateway.sessions()), gateway.attaches), (10, 1))
        pair.gateways[1].request("ha1-0@isp", "moved", theirs)
        pair.work(10, "a handover over the link")

    def test_link_down(self):
        self.lose_and_return(
            lambda net: net.sides[0].run("ip", "link", "set", LINK, "down"),
            lambda net: net.sides[0].run("ip", "link", "set", LINK, "up"),
        )

    def test_address_removed(self):
        address = f"{VethNet.addresses[1]}/{VethNet.prefix_length}"
        self.lose_and_return(
            lambda net: net.sides[1].run("ip", "address", "del", address, "dev", LINK),
            lambda net: net.sides[1].run("ip", "address", "add", address, "dev", LINK),
        )

    def test_interface_deleted(self):
        self.lose_and_return(
            lambda net: net.sides[0].run("ip", "link", "del", LINK),
            lambda net: net.join(),
        )

    def test_link_down_with_ipv6(self):
        """IPv6 addresses go away with the link, and come back by somebody's hand."""
        self.over = VethNet6

        def give_back(net):
            net.sides[0].run("ip", "link", "set", LINK, "up")
            net.sides[0].run("ip", "address", "replace",
                             f"{net.addresses[0]}/{net.prefix_length}", "dev", LINK, "nodad")

        self.lose_and_return(
            lambda net: net.sides[0].run("ip", "link", "set", LINK, "down"), give_back)

    def test_no_interface_at_the_start(self):
        """The daemon starts before its network is there: it goes on trying, and shares when it is."""
        pair = self.pair(trapd=False)
        pair.net.sides[0].run("ip", "link", "set", LINK, "down")
        address = f"{pair.net.addresses[0]}/{pair.net.prefix_length}"
        pair.net.sides[0].run("ip", "address", "del", address, "dev", LINK)
        pair.launch(hello_interval_ms=100)
        pair.loop.until(lambda: "trying again" in pair.hosts[0].log(), 10, pair.story)
        pair.net.sides[0].run("ip", "address", "add", address, "dev", LINK)
        pair.net.sides[0].run("ip", "link", "set", LINK, "up")
        pair.wait_sharing()


if __name__ == "__main__":
    sys.exit(main())
