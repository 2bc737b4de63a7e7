#!/usr/bin/env python3
"""Strangers without the key flood both sides as fast as this machine goes, half of it with the peer's own address
and port: hellos go on, the pair stays, requests are answered, memory and log stay small. Four seconds; --long:
thirty."""

import os
import sys
import time

from harness import process
from harness.pair import Case, main

SECONDS = 30 if os.environ.get("IPSPD_LONG") else 4


class Flood(Case):
    namespaces = True

    def flood_program(self):
        program = os.path.join(self.folder, "flood")
        source = os.path.join(process.TOP, "tests", "e2e", "flood.c")
        built = process.run(["cc", "-O2", "-o", program, source])
        self.assertEqual(built.returncode, 0, built.stderr)
        return program

    def test_strangers(self):
        pair = self.pair(trapd=False)
        program = self.flood_program()
        for host in pair.hosts:
            host.build = process.packaged_folder()
        pair.start(hello_interval_ms=1000)
        pair.settle()
        before = [host.counters() for host in pair.hosts]
        memory = [process.memory(host.pid) for host in pair.hosts]
        log = [len(host.log()) for host in pair.hosts]

        floods = [
            process.spawn([*pair.net.prefix(1 - number), program, pair.net.addresses[number], str(pair.net.port),
                           pair.net.addresses[1 - number], str(SECONDS)],
                          stdout=process.subprocess.PIPE, text=True)
            for number in range(2)
        ]
        longest, last_heard = 0.0, 0
        while any(flood.poll() is None for flood in floods):
            for number, host in enumerate(pair.hosts):
                began = time.monotonic()
                done = host.ctl("request", f"mn-{time.monotonic_ns()}@isp")
                self.assertEqual(done.returncode, 0, done.stderr)
                longest = max(longest, time.monotonic() - began)
                last_heard = max(last_heard, host.status()["peer"]["last-heard-ms"])
        for number, flood in enumerate(floods):
            sent, took = flood.stdout.read().split()
            flood.stdout.close()
            self.assertEqual(flood.returncode, 0)
            self.say(f"{int(sent) / float(took):.0f} datagrams a second at {pair.hosts[number].name}")
        self.say(f"the longest answer took {longest * 1000:.0f} ms, the longest silence {last_heard} ms")

        for number, host in enumerate(pair.hosts):
            counters = host.counters()
            new = {name: counters[name] - before[number][name] for name in counters}
            late = counters["hello-late-max-ms"]
            self.say(f"{host.name}: {new['hellos-sent']} hellos sent, {new['hellos-received']} received, at most "
                     f"{late} ms late, {new['drop-seal']} dropped as not sealed")
            self.assertGreater(new["drop-seal"] + new["drop-session"] + new["drop-format"], 1000)
            self.assertGreater(new["hellos-received"], 0)
            self.assertEqual((new["peer-losses"], new["takeovers"], new["heals"], new["state-losses"]), (0, 0, 0, 0))
            self.assertLess(process.memory(host.pid) - memory[number], 16 << 20)
            self.assertLess(len(host.log()) - log[number], 20000)
        self.assertLess(longest, 20)
        pair.settle()
        self.assertTrue(pair.sharing())


if __name__ == "__main__":
    sys.exit(main())
