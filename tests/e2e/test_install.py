#!/usr/bin/env python3
"""cmake --install into a folder: everything is there, the unit is one that systemd accepts, and a
program can be built against the library."""

import os
import shutil
import sys
import unittest

from harness import process
from harness.pair import Case, main

USER = """#include <ipsp.h>
#include <stdio.h>
int main(void)
{
	return puts(ipsp_err_word(IPSP_ERR_LOCKED)) < 0;
}
"""


class Installed(Case):
    def setUp(self):
        super().setUp()
        self.root = os.path.join(self.folder, "installed")
        done = process.run(["cmake", "--install", process.packaged_folder(), "--prefix", self.root])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.files = [
            os.path.join(folder, name)
            for folder, _, names in os.walk(self.root) for name in names
        ]

    def find(self, *ends):
        found = [path for path in self.files if path.endswith(ends)]
        self.assertTrue(found, f"no {ends} among {self.files}")
        return found[0]

    def test_all_is_there(self):
        for end in ("bin/ipspctl", "sbin/ipspd", "sbin/ipsp-monitor", "include/ipsp.h", "ipsp.pc", "libipsp.so",
                    "ipspd.service", "ipspd.conf", "ipsp-monitor.service", "ipsp-monitor.8"):
            self.find(end)
        self.assertTrue([path for path in self.files if "/mibs/" in path], "the MIBs are missing")

    def test_nothing_elsewhere_and_nothing_of_the_build_folder(self):
        """A staged install (as packagers do it) writes below DESTDIR only, and names no build path."""
        stage = os.path.join(self.folder, "stage")
        done = process.run(["cmake", "--install", process.packaged_folder()],
                           env=dict(os.environ, DESTDIR=stage))
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in done.stdout.splitlines():
            if line.startswith("-- Installing: "):
                self.assertTrue(line.split(": ", 1)[1].startswith(stage), line)
        for end in ("ipspd.service", "ipsp-monitor.service", "ipsp.pc", "ipspd.conf"):
            with open(self.find(end), encoding="utf-8") as file:
                self.assertNotIn(process.packaged_folder(), file.read(), end)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_the_unit(self):
        unit = self.find("ipspd.service")
        done = process.run(["systemd-analyze", "verify", "--man=no", unit],
                           env=dict(os.environ, SYSTEMD_LOG_LEVEL="warning"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("ipspd.service", done.stderr, "accepted, but not without words")
        with open(unit, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("Type=notify", text)
        self.assertIn(os.path.join(self.root, "sbin/ipspd"), text)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_the_unit_of_the_monitor(self):
        unit = self.find("ipsp-monitor.service")
        done = process.run(["systemd-analyze", "verify", "--man=no", unit],
                           env=dict(os.environ, SYSTEMD_LOG_LEVEL="warning"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("ipsp-monitor.service", done.stderr, "accepted, but not without words")
        with open(unit, encoding="utf-8") as file:
            text = file.read()
        self.assertIn(f"ExecStart={self.root}/sbin/ipsp-monitor\n", text)
        for key in ("Requires", "BindsTo", "PartOf", "Wants"):
            self.assertNotIn(f"\n{key}=", text, "neither is anything to the other's start or stop")

    def test_a_program_builds_against_the_library(self):
        source = os.path.join(self.folder, "user.c")
        program = os.path.join(self.folder, "user")
        with open(source, "w", encoding="ascii") as file:
            file.write(USER)
        libraries = os.path.dirname(self.find("libipsp.so"))
        environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(self.find("ipsp.pc")))
        flags = process.run(["pkg-config", "--cflags", "--libs", "ipsp"], env=environment)
        self.assertEqual(flags.returncode, 0, flags.stderr)
        sanitized = "asan" in process.run(["ldd", self.find("libipsp.so")]).stdout
        # (the folder is another one than was configured: the flags say where it is now)
        built = process.run(["cc", "-o", program, source, *flags.stdout.split(),
                             *(["-fsanitize=address,undefined"] if sanitized else [])])
        self.assertEqual(built.returncode, 0, built.stderr)
        ran = process.run([program], env=dict(os.environ, LD_LIBRARY_PATH=libraries))
        self.assertEqual(ran.stdout, "locked\n", ran.stderr)


if __name__ == "__main__":
    sys.exit(main())
