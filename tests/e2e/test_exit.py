#!/usr/bin/env python3
"""The exit codes that scripts hold on to: ipspd 0 and 2, ipspctl 0 to 4, agent 3."""

import signal
import socket
import sys

from harness import process
from harness.pair import Case, main


class Ipspctl(Case):
    def test_done(self):
        host = self.host()
        host.start()
        for words in (["show", "ip", "ipsp"], ["show", "ip", "pool"], ["show", "ip", "pool", "pool-a"],
                      ["show", "sessions"], ["show", "counters"], ["show", "log", "-n", "5"],
                      ["request", "u1@isp", "--session", "s1", "--pool", "pool-a"],
                      ["request", "u1@isp", "--session", "s1"], ["reload"]):
            with self.subTest(words):
                self.assertEqual(host.ctl(*words).returncode, 0)
                self.assertEqual(host.ctl("-c", "isp1", *words).returncode, 0)

    def test_refused(self):
        host = self.host()
        host.start()
        cases = {
            ("release", "10.1.0.77"): "no-such-session",
            ("request", "u", "--pool", "none"): "unknown-pool",
            ("request", "u", "--address", "203.0.113.1"): "not-in-pool",
            ("-c", "elsewhere", "show", "ip", "ipsp"): "unknown-context",
        }
        for words, error in cases.items():
            with self.subTest(words):
                done = host.ctl(*words)
                self.assertEqual(done.returncode, 1)
                self.assertIn(error, done.stderr)
                self.assertGreater(len(done.stderr.split()), 3, "no sentence beside the name")

    def test_in_use(self):
        host = self.host()
        host.start()
        address = host.do("request", "u1@isp").split()[0]
        done = host.ctl("request", "u2@isp", "--address", address)
        self.assertEqual(done.returncode, 1)
        self.assertIn("in-use", done.stderr)

    def test_usage(self):
        self.assertEqual(self.host().ctl("nonsense").returncode, 2)

    def test_not_reachable(self):
        host = self.host()
        self.assertEqual(host.ctl("show", "ip", "ipsp").returncode, 3)
        self.assertEqual(host.ctl("agent").returncode, 3)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.bind(host.socket)  # bound, but nobody listens
            self.assertEqual(host.ctl("show", "ip", "ipsp").returncode, 3)

    def test_time_ran_out(self):
        pair = self.pair(trapd=False)
        pair.start()
        gateway = pair.gateway(0)
        gateway.request("u1@isp", "s1")
        pair.work(10, "one session")
        done = pair.hosts[0].ctl("drain", "--wait", "--timeout", "1")
        self.assertEqual(done.returncode, 4)
        pair.hosts[0].do("undrain")

    def test_drain_waits_for_the_last_release(self):
        pair = self.pair(trapd=False)
        pair.start()
        gateway = pair.gateway(0)
        gateway.request("u1@isp", "s1")
        pair.work(10, "one session")
        drain = process.spawn([process.program("ipspctl"), "-s", pair.hosts[0].socket,
                               "drain", "--wait", "--timeout", "60"],
                              stdout=process.subprocess.DEVNULL)
        pair.loop.until(lambda: pair.hosts[0].status()["draining"], 10, "the drain to begin")
        refused = pair.hosts[0].ctl("request", "u2@isp")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("draining", refused.stderr)
        self.assertIsNone(drain.poll(), "drain ended while a session was here")
        gateway.release(next(iter(gateway.sessions())))
        pair.loop.until(lambda: drain.poll() is not None, 30, "drain to end")
        self.assertEqual(drain.returncode, 0)

    def test_agent_ends_with_3(self):
        pair = self.pair(trapd=False)
        host = pair.hosts[0]
        host.start()
        gateway = pair.gateway(0)
        host.kill9()
        pair.loop.until(lambda: not gateway.connected(), 10, "the agent to end")
        self.assertEqual(gateway.exit_status, 3)

    def test_agent_ends_with_0(self):
        host = self.host()
        host.start()
        done = process.run([process.program("ipspctl"), "-s", host.socket, "agent"])
        self.assertEqual(done.returncode, 0)


class Ipspd(Case):
    def test_stops_clean(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                host = self.host()
                host.start()
                host.signal(number)
                process.until(lambda h=host: not h.running(), 20, "ipspd to stop")
                self.assertEqual(host.ended(), 0, host.tail())

    def test_sessions_outlive_a_stop(self):
        host = self.host()
        host.start()
        address = host.do("request", "u1@isp", "--session", "s1").split()[0]
        self.assertEqual(host.stop(), 0)
        host.start()
        self.assertEqual(host.sessions()[address], ("u1@isp", "s1"))

    def test_a_second_one_on_the_same_state(self):
        host = self.host()
        host.start()
        second = process.run([process.program("ipspd"), "-f", "-c", host.file], timeout=20)
        self.assertNotEqual(second.returncode, 0)
        self.assertTrue(second.stderr.strip())
        self.assertTrue(host.running())
        host.do("show", "ip", "ipsp")

    def test_check_of_the_shipped_configuration(self):
        """conf/ipspd.conf names files and a group of a real host: only their absence may be said."""
        done = process.run([process.program("ipspd"), "-t", "-c", process.TOP + "/conf/ipspd.conf"])
        faults = [line for line in (done.stdout + done.stderr).splitlines()
                  if "-file: " not in line and ": there is no group" not in line]
        self.assertEqual([line for line in faults if "ipspd.conf:" in line], [done.stdout.strip()])


if __name__ == "__main__":
    sys.exit(main())
