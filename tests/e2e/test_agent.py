#!/usr/bin/env python3
"""What the JSON lines of an agent promise, sentence by sentence, to a gateway made of a pipe."""

import itertools
import json
import sys

from harness.agent import Agent
from harness.pair import Case, main


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


if __name__ == "__main__":
    sys.exit(main())
