#!/usr/bin/env python3
"""Bad input from every side that people and programs have: command line, configuration file, control
socket, the agent's lines. It gets a clear answer, and those who do nothing wrong are served on."""

import json
import os
import random
import signal
import socket
import struct
import sys
import time
import unittest

from harness import process
from harness.config import POOL_A, Context
from harness.pair import Case, main, write_key


# Connects 1,100 times and waits until each of these is closed.
CROWD = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
crowd = []
for number in range(1100):
    one = socket.socket(socket.AF_UNIX)
    one.connect(sys.argv[1])
    crowd.append(one)
print("all are in", flush=True)
for one in crowd:
    one.settimeout(30)
    try:
        while one.recv(4096):
            pass
    except ConnectionResetError:
        pass
print("all are closed", flush=True)
"""


class CommandLine(Case):
    def test_ipspd(self):
        for words in (["--no-such-option"], ["-x"], ["-c"], ["stray"], ["-t", "stray"]):
            with self.subTest(words):
                done = process.run([process.program("ipspd"), *words], timeout=10)
                self.assertEqual(done.returncode, 2)
                self.assertIn("usage", done.stderr.lower())

    def test_ipspctl(self):
        commands = (
            [], ["frobnicate"], ["show"], ["show", "ip"], ["show", "nonsense"], ["request"],
            ["release"], ["release", "not-an-address"], ["request", "u", "--address", "10.1.0.999"],
            ["request", "u", "--no-such"], ["request", "u", "--pool"], ["drain", "--timeout", "-1"],
            ["drain", "--wait", "--timeout", "soon"], ["show", "log", "-n", "many"],
            ["pool-share-protocol", "mode"], ["pool-share-protocol", "mode", "sideways"],
            ["no"], ["save"], ["undrain", "stray"], ["--no-such-option", "show", "ip", "ipsp"],
        )
        for words in commands:
            with self.subTest(words):
                done = process.run(
                    [process.program("ipspctl"), "-s", self.folder + "/none", *words], timeout=10
                )
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertTrue(done.stderr.strip())

    def test_version_and_help(self):
        for option in ("-V", "--version"):
            done = process.run([process.program("ipspd"), option])
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stdout, r"^ipspd \d+\.\d+\.\d+\n$")
        for option in ("-h", "--help"):
            done = process.run([process.program("ipspd"), option])
            self.assertEqual(done.returncode, 0)
            self.assertIn("usage: ipspd", done.stdout)

    def test_unknown_options_are_named(self):
        for words, named in ((["--foo"], '"--foo"'), (["-t", "-x"], '"-x"'), (["-tx"], '"-x"'),
                             (["--help=3"], '"--help=3"'), (["-c"], '"-c" needs a FILE'),
                             (["start"], '"start"')):
            done = process.run([process.program("ipspd"), *words])
            self.assertEqual(done.returncode, 2)
            self.assertIn(named, done.stderr.splitlines()[0])


class ConfigurationFile(Case):
    def check(self, host):
        return process.run([process.program("ipspd"), "-t", "-c", host.file], timeout=10)

    def faulty(self, host, *expected):
        """ipspd -t finds the faults, each on a line of its own as FILE:LINE: key: what is wrong."""
        done = self.check(host)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        lines = (done.stdout + done.stderr).splitlines()
        for words in expected:
            found = [line for line in lines if all(word in line for word in words)]
            self.assertTrue(found, f"no line with {words} in:\n" + "\n".join(lines))
            self.assertRegex(found[0], r"^\S*ipspd\.conf:\d+: \S+: .+")
        started = process.run([process.program("ipspd"), "-f", "-c", host.file], timeout=10)
        self.assertNotEqual(started.returncode, 0, "it started all the same")
        return lines

    def good(self):
        pair = self.pair(trapd=False)
        pair.ipsp(0, "primary")
        return pair.hosts[0]

    def test_a_good_one(self):
        host = self.good()
        host.write_config()
        self.assertEqual(self.check(host).returncode, 0, self.check(host).stderr)

    def test_all_faults_at_once(self):
        host = self.good()
        host.config.ipsp.options.update({"dead-interval": 24, "hello-intervall-ms": 200})
        host.config.pools = [
            dict(POOL_A, priority=11),
            dict(POOL_A, name="pool-b"),
            {"name": "x" * 32, "range": ["10.9.0.9", "10.9.0.1"]},
        ]
        host.write_config()
        self.faulty(
            host,
            ("dead-interval", "25", "259200"),
            ("hello-intervall-ms", "hello-interval-ms"),
            ("priority", "0", "10"),
            ("pool-b", "overlap"),
            ("31",),
            ("range", "10.9.0.9"),
        )

    def test_every_kind_of_fault_in_one_run(self):
        """Each that interface.md lists, in one file: all are told, each with its line and key."""
        host = self.good()
        key = write_key(host.folder + "/key", b"k" * 32)
        shown = write_key(host.folder + "/shown", b"k" * 32, 0o644)
        lines = [
            f'control = {{ socket = "{host.socket}"; gruop = "root"; }};',
            f'state-directory = "{host.config.state}";',
            "contexts = (",
            '{ name = "context-one"; pools = (',
            '  { name = "pool-with-a-long-name-1"; network = "10.1.0.0/16"; priority = 11; },',
            '  { name = "pool-with-a-long-name-2"; range = [ "10.1.255.1", "10.2.0.9" ]; },',
            '  { name = "busy"; network = "10.3.0.0/24"; busyout = true; },',
            '  { name = "busy"; network = "127.0.0.0/24"; address-hold-timer = 60; '
            "address-quarantine-timer = 60; } );",
            '  interfaces = ( { name = "lan"; address = "192.0.2.1/24";',
            '    pool-share-protocol = { secondary = "198.51.100.2";',
            '      primary = "192.0.2.1"; port = "4187";',
            f'      key-file = "{shown}"; dead-interval = 24; }}; }},',
            '  { name = "lan2"; address = "fe80::1/64";',
            "    pool-share-protocol = { }; } ); },",
            '{ name = "context-two"; pools = (',
            '  { name = "pool-with-a-long-name-3"; network = "10.1.0.0/16"; } );',
            '  interfaces = ( { name = "lan"; address = "192.0.3.1/24";',
            f'    pool-share-protocol = {{ key-file = "{key}"; mode = "on"; }}; }} ); }},',
            '{ name = "three"; pools = ( { name = "p"; network = "10.0.0.0/0"; } );',
            '  interfaces = ( { name = "lan"; address = "192.0.3.1/24";',
            f'    pool-share-protocol = {{ primary = "192.0.3.1"; key-file = "{key}";',
            "      dead-interval-ms = 2000; }; } ); } );",
        ]
        with open(host.file, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        wanted = (
            (1, "gruop", "unknown key", '"group"'), (5, "priority", "0 to 10"),
            (6, "name", "first 16 characters"), (6, "range", "overlap"),
            (7, "busyout", "pool-share-protocol"), (8, "name", '"busy"'),
            (8, "network", "loopback"), (8, "address-quarantine-timer", "address-hold-timer"),
            (11, "primary", "exactly one"), (11, "port", "without quotes"), (12, "key-file", "0644"),
            (12, "dead-interval", "25 to 259200"), (13, "address", "link-local"),
            (14, "pool-share-protocol", "one IPSP interface"), (16, "name", "SNMP index"),
            (18, "primary", "exactly one"), (18, "mode", '"inactive"'),
            (19, "network", "2^26"), (21, "port", "context-two"), (21, "primary", "own address"),
            (22, "dead-interval-ms", "laboratories"), (22, "dead-interval-ms", "3 hello intervals"),
        )
        told = self.faulty(host, *((f"ipspd.conf:{line}: {key}: ", *words) for line, key, *words in wanted))
        self.assertEqual(len(told), len(wanted), "\n".join(told))

    def test_single_faults(self):
        def other_network(host):
            host.config.ipsp.peer = "203.0.113.7"

        def itself(host):
            host.config.ipsp.peer = host.config.ipsp.address

        def a_name(host):
            host.config.ipsp.peer = "ha2.example.net"

        def busyout(host):
            host.config.pools = [dict(POOL_A, busyout=True)]

        def both_timers(host):
            host.config.pools = [
                dict(POOL_A, **{"address-hold-timer": 60, "address-quarantine-timer": 60})
            ]

        def both_roles(host):
            host.config.ipsp.options["primary"] = host.config.ipsp.peer

        def open_key(host):
            host.config.ipsp.key_file = write_key(host.folder + "/open.key", b"k" * 32, 0o644)

        def empty_key(host):
            host.config.ipsp.key_file = write_key(host.folder + "/empty.key", b"")

        def no_context(host):
            host.config.context = ""

        def twice(host):
            host.config.pools = [dict(POOL_A), dict(POOL_A, network="10.2.0.0/16")]

        cases = {
            other_network: ("203.0.113.7", "network"),
            itself: ("127.0.0.1",),
            a_name: ("ha2.example.net", "address"),
            busyout: ("busyout",),
            both_timers: ("address-quarantine-timer",),
            both_roles: ("primary", "secondary"),
            open_key: ("open.key", "0644"),
            empty_key: ("empty.key",),
            no_context: ("name",),
            twice: ("pool-a",),
        }
        for spoil, words in cases.items():
            with self.subTest(spoil.__name__):
                host = self.good()
                spoil(host)
                host.write_config()
                self.faulty(host, words)

    def test_addresses_of_nobody(self):
        """A file whose pools have them is refused at the start and by a reload; what the store has, and what
        runs, stays as it is."""
        host = self.good()
        host.start()
        host.ctl("takeover", "--force")
        given = host.do("request", "u1@isp").split()[0]
        good = host.config.pools
        host.config.pools = [*good, {"name": "near", "network": "127.0.0.0/29"},
                             {"name": "far", "range": ["224.0.0.1", "224.0.0.4"], "type": "static"}]
        host.write_config()
        words = (("network", "near", "127.0.0.1 (this side's interface address)", "loopback"),
                 ("range", "far", "224.0.0.1 to 224.0.0.4 (multicast)", "allowed"))
        refused = host.ctl("reload")
        self.assertEqual(refused.returncode, 1)
        for some in words:
            self.assertTrue(all(word in refused.stderr for word in some), refused.stderr)
        self.assertEqual(host.do("request", "u1@isp").split()[0], given)
        host.stop()
        self.faulty(host, *words)
        started = process.run([process.program("ipspd"), "-f", "-c", host.file], timeout=10)
        self.assertEqual(started.returncode, 2)
        self.assertIn("near", started.stderr)

        host.config.pools = good
        host.start()
        self.assertIn(given, host.sessions())

    def test_no_configuration_at_all(self):
        host = self.good()
        for text in ("", "contexts = (", "\0\0\0", "garbage = garbage;\n" * 1000, "{" * 100000):
            with self.subTest(text[:12]):
                with open(host.file, "w", encoding="latin-1") as file:
                    file.write(text)
                done = self.check(host)
                self.assertEqual(done.returncode, 2)
                self.assertIn("ipspd.conf", done.stdout + done.stderr)
        os.unlink(host.file)
        done = self.check(host)
        self.assertEqual(done.returncode, 2)
        self.assertIn(host.file, done.stdout + done.stderr)

    def test_a_fault_that_is_no_utf8(self):
        """It quotes what the file has; ipspctl --json makes a line of JSON of it all the same."""
        host = self.good()
        host.start()
        host.config.ipsp.options["dead-interval"] = r"\xff"
        host.write_config()
        done = process.run([process.program("ipspctl"), "-s", host.socket, "--json", "reload"],
                           errors="replace")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)["error"], "invalid")

    def test_a_bad_reload_changes_nothing(self):
        host = self.host()
        host.start()
        address = host.do("request", "u1@isp").split()[0]
        before = host.look("show", "ip", "pool")
        host.config.pools = [dict(POOL_A, priority=99)]
        host.write_config()
        done = host.ctl("reload")
        self.assertEqual(done.returncode, 1)
        self.assertIn("priority", done.stderr)
        host.signal(signal.SIGHUP)
        self.assertEqual(host.look("show", "ip", "pool"), before)
        self.assertIn(address, host.sessions())
        self.assertTrue(host.running())


class ControlSocket(Case):
    """Clients that send garbage, half a frame, too much, or read nothing: the others are served."""

    def setUp(self):
        super().setUp()
        self.victim = self.host()
        self.victim.start()

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(10)
        sock.connect(self.victim.socket)
        self.addCleanup(sock.close)
        return sock

    def throw(self, data):
        """Sends @data and reads until the daemon closes, or a moment has passed."""
        sock = self.connect()
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass

    def assert_serves(self):
        self.assertTrue(self.victim.running(), self.victim.tail(40))
        self.assertRegex(self.victim.do("request", f"u{random.random()}"), r"10\.1\.\d+\.\d+")

    def test_garbage(self):
        chance = random.Random(7)
        for size in (1, 2, 3, 7, 8, 64, 4096, 1 << 20):
            self.throw(chance.randbytes(size))
        self.throw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.throw(b'{"id":1,"op":"list"}\n')
        for length in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            for form in ("<I", ">I", "<H", ">H"):
                if form[1] == "I" or length < 1 << 16:
                    self.throw(struct.pack(form, length) + b"x" * 64)
        self.assert_serves()

    def test_clients_that_stay_and_say_nothing(self):
        idle = [self.connect() for _ in range(200)]
        idle[0].sendall(b"\0")
        self.assert_serves()

    @unittest.skipIf(os.geteuid() != 0, "only root can be another user too")
    def test_places_are_kept_for_the_operator(self):
        """Another user takes every place that it can get and says nothing: root gets in all the same, and
        soon the places are free again."""
        os.chmod(self.victim.folder, 0o755)
        os.chmod(os.path.dirname(self.victim.folder), 0o755)
        os.chmod(self.victim.socket, 0o666)
        crowd = process.spawn(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", sys.executable, "-c", CROWD,
             self.victim.socket], stdout=process.subprocess.PIPE, text=True)
        self.addCleanup(process.stop, crowd)
        self.addCleanup(crowd.stdout.close)
        self.assertEqual(crowd.stdout.readline(), "all are in\n")
        began = time.monotonic()
        self.victim.do("show", "ip", "ipsp")
        self.assertLess(time.monotonic() - began, 8, "it had to wait for the crowd to be closed")
        self.assertEqual(crowd.stdout.readline(), "all are closed\n")
        self.assertIn("its HELLO has not come", self.victim.log())
        self.assertIn("too many clients", self.victim.log())
        self.assert_serves()

    def test_a_client_that_reads_nothing(self):
        """An agent that asks and never reads is cut off or made to wait, at nobody's cost."""
        for number in range(20):
            self.victim.do("request", f"{'x' * 200}{number}")
        agent = process.spawn(
            [process.program("ipspctl"), "-s", self.victim.socket, "agent", "--name", "deaf"],
            stdin=process.subprocess.PIPE, stdout=process.subprocess.PIPE, bufsize=0,
        )
        os.set_blocking(agent.stdin.fileno(), False)
        line = b"".join(b'{"id":%d,"op":"list"}\n' % n for n in range(2000))
        try:
            agent.stdin.write(line)
        except BlockingIOError:
            pass
        self.assert_serves()
        agent.kill()
        agent.wait()
        agent.stdin.close()
        agent.stdout.close()

    def test_a_show_of_many_megabytes(self):
        """What is longer than may wait for a client that doesn't read is no reason to close one that does."""
        host = self.victim
        pools = [{"name": f"{n}-{'p' * 20}", "group": "g" * 30, "network": f"10.{n // 256}.{n % 256}.0/30"}
                 for n in range(500)]
        host.config.others = [Context(context=f"{n}-{'c' * 20}", pools=pools) for n in range(32)]
        host.write_config()
        host.do("reload")
        text = host.do("--json", "show", "ip", "pool")
        self.assertGreater(len(text), 4 << 20)
        self.assertEqual(sum(len(context["pools"]) for context in json.loads(text)["contexts"]),
                         1 + 32 * 500)
        self.assertEqual(len(host.look("show", "ip", "ipsp")["contexts"]), 33)

    def test_the_agents_lines(self):
        """A line that makes no sense is answered by `invalid`; the next ones are served."""
        lines = [
            "", "null", "[]", "{", '"text"', "{}", '{"id":1}', '{"id":2,"op":"fly"}',
            '{"id":3,"op":"request"}', '{"id":4,"op":"request","subscriber":""}',
            '{"id":5,"op":"request","subscriber":"' + "x" * 254 + '"}',
            '{"id":6,"op":"request","subscriber":"a\\u0001b"}',
            '{"id":7,"op":"request","subscriber":"u","address":"here"}',
            '{"id":8,"op":"release"}', '{"id":9,"op":"release","address":7}',
            '{"op":"released","address":"10.1.0.77"}', '{"op":"released"}',
            '{"id":10,"op":"request","subscriber":"' + "y" * 100000 + '"}',
            '{"id":11,"op":"request","subscriber":"good@isp","session":"s1"}',
            '{"id":12,"op":"request","subscriber":"u","pool":7}',
            '{"id":13,"op":"released","address":"10.1.0.77","number":null}',
            '{"id":14,"op":"released","address":"10.1.0.77","number":0}',
        ]
        done = process.run(
            [process.program("ipspctl"), "-s", self.victim.socket, "agent"],
            input="\n".join(lines) + "\n", stdin=None,
        )
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        by_number = {answer["id"]: answer for answer in answers if answer.get("id") is not None}
        self.assertTrue(by_number[11]["ok"], by_number[11])
        for number in range(1, 11):
            self.assertFalse(by_number[number]["ok"], by_number[number])
            self.assertEqual(by_number[number]["error"], "invalid")
        for number, member in ((3, "subscriber"), (7, "address"), (12, "pool"), (14, "number")):
            self.assertTrue(by_number[number]["message"].startswith(member), by_number[number])
        self.assertTrue(by_number[13]["ok"], "null is what was not given")
        self.assert_serves()


class Datagrams(Case):
    def test_of_others_are_counted(self):
        """Of another port than the peer's: counted, and shown as text and as JSON, beside what else is dropped."""
        pair = self.pair(trapd=False)
        pair.start()
        port = pair.net.port
        before = pair.hosts[1].counters()
        send = ("import socket, sys\n"
                "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                "s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)\n"
                "s.bind((sys.argv[1], 0))\n"
                "for i in range(7): s.sendto(b'nonsense' * 4, (sys.argv[2], int(sys.argv[3])))\n")
        done = process.run([*pair.net.prefix(0), sys.executable, "-c", send, *pair.net.addresses, str(port)])
        self.assertEqual(done.returncode, 0, done.stderr)
        process.until(lambda: pair.hosts[1].counters()["drop-source"] == before["drop-source"] + 7, 10,
                      "the seven to be counted")
        text = pair.hosts[1].do("show", "counters")
        self.assertRegex(text, rf"drop-source +{before['drop-source'] + 7}\b")
        for name in ("drop-ttl", "drop-long", "send-errors"):
            self.assertIn(name, text)
        self.assertGreater(pair.hosts[1].counters()["datagrams-received"], 0)


if __name__ == "__main__":
    sys.exit(main())
