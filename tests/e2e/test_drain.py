#!/usr/bin/env python3
"""Drains: begun on both sides at once, and the stop of a side that has been drained."""

import sys
import time

from harness import process
from harness.host import total
from harness.pair import Case, main


class Drain(Case):
    namespaces = True

    def shared(self, **options):
        pair = self.pair(trapd=False)
        pair.start(hello_interval_ms=100, **options)
        for number in (0, 1):
            gateway = pair.gateway(number)
            for session in range(10):
                gateway.request(f"{gateway.name}-{session}@isp", f"s{session}")
        pair.work(20, "the sessions")
        pair.settle()
        return pair

    def draining(self, pair):
        return tuple(host.status()["draining"] for host in pair.hosts)

    def empty(self, gateway):
        for address in list(gateway.sessions()):
            gateway.release(address)

    def test_both_at_once_while_cut_off(self):
        """Neither knows of the other's drain when it begins: that of the secondary is taken back."""
        pair = self.shared()
        pair.net.lose(100)
        for host in pair.hosts:
            host.do("drain")
        self.assertEqual(self.draining(pair), (True, True))
        pair.net.lose(0)
        pair.loop.until(lambda: self.draining(pair) == (True, False), 20,
                        lambda: f"the secondary's drain to be taken back\n{pair.story()}")
        self.assertIn("taken back", pair.hosts[1].do("show", "log"))
        refused = pair.hosts[1].ctl("drain")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("draining", refused.stderr)
        # The one that is left comes to its end, and both serve in the meantime as they should.
        self.assertIn("draining", pair.hosts[0].ctl("request", "new@isp").stderr)
        pair.gateways[1].request("new@isp", "new")
        pair.work(10, "a session on the other side")
        self.empty(pair.gateways[0])
        pair.work(10, "the releases")
        pair.hosts[0].do("drain", "--wait", "--timeout", "20")
        pair.wait_roles("secondary", "primary")
        pair.settle()
        pair.check_ledger()

    def test_both_at_once(self):
        """On a live link, several times: never both, never a side that can't go on."""
        pair = self.shared()
        both = 0
        for _ in range(8):
            commands = [
                process.spawn([process.program("ipspctl"), "-s", host.socket, "drain"],
                              stdout=process.subprocess.DEVNULL,
                              stderr=process.subprocess.DEVNULL)
                for host in pair.hosts
            ]
            done = [command.wait(20) for command in commands]
            self.assertIn(0, done)
            self.assertLessEqual(set(done), {0, 1})
            both += done == [0, 0]
            # at most one from here on; if both began, the primary's is the one that stays
            expected = [(True, False)] if done == [0, 0] else [(True, False), (False, True)]
            pair.loop.until(lambda e=expected: self.draining(pair) in e, 10,
                            lambda: f"one drain: {self.draining(pair)}\n{pair.story()}")
            for host in pair.hosts:
                host.do("undrain")
            self.assertEqual(self.draining(pair), (False, False))
            for gateway in pair.gateways:
                gateway.request("between@isp", f"between-{gateway.name}")
            pair.work(10, "sessions after the drains")
            heard = [host.counters()["hellos-received"] for host in pair.hosts]
            pair.loop.until(lambda h=heard: all(host.counters()["hellos-received"] >= n + 2
                                                for n, host in zip(h, pair.hosts)), 10,
                            "each side to know that the other drains no more")
        self.say(f"both began {both} times of 8")
        pair.check_ledger()

    def test_a_drained_primary_is_stopped(self):
        """It says goodbye: the other side serves every address at once, without a dead interval."""
        pair = self.shared(dead_interval=25)
        first, second = pair.gateways
        self.empty(first)
        pair.work(10, "the releases")
        pair.hosts[0].do("drain", "--wait", "--timeout", "20")
        pair.wait_roles("secondary", "primary")
        pair.loop.until(lambda: pair.hosts[0].status()["all-free"], 10, "it to be safe to stop")
        first.close()
        self.assertEqual(pair.hosts[0].stop(), 0)
        began = time.monotonic()
        status = pair.hosts[1].status()
        self.assertTrue(status["serving"])
        self.assertEqual(total(status, "released"), 0)
        for session in range(200):
            second.request(f"more{session}@isp", f"m{session}")
        pair.loop.until(second.idle, 10, "sessions with the peer stopped")
        self.assertLess(time.monotonic() - began, 20)  # the dead interval is 25 s
        self.assertEqual(second.refused, [])
        self.assertEqual(len(second.sessions()), 210)
        self.assertEqual(pair.hosts[1].counters()["takeovers"], 0)

    def test_a_primary_with_sessions_is_stopped(self):
        """What no session uses is the other side's at once; the sessions are there again at the return,
        and so is the role, which was on loan."""
        pair = self.shared(dead_interval=25)
        first, second = pair.gateways
        first.close()
        self.assertEqual(pair.hosts[0].stop(), 0)
        pair.loop.until(lambda: pair.hosts[1].status()["role"] == "primary", 10, pair.story)
        status = pair.hosts[1].status()
        self.assertTrue(status["serving"])
        self.assertTrue(status["role-on-loan"])
        self.assertEqual(total(status, "released"), 10, "all but what its sessions use")
        for session in range(50):
            second.request(f"more{session}@isp", f"m{session}")
        pair.loop.until(second.idle, 10, "sessions with the peer stopped")
        self.assertEqual(second.refused, [])
        pair.hosts[0].start()
        first.attach()
        pair.wait_roles("primary", "secondary")
        pair.wait_sharing()
        pair.work(10, "the gateways")
        pair.settle()
        pair.check_ledger()
        self.assertEqual(len(first.sessions()), 10)


if __name__ == "__main__":
    sys.exit(main())
