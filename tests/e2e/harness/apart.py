"""A ledger for tests in which both sides are alive and apart: an address may then have two holders, one on
each side, which the ledger writes down instead of failing. Once they are together again every one of these
must go away, and no new one may come."""

from .ledger import Ledger


class ApartLedger(Ledger):
    def __init__(self):
        super().__init__()
        self.apart = False  # the test says when a second holder is no fault
        self.twice = {}  # address -> (first holder, second holder): all that there ever were
        self._seconds = {}  # address -> the second holder, as long as there is one

    def take(self, address, gateway, subscriber, session):
        who = (gateway, subscriber, session)
        holder = self._holders.get(address)
        if not self.apart or holder is None or holder[0] == gateway:
            if self._seconds.get(address) != who:
                super().take(address, gateway, subscriber, session)
            return
        self.twice[address] = (holder, who)
        self._seconds[address] = who
        self._by_gateway[gateway][address] = (subscriber, session)
        self.takes += 1

    def drop(self, address, gateway):
        second = self._seconds.pop(address, None)
        if second is None:
            super().drop(address, gateway)
        elif second[0] == gateway:
            del self._by_gateway[gateway][address]
            self.drops += 1
        else:
            super().drop(address, gateway)
            self._holders[address] = second

    def open_twice(self):
        """The addresses that have two holders now."""
        return set(self._seconds)
