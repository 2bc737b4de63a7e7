#!/usr/bin/env python3
"""One whole upgrade on real daemons: 20,000 sessions there and back, nothing disturbed."""

import sys

from harness.pair import Case, main
from harness.upgrade import Upgrade


class OnTheCable(Case):
    lasts = 10
    namespaces = True

    def test_there_and_back(self):
        Upgrade(self, self.pair()).run()


class OnTheLoopback(Case):
    """The same without any privilege, and smaller."""

    def test_there_and_back(self):
        Upgrade(self, self.pair(), old=1000, new=100, after=10).run()


if __name__ == "__main__":
    sys.exit(main())
