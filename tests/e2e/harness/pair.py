"""The pair that most tests start from, and the checks that hold for any pair at rest."""

import os
import shutil
import sys
import tempfile
import unittest

from . import net, process
from .agent import Loop
from .config import Ipsp
from .gateway import Gateway
from .host import Host, total
from .ledger import Ledger
from .trapd import Trapd

NAMES = ("ha1", "ha2")
LABORATORY = {"dead-interval": 25, "hello-interval-ms": 200}
COUNTS = ("used", "free", "hold", "quarantine", "released", "in-transit")


class Pair:
    """Two hosts on one network with a key, no daemon running yet, a ledger and a trap receiver."""

    def __init__(self, folder, network, trapd=True):
        self.folder = folder
        self.net = network
        self.loop = Loop()
        self.ledger = Ledger()
        self.hosts = [Host(name, folder, network.prefix(i)) for i, name in enumerate(NAMES)]
        self.gateways = []
        self.key_file = write_key(os.path.join(folder, "pair.key"), b"\x5a" * 32)
        self.trapd = None
        if trapd:
            self.trapd = Trapd(folder, network.addresses[0], network.prefix(0))
            for host in self.hosts:
                host.config.sinks = [(self.trapd.address, self.trapd.port, True)]

    def ipsp(self, number, role, **options):
        """Puts pool-share-protocol into the configuration of host @number; it is not read by this."""
        settings = dict(LABORATORY)
        settings.update({key.replace("_", "-"): thing for key, thing in options.items()})
        if "dead-interval-ms" in settings:
            del settings["dead-interval"]
        key_file = settings.pop("key-file", self.key_file)
        self.hosts[number].config.ipsp = Ipsp(
            role=role, address=self.net.addresses[number], peer=self.net.addresses[1 - number],
            prefix_length=self.net.prefix_length, port=self.net.port,
            interface=f"lan-{self.hosts[number].name}", key_file=key_file, options=settings,
        )

    def gateway(self, number, name=None, **options):
        """The gateway on host @number, attached."""
        gateway = Gateway(name or NAMES[number], self.hosts[number], self.loop, self.ledger, **options)
        self.gateways.append(gateway)
        gateway.attach()
        self.loop.until(lambda: gateway.attached, 20, f"{gateway.name} to attach")
        return gateway

    def start(self, roles=("primary", "secondary"), **options):
        """Both daemons with these configured roles, secondary first, until both share."""
        self.launch(roles, **options)
        self.wait_sharing()

    def launch(self, roles=("primary", "secondary"), **options):
        """The same, without waiting until they share."""
        for number in sorted((0, 1), key=lambda i: roles[i] == "primary"):
            self.ipsp(number, roles[number], **options)
            self.hosts[number].start()

    def wait_sharing(self, seconds=30):
        self.loop.until(self.sharing, seconds, lambda: f"both sides to share\n{self.story()}")

    def sharing(self):
        return all(
            status and status["state"] == "active" and status["serving"]
            and status["peer"]["state"] == "up"
            for status in (host.status_or_none() for host in self.hosts)
        )

    def roles(self):
        return tuple((host.status_or_none() or {}).get("role") for host in self.hosts)

    def wait_roles(self, *roles, seconds=30):
        self.loop.until(
            lambda: self.roles() == roles, seconds, lambda: f"the roles {roles}\n{self.story()}"
        )

    def work(self, seconds, what):
        """Serves all gateways until none has anything open."""
        self.loop.until(
            lambda: all(gateway.idle() for gateway in self.gateways), seconds,
            lambda: f"{what}: {[(g.name, g.open_jobs()) for g in self.gateways]}\n{self.story()}",
        )

    def traps(self, number, *words):
        """The traps of host @number: every side has its own interface name."""
        return self.trapd.traps(f"lan-{self.hosts[number].name}", *words)

    def story(self):
        return "\n".join(host.tail() for host in self.hosts)

    # ---------------------------------------------------------------- checks

    def settle(self, seconds=30):
        """Waits until nothing is on its way between the two, then checks the books of both sides."""
        self.loop.until(
            self._at_rest, seconds, lambda: f"nothing to be on its way\n{self.story()}"
        )
        first, second = (host.status() for host in self.hosts)
        for here, there in zip(first["pools"], second["pools"]):
            for pool in (here, there):
                counts = sum(pool[count] for count in COUNTS)
                assert counts == pool["size"], f"the counts are {counts} of {pool}"
            given = here["released"] + there["released"]
            assert given == here["size"], f"{given} of {here['size']} owned by exactly one side"

    def _at_rest(self):
        states = [host.status_or_none() for host in self.hosts]
        if not all(states) or any(total(status, "in-transit") for status in states):
            return False
        return all(
            here["released"] + there["released"] == here["size"]
            for here, there in zip(states[0]["pools"], states[1]["pools"])
        )

    def check_ledger(self):
        """What ipspd lists for each gateway is what the gateway has, no more and no less."""
        for gateway in self.gateways:
            gateway.ask_list()
        self.loop.until(
            lambda: all(gateway.listed() is not None for gateway in self.gateways), 20, "the lists"
        )
        for gateway in self.gateways:
            assert gateway.listed() == gateway.sessions(), (
                f"{gateway.name} has {len(gateway.sessions())} sessions, "
                f"ipspd lists {len(gateway.listed())}"
            )
            assert not gateway.lost, f"{gateway.name}: ipspd had lost {gateway.lost[:5]}"
            assert not gateway.refused, f"{gateway.name}: refused: {gateway.refused[:5]}"

    def close(self):
        for gateway in self.gateways:
            gateway.close()
        statuses = []
        for host in self.hosts:
            if host.running():
                statuses.append((host.name, host.stop()))
        if self.trapd:
            self.trapd.close()
        self.loop.close()
        self.net.close()
        return [f"{name}'s ipspd ended with {status}" for name, status in statuses if status != 0]


class Case(unittest.TestCase):
    """A test with a folder of its own, kept when it fails, and things that are closed at its end."""

    namespaces = False  # True: on a veth pair, or skipped where that can't be made
    measures = False  # True: run.py runs it when nothing else works the processor
    lasts = 0  # seconds, about, where it is more than some ten: run.py begins with these

    def setUp(self):
        if self.namespaces and not net.namespaces_work():
            self.skipTest("no network namespaces here (they need root, iproute2 and nftables)")
        self.folder = tempfile.mkdtemp(prefix="ipspd-e2e.")
        os.chmod(self.folder, 0o755)
        self.addCleanup(self._put_away)
        self._pairs = []

    def network(self):
        """What the two hosts of pair() stand on."""
        return net.VethNet() if self.namespaces else net.LoopbackNet()

    def pair(self, trapd=True):
        network = self.network()
        pair = Pair(tempfile.mkdtemp(dir=self.folder), network, trapd)
        self._pairs.append(pair)
        self.addCleanup(self._close, pair)
        return pair

    def host(self, name="ha"):
        host = Host(name, tempfile.mkdtemp(dir=self.folder))
        self.addCleanup(host.close)
        return host

    def preloaded(self, name):
        """An environment in which a daemon runs with @name.c, compiled, between itself and the libc."""
        library = os.path.join(self.folder, f"{name}.so")
        if not os.path.exists(library):
            source = os.path.join(process.TOP, "tests", "e2e", f"{name}.c")
            built = process.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"])
            if built.returncode != 0:
                raise RuntimeError(built.stderr)
        return dict(
            os.environ, LD_PRELOAD=library,
            ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
        )

    def _close(self, pair):
        bad = pair.close()
        if bad:
            self.fail("; ".join(bad) + "\n" + pair.story())

    def _put_away(self):
        outcome = self._outcome.result
        failed = any(
            getattr(test, "test_case", test) is self  # a subtest knows its test
            for test, _ in outcome.failures + outcome.errors
        )
        if failed or os.environ.get("IPSPD_KEEP"):
            for pair in self._pairs:
                print(pair.story(), file=sys.stderr)
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def say(self, text):
        """Progress for whoever watches: long tests say what they do."""
        print(f"    {text}", file=sys.stderr, flush=True)


def write_key(path, key, mode=0o600):
    """A shared secret as text in hexadecimal, readable by its owner only."""
    with open(path, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
    os.chmod(path, mode)
    return path


def main():
    process.program("ipspd")
    unittest.main(module="__main__", verbosity=2)
