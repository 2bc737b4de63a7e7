#!/usr/bin/env python3
"""The AAA step (O7) with a real FreeRADIUS: Debian's own configuration, the two files of conf/freeradius, and
the commands of docs/operations.md as they are written there.

The home agent that the answer to a subscriber's authentication names is where the subscriber's session goes,
as a PDSN/FA does it: to HA1 before the step, to HA2 after it, with the address that it has.
"""

import os
import re
import shutil
import signal
import sys
import unittest

from harness import net, process
from harness.host import total
from harness.pair import Case, main

PACKAGED = "/etc/freeradius/3.0"
SECRET = "testing123"
SERVICE = {"192.0.2.1": 0, "192.0.2.2": 1}  # the service addresses of the document's HA1 and HA2
SUBSCRIBERS = [f"u{number}@isp.example" for number in range(6)] + ["test@isp.example"]


class Freeradius:
    """The packaged server with its files in a folder of the test, on a port of its own."""

    def __init__(self, case):
        self.folder = os.path.join(case.folder, "freeradius")
        shutil.copytree(PACKAGED, self.folder, symlinks=True)
        self.log = os.path.join(case.folder, "freeradius.log")
        self._daemon = None
        with open(os.path.join(self.folder, "radiusd.conf"), encoding="utf-8") as file:
            text = file.read()
        for key, value in (("localstatedir", case.folder), ("logdir", case.folder), ("run_dir", case.folder),
                           ("raddbdir", self.folder)):
            text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
        text = re.sub(r"(?m)^\s*(user|group) = freerad$", "", text)  # whoever runs the test
        with open(os.path.join(self.folder, "radiusd.conf"), "w", encoding="utf-8") as file:
            file.write(text)
        ports = [self._listen_on_loopback(site) for site in ("inner-tunnel", "default")]
        self.port = ports[-1]  # the first of the default site is for authentication
        # profiles as an operator has them: each names the home agent that has served it so far
        with open(os.path.join(self.folder, "mods-config/files/authorize"), "a", encoding="utf-8") as file:
            for name in SUBSCRIBERS:
                file.write(f'{name} Cleartext-Password := "secret"\n'
                           "\t3GPP2-Home-Agent-IP-Address = 192.0.2.1\n")

    def _listen_on_loopback(self, site):
        """Each of the site's listeners gets a free port; returns the first one's."""
        path = os.path.join(self.folder, "sites-available", site)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        ports = []

        def another(_):
            ports.append(net.free_udp_port(["127.0.0.1"]))
            return f"\tport = {ports[-1]}"
        text = re.sub(r"(?m)^\s*ip(v6)?addr = \S+", "\tipaddr = 127.0.0.1", text)
        text = re.sub(r"(?m)^\s*port = \d+", another, text)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return ports[0]

    def start(self):
        with open(self.log, "ab") as log:
            self._daemon = process.spawn(
                ["freeradius", "-f", "-l", "stdout", "-d", self.folder], stdout=log, stderr=log)
        process.until(lambda: "Ready to process requests" in self.said(), 20,
                      lambda: f"freeradius\n{self.said()[-2000:]}")

    def reload(self):
        """What systemctl reload does: the file is checked, then SIGHUP."""
        checked = process.run(["freeradius", "-C", "-l", "stdout", "-d", self.folder])
        assert checked.returncode == 0, checked.stdout
        reloaded = 'Module: Reloaded module "home_agent"'
        before = self.said().count(reloaded)
        for _ in range(5):  # it takes no notice of a second one within two seconds, nor of the first two
            self._daemon.send_signal(signal.SIGHUP)
            try:
                process.until(lambda: self.said().count(reloaded) > before, 3, "the reload", least=0)
                return
            except process.TooLate:
                os.utime(os.path.join(self.folder, "home-agent"))
        raise AssertionError(f"freeradius doesn't reload\n{self.said()[-1000:]}")

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def home_agent(self, subscriber):
        """What a PDSN/FA is told: the attribute's value, by number and by name."""
        asked = process.run(
            ["radclient", "-x", f"127.0.0.1:{self.port}", "auth", SECRET],
            input=f'User-Name = "{subscriber}", User-Password = "secret"\n', stdin=None)
        assert "Access-Accept" in asked.stdout, asked.stdout + asked.stderr
        found = re.findall(r"3GPP2-Home-Agent-IP-Address = (\S+)", asked.stdout)
        assert len(found) == 1, asked.stdout
        return found[0]

    def close(self):
        if self._daemon:
            process.stop(self._daemon)


@unittest.skipIf(os.geteuid() != 0, "the packaged configuration is not for everybody to read")
@unittest.skipUnless(shutil.which("freeradius") and shutil.which("radclient"), "freeradius is not installed")
class Redirect(Case):
    def documented(self, beginning):
        """The commands of operations.md that begin so, for the copy in the test's folder."""
        with open(os.path.join(process.TOP, "docs", "operations.md"), encoding="utf-8") as file:
            section = file.read().partition("## The AAA step")[2].partition("\n## ")[0]
        lines = [line for block in re.findall(r"```\n(.*?)```", section, flags=re.S)
                 for line in block.splitlines() if line.startswith(beginning)]
        self.assertTrue(lines, beginning)
        return [line.replace(PACKAGED, self.aaa.folder).replace("-o freerad -g freerad ", "")
                for line in lines]

    def carry_out(self, command):
        done = process.run(["sh", "-c", command], cwd=os.path.join(process.TOP, "conf", "freeradius"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def register(self, subscriber):
        """As a PDSN/FA: authenticates, then registers with the home agent that it is told."""
        number = SERVICE[self.aaa.home_agent(subscriber)]
        gateway = self.pair_.gateways[number]
        had = [address for gateway in self.pair_.gateways
               for address, (who, _) in gateway.sessions().items() if who == subscriber]
        gateway.request(subscriber, f"{gateway.name}-{subscriber}", had[0] if had else None)
        self.pair_.work(20, f"{subscriber} on {gateway.name}")
        self.assertEqual(gateway.refused, [])
        where = [address for address, (who, _) in gateway.sessions().items() if who == subscriber]
        if had:
            self.assertEqual(where, had[:1], "it did not keep its address")
        return number

    def test_the_documented_steps(self):
        self.aaa = Freeradius(self)
        self.addCleanup(self.aaa.close)
        install = self.documented("install ")
        self.assertEqual(len(install), 2)
        module, first, step = self.documented("sed -i ")
        for command in [*install, module]:
            self.carry_out(command)
        self.aaa.start()

        self.pair_ = pair = self.pair()
        pair.start()
        pair.gateway(0)
        pair.gateway(1)
        for subscriber in SUBSCRIBERS:
            self.assertEqual(self.register(subscriber), 0, "sent to HA2 before the step")

        self.carry_out(first)  # one subscriber first
        self.aaa.reload()
        self.assertEqual([self.register(name) for name in SUBSCRIBERS],
                         [0] * (len(SUBSCRIBERS) - 1) + [1])
        self.assertEqual(pair.roles(), ("primary", "secondary"))

        self.carry_out(step)
        self.aaa.reload()
        self.assertEqual([self.register(name) for name in SUBSCRIBERS], [1] * len(SUBSCRIBERS))
        pair.wait_roles("secondary", "primary")  # the last one has left: safe to stop HA1
        self.assertEqual(total(pair.hosts[0].status(), "used"), 0)
        self.assertEqual(len(pair.traps(0, "starIPSPAllAddrsFree")), 1)

        back = step.replace("192\\.0\\.2\\.1", "192\\.0\\.2\\.2").replace(":= 192.0.2.2", ":= 192.0.2.1")
        self.assertNotEqual(back, step)
        self.carry_out(back)  # the same with the two addresses exchanged
        self.aaa.reload()
        self.assertEqual([self.register(name) for name in SUBSCRIBERS], [0] * len(SUBSCRIBERS))
        pair.wait_roles("primary", "secondary")
        pair.settle()
        pair.check_ledger()


if __name__ == "__main__":
    sys.exit(main())
