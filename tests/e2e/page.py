#!/usr/bin/env python3
"""Makes pictures of ipsp-monitor's page in all its states, and checks what a browser alone can tell.

  page.py FOLDER [AXE]   AXE: axe.min.js of axe-core, which then looks for what keeps people out

Needs the package chromium, which is too large for the tests that always run; those are in test_monitor.py.
"""

import json
import os
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from harness import net, process  # noqa: E402  the path comes first
from harness.chromium import Chromium  # noqa: E402
from harness.config import Context  # noqa: E402
from harness.monitor import Monitor  # noqa: E402
from harness.pair import Pair  # noqa: E402

POOLS = [
    {"name": "pool-a", "network": "10.1.0.0/16", "group": "dyn", "address-hold-timer": 600},
    {"name": "pool-b", "range": ["10.2.0.1", "10.2.3.254"], "type": "private", "priority": 3},
    {"name": "v6", "prefix": "2001:db8::/44", "length": 64},  # a million
]
SIZES = [("desktop", 1280, 900, False), ("dark", 1280, 900, True), ("phone", 390, 844, False),
         ("phone-dark", 390, 844, True)]


class Look:
    def __init__(self, folder, axe):
        self.folder = folder
        self.axe = axe
        self.browser = Chromium()
        self.faults = []

    def take(self, name, url, ready="document.querySelector('details')"):
        for size, width, height, dark in SIZES:
            self.browser.size(width, height, dark)
            self.browser.go("about:blank")
            self.browser.go(url)
            self.browser.until(f"document.readyState == 'complete' && Boolean({ready})")
            self.browser.screenshot(os.path.join(self.folder, f"{name}-{size}.png"))
            self.check(f"{name}-{size}")
            print(f"{name}-{size}", flush=True)

    def check(self, what):
        wide = self.browser.value("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            self.faults.append(f"{what}: {wide} pixels too wide")
        self.faults += [f"{what}: {words}" for words in self.browser.complaints()]
        self.browser.events.clear()
        if not self.axe:
            return
        self.browser.value(self.axe + ";true")
        found = self.browser.value("axe.run().then(r => JSON.stringify(r.violations.map(v => v.help + ': ' + "
                                   "v.nodes.map(n => n.html).slice(0, 3).join(' '))))")
        self.faults += [f"{what}: {words}" for words in json.loads(found)]

    def measure(self):
        """How long the page takes to show an answer, with a million addresses."""
        ms = min(
            self.browser.value("(() => { const t = performance.now(); render(shown);"
                               "document.body.getBoundingClientRect(); return performance.now() - t; })()")
            for _ in range(5))
        print(f"shown in {ms:.0f} ms", flush=True)
        if ms > 100:
            self.faults.append(f"shown in {ms:.0f} ms")


def pair_of(pools, others=()):
    pair = Pair(tempfile.mkdtemp(prefix="ipspd-page."), net.LoopbackNet(), trapd=False)
    for host in pair.hosts:
        host.config.pools = pools
        host.config.others = list(others)
    monitor = Monitor(pair.hosts[0])
    pair.start(hello_interval_ms=200)
    monitor.start()
    monitor.wait_up()
    return pair, monitor, f"http://127.0.0.1:{monitor.port}/"


def one_pair(look):
    pair, monitor, url = pair_of(POOLS)
    here, there = pair.gateway(0), pair.gateway(1)
    for session in range(9000):
        here.request(f"u{session}@isp", f"s{session}")
    for session in range(2000):
        there.request(f"v{session}@isp", f"t{session}")
    pair.work(60, "the sessions")
    for address in list(here.sessions())[:900]:
        here.release(address)
    pair.work(60, "the releases")
    look.take("calm", url)
    look.measure()
    pair.hosts[0].do("drain")
    time.sleep(1.2)
    monitor.get("/page.json")
    time.sleep(2)
    for address in list(here.sessions())[:5000]:
        here.release(address)
    pair.work(60, "the releases")
    time.sleep(1.2)
    look.take("drain", url, "document.querySelector('progress')")
    pair.hosts[0].do("undrain")
    pair.hosts[1].kill9()
    process.until(lambda: pair.hosts[0].status()["peer"]["state"] == "lost", 30, "the peer to be lost")
    time.sleep(1.2)
    look.take("partition", url)
    pair.hosts[0].signal(signal.SIGSTOP)
    monitor.wait_up(False)
    time.sleep(6)
    look.take("hanging", url, "!document.getElementById('alarm').hidden")
    pair.hosts[0].signal(signal.SIGCONT)
    monitor.stop()
    pair.close()


def many(look):
    others = [
        Context(context=f"{n:02}-customer", pools=[
            {"name": "pool-a", "network": f"10.{n + 2}.0.0/16"},
            {"name": "v6", "prefix": f"2001:db8:{n:x}::/48", "length": 64}]) for n in range(63)
    ]
    pair, monitor, url = pair_of([dict(POOLS[0])], others)
    look.take("many", url)
    look.measure()
    look.take("one-of-many", url + "#context-07-customer", "document.getElementById('context-07-customer')?.open")
    monitor.stop()
    pair.close()


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    os.makedirs(sys.argv[1], exist_ok=True)
    axe = None
    if len(sys.argv) == 3:
        with open(sys.argv[2], encoding="utf-8") as file:
            axe = file.read()
    look = Look(sys.argv[1], axe)
    one_pair(look)
    many(look)
    look.browser.close()
    for fault in look.faults:
        print(f"fault: {fault}")
    print(f"{len(look.faults)} faults")
    return 1 if look.faults else 0


if __name__ == "__main__":
    sys.exit(main())
