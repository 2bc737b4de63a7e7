#!/usr/bin/env python3
"""Requests behind a release on one control connection, and around a release event that the gateway has not
read yet: an address never gets a second session on the way.

Here the gateway is the test itself, line by line; the pools are so small that a wrong answer has nowhere
to hide.
"""

import sys

from harness.agent import Agent
from harness.pair import Case, main

ONE = {"name": "pool-a", "range": ["10.1.0.1", "10.1.0.1"]}
TWO = {"name": "pool-a", "range": ["10.1.0.1", "10.1.0.2"]}


class Lines:
    """An agent whose answers and events are kept as they came."""

    def __init__(self, pair, number):
        self._loop = pair.loop
        self.answers = {}  # id -> line
        self.events = []  # without those of state
        self.order = []  # ids in the order of their answers
        self._agent = Agent(pair.loop, pair.hosts[number], f"ha{number + 1}", self._line,
                            lambda status: None)
        self.send({"id": "attached", "op": "list"})
        self.wait("attached")
        self.close = self._agent.close

    def send(self, *messages):
        self._agent.send(*messages)

    def _line(self, line):
        if "event" not in line:
            self.answers[line["id"]] = line
            self.order.append(line["id"])
        elif line["event"] != "state":
            self.events.append(line)

    def wait(self, *ids):
        """The answers to @ids."""
        self._loop.until(lambda: all(i in self.answers for i in ids), 20,
                         lambda: f"the answers to {ids}: {self.answers}")
        return [self.answers[i] for i in ids]

    def wait_event(self, name="release"):
        self._loop.until(lambda: any(e["event"] == name for e in self.events), 20, f"a {name} event")
        return next(event for event in self.events if event["event"] == name)

    def listed(self):
        self.answers.pop("listed", None)
        self.send({"id": "listed", "op": "list"})
        return {row["address"]: (row["subscriber"], row["session"])
                for row in self.wait("listed")[0]["sessions"]}


def request(number, subscriber, session, address=None):
    line = {"id": number, "op": "request", "subscriber": subscriber, "session": session}
    return dict(line, address=address) if address else line


class Pipeline(Case):
    def lines(self, *pools):
        self.two = self.pair(trapd=False)
        for host in self.two.hosts:
            host.config.pools = [dict(pool) for pool in pools]
        self.two.start(block_size=1)
        both = [Lines(self.two, number) for number in (0, 1)]
        for lines in both:
            self.addCleanup(lines.close)
        return both

    def test_request_behind_a_release(self):
        """The one address goes from session to session 100 times, all of it written at once."""
        first, _ = self.lines(ONE)
        first.send(request(0, "u0@isp", "s0"))
        address = first.wait(0)[0]["address"]
        batch = []
        for number in range(1, 100):
            batch.append({"id": f"r{number}", "op": "release", "address": address})
            batch.append(request(number, f"u{number}@isp", f"s{number}"))
        first.send(*batch)
        answers = first.wait(*(line["id"] for line in batch))
        for answer in answers:
            self.assertTrue(answer["ok"], answer)
        self.assertEqual({answer["address"] for answer in answers if "address" in answer}, {address})
        self.assertEqual(first.order[2:], [line["id"] for line in batch])
        self.assertEqual(first.listed(), {address: ("u99@isp", "s99")})

    def test_request_behind_a_release_of_the_peers_address(self):
        """The same on the secondary, which had to ask for the address."""
        first, second = self.lines(ONE)
        second.send(request(0, "u0@isp", "s0"))
        address = second.wait(0)[0]["address"]
        second.send({"id": "r", "op": "release", "address": address},
                    request(1, "u1@isp", "s1"), request(2, "u2@isp", "s2"))
        released, one, two = second.wait("r", 1, 2)
        self.assertTrue(released["ok"])
        self.assertEqual([answer["ok"] for answer in (one, two)], [True, False])
        self.assertEqual(two["error"], "exhausted")
        self.assertEqual(second.listed(), {address: ("u1@isp", "s1")})
        self.assertEqual(first.listed(), {})

    def handoff(self, *pools):
        """u1 has a session on the primary and comes to the secondary with its address: the event has
        been sent, and the gateway on the primary has not answered."""
        first, second = self.lines(*pools)
        first.send(request(1, "u1@isp", "old"))
        address = first.wait(1)[0]["address"]
        second.send(request(1, "u1@isp", "new", address))
        event = first.wait_event()
        self.assertEqual((event["address"], event["subscriber"], event["session"], event["reason"]),
                         (address, "u1@isp", "old", "handoff"))
        return first, second, address

    def check_moved(self, first, second, address, answers):
        """u1 has its address on the secondary; whatever the primary gave is another one."""
        moved = second.wait(1)[0]
        self.assertTrue(moved["ok"], moved)
        self.assertEqual(moved["address"], address)
        given = {answer["address"] for answer in answers if answer["ok"] and "address" in answer}
        self.assertNotIn(address, given)
        self.assertEqual(second.listed(), {address: ("u1@isp", "new")})
        self.assertEqual(set(first.listed()), given)

    def test_request_before_the_event_was_read(self):
        """The gateway asks for the same session again, which is not confirmed with an address that
        it is about to lose."""
        first, second, address = self.handoff(TWO)
        first.send(request(2, "u1@isp", "old"), request(3, "u9@isp", "s9", address))
        for _ in range(20):
            self.two.loop.turn(0.02)
        self.assertNotIn(2, first.answers, "answered while the release was open")
        self.assertNotIn(3, first.answers, "answered while the release was open")
        first.send({"op": "released", "address": address})
        again, other = first.wait(2, 3)
        self.assertTrue(again["ok"], again)
        self.assertFalse(other["ok"], "it went to u1 on the other side")
        self.check_moved(first, second, address, [again, other])

    def test_request_behind_the_answer_to_the_event(self):
        first, second, address = self.handoff(TWO)
        first.send({"op": "released", "address": address}, request(2, "u1@isp", "old"))
        self.check_moved(first, second, address, first.wait(2))

    def test_request_behind_the_answer_with_nothing_left(self):
        first, second, address = self.handoff(ONE)
        first.send({"op": "released", "address": address}, request(2, "u9@isp", "s9"))
        answer = first.wait(2)[0]
        self.assertFalse(answer["ok"], answer)
        self.check_moved(first, second, address, [answer])

    def test_own_release_that_crosses_the_event(self):
        """u1 left by itself at the same moment: release, a new session, then the answer to the event,
        which must not end that session."""
        first, second, address = self.handoff(TWO)
        first.send({"id": "r", "op": "release", "address": address},
                   request(2, "u9@isp", "s9"),
                   {"op": "released", "address": address})
        released, other = first.wait("r", 2)
        self.assertTrue(released["ok"], released)
        self.assertTrue(other["ok"], other)
        self.check_moved(first, second, address, [other])
        self.assertEqual(first.listed()[other["address"]], ("u9@isp", "s9"))

    def test_answer_that_is_too_late(self):
        """The peer's request has ended by its timeout, u1 has left and u9 has the address: an answer
        to an event that is no longer open changes nothing."""
        first, second, address = self.handoff(ONE)
        first.wait_event("release-cancelled")
        self.assertEqual(second.wait(1)[0]["error"], "timeout")
        first.send({"id": "r", "op": "release", "address": address}, request(2, "u9@isp", "s9"),
                   {"op": "released", "address": "10.1.0.1"}, {"id": "after", "op": "list"})
        released, other, _ = first.wait("r", 2, "after")
        self.assertTrue(released["ok"])
        self.assertTrue(other["ok"])
        self.assertEqual(first.listed(), {address: ("u9@isp", "s9")})
        second.send(request(2, "u2@isp", "s2", address))
        self.assertEqual(second.wait(2)[0]["error"], "in-use")


if __name__ == "__main__":
    sys.exit(main())
