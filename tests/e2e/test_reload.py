#!/usr/bin/env python3
"""reload while IPSP is enabled: pools, peer and port are frozen, all of the file is taken or none of it; the
rotation of the shared secret, during which no session is lost and nothing stands still."""

import os
import resource
import signal
import sys

from harness.config import Context
from harness.pair import Case, main

POOL = {"name": "pool-a", "network": "10.1.0.0/24", "group": "dyn"}
KEYS = [bytes([number]) * 32 for number in (0x5a, 0xc3)]


class Reload(Case):
    def shared(self):
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        pair.start(hello_interval_ms=100)
        for number in (0, 1):
            gateway = pair.gateway(number)
            for session in range(10):
                gateway.request(f"{gateway.name}-{session}@isp", f"s{session}")
        pair.work(20, "the sessions")
        pair.settle()
        return pair

    def test_pools_are_frozen(self):
        pair = self.shared()
        other = {"name": "pool-b", "network": "10.2.0.0/24"}
        changes = {
            "a smaller pool": [dict(POOL, network="10.1.0.0/25")],
            "a larger pool": [dict(POOL, network="10.1.0.0/23")],
            "other addresses": [dict(POOL, network="10.7.0.0/24")],
            "its priority": [dict(POOL, priority=5)],
            "its group": [dict(POOL, group="other")],
            "its type": [dict(POOL, type="private")],
            "its timers": [dict(POOL, **{"address-hold-timer": 60})],
            "its name": [dict(POOL, name="pool-z")],
            "a further pool": [dict(POOL), other],
            "another pool": [other],
        }
        for host in pair.hosts:
            before = (host.look("show", "ip", "pool"), host.sessions())
            for what, pools in changes.items():
                with self.subTest(what, host=host.name):
                    host.config.pools = pools
                    # something that may change is in the same file: it must not be taken either
                    host.config.ipsp.options["hello-interval-ms"] = 3000
                    host.write_config()
                    refused = host.ctl("reload")
                    self.assertEqual(refused.returncode, 1)
                    self.assertIn("pool", refused.stderr)
                    self.assertEqual((host.look("show", "ip", "pool"), host.sessions()), before)
                    self.assertTrue(pair.sharing())
            host.signal(signal.SIGHUP)
            pair.loop.until(lambda h=host: "not reloaded" in h.log(), 10, "the log to say it")
            self.assertEqual(host.look("show", "ip", "pool"), before[0])
            hellos = host.counters()["hellos-sent"]
            for _ in range(10):
                pair.loop.turn(0.1)
            self.assertGreater(host.counters()["hellos-sent"], hellos + 5, "part of it was taken")
            host.config.pools = [dict(POOL)]
            host.config.ipsp.options["hello-interval-ms"] = 100
            host.write_config()
            host.do("reload")
        pair.work(10, "the gateways")
        pair.settle()
        pair.check_ledger()
        for gateway in pair.gateways:
            self.assertEqual(gateway.attaches, 1)

    def test_a_context_that_cannot_begin_is_refused(self):
        """What a new context needs is opened before anything is taken: what can't be is a reload that is
        refused, and no reason to stop."""
        host = self.host()
        host.start()
        address = host.do("request", "u@isp").split()[0]
        host.config.others.append(Context(context="isp2", pools=[{"name": "p", "network": "10.2.0.0/24"}]))
        host.write_config()
        lease = os.path.join(host.folder, "state", "lease.isp2")
        os.mkdir(lease)
        refused = host.ctl("reload")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("isp2: its lease file", refused.stderr)
        self.assertTrue(host.running(), host.tail())
        self.assertEqual(list(host.sessions()), [address])
        os.rmdir(lease)
        host.do("reload")
        self.assertEqual(len(host.look("show", "ip", "ipsp")["contexts"]), 2)

    def test_descriptors_are_enough_for_all_clients(self):
        """A shell's soft limit is raised to what is allowed."""
        host = self.host()
        host.write_config()
        host._prefix = ["prlimit", "--nofile=256:4096"]
        host.launch()
        host.wait_ready()
        self.assertEqual(resource.prlimit(host.pid, resource.RLIMIT_NOFILE), (4096, 4096))

    def test_peer_port_and_context_are_frozen(self):
        pair = self.shared()
        host = pair.hosts[0]
        ipsp = host.config.ipsp
        for change, undo in (
            (lambda: setattr(ipsp, "peer", "127.0.0.9"), lambda: setattr(ipsp, "peer", "127.0.0.2")),
            (lambda: setattr(ipsp, "port", ipsp.port + 1), lambda: setattr(ipsp, "port", ipsp.port - 1)),
            (lambda: setattr(ipsp, "address", "127.0.0.5"),
             lambda: setattr(ipsp, "address", "127.0.0.1")),
            (lambda: setattr(host.config, "context", "isp9"),
             lambda: setattr(host.config, "context", "isp1")),
        ):
            change()
            host.write_config()
            refused = host.ctl("reload")
            self.assertEqual(refused.returncode, 1, host.config.text())
            self.assertTrue(refused.stderr.strip())
            undo()
            self.assertTrue(pair.sharing())
        host.write_config()
        host.do("reload")
        pair.check_ledger()

    def test_what_may_change(self):
        """Timers and block size are taken at once, and the pair goes on."""
        pair = self.shared()
        for host in pair.hosts:
            host.config.ipsp.options.update({"dead-interval": 40, "hello-interval-ms": 150,
                                             "block-size": 4, "request-timeout-ms": 4000})
            host.write_config()
            host.do("reload")
        pair.wait_sharing()
        for number in range(20):
            pair.gateways[1].request(f"more{number}@isp", f"m{number}")
        pair.work(10, "more sessions")
        pair.settle()
        pair.check_ledger()
        self.assertEqual([host.counters()["peer-losses"] for host in pair.hosts], [0, 0])

    STEPS = ([0, 1], [1, 0], [1])  # the lines of the key file: 0 the old secret, 1 the new one

    def take_keys(self, host, lines):
        """The key file of @host has these @lines from now on."""
        path = f"{host.folder}/own.key"
        with open(path, "w", encoding="ascii", opener=private) as file:
            file.write("".join(KEYS[line].hex() + "\n" for line in lines))
        host.config.ipsp.key_file = path
        host.write_config()

    def until_match(self, pair, *wanted):
        """What each side says of its first key, within ten hello intervals and what a busy machine takes."""
        def match():
            return tuple(host.status()["peer"]["key-match"] for host in pair.hosts) == wanted
        pair.loop.until(match, 5, lambda: f"the keys to be {wanted}\n{pair.story()}")

    def test_a_wrong_key_is_noticed(self):
        """At once, and on both sides, not at the next restart; the session in force goes on meanwhile."""
        pair = self.shared()
        first, second = pair.hosts
        self.until_match(pair, True, True)
        prints = [host.status()["key-fingerprint"] for host in pair.hosts]
        self.assertRegex(prints[0], r"^[0-9a-f]{8}$")
        self.assertEqual(prints[0], prints[1])
        self.assertNotIn(prints[0], KEYS[0].hex())
        self.take_keys(first, [1])
        first.do("reload")
        self.until_match(pair, False, False)
        self.assertNotEqual(first.status()["key-fingerprint"], prints[0])
        self.assertEqual(second.status()["key-fingerprint"], prints[0])
        for host in pair.hosts:
            for words in ("does not answer a handshake with key", "put the same secret first into the key-file"):
                self.assertIn(words, host.log())
                self.assertIn(words, host.do("show", "log"))
            self.assertIn("ANOTHER KEY", host.do("show", "ip", "ipsp"))
            self.assertIn("the peer has another key", host.status()["notes"][0])
        self.assertIn(f"begins a handshake with key {first.status()['key-fingerprint']}", second.log())
        self.number = 0
        for _ in range(30):
            self.load(pair)
            pair.loop.turn(0.1)
        self.assertTrue(pair.sharing(), pair.story())

        self.take_keys(second, [1])
        second.do("reload")
        self.until_match(pair, True, True)
        for host in pair.hosts:
            self.assertIn("has answered a handshake with key", host.log())
            self.assertEqual(host.counters()["peer-losses"], 0)
        pair.work(20, "the sessions")
        pair.settle()
        pair.check_ledger()
        # and what was proven is true: a restart changes nothing
        second.kill9()
        pair.loop.until(lambda: not pair.gateways[1].connected(), 10, "the agent to end")
        second.launch()
        second.wait_ready()
        pair.gateways[1].attach()
        pair.wait_sharing(10)
        self.until_match(pair, True, True)

    def test_no_key_is_no_fingerprint(self):
        pair = self.pair(trapd=False)
        pair.start(hello_interval_ms=100, key_file=None, auth="none")
        self.until_match(pair, True, True)
        for host in pair.hosts:
            self.assertIsNone(host.status()["key-fingerprint"])

    def test_a_key_file_that_was_not_read_again(self):
        """Replaced, removed, or unreadable now: said before a restart finds it out."""
        pair = self.shared()
        host = pair.hosts[0]
        self.take_keys(host, [0])
        host.do("reload")
        path = host.config.ipsp.key_file
        def says(words, times=1):
            pair.loop.until(lambda: host.log().count(words) == times, 15, lambda: f"{words}\n{host.tail()}")
        self.take_keys(host, [1])
        says(f"{path} has other secrets than those in force")
        self.assertIn(f"{path} has other secrets", host.status()["notes"][0])
        self.take_keys(host, [0])
        says(f"{path} has the secrets in force again")
        os.chmod(path, 0o644)
        says("others can read or change it")
        refused = host.ctl("reload")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("others can read or change it", refused.stderr)
        self.assertEqual(host.status()["peer"]["key-match"], True)
        os.unlink(path)
        says("the next start would find none", 2)
        self.take_keys(host, [0])
        says(f"{path} has the secrets in force again", 2)
        self.assertTrue(pair.sharing(), pair.story())
        self.assertEqual(host.counters()["peer-losses"], 0)

    def test_key_rotation(self):
        """The three steps of docs/operations.md, with both gateways working all the time."""
        pair = self.shared()
        self.number = 0
        self.load(pair)
        for step, lines in enumerate(self.STEPS):
            for host in pair.hosts:
                self.take_keys(host, lines)
                host.do("reload")
                self.load(pair)
            # twenty hello intervals, in which a pair that had lost one another would notice
            for _ in range(20):
                pair.loop.turn(0.1)
                self.load(pair)
            self.assertTrue(pair.sharing(), f"after step {step + 1}")
        for host in pair.hosts:
            counters = host.counters()
            self.assertEqual(counters["peer-losses"], 0)
            self.assertEqual(counters["drop-seal"], 0)
        pair.work(20, "the last sessions")
        pair.settle()
        pair.check_ledger()
        for gateway in pair.gateways:
            self.assertEqual(gateway.attaches, 1)
        # What is in force is the new secret: a side that only has the old one is not heard.
        host = pair.hosts[1]
        self.take_keys(host, [0])
        host.kill9()
        host.launch()
        host.wait_ready()
        pair.loop.until(lambda: host.counters()["drop-seal"] > 0, 10, "the old secret to be of no use")

    def test_key_rotation_with_restarts(self):
        """Each time only one side has done a step, the other dies: its next session of keys has to
        come about with the two files as they are then."""
        pair = self.shared()
        for lines in self.STEPS:
            for host, other, gateway in zip(pair.hosts, reversed(pair.hosts), reversed(pair.gateways)):
                self.take_keys(host, lines)
                host.do("reload")
                other.kill9()
                pair.loop.until(lambda g=gateway: not g.connected(), 10, "the agent to end")
                other.launch()
                other.wait_ready()
                gateway.attach()
                pair.wait_sharing(10)
        pair.work(20, "the gateways")
        pair.settle()
        pair.check_ledger()

    def load(self, pair):
        """One session ends on each side, two begin, some of which need the peer."""
        for gateway in pair.gateways:
            self.number += 1
            gateway.request(f"load{self.number}@isp", f"l{self.number}")
            if len(gateway.sessions()) > 60:
                gateway.release(next(iter(gateway.sessions())))


def private(path, flags):
    """For open(): a file that its owner alone can read."""
    return os.open(path, flags, 0o600)


if __name__ == "__main__":
    sys.exit(main())
