#!/usr/bin/env python3
"""docs/operations.md, walked by pasting: from the installation to the upgrade, the way back and disabling.

The test plays what the page leaves to others: the build of the packages, the gateways and the AAA server. The transcript is
printed, command by command.
"""

import sys

from harness import box, debs, paste, process
from harness.boxes import ADDRESSES, NAMES, BoxCase, Installed
from harness.pair import main

PAGE = "docs/operations.md"
CHAPTERS = ("Install", "Configure", "Enabling before the upgrade", "Watching the drain", "The upgrade",
            "The way back", "Disabling")


class Walk(BoxCase):
    lasts = 40

    def test_from_the_installation_to_disabling(self):
        self.hosts_ = []
        for name in NAMES:
            self.hosts_.append(Installed(name))
            self.addCleanup(self.hosts_[-1].close)
        box.join([host.box for host in self.hosts_], ADDRESSES)
        first, second = self.hosts_
        done = []
        for chapter in CHAPTERS:
            found = paste.blocks(paste.section(PAGE, chapter))
            self.assertTrue(found, f"{PAGE}: nothing to paste in {chapter!r}")
            with self.subTest(chapter):
                done += paste.paste(found, self.hosts_, self.say, {
                    "docs/package.sh": lambda host: debs.put(host.box, debs.built()),
                    "drain --wait": self.drain,
                })
                getattr(self, "after_" + chapter.lower().replace(" ", "_"), lambda: None)()
        everything = paste.blocks(open(f"{process.TOP}/{PAGE}", encoding="utf-8").read())
        walked = sum((paste.blocks(paste.section(PAGE, chapter)) for chapter in CHAPTERS), [])
        left = [lines for block in everything if block not in walked for lines in block[1]]
        self.assertTrue(all("snmptranslate" in line for line in left), f"never pasted: {left}")
        self.assertEqual((first.status()["state"], second.status()), ("disabled", None))

    # ---------------------------------------------------------------- what others do

    def after_enabling_before_the_upgrade(self):
        """HA1's gateway has sessions."""
        self.wait_sharing(self.hosts_)
        self.addresses = {n: self.hosts_[0].do("request", f"u{n}@isp").strip() for n in range(5)}

    def drain(self, host):
        """Meanwhile the subscribers move to the other side, each with its address."""
        other = self.hosts_[1 - self.hosts_.index(host)]
        waiting = host.box.spawn("ipspctl", "drain", "--wait", "--timeout", "30")
        for n, address in self.addresses.items():
            moved = other.do("request", f"u{n}@isp", "--address", address).strip()
            self.assertEqual(moved, address)
        self.assertEqual(waiting.wait(40), 0, host.log())

    def after_watching_the_drain(self):
        self.assertEqual([host.status()["role"] for host in self.hosts_], ["secondary", "primary"])

    def after_the_upgrade(self):
        self.wait_sharing(self.hosts_)
        self.new_session(self.hosts_[0])

    def after_the_way_back(self):
        """As at the beginning: the roles, and both give addresses."""
        self.assertEqual([host.status()["role"] for host in self.hosts_], ["primary", "secondary"])
        for host in self.hosts_:
            self.wait(lambda host=host: self.shares(host), 20, lambda: host.log())
            self.new_session(host)

    def after_disabling(self):
        first = self.hosts_[0]
        first.check("systemctl", "restart", "ipspd")
        self.new_session(first)
        sessions = first.do("show", "sessions")
        for address in self.addresses.values():
            self.assertIn(address + " ", sessions)

    def new_session(self, host):
        """A session that lasts, on the side where it is asked for; the next drain moves it."""
        number = max(self.addresses) + 1
        self.addresses[number] = host.do("request", f"u{number}@isp").strip()


if __name__ == "__main__":
    sys.exit(main())
