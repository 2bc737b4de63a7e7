#!/usr/bin/env python3
"""Static pools are none of IPSP's business: an address of one is given to whoever names it, as the AAA server
decides who does, on either side and in every state. It is never chosen, never counted, never locked and never
handed over (B5)."""

import sys

from harness.pair import Case, main

POOLS = (
    {"name": "dynamic", "network": "10.1.0.0/28", "group": "all"},
    {"name": "fixed", "network": "10.9.0.0/24", "type": "static", "group": "all"},
)
SIZE = 14


class Static(Case):
    def counts(self, host):
        """The pools of show ip ipsp that are under IPSP."""
        return {pool["name"]: pool for pool in host.status()["pools"]}

    def test_never_given_never_counted(self):
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(pool) for pool in POOLS]
        first, second = pair.hosts
        # Never locked: the secondary alone, which serves nothing else.
        pair.ipsp(1, "secondary", dead_interval_ms=3000, hello_interval_ms=100)
        second.start()
        self.assertIn("no-primary", second.ctl("request", "u@isp").stderr)
        self.by_number(second, "early@isp", "10.9.0.5")
        second.do("release", "10.9.0.5")
        pair.ipsp(0, "primary", dead_interval_ms=3000, hello_interval_ms=100)
        first.start()
        pair.wait_sharing()
        for host in pair.hosts:
            refused = host.ctl("request", "u@isp", "--pool", "fixed")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("static-pool", refused.stderr)
        # Never handed over: the same address on both sides, for one subscriber or for two.
        for subscriber, address in (("u@isp", "10.9.0.7"), ("v@isp", "10.9.0.8")):
            self.by_number(first, subscriber, address)
        for subscriber, address in (("u@isp", "10.9.0.7"), ("w@isp", "10.9.0.8")):
            self.by_number(second, subscriber, address)
        for host in pair.hosts:
            self.assertEqual(set(host.sessions()), {"10.9.0.7", "10.9.0.8"})
            self.assertIn("in-use", host.ctl("request", "x@isp", "--address", "10.9.0.7").stderr)
            self.assertEqual(host.counters()["requests-asked"], 0)
        self.check_static(pair)

        # Exhausted in every way of asking, from both sides: none comes from the static pool.
        gateways = [pair.gateway(0, patient=False), pair.gateway(1, patient=False)]
        for number in range(SIZE + 10):
            gateways[number % 2].request(f"u{number}@isp", f"s{number}")
        pair.work(20, "the requests")
        given = [*gateways[0].sessions(), *gateways[1].sessions()]
        self.assertEqual(len(given), SIZE)
        self.assertTrue(all(address.startswith("10.1.0.") for address in given), given)
        for gateway in gateways:
            self.assertLessEqual({error for _, error, _ in gateway.refused},
                                 {"exhausted", "timeout"})
            gateway.refused.clear()
        self.assertIn("exhausted", first.ctl("request", "more@isp", "--group", "all").stderr)
        self.check_static(pair)

        # Drained and handed over: free of addresses although the static pool is what it was.
        for address in list(gateways[0].sessions()):
            gateways[0].release(address)
        pair.work(10, "the releases")
        first.do("drain", "--wait", "--timeout", "20")
        pair.wait_roles("secondary", "primary")
        self.assertTrue(first.status()["all-free"], "sessions of the static pool were counted")
        self.by_number(first, "late@isp", "10.9.0.9")  # although it drains
        self.check_static(pair)

        # Taken over: still not. (A session of the static pool is no sign that AAA points here, S6.)
        first.do("undrain")
        self.assertFalse(first.status()["may-take-over"])
        gateways[1].release(next(iter(gateways[1].sessions())))
        pair.work(10, "the release")
        first.do("request", "s6@isp")
        second.kill9()
        pair.loop.until(lambda: first.status()["state"] == "peer-down", 10, pair.story)
        got = set()
        self.by_number(first, "alone@isp", "10.9.0.10")
        while (done := first.ctl("request", f"x{len(got)}@isp")).returncode == 0:
            got.add(done.stdout.split()[0])
        self.assertIn("exhausted", done.stderr)
        self.assertEqual(len(got), SIZE - 1)
        self.assertTrue(all(address.startswith("10.1.0.") for address in got), got)
        self.check_static(pair, (first,))

    def by_number(self, host, subscriber, address):
        self.assertEqual(host.do("request", subscriber, "--address", address).split()[0], address)

    def check_static(self, pair, hosts=None):
        for host in hosts or pair.hosts:
            pools = self.counts(host)
            for name in ("used", "free", "hold", "quarantine", "released", "in-transit"):
                self.assertEqual(pools.get("fixed", {}).get(name, 0), 0, f"{name} of the static pool")
            self.assertEqual(sum(pools["dynamic"][name] for name in
                                 ("used", "free", "hold", "quarantine", "released", "in-transit")),
                             SIZE)


if __name__ == "__main__":
    sys.exit(main())
