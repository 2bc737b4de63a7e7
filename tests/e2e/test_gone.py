#!/usr/bin/env python3
"""An HA that is gone for good: who it is and what to type stands where the operator looks, and what is typed
ends the wait."""

import json
import re
import shlex
import subprocess
import sys

from harness import process
from harness.pair import Case, main

NAME = "ha 'three'"  # a shell must take it for one word


def leave(host, name, count, first=0):
    """An HA of this name asks for @count sessions, and goes."""
    lines = "".join(json.dumps({"id": i, "op": "request", "subscriber": f"{name}-{first + i}@isp", "session": "s"})
                    + "\n" for i in range(count))
    done = process.run([process.program("ipspctl"), "-s", host.socket, "agent", "--name", name], input=lines)
    assert done.stdout.count('"ok":true') == count, done


def paste(host, command):
    """What a shell makes of a command that was printed."""
    assert command.startswith("ipspctl "), command
    ipspctl = f"{shlex.quote(process.program('ipspctl'))} -s {shlex.quote(host.socket)} "
    return process.run(["sh", "-c", ipspctl + command.removeprefix("ipspctl ")])


class Gone(Case):
    def test_a_drain_says_who_keeps_it_back(self):
        pair = self.pair(trapd=False)
        pair.start(hello_interval_ms=100)
        host, other = pair.hosts
        leave(host, NAME, 3)
        waits = process.spawn([process.program("ipspctl"), "-s", host.socket, "drain", "--wait"],
                              stdout=subprocess.PIPE, text=True)
        try:
            said = waits.stdout.readline()
            self.assertIn(NAME, said)
            command = re.search("ipspctl .*--force", said).group(0)
            reasons = json.loads(host.ctl("--json", "ok-to-stop").stdout)["contexts"][0]
            self.assertEqual(reasons["not-attached"], [{"name": NAME, "sessions": 3}])
            self.assertEqual(reasons["not-attached-sessions"], 3)
            self.assertEqual([r for r in reasons["reasons"] if command in r["remedy"]][0]["reason"],
                             f'the HA "{NAME}" is not attached, and 3 sessions here are its')
            self.assertIn("belong to 1 HA that is not attached", " ".join(host.status()["notes"]))

            asked = host.do("release", next(iter(host.sessions())))
            self.assertIn("not attached", asked)
            self.assertIn("--force", asked)
            self.assertEqual(host.do("show", "sessions", "--count", "--state", "releasing").strip(), "1")

            done = paste(host, command)
            self.assertEqual(done.returncode, 0, done)
            self.assertIn("3 sessions", done.stdout)
            self.assertIn("may be used twice", done.stdout)
            pair.loop.until(lambda: waits.poll() is not None, 30, lambda: f"the drain to end\n{pair.story()}")
            self.assertEqual(waits.returncode, 0)
            self.assertIn("by force", host.do("show", "log"))
        finally:
            process.stop(waits)
            waits.stdout.close()
        # To the peer these are addresses like any others.
        pair.settle()
        other.do("request", "new@isp", "--address", "10.1.0.1")
        self.assertEqual(paste(host, command).returncode, 1)

    def test_one_session(self):
        host = self.host()
        host.start()
        leave(host, "gone", 2)
        (first, _), (second, _) = sorted(host.sessions().items())
        self.assertEqual(host.ctl("release", first, "--subscriber", "another@isp", "--force").returncode, 1)
        answer = json.loads(host.do("--json", "release", first, "--subscriber", "gone-0@isp", "--session", "s",
                                    "--force"))
        self.assertTrue(answer["ok"])
        self.assertIn("may be used twice", answer["message"])
        self.assertEqual(list(host.sessions()), [second])
        again = host.ctl("--json", "release", first, "--force")
        self.assertEqual((again.returncode, json.loads(again.stdout)["error"]), (1, "no-such-session"))
        # It stays so over a restart, and the HA that comes back sees it in its list.
        host.stop()
        host.start()
        self.assertEqual(list(host.sessions()), [second])
        answer = json.loads(host.do("--json", "release", "--ha", "gone", "--force"))
        self.assertEqual(answer, {"ok": True, "sessions": 1, "attached": False, "ended": True})
        self.assertEqual(host.sessions(), {})
        self.assertIn("no session belongs", host.ctl("release", "--ha", "gone", "--force").stderr)

    def test_an_ha_that_is_there_is_told(self):
        pair = self.pair(trapd=False)
        host = pair.hosts[0]
        host.start()
        gateway = pair.gateway(0)
        for number in range(3):
            gateway.request(f"u{number}@isp", "s")
        pair.work(20, "the sessions")
        self.assertIn("it is told", host.do("release", "--ha", gateway.name, "--force"))
        self.assertEqual(host.sessions(), {})
        pair.loop.until(lambda: not gateway.sessions(), 20, "the gateway to end its sessions")
        self.assertEqual(gateway.reasons["terminate"], 3)
        # Without force it is asked, as for one session.
        gateway.request("u9@isp", "s")
        pair.work(20, "one more")
        self.assertIn("is asked to end 1 session\n", host.do("release", "--ha", gateway.name))
        pair.loop.until(lambda: not host.sessions(), 20, "the gateway to answer")

    def test_usage(self):
        host = self.host()
        for words, sentence in ((("release",), "release --ha NAME"),
                                (("release", "--ha", "x", "10.1.0.1"), "no ADDRESS"),
                                (("release", "--ha", "x", "--subscriber", "u"), "no ADDRESS"),
                                (("release", "rubbish", "--force"), "no address")):
            with self.subTest(words):
                done = host.ctl(*words)
                self.assertEqual(done.returncode, 2)
                self.assertIn(sentence, done.stderr)


if __name__ == "__main__":
    sys.exit(main())
