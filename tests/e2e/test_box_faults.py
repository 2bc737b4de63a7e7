#!/usr/bin/env python3
"""What may go wrong around ipspd under a real systemd: a disk, a group, a journal; and an upgrade that goes right."""

import sys

from harness.boxes import CONFIG, BoxCase
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


class LateGroup(BoxCase):
    def test_made_after_the_start(self):
        """Nobody restarts anything: the group comes, and its members are let in."""
        host = self.lone(**{'group = "ipsp"': 'group = "operators"'})
        host.start()
        host.wait_log("operators")
        self.assertEqual(host.ctl("show", "ip", "ipsp").returncode, 0, "root is let in")
        host.check("groupadd", "operators")
        host.check("useradd", "--groups", "operators", "alice")
        host.check("useradd", "mallory")
        self.wait(lambda: host.ctl("show", "ip", "ipsp", user="alice").returncode == 0, 30,
                  lambda: f"alice to be let in\n{host.log()}")
        self.assertNotEqual(host.ctl("show", "ip", "ipsp", user="mallory").returncode, 0)
        self.assertEqual(host.property("NRestarts"), "0")


class Journal(BoxCase):
    def test_one_that_stands_still(self):
        """journald stops: ipspd goes on, the peer hears it, and the journal says later what it lacks."""
        hosts = self.hosts(**QUICK)
        hosts[0].drop_in("LogRateLimitIntervalSec=0")  # journald's own losses are not the matter here
        for host in reversed(hosts):
            host.start()
        self.wait_sharing(hosts)
        host = hosts[0]
        good = host.read(CONFIG)
        pid = host.property("MainPID")
        host.check("systemctl", "kill", "--signal=STOP", "systemd-journald")
        host.write(CONFIG, good + "".join(f"wrong-key-{n} = {n};\n" for n in range(100)))
        host.paste(f"for n in $(seq 700); do kill -HUP {pid}; sleep 0.003; done")
        self.loop_turns(hosts)
        host.write(CONFIG, good)
        host.check("systemctl", "kill", "--signal=CONT", "systemd-journald")
        self.wait(lambda: host.run("sh", "-c", "journalctl -u ipspd -o cat | grep 'lost here'").stdout, 20,
                  "the number of lines that were lost")

    def loop_turns(self, hosts):
        """For longer than the loss time both answer, and hear each other."""
        for _ in range(6):
            self.wait(lambda: self.shares(hosts[0]) and self.shares(hosts[1]), 1, "both to share")
            hosts[0].check("sleep", "0.5")


if __name__ == "__main__":
    sys.exit(main())
