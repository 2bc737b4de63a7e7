#!/usr/bin/env python3
"""The daemon needs no root: a whole pair run by an ordinary user, with sockets and folders of its own."""

import os
import shutil
import sys
import unittest

from harness import process
from harness.pair import Case, main

NOBODY = 65534


@unittest.skipIf(os.geteuid() != 0, "whoever runs this is an ordinary user: the other tests show it")
class OrdinaryUser(Case):
    def test_a_pair(self):
        """The programs are copied to where the user can read them, and started by it."""
        programs = os.path.join(self.folder, "programs")
        os.mkdir(programs, 0o755)
        for name in os.listdir(os.path.join(process.build_folder(), "src")):
            if name in ("ipspd", "ipspctl") or name.startswith("libipsp.so"):
                shutil.copy(process.program(name), programs)
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                     "--no-new-privs", "--", "env", f"LD_LIBRARY_PATH={programs}"]
        pair = self.pair(trapd=False)
        for number, role in enumerate(("primary", "secondary")):
            pair.ipsp(number, role)
            pair.hosts[number].write_config()
        process.run(["chown", "-R", f"{NOBODY}:{NOBODY}", pair.folder])
        daemons = [
            process.spawn([*as_nobody, os.path.join(programs, "ipspd"), "-f", "-c", host.file],
                          stdout=open(host.log_file, "w", encoding="utf-8"),
                          stderr=process.subprocess.STDOUT)
            for host in pair.hosts
        ]
        for daemon in daemons:
            self.addCleanup(process.stop, daemon)
        pair.wait_sharing()
        with open(f"/proc/{daemons[0].pid}/status", encoding="ascii") as file:
            self.assertIn(f"Uid:\t{NOBODY}", file.read())
        for host in pair.hosts:
            done = process.run([*as_nobody, os.path.join(programs, "ipspctl"), "-s", host.socket,
                                "request", f"u-{host.name}@isp"])
            self.assertEqual(done.returncode, 0, done.stderr)
        for daemon, host in zip(reversed(daemons), reversed(pair.hosts)):
            self.assertEqual(process.stop(daemon), 0, host.tail())


if __name__ == "__main__":
    sys.exit(main())
