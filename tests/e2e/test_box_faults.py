#!/usr/bin/env python3
"""What may go wrong around ipspd under a real systemd, and an upgrade that goes right."""

import sys

from harness.boxes import BoxCase
from harness.pair import main

QUICK = {"dead-interval = 3600;": "dead-interval = 3600; hello-interval-ms = 200;"}
STATE = "/var/lib/ipspd"


class Upgrade(BoxCase):
    def test_by_systemctl(self):
        """Restart, reload, stop, new software, start: no session loses its address but to its mover."""
        hosts = self.hosts(**QUICK)
        for host in reversed(hosts):
            host.start()
        self.wait_sharing(hosts)
        first, second = hosts
        addresses = [first.do("request", f"u{n}@isp").strip() for n in range(3)]
        for verb in ("restart", "reload"):
            first.check("systemctl", verb, "ipspd")
            self.wait_sharing(hosts)
            self.assertEqual(self.listed(first), set(addresses), verb)
        for n, address in enumerate(addresses):
            self.assertEqual(second.do("request", f"u{n}@isp", "--address", address).strip(), address)
        self.wait(lambda: first.status()["role"] == "secondary" and first.status()["all-free"], 20,
                  lambda: f"the roles to be exchanged\n{first.log()}")
        first.check("systemctl", "stop", "ipspd")
        self.assertEqual((first.property("Result"), first.property("ExecMainStatus")), ("success", "0"))
        second.do("request", "meanwhile@isp")
        first.put()
        first.paste("systemctl daemon-reload; systemctl start ipspd")
        self.wait_sharing(hosts)
        self.assertEqual(self.listed(second) & set(addresses), set(addresses))
        first.do("request", "back@isp")
        for host in hosts:
            self.assertEqual(host.property("NRestarts"), "0")

    @staticmethod
    def listed(host):
        return {line.split()[0] for line in host.do("show", "sessions").splitlines() if "@isp" in line}


class FullDisk(BoxCase):
    SINK = ('sinks = ( { host = "192.0.2.2"; version = "3"; user = "ops"; auth-protocol = "SHA-256"; '
            'auth-passphrase-file = "/etc/ipspd/pass"; }')

    def test_full_at_the_start(self):
        """With a manager of SNMPv3, whose engine lives on that disk: it comes back by itself."""
        host = self.lone(**{"sinks = (": self.SINK})
        host.write("/etc/ipspd/pass", "passphrase-1\n", 0o600)
        host.paste(f"chown ipsp /etc/ipspd/pass; mkdir -p {STATE}; "
                   f"mount -t tmpfs -o size=8m,mode=700,uid=$(id -u ipsp),gid=$(id -g ipsp) tmpfs {STATE}; "
                   f"dd if=/dev/zero of={STATE}/fill bs=4096 2>/dev/null || true")
        host.run("systemctl", "start", "ipspd", "--no-block")
        self.wait(lambda: "room" in host.log() or "No space" in host.log() or "full" in host.log(), 20,
                  lambda: f"the disk to be named\n{host.log()}")
        self.assertNotEqual(host.property("ActiveState"), "failed", host.log())
        host.check("rm", f"{STATE}/fill")
        self.wait(lambda: (host.status() or {}).get("serving"), 30, lambda: f"service\n{host.log()}")
        self.wait(lambda: self.gives(host), 10, lambda: f"an address\n{host.log()}")

    @staticmethod
    def gives(host):
        return host.ctl("request", "u1@isp").returncode == 0


if __name__ == "__main__":
    sys.exit(main())
