#!/usr/bin/env python3
"""Takeover by dead interval on an idle network: when it comes, measured, with the shortest interval that a
real configuration may have. No client has to suffer first: nobody asks for anything in between.

Three pairs at once, ten with --long, in namespaces of their own: the daemon is killed, or the cable cut, on
the primary's side or on the secondary's.
"""

import os
import random
import sys
import time

from harness.pair import Case, main

DEAD_S = 25
OFF_S = 1.0  # what is promised: the configured interval, one second more or less
SESSIONS = 5


def kill(pair, dying):
    pair.hosts[dying].kill9()


def cut(pair, _dying):
    pair.net.lose(100)


def link_down(pair, dying):
    pair.net.sides[dying].run("ip", "link", "set", "ipsp", "down")


# What happens, to which side (0: the primary), hello-interval-ms. The silence begins with the last hello that
# was heard, so a takeover comes up to one hello interval early: 1000 is the default, and the most that the
# second of OFF_S has room for.
WAYS = [
    (kill, 0, 1000), (cut, 0, 200), (kill, 1, 200), (link_down, 0, 1000), (kill, 0, 200),
    (cut, 0, 1000), (kill, 0, 500), (kill, 1, 1000), (link_down, 0, 200), (kill, 0, 1000),
]


class Measured:
    """One pair of which one side goes, and what is seen of the other."""

    def __init__(self, case, way, dying, hello):
        self.way, self.dying, self.hello = way, dying, hello
        self.pair = case.pair(trapd=False)
        self.pair.launch(dead_interval=DEAD_S, hello_interval_ms=hello)
        self.survivor = self.went = self.took = None

    def open_sessions(self):
        self.pair.wait_sharing()
        for number, host in enumerate(self.pair.hosts):
            gateway = self.pair.gateway(number)
            for session in range(SESSIONS):
                gateway.request(f"{host.name}-{session}@isp", f"s{session}")
        self.pair.work(20, "the sessions")
        self.survivor = self.pair.gateways[1 - self.dying]

    def go(self):
        self.way(self.pair, self.dying)
        self.went = time.monotonic()

    def look(self):
        """Serves the pair; True once the takeover has been seen."""
        self.pair.loop.turn(0)
        self.took = next((at for at, role, state in self.survivor.states
                          if state == "peer-down" and role == "primary"), None)
        return self.took is not None

    def seconds(self):
        return self.took - self.went

    def __str__(self):
        who = ("the primary", "the secondary")[self.dying]
        return f"{self.way.__name__} of {who}, hello {self.hello} ms: {self.seconds():.2f} s"


class Takeover(Case):
    namespaces = True
    measures = True
    lasts = 35

    def test_takeover(self):
        ways = WAYS if os.environ.get("IPSPD_LONG") else WAYS[:3]
        measured = [Measured(self, *way) for way in ways]
        for one in measured:
            one.open_sessions()
        chance = random.Random()
        end = time.monotonic() + 2.0  # until all is at rest; then at any moment between two hellos
        while time.monotonic() < end:
            for one in measured:
                one.look()
        for one in measured:
            time.sleep(chance.random() * 0.5)
            one.go()
        end = time.monotonic() + DEAD_S + 5
        while not all([one.look() for one in measured]) and time.monotonic() < end:
            time.sleep(0.005)
        for one in measured:
            self.assertIsNotNone(one.took, f"no takeover\n{one.pair.story()}")
            self.say(f"{one} (configured {DEAD_S} s)")
        for one in measured:
            self.assertAlmostEqual(one.seconds(), DEAD_S, delta=OFF_S, msg=str(one))
            self.serves_all(one)

    def serves_all(self, one):
        """The survivor gives new sessions addresses at once, and those that come the ones they have."""
        gone = one.pair.gateways[one.dying]
        host = one.survivor.host
        address = next(iter(gone.sessions()))
        began = time.monotonic()
        self.assertEqual(
            host.do("request", f"{gone.name}-0@isp", "--address", address).split()[0], address)
        host.do("request", "new@isp")
        self.assertLess(time.monotonic() - began, 5.0)
        self.assertEqual(host.counters()["takeovers"], 1)


if __name__ == "__main__":
    sys.exit(main())
