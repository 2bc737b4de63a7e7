#!/usr/bin/env python3
"""What README says works as it is pasted, into two hosts that have nothing of ipspd yet."""

import os
import re
import sys

from harness import box, debs, paste, process
from harness.boxes import ADDRESSES, NAMES, BoxCase, Installed
from harness.pair import Case, main


class FiveMinutes(BoxCase):
    def test_as_pasted(self):
        hosts = []
        for name in NAMES:
            hosts.append(Installed(name))
            self.addCleanup(hosts[-1].close)
        box.join([host.box for host in hosts], ADDRESSES)
        text = paste.section("README.md", "Five minutes")
        done = paste.paste(paste.blocks(text), hosts, self.say, {
            "docs/package.sh": lambda host: debs.put(host.box, debs.built()),
        })
        lines = [line.partition(" ")[0] for _, line, _ in done]
        for word in ("apt", "ipspd", "systemctl", "ipspctl", "cp"):
            self.assertIn(word, lines, "nothing of it was pasted")
        address = next(out for _, line, out in done if "request alice" in line)
        self.assertEqual(address.strip(), "10.1.0.1")
        self.assertEqual(hosts[0].status()["role"], "secondary")
        self.assertEqual(hosts[1].status()["role"], "primary")
        self.excerpt(hosts[0], text)
        self.json_lines(hosts[1], text)

    def excerpt(self, host, text):
        """What the example boils down to is a whole configuration, too."""
        stanza = re.search(r"^```\n(contexts = .*?)^```", text, re.MULTILINE | re.DOTALL).group(1)
        host.write("/etc/ipspd/short.conf", stanza)
        host.check("ipspd", "-t", "-c", "/etc/ipspd/short.conf")

    def json_lines(self, host, text):
        """The request of the gateway's dialogue gets the answer that stands below it."""
        asked, answer = re.search(r"^(\{.*\"op\":\"request\".*)\n(\{.*)$", text, re.MULTILINE).groups()
        said = host.run("ipspctl", "agent", "--name", "ha1", stdin=asked + "\n").stdout
        for word in ('"id":1', '"ok":true', '"pool":"pool-a"'):
            self.assertIn(word, said.replace(": ", ":"))
            self.assertIn(word, answer)


class Build(Case):
    """The packages that README names are enough."""

    def test_without_what_only_tests_need(self):
        wrapper = os.path.join(self.folder, "pkg-config")
        with open(wrapper, "w", encoding="ascii") as file:
            file.write('#!/bin/sh\ncase "$*" in *cmocka* | *sqlite*) exit 1 ;; esac\nexec pkg-config "$@"\n')
        os.chmod(wrapper, 0o755)
        build = os.path.join(self.folder, "build")
        done = process.run(["cmake", "-S", process.TOP, "-B", build, f"-DPKG_CONFIG_EXECUTABLE={wrapper}"],
                           timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        targets = process.run(["cmake", "--build", build, "--target", "help"]).stdout
        self.assertIn("ipspd", targets)
        for word in ("test_", "bench_", "fuzz_", "sim"):
            self.assertNotIn(f" {word}", targets)


class Mibs(Case):
    def test_they_load_without_the_ietfs(self):
        """As operations.md says: with the stand-ins that are installed, names become numbers."""
        root = os.path.join(self.folder, "installed")
        done = process.run(["cmake", "--install", process.packaged_folder(), "--prefix", root])
        self.assertEqual(done.returncode, 0, done.stderr)
        line = re.search(r"^snmptranslate .*$", paste.section("docs/operations.md", "SNMP"), re.MULTILINE)
        words = line.group(0).replace("+/usr/share/ipspd", f"{root}/share/snmp/mibs:{root}/share/ipspd").split()
        done = process.run(words, env=dict(os.environ, MIBDIRS="", SNMPCONFPATH=self.folder,
                                           SNMP_PERSISTENT_DIR=self.folder))
        self.assertEqual(done.stdout, ".1.3.6.1.4.1.8164.2.86\n")
        said = [line for line in done.stderr.splitlines() if not line.startswith("Created directory")]
        self.assertEqual(said, [])


if __name__ == "__main__":
    sys.exit(main())
