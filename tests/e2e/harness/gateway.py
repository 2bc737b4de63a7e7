"""A gateway (HA) as interface.md wants one to be: it pipelines, answers release events, and after a
break compares what ipspd lists with what it has before it asks for anything new."""

import time
from collections import Counter, deque
from dataclasses import dataclass

from .agent import Agent

WINDOW = 256
RETRY_S = 0.2
# Refused for now: the same request asked again goes on. Anything else is an answer.
PASSING = ("timeout", "locked", "no-primary", "not-approved", "overloaded")


@dataclass
class Job:
    op: str
    address: str | None = None
    subscriber: str = ""
    session: str = ""
    pool: str | None = None
    tries: int = 0
    leftover: bool = False  # a release of what ipspd lists and this gateway no longer has

    def message(self, number):
        words = {"id": number, "op": self.op}
        for key in ("subscriber", "session", "address", "pool"):
            if getattr(self, key):
                words[key] = getattr(self, key)
        return words


class Gateway:
    def __init__(self, name, host, loop, ledger, patient=True, context=None, window=WINDOW):
        self.name = name
        self.host = host
        self.ledger = ledger
        self.patient = patient  # asks again when refused for now
        self.context = context  # None: the host's first
        self.window = window  # so many requests in flight
        self.states = []  # (when, role, state) of every state event
        self.answers = True  # release events
        self.asked = Counter()  # address -> how often a release event with reason handoff came
        self.reasons = Counter()
        self.refused = []  # (job, error, message)
        self.lost = []  # what ipspd had acknowledged and no longer knew: must stay empty
        self.attaches = 0
        self.attached = False
        self.exit_status = None
        self._loop = loop
        self._agent = None
        self._number = 0
        self._waiting = deque()
        self._later = deque()  # (when, job)
        self._flying = {}
        self._list_number = None
        self._listed = None
        loop.each_turn(self._turn)

    # ---------------------------------------------------------------- what a test says

    def attach(self):
        self._agent = Agent(self._loop, self.host, self.name, self._line, self._ended,
                            self.context)
        self.attaches += 1
        self.attached = False
        self.ask_list()

    def request(self, subscriber, session, address=None, pool=None):
        self._waiting.append(Job("request", address, subscriber, session, pool))

    def release(self, address):
        """The session that has @address ends here, now."""
        self.ledger.drop(address, self.name)
        self._waiting.append(Job("release", address))

    def ask_list(self):
        self._listed = None
        self._list_number = self._next_number()
        self._agent.send({"id": self._list_number, "op": "list"})

    def listed(self):
        """The answer to ask_list, None until it has come."""
        return self._listed

    def sessions(self):
        return self.ledger.of(self.name)

    def open_jobs(self):
        return len(self._waiting) + len(self._later) + len(self._flying)

    def idle(self):
        return self.attached and self.open_jobs() == 0

    def agent_pid(self):
        return self._agent.pid

    def connected(self):
        return self._agent is not None

    def close(self):
        if self._agent:
            self._agent.close()
            self._agent = None
            self.attached = False

    # ---------------------------------------------------------------- the connection

    def _next_number(self):
        self._number += 1
        return self._number

    def _turn(self):
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._waiting.append(self._later.popleft()[1])
        if not self.attached:
            return
        while self._waiting and len(self._flying) < self.window:
            job = self._waiting.popleft()
            number = self._next_number()
            self._flying[number] = job
            self._agent.send(job.message(number))

    def _ended(self, status):
        self.exit_status = status
        self._agent = None
        self.attached = False
        self._waiting.extendleft(reversed(self._flying.values()))
        self._flying.clear()

    def _line(self, line):
        if "event" in line:
            if line["event"] == "release":
                if self.answers:
                    self._asked_to_release(line)
            elif line["event"] == "state":
                self.states.append((time.monotonic(), line["role"], line["state"]))
        elif line["id"] == self._list_number:
            self._list_came(line)
        else:
            self._answered(self._flying.pop(line["id"]), line)

    # ---------------------------------------------------------------- answers and events

    def _answered(self, job, line):
        if line["ok"]:
            if job.op == "request":
                self._granted(job, line["address"])
        elif line["error"] in PASSING and self.patient:
            job.tries += 1
            self._later.append((time.monotonic() + RETRY_S, job))
        elif not (job.leftover and line["error"] == "no-such-session"):
            # (a leftover that has gone meanwhile: its address was handed over before the release came)
            self.refused.append((job, line["error"], line.get("message", "")))

    def _granted(self, job, address):
        if job.address and job.address != address:
            raise AssertionError(f"{self.name} asked for {job.address} and was given {address}")
        self.ledger.take(address, self.name, job.subscriber, job.session)

    def _asked_to_release(self, line):
        address = line["address"]
        self.reasons[line["reason"]] += 1
        if line["reason"] == "handoff":
            self.asked[address] += 1
        if self.sessions().get(address) == (line["subscriber"], line["session"]):
            self.ledger.drop(address, self.name)  # first end the session, then say so
        answer = {"op": "released", "address": address}
        if sum(self.reasons.values()) % 2 and "number" in line:  # as those of the first version, and by number
            answer["number"] = line["number"]
        self._agent.send(answer)

    def _list_came(self, line):
        if not line["ok"]:
            raise AssertionError(f"{self.name}: list was refused: {line}")
        self._listed = {
            row["address"]: (row["subscriber"], row["session"]) for row in line["sessions"]
        }
        if not self.attached:
            self._compare()
            self.attached = True

    def _compare(self):
        """After attaching: release what this gateway doesn't have, ask for what is missing.

        A release whose answer was lost and that is no longer listed was carried out. It must not be
        sent again: by then the address may have another session.
        """
        self._waiting = deque(
            job for job in self._waiting if job.op != "release" or job.address in self._listed
        )
        have = self.sessions()
        asked_for = {(job.subscriber, job.session) for job in self._waiting}
        asked_for.update((job.subscriber, job.session) for _, job in self._later)
        leaving = {job.address for job in self._waiting if job.op == "release"}
        first = []
        for address, who in self._listed.items():
            if address not in have and who not in asked_for and address not in leaving:
                first.append(Job("release", address, leftover=True))
        for address, (subscriber, session) in have.items():
            if address not in self._listed:
                self.lost.append(address)
                first.append(Job("request", address, subscriber, session))
        self._waiting.extendleft(first)
