"""The ledger: who holds which address, by what the gateways have seen, and never two of them.

It is kept apart from everything that ipspd says of itself. A gateway writes here that it holds an
address when it has read the answer that gives it, and that it doesn't any more *before* it tells
ipspd so. Two holders at one moment are therefore two holders in fact.
"""

from collections import defaultdict


class Violation(AssertionError):
    """An address has two holders, or one that it should not have."""


class Ledger:
    def __init__(self):
        self._holders = {}  # address -> (gateway's name, subscriber, session)
        self._by_gateway = defaultdict(dict)  # the same: name -> address -> (subscriber, session)
        self.takes = 0
        self.drops = 0

    def take(self, address, gateway, subscriber, session):
        """@gateway holds @address now. To be told so again is harmless."""
        who = (gateway, subscriber, session)
        holder = self._holders.get(address)
        if holder == who:
            return
        if holder is not None:
            raise Violation(f"{address} was given to {who} while {holder} holds it")
        self._holders[address] = who
        self._by_gateway[gateway][address] = (subscriber, session)
        self.takes += 1

    def drop(self, address, gateway):
        """@gateway holds @address no longer."""
        holder = self._holders.get(address)
        if holder is None or holder[0] != gateway:
            raise Violation(f"{gateway} gives up {address}, which {holder} holds")
        del self._holders[address]
        del self._by_gateway[gateway][address]
        self.drops += 1

    def of(self, gateway):
        """What @gateway holds: address -> (subscriber, session); not to be changed, changes by itself."""
        return self._by_gateway[gateway]

    def holder(self, address):
        return self._holders.get(address)

    def __len__(self):
        return len(self._holders)
