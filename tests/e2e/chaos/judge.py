"""The ledger of a pair under chaos, and the rules that it is judged by.

Who holds which address, by what the gateways have seen; unlike the ledger of the other tests it goes on
when an address has two holders, and says which of the declared exceptions it falls under:

  apart    each side has marked the other down after its dead interval, and both live
  away     the first holder's daemon was dead or stopped for a dead interval, its HA's sessions lived on
  one way  one side has marked the other down after its dead interval; the other still heard it, and had not
  alone    the same, without hearing it: its own silence was not over (it was restarted meanwhile, or its dead
           interval is the longer one), or it is a secondary that may not take over
  forced   takeover --force
  lost     the first holder's session has outlived its daemon's memory: the host was rebooted, or the state was
           wiped, and the gateway has not got it back yet. What was held for it has gone to its own
           subscriber, or in a healing to the side that had given it by a licence

All but the last need that the second holder's side had a licence when it gave the address (but for `forced`,
where the first one's may have been the licence). Anything else is a violation. A pair with equal
subscribers is no duplicate: the same node on both sides, which healing makes a handoff.
"""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

LATE_S = 2.0  # between what ipspd has said and what a gateway has read


@dataclass
class Double:
    """One address with two holders, on two sides."""

    address: str
    first: tuple  # (gateway, subscriber, session)
    second: tuple
    kind: str
    began: float
    same: bool  # one subscriber
    asked: list = field(default_factory=list)  # (gateway, reason) of release events meanwhile
    ended: float | None = None

    def words(self):
        return f"{self.address}: {self.first} and {self.second}, {self.kind}, asked {self.asked}"


class Judge:
    """Has the ledger's face for the gateways. @classify(first, second, address) names the exception or None,
    @fault(text) writes down what is wrong."""

    def __init__(self, classify, fault):
        self.fault = fault
        self._classify = classify
        self._holders = defaultdict(dict)  # address -> gateway -> (subscriber, session)
        self._by_gateway = defaultdict(dict)
        self.takes = 0
        self.drops = 0
        self.duplicates = Counter()  # by kind; "outside" too
        self.same = Counter()
        self.open = {}  # address -> Double
        self.closed = []  # doubles of this episode that have ended

    def take(self, address, gateway, subscriber, session):
        who = (subscriber, session)
        holders = self._holders[address]
        mine = holders.get(gateway)
        if mine == who:
            return
        if mine is not None:
            self.fault(f"{address} was given to {who} while {mine} holds it, both on {gateway}")
            self.duplicates["outside"] += 1
        for other, (its_subscriber, its_session) in list(holders.items()):
            if other != gateway:
                self._twice(address, (other, its_subscriber, its_session),
                            (gateway, subscriber, session))
        holders[gateway] = who
        self._by_gateway[gateway][address] = who
        self.takes += 1

    def _twice(self, address, first, second):
        same = first[1] == second[1]
        kind = self._classify(first[0], second[0], address)
        if kind is None:
            kind = "outside"
            self.fault(f"{address} was given to {second} while {first} holds it, outside of the window")
        (self.same if same else self.duplicates)[kind] += 1
        if not (same and kind == "outside"):
            self.open[address] = Double(address, first, second, kind, time.monotonic(), same)
        else:
            self.duplicates[kind] += 1

    def asked(self, address, gateway, reason):
        """A release event came to @gateway."""
        if address in self.open:
            self.open[address].asked.append((gateway, reason))

    def drop(self, address, gateway):
        holders = self._holders[address]
        if gateway not in holders:
            self.fault(f"{gateway} gives up {address}, which {holders} hold")
            return
        del holders[gateway]
        del self._by_gateway[gateway][address]
        self.drops += 1
        double = self.open.pop(address, None)
        if double:
            double.ended = time.monotonic()
            self.closed.append(double)

    def of(self, gateway):
        return self._by_gateway[gateway]

    def holder(self, address):
        for gateway, who in self._holders[address].items():
            return (gateway, *who)
        return None

    def __len__(self):
        return sum(len(holds) for holds in self._by_gateway.values())
