"""Sessions that begin, move and end on one gateway, and the proof that new ones are served."""

import os
import signal
import time
from collections import Counter

from harness.gateway import Gateway

OPEN_MOST = 12  # jobs in flight or waiting for another try
PROBE_S = 0.25
# What a request may be refused with when faults are about, beside those that the gateway asks again.
FAIR = ("in-use", "exhausted", "disabled", "draining")


class Ha(Gateway):
    """A gateway that can crash and hang, and that knows when a new session was last served."""

    def __init__(self, side, context, host, loop, judge, fault):
        super().__init__(f"ha{side + 1}-c{context}", host, loop, judge, context=f"c{context}")
        self.side = side
        self.number = context
        self.served_at = 0.0  # when a new session last got an address
        self.stuck_since = None  # it hangs, or is not attached
        self.refusals = Counter()
        self.grants = 0
        self.retry_at = 0.0
        self._fault = fault
        self._names = 0
        self._probe = None
        self.on_new = None  # (gateway, when the request was made): a new session was served
        self.hanging = False
        self._silenced = False
        self._forgotten = False  # the daemon has lost its sessions since it was last attached to
        self.recovered = 0  # sessions asked for again after that
        self.recovers = set()  # addresses that it has and ipspd doesn't know yet, or has given away

    def name_of_next(self, what="u"):
        self._names += 1
        return f"{what}{self._names}-{self.name}"

    def attach(self):
        self._silenced = False
        super().attach()

    def keep_attached(self, now):
        """Attaches where there is no connection and the daemon is there to be attached to."""
        if self.connected() or now < self.retry_at or not os.path.exists(self.host.socket):
            return
        self.retry_at = now + 0.3
        self.attach()

    def request(self, subscriber, session, address=None, pool=None):
        super().request(subscriber, session, address, pool)
        self._waiting[-1].made_at = time.monotonic()

    # ---------------------------------------------------------------- faults

    def crash(self):
        """The gateway dies with its sessions; what was on its way to it is not read any more."""
        self.cut_off(read_on=False)
        for address in list(self.sessions()):
            self.ledger.drop(address, self.name)
        self._waiting.clear()
        self._later.clear()
        self._flying.clear()
        self._probe = None

    def cut_off(self, read_on=True):
        """Only the connection dies; the sessions live."""
        self._silenced = not read_on
        if self._agent:
            os.kill(self._agent.pid, signal.SIGKILL)
            if not read_on:
                self.close()

    def hang(self):
        self.hanging = True
        self.stuck_since = time.monotonic()
        if self._agent:
            os.kill(self._agent.pid, signal.SIGSTOP)

    def go_on(self):
        self.hanging = False
        if self._agent:
            try:
                os.kill(self._agent.pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def forgotten(self):
        self._forgotten = True
        self.recovers = set(self.sessions())

    def _compare(self):
        super()._compare()
        if self._forgotten:
            self.recovers = set(self.lost)
            self.recovered += len(self.lost)
            self.lost.clear()
        else:  # it went again before it could answer for all that it had forgotten
            self.lost[:] = [address for address in self.lost if address not in self.recovers]
        self._forgotten = False

    def _has_lost(self, job):
        """What its daemon has forgotten was given to another meanwhile: the session ends."""
        if self.sessions().get(job.address) == (job.subscriber, job.session):
            self.ledger.drop(job.address, self.name)
        self.recovers.discard(job.address)

    def able(self):
        return self.attached and not self.hanging

    def quiet(self):
        """Nothing is open but a probe."""
        return self.attached and self.open_jobs() <= (self._probe is not None)

    def open_words(self):
        jobs = [*self._waiting, *(job for _, job in self._later), *self._flying.values()]
        return f"{self.name}{'' if self.attached else ' (not attached)'}: {jobs[:5]}"

    # ---------------------------------------------------------------- what it hears

    def _line(self, line):
        if not self._silenced:
            super()._line(line)

    def _asked_to_release(self, line):
        self.ledger.asked(line["address"], self.name, line["reason"])
        super()._asked_to_release(line)

    def _granted(self, job, address):
        super()._granted(job, address)
        self.recovers.discard(address)
        self.grants += 1
        if not job.address:
            self.served_at = time.monotonic()
            self.on_new(self, job.made_at)
        if job.subscriber == self._probe:
            self._probe = None
            self.release(address)

    def sort_refusals(self):
        for job, error, message in self.refused:
            self.refusals[error] += 1
            if job.subscriber == self._probe:
                self._probe = None
            if job.op == "request" and job.address in self.recovers:
                self._has_lost(job)
            if error not in FAIR and not (job.op == "release" and error == "no-such-session"):
                self._fault(f"{self.name}: {job} was refused: {error}: {message}")
        self.refused.clear()

    def probe(self, now):
        """One request for a new session is always open, or was granted a moment ago."""
        if self._probe is None and self.attached and now - self.served_at > PROBE_S:
            self._probe = self.name_of_next("probe")
            self.request(self._probe, "probe")


class Load:
    """The sessions of one gateway: @goal() of them, ever new ones, some moving to @other."""

    def __init__(self, ha, other, chance, rate, goal):
        self.ha = ha
        self.other = other
        self.paused = True
        self._chance = chance
        self._rate = rate
        self._goal = goal
        self._next = 0.0
        self.moves = 0

    def turn(self, now):
        self.ha.sort_refusals()
        self.ha.probe(now)
        if self.paused or now < self._next or not self.ha.attached:
            return
        self._next = now + self._chance.expovariate(self._rate)
        if self.ha.open_jobs() < OPEN_MOST:
            self._one_step()

    def _one_step(self):
        sessions = self.ha.sessions()
        want = self._goal() - len(sessions)
        draw = self._chance.random()
        if want > 0 and draw < 0.8 or not sessions:
            for _ in range(min(max(want // 8, 1), 4)):
                self.ha.request(self.ha.name_of_next(), "s1")
        elif draw < 0.3 and self.other.attached and self.other.open_jobs() < OPEN_MOST:
            self._move()
        else:
            self.ha.release(self._chance.choice(list(sessions)))

    def _move(self):
        """A node leaves for the other side and asks there for the address that it has."""
        address = self._chance.choice(list(self.ha.sessions()))
        subscriber, _ = self.ha.sessions()[address]
        self.moves += 1
        self.other.request(subscriber, self.other.name_of_next("s"), address)
