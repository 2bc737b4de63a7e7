#!/usr/bin/env python3
"""ipsp-monitor: what it serves, whom it refuses, and what it says while its ipspd says nothing."""

import concurrent.futures
import grp
import json
import os
import re
import signal
import socket
import sys
import time
import unittest
import urllib.parse
import urllib.request

from harness import process
from harness.monitor import Monitor, free_port
from harness.pair import Case, main
from harness.scrape import Scrape

PROMETHEUS = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
              "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
POLICY = "default-src 'self'"


class Monitored(Case):
    def monitored(self, host=None, prefix=()):
        host = host or self.host()
        monitor = Monitor(host, prefix=prefix)
        host.start()
        monitor.start()
        self.addCleanup(self._stop, monitor)
        monitor.wait_up()
        return host, monitor

    def _stop(self, monitor):
        status = monitor.stop()
        if status != 0:
            self.fail(f"ipsp-monitor ended with {status}\n{monitor.log()}")


class Serves(Monitored):
    def test_metrics_in_both_formats(self):
        host, monitor = self.monitored()
        host.do("request", "u1@isp")
        plain = monitor.get("/metrics")
        self.assertEqual((plain.code, plain.headers["content-type"]), (200, TEXT))
        done = process.run(["promtool", "check", "metrics"], input=plain.text())
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
        opened = monitor.get("/metrics", Accept=PROMETHEUS)
        self.assertEqual((opened.code, opened.headers["content-type"]), (200, OPEN))
        scrapes = Scrape(plain.text()), Scrape(opened.text(), openmetrics=True)
        self.assertEqual(scrapes[0].names(), scrapes[1].names())
        self.assertEqual(scrapes[1].get("ipspd_up"), 1)
        self.assertEqual(scrapes[1].types["ipspd_state"], "stateset")
        # The same families as ipspctl's.
        self.assertEqual(Scrape(host.do("metrics")).names() | {"ipspd_answer_age_seconds"}, scrapes[0].names())

    def test_status_is_show_ip_ipsp(self):
        host, monitor = self.monitored()
        answer = monitor.get("/status")
        self.assertEqual((answer.code, answer.headers["content-type"]), (200, "application/json"))
        shown = host.look("show", "ip", "ipsp")
        self.assertEqual(shape(answer.json()), shape(shown))
        self.assertEqual(answer.json()["contexts"][0]["pools"], shown["contexts"][0]["pools"])

    def test_the_page_needs_nothing_from_elsewhere(self):
        _, monitor = self.monitored()
        page = monitor.get("/")
        self.assertEqual((page.code, page.headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertTrue(page.headers["content-security-policy"].startswith(POLICY))
        for path in re.findall(r'(?:src|href)="([^"#]+)"', page.text()):
            self.assertTrue(path.startswith("/"), path)
            self.assertEqual(monitor.get(path).code, 200, path)
        for path in ("/", "/page.js", "/page.css", "/icon.svg"):
            answer = monitor.get(path)
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
            self.assertNotRegex(answer.text().replace("http://www.w3.org/", ""), r"https?://")
            # no part of it is made from a text as HTML, and none is in the page itself
            self.assertNotRegex(answer.text(), r"innerHTML|insertAdjacent|document\.write|eval\(|<style|style=")
        self.assertNotRegex(page.text(), r"<script(?! src)| on[a-z]+=")

    def test_what_the_page_shows(self):
        pair = self.pair(trapd=False)
        monitor = Monitor(pair.hosts[0])
        pair.start(hello_interval_ms=100)
        monitor.start()
        self.addCleanup(self._stop, monitor)
        monitor.wait_up()
        gateway = pair.gateway(0)
        for session in range(10):
            gateway.request(f"secret-user-{session}@isp", f"secret-session-{session}")
        pair.work(20, "the sessions")
        pair.hosts[0].do("drain")
        process.until(lambda: "isp1" in monitor.get("/page.json").json()["drains"], 20, "the drain to be seen")
        for address in list(gateway.sessions())[:4]:
            gateway.release(address)
        pair.work(20, "the releases")

        def look():
            data = monitor.get("/page.json").json()
            return data if data["ok-to-stop"]["contexts"][0]["sessions"] == 6 else None
        data = process.until(look, 20, "the page to know of 6 sessions")
        self.assertEqual(data["drains"]["isp1"]["first-sessions"], 10)
        self.assertEqual(data["ipsp"]["contexts"][0]["draining"], True)
        self.assertTrue(data["ok-to-stop"]["contexts"][0]["reasons"])
        self.assertTrue(data["log"]["contexts"][0]["events"])
        self.assertNotIn("secret", json.dumps(data))
        self.assertLess(data["age-ms"], 20000)

    def test_many_who_ask_are_one_for_the_daemon(self):
        host, monitor = self.monitored()
        began = time.monotonic()
        first = monitor.get("/page.json").json()["number"]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            codes = list(pool.map(lambda _: monitor.get("/metrics").code, range(400)))
        self.assertEqual(set(codes), {200})
        asked = monitor.get("/page.json").json()["number"] - first
        self.assertLessEqual(asked, time.monotonic() - began + 2)
        # What was closed is closed.
        process.until(lambda: len(os.listdir(f"/proc/{monitor.pid}/fd")) < 30, 20, "the sockets to be closed")
        self.assertEqual(host.ctl("show", "ip", "ipsp").returncode, 0)

    def test_a_real_prometheus_takes_them(self):
        _, monitor = self.monitored()
        folder = os.path.join(self.folder, "prometheus")
        os.makedirs(folder)
        with open(os.path.join(folder, "prometheus.yml"), "w", encoding="utf-8") as file:
            file.write("global: { scrape_interval: 1s }\nscrape_configs:\n- job_name: ipspd\n"
                       f"  static_configs: [ {{ targets: [ '127.0.0.1:{monitor.port}' ] }} ]\n")
        port = free_port()
        with open(os.path.join(folder, "log"), "wb") as log:
            server = process.spawn(
                ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        self.addCleanup(process.stop, server)

        def query(expression):
            url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    return json.load(answer)["data"]["result"]
            except OSError:
                return []

        process.until(lambda: query("ipspd_up == 1"), 60, "Prometheus to scrape", step=0.5)
        self.assertEqual(query("up")[0]["value"][1], "1")
        self.assertEqual(query('ipspd_state{ipspd_state="disabled"}')[0]["value"][1], "1")
        self.assertTrue(query("ipspd_requests_total"))
        self.assertTrue(query("histogram_quantile(0.5, ipspd_flush_duration_seconds_bucket)"))


class Refuses(Monitored):
    def test_other_hosts_and_methods(self):
        _, monitor = self.monitored()
        own = socket.gethostname()
        for name in ("localhost", f"localhost:{monitor.port}", "127.0.0.1", "[::1]:9618", "ha1.example.net:80",
                     own, "HA1.example.NET"):
            self.assertEqual(monitor.get("/status", Host=name).code, 200, name)
        for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "localhost:x", "[::1",
                     "", "ha1.example.net.", "a" * 300):
            answer = monitor.get("/status", Host=name)
            self.assertEqual(answer.code, 403, name)
            self.assertNotIn("isp1", answer.text())
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = monitor.get("/status", method=method, body="x")
            self.assertEqual((answer.code, answer.headers["allow"]), (405, "GET, HEAD"), method)
        for path in ("/nothing", "/page", "/../etc/passwd", "/metrics/", "/%2e"):
            self.assertEqual(monitor.get(path).code, 404, path)
        self.assertEqual(monitor.get("/status?x=y").code, 200)

    def test_head(self):
        _, monitor = self.monitored()
        for path in ("/", "/status", "/metrics", "/nothing"):
            with socket.create_connection(("127.0.0.1", monitor.port), 20) as one:
                one.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                head = read_all(one)
            self.assertTrue(head.endswith(b"\r\n\r\n"), head)
            self.assertRegex(head, rb"Content-Length: [1-9]")

    def test_what_is_no_request(self):
        _, monitor = self.monitored()
        long = b"X-Long: " + b"x" * 20000 + b"\r\n"
        for bytes_ in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00" * 100,
                       b"GET / HTTP/1.1\r\nHost: localhost\r\n" + long + b"\r\n",
                       b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                       b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", monitor.port), 20) as one:
                try:
                    one.sendall(bytes_)
                    one.shutdown(socket.SHUT_WR)
                    answer = read_all(one)
                except ConnectionError:
                    answer = b""
            self.assertNotIn(b" 200 ", answer.split(b"\r\n")[0], bytes_[:40])
        self.assertEqual(monitor.get("/status").code, 200)

    def test_who_says_nothing_takes_no_place_for_long(self):
        _, monitor = self.monitored()
        silent = []
        try:
            for number in range(100):  # more than there are places, and some that trickle
                one = socket.create_connection(("127.0.0.1", monitor.port), 20)
                silent.append(one)
                if number % 2:
                    one.sendall(b"GET / HTTP/1.1\r\nX: ")
            self.assertEqual(monitor.get("/status").code, 200)
        finally:
            for one in silent:
                one.close()
        self.assertEqual(monitor.get("/status").code, 200)

    def test_a_wrong_configuration(self):
        host = self.host()
        host.write_config()
        for extra, words in (("", "has no http"), ('http = { listen = "localhost:80"; };', "ADDRESS:PORT"),
                             ("http = {", "ipspd -t")):
            with open(host.file, "w", encoding="utf-8") as file:
                file.write(extra)
            done = process.run([process.program("ipsp-monitor"), "-c", host.file])
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)
        done = process.run([process.program("ipsp-monitor"), "-c", host.folder + "/nowhere"])
        self.assertEqual(done.returncode, 2)
        self.assertIn("No such file", done.stderr)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            done = process.run([process.program("ipsp-monitor"), "-c", host.folder + "/nowhere", "-l", address])
        self.assertEqual(done.returncode, 1)
        self.assertIn("can't listen there", done.stderr)


class DaemonIsAway(Monitored):
    def test_it_hangs(self):
        """The last answer, with its age; no answer waits for one that does not come."""
        host, monitor = self.monitored()
        host.signal(signal.SIGSTOP)
        try:
            monitor.wait_up(False)
            before = Scrape(monitor.get("/metrics").text())
            self.assertEqual(before.get("ipspd_up"), 0)
            answer = monitor.get("/status")
            self.assertEqual((answer.code, answer.json()["contexts"][0]["name"]), (200, "isp1"))
            process.until(lambda: int(monitor.get("/status").headers["age"]) >= 4, 40, "the answer to grow old")
            after = Scrape(monitor.get("/metrics").text())
            self.assertGreater(after.get("ipspd_answer_age_seconds"), before.get("ipspd_answer_age_seconds"))
            self.assertIsNotNone(after.get("ipspd_serving", context="isp1"))
            self.assertIn("no answer comes", monitor.get("/page.json").json()["why"])
        finally:
            host.signal(signal.SIGCONT)
        monitor.wait_up()
        self.assertEqual(Scrape(monitor.get("/metrics").text()).get("ipspd_up"), 1)

    def test_it_goes_and_comes_back(self):
        host, monitor = self.monitored()
        for _ in range(2):
            host.kill9()
            monitor.wait_up(False)
            self.assertEqual(monitor.get("/").code, 200)
            process.until(lambda: "does not run" in monitor.get("/page.json").json()["why"], 20, "the reason")
            host.start()
            monitor.wait_up()
        lines = [line for line in monitor.log().splitlines() if "listening" not in line]
        self.assertLessEqual(len(lines), 6, "a line for an outage, and one for its end: " + "\n".join(lines))

    def test_it_was_never_there(self):
        host = self.host()
        monitor = Monitor(host)
        host.write_config()
        monitor.start()
        self.addCleanup(self._stop, monitor)
        answer = monitor.get("/status")
        self.assertEqual((answer.code, answer.json()["error"]), (503, "no-answer"))
        self.assertEqual(Scrape(monitor.get("/metrics").text()).names(), {"ipspd_up"})
        self.assertEqual(monitor.get("/").code, 200)
        host.start()
        monitor.wait_up()
        self.assertEqual(monitor.get("/status").code, 200)

    @unittest.skipIf(os.geteuid() != 0, "only root can be in any group")
    def test_only_who_may_look(self):
        """In the status group it sees all; in none it says what is missing."""
        group = next(entry for entry in grp.getgrall() if 0 < entry.gr_gid < 1000)
        for gid, wanted in ((group.gr_gid, True), (65534, False)):
            host = self.host(f"ha{gid}")
            host.config.status_group = group.gr_name
            folder = host.folder
            while folder != os.path.dirname(self.folder):
                os.chmod(folder, 0o755)
                folder = os.path.dirname(folder)
            monitor = Monitor(host, prefix=["setpriv", "--reuid=65534", f"--regid={gid}", "--clear-groups", "--"])
            host.start()
            os.chmod(host.file, 0o644)
            monitor.start()
            self.addCleanup(self._stop, monitor)
            if wanted:
                monitor.wait_up()
                continue
            process.until(lambda: "status-group" in monitor.log(), 20, "the line that says it")
            self.assertIn("status-group", monitor.get("/page.json").json()["why"])


def shape(thing):
    """What is there, whatever its value."""
    if isinstance(thing, dict):
        return {key: shape(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [shape(thing[0])] if thing else []
    return None


def read_all(one):
    found = b""
    while True:
        more = one.recv(65536)
        if not more:
            return found
        found += more


if __name__ == "__main__":
    sys.exit(main())
