#!/usr/bin/env python3
"""Which interface the link is on: one network on two of them, one that comes back, a VRF, link-local
addresses."""

import os
import sys
import unittest

from harness.config import Context, Ipsp
from harness.net import LINK, VethNet
from harness.pair import Case, main, write_key

SECOND = "ipsp2"  # the other cable between the two
VRF = "vrf-red"
FAST = {"dead-interval-ms": 60000, "hello-interval-ms": 100}


class TwoCables(VethNet):
    """Two hosts that have one network, with the same addresses, on two interfaces."""

    def join(self):
        super().join()
        self.join_second()

    def join_second(self):
        left, right = self.sides
        left.run("ip", "link", "add", SECOND, "type", "veth",
                 "peer", "name", SECOND, "netns", str(right.pid))
        for side, address in zip(self.sides, self.addresses):
            side.run("ip", "address", "add", f"{address}/{self.prefix_length}", "dev", SECOND)
            side.run("ip", "link", "set", SECOND, "up")

    def cut_second(self):
        self.sides[0].run("ip", "link", "delete", SECOND)


class InVrf(VethNet):
    """The link is in a VRF: nothing of it is in the main table."""

    def join(self):
        super().join()
        for side, address in zip(self.sides, self.addresses):
            try:
                side.run("ip", "link", "add", VRF, "type", "vrf", "table", "10")
            except RuntimeError as why:
                raise unittest.SkipTest(f"this kernel has no VRF: {why}") from None
            side.run("ip", "link", "set", VRF, "up")
            side.run("ip", "link", "set", LINK, "master", VRF)


class LinkLocal(VethNet):
    addresses = (f"fe80::1%{LINK}", f"fe80::2%{LINK}")
    prefix_length = 64

    def join(self):
        left, right = self.sides
        left.run("ip", "link", "add", LINK, "type", "veth",
                 "peer", "name", LINK, "netns", str(right.pid))
        for side, address in zip(self.sides, self.addresses):
            side.run("ip", "address", "add", f"{address.split('%')[0]}/64", "dev", LINK, "nodad")
            side.run("ip", "link", "set", LINK, "up")

    def cut(self):
        self.sides[0].run("ip", "link", "delete", LINK)


class Devices(Case):
    namespaces = True

    def network(self):
        return self._network()

    def make(self, network):
        self._network = network
        return self.pair(trapd=False)

    def states(self, pair, number):
        rows = pair.hosts[number].look("show", "ip", "ipsp")["contexts"]
        return {row["name"]: row["peer"]["state"] for row in rows}

    def wait_states(self, pair, want, seconds=15):
        pair.loop.until(lambda: all(self.states(pair, number) == want for number in (0, 1)),
                        seconds, lambda: f"{want}, now {self.states(pair, 0)}\n{pair.story()}")

    def test_one_network_on_two_interfaces(self):
        pair = self.make(TwoCables)
        for number, host in enumerate(pair.hosts):
            for index, device in enumerate((LINK, SECOND)):
                key = write_key(os.path.join(host.folder, f"{device}.key"), bytes([index + 1]) * 32)
                ipsp = Ipsp(role=("primary", "secondary")[number], key_file=key, device=device,
                            address=pair.net.addresses[number],
                            peer=pair.net.addresses[1 - number], port=pair.net.port,
                            prefix_length=pair.net.prefix_length, options=dict(FAST))
                if index == 0:
                    host.config.ipsp = ipsp
                else:
                    host.config.others.append(Context(context="isp2", ipsp=ipsp))
            host.start()
        self.wait_states(pair, {"isp1": "up", "isp2": "up"})
        shown = pair.hosts[0].look("show", "configuration")["contexts"]
        self.assertEqual([context["device"] for context in shown], [LINK, SECOND])

        # A cable that is cut is cut for its context only; an interface that is made again is used.
        pair.net.cut_second()
        self.wait_states(pair, {"isp1": "up", "isp2": "lost"})
        pair.net.join_second()
        self.wait_states(pair, {"isp1": "up", "isp2": "up"})
        first = pair.hosts[0]
        gone = f"this side's own link fails: this host has no interface {SECOND}\n"
        self.assertEqual(first.log().count(gone), 1)  # said once

        # A device may change while addresses are shared out: the books are not touched by it.
        self.assertNotEqual(first.do("-c", "isp2", "request", "u@isp"), "")
        first.config.others[0].ipsp.device = "ipsp9"
        first.write_config()
        first.do("reload")
        pair.loop.until(lambda: "this host has no interface ipsp9" in first.log(), 10, first.tail)
        first.config.others[0].ipsp.device = SECOND
        first.write_config()
        first.do("reload")
        self.wait_states(pair, {"isp1": "up", "isp2": "up"})

    def test_in_a_vrf(self):
        pair = self.make(InVrf)
        for number, role in enumerate(("primary", "secondary")):
            pair.ipsp(number, role, **{key.replace("-", "_"): n for key, n in FAST.items()})
            pair.hosts[number].config.ipsp.device = VRF
            pair.hosts[number].start()
        self.wait_states(pair, {"isp1": "up"})

    def test_link_local_addresses(self):
        pair = self.make(LinkLocal)
        pair.start(**{key.replace("-", "_"): n for key, n in FAST.items()})
        self.assertNotEqual(pair.hosts[1].do("request", "u@isp"), "")
        pair.net.cut()
        self.wait_states(pair, {"isp1": "lost"})
        pair.net.join()
        self.wait_states(pair, {"isp1": "up"})


if __name__ == "__main__":
    sys.exit(main())
