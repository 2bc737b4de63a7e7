#!/usr/bin/env python3
"""What a daemon has of privileges that was started by hand, and what its hook has."""

import os
import sys
import unittest

from harness import process
from harness.pair import Case, main

NOBODY = 65534
CHOWN, NET_BIND_SERVICE = 1 << 0, 1 << 10


def fields(text):
    """Of a /proc/PID/status: name -> value."""
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def threads(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
            yield fields(file.read())


def launcher_of(pid):
    """The pid of the process that starts the hook."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        (child,) = file.read().split()
    return int(child)


@unittest.skipIf(os.geteuid() != 0, "needs root, whose privileges are given up")
class Root(Case):
    """On the build that is installed: a build with sanitizers has no filter."""

    def one(self):
        host = self.host()
        host.build = process.packaged_folder()
        return host

    def assert_sandboxed(self, host, kept):
        for thread in threads(host.pid):
            # (the bounding set is the kernel's to keep for who was never root; it has nothing to bound)
            for name in ("CapEff", "CapPrm", "CapBnd") if kept else ("CapEff", "CapPrm"):
                self.assertEqual(int(thread[name], 16) & ~kept, 0, f"{thread['Name']}: {name} {thread[name]}")
            self.assertEqual(int(thread["CapInh"], 16) | int(thread["CapAmb"], 16), 0)
            self.assertEqual(thread["NoNewPrivs"], "1")
            self.assertEqual(thread["Seccomp"], "2", "a filter is in force")

    def test_it_keeps_what_it_needs(self):
        host = self.one()
        host.start()
        self.assert_sandboxed(host, CHOWN)
        self.assertNotIn("warning", host.log())

    def test_a_port_below_1024(self):
        pair = self.pair(trapd=False)
        for number, role in enumerate(("primary", "secondary")):
            pair.hosts[number].build = process.packaged_folder()
            pair.ipsp(number, role, hello_interval_ms=100)
            pair.hosts[number].config.ipsp.port = 987
            pair.hosts[number].start()
        pair.wait_sharing()
        self.assert_sandboxed(pair.hosts[0], CHOWN | NET_BIND_SERVICE)

    def test_the_hook_has_what_it_was_started_with(self):
        """An arbiter may have to fence the peer: what starts it gave up nothing."""
        pair = self.pair(trapd=False)
        for number, role in enumerate(("primary", "secondary")):
            pair.hosts[number].build = process.packaged_folder()
            pair.ipsp(number, role, hello_interval_ms=100)
        host = pair.hosts[0]
        hook, said = (os.path.join(host.folder, name) for name in ("hook", "said"))
        with open(hook, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\ncat /proc/self/status > {said}.new\nmv {said}.new {said}\n")
        os.chmod(hook, 0o755)
        host.config.extra = f'hook = "{hook}";\n'
        for one in pair.hosts:
            one.start()
        process.until(lambda: os.path.exists(said), 30, "the hook")
        with open(said, encoding="ascii") as file:
            its = fields(file.read())
        with open("/proc/self/status", encoding="ascii") as file:
            ours = fields(file.read())
        for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Uid"):
            self.assertEqual(its[name], ours[name], name)

    def test_the_launcher_has_nothing_of_the_daemons(self):
        """It knows no secret, has no file of the daemon's, and ends with it, however that ends."""
        host = self.one()
        host.start()
        child = launcher_of(host.pid)
        files = {os.readlink(f"/proc/{child}/fd/{fd}").partition(":")[0] for fd in os.listdir(f"/proc/{child}/fd")}
        self.assertEqual(files, {"/dev/null", "socket", "anon_inode"})
        host.kill9()
        process.until(lambda: not os.path.exists(f"/proc/{child}"), 30, "the launcher to end")

    def test_another_user(self):
        """-u: root starts it, and it is that user's from the first file that it reads."""
        host = self.one()
        host.write_config()
        process.run(["chown", "-R", f"{NOBODY}:{NOBODY}", host.folder])
        above = host.folder
        while (above := os.path.dirname(above)) not in ("/", "/tmp"):
            os.chmod(above, os.stat(above).st_mode | 0o011)
        with open(host.log_file, "ab") as log:
            host.spawn(log, "-u", "nobody")
        host.wait_ready()
        self.assert_sandboxed(host, 0)
        for pid in (host.pid, launcher_of(host.pid)):
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                its = fields(file.read())
            self.assertEqual(its["Uid"].split(), [str(NOBODY)] * 4)
            self.assertEqual(its["Gid"].split(), [str(os.stat(host.folder).st_gid)] * 4)
            self.assertEqual(int(its["CapEff"], 16), 0)

    def test_a_user_that_is_not_there(self):
        done = process.run([process.program("ipspd"), "-u", "no-such-user", "-f"])
        self.assertEqual((done.returncode, done.stderr), (1, "ipspd: there is no user no-such-user\n"))


if __name__ == "__main__":
    sys.exit(main())
