#!/usr/bin/env python3
"""ipspd as it is shipped, under a real systemd: installed, with its unit and its example configuration."""

import os
import signal
import struct
import sys

from harness import box, process
from harness.boxes import BoxCase, CONFIG, KEY, UNIT
from harness.pair import main

EXPOSURE = 1.5  # of systemd-analyze security, at most


class Shipped(BoxCase):
    def test_the_examples_under_the_unit(self):
        """Both files and the unit as they are: the pair shares, whoever is in the group may command."""
        hosts = self.hosts()
        for host in reversed(hosts):
            host.check("useradd", "--groups", "ipsp", "alice")
            host.check("useradd", "mallory")
            host.check("runuser", "-u", "ipsp", "--", "ipspd", "-t")
            host.check("systemctl", "enable", "--now", "ipspd")
        self.wait_sharing(hosts)
        for host in hosts:
            host.do("request", "u1@isp" if host is hosts[0] else "u2@isp", user="alice")
            self.assertEqual(host.property("NRestarts"), "0")
            self.assertIn("isp1: ", host.property("StatusText"))
            self.assertNotIn("is not in force", host.log(), "its own filter, within that of the unit")
        refused = hosts[0].ctl("show", "ip", "ipsp", user="mallory")
        self.assertNotEqual(refused.returncode, 0, "mallory is in no group")
        self.look_at_the_journal(hosts[0])
        self.look_at_the_exposure(hosts[0])

    def look_at_the_journal(self, host):
        """An operator's command has the operator's uid; levels are the journal's."""
        host.do("drain", user="alice")
        uid = host.check("id", "-u", "alice").strip()
        host.wait_log(f"(uid {uid})")
        entries = [entry for entry in host.entries() if entry.get("_COMM") == "ipspd"]
        self.assertTrue(entries)
        for entry in entries:
            self.assertEqual(entry["SYSLOG_IDENTIFIER"], "ipspd")
            self.assertEqual(entry["_SYSTEMD_UNIT"], UNIT)
            self.assertNotRegex(entry["MESSAGE"], r"^<\d>|^\d{4}-", "a level or a time in the text")
        self.assertIn("5", {entry["PRIORITY"] for entry in entries})
        self.assertNotIn("6", {entry["PRIORITY"] for entry in entries}, "that is what has no level")

    def look_at_the_exposure(self, host):
        text = host.check("systemd-analyze", "security", "--no-pager", UNIT)
        words = next(line for line in text.splitlines() if "Overall exposure" in line).split()
        self.assertLessEqual(float(words[words.index(f"{UNIT}:") + 1]), EXPOSURE, text)


class Groups(BoxCase):
    """control.group may be any group, whether the daemon's user is in it or not."""

    def test_which_may_command(self):
        host = self.lone()
        host.check("useradd", "--groups", "adm", "alice")
        host.check("useradd", "mallory")
        for member in (False, True):
            with self.subTest(f"ipsp is a member: {member}"):
                if member:
                    host.check("usermod", "--append", "--groups", "adm", "ipsp")
                host.configure("ipspd.conf", **{'group = "ipsp"': 'group = "adm"'})
                host.check("systemctl", "restart", "ipspd")
                host.do("show", "ip", "ipsp", user="alice")
                self.assertNotEqual(host.ctl("show", "ip", "ipsp", user="mallory").returncode, 0)
                self.assertEqual(host.property("NRestarts"), "0")


    def test_what_each_may(self):
        """Three groups at once, none of which the daemon's user is in but the first."""
        host = self.lone(**{'group = "ipsp";':
                            'group = "ipsp"; gateway-group = "games"; status-group = "adm";'})
        for name, group in (("alice", "ipsp"), ("gateway", "games"), ("watcher", "adm"), ("mallory", "mail")):
            host.check("useradd", "--groups", group, name)
        host.start()
        self.wait(lambda: host.status()["serving"], 20, lambda: host.log())
        can = {name: [host.ctl(*words, user=name).returncode == 0
                      for words in (("show", "ip", "ipsp"), ("request", f"{name}@isp"), ("undrain",))]
               for name in ("alice", "gateway", "watcher", "mallory")}
        self.assertEqual(can["alice"], [True, True, True])
        self.assertEqual(can["gateway"][1:], [True, False])
        self.assertEqual(can["watcher"], [True, False, False])
        self.assertEqual(can["mallory"], [False, False, False])


class Reload(BoxCase):
    def test_a_wrong_file_fails_and_changes_nothing(self):
        host = self.lone()
        host.start()
        pid = host.property("MainPID")
        self.assertEqual(host.run("systemctl", "reload", "ipspd").returncode, 0)
        good = host.read(CONFIG)
        host.write(CONFIG, good + "rubbish = 1;\n")
        self.assertNotEqual(host.run("systemctl", "reload", "ipspd").returncode, 0)
        host.wait_log("rubbish")
        self.assertEqual((host.property("ActiveState"), host.property("MainPID")), ("active", pid))
        host.write(CONFIG, good.replace("dead-interval = 3600", "dead-interval = 1800"))
        self.assertEqual(host.run("systemctl", "reload", "ipspd").returncode, 0)


class Restart(BoxCase):
    def test_what_is_tried_again(self):
        """A death is; a daemon that hangs is killed, and tried again; a wrong file is not."""
        host = self.lone()
        host.drop_in("WatchdogSec=2")
        host.start()
        for number in ("KILL", "STOP"):
            with self.subTest(number):
                pid = host.property("MainPID")
                host.check("kill", f"-{number}", pid)
                self.wait(lambda: host.property("MainPID") not in ("0", pid) and host.status(), 20,
                          f"a new ipspd after SIG{number}")
        host.write(CONFIG, host.read(CONFIG) + "rubbish = 1;\n")
        self.assertNotEqual(host.run("systemctl", "restart", "ipspd").returncode, 0)
        self.assertEqual((host.property("ActiveState"), host.property("ExecMainStatus")),
                         ("failed", "2"))
        self.assertEqual(host.property("StartLimitIntervalUSec"), "0", "it gives up after a while")


class Credentials(BoxCase):
    def test_the_key_from_the_service_manager(self):
        """key-file = "credential:isp1": root's own file, which the daemon's user can't open."""
        host = self.lone()
        probe = host.run("systemd-run", "--wait", "-q", "-p", "User=ipsp", "-p", "SetCredential=x:y",
                         "sh", "-c", 'test -s "$CREDENTIALS_DIRECTORY/x"')
        if probe.returncode:
            self.skipTest("systemd can't mount credentials here")
        host.write("/etc/credstore/isp1.key", "5a" * 32 + "\n", 0o600)
        host.configure("ipspd.conf", **{'"/etc/ipspd/isp1.key"': '"credential:isp1"'})
        host.check("rm", KEY)
        self.assertNotEqual(host.run("systemctl", "start", "ipspd").returncode, 0)
        host.wait_log("LoadCredential=isp1:FILE")
        done = host.check("ipspd", "-t")
        self.assertIn("no fault found", done)
        host.drop_in("LoadCredential=isp1:/etc/credstore/isp1.key")
        host.start()
        self.assertEqual(host.status()["state"], "connecting")
        host.check("systemctl", "reload", "ipspd")

    def test_the_key_as_later_versions_lay_it(self):
        """systemd 254 and later: folder and file are root's, an access list lets the unit's user in."""
        host = self.lone()
        uid = int(host.check("id", "-u", "ipsp"))
        host.write("/run/laid/isp1", "5a" * 32 + "\n")
        for path, mode, bits in (("/run/laid", 0o550, 5), ("/run/laid/isp1", 0o440, 4)):
            os.chmod(host.path(path), mode)
            # owner, user ipsp, group, mask, others
            entries = [(1, bits, -1), (2, bits, uid), (4, 0, -1), (16, bits, -1), (32, 0, -1)]
            os.setxattr(host.path(path), "system.posix_acl_access", struct.pack("<I", 2) + b"".join(
                struct.pack("<HHi", *entry) for entry in entries))
        host.configure("ipspd.conf", **{'"/etc/ipspd/isp1.key"': '"credential:isp1"'})
        host.drop_in("Environment=CREDENTIALS_DIRECTORY=/run/laid")
        host.start()
        self.assertEqual(host.status()["state"], "connecting")


class Check(BoxCase):
    lasts = 5

    def test_root_checks_as_it_is_documented(self):
        """The key is the daemon's user's; what that user can't read is said, and is no fault."""
        host = self.lone()
        done = host.run("ipspd", "-t")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        host.check("chown", "root", KEY)
        done = host.run("ipspd", "-t")
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"{KEY}: the user ipsp can't read it", done.stderr)
        host.check("chmod", "600", "/etc/ipspd.conf")
        done = host.run("ipspd", "-t")
        self.assertEqual(done.returncode, 0)
        self.assertIn("/etc/ipspd.conf: warning: the user ipsp can't read this file", done.stderr)
        host.check("chmod", "644", "/etc/ipspd.conf")
        host.check("useradd", "mallory")
        host.check("chown", "mallory", KEY)
        self.assertEqual(host.run("ipspd", "-t").returncode, 2)


class Hook(BoxCase):
    HOOK = """#!/bin/sh
ip -o address show dev ipsp | grep -q "$IPSP_ADDRESS" || { echo "ip: $?"; exit 4; }
python3 -c 'import socket; print("interfaces", *(name for _, name in socket.if_nameindex()))' || exit 5
[ "$IPSP_EVENT" = takeover-check ] || exit 3
"""

    def test_it_may_ask_for_interfaces(self):
        """ip and getifaddrs work in it, so it can be an arbiter; what it says last is in the log."""
        hosts = self.hosts(**{
            "dead-interval = 3600;": "dead-interval-ms = 3000; hello-interval-ms = 200;",
            '# hook = "/etc/ipspd/hook";': 'hook = "/etc/ipspd/hook";',
        })
        for host in hosts:
            host.write("/etc/ipspd/hook", self.HOOK, 0o755)
            host.start()
        self.wait_sharing(hosts)
        hosts[1].check("systemctl", "kill", "--signal=KILL", "ipspd")
        hosts[1].check("systemctl", "stop", "ipspd")
        self.wait(lambda: hosts[0].status()["peer"]["state"] == "down", 20,
                  lambda: f"a takeover\n{hosts[0].log()}")
        hosts[0].wait_log("exit code 3 (IPSP_EVENT=peer-lost); it said last: interfaces lo ipsp")


class Nothing(BoxCase):
    """...is left of a box, however it or its test ended."""

    lasts = 5
    TEST = "import os, sys; sys.path.insert(0, sys.argv[1]); from harness import box; " \
           "b = box.Box('gone'); print(b.pid, b.holder, flush=True); sys.stdin.read()"

    def test_when_it_is_killed(self):
        for who in ("the test", "the holder"):
            with self.subTest(who):
                test = process.spawn([sys.executable, "-B", "-c", self.TEST, os.path.dirname(__file__)],
                                     stdin=process.subprocess.PIPE, stdout=process.subprocess.PIPE, text=True)
                inside, holder = map(int, test.stdout.readline().split())
                os.kill(test.pid if who == "the test" else holder, signal.SIGKILL)
                self.wait(lambda: not os.path.exists(f"/proc/{inside}"), 10, "PID 1 of the box to end")
                test.kill()
                test.communicate()
                if who == "the holder":  # then the next box does it
                    self.wait(lambda: not os.path.exists(f"/proc/{holder}"), 10, "the holder to be reaped")
                    box.sweep(max(box.hierarchies().items())[1])
                self.wait(lambda: not box.remains(holder), 10, lambda: f"{box.remains(holder)} to go")


class Hierarchy(BoxCase):
    lasts = 5

    def test_each_that_this_kernel_has(self):
        """The unit starts where control groups are of version 1, and where they are of version 2."""
        for kind in box.hierarchies():
            with self.subTest(kind):
                host = self.lone(kind, hierarchy=kind)
                host.start()
                self.assertEqual(host.property("ActiveState"), "active")
                host.close()


if __name__ == "__main__":
    sys.exit(main())
