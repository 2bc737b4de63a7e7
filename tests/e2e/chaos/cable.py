"""The cable between two hosts: two veth pairs with the relay between them, nft on both ends."""

import json
import os
import sys

from harness import net, process

RELAY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "relay.py")


class Cable(net.VethNet):
    """Like VethNet, but what one end sends passes through the relay to the other."""

    def __init__(self, ports, seed):
        self.ports = list(ports)
        self.port = self.ports[0]
        self.sides = (net.Namespace(), net.Namespace())
        self.middle = net.Namespace()
        for number, (side, inner) in enumerate(zip(self.sides, ("left", "right"))):
            side.run("ip", "link", "add", net.LINK, "type", "veth",
                     "peer", "name", inner, "netns", str(self.middle.pid))
            self._address(number)
            # rows of datagrams are cut up here: the relay would see each as one
            side.run("ip", "link", "set", net.LINK, "gso_max_segs", "1", "up")
            self.middle.run("ip", "link", "set", inner, "up")
        self._relay = process.spawn(
            [*self.middle.prefix, sys.executable, RELAY, "left", "right", str(seed),
             *map(str, self.ports)],
            stdin=process.subprocess.PIPE, stdout=process.subprocess.PIPE, bufsize=0,
        )
        self.counts = {}
        self.maltreat()  # answers when it runs

    def maltreat(self, **rules):
        """What the relay does to datagrams from now on; nothing given: it only passes them on."""
        self._relay.stdin.write(json.dumps(rules).encode() + b"\n")
        self.counts = json.loads(self._relay.stdout.readline())

    def lose_at(self, number, percent):
        """Drops @percent of what arrives at host @number; 100 cuts this direction."""
        lost = self.sides[number].lost() if percent == 0 else 0
        self.sides[number].lose(percent, "{ " + ", ".join(map(str, self.ports)) + " }")
        return lost

    def link(self, number, state):
        self.sides[number].run("ip", "link", "set", net.LINK, state)
        if state == "up":
            self._address(number)

    def _address(self, number):
        """(A link that goes down takes its IPv6 addresses along.)"""
        address = self.addresses[number]
        self.sides[number].run("ip", "address", "replace", f"{address}/{self.prefix_length}", "dev", net.LINK,
                               *(["nodad"] if ":" in address else []))

    def close(self):
        self._relay.stdin.close()
        self._relay.stdout.close()
        process.stop(self._relay)
        self.middle.close()
        super().close()


class Cable6(Cable):
    addresses = ("2001:db8:ffff::1", "2001:db8:ffff::2")
    prefix_length = 64
