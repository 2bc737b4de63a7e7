#!/usr/bin/env python3
"""no pool-share-protocol: refused with the reason while addresses are shared out, done on both sides once
one owns all, and what --force does."""

import sys

from harness.host import total
from harness.pair import Case, main

POOL = {"name": "pool-a", "network": "10.1.0.0/24"}
SIZE = 254


class Disable(Case):
    def shared(self, sessions=(5, 5)):
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        pair.start(hello_interval_ms=100)
        for number, count in enumerate(sessions):
            gateway = pair.gateway(number)
            for session in range(count):
                gateway.request(f"{gateway.name}-{session}@isp", f"s{session}")
        pair.work(20, "the sessions")
        pair.settle()
        return pair

    def disable(self, host, *words):
        return host.ctl("no", "pool-share-protocol", *words)

    def released_to_second(self):
        """A pair of which the first side has been drained: it owns nothing, the second owns all."""
        pair = self.shared()
        for address in list(pair.gateways[0].sessions()):
            pair.gateways[0].release(address)
        pair.work(10, "the releases")
        pair.hosts[0].do("drain", "--wait", "--timeout", "20")
        pair.wait_roles("secondary", "primary")
        pair.settle()
        self.assertEqual(total(pair.hosts[0].status(), "released"), SIZE)
        return pair

    def check_disabled(self, pair):
        """The second side serves all alone, the first one nothing."""
        first, second = pair.hosts
        for host in pair.hosts:
            pair.loop.until(lambda h=host: h.status()["state"] in ("disabled", "active"), 10, pair.story)
        refused = first.ctl("request", "new@isp")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("disabled", refused.stderr)
        for number in range(SIZE - len(pair.gateways[1].sessions())):
            pair.gateways[1].request(f"all{number}@isp", f"a{number}")
        pair.work(20, "the rest of the pool")
        self.assertIn("exhausted", second.ctl("request", "more@isp").stderr)
        pair.check_ledger()

    def test_refused_while_shared_out(self):
        pair = self.shared()
        for host in pair.hosts:
            before = host.status()
            refused = self.disable(host)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("shared-out", refused.stderr)
            self.assertIn("--force", refused.stderr)
            after = host.status()
            for key in ("role", "state", "epoch", "serving", "mode"):
                self.assertEqual(before[key], after[key])
        # so is leaving the mode, which comes to the same
        for host in pair.hosts:
            for mode in ("inactive", "check-config"):
                refused = host.ctl("pool-share-protocol", "mode", mode)
                self.assertEqual(refused.returncode, 1)
                self.assertIn("shared-out", refused.stderr)
        # and a file without it
        ipsp, host = pair.hosts[0].config.ipsp, pair.hosts[0]
        host.config.ipsp = None
        host.write_config()
        refused = host.ctl("reload")
        self.assertEqual(refused.returncode, 1, refused.stdout)
        host.config.ipsp = ipsp
        host.write_config()
        host.do("reload")
        self.assertTrue(pair.sharing())
        pair.settle()
        pair.check_ledger()

    def test_the_context_is_taken_out(self):
        """By a reload: refused while it shares, also on the side that owns all; done once it shares no more."""
        pair = self.shared((0, 0))  # the primary owns all, and has no session
        for host in pair.hosts:
            kept = (host.config.context, host.config.ipsp, host.config.pools)
            host.config.context, host.config.ipsp = "another", None
            host.config.pools = [{"name": "pool-b", "network": "10.9.0.0/24"}]
            host.write_config()
            refused = host.ctl("reload")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("shared-out", refused.stderr)
            self.assertIn("no pool-share-protocol", refused.stderr)
            host.config.context, host.config.ipsp, host.config.pools = kept
            host.write_config()
            host.do("reload")
        self.assertTrue(pair.sharing())
        for host in reversed(pair.hosts):
            self.assertEqual(self.disable(host).returncode, 0)
        host = pair.hosts[1]
        host.config.context, host.config.ipsp = "another", None
        host.config.pools = [{"name": "pool-b", "network": "10.9.0.0/24"}]
        host.write_config()
        host.do("reload")
        self.assertEqual(host.status()["name"], "another")

    def test_the_owner_of_all_needs_its_peer(self):
        pair = self.shared((3, 0))
        pair.hosts[1].kill9()
        pair.loop.until(lambda: pair.hosts[0].status()["peer"]["state"] != "up", 20, pair.story)
        refused = self.disable(pair.hosts[0])
        self.assertEqual(refused.returncode, 1)
        self.assertIn("no-peer", refused.stderr)
        self.assertTrue(pair.hosts[0].status()["serving"])

    def test_once_all_is_released(self):
        for order in ((0, 1), (1, 0)):
            with self.subTest(order):
                pair = self.released_to_second()
                for number in order:
                    done = self.disable(pair.hosts[number])
                    self.assertEqual(done.returncode, 0, done.stderr)
                self.check_disabled(pair)

    def test_it_stays_so_over_a_restart(self):
        pair = self.released_to_second()
        for host in pair.hosts:
            self.assertEqual(self.disable(host).returncode, 0)
            host.do("save", "configuration")
            with open(host.file, encoding="utf-8") as file:
                self.assertNotIn("pool-share-protocol", file.read())
        for host, gateway in zip(pair.hosts, pair.gateways):
            self.assertEqual(host.stop(), 0)
            pair.loop.until(lambda g=gateway: not g.connected(), 10, "the agent to end")
            host.launch()
            host.wait_ready()
            gateway.attach()
        self.check_disabled(pair)
        # Enabled again with the roles as they were first: what the second side owns is its own.
        pair.gateways[1].release(next(iter(pair.gateways[1].sessions())))
        pair.work(10, "the release")

    def test_grounded_also_when_enabled_as_primary(self):
        """The wrong way round: the side that owns nothing is enabled first, as primary. It serves
        nothing until its peer has shared with it."""
        pair = self.released_to_second()
        for host in pair.hosts:
            self.assertEqual(self.disable(host).returncode, 0)
        pair.hosts[0].do("reload")
        refused = pair.hosts[0].ctl("request", "new@isp")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("disabled", refused.stderr)
        before = dict(pair.gateways[1].sessions())
        for address in before:
            pair.gateways[1].release(address)  # a new secondary must have no sessions
        pair.work(10, "the releases")
        pair.hosts[1].do("reload")
        pair.wait_sharing()
        pair.gateways[0].request("again@isp", "again")
        pair.gateways[1].request("again2@isp", "again2")
        pair.work(10, "both to serve")
        pair.settle()
        pair.check_ledger()

    def test_a_file_without_it_while_shared_out(self):
        """The secondary is restarted with a file that has it no more: it serves nothing, keeps its sessions and says
        what to do. Put back within the dead interval, by a reload or a restart, nothing has happened; later,
        the two heal."""
        pair = self.pair(trapd=False)
        pair.start(dead_interval_ms=4000, hello_interval_ms=100, request_timeout_ms=1500, release_timeout_ms=500)
        for number in (0, 1):
            pair.gateway(number).request(f"u{number}@isp", "s")
        pair.work(20, "the sessions")
        pair.settle()
        second, gateway = pair.hosts[1], pair.gateways[1]
        stanza, before = second.config.ipsp, second.sessions()

        def restart(ipsp):
            second.kill9()
            second.config.ipsp = ipsp
            second.start()
            pair.loop.until(lambda: not gateway.connected(), 20, "the gateway to notice")
            gateway.attach()
            pair.loop.until(lambda: gateway.attached, 20, "the gateway to attach")

        def put_back(by_reload):
            if not by_reload:
                restart(stanza)
                return
            second.config.ipsp = stanza
            second.write_config()
            second.do("reload")

        for late, by_reload in ((False, False), (False, True), (True, False)):
            restart(None)
            status = second.status()
            self.assertEqual((status["state"], status["serving"]), ("disabled", False))
            self.assertIn("shared-out", second.do("show", "log"))
            self.assertIn("disabled", second.ctl("request", "new@isp").stderr)
            self.assertEqual(second.sessions(), before)
            if late:
                pair.loop.until(lambda: pair.hosts[0].status()["state"] == "peer-down", 20, "a takeover")
            put_back(by_reload)
            pair.wait_sharing(60)
            self.assertEqual(second.sessions(), before)
            self.assertEqual(pair.hosts[0].counters()["takeovers"], int(late))
        pair.settle()
        pair.check_ledger()

    def test_forced_while_shared_out(self):
        """It gives this side all addresses, and says what that risks."""
        pair = self.shared(sessions=(5, 5))
        first, second = pair.hosts
        pair.gateways[1].close()
        second.kill9()  # gone for good
        done = self.disable(first, "--force")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("may be in use there", done.stdout)
        said = (done.stdout + done.stderr + first.do("show", "log")).lower()
        self.assertIn("force", said)
        self.assertIn("may be in use there", said)
        self.assertEqual(first.status()["state"], "disabled")
        given = set()
        for number in range(SIZE - 5):
            given.add(first.do("request", f"all{number}@isp").split()[0])
        self.assertEqual(len(given), SIZE - 5)
        self.assertIn("exhausted", first.ctl("request", "more@isp").stderr)


if __name__ == "__main__":
    sys.exit(main())
