#!/usr/bin/env python3
"""The SNMP tables, under a real snmpd: what is in them, and what snmpd's troubles are to the rest."""

import signal
import sys
import time

from harness import process
from harness.config import Context
from harness.monitor import Monitor
from harness.pair import Case, main
from harness.snmpd import Snmpd

STAR_POOL = "1.3.6.1.4.1.8164.1.30.1"
STAR_GROUP = "1.3.6.1.4.1.8164.1.64.1"
OURS = "1.3.6.1.4.1.8072.9999.9999.4187.1"


def index(text):
    return ".".join(str(ord(letter)) for letter in text)


class AgentX(Case):
    def tables(self, host, running=True):
        """A monitor of @host, which is not started yet, with an snmpd."""
        snmpd = Snmpd(self.folder)
        self.addCleanup(snmpd.stop)
        host.config.extra += f'snmp = {{ agentx = "{snmpd.master}"; }};\n'
        monitor = Monitor(host)
        self.addCleanup(self._stop, monitor)
        if running:
            snmpd.start()
        return snmpd, monitor

    def _stop(self, monitor):
        status = monitor.stop()
        if status != 0:
            self.fail(f"ipsp-monitor ended with {status}\n{monitor.log()}")

    def wait_rows(self, snmpd, monitor, wanted=True):
        process.until(lambda: bool(snmpd.walk(STAR_POOL)) is wanted, 60,
                      lambda: f"rows: {wanted}\n{monitor.log()}", step=0.3)

    def test_what_is_in_them(self):
        host = self.host()
        host.config.pools = [
            {"name": "pool-a", "network": "10.1.0.0/24", "group": "dyn"},
            {"name": "pool-b", "range": ["10.2.0.1", "10.2.0.100"], "group": "dyn", "type": "private", "priority": 3},
            {"name": "v6", "prefix": "2001:db8::/48", "length": 64},
        ]
        host.config.others = [Context(context="a-long-name", pools=[
            {"name": "a-pool-of-a-very-long-name", "network": "10.3.0.0/24", "type": "static"}])]
        snmpd, monitor = self.tables(host)
        host.start()
        for user in range(5):
            host.do("-c", "isp1", "request", f"u{user}@isp")
        monitor.start()
        self.wait_rows(snmpd, monitor)
        rows = snmpd.walk(STAR_POOL)

        def star(column, name):
            return rows[f"{STAR_POOL}.1.{column}.{index(name)}"]
        self.assertEqual([star(column, "isp1:pool-a") for column in range(3, 15)], [
            ("STRING", "isp1"), ("STRING", "dyn"), ("STRING", "pool-a"), ("INTEGER", "2"), ("INTEGER", "1"),
            ("IpAddress", "10.1.0.1"), ("IpAddress", "10.1.0.254"), ("INTEGER", "0"), ("Gauge32", "5"),
            ("Gauge32", "0"), ("Gauge32", "0"), ("Gauge32", "249")])
        self.assertEqual(star(6, "isp1:pool-b"), ("INTEGER", "1"))
        self.assertEqual(star(10, "isp1:pool-b"), ("INTEGER", "3"))
        self.assertEqual(star(9, "isp1:pool-b"), ("IpAddress", "10.2.0.100"))
        self.assertEqual(star(8, "isp1:v6"), ("IpAddress", "0.0.0.0"))
        self.assertEqual(star(14, "isp1:v6"), ("Gauge32", "65536"))
        self.assertEqual(star(5, "a-long-n:a-pool-of-a-very"), ("STRING", "a-pool-of-a-very-long-name"))
        self.assertEqual(star(6, "a-long-n:a-pool-of-a-very"), ("INTEGER", "3"))
        self.assertEqual({star(1, "isp1:pool-a"), star(1, "a-long-n:a-pool-of-a-very")},
                         {("Gauge32", "1"), ("Gauge32", "2")})
        # the index itself is no column, and nothing stands beyond the last
        self.assertFalse([oid for oid in rows if oid.startswith(f"{STAR_POOL}.1.2.")])
        self.assertIn("No Such", snmpd.get(f"{STAR_POOL}.1.2.{index('isp1:pool-a')}").stdout)
        self.assertIn("No Such", snmpd.get(f"{STAR_POOL}.1.11.{index('isp1:none')}").stdout)
        groups = snmpd.walk(STAR_GROUP)
        self.assertEqual([groups[f"{STAR_GROUP}.1.{column}.{index('isp1:dyn')}"][1] for column in range(3, 11)],
                         ["dyn", "isp1", "5", "0", "0", "349", "141", "349"])
        self.assertEqual(len(groups), 8)
        # a session more is seen within a second or two
        host.do("-c", "isp1", "request", "one-more@isp")
        process.until(lambda: snmpd.walk(STAR_POOL)[f"{STAR_POOL}.1.11.{index('isp1:pool-a')}"][1] == "6", 20,
                      "the sixth session")

    def test_both_sides_of_a_pair_by_name(self):
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.config.pools = [{"name": "pool-a", "network": "10.1.0.0/24"}]
        snmpd, monitor = self.tables(pair.hosts[0])
        pair.start(hello_interval_ms=100)
        pair.gateway(1).request("u1@isp", "s1")
        pair.work(20, "a session")
        pair.settle()
        monitor.start()
        self.wait_rows(snmpd, monitor)
        text = snmpd.named("ipspdObjects").replace("'", '"')
        for line in ('ipspdCtxRole."isp1" = INTEGER: primary(1)', 'ipspdCtxState."isp1" = INTEGER: active(6)',
                     'ipspdCtxPeerState."isp1" = INTEGER: up(1)', 'ipspdCtxServing."isp1" = INTEGER: true(1)',
                     'ipspdCtxInterface."isp1" = STRING: lan-ha1',
                     'ipspdPoolSize."isp1"."pool-a" = Gauge32: 254'):
            self.assertIn(f"IPSPD-MIB::{line}", text)
        released = pair.hosts[0].status()["pools"][0]["released"]
        self.assertIn(f'IPSPD-MIB::ipspdPoolReleased."isp1"."pool-a" = Gauge32: {released} addresses', text)

    def test_snmpd_comes_and_goes(self):
        """A hanging snmpd delays no scrape; one that is back has the tables again; a line for each."""
        host = self.host()
        snmpd, monitor = self.tables(host, running=False)
        host.start()
        monitor.start()
        monitor.wait_up()
        snmpd.start()
        self.wait_rows(snmpd, monitor)
        snmpd.signal(signal.SIGSTOP)
        try:
            end = time.monotonic() + 8  # longer than a ping of the agent takes to be missed
            while time.monotonic() < end:
                self.assertEqual(monitor.get("/metrics").code, 200)
                self.assertTrue(monitor.up())
                time.sleep(0.5)
        finally:
            snmpd.signal(signal.SIGCONT)
        self.wait_rows(snmpd, monitor)
        for _ in range(3):
            snmpd.stop()
            snmpd.start()
        self.wait_rows(snmpd, monitor)
        lines = [line for line in monitor.log().splitlines() if "AgentX" in line]
        self.assertLessEqual(len(lines), 12, "\n".join(lines))

    def test_without_the_daemon(self):
        host = self.host()
        snmpd, monitor = self.tables(host)
        host.write_config()
        monitor.start()
        process.until(lambda: "connected" in monitor.log(), 40, monitor.log)
        self.assertEqual(snmpd.walk(STAR_POOL), {})
        host.start()
        self.wait_rows(snmpd, monitor)
        host.signal(signal.SIGSTOP)  # the rows stay, and snmpd gets its answers in time
        try:
            for _ in range(3):
                time.sleep(1)
                self.assertTrue(snmpd.walk(STAR_POOL))
        finally:
            host.signal(signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(main())
