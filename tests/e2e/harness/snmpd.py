"""A real snmpd, as a master agent, and walks through it."""

import os
import re
import time

from . import net, process
from .trapd import MIBS


class Snmpd:
    def __init__(self, folder):
        self.folder = os.path.join(folder, "snmpd")
        os.makedirs(os.path.join(self.folder, "kept"), exist_ok=True)
        self.master = os.path.join(self.folder, "master")
        self.port = net.free_udp_port(["127.0.0.1"])
        with open(os.path.join(self.folder, "snmpd.conf"), "w", encoding="utf-8") as file:
            file.write(f"master agentx\nagentXSocket {self.master}\nagentAddress udp:127.0.0.1:{self.port}\n"
                       "rocommunity public\n")
        self._process = None

    def start(self):
        environment = dict(os.environ, SNMP_PERSISTENT_DIR=self.folder + "/kept", HOME=self.folder + "/kept",
                           MIBS="")
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self._process = process.spawn(
                ["snmpd", "-f", "-Lo", "-C", "-c", os.path.join(self.folder, "snmpd.conf")],
                stdout=log, stderr=log, env=environment)
        process.until(lambda: self.get("1.3.6.1.2.1.1.3.0").returncode == 0, 30, "snmpd to answer")

    def signal(self, number):
        self._process.send_signal(number)

    def stop(self):
        if self._process:
            process.stop(self._process)

    def get(self, *oids):
        return process.run(["snmpget", "-v2c", "-c", "public", "-On", "-t", "2", "-r", "1", "-M", "",
                            f"127.0.0.1:{self.port}", *oids])

    def walk(self, oid):
        """OID -> (type, value), numbers without names."""
        done = process.run(["snmpbulkwalk", "-v2c", "-c", "public", "-On", "-OU", "-Cr50", "-t", "5", "-M", "",
                            f"127.0.0.1:{self.port}", oid])
        found = {}
        for line in done.stdout.splitlines():
            match = re.fullmatch(r"\.([0-9.]+) = (?:([A-Za-z0-9]+): )?(.*)", line)
            if match and "No Such" not in line and "No more" not in line:
                found[match[1]] = (match[2] or "STRING", match[3].strip('"'))
        return found

    def named(self, name):
        """A walk by the names of our MIB: the lines."""
        done = process.run(["snmpbulkwalk", "-v2c", "-c", "public", "-M", MIBS, "-m", "IPSPD-MIB",
                            f"127.0.0.1:{self.port}", name])
        return done.stdout + done.stderr

    def seconds(self, oid):
        began = time.monotonic()
        rows = self.walk(oid)
        return time.monotonic() - began, rows
