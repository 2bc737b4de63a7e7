#!/usr/bin/env python3
"""Both sides alive and cut off from each other for longer than the dead interval: each takes over. Healed,
every address with two sessions is found, resolved and reported; a node that has moved keeps its session.
"""

import os
import re
import stat
import sys
import time

from harness.apart import ApartLedger
from harness.host import total
from harness.pair import Case, main

DEAD_MS = 2500
SIZE = 32
POOL = {"name": "pool-a", "network": "10.1.0.0/27", "include-nw-bcast": True}
FOUND_TRAP, RESOLVED_TRAP = "ipspdDuplicateFound", "ipspdDuplicateResolved"

HOOK = """#!/bin/sh
echo "$IPSP_EVENT|$IPSP_CONTEXT|$IPSP_ROLE|$IPSP_PEER_STATE|$IPSP_EPOCH|$IPSP_ADDRESS|$IPSP_PEER|$IPSP_DUPLICATE" >>"{calls}"
"""


class Hook:
    """A hook that writes down how it was called."""

    def __init__(self, host):
        self._calls = os.path.join(host.folder, "calls")
        path = os.path.join(host.folder, "hook")
        with open(path, "w", encoding="utf-8") as file:
            file.write(HOOK.format(calls=self._calls))
        os.chmod(path, stat.S_IRWXU)
        host.config.extra += f'hook = "{path}";\n'

    def calls(self, event):
        """The calls for @event: lists of context, role, peer's state, epoch, addresses, duplicate."""
        try:
            with open(self._calls, encoding="utf-8") as file:
                rows = [line.rstrip("\n").split("|") for line in file]
        except FileNotFoundError:
            return []
        return [row[1:] for row in rows if row[0] == event]


class Partition(Case):
    namespaces = True
    lasts = 10

    def shared(self, trapd=False):
        pair = self.pair(trapd=trapd)
        pair.ledger = ApartLedger()
        self.hooks = [Hook(host) for host in pair.hosts]
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        pair.start(dead_interval_ms=DEAD_MS, hello_interval_ms=100, block_size=8)
        return pair, pair.gateway(0), pair.gateway(1)

    def cut(self, pair):
        """Until both have marked the other down."""
        pair.net.lose(100)
        pair.loop.until(
            lambda: all(host.status()["state"] == "peer-down" for host in pair.hosts),
            DEAD_MS / 1000 + 5, lambda: f"both to take over\n{pair.story()}",
        )
        pair.ledger.apart = True

    def heal(self, pair):
        pair.ledger.apart = False
        pair.net.lose(0)
        pair.loop.until(lambda: not pair.ledger.open_twice(), 20,
                        lambda: f"{pair.ledger.open_twice()} to be resolved\n{pair.story()}")
        pair.wait_sharing()
        pair.work(20, "what waited")
        pair.settle()
        pair.check_ledger()

    def test_both_exhausted(self):
        pair, first, second = self.shared(trapd=True)
        for number in range(5):
            first.request(f"p{number}@isp", f"p{number}")
            second.request(f"s{number}@isp", f"s{number}")
        pair.work(20, "the first sessions")
        pair.settle()
        owned = total(pair.hosts[1].status(), "released")  # by the primary
        self.assertTrue(0 < owned < SIZE)
        self.cut(pair)
        for gateway in pair.gateways:
            for number in range(SIZE - 5):
                gateway.request(f"{gateway.name}-cut{number}@isp", f"c{number}")
        pair.work(20, "both sides to be exhausted")
        for host in pair.hosts:
            self.assertEqual(total(host.status(), "used"), SIZE)
            self.assertIn("exhausted", host.ctl("request", "more@isp").stderr)
        twice = dict(pair.ledger.twice)
        self.assertEqual(len(twice), SIZE)

        self.heal(pair)
        self.assertEqual(set(pair.ledger.twice), set(twice), "given twice after the healing")
        # The owner keeps, the other drops: each side has what it owned.
        self.assertEqual(first.reasons, {"duplicate": SIZE - owned})
        self.assertEqual(second.reasons, {"duplicate": owned})
        dropped = (SIZE - owned, owned)
        for number, host in enumerate(pair.hosts):
            found, resolved = dropped[1 - number], dropped[number]
            other, here = pair.gateways[1 - number], pair.gateways[number]
            kept, lost = set(here.sessions()), set(other.sessions())
            self.assertEqual((len(kept), len(lost)), (found, resolved))
            counters = host.counters()
            self.assertEqual(counters["duplicates-found"], found)
            self.assertEqual(counters["duplicates-resolved"], resolved)
            status = host.status()
            self.assertEqual(status["counters"]["duplicates-resolved"], resolved)
            self.assertEqual(status["counters"]["duplicates-open"], 0)
            self.assert_listed(host, kept, lost, twice)
            self.assert_told(pair, number, kept, lost)
            self.assert_shown(host, kept, lost, twice)

    def assert_listed(self, host, kept, lost, twice):
        """show log has each address: on the owner with both subscribers, elsewhere as dropped."""
        rows = host.do("show", "log", "-n", "1000").splitlines()
        for address in kept:
            found = [row for row in rows if f"duplicate: {address} " in row]
            self.assertEqual(len(found), 1, f"{address} on {host.name}")
            for _, subscriber, _ in twice[address]:
                self.assertIn(subscriber, found[0])
        for address in lost:
            found = [row for row in rows if "duplicate resolved: " in row and f" {address} " in row]
            self.assertEqual(len(found), 1, f"{address} on {host.name}")

    def assert_shown(self, host, kept, lost, twice):
        """show duplicates has each, resolved; the owner knows both subscribers."""
        rows = {row["address"]: row for row in host.look("show", "duplicates")["duplicates"]}
        self.assertEqual(set(rows), kept | lost)
        self.assertEqual({row["state"] for row in rows.values()}, {"resolved"})
        for address in kept:
            self.assertEqual(rows[address]["dropped-by"], "peer")
            self.assertEqual({rows[address]["subscriber"], rows[address]["peer-subscriber"]},
                             {subscriber for _, subscriber, _ in twice[address]})
        for address in lost:
            self.assertEqual((rows[address]["dropped-by"], rows[address]["peer-subscriber"]), ("here", None))
        self.assertEqual(len(host.do("show", "duplicates").splitlines()), len(rows) + 1)

    def assert_told(self, pair, number, kept, lost):
        """The owner's hook was called, and the traps of both came, once for each address."""
        hook = self.hooks[number]
        pair.loop.until(lambda: len(hook.calls("duplicate")) >= len(kept), 20,
                        lambda: f"the hook's calls: {hook.calls('duplicate')}")
        here, there = pair.net.addresses[number], pair.net.addresses[1 - number]
        for call in hook.calls("duplicate"):
            self.assertEqual((call[0], call[2], call[4], call[5]), ("isp1", "up", here, there))
        self.assertEqual(sorted(call[6] for call in hook.calls("duplicate")), sorted(kept))
        for name in (FOUND_TRAP, RESOLVED_TRAP):
            self.assert_traps(pair, number, name, kept | lost)

    def assert_traps(self, pair, number, name, addresses):
        pair.loop.until(lambda: len(pair.traps(number, name)) >= len(addresses), 20,
                        lambda: f"{len(addresses)} {name} of {pair.hosts[number].name}")
        traps = pair.traps(number, name)
        self.assertEqual(len(traps), len(addresses))
        for address in addresses:
            pattern = rf"ipspdAddress\S* = STRING: \"?{address}\"?(\s|$)"
            self.assertEqual(sum(bool(re.search(pattern, trap)) for trap in traps), 1,
                             f"{address} in {traps[:1]}")

    def test_the_same_node_on_both_sides(self):
        """Half of each side's nodes have moved to the other one: the sessions that they left are
        ended by a handoff, those that they have live on, and none is a duplicate."""
        pair, first, second = self.shared()
        for gateway in pair.gateways:
            for number in range(6):
                gateway.request(f"{gateway.name}-{number}@isp", f"old{number}")
        pair.work(20, "the first sessions")
        pair.settle()
        self.cut(pair)
        moved = {}
        for there, here in ((first, second), (second, first)):
            for address, (subscriber, session) in list(there.sessions().items())[:3]:
                here.request(subscriber, f"new-{session}", address)
                moved[address] = (here.name, subscriber, f"new-{session}")
        pair.work(20, "the nodes that move")
        self.assertEqual(pair.ledger.open_twice(), set(moved))
        began = time.monotonic()
        self.heal(pair)
        self.say(f"healed within {time.monotonic() - began:.1f} s")
        for address, who in moved.items():
            self.assertEqual(pair.ledger.holder(address), who, "a live session was ended")
        for host, gateway in zip(pair.hosts, pair.gateways):
            self.assertEqual(gateway.reasons, {"handoff": 3})
            self.assertEqual(len(gateway.sessions()), 6)
            counters = host.counters()
            self.assertEqual(counters["duplicates-found"] + counters["duplicates-resolved"], 0)
        self.assertEqual([hook.calls("duplicate") for hook in self.hooks], [[], []])
        self.assertEqual(sorted(pair.roles()), ["primary", "secondary"])


if __name__ == "__main__":
    sys.exit(main())
