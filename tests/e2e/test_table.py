#!/usr/bin/env python3
"""Every command of ipspctl in every situation: its exit code, its sentence and its JSON say one thing."""

import json
import os
import re
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness import process
from harness.config import Context
from harness.pair import Case, main

ERRORS = """locked no-primary not-approved config-mismatch exhausted in-use not-in-pool unknown-pool static-pool draining
disabled timeout denied invalid no-such-session not-permitted overloaded disk-full shared-out still-used unknown-context
no-peer""".split()
LOOKS = [("show", "ip", "ipsp"), ("show", "ip", "ipsp", "brief"), ("show", "ip", "pool"), ("show", "ip", "pool", "pool-a"),
         ("show", "configuration"), ("show", "counters"), ("show", "log"), ("show", "log", "-n", "3"), ("metrics",)]
OF_ONE = [("show", "sessions"), ("show", "sessions", "--count"), ("show", "duplicates")]
STOP = [("ok-to-stop",), ("ok-to-stop", "--wait", "--timeout", "0.3")]
SESSIONS = {("request", "u@isp"): None, ("request", "u@isp", "--pool", "none"): "unknown-pool",
            ("request", "u2@isp", "--address", "203.0.113.1"): "not-in-pool",
            ("release", "10.1.0.200"): "no-such-session", ("release", "10.1.0.200", "--force"): "no-such-session",
            ("release", "--ha", "nobody"): "no-such-session", ("show", "ip", "pool", "none"): "unknown-pool",
            ("show", "sessions", "--pool", "none"): "unknown-pool"}
OPERATORS = [("drain",), ("drain", "--wait", "--timeout", "0.3"), ("drain", "--force"), ("undrain",), ("terminate",),
             ("takeover",), ("takeover", "--force"), ("pool-share-protocol", "mode", "check-config"),
             ("pool-share-protocol", "mode", "active"), ("no", "pool-share-protocol")]
OF_ALL = [("reload",), ("save", "configuration")]
EVERY = [*LOOKS, *OF_ONE, *STOP, *SESSIONS, ("check-config",), *OPERATORS, *OF_ALL, ("agent",)]


class Table(Case):
    def both(self, host, before, words, ctl=None):
        """The exit code, the error, and the JSON of a command, after a look whether they fit each other."""
        ctl = ctl or host.ctl
        with ThreadPoolExecutor(2 if words == ("check-config",) else 1) as pool:  # (it waits for a peer)
            done, plain = pool.map(lambda more: ctl(*before, *more, *words), (("--json",), ()))
        what = (words, plain, done)
        self.assertEqual(done.returncode, plain.returncode, what)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        answer = lines[-1] if lines else None
        if words[0] != "agent":
            self.assertEqual(len(lines), 0 if done.returncode == 3 else 1, what)
        error = re.match(r"ipspctl: ([a-z-]+): (.+)\n\Z", plain.stderr, re.DOTALL)
        if words[0] == "ok-to-stop" and done.returncode in (1, 4) and "reasons" in done.stdout:
            self.assertIs(answer["ok"], False, what)  # an answer, and no refusal
            self.assertRegex(plain.stderr, "not safe to stop")
            return done.returncode, None, answer
        self.assertEqual(done.stderr, plain.stderr, what)
        if done.returncode == 0:
            self.assertEqual(plain.stderr, "", what)
            self.assertIsNot((answer or {}).get("ok"), False, what)
            return 0, None, answer
        if done.returncode == 3:
            self.assertEqual(plain.stdout, "", what)
            return 3, None, None
        self.assertIsNotNone(error, what)
        self.assertIn(error.group(1), ERRORS, what)
        self.assertGreater(len(error.group(2).split()), 3, "no sentence beside the name")
        self.assertEqual((answer["ok"], answer["error"], answer["message"]), (False, *error.groups()), what)
        self.assertEqual(done.returncode, 4 if error.group(1) == "timeout" else 1, what)
        return done.returncode, error.group(1), answer

    def look(self, host, expected, before=(), ctl=None):
        """@expected: command -> error name, or exit code; what it doesn't have succeeds."""
        for words in EVERY:
            with self.subTest(" ".join(words)):
                code, error, _ = self.both(host, before, words, ctl)
                wanted = expected.get(words)
                self.assertEqual(code if isinstance(wanted, int) else error, wanted)
                if wanted is None:
                    self.assertEqual(code, 0)

    def test_without_a_daemon(self):
        self.look(self.host(), dict.fromkeys(EVERY, 3))

    def test_without_ipsp(self):
        host = self.host()
        host.start()
        self.look(host, {**SESSIONS, **dict.fromkeys([("check-config",), *OPERATORS[:-1]], "disabled")})

    def test_another_context(self):
        host = self.host()
        host.start()
        self.look(host, dict.fromkeys(EVERY, "unknown-context"), ("-c", "elsewhere"))

    def test_no_context_of_several(self):
        host = self.host()
        host.config.others = [Context("isp2", [{"name": "pool-b", "network": "10.2.0.0/16"}])]
        host.start()
        of_each = [*LOOKS[:3], *LOOKS[4:]]
        self.look(host, {**dict.fromkeys(EVERY, "unknown-context"), **dict.fromkeys([*of_each, *STOP, *OF_ALL, LOOKS[3]]),
                         ("show", "ip", "pool", "none"): "unknown-pool"})

    def test_inactive(self):
        pair = self.pair(trapd=False)
        pair.ipsp(0, "primary", mode="inactive")
        host = pair.hosts[0]
        host.start()
        process.until(lambda: host.status()["serving"], 30, host.tail)
        self.look(host, {**SESSIONS, STOP[0]: 1, STOP[1]: 4, ("check-config",): "disabled",
                         **dict.fromkeys(OPERATORS[:7], "disabled")})

    def test_without_the_peer(self):
        pair = self.pair(trapd=False)
        pair.ipsp(0, "primary", hello_interval_ms=100)
        host = pair.hosts[0]
        host.start()
        process.until(lambda: host.status()["serving"], 30, host.tail)
        self.look(host, {**SESSIONS, STOP[0]: 1, STOP[1]: 4, ("check-config",): "no-peer", ("drain",): "no-peer",
                         OPERATORS[1]: "no-peer", ("terminate",): "no-peer"})

    def test_a_pair(self):
        pair = self.pair(trapd=False)
        pair.start(hello_interval_ms=100)
        host = pair.hosts[0]
        for here in pair.hosts:  # so both sides own addresses, whatever moves meanwhile
            here.do("request", f"{here.name}@isp")
        self.look(host, {**SESSIONS, STOP[0]: 1, STOP[1]: 4, OPERATORS[1]: "timeout", ("takeover",): "disabled",
                         ("takeover", "--force"): "denied", ("no", "pool-share-protocol"): "shared-out",
                         ("pool-share-protocol", "mode", "check-config"): "shared-out"})

    @unittest.skipIf(os.geteuid() != 0, "only root can be somebody else")
    def test_of_no_group(self):
        """Who may look may do nothing else."""
        host = self.host()
        host.config.group, host.config.status_group = "daemon", "bin"
        folder = host.folder
        while folder != os.path.dirname(self.folder):
            os.chmod(folder, 0o755)
            folder = os.path.dirname(folder)
        host.start()

        def ctl(*words):
            return process.run(["setpriv", "--reuid=65534", "--regid=bin", "--clear-groups", "--",
                                process.program("ipspctl"), "-s", host.socket, *words])
        looks = [*LOOKS, *OF_ONE, *STOP, ("check-config",), ("show", "ip", "pool", "none"),
                 ("show", "sessions", "--pool", "none")]
        self.look(host, {**dict.fromkeys(EVERY, "not-permitted"), **dict.fromkeys(looks), ("check-config",): "disabled",
                         ("show", "ip", "pool", "none"): "unknown-pool",
                         ("show", "sessions", "--pool", "none"): "unknown-pool"}, ctl=ctl)


if __name__ == "__main__":
    sys.exit(main())
