#!/usr/bin/env python3
"""Pairs that must not share: wrong key, no key, unequal pools, two primaries, two secondaries.

In each case nothing is shared, a primary goes on serving alone, and both sides say why in words that
name the remedy.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from harness import process
from harness.config import POOL_A
from harness.host import total
from harness.pair import Case, main, write_key

WATCH_S = 3  # fifteen hellos: what would be shared wrongly would be shared by then


class Refused(Case):
    def unequal_pair(self, roles=("primary", "secondary"), prepare=lambda hosts: None):
        """Both daemons running, after @prepare has changed what makes the pair impossible."""
        self.two = self.pair(trapd=False)
        for number, role in enumerate(roles):
            self.two.ipsp(number, role)
        prepare(self.two.hosts)
        for host in reversed(self.two.hosts):
            host.start()
        return self.two.hosts

    def assert_says(self, host, *words):
        """The log of @host, as an operator sees it, has a line with all of @words."""
        def said():
            lines = [row.lower() for row in host.do("show", "log").splitlines()]
            return any(all(word.lower() in line for word in words) for line in lines)
        process.until(said, 20, lambda: f"{host.name} to say {words}:\n{host.do('show', 'log')}")

    def assert_unshared(self, primary=True):
        """No address moves; the primary serves by itself, the secondary refuses, and nothing changes."""
        first, second = self.two.hosts
        if primary:
            process.until(lambda: first.ctl("request", "u1@isp").returncode == 0, 20,
                          "the primary to serve alone")
        end = time.monotonic() + WATCH_S
        while time.monotonic() < end:
            self.assertNotEqual(second.status()["state"], "active")
            for count in ("released", "in-transit"):
                self.assertEqual(total(first.status(), count), 0, "the primary has given something")
            time.sleep(0.2)
        refused = second.ctl("request", "u2@isp")
        self.assertEqual(refused.returncode, 1, "the secondary has assigned an address")
        self.assertTrue(refused.stderr.strip(), "a refusal without a reason")

    def test_wrong_key(self):
        def prepare(hosts):
            other = write_key(os.path.join(hosts[1].folder, "other.key"), b"\xa5" * 32)
            hosts[1].config.ipsp.key_file = other

        for host in self.unequal_pair(prepare=prepare):
            self.assert_says(host, "key-file", "same")
        self.assert_unshared()
        for host in self.two.hosts:
            self.assertGreater(host.counters()["drop-seal"], 0, f"{host.name} counts no bad seals")

    def test_key_on_one_side_only(self):
        def prepare(hosts):
            hosts[1].config.ipsp.key_file = None
            hosts[1].config.ipsp.options["auth"] = "none"

        for host in self.unequal_pair(prepare=prepare):
            self.assert_says(host, "key-file")
        self.assert_unshared()

    def test_no_key_at_all_is_no_configuration(self):
        two = self.pair(trapd=False)
        for number, role in enumerate(("primary", "secondary")):
            two.ipsp(number, role)
            host = two.hosts[number]
            host.config.ipsp.key_file = None
            host.write_config()
            checked = process.run([process.program("ipspd"), "-t", "-c", host.file])
            self.assertEqual(checked.returncode, 2)
            words = checked.stdout + checked.stderr
            self.assertIn("key-file", words)
            self.assertIn('auth = "none"', words)

    def test_no_key_on_purpose(self):
        """The other way out that the words name: both say auth = "none"."""
        def prepare(hosts):
            for host in hosts:
                host.config.ipsp.key_file = None
                host.config.ipsp.options["auth"] = "none"

        self.unequal_pair(prepare=prepare)
        self.two.wait_sharing()

    def test_unequal_pools(self):
        changes = {
            "priority": ({"priority": 3}, ("pool-a", "priority", "3")),
            "group": ({"group": "other"}, ("pool-a", "group", "other")),
            "type": ({"type": "private"}, ("pool-a", "type", "private")),
            "addresses": ({"network": "10.1.0.0/17"}, ("pool-a", "addresses", "10.1.127.254")),
            "name": ({"name": "pool-b"}, ("pool-b",)),
        }
        for what, (change, words) in changes.items():
            with self.subTest(what):
                def prepare(hosts, change=change):
                    hosts[1].config.pools = [dict(POOL_A, **change)]

                for host in self.unequal_pair(prepare=prepare):
                    process.until(lambda h=host: h.status()["state"] == "config-mismatch", 20,
                                  lambda h=host: f"config-mismatch on {h.name}\n{h.tail()}")
                    self.assert_says(host, *words)
                    compared = host.ctl("check-config")
                    self.assertEqual(compared.returncode, 1)
                    for word in words:
                        self.assertIn(word, compared.stdout + compared.stderr)
                self.assert_unshared()

    def check(self, host):
        """The exit code, what is printed, and JSON say one thing."""
        with ThreadPoolExecutor() as both:  # a peer that is away is waited for
            done, plain = both.map(lambda words: host.ctl(*words, "check-config"), (("--json",), ()))
        answer = json.loads(done.stdout)
        self.assertEqual((done.returncode, plain.returncode), (answer["identical"] is False,) * 2)
        self.assertEqual("are identical" in plain.stdout, answer["identical"])
        self.assertEqual(len(answer["differences"]), answer["count"])
        return answer, plain

    def test_check_without_the_peer(self):
        """What was known when it went is said to be that, and not to be so."""
        def prepare(hosts):
            hosts[1].config.pools = [dict(POOL_A, priority=3)]

        first, second = self.unequal_pair(prepare=prepare)
        process.until(lambda: first.status()["state"] == "config-mismatch", 20, first.tail)
        answer, _ = self.check(first)
        self.assertEqual((answer["compared"], answer["count"], answer["last-compared"]), (True, 1, None))
        second.kill9()
        process.until(lambda: first.status()["peer"]["state"] != "up", 30, first.tail)
        answer, plain = self.check(first)
        self.assertEqual((answer["compared"], answer["count"]), (False, 0))
        last = answer["last-compared"]
        self.assertEqual((last["identical"], last["count"]), (False, 1))
        self.assertGreater(last["ago-ms"], 0)
        self.assertIn("no-peer", plain.stderr)
        self.assertRegex(plain.stdout, r"not compared now; when the peer was last heard, \S+ s ago, this differed:\n"
                                       r".*priority.*\n")
        # The same file on both sides, and gone again.
        second.config.pools = [dict(POOL_A)]
        second.start()
        self.two.wait_sharing()
        answer, plain = self.check(first)
        self.assertEqual((answer["compared"], answer["identical"], answer["last-compared"]), (True, True, None))
        second.kill9()
        process.until(lambda: first.status()["peer"]["state"] != "up", 30, first.tail)
        answer, plain = self.check(first)
        self.assertEqual((answer["compared"], answer["last-compared"]["identical"]), (False, True))
        self.assertIn("nothing differed", plain.stdout)
        # After a restart nothing is known.
        first.stop()
        first.start()
        answer, plain = self.check(first)
        self.assertEqual((answer["compared"], answer["last-compared"], plain.stdout), (False, None, ""))

    def test_two_primaries(self):
        for host in self.unequal_pair(roles=("primary", "primary")):
            self.assert_says(host, "primary", "both", "one side")
        time.sleep(WATCH_S)
        for host in self.two.hosts:
            self.assertEqual(total(host.status(), "released"), 0)
            self.assertNotEqual(host.status()["state"], "active")
            self.assertIn("both sides are configured as primary", host.do("show", "ip", "ipsp"))
        # Exactly one gives addresses: neither has sessions, so it is the one with the lower address.
        first, second = self.two.hosts
        self.assertEqual([host.status()["serving"] for host in self.two.hosts], [True, False])
        given = [host.ctl("request", f"u{n}@isp") for n in range(3) for host in (first, second)]
        self.assertEqual([done.returncode for done in given], [0, 1] * 3)
        self.assertIn("config-mismatch", given[1].stderr)
        checked = second.ctl("check-config")
        self.assertEqual(checked.returncode, 1)
        self.assertIn("configured roles: here primary, peer primary", checked.stdout)
        # Mended by a reload of the other's file: the pair shares.
        self.two.ipsp(1, "secondary")
        second.write_config()
        second.do("reload")
        self.two.wait_sharing()
        for host in self.two.hosts:
            host.do("check-config")

    def test_two_secondaries(self):
        for host in self.unequal_pair(roles=("secondary", "secondary")):
            self.assert_says(host, "secondary", "both", "one side")
            self.assertEqual(host.ctl("request", "u1@isp").returncode, 1)


if __name__ == "__main__":
    sys.exit(main())
