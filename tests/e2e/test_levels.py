#!/usr/bin/env python3
"""Who may do what on the control socket: each of its groups, and who is in none."""

import grp
import os
import sys
import unittest

from harness import process
from harness.pair import Case, main

NOBODY = 65534


def groups(number):
    """Some groups of this host that are not root's."""
    found = sorted((entry.gr_gid, entry.gr_name) for entry in grp.getgrall() if 0 < entry.gr_gid < 1000)
    return found[:number]


def member(uid, gids):
    """What goes before a program's name, so that this user runs it, in these groups."""
    first, *more = gids or [NOBODY]
    others = ["--groups", ",".join(str(gid) for gid in more)] if more else ["--clear-groups"]
    return ["setpriv", f"--reuid={uid}", f"--regid={first}", *others, "--"]


@unittest.skipIf(os.geteuid() != 0, "only root can be in any group")
class Levels(Case):
    def start(self, **names):
        host = self.host()
        for key, name in names.items():
            setattr(host.config, key, name)
        folder = host.folder
        while folder != os.path.dirname(self.folder):  # the socket's own mode is what counts
            os.chmod(folder, 0o755)
            folder = os.path.dirname(folder)
        host.start()
        return host

    def ctl(self, host, gids, *words, uid=NOBODY, **more):
        """ipspctl of a user who is in these groups."""
        return process.run([*member(uid, gids), process.program("ipspctl"), "-s", host.socket, *words],
                           timeout=20, **more)

    def allowed(self, host, gids, *words):
        done = self.ctl(host, gids, *words)
        self.assertEqual(done.returncode, 0, f"{gids} {words}: {done.stderr}")
        return done.stdout

    def forbidden(self, host, gids, *words):
        done = self.ctl(host, gids, *words)
        self.assertEqual(done.returncode, 1, f"{gids} {words}: {done.stdout}{done.stderr}")
        self.assertIn("not-permitted", done.stderr)

    def test_each_group_may_what_it_is_for(self):
        (boss, boss_name), (gateway, gateway_name), (status, status_name), (other, _) = groups(4)
        host = self.start(group=boss_name, gateway_group=gateway_name, status_group=status_name)

        self.allowed(host, [status], "show", "ip", "ipsp")
        self.allowed(host, [status], "show", "sessions")
        self.assertNotIn("not-permitted", self.ctl(host, [status], "ok-to-stop").stderr)
        for words in (("request", "u@isp"), ("drain",), ("reload",), ("save", "configuration"),
                      ("takeover", "--force"), ("release", "10.1.0.1"), ("release", "10.1.0.1", "--force"),
                      ("release", "--ha", "x", "--force")):
            self.forbidden(host, [status], *words)

        address = self.allowed(host, [gateway], "request", "u1@isp").split()[0]
        self.allowed(host, [NOBODY, gateway], "release", address)
        for words in (("show", "ip", "ipsp"), ("drain",), ("reload",), ("check-config",),
                      ("release", "10.1.0.1", "--force"), ("release", "--ha", "x"), ("release", "--ha", "x", "--force")):
            self.forbidden(host, [gateway], *words)

        both = [status, gateway]
        self.allowed(host, both, "show", "sessions")
        self.allowed(host, both, "request", "u2@isp")
        self.forbidden(host, both, "reload")

        address = self.allowed(host, [boss], "request", "u4@isp").split()[0]
        self.forbidden(host, [gateway], "release", address)
        self.allowed(host, [boss], "release", address)

        self.allowed(host, [boss], "reload")
        shown = host.look("show", "configuration")
        self.assertEqual((shown["group"], shown["gateway-group"], shown["status-group"]),
                         (boss_name, gateway_name, status_name))
        self.allowed(host, [NOBODY, boss], "request", "u3@isp")
        self.assertEqual(self.ctl(host, [other], "show", "ip", "ipsp").returncode, 3)
        self.assertEqual(host.ctl("reload").returncode, 0)

    def agent(self, host, gids, name, lines="", uid=NOBODY):
        """An agent of this name says @lines, and goes; what it was answered."""
        done = self.ctl(host, gids, "agent", "--name", name, uid=uid, input=lines)
        return done.returncode, done.stdout, done.stderr

    def test_a_name_belongs_to_its_user(self):
        (boss, boss_name), (gateway, gateway_name) = groups(2)
        host = self.start(group=boss_name, gateway_group=gateway_name)
        one, other = 64001, 64002
        ask = '{"op":"request","id":1,"subscriber":"u1@isp"}\n'

        code, out, err = self.agent(host, [gateway], "ha-1", ask, uid=one)
        self.assertIn('"address"', out, err)
        for again in range(2):
            with self.subTest(restarted=again):
                code, out, err = self.agent(host, [gateway], "ha-1", '{"op":"list","id":2}\n', uid=other)
                self.assertNotEqual(code, 0)
                self.assertIn("not-permitted", out + err)
                self.assertIn(f"uid {one}", out + err)
                self.assertIn("u1@isp", self.agent(host, [gateway], "ha-1", '{"op":"list","id":2}\n', uid=one)[1])
                self.assertIn("not-permitted", self.agent(host, [gateway], "ha-2", ask, uid=other)[1])
                self.assertIn("not-permitted", self.ctl(host, [gateway], "release", "10.1.0.1", uid=other).stderr
                              + self.ctl(host, [gateway], "release", next(iter(host.sessions())), uid=other).stderr)
                asked = self.ctl(host, [gateway], "request", "u1@isp", uid=other)
                self.assertIn("not-permitted", asked.stderr)
                self.assertEqual(asked.stdout, "")
                self.assertIn("u1@isp", self.agent(host, [boss], "ha-1", '{"op":"list","id":2}\n', uid=other)[1])
            host.stop()
            host.start()
        address = next(iter(host.sessions()))
        self.agent(host, [gateway], "ha-1", f'{{"op":"release","id":3,"address":"{address}"}}\n', uid=one)
        self.assertEqual(self.agent(host, [gateway], "ha-1", '{"op":"list","id":2}\n', uid=other)[0], 0)

    def test_one_group_alone_may_do_everything(self):
        (boss, name), (other, _) = groups(2)
        host = self.start(group=name)
        self.allowed(host, [boss], "request", "u1@isp")
        self.allowed(host, [boss], "reload")
        self.assertEqual(self.ctl(host, [other], "show", "ip", "ipsp").returncode, 3)


if __name__ == "__main__":
    sys.exit(main())
