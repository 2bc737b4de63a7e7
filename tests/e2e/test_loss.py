#!/usr/bin/env python3
"""The upgrade while 20 % of the datagrams are lost in both directions."""

import sys

from harness.pair import Case, main
from harness.upgrade import Upgrade

PERCENT = 20


class Lossy(Case):
    lasts = 70
    namespaces = True

    def test_loss(self):
        pair = self.pair()
        pair.net.lose(PERCENT)
        Upgrade(self, pair, patience=240).run()
        lost = pair.net.lost()
        self.say(f"{lost} datagrams were lost")
        self.assertGreater(lost, 100, "the loss was not there")
        repeated = sum(host.counters()["items-repeated"] for host in pair.hosts)
        self.assertGreater(repeated, 0, "nothing had to be repeated")


if __name__ == "__main__":
    sys.exit(main())
