#!/usr/bin/env python3
"""ipspctl metrics: whole, readable for Prometheus, and telling nothing of subscribers."""

import re
import sys

from harness import process
from harness.config import Context
from harness.pair import Case, main
from harness.scrape import Scrape

POOL = {"name": "pool-a", "network": "10.1.0.0/24", "group": "dyn"}


def promtool(text):
    """What promtool finds in it; it ends with an error, or says it on its standard error."""
    done = process.run(["promtool", "check", "metrics"], input=text)
    return done.returncode, done.stdout + done.stderr


class Metrics(Case):
    def scrape(self, host, *words):
        return Scrape(host.do(*words, "metrics"))

    def shared(self):
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [dict(POOL)]
        pair.start(hello_interval_ms=100)
        return pair

    def test_promtool_has_nothing_to_say(self):
        pair = self.shared()
        gateway = pair.gateway(0)
        gateway.request("u1@isp", "s1")
        pair.work(20, "a session")
        for host in pair.hosts:
            self.assertEqual(promtool(host.do("metrics")), (0, ""))

    def test_they_say_what_show_ip_ipsp_says(self):
        pair = self.shared()
        gateways = [pair.gateway(0), pair.gateway(1)]
        for number, gateway in enumerate(gateways):
            for session in range(20):
                gateway.request(f"secret-user-{number}-{session}@isp", f"secret-session-{session}")
        pair.work(20, "the sessions")
        pair.settle()
        for host in pair.hosts:
            status, scrape = host.status(), self.scrape(host)
            self.assertEqual(scrape.get("ipspd_up"), 1)
            self.assertEqual(scrape.state("ipspd_role", "isp1"), status["role"])
            self.assertEqual(scrape.state("ipspd_state", "isp1"), "active")
            self.assertEqual(scrape.state("ipspd_peer_state", "isp1"), "up")
            self.assertEqual(scrape.state("ipspd_waiting_for", "isp1"), "nothing")
            self.assertEqual(scrape.get("ipspd_serving", context="isp1"), 1)
            self.assertEqual(scrape.get("ipspd_notes", context="isp1"), len(status["notes"]))
            self.assertEqual(scrape.get("ipspd_ok_to_stop", context="isp1"), 0)
            self.assertLess(scrape.get("ipspd_peer_last_heard_seconds", context="isp1"), 30)
            pool = status["pools"][0]
            for count in ("size", "used", "free", "hold", "quarantine", "released", "in-transit",
                          "reclaimed"):
                name = f"ipspd_pool_{count.replace('-', '_')}_addresses"
                self.assertEqual(scrape.get(name, context="isp1", pool="pool-a", group="dyn"),
                                 pool[count], name)
            self.assertEqual(scrape.get("ipspd_pool_used_addresses", context="isp1", pool="pool-a",
                                        group="dyn"), 20)
        # Who has which address is nobody's business who only scrapes.
        for host in pair.hosts:
            text = host.do("metrics")
            self.assertNotIn("secret", text)
            for value in Scrape(text).label_values():
                self.assertIsNone(re.search(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|::", value), value)

    def test_every_counter_is_there(self):
        host = self.host()
        host.start()
        scrape = self.scrape(host)
        counters = host.look("show", "counters")["contexts"][0]["counters"]
        gauges = {"duplicates-open": "ipspd_duplicates_open", "requests-open": "ipspd_requests_open",
                  "last-sent": "ipspd_stream_sent_number",
                  "last-acknowledged": "ipspd_stream_acknowledged_number",
                  "last-applied": "ipspd_stream_applied_number",
                  "hello-late-max-ms": "ipspd_hello_late_max_seconds"}
        of_daemon = ("log-lines-lost", "event-lines-lost")
        for word in counters:
            if word in gauges:
                self.assertIn(gauges[word], scrape.names())
            elif word in of_daemon:
                self.assertIsNotNone(scrape.get(f"ipspd_{word.replace('-', '_')}_total"), word)
            elif not word.endswith("-ms") and word != "stands-at-item":
                name = f"ipspd_{word.replace('-', '_')}_total"
                self.assertIsNotNone(scrape.get(name, context="isp1"), word)

    def test_durations_are_counted(self):
        pair = self.shared()
        gateway = pair.gateway(1)
        first = self.scrape(pair.hosts[1])
        for session in range(5):
            gateway.request(f"u{session}@isp", f"s{session}")
            pair.work(20, "a session")
        for host in pair.hosts:
            scrape = self.scrape(host)
            self.assertGreater(scrape.get("ipspd_hello_lateness_seconds_count", context="isp1"), 0)
            self.assertGreater(scrape.get("ipspd_flush_duration_seconds_count"), 0)
        # The first ones have to ask the primary, and with a block of addresses the next ones need not.
        given = self.scrape(pair.hosts[1])
        asked = given.get("ipspd_grant_peer_duration_seconds_count", context="isp1")
        self.assertGreater(asked, first.get("ipspd_grant_peer_duration_seconds_count", context="isp1"))
        self.assertLessEqual(asked, given.get("ipspd_requests_asked_total", context="isp1"))
        for number in range(200):
            pair.hosts[0].do("request", f"one-shot-{number}")
            if self.scrape(pair.hosts[0]).get("ipspd_grant_local_duration_seconds_count") > 0:
                break
        else:
            self.fail("no turn that gave an address was measured")

    def test_one_context_or_all(self):
        host = self.host()
        host.config.others = [Context(context="other", pools=[{"name": "q", "network": "10.2.0.0/24"}])]
        host.start()
        both, only = self.scrape(host), self.scrape(host, "-c", "other")
        self.assertEqual(promtool(host.do("metrics")), (0, ""))
        self.assertLessEqual({"isp1", "other"}, both.label_values())
        self.assertNotIn("isp1", only.label_values())
        self.assertIsNotNone(only.get("ipspd_serving", context="other"))

    def test_without_a_daemon(self):
        host = self.host()
        done = host.ctl("metrics")
        self.assertEqual((done.returncode, done.stdout), (3, ""))


if __name__ == "__main__":
    sys.exit(main())
