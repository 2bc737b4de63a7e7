#!/usr/bin/env python3
"""Managers that are named: several addresses, dead name servers, a resolv.conf that changes.

Every notification that is looked for here is an alarm: it must come in seconds, whatever of the names
doesn't work.
"""

import os
import sys
import time

from harness import net, process
from harness.pair import Case, main
from harness.trapd import Trapd

NAME = "nms.example"
DEAD = "192.0.2.250"  # nobody has it, but there is a route to it
UNROUTED4, UNROUTED6 = "198.51.100.50", "2001:db8::50"
FIREWALL = """table inet ipsptest {
  chain output { type filter hook output priority 0; policy accept; udp dport %d drop; }
}
"""
DNS = os.path.join(process.TOP, "tests", "e2e", "harness", "dns.py")


class Sinks(Case):
    namespaces = True
    lasts = 20

    def network(self):
        self.net = net.VethNet()
        return self.net

    def manager(self, records, address="192.0.2.2", servers=("192.0.2.2",)):
        """A pair of hosts; the second one has a name server and a trap receiver beside its daemon."""
        pair = self.pair(trapd=False)
        for side, six in zip(self.net.sides, ("fd00::1", "fd00::2")):
            side.run("ip", "address", "add", f"{six}/64", "dev", net.LINK, "nodad")
        self.resolv = os.path.join(self.folder, "resolv.conf")
        self.write_resolv(*servers)
        named = process.spawn([*self.net.prefix(1), "python3", DNS, "192.0.2.2", NAME, *records])
        self.addCleanup(process.stop, named)
        self.trapd = Trapd(self.folder, f"[{address}]" if ":" in address else address,
                           self.net.prefix(1), family="udp6" if ":" in address else "udp")
        self.addCleanup(self.trapd.close)
        return pair

    def write_resolv(self, *servers):
        with open(self.resolv, "w", encoding="ascii") as file:  # in place: the bind mount shows it
            file.write("".join(f"nameserver {server}\n" for server in servers))

    def start(self, pair, inform, extra=""):
        """The first host's daemon, which finds its peer up: that is the notification."""
        host = pair.hosts[0]
        mount = f'mount --bind {self.resolv} /etc/resolv.conf && exec "$@"'
        host._prefix = [*self.net.prefix(0), "unshare", "-m", "sh", "-c", mount, "sh"]
        host.config.extra = (
            f'snmp = {{ {extra} sinks = ( {{ host = "{NAME}"; port = {self.trapd.port}; version = "2c"; '
            f'community = "public"; inform = {str(inform).lower()}; }} ); }};\n'
        )
        pair.launch()
        return host

    def arrives(self, host, seconds):
        began = time.monotonic()
        process.until(self.trapd.traps, seconds, lambda: f"a notification\n{host.tail(20)}")
        self.say(f"after {time.monotonic() - began:.1f} s")

    def test_an_address_without_a_route_is_passed_over(self):
        pair = self.manager([UNROUTED4, UNROUTED6, "192.0.2.2"])
        self.arrives(self.start(pair, inform=False), 5)

    def test_the_other_family_is_tried(self):
        pair = self.manager([UNROUTED4, "fd00::2"], address="fd00::2")
        self.arrives(self.start(pair, inform=False), 5)

    def test_an_inform_moves_on_from_a_dead_address(self):
        pair = self.manager([DEAD, "192.0.2.2"])
        self.arrives(self.start(pair, inform=True), 8)

    def test_the_second_name_server_is_asked(self):
        pair = self.manager(["192.0.2.2"], servers=(DEAD, "192.0.2.2"))
        self.arrives(self.start(pair, inform=True), 8)

    def test_a_resolv_conf_that_changes_is_read(self):
        pair = self.manager(["192.0.2.2"], servers=(DEAD,))
        host = self.start(pair, inform=True)
        process.until(lambda: "can't be resolved" in host.log(), 20, "the name not to be resolved")
        self.assertIn(f"notifications don't reach {NAME}", host.log())
        self.write_resolv("192.0.2.2")
        self.arrives(host, 25)
        process.until(lambda: f"notifications reach {NAME} port {self.trapd.port} again" in host.log(), 5, "the line that says so")

    def test_the_source_decides_which_addresses_do(self):
        pair = self.manager(["fd00::2", "192.0.2.2"])
        self.net.sides[0].run("ip", "address", "add", "192.0.2.9/24", "dev", net.LINK)
        self.arrives(self.start(pair, inform=True, extra='source = "192.0.2.9";'), 5)
        self.assertTrue(self.trapd.traps("192.0.2.9"), self.trapd.traps())

    def test_what_changes_of_link_and_serving_say(self):
        pair = self.pair()
        pair.start(dead_interval_ms=3000, hello_interval_ms=100, takeover_when_deaf=False)
        self.net.sides[1].run("nft", "-f", "-", stdin=FIREWALL % net.PORT)
        pair.loop.until(lambda: pair.traps(1, "ipspdLinkChange", "a firewall of this host?"), 10, pair.story)
        pair.loop.until(lambda: pair.traps(1, "ipspdServingChange", "ipspdServing.0 = INTEGER: false(2)",
                                           'ipspdWaitingFor.0 = STRING: link'), 10, pair.story)
        pair.loop.until(lambda: pair.traps(0, "ipspdPeerLost", "ipspdShared.0 = INTEGER: true(1)"), 10,
                        pair.story)
        self.net.sides[1].run("nft", "delete", "table", "inet", "ipsptest")
        pair.loop.until(lambda: pair.traps(1, "ipspdLinkChange", "ipspdLink.0 = STRING: bound"), 10, pair.story)
        pair.wait_sharing()


if __name__ == "__main__":
    sys.exit(main())
