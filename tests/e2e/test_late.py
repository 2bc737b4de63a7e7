#!/usr/bin/env python3
"""What the configuration names comes after the start: a key file, a hook, the group of the control socket, the
file itself. The daemon is there meanwhile, says what it lacks, and goes on without a restart."""

import os
import stat
import sys
import time

from harness import mounts, process
from harness.pair import Case, main, write_key


class Late(Case):
    def test_key_file(self):
        """A context without its key does not talk: neither with another key nor with none."""
        pair = self.pair(trapd=False)
        late = os.path.join(pair.folder, "late.key")
        pair.ipsp(0, "primary", hello_interval_ms=100)
        pair.ipsp(1, "secondary", hello_interval_ms=100, key_file=late)
        for host in reversed(pair.hosts):
            host.start()
        self.assertIn("late.key: No such file", pair.hosts[1].log())
        with self.subTest("-t says so, and finds no fault"):
            done = process.run([process.program("ipspd"), "-t", "-c", pair.hosts[1].file])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stderr, r"ipspd.conf:\d+: key-file: warning: .*late.key")
        time.sleep(1)
        for host in pair.hosts:
            self.assertEqual(host.counters()["datagrams-received"], 0, "it talks without its key")
            self.assertEqual(host.status()["peer"]["state"], "unknown")
        status = pair.hosts[1].status()
        self.assertEqual((status["serving"], status["waiting-for"]), (False, "link"))
        self.assertIn("late.key: No such file", status["notes"][0])
        self.assertEqual(pair.hosts[1].counters()["datagrams-sent"], 0)

        write_key(late, b"\x5a" * 32, 0o644)
        pair.loop.until(lambda: "others can read" in pair.hosts[1].log(), 10, pair.story)
        self.assertEqual(pair.hosts[1].status()["peer"]["state"], "unknown")
        os.chmod(late, 0o600)
        pair.wait_sharing()
        self.assertEqual(pair.hosts[1].starts, 1)
        # It is in force, and is looked at every two seconds.
        end = time.monotonic() + 4.5
        pair.loop.until(lambda: time.monotonic() > end, 10, "two looks at the key file")
        self.assertNotIn("other secrets", pair.hosts[1].log())
        self.assertEqual(pair.hosts[1].status()["notes"], [])

        with self.subTest("a reload gives up no key that is in use"):
            os.rename(late, late + ".away")
            refused = pair.hosts[1].ctl("reload")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("late.key: No such file", refused.stderr)
            self.assertTrue(pair.sharing())

    def test_key_file_of_a_first_primary(self):
        """Without it nothing is heard, and so nothing is known: it gives no address either."""
        host = self.pair(trapd=False)
        late = os.path.join(host.folder, "late.key")
        host.ipsp(0, "primary", hello_interval_ms=100, key_file=late)
        host = host.hosts[0]
        host.start()
        time.sleep(1)
        self.assertFalse(host.status()["serving"])
        write_key(late, b"\x5a" * 32)
        process.until(lambda: host.status()["serving"], 10, host.tail)

    def test_key_file_beside_a_mode_that_is_refused(self):
        """The file's mode can't be taken while addresses are shared out: the key is taken all the same, and nothing
        is ever said without one."""
        pair = self.pair(trapd=False)
        late = os.path.join(pair.folder, "late.key")
        write_key(late, b"\x5a" * 32)
        pair.ipsp(0, "primary", hello_interval_ms=100, mode="inactive")
        pair.ipsp(1, "secondary", hello_interval_ms=100, mode="inactive", key_file=late)
        for host in reversed(pair.hosts):
            host.start()
            host.ctl("pool-share-protocol", "mode", "active")
        pair.wait_sharing()
        host = pair.hosts[1]
        self.assertEqual(host.ctl("request", "mn-1").returncode, 0)
        host.kill9()
        os.rename(late, late + ".away")
        host.start()
        time.sleep(1)
        self.assertEqual(host.counters()["datagrams-sent"], 0)
        os.rename(late + ".away", late)
        process.until(lambda: "late.key is there" in host.log(), 10, host.tail)
        time.sleep(1)
        self.assertNotIn('auth = "none"', pair.hosts[0].log() + host.log())
        pair.wait_sharing()

    def test_key_file_that_came_is_in_force(self):
        host = self.late()
        host.start()
        self.key_comes(host)
        time.sleep(3)  # the files are looked at every 2 s
        self.assertNotIn("has other secrets than those in force", host.log())

    def test_key_file_enables_nothing(self):
        """An operator has disabled IPSP meanwhile."""
        host = self.late()
        host.start()
        self.assertEqual(host.ctl("no", "pool-share-protocol").returncode, 0)
        self.key_comes(host)
        time.sleep(0.5)
        self.assertEqual(host.status()["state"], "disabled")
        self.assertEqual(host.counters()["datagrams-sent"], 0)

    def late(self):
        """A primary whose key file is not there."""
        pair = self.pair(trapd=False)
        pair.ipsp(0, "primary", hello_interval_ms=100, key_file=os.path.join(pair.folder, "late.key"))
        return pair.hosts[0]

    @staticmethod
    def key_comes(host):
        write_key(os.path.join(os.path.dirname(host.folder), "late.key"), b"\x5a" * 32)
        process.until(lambda: "late.key is there" in host.log(), 10, host.tail)

    def test_hook(self):
        pair = self.pair(trapd=False)
        hook, said = (os.path.join(pair.folder, name) for name in ("hook", "said"))
        pair.hosts[0].config.extra = f'hook = "{hook}";\n'
        pair.start(hello_interval_ms=100)
        log = pair.hosts[0].log()
        self.assertRegex(log, "hook: No such file")
        with open(hook, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\necho "$IPSP_EVENT" >>{said}\n')
        os.chmod(hook, 0o777)
        pair.loop.until(lambda: "others can change it" in pair.hosts[0].log(), 10, pair.story)
        os.chmod(hook, 0o755)
        pair.loop.until(lambda: f"the hook {hook} is there" in pair.hosts[0].log(), 10, pair.story)
        pair.hosts[1].stop()
        pair.loop.until(lambda: os.path.exists(said), 20, "the hook to be run")

    def test_group(self):
        if not mounts.private():
            self.skipTest("no mount namespaces here")
        host = self.pair(trapd=False).hosts[0]
        groups = os.path.join(host.folder, "groups")
        with open("/etc/group", encoding="ascii") as file, open(groups, "w", encoding="ascii") as own:
            own.write(file.read())
        mounts.instead_of("/etc/group", groups)
        self.addCleanup(mounts.unmount, "/etc/group")
        host.config.group = "ipsp-late"
        host.config.status_group = "ipsp-later"
        host.start()
        self.assertEqual(stat.S_IMODE(os.stat(host.socket).st_mode), 0o600)
        self.assertIn('"ipsp-late" can\'t be let in: there is no such group', host.log())
        with open(groups, "a", encoding="ascii") as own:
            own.write("ipsp-late:x:54321:\n")
        process.until(lambda: '"ipsp-late" is there' in host.log(), 10, host.tail)
        status = os.stat(host.socket)
        self.assertEqual((stat.S_IMODE(status.st_mode), status.st_gid), (0o660, 54321))

        # One that comes later takes nothing from those who are in, and gives no more than its level.
        folder = host.folder
        while folder != os.path.dirname(self.folder):
            os.chmod(folder, 0o755)
            folder = os.path.dirname(folder)
        with open(groups, "a", encoding="ascii") as own:
            own.write("ipsp-later:x:54322:\n")
        process.until(lambda: '"ipsp-later" is there' in host.log(), 15, host.tail)
        for gid, words, status in ((54321, ("reload",), 0), (54322, ("show", "sessions"), 0),
                                   (54322, ("reload",), 1), (54323, ("show", "sessions"), 3)):
            done = process.run(["setpriv", "--reuid=65534", f"--regid={gid}", "--clear-groups", "--",
                                process.program("ipspctl"), "-s", host.socket, *words])
            self.assertEqual(done.returncode, status, f"{gid} {words}: {done.stderr}")
        self.assertEqual(host.starts, 1)
        # What was said of them is true no more: a reload does not say it again.
        before = len(host.log())
        host.do("reload")
        self.assertNotIn("no group", host.log()[before:])

    def test_the_file_itself(self):
        """A supervisor tries again after 1, and not after 2, which means: the file is wrong."""
        path = os.path.join(self.folder, "ipspd.conf")
        for text, status in ((None, 1), ("rubbish = ;\n", 2)):
            with self.subTest(text=text):
                if text:
                    with open(path, "w", encoding="ascii") as file:
                        file.write(text)
                done = process.run([process.program("ipspd"), "-f", "-c", path])
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(path, done.stderr)


if __name__ == "__main__":
    sys.exit(main())
