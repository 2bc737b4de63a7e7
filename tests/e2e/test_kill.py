#!/usr/bin/env python3
"""The upgrade with kill -9 of either daemon at 20 random moments of the handovers.

Each is restarted within the dead interval. The seed is printed; IPSPD_SEED=N repeats the choice of
moments (not the machine's timing).
"""

import os
import random
import sys
import time

from harness.pair import Case, main
from harness.upgrade import Upgrade

KILLS = 20
DOWN_S = 1.0  # at most; the dead interval is 25 s


class Killer:
    """Kills at chosen parts of the way: called again and again with how much is done of how much;
    returns whether both are up and the kills of this part of the way are done."""

    def __init__(self, pair, chance, kills):
        self._pair = pair
        self._chance = chance
        # Half of them on the way there, half on the way back; each at a part of the way and then
        # at any moment of the next twentieth of a second.
        self._parts = [kills // 2, kills - kills // 2]
        self._moments = []
        self._down = []  # (when to restart, host)
        self._due = None
        self.killed = {host.name: 0 for host in pair.hosts}

    def done(self):
        return not self._parts and not self._moments and not self._down

    def start_part(self):
        self._moments = sorted(self._chance.random() for _ in range(self._parts.pop(0)))

    def __call__(self, done, count):
        self._restart()
        for gateway in self._pair.gateways:
            self._attach(gateway)
        if self._due is None and self._moments and done >= self._moments[0] * count:
            self._moments.pop(0)
            self._due = time.monotonic() + self._chance.random() * 0.05
        if self._due is not None and time.monotonic() >= self._due and not self._down:
            self._due = None
            self._kill(self._chance.choice(self._pair.gateways))
        return not self._moments and self._due is None and not self._down

    def _kill(self, gateway):
        host = gateway.host
        host.kill9()
        self.killed[host.name] += 1
        self._down.append((time.monotonic() + self._chance.random() * DOWN_S, host))

    def _restart(self):
        now = time.monotonic()
        for entry in [entry for entry in self._down if entry[0] <= now]:
            self._down.remove(entry)
            entry[1].launch()
            entry[1].wait_ready()

    def _attach(self, gateway):
        """A gateway whose ipspd is back attaches again."""
        down = any(host is gateway.host for _, host in self._down)
        if not gateway.connected() and not down:
            gateway.attach()


class Killed(Case):
    lasts = 30
    namespaces = True

    def test_twenty_kills(self):
        seed = int(os.environ.get("IPSPD_SEED") or random.SystemRandom().randrange(1 << 32))
        self.say(f"seed {seed}")
        pair = self.pair()
        killer = Killer(pair, random.Random(seed), KILLS)
        story = Upgrade(self, pair, disturb=killer, before_handover=killer.start_part)
        story.exact = False
        story.run()
        self.say(f"killed: {killer.killed}")
        self.assertTrue(killer.done(), "not all kills were carried out")
        self.assertEqual(sum(killer.killed.values()), KILLS)
        for gateway in (gateway for gateway in pair.gateways if killer.killed[gateway.name]):
            self.assertEqual(gateway.exit_status, 3, f"{gateway.name}'s agent when its ipspd went")


if __name__ == "__main__":
    sys.exit(main())
