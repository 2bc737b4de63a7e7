#!/usr/bin/env python3
"""One side's own end of the link fails: its port is taken, its address gone, its interface down, its firewall in
the way. What it hears then is no silence: an empty primary serves nothing, and a takeover by the dead interval
(the chapter's B8) names the cause, or is forbidden by takeover-when-deaf."""

import os
import shutil
import signal
import sys
import time

from harness import process
from harness.net import LINK, VethNet
from harness.pair import Case, main

POOL = {"name": "pool-a", "network": "10.1.0.0/24"}
DEAD_MS = 3000
HELD = """
import socket, sys, time
held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held.bind((sys.argv[1], int(sys.argv[2])))
print("held", flush=True)
time.sleep(600)
"""
FIREWALL = """table inet ipsptest {
  chain output { type filter hook output priority 0; policy accept; udp dport %d drop; }
}
"""


class Deaf(Case):
    namespaces = True
    lasts = 40

    def start_pair(self, **options):
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
            hook = os.path.join(host.folder, "hook")
            self.hooks = {**getattr(self, "hooks", {}), host.name: hook + ".out"}
            with open(hook, "w", encoding="ascii") as file:
                file.write("#!/bin/sh\n[ \"$IPSP_EVENT\" = takeover-check ] && exit 0\n"
                           "echo \"$IPSP_EVENT $IPSP_SERVING ${IPSP_WAITING:--} $IPSP_LINK\" "
                           f">> {hook}.out\n")
            os.chmod(hook, 0o755)
            host.config.extra = f'hook = "{hook}";\n'
        pair.start(dead_interval_ms=DEAD_MS, hello_interval_ms=100, **options)
        return pair

    def hook_lines(self, host):
        try:
            with open(self.hooks[host.name], encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def until_hook(self, pair, host, line):
        pair.loop.until(lambda: line in self.hook_lines(host), 10,
                        lambda: f"the hook of {host.name} to say \"{line}\": "
                                f"{self.hook_lines(host)}\n{pair.story()}")

    def hold_port(self, pair, number):
        """Another program has the socket of that side, until it is killed."""
        holder = process.spawn(
            [*pair.net.prefix(number), sys.executable, "-c", HELD, pair.net.addresses[number],
             str(pair.net.port)], stdout=-1)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.assertIn("held", str(holder.stdout.readline()))
        return holder

    # ---------------------------------------------------------------- an empty primary

    def empty_primary(self, fail, mend, words):
        pair = self.start_pair(block_size=1)
        first, second = pair.hosts
        second.do("takeover")
        theirs = [second.do("request", f"mn-{i}@isp").strip() for i in range(5)]
        first.kill9()
        shutil.rmtree(os.path.join(first.folder, "state"))
        os.mkdir(os.path.join(first.folder, "state"), mode=0o700)
        held = fail(pair)
        first.launch()
        first.wait_ready()
        end = time.monotonic() + 2  # many times its first listening
        while time.monotonic() < end:
            status = first.status()
            self.assertFalse(status["serving"], pair.story())
            time.sleep(0.1)
        self.assertEqual(status["waiting-for"], "link")
        self.assertFalse(status["link"]["bound"])
        self.assertIn(words, status["link"]["error"])
        self.assertIn(words, first.do("show", "ip", "ipsp"))
        self.assertIn("new sessions are not served", first.log())
        refused = first.ctl("request", "new@isp")
        self.assertEqual(refused.returncode, 1, refused.stdout)
        mend(pair, held)
        pair.loop.until(lambda: first.status()["serving"], 15, pair.story)
        self.assertIn("this side has lost its state", first.log())
        for number in range(5):
            got = first.ctl("request", f"new-{number}@isp")
            self.assertNotIn(got.stdout.strip(), theirs)
        self.assertEqual(sorted(second.sessions()), sorted(theirs))

    def test_an_empty_primary_whose_port_is_taken(self):
        self.empty_primary(lambda pair: self.hold_port(pair, 0),
                           lambda pair, held: held.kill(), "another program")

    def test_an_empty_primary_whose_address_is_not_there(self):
        address = f"{VethNet.addresses[0]}/{VethNet.prefix_length}"
        self.empty_primary(
            lambda pair: pair.net.sides[0].run("ip", "address", "del", address, "dev", LINK),
            lambda pair, _: pair.net.sides[0].run("ip", "address", "add", address, "dev", LINK),
            f"no interface of this host has {VethNet.addresses[0]}")

    def test_a_copy_of_the_primarys_file(self):
        """The secondary is started from the file of the primary: it can't be it, and says why."""
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        pair.ipsp(0, "primary", hello_interval_ms=100)
        pair.hosts[0].start()
        pair.ipsp(0, "primary", hello_interval_ms=100)
        pair.hosts[1].config.ipsp = pair.hosts[0].config.ipsp
        pair.hosts[1].start()
        pair.loop.until(lambda: pair.hosts[0].status()["serving"], 5, pair.story)
        pair.loop.until(lambda: pair.hosts[1].status()["waiting-for"] == "link", 5, pair.story)
        self.assertFalse(pair.hosts[1].status()["serving"], pair.story())
        self.assertEqual(pair.hosts[1].ctl("request", "new@isp").returncode, 1)

    # ---------------------------------------------------------------- the dead interval

    def deaf(self, fail, mend, words, bound, **options):
        """The second side fails; what becomes of it is returned, before it is mended."""
        pair = self.start_pair(**options)
        first, second = pair.hosts
        theirs = [host.do("request", f"{host.name}@isp").strip() for host in pair.hosts]
        time.sleep(0.3)
        held = fail(pair)
        pair.loop.until(lambda: second.status()["link"]["error"], 3, pair.story)
        status = second.status()
        self.assertIn(words, status["link"]["error"])
        self.assertEqual(status["link"]["bound"], bound)
        self.assertIn(words, second.do("show", "ip", "ipsp"))
        self.assertIn(f"this side's own link fails: {status['link']['error']}", second.log())
        waiting = "-" if status["serving"] else "link"
        serving = "yes" if status["serving"] else "no"
        self.until_hook(pair, second, f"link-change {serving} {waiting} {status['link']['error']}")
        pair.loop.until(lambda: first.status()["state"] == "peer-down", 15, pair.story)
        if words != f"interface {LINK} is down":  # which is no carrier at the other end
            self.assertIsNone(first.status()["link"]["error"])
        if options.get("takeover_when_deaf", True):
            pair.loop.until(lambda: second.status()["state"] == "peer-down", 15, pair.story)
            self.assertIn("taken over while this side's own link fails", second.log())
            self.until_hook(pair, second, f"serving-change yes - {status['link']['error']}")
        else:
            time.sleep(DEAD_MS / 1000 + 1)
            pair.loop.until(lambda: second.status()["peer"]["dead-in-ms"] is None, 5, pair.story)
            status = second.status()
            self.assertEqual(status["role"], "secondary")
            self.assertEqual((status["serving"], status["waiting-for"]), (False, "link"))
            self.assertIsNone(status["peer"]["dead-in-ms"])
            self.assertIn("new sessions are not served: this side's own link fails: "
                          + status["link"]["error"], second.log())
            self.until_hook(pair, second, f"serving-change no link {status['link']['error']}")
        mend(pair, held)
        pair.wait_sharing()
        pair.loop.until(lambda: second.status()["link"]["error"] is None, 5, pair.story)
        self.assertIn("this side's own link works again", second.log())
        for host, address in zip(pair.hosts, theirs):
            self.assertIn(address, host.sessions())
        pair.settle()

    def address(self, **options):
        address = f"{VethNet.addresses[1]}/{VethNet.prefix_length}"
        self.deaf(lambda pair: pair.net.sides[1].run("ip", "address", "del", address, "dev", LINK),
                  lambda pair, _: pair.net.sides[1].run("ip", "address", "add", address, "dev", LINK),
                  f"no interface of this host has {VethNet.addresses[1]}", False, **options)

    def test_its_address_is_gone(self):
        self.address()

    def test_its_address_is_gone_and_no_takeover(self):
        self.address(takeover_when_deaf=False)

    def test_its_interface_is_down(self):
        self.deaf(lambda pair: pair.net.sides[1].run("ip", "link", "set", LINK, "down"),
                  lambda pair, _: pair.net.sides[1].run("ip", "link", "set", LINK, "up"),
                  f"interface {LINK} is down", True)

    def test_no_carrier(self):
        """Sending goes well then, as far as the system says."""
        pair = self.start_pair()
        first, second = pair.hosts
        pair.net.sides[0].run("ip", "link", "set", LINK, "down")
        pair.loop.until(lambda: second.status()["link"]["error"] == f"interface {LINK} has no carrier",
                        3, pair.story)
        self.assertEqual(first.status()["link"]["error"], f"interface {LINK} is down")
        pair.net.sides[0].run("ip", "link", "set", LINK, "up")
        pair.wait_sharing()

    def test_a_firewall_in_the_way(self):
        def fail(pair):
            pair.net.sides[1].run("nft", "-f", "-", stdin=FIREWALL % pair.net.port)

        def mend(pair, _):
            pair.net.sides[1].run("nft", "delete", "table", "inet", "ipsptest")

        self.deaf(fail, mend, "a firewall of this host?", True, takeover_when_deaf=False)

    def test_its_port_is_taken_at_a_restart(self):
        def fail(pair):
            pair.hosts[1].kill9()
            holder = self.hold_port(pair, 1)
            pair.hosts[1].launch()
            pair.hosts[1].wait_ready()
            return holder

        self.deaf(fail, lambda pair, holder: holder.send_signal(signal.SIGKILL),
                  "another program has the socket", False)


if __name__ == "__main__":
    sys.exit(main())
