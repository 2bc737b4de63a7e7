"""The network between the two hosts: namespaces joined by a veth pair, or just the loopback."""

import json
import os
import signal
import socket
import subprocess

from . import process

PORT = 4187
LINK = "ipsp"


class Namespace:
    """A network namespace, held by a process that sleeps in it. @prefix starts a program inside."""

    def __init__(self):
        self._holder = process.spawn(["unshare", "--net", "--", "sleep", "infinity"])
        own = os.readlink("/proc/self/ns/net")
        self._path = f"/proc/{self._holder.pid}/ns/net"
        process.until(lambda: self._entered(own), 5, "a network namespace (are you root?)", 0.01)
        self.prefix = ["nsenter", f"--net={self._path}", "--"]
        self.run("ip", "link", "set", "lo", "up")

    def _entered(self, own):
        if self._holder.poll() is not None:
            raise RuntimeError("no network namespace can be made here")
        return os.readlink(self._path) != own

    @property
    def pid(self):
        return self._holder.pid

    def run(self, *argv, stdin=None):
        done = subprocess.run(
            self.prefix + list(argv), input=stdin, text=True, capture_output=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def lose(self, percent, port=PORT):
        """Drops @percent of the datagrams that arrive at @port, by chance; 0: none, 100: all."""
        rules = "table inet ipsptest\ndelete table inet ipsptest\n"
        chance = f" numgen random mod 100 < {percent}" if percent < 100 else ""
        if percent > 0:
            rules += f"""table inet ipsptest {{
  chain input {{
    type filter hook input priority 0; policy accept;
    udp dport {port}{chance} counter drop
  }}
}}
"""
        self.run("nft", "-f", "-", stdin=rules)

    def lost(self):
        """How many datagrams the present rule has dropped."""
        listing = json.loads(self.run("nft", "-j", "list", "table", "inet", "ipsptest"))
        for thing in listing["nftables"]:
            for part in thing.get("rule", {}).get("expr", []):
                if "counter" in part:
                    return part["counter"]["packets"]
        return 0

    def close(self):
        self._holder.send_signal(signal.SIGKILL)
        self._holder.wait()


class VethNet:
    """Two hosts, each in a namespace of its own, on one cable."""

    addresses = ("192.0.2.1", "192.0.2.2")
    prefix_length = 24
    port = PORT

    def __init__(self):
        self.sides = (Namespace(), Namespace())
        self.join()

    def join(self):
        """Lays the cable, with the addresses at its ends."""
        left, right = self.sides
        left.run("ip", "link", "add", LINK, "type", "veth",
                 "peer", "name", LINK, "netns", str(right.pid))
        for side, address in zip(self.sides, self.addresses):
            # (nodad: an IPv6 address is usable at once)
            side.run("ip", "address", "add", f"{address}/{self.prefix_length}", "dev", LINK,
                     *(["nodad"] if ":" in address else []))
            side.run("ip", "link", "set", LINK, "up")

    def prefix(self, number):
        return self.sides[number].prefix

    def lose(self, percent):
        for side in self.sides:
            side.lose(percent, self.port)

    def lost(self):
        return sum(side.lost() for side in self.sides)

    def close(self):
        for side in self.sides:
            side.close()


class LoopbackNet:
    """Two hosts on two loopback addresses of this one: needs no privilege, can lose nothing."""

    addresses = ("127.0.0.1", "127.0.0.2")
    prefix_length = 8

    def __init__(self):
        self.port = free_udp_port(self.addresses)

    def prefix(self, _number):
        return []

    def lose(self, percent):
        raise NotImplementedError("datagrams are lost between namespaces only")

    def close(self):
        pass


def free_udp_port(addresses):
    """A port that is free on all of @addresses now."""
    while True:
        sockets = []
        try:
            port = 0
            for address in addresses:
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sockets.append(sock)
                sock.bind((address, port))
                port = sock.getsockname()[1]
            return port
        except OSError:
            continue
        finally:
            for sock in sockets:
                sock.close()


def namespaces_work():
    """Whether this user, on this machine, can make namespaces, join them and filter in them."""
    if os.geteuid() != 0:
        return False
    try:
        net = VethNet()
    except (RuntimeError, OSError, process.TooLate):
        return False
    try:
        net.lose(1)
        return True
    except RuntimeError:
        return False
    finally:
        net.close()
