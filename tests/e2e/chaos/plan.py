"""What is done to a pair and when: from the seed alone, so that the same seed gives the same plan.

A plan is a row of episodes. An episode has one chief fault, drawn from a shuffled deck of all of them that
is dealt out to the pairs, and up to two more that fall into its time; after one that lasts past the dead
interval often another in the middle of the healing. When all of its faults are over the pair must come to
rest before the next one begins.
"""

import random
from dataclasses import dataclass, field

CONTEXTS = 2

# Those that keep the two sides from hearing each other both ways, or may: a silence counts from there.
SILENCES = ("cut", "cut one way", "link down", "loss", "relay",
            "kill -9", "SIGSTOP", "SIGTERM", "failing flush", "reboot", "wipe")
# Its peer gives a side anew what it has lost; what comes of it when that one is not well is not covered.
ALONE = ("wipe",)


@dataclass
class Fault:
    kind: str
    at: float  # seconds after the begin of the episode
    lasts: float = 0.0  # 0: done at once
    side: int | None = None  # where; of a one-way cut and of loss: where nothing arrives
    context: int | None = None
    how: dict = field(default_factory=dict)

    @property
    def end(self):
        return self.at + self.lasts

    def places(self):
        """What it takes hold of; two faults at one time have nothing of this in common."""
        if self.kind in ("cut", "link down"):
            return {"in0", "in1"}
        if self.kind in ("cut one way", "loss"):
            return {f"in{self.side}"}
        if self.kind in ("kill -9", "SIGSTOP", "SIGTERM", "failing flush", "reboot", "wipe"):
            return {f"daemon{self.side}"}
        if self.kind in ("full disk", "slow flush"):
            return {f"disk{self.side}"}
        if self.kind in ("HA crash", "HA cut off", "HA hangs"):
            return {f"ha{self.side}.{self.context}"}
        return {f"{self.kind} {self.side}"}

    def words(self):
        where = "" if self.side is None else f" at ha{self.side + 1}"
        where += "" if self.context is None else f" in c{self.context}"
        how = "".join(f", {key} {value}" for key, value in self.how.items())
        lasts = f" for {self.lasts:.2f} s" if self.lasts else ""
        return f"{self.at:6.2f} s  {self.kind}{where}{lasts}{how}"


@dataclass
class Episode:
    number: int
    faults: list  # in the order of their beginnings
    rest: float  # seconds of undisturbed load after it

    def lasts(self):
        return max(fault.end for fault in self.faults)

    def words(self):
        return "\n".join([f"episode {self.number}"] + [f"  {fault.words()}" for fault in self.faults])


# (kind, does it last past the dead interval)
DECK = [
    ("cut", True), ("cut", True), ("cut", False), ("cut one way", True), ("cut one way", False),
    ("link down", False), ("loss", False), ("relay", False), ("relay", False),
    ("kill -9", True), ("kill -9", False), ("kill -9", False), ("SIGSTOP", True), ("SIGSTOP", False),
    ("SIGTERM", True), ("SIGTERM", False), ("reboot", True), ("reboot", False), ("wipe", False), ("full disk", False), ("failing flush", False),
    ("slow flush", False), ("clock step", False), ("HA crash", False), ("HA cut off", False),
    ("HA hangs", False), ("slow reader", False), ("drain", False),
    ("takeover", False), ("takeover --force", True),
]
# What may fall into the time of another fault.
BESIDES = [
    "loss", "relay", "kill -9", "kill -9", "reboot", "SIGSTOP", "cut", "cut one way", "full disk", "failing flush",
    "slow flush", "clock step", "HA crash", "HA cut off", "HA hangs", "drain", "takeover",
]
# What may come in the middle of a healing.
AGAIN = ["cut", "cut one way", "kill -9", "SIGSTOP", "failing flush", "HA crash"]


class Plan:
    """The episodes of pair @pair of @pairs."""

    def __init__(self, seed, pair, pairs, dead_s, only=None):
        self.dead_s = dead_s
        self._deck = [card for card in DECK if only in (None, card[0])]
        self._dealer = random.Random(f"{seed} deck")
        self._chance = random.Random(f"{seed} pair {pair}")
        self._pair, self._pairs = pair, pairs
        self._dealt = pair
        self._decks = []

    def _card(self):
        """The pairs take turns at one row of shuffled decks."""
        while self._dealt >= len(self._decks) * len(self._deck):
            self._decks.append(self._dealer.sample(self._deck, len(self._deck)))
        card = self._decks[self._dealt // len(self._deck)][self._dealt % len(self._deck)]
        self._dealt += self._pairs
        return card

    def episodes(self):
        number = 0
        while True:
            number += 1
            yield self._episode(number)

    def _episode(self, number):
        kind, long = self._card()
        faults = []
        if kind == "takeover --force":
            faults.append(self._fault("cut", 0.0, long))
            faults.append(self._fault(kind, self._chance.uniform(0.25, 0.8) * self.dead_s))
        else:
            faults.append(self._fault(kind, 0.0, long))
        for _ in range(0 if kind in ALONE else self._chance.choice((0, 0, 1, 1, 2))):
            beside = self._fault(self._chance.choice(BESIDES), 0.0)
            beside.at = self._chance.uniform(0, max(faults[0].lasts, 2.0))
            if not any(self._collide(beside, other) for other in faults):
                faults.append(beside)
        if long and self._chance.random() < 0.5:
            end = max(fault.end for fault in faults)
            again = self._fault(self._chance.choice(AGAIN), end + self._chance.uniform(0.02, 0.6),
                                self._chance.random() < 0.2)
            faults.append(again)
        return Episode(number, sorted(faults, key=lambda fault: fault.at),
                       self._chance.uniform(0.3, 1.5))

    @staticmethod
    def _collide(one, other):
        return bool(one.places() & other.places()) and one.at <= other.end and other.at <= one.end

    def _fault(self, kind, at, long=False):
        chance = self._chance
        fault = Fault(kind, at, side=chance.randrange(2))
        short = chance.uniform(0.2, min(6.0, self.dead_s * 0.4))
        if kind in ("cut", "link down", "relay"):
            fault.side = None if kind != "link down" else fault.side
            fault.lasts = short
        elif kind == "takeover --force":
            pass
        elif kind in ("clock step", "HA crash", "HA cut off", "takeover"):
            pass
        elif kind in ("kill -9", "reboot", "wipe"):
            fault.lasts = chance.uniform(0.05, min(2.0, self.dead_s * 0.3))
        elif kind == "failing flush":
            fault.lasts = chance.uniform(1.5, 3.0)  # sessions are flushed within a second
        elif kind == "slow reader":
            fault.lasts = 3.0
        else:
            fault.lasts = short
        if long and fault.lasts:
            fault.lasts = self.dead_s + chance.uniform(1.5, 5.0)
        if kind.startswith("HA"):
            fault.context = chance.randrange(CONTEXTS)
        fault.how = self._how(kind)
        return fault

    def _how(self, kind):
        chance = self._chance
        if kind == "loss":
            return {"percent": chance.choice((5, 10, 20, 30))}
        if kind == "relay":
            return {
                "delay": [0, chance.choice((5, 50, 200))], "repeat": chance.choice((0, 0.1, 0.4)),
                "corrupt": chance.choice((0, 0.05, 0.2)), "replay": chance.choice((0.05, 0.3)),
            }
        if kind == "slow flush":
            return {"ms": chance.choice((20, 100, 300))}
        if kind == "clock step":
            return {"seconds": chance.choice((-86400 * 400, -3600, -61, 0, 59, 3600, 86400 * 4000))}
        return {}
