#!/usr/bin/env python3
"""show log: what happened, with its own time, over a restart, of the daemon as well as of its contexts, and how
it ended what an operator asked for."""

import os
import re
import sys
import time
from datetime import datetime, timezone

from harness import process
from harness.pair import Case, main

LINE = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (error|warning|notice|info): (.*)$")


class Events(Case):
    def lines(self, host, *words):
        """The lines of show log as (time, level, text); each has the form of the log."""
        found = []
        for line in host.do("show", "log", *words).splitlines():
            match = LINE.match(line)
            self.assertTrue(match, f"no line of the log: {line}")
            found.append(match.groups())
        return found

    def test_times(self):
        """They are those of the log, and no look moves them."""
        pair = self.pair(trapd=False)
        began = datetime.now(timezone.utc)
        pair.start(hello_interval_ms=100)
        host = pair.hosts[0]
        first = self.lines(host)
        time.sleep(0.3)
        self.assertEqual(self.lines(host)[:len(first)], first)
        times = [when for when, _level, _text in first]
        self.assertEqual(times, sorted(times))
        log = [LINE.match(line) for line in host.log().splitlines()]
        log = {match.groups() for match in log if match and match[2] in ("notice", "warning", "error")}
        self.assertTrue(log <= set(first), f"not in show log: {log - set(first)}")
        for when, _level, _text in first:
            when = datetime.fromisoformat(when.replace("Z", "+00:00"))
            self.assertTrue(began <= when <= datetime.now(timezone.utc))
        self.assertEqual(self.lines(host, "-n", "2"), first[-2:])

        shown = host.look("show", "log")
        event = shown["contexts"][0]["events"][-1]
        self.assertEqual(set(event), {"number", "time", "age-ms", "level", "text"})
        self.assertTrue(any("runs, with 1 context" in e["text"] for e in shown["daemon"]["events"]))

    def test_kept_over_a_restart(self):
        pair = self.pair(trapd=False)
        pair.start(hello_interval_ms=100)
        host = pair.hosts[0]
        before = self.lines(host)
        host.kill9()
        host.start()
        self.assertEqual(self.lines(host)[:len(before)], before)
        pair.wait_sharing()

        with self.subTest("a damaged file"):
            self.assertEqual(host.stop(), 0)
            path = os.path.join(host.config.state, "events")
            with open(path, "r+b") as file:
                file.seek(40)
                file.write(b"\n\0\xff\n")
            host.start()
            self.assertIn("can't be read: left out", host.log())
            pair.wait_sharing()

    def test_how_it_ended(self):
        pair = self.pair(trapd=False)
        pair.start(hello_interval_ms=100)
        first, second = pair.hosts
        gateway = pair.gateway(0)
        gateway.request("mn-1@isp", "s1")
        pair.work(10, "a session")
        first.do("check-config")
        refused = second.ctl("takeover", "--force")
        self.assertEqual(refused.returncode, 1)
        with open(first.file, "a", encoding="utf-8") as file:
            file.write("rubbish = ;\n")
        self.assertEqual(first.ctl("reload").returncode, 1)
        drain = process.spawn(
            [process.program("ipspctl"), "-s", first.socket, "drain", "--wait"], stdout=process.subprocess.DEVNULL)
        pair.loop.until(lambda: first.status()["draining"], 10, pair.story)
        gateway.release(next(iter(gateway.sessions())))
        pair.loop.until(lambda: drain.poll() is not None, 20, pair.story)
        self.assertEqual(drain.returncode, 0)

        def ends(host):
            return [text for _when, _level, text in self.lines(host)]

        pair.loop.until(lambda: "isp1: drain: complete, it is safe to stop" in ends(first), 10, pair.story)
        said = "\n".join(ends(first))
        self.assertIn("isp1: check-config: done", said)
        self.assertRegex(said, "not reloaded: .*ipspd.conf:")
        self.assertRegex("\n".join(ends(second)), "isp1: takeover ended with [a-z-]+: ")

    def test_follow(self):
        host = self.pair(trapd=False).hosts[0]
        host.start()
        path = os.path.join(host.folder, "followed")
        with open(path, "w", encoding="ascii") as file:
            follow = process.spawn(
                [process.program("ipspctl"), "-s", host.socket, "show", "log", "-f"], stdout=file)
        self.addCleanup(process.stop, follow)

        def followed():
            with open(path, encoding="ascii") as file:
                return file.read()

        process.until(lambda: "runs, with 1 context" in followed(), 10, followed)
        host.ctl("reload")
        process.until(lambda: "was read again" in followed(), 10, followed)
        self.assertEqual(followed().count("runs, with 1 context"), 1)
        host.stop()
        self.assertEqual(follow.wait(10), 3)


if __name__ == "__main__":
    sys.exit(main())
