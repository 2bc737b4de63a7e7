#!/usr/bin/env python3
"""An HA that crashes, hangs, floods, reads nothing or sends garbage on the control socket of one side of a
pair: the others there are served in time, the peer is too, and nothing is lost."""

import os
import random
import signal
import socket
import sys
import time

from harness.agent import Agent
from harness.pair import Case, main

PROMPT_S = 1.0  # on a busy machine, with sanitizers; undisturbed it is a few milliseconds
ROUNDS = 40


class Clients(Case):
    def setUp(self):
        super().setUp()
        self.two = pair = self.pair(trapd=False)
        # The HA that fails is on ha1; a good one is beside it and one on the other side.
        pair.start(hello_interval_ms=100, release_timeout_ms=1000, request_timeout_ms=2000)
        self.bad = pair.gateway(0, name="bad")
        self.good = pair.gateway(0, name="good")
        self.peer = pair.gateway(1, name="peer")
        for gateway in pair.gateways:
            for session in range(20):
                gateway.request(f"{gateway.name}-{session}@isp", f"s{session}")
        pair.work(20, "the sessions")
        pair.settle()

    def served(self):
        """The good ones get and give up addresses, one after the other; none waits for long."""
        longest = 0.0
        for number in range(ROUNDS):
            for gateway in (self.good, self.peer):
                began = time.monotonic()
                gateway.request(f"{gateway.name}-more{number}@isp", f"m{number}")
                self.two.loop.until(gateway.idle, 20, f"an answer to {gateway.name}")
                longest = max(longest, time.monotonic() - began)
                gateway.release(list(gateway.sessions())[0])
                self.two.loop.until(gateway.idle, 20, f"an answer to {gateway.name}")
        self.say(f"the longest answer took {longest * 1000:.0f} ms")
        self.assertLess(longest, PROMPT_S)
        self.assertTrue(self.two.sharing())

    def end(self):
        """All is as the gateways have it, and the daemons have lost each other at no time."""
        self.two.settle()
        self.two.check_ledger()
        for host in self.two.hosts:
            self.assertEqual(host.counters()["peer-losses"], 0)
        for gateway in (self.good, self.peer):
            self.assertEqual((gateway.attaches, gateway.lost), (1, []))

    def stop(self, pid):
        """SIGSTOP to an agent."""
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: alive(pid) and os.kill(pid, signal.SIGCONT))

    def test_it_crashes(self):
        """With requests open. Its sessions stay; it comes back under its name and finds them."""
        for number in range(500):
            self.bad.request(f"open{number}@isp", f"o{number}")
        self.two.loop.turn(0.01)
        os.kill(self.bad.agent_pid(), signal.SIGKILL)
        self.two.loop.until(lambda: not self.bad.connected(), 10, "the agent to end")
        self.served()
        # A handoff of one of its sessions is refused in the meantime, and the session stays.
        address, (subscriber, _) = next(iter(self.bad.sessions().items()))
        refused = self.two.hosts[1].ctl("request", subscriber, "--address", address)
        self.assertIn("timeout", refused.stderr)
        self.bad.attach()
        self.two.work(20, "the gateway that is back")
        self.assertEqual(len(self.bad.sessions()), 520)
        self.assertEqual(self.bad.lost, [])
        self.end()

    def test_it_hangs(self):
        pid = self.bad.agent_pid()
        self.stop(pid)
        address, (subscriber, _) = next(iter(self.bad.sessions().items()))
        self.peer.request(subscriber, "moved", address)  # times out, is asked again, until it is there
        good, peer = self.good, self.peer
        # (the handoff above is open all the time, so only the good one is measured)
        for number in range(ROUNDS):
            began = time.monotonic()
            good.request(f"good-more{number}@isp", f"m{number}")
            self.two.loop.until(good.idle, 20, "an answer to good")
            self.assertLess(time.monotonic() - began, PROMPT_S)
        end = time.monotonic() + 2.5  # longer than both timeouts
        while time.monotonic() < end:
            self.two.loop.turn(0.05)
        self.assertEqual(self.two.ledger.holder(address)[0], "bad", "the session was ended unasked")
        os.kill(pid, signal.SIGCONT)
        self.two.loop.until(lambda: address in peer.sessions(), 20, "the handoff")
        self.two.work(20, "the gateways")
        self.end()

    def test_it_floods(self):
        """A hundred thousand requests that are refused, as fast as it can."""
        flood = Agent(self.two.loop, self.two.hosts[0], "flood", lambda line: None, lambda status: None)
        self.addCleanup(flood.close)
        flood.send(*({"id": n, "op": "request", "subscriber": f"f{n}@isp", "pool": "none"}
                     for n in range(100000)))
        self.served()
        self.end()

    def test_it_reads_nothing(self):
        """It has asked for 20,000 lists and is stopped before it has read the answers: it is cut off,
        or made to wait, at nobody's cost."""
        agent = Agent(self.two.loop, self.two.hosts[0], "deaf", lambda line: None, lambda status: None)
        self.addCleanup(agent.close)
        for _ in range(20):
            self.two.loop.turn(0.02)
        agent.send(*({"id": n, "op": "list"} for n in range(20000)))
        for _ in range(10):
            self.two.loop.turn(0.02)
        self.stop(agent.pid)
        self.served()
        self.end()

    def test_it_sends_garbage(self):
        chance = random.Random(11)
        for _ in range(200):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.connect(self.two.hosts[0].socket)
            try:
                sock.send(chance.randbytes(chance.choice((1, 7, 100, 5000, 60000))))
            except OSError:
                pass
        self.served()
        self.end()


def alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


if __name__ == "__main__":
    sys.exit(main())
