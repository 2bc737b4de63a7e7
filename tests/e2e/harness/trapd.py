"""A real snmptrapd that writes down what it receives, decoded by the names in mibs/."""

import os

from . import net, process

# Ours, and stand-ins for the IETF's, which Debian does not ship.
MIBS = ":".join(os.path.join(process.TOP, *where) for where in (("mibs",), ("mibs", "stand-in")))


class Trapd:
    """Listens inside of @prefix (a namespace, or nothing) on @address."""

    def __init__(self, folder, address, prefix=(), family="udp"):
        self.address = address
        self.port = net.free_udp_port(["127.0.0.1"])
        self._log = os.path.join(folder, "traps.log")
        self._errors = open(os.path.join(folder, "snmptrapd.err"), "w", encoding="utf-8")
        conf = os.path.join(folder, "snmptrapd.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write("disableAuthorization yes\n")
        home = os.path.join(folder, "snmp-home")
        os.makedirs(home, exist_ok=True)
        environment = dict(os.environ, SNMP_PERSISTENT_DIR=home, HOME=home)
        self._process = process.spawn(
            [*prefix, "snmptrapd", "-f", "-C", "-c", conf, "-n",
             "-M", MIBS, "-m", "SNMPv2-MIB:IPSPD-MIB:IPSPD-STARENT-MIB",
             "-F", "TRAP %b|%v\\n", "-Lf", self._log, f"{family}:{address}:{self.port}"],
            stdout=self._errors, stderr=self._errors, env=environment,
        )
        process.until(self._listening, 10, "snmptrapd")

    def _listening(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"snmptrapd ended with {self._process.returncode}")
        if "Cannot find module" in self._text():
            raise RuntimeError(f"snmptrapd lacks MIBs, and would show numbers for names: {self._text()}")
        return "NET-SNMP version" in self._text()

    def _text(self):
        try:
            with open(self._log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def traps(self, *words):
        """The traps so far that have all @words in them, a line each, as snmptrapd decoded them."""
        lines = [line for line in self._text().splitlines() if line.startswith("TRAP ")]
        return [line for line in lines if all(word in line for word in words)]

    def close(self):
        process.stop(self._process)
        self._errors.close()
