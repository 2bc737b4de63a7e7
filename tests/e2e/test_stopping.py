#!/usr/bin/env python3
"""ok-to-stop says what a stop of this host would cost now; drain --wait ends by the same rule; the notes say
"safe to stop" only while it is true."""

import json
import sys
import time

from harness import process
from harness.config import POOL_A
from harness.pair import Case, main

SAFE = "safe to stop"


class OkToStop(Case):
    def ask(self, host, *words):
        """(exit status, the one context's answer)"""
        done = host.ctl("--json", "ok-to-stop", *words)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["ok"], done.returncode == 0)
        self.assertEqual(len(answer["contexts"]), 1)
        context = answer["contexts"][0]
        self.assertEqual(context["ok"], not context["reasons"])
        for reason in context["reasons"]:
            self.assertTrue(reason["reason"] and reason["remedy"], reason)
        text = host.ctl("ok-to-stop", *words)
        self.assertEqual(text.returncode, done.returncode)
        for reason in context["reasons"]:
            self.assertIn(reason["remedy"], text.stdout)
        return done.returncode, context

    def reasons(self, host):
        status, context = self.ask(host)
        self.assertEqual(status, 1)
        return " / ".join(reason["reason"] for reason in context["reasons"])

    def test_without_a_peer(self):
        """A context that shares with nobody: its sessions count, and nothing else does."""
        host = self.host()
        host.start()
        self.assertEqual(self.ask(host)[0], 0)
        host.do("request", "u1@isp")
        self.assertIn("1 session is still here", self.reasons(host))

    def test_alone(self):
        """The peer has not been started yet."""
        pair = self.pair(trapd=False)
        pair.ipsp(0, "primary")
        pair.hosts[0].start()
        said = self.reasons(pair.hosts[0])
        self.assertIn("the peer is not up", said)
        self.assertIn("unused addresses", said)

    def test_without_a_daemon(self):
        self.assertEqual(self.host().ctl("ok-to-stop").returncode, 3)

    def test_before_during_and_after_a_drain(self):
        pair = self.pair(trapd=False)
        pair.start(hello_interval_ms=100)
        first, second = pair.hosts
        gateway = pair.gateway(0)
        for number in range(3):
            gateway.request(f"u{number}@isp", "s")
        pair.work(10, "the sessions")
        pair.settle()
        said = self.reasons(first)
        self.assertIn("3 sessions are still here", said)
        self.assertIn("unused addresses", said)
        # In time, whatever comes.
        began = time.monotonic()
        self.assertEqual(first.ctl("ok-to-stop", "--wait", "--timeout", "0.5").returncode, 4)
        self.assertLess(time.monotonic() - began, 20)
        waits = process.spawn([process.program("ipspctl"), "-s", first.socket, "ok-to-stop", "--wait"],
                              stdout=process.subprocess.PIPE, text=True)
        first.do("drain")
        self.assertIn("no new addresses", " ".join(first.status()["notes"]))
        self.assertNotIn(SAFE, first.do("show", "ip", "ipsp"))
        # Nothing moves to a side that drains: the other one may not go down now.
        pair.loop.until(lambda: second.ctl("ok-to-stop").returncode == 1, 10, pair.story)
        self.assertIn("drained", self.reasons(second))
        for address in list(gateway.sessions()):
            gateway.release(address)
        pair.work(10, "the releases")
        pair.loop.until(lambda: waits.poll() is not None, 20, lambda: f"it to be safe\n{pair.story()}")
        said, _ = waits.communicate()
        self.assertEqual(waits.returncode, 0)
        self.assertEqual(said.count(SAFE), 1, said)
        self.assertEqual(self.ask(first)[0], 0)
        self.assertIn(SAFE, first.do("drain", "--wait", "--timeout", "5"))
        # The notes are one and the same, and say it once.
        status, text = first.status(), first.do("show", "ip", "ipsp")
        self.assertEqual([line.split(None, 1)[1] for line in text.splitlines()
                          if line.startswith("  note ")], status["notes"])
        self.assertEqual(text.count(SAFE), 1, text)
        self.assertIn("normal during an upgrade", status["notes"][-1])
        self.assertIn(f"key {status['key-fingerprint']}\n", text)
        self.assertIn("same key", text)
        # It is no more where the peer has gone.
        second.kill9()
        pair.loop.until(lambda: first.status()["peer"]["state"] != "up", 20, "the peer to be lost")
        self.assertIn("the peer is not up", self.reasons(first))
        self.assertNotIn(SAFE, first.do("show", "ip", "ipsp"))

    def refused(self, host, *words):
        """A drain that would come to no end is refused, and nobody is told to try it now."""
        done = host.ctl("drain", "--wait", "--timeout", "5")
        self.assertEqual(done.returncode, 1, done.stdout)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(host.status()["draining"])
        status, context = self.ask(host)
        self.assertEqual(status, 1)
        for reason in context["reasons"]:
            self.assertFalse(reason["remedy"].startswith("ipspctl -c isp1 drain"), context)
            self.assertNotIn("by itself", reason["remedy"])
        return context["reasons"][0]

    def test_no_vain_advice(self):
        """Where a drain is refused ok-to-stop says what has to be mended first."""
        kinds = (
            ("pools", ("primary", "secondary"), {"priority": 3}, "the pools of the two sides differ"),
            ("primary", ("primary", "primary"), {}, "both sides are configured as primary"),
            ("secondary", ("secondary", "secondary"), {}, "both sides are configured as secondary"),
        )
        for what, roles, change, reason in kinds:
            with self.subTest(what):
                pair = self.pair(trapd=False)
                for number, role in enumerate(roles):
                    pair.ipsp(number, role, hello_interval_ms=100)
                pair.hosts[1].config.pools = [dict(POOL_A, **change)]
                for host in pair.hosts:
                    host.start()
                for host in pair.hosts:
                    process.until(lambda h=host: h.status()["state"] == "config-mismatch", 20, pair.story)
                first = self.refused(pair.hosts[0], "config-mismatch", "check-config")
                self.assertIn(reason, first["reason"])
                self.assertIn("check-config", first["remedy"])
                self.assertNotIn(SAFE, pair.hosts[1].do("show", "ip", "ipsp"))
                for host in pair.hosts:
                    host.stop()

    def test_the_own_link(self):
        """The key file is missing: named first, in the words of show."""
        pair = self.pair(trapd=False)
        late = pair.hosts[0].file + ".key"
        pair.ipsp(0, "primary", key_file=late)
        pair.hosts[0].start()
        first = self.refused(pair.hosts[0], "no-peer", "own link fails", late)
        self.assertIn("this side's own link fails: no key", first["reason"])
        self.assertIn(first["reason"], pair.hosts[0].do("show", "ip", "ipsp"))

    def test_a_daemon_that_is_stopped(self):
        """It never hangs: the time given is the time it takes."""
        host = self.host()
        host.start()
        host.signal(process.signal.SIGSTOP)
        try:
            began = time.monotonic()
            done = host.ctl("ok-to-stop", "--wait", "--timeout", "1")
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertLess(time.monotonic() - began, 20)
        finally:
            host.signal(process.signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(main())
