#!/usr/bin/env python3
"""IPv6: the peer is named by an IPv6 address, and the pools are prefixes of which each session gets one."""

import ipaddress
import sys

from harness.host import total
from harness.net import VethNet
from harness.pair import Case, main

POOLS = (
    {"name": "pool-v6", "prefix": "2001:db8:100::/56", "length": 64},  # 256 prefixes
    {"name": "pool-v4", "network": "10.1.0.0/24", "priority": 5},
)
V6 = ipaddress.ip_network(POOLS[0]["prefix"])


class VethNet6(VethNet):
    addresses = ("2001:db8::1", "2001:db8::2")
    prefix_length = 64


class NarrowNet(VethNet):
    """The smallest network that two hosts can be on."""

    addresses = ("fd00:1::2", "fd00:1::3")
    prefix_length = 127


class IPv6(Case):
    namespaces = True

    def network(self):
        return self._network()

    def share(self, network):
        self._network = network
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(pool) for pool in POOLS]
        pair.start(dead_interval_ms=3000, hello_interval_ms=100)
        return pair

    def check_prefix(self, text):
        """One prefix of the pool, written as its first address."""
        prefix = ipaddress.ip_network(f"{text}/64")  # raises where a host bit is set
        self.assertTrue(prefix.subnet_of(V6), text)

    def test_a_pair(self):
        pair = self.share(VethNet6)
        first, second = pair.gateway(0), pair.gateway(1)
        for number in range(40):
            first.request(f"u{number}@isp", f"s{number}", pool="pool-v6")
            second.request(f"n{number}@isp", f"s{number}", pool="pool-v6")
            second.request(f"four{number}@isp", f"f{number}", pool="pool-v4")
        pair.work(20, "the sessions")
        self.assertEqual(len([a for a in second.sessions() if ":" in a]), 40)
        for address in (*first.sessions(), *second.sessions()):
            if ":" in address:
                self.check_prefix(address)
            else:
                self.assertIn(ipaddress.ip_address(address), ipaddress.ip_network("10.1.0.0/24"))
        self.assertEqual(pair.hosts[0].status()["pools"][0]["size"] +
                         pair.hosts[0].status()["pools"][1]["size"], 256 + 254)

        # A handoff with the prefix that the node has.
        moving = dict(first.sessions())
        for prefix, (subscriber, session) in moving.items():
            second.request(subscriber, f"new-{session}", prefix)
        pair.work(20, "the handover")
        self.assertEqual(first.sessions(), {})
        self.assertEqual(first.reasons, {"handoff": len(moving)})
        for prefix, (subscriber, _) in moving.items():
            self.assertEqual(pair.ledger.holder(prefix)[:2], ("ha2", subscriber))
        pair.wait_roles("secondary", "primary")
        pair.settle()
        pair.check_ledger()

        # Restart of one, death of the other.
        first.close()
        self.assertEqual(pair.hosts[0].stop(), 0)
        pair.hosts[0].start()
        first.attach()
        pair.wait_sharing()
        first.request("again@isp", "again", pool="pool-v6")
        pair.work(10, "a session after the restart")
        pair.hosts[1].kill9()
        pair.loop.until(lambda: pair.hosts[0].status()["state"] == "peer-down", 10, pair.story)
        free = total(pair.hosts[0].status(), "free")
        self.assertEqual(free, 256 + 254 - 1, "all addresses are to be used")
        last = pair.hosts[0].look("request", "last@isp", "--pool", "pool-v6")
        self.check_prefix(last["address"])
        self.assertEqual(last["prefix-length"], 64)

    def test_a_prefix_asked_for_by_number(self):
        pair = self.share(NarrowNet)
        host = pair.hosts[1]
        wanted = "2001:db8:100:42::"
        self.assertEqual(host.do("request", "u@isp", "--address", wanted).split()[0], wanted)
        self.assertIn("in-use", pair.hosts[0].ctl("request", "x@isp", "--address", wanted).stderr)
        for outside in ("2001:db8:101::", "2001:db8:100:43::1", "2001:db8:100:43::/64"):
            refused = host.ctl("request", "y@isp", "--address", outside)
            self.assertNotEqual(refused.returncode, 0, f"{outside}: {refused.stdout}")
        host.do("release", wanted)
        pair.settle()


if __name__ == "__main__":
    sys.exit(main())
