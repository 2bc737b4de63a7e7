#!/usr/bin/env python3
"""A daemon that is stopped, or down, for longer than its dead interval, and comes back to a world in which
its peer has taken over."""

import signal
import sys
import time

from harness.apart import ApartLedger
from harness.host import total
from harness.pair import Case, main

DEAD_MS = 3000
POOL = {"name": "pool-a", "network": "10.1.0.0/26", "include-nw-bcast": True}
SIZE = 64
FLOOD = 20000  # requests of some 60 bytes: several times what a socket keeps
# What the stopped side may say: that it doesn't know, that it is out of service, that nothing is free.
HARMLESS = {"locked", "no-primary", "timeout", "overloaded", "exhausted"}


def dropped(pid, port):
    """How many datagrams the socket on @port had no room for, of the process @pid's network."""
    with open(f"/proc/{pid}/net/udp", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return sum(int(row[12]) for row in rows if int(row[1].split(":")[1], 16) == port)


class Stopped(Case):
    namespaces = True
    lasts = 15

    def stop_one(self, stopped):
        """SIGSTOP to side @stopped, while hellos fill its one socket and requests the other."""
        pair = self.pair(trapd=False)
        running = 1 - stopped
        for number, role in ((1, "secondary"), (0, "primary")):
            host = pair.hosts[number]
            host.config.pools = [dict(POOL)]
            host.environment = self.preloaded("smallbuf")
            pair.ipsp(number, role, dead_interval_ms=DEAD_MS, block_size=24, hello_interval_ms=100)
            host.start()
        pair.wait_sharing()
        here = pair.gateway(running)
        there = pair.gateway(stopped, patient=False, window=FLOOD)
        # Both sides own something, no session is left on the side that is stopped (it would be the
        # one exception), and one is on the other, which may then take over.
        here.request("keep@isp", "keep")
        if stopped == 1:
            there.request("first@isp", "first")
        pair.work(20, "the first sessions")
        for address in list(there.sessions()):
            there.release(address)
        pair.work(20, "the release")
        pair.settle()
        for host in pair.hosts:
            self.assertGreater(total(host.status(), "free"), 0, f"{host.name} owns nothing")

        pair.hosts[stopped].signal(signal.SIGSTOP)
        began = time.monotonic()
        for number in range(FLOOD):
            there.request(f"flood{number}@isp", f"f{number}")
        pair.loop.until(
            lambda: pair.hosts[running].status()["state"] == "peer-down", DEAD_MS / 1000 + 5,
            lambda: f"the takeover\n{pair.story()}",
        )
        for number in range(SIZE - len(here.sessions())):
            here.request(f"u{number}@isp", f"u{number}")
        pair.loop.until(here.idle, 20, "every address to be used here")
        self.assertEqual(len(here.sessions()), SIZE)
        pid = pair.hosts[stopped].pid
        pair.loop.until(lambda: dropped(pid, pair.net.port), 30, "the buffer to be full")
        pair.loop.until(lambda: time.monotonic() - began > DEAD_MS / 1000 + 2, 10, "some time to pass")
        self.say(f"stopped for {time.monotonic() - began:.1f} s")

        # Whatever it gives out now has another holder: the ledger raises at the first one.
        pair.hosts[stopped].signal(signal.SIGCONT)
        pair.loop.until(there.idle, 60, lambda: f"{FLOOD} answers\n{pair.story()}")
        self.assertEqual(len(there.refused), FLOOD)
        self.assertEqual({error for _, error, _ in there.refused} - HARMLESS, set())
        there.refused.clear()
        pair.wait_sharing()
        pair.settle()
        pair.check_ledger()
        self.assertEqual(len(here.sessions()), SIZE)
        self.assertEqual(pair.hosts[stopped].counters()["takeovers"], 0)
        self.assertEqual(pair.hosts[running].counters()["takeovers"], 1)
        for host in pair.hosts:
            self.assertEqual(host.counters()["duplicates-found"], 0)
        # And it serves again, what there is.
        here.release(next(iter(here.sessions())))
        pair.work(20, "the release")
        there.patient = True
        there.request("last@isp", "last")
        pair.work(20, "the last session")
        pair.check_ledger()
        self.assertEqual(len(there.sessions()), 1)

    def test_the_secondary_with_full_sockets(self):
        self.stop_one(1)

    def test_the_primary_with_full_sockets(self):
        self.stop_one(0)


class Down(Case):
    namespaces = True
    lasts = 12

    def test_down_for_a_dead_interval_while_its_sessions_live_on(self):
        """The primary's daemon dies; its gateway goes on. The secondary takes over and uses every address:
        some of the sessions have moved to it, the rest of their addresses get other subscribers."""
        moved, overlaid = 5, 7
        pair = self.pair(trapd=False)
        pair.ledger = ledger = ApartLedger()
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        pair.start(dead_interval_ms=DEAD_MS, hello_interval_ms=100, block_size=16)
        first, second = pair.gateway(0), pair.gateway(1)
        for number in range(moved + overlaid):
            first.request(f"u{number}@isp", f"old{number}")
        second.request("s6@isp", "s6")
        pair.work(20, "the first sessions")
        pair.settle()
        old = {who[0]: address for address, who in first.sessions().items()}

        pair.hosts[0].kill9()
        pair.loop.until(lambda: not first.connected(), 10, "the agent to end")
        pair.loop.until(lambda: pair.hosts[1].status()["state"] == "peer-down", DEAD_MS / 1000 + 5,
                        lambda: f"the takeover\n{pair.story()}")
        ledger.apart = True
        moving = [f"u{number}@isp" for number in range(moved)]
        for subscriber in moving:
            second.request(subscriber, f"new-{subscriber}", old[subscriber])
        pair.loop.until(second.idle, 20, "the moved sessions")
        for number in range(SIZE - moved - 1):
            second.request(f"other{number}@isp", f"o{number}")
        pair.loop.until(second.idle, 20, "every address to be used")
        ledger.apart = False
        self.assertEqual(len(second.sessions()), SIZE)
        self.assertEqual(ledger.open_twice(), set(old.values()))

        pair.hosts[0].launch()
        pair.hosts[0].wait_ready()
        first.attach()
        pair.loop.until(lambda: not ledger.open_twice() and first.attached, 30,
                        lambda: f"{ledger.open_twice()} to be resolved\n{pair.story()}")
        pair.wait_sharing()
        pair.settle()
        pair.check_ledger()
        # Who has moved keeps the live session; of two subscribers the owner's stays.
        # (those that it could not be asked for as it was not attached yet are said as duplicates)
        self.assertEqual(first.reasons["handoff"] + first.reasons["duplicate"], moved)
        self.assertEqual(sum(first.reasons.values()), moved)
        self.assertEqual(second.reasons, {"duplicate": overlaid})
        for subscriber, address in old.items():
            holder = ledger.holder(address)
            self.assertEqual(holder[:2], ("ha2" if subscriber in moving else "ha1", subscriber))
        owner, dropper = (host.counters() for host in pair.hosts)
        self.assertEqual(owner["duplicates-found"], overlaid)
        self.assertEqual(dropper["duplicates-resolved"], overlaid)
        self.assertEqual(pair.roles(), ("secondary", "primary"))
        self.assertEqual(total(pair.hosts[0].status(), "used"), overlaid)

    def test_down_and_back_before_the_dead_interval(self):
        """Nothing has happened: no takeover, the sessions are there, and it serves at once."""
        pair = self.pair(trapd=False)
        pair.start(dead_interval_ms=10000, hello_interval_ms=100)
        first, second = pair.gateway(0), pair.gateway(1)
        for gateway in pair.gateways:
            for number in range(10):
                gateway.request(f"{gateway.name}-{number}@isp", f"s{number}")
        pair.work(20, "the sessions")
        pair.hosts[0].kill9()
        pair.loop.until(lambda: not first.connected(), 10, "the agent to end")
        pair.loop.until(lambda: pair.hosts[1].status()["peer"]["state"] == "lost", 10, pair.story)
        pair.net.lose(100)  # it has its lease still: it serves without its peer
        pair.hosts[0].launch()
        pair.hosts[0].wait_ready()
        first.attach()
        first.request("alone@isp", "alone")
        pair.work(3, "a session without the peer")
        pair.net.lose(0)
        pair.wait_sharing()
        pair.settle()
        pair.check_ledger()
        self.assertEqual([host.counters()["takeovers"] for host in pair.hosts], [0, 0])
        self.assertEqual(pair.roles(), ("primary", "secondary"))
        self.assertEqual(len(second.sessions()), 10)


if __name__ == "__main__":
    sys.exit(main())
