#!/usr/bin/env python3
"""What the JSON lines of an agent promise, sentence by sentence, to a gateway made of a pipe."""

import array
import fcntl
import itertools
import json
import os
import select
import sys
import termios
import time

from harness import process
from harness.agent import Agent
from harness.config import POOL_A
from harness.pair import Case, main

IDLE_S = 60  # nothing at all for so long is a standstill on the slowest machine

POOLS = [
    dict(POOL_A),
    {"name": "pool-b", "network": "10.2.0.0/24", "type": "public", "priority": 1},
    {"name": "held", "network": "10.3.0.0/24", "type": "public", "priority": 5, "address-hold-timer": 600},
    {"name": "cooled", "network": "10.4.0.0/24", "type": "public", "priority": 5, "address-quarantine-timer": 600},
]


class Speaker:
    """An agent that says what a test wants, and keeps what comes."""

    def __init__(self, case, host, name):
        self.name = name
        self.events = []  # release and release-cancelled, as they came
        self.answers = {}
        self.exit_status = None
        self._loop = case.two.loop
        self._ids = itertools.count(1)
        self._agent = Agent(self._loop, host, name, self._line, self._ended)
        case.addCleanup(self._agent.close)
        self.list()  # so it is attached

    def _line(self, line):
        if line.get("event") in ("release", "release-cancelled"):
            self.events.append(line)
        elif "id" in line:
            self.answers[line["id"]] = line

    def _ended(self, status):
        self.exit_status = status

    def post(self, op, **words):
        """Without waiting; returns the id."""
        number = next(self._ids)
        self._agent.send({"id": number, "op": op, **words})
        return number

    def wait(self, number, seconds=20):
        self._loop.until(lambda: number in self.answers, seconds, f"an answer to {self.name}")
        return self.answers.pop(number)

    def do(self, op, **words):
        return self.wait(self.post(op, **words))

    def request(self, subscriber, **words):
        answer = self.do("request", subscriber=subscriber, **words)
        assert answer["ok"], answer
        return answer["address"]

    def list(self):
        return self.do("list")["sessions"]

    def wait_events(self, number):
        self._loop.until(lambda: len(self.events) >= number, 20,
                         lambda: f"{number} events for {self.name}: {self.events}")
        return self.events

    def close(self):
        self._agent.close()


class Agents(Case):
    def setUp(self):
        super().setUp()
        self.two = self.pair(trapd=False)
        for host in self.two.hosts:
            host.config.pools = POOLS
        self.two.start(hello_interval_ms=100, release_timeout_ms=500, request_timeout_ms=1500)
        self.ha1, self.ha2 = self.two.hosts

    def agent(self, host, name="agent"):
        return Speaker(self, host, name)

    def test_a_late_release(self):
        """It names the session that it was for, and ends no other that has the address by now."""
        gateway = self.agent(self.ha1)
        address = gateway.request("u@isp", session="s1")
        self.assertTrue(gateway.do("release", address=address, subscriber="u@isp", session="s1")["ok"])
        self.assertEqual(gateway.request("u@isp", session="s2", address=address), address)
        for late in ({"subscriber": "u@isp", "session": "s1"}, {"session": "s1"}, {"subscriber": "v"}):
            answer = gateway.do("release", address=address, **late)
            self.assertEqual((answer["ok"], answer.get("error")), (False, "no-such-session"))
            self.assertIn("another session", answer["message"])
        self.assertEqual([row["session"] for row in gateway.list()], ["s2"])
        self.assertEqual(self.ha1.counters()["releases-late"], 3)
        # an operator's release may say it, too
        done = self.ha1.ctl("release", address, "--subscriber", "u@isp", "--session", "s1")
        self.assertEqual((done.returncode, done.stderr.split(":")[1].strip()), (1, "no-such-session"))
        # the answer to a release event: for the session that it names
        self.ha1.do("release", address)
        gateway.wait_events(1)
        gateway.do("released", address=address, subscriber="u@isp", session="s1")
        self.assertEqual(len(gateway.list()), 1)
        gateway.do("released", address=address, subscriber="u@isp", session="s2")
        self.assertEqual(gateway.list(), [])
        # what is not named is not compared
        address = gateway.request("u@isp", session="s3")
        self.assertTrue(gateway.do("release", address=address)["ok"])
        self.assertEqual(gateway.do("release", address=address, session=7)["error"], "invalid")

    def test_one_subscriber_at_two_gateways(self):
        """Without a session's name it is one session: the one that asked first is told that it went."""
        first, second = self.agent(self.ha1, "c1"), self.agent(self.ha1, "c2")
        address = first.request("bob")
        self.assertEqual(second.request("bob"), address)
        event = first.wait_events(1)[0]
        self.assertEqual(
            {key: event[key] for key in ("event", "address", "subscriber", "session", "reason")},
            {"event": "release", "address": address, "subscriber": "bob", "session": "",
             "reason": "handoff"})
        first.do("released", address=address)
        self.assertEqual(first.do("release", address=address)["error"], "not-permitted")
        self.assertEqual((first.list(), len(second.list())), ([], 1))
        self.assertEqual(second.events, [])
        self.assertEqual(self.ha1.counters()["sessions-moved"], 1)

    def test_an_operators_release_is_asked_for_until_it_is_answered(self):
        """At each attach, over restarts of the daemon, kill -9 included."""
        gateway = self.agent(self.ha1)
        address = gateway.request("u@isp", session="s1")
        keeper = self.agent(self.ha1, "keeper")  # so that the role stays where it is
        keeper.request("k@isp")
        gateway.close()
        self.ha1.do("release", address)
        self.assertEqual(self.states()[address], "releasing")
        for end in (lambda: None, self.ha1.kill9, self.ha1.stop):
            end()
            if not self.ha1.running():
                self.ha1.start()
            again = self.agent(self.ha1)
            event = again.wait_events(1)[0]
            self.assertEqual(
                (event["address"], event["subscriber"], event["session"], event["reason"]),
                (address, "u@isp", "s1", "terminate"))
            again.close()
        last = self.agent(self.ha1)
        last.wait_events(1)
        last.do("released", address=address)
        self.assertNotIn(address, self.states())
        self.ha1.kill9()
        self.ha1.start()
        self.assertEqual(len(self.agent(self.ha1).events), 0)

    def test_a_handoff_ends_with_the_peers_request(self):
        gateway = self.agent(self.ha1)
        address = gateway.request("u@isp", session="s1")
        self.assertEqual(self.ha2.ctl("request", "u@isp", "--address", address).returncode, 4)
        first, second = gateway.wait_events(2)
        self.assertEqual((first["event"], first["reason"]), ("release", "handoff"))
        self.assertEqual((second["event"], second["address"]), ("release-cancelled", address))
        gateway.close()
        later = self.agent(self.ha1)
        self.assertEqual(len(later.list()), 1)
        self.assertEqual(later.events, [])

    def states(self):
        return {row["address"]: row["state"] for row in self.ha1.look("show", "sessions")["sessions"]}

    def test_the_daemon_has_waited(self):
        """A timeout that it answers ends ipspctl as one of its own does."""
        gateway = self.agent(self.ha1)
        address = gateway.request("u@isp", session="s1")
        done = self.ha2.ctl("request", "u@isp", "--address", address)  # the event is not answered
        self.assertEqual((done.returncode, done.stderr.split(":")[1].strip()), (4, "timeout"))
        done = self.ha2.ctl("--json", "request", "u@isp", "--address", address)
        self.assertEqual((done.returncode, json.loads(done.stdout)["error"]), (4, "timeout"))

    def refused(self, speaker, error, **words):
        began = time.monotonic()
        answer = speaker.do("request", **words)
        self.assertEqual((answer["ok"], answer.get("error")), (False, error), answer)
        self.assertTrue(answer["message"])
        return time.monotonic() - began

    def test_what_a_session_has_it_keeps(self):
        """Another address or pool than it has is invalid; the same again is what it has."""
        for host in (self.ha1, self.ha2):
            gateway = self.agent(host)
            address = gateway.request("u@isp", session="s1")
            pool = gateway.list()[0]["pool"]
            self.assertEqual(pool, "pool-a")
            for words in ({"address": "10.2.0.9"}, {"pool": "pool-b"}, {"pool": "pool-b", "address": "10.2.0.9"}):
                self.refused(gateway, "invalid", subscriber="u@isp", session="s1", **words)
            for words in ({}, {"address": address}, {"pool": pool}, {"pool": pool, "address": address}):
                self.assertEqual(gateway.request("u@isp", session="s1", **words), address)
            self.assertEqual([row["address"] for row in gateway.list()], [address])

    def test_what_is_kept_for_somebody_else(self):
        """Held or in quarantine it is in-use, on both sides; its own subscriber gets it."""
        for pool, address in (("held", "10.3.0.7"), ("cooled", "10.4.0.7")):
            gateway, there = self.agent(self.ha1), self.agent(self.ha2)
            self.assertEqual(gateway.request("u@isp", session="s1", address=address), address)
            self.assertTrue(gateway.do("release", address=address, subscriber="u@isp", session="s1")["ok"])
            for speaker in (gateway, there):
                self.refused(speaker, "in-use", subscriber="v@isp", address=address)
                self.refused(speaker, "in-use", subscriber="v@isp", address=address, pool=pool)
            self.assertEqual(self.ha1.ctl("request", "v@isp", "--address", address).returncode, 1)
            self.assertEqual(there.request("u@isp", session=pool, address=address), address)

    def test_names_have_bounds(self):
        """253 bytes of UTF-8 without control characters, each."""
        gateway = self.agent(self.ha1)
        longest = "\N{LATIN SMALL LETTER A WITH DIAERESIS}" * 126 + "x"
        gateway.request(longest, session=longest)
        self.assertEqual(gateway.list()[0]["session"], longest)
        for words in ({"subscriber": longest + "x"}, {"subscriber": "u", "session": longest + "x"},
                      {"subscriber": ""}, {"subscriber": "a\u0001b"}, {"subscriber": "u", "session": "\u0085"},
                      {"subscriber": 7},
                      {"subscriber": "u", "address": "10.1.0"}):
            self.refused(gateway, "invalid", **words)
        self.assertEqual(len(gateway.list()), 1)

    def test_one_connection_for_a_name(self):
        """A second attach cuts the first off, whose agent ends with 3; so does one whose daemon goes."""
        first = self.agent(self.ha1)
        address = first.request("u@isp", session="s1")
        second = self.agent(self.ha1)
        self.two.loop.until(lambda: first.exit_status is not None, 10, "the first agent to end")
        self.assertEqual(first.exit_status, 3)
        self.assertEqual([row["address"] for row in second.list()], [address])
        self.ha1.kill9()
        self.two.loop.until(lambda: second.exit_status is not None, 10, "the second agent to end")
        self.assertEqual(second.exit_status, 3)
        self.ha1.start()

    def test_the_peer_is_not_there_to_be_asked(self):
        """no-primary at once, without waiting for the request timeout: after an orderly stop as well as
        after it was lost."""
        there, here = self.agent(self.ha2, "there"), self.agent(self.ha1)
        address = there.request("u@isp", session="s1")
        here.request("k@isp")
        self.ha2.stop()
        self.assertLess(self.refused(here, "no-primary", subscriber="u@isp", address=address), 1.4)
        self.two.loop.until(lambda: self.ha1.status()["peer"]["state"] != "up", 20, "the peer to be gone")
        self.assertLess(self.refused(here, "no-primary", subscriber="u@isp", address=address), 1.4)
        self.assertEqual(self.ha1.ctl("request", "u@isp", "--address", address).returncode, 1)

    def script(self, output=process.subprocess.PIPE, build=None):
        """An agent as the child of a script, whose pipes are the test's."""
        script = process.spawn(
            [process.program("ipspctl", build), "-s", self.ha1.socket, "agent"],
            stdin=process.subprocess.PIPE, stdout=output, bufsize=0)
        self.addCleanup(process.stop, script)
        self.addCleanup(script.stdin.close)
        if script.stdout:
            self.addCleanup(script.stdout.close)
        return script

    def read_to_its_end(self, script, seconds=IDLE_S):
        """What it says from now on. There is no limit but on how long it says nothing."""
        said = []
        while select.select([script.stdout], [], [], seconds)[0]:
            data = script.stdout.read(1 << 20)
            if not data:
                self.assertEqual(script.wait(IDLE_S), 0)
                lines = [json.loads(line) for line in b"".join(said).split(b"\n") if line]
                return [line["id"] for line in lines if "id" in line]
            said.append(data)
        self.fail(f"the agent and its script wait for each other, after {sum(map(len, said))} bytes")

    def write_all(self, script, data):
        """Without reading: it takes all, however long, as long as it takes some."""
        os.set_blocking(script.stdin.fileno(), False)
        while data:
            self.assertTrue(select.select([], [script.stdin], [], IDLE_S)[1], f"{len(data)} bytes are not taken")
            data = data[script.stdin.write(data):]
        script.stdin.close()

    @staticmethod
    def releases(number):
        return b"".join(b'{"id":%d,"op":"release","address":"10.1.9.9","session":"%s"}\n' % (n, b"x" * 100)
                        for n in range(number))

    def test_a_script_that_writes_before_it_reads(self):
        """It waits in its write until all is taken, and reads none of the answers meanwhile."""
        script = self.script()
        self.write_all(script, self.releases(20000))
        self.assertEqual(self.read_to_its_end(script), list(range(20000)))

    def test_a_script_that_reads_much_at_once(self):
        """The agent has come to its bound of what is unread, has the last answers of the daemon in its hands,
        and all that it had kept goes out at once: it goes on with those."""
        mib = 1 << 20  # the bound, and what a pipe holds at most
        first = self.script()
        self.write_all(first, self.releases(1))
        line = len(first.stdout.read().splitlines()[-1]) + 4
        for more, pause in (30, 1), (60, 1), (90, 32):
            output, end = os.pipe()
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, mib)
            os.write(end, b"\n" * mib)  # so nothing goes out before it is read
            script = self.script(end)
            os.close(end)
            script.stdout = os.fdopen(output, "rb", buffering=0)
            self.addCleanup(script.stdout.close)
            number = mib // line + more
            self.write_all(script, self.releases(number))
            time.sleep(pause)  # the longest is more than an agent waits for its daemon
            self.assertEqual(self.read_to_its_end(script, 20), list(range(number)))  # it gives up after 30 s

    def test_an_agent_keeps_no_more_than_is_unread(self):
        """Its script reads all the time, and is always behind."""
        script = self.script(build=process.packaged_folder())
        unsent, got, memory, end = b"", 0, [], time.monotonic() + 2 * IDLE_S
        os.set_blocking(script.stdin.fileno(), False)
        while got < 24 << 20:
            self.assertLess(time.monotonic(), end, f"it said {got} bytes")
            if select.select([], [script.stdin], [], 0)[1]:
                unsent = unsent or self.releases(1000)
                unsent = unsent[script.stdin.write(unsent):]
            elif self.in_pipe(script) < 60000:
                time.sleep(0.001)  # less than a full pipe: there would be no more behind it
            else:
                got += len(script.stdout.read(4096))
                if len(memory) < got >> 20:
                    memory.append(process.memory(script.pid))
        self.say(f"memory of the agent, a line for a MiB that it said: {[size >> 20 for size in memory]}")
        self.assertLess(max(memory[16:]) - max(memory[10:16]), 2 << 20)

    @staticmethod
    def in_pipe(script):
        size = array.array("i", [0])
        fcntl.ioctl(script.stdout, termios.FIONREAD, size)
        return size[0]


if __name__ == "__main__":
    sys.exit(main())
