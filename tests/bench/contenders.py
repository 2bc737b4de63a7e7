"""Who is measured: pairs of ipspd, the skeleton, Redis. Each has its servers and its load."""

import os
import shutil
import subprocess
import tempfile
import time

import measure
from control import Control
from measure import HERE, options, program, run_lines

from harness import net, process
from harness.config import Context, Ipsp
from harness.pair import Pair

BASE = "10.16.0.0"
NETWORKS = {1 << 16: "10.16.0.0/16", 1 << 20: "10.16.0.0/12", 1 << 24: "10.0.0.0/8"}
FAR, NEAR = 0, 1  # the load's core: across from the server's, or the server's own
SERVER = 1


class Ipspd:
    """Two daemons on a cable; the first one's main thread has the core SERVER to itself."""

    def __init__(self, folder, size, durability="crash", hold_s=0, contexts=1):
        self.size = size
        self.contexts = contexts
        self.folder = tempfile.mkdtemp(dir=folder)
        self.net = net.VethNet()
        self.pair = Pair(self.folder, self.net, trapd=False)
        self.hosts = self.pair.hosts
        self.durability = durability
        self.next_session = 0
        self.anchors = [[], []]
        pool = {"name": "pool-a", "network": NETWORKS[size], "include-nw-bcast": True}
        if hold_s:
            pool["address-hold-timer"] = hold_s
        for host in self.hosts:
            host.config.pools = [pool]

    def start(self):
        for number in range(1, self.contexts):
            self.further_context(number)
        self.pair.start(dead_interval=3600, hello_interval_ms=1000, durability=self.durability)
        self.place()
        self.anchor(0)
        return self

    def further_context(self, number):
        """isp2 and on: pools of their own, the addresses of the first, ports of their own."""
        for i, host in enumerate(self.hosts):
            pool = dict(host.config.pools[0], network=f"10.{16 + number}.0.0/16")
            host.config.others.append(Context(
                context=f"isp{number + 1}", pools=[pool],
                ipsp=Ipsp(role=("primary", "secondary")[i], address=self.net.addresses[i],
                          peer=self.net.addresses[1 - i], prefix_length=self.net.prefix_length,
                          port=self.net.port + number, interface=f"lan-{number}",
                          key_file=self.pair.key_file,
                          options={"dead-interval": 3600, "hello-interval-ms": 1000,
                                   "durability": self.durability})))

    def place(self, second=FAR):
        measure.pin(self.hosts[0].pid, SERVER)
        if self.hosts[1].running():
            measure.pin(self.hosts[1].pid, second)

    def anchor(self, number):
        """One session in each context that stays: a side whose last session ends yields its role."""
        for context in range(self.contexts):
            control = Control(self.hosts[number].socket, "anchor",
                              f"isp{context + 1}" if self.contexts > 1 else "")
            process.until(lambda c=control: c.request("anchor", str(number)) == 0, 20,
                          "the first session")
            self.anchors[number].append(control)

    def load(self, number=0, first=None, **given):
        """One run of sessions that never were before; what it printed."""
        if first is None:
            first = self.next_session
            # twice: a run that warms up uses the numbers behind its own
            self.next_session += 2 * given["count"] * given.get("cycles", 1)
        argv = [program("bench_load"), self.hosts[number].socket]
        return run_lines(argv + options(first=first, **given))

    def attend(self, number, **given):
        """Like load, but stays, and ends sessions when it is asked to; a process."""
        argv = [program("bench_load"), self.hosts[number].socket]
        argv += map(str, options(attend=True, **given))
        agent = process.spawn(argv, stdout=subprocess.PIPE, text=True)
        if not agent.stdout.readline():
            raise RuntimeError(f"{' '.join(argv)}: ended")
        return agent

    def age(self):
        """Every address is used once and ended in scattered order: a pool that has been in use."""
        self.load(depth=1024, count=self.size - 1, release=True)

    def stop(self):
        for control in self.anchors[0] + self.anchors[1]:
            control.close()
        bad = self.pair.close()
        if bad:
            raise RuntimeError("; ".join(bad))
        shutil.rmtree(self.folder, ignore_errors=True)


class Skeleton:
    """The ceiling on one host: the same load over the same frames."""

    def __init__(self, folder, size, journal):
        self.folder = tempfile.mkdtemp(dir=folder)
        self.size = size
        self.journal = journal
        self.next_session = 0
        self.socket = os.path.join(self.folder, "socket")
        self.server = None

    def start(self):
        self.server = process.spawn(
            [program("bench_skeleton"), "local", self.socket, str(self.size), self.journal,
             self.folder, str(SERVER)])
        process.until(lambda: os.path.exists(self.socket), 20, "the skeleton")
        return self

    def load(self, **given):
        first = self.next_session
        self.next_session += given["count"] * given.get("cycles", 1)
        return run_lines([program("bench_load"), self.socket] + options(first=first, **given))

    def stop(self):
        self.server.kill()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class SkeletonPair:
    """The ceiling of two hosts, in the namespaces of a pair's network."""

    def __init__(self, folder, network, size, journal):
        self.folder = tempfile.mkdtemp(dir=folder)
        self.net = network
        self.size = size
        self.journal = journal
        self.port = 6000 + os.getpid() % 1000 + {"none": 0, "cache": 1000, "power": 2000}[journal]
        self.socket = os.path.join(self.folder, "socket")
        self.servers = []
        self.next_session = 0

    def _side(self, what, number, cpu, *more, **popen):
        here, there = self.net.addresses[number], self.net.addresses[1 - number]
        return process.spawn(
            [*self.net.prefix(number), program("bench_skeleton"), what, here, there,
             str(self.port), str(self.size), self.journal, self.folder, str(cpu), *more], **popen)

    def start(self):
        self.servers = [self._side("owner", 0, SERVER),
                        self._side("asker", 1, FAR, self.socket)]
        process.until(lambda: os.path.exists(self.socket), 20, "the skeleton's pair")
        return self

    def load(self, **given):
        """Requests to the asker, each for another address of the owner's."""
        if self.next_session + given["count"] > self.size:
            self.stop_servers()
            self.next_session = 0
            self.start()
        first = self.next_session
        self.next_session += given["count"]
        return run_lines([program("bench_load"), self.socket]
                         + options(first=first, at=BASE, size=self.size, **given))

    def move(self):
        """All bindings from one to the other; seconds."""
        self.port += 3000
        try:
            taker = self._side("taker", 1, FAR, stdout=subprocess.PIPE, text=True)
            taker.stdout.readline()
            giver = self._side("giver", 0, SERVER, stdout=subprocess.PIPE, text=True)
            line = giver.stdout.read()
            giver.wait()
            taker.wait()
        finally:
            self.port -= 3000
        return float(line.split('"seconds": ')[1].split(",")[0])

    def stop_servers(self):
        for server in self.servers:
            server.kill()
            server.wait()
        self.servers = []
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def stop(self):
        self.stop_servers()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis:
    """@durability: none, everysec, always; @script: pool, lean, lpop."""

    def __init__(self, folder, size, durability, script, port=0):
        self.folder = tempfile.mkdtemp(dir=folder)
        self.size = size
        self.durability = durability
        self.script = script
        self.port = port
        self.socket = os.path.join(self.folder, "socket")
        self.server = None
        self.sha = ""
        self.used = 0
        self.next_session = 0

    def start(self):
        self.launch()
        self.fill()
        return self

    def launch(self, *more):
        argv = ["redis-server", "--port", str(self.port), "--unixsocket", self.socket, "--dir",
                self.folder, "--save", "", "--loglevel", "warning", "--daemonize", "no"]
        if self.durability != "none":
            argv += ["--appendonly", "yes", "--appendfsync", self.durability]
        self.server = process.spawn([*argv, *more], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
        process.until(lambda: self.cli("ping") == "PONG", 120, "redis", 0.01)
        measure.pin(self.server.pid, SERVER)

    def cli(self, *words, stdin=None):
        done = subprocess.run(["redis-cli", "-s", self.socket, *map(str, words)], text=True,
                              capture_output=True, check=False, input=stdin)
        return done.stdout.strip()

    def fill(self):
        self.cli("flushall")
        kind = "pool" if self.script == "pool" else "lean"
        self.cli("--eval", os.path.join(HERE, "rivals", "fill.lua"), "p", ",", self.size, kind)
        with open(os.path.join(HERE, "rivals", f"{kind}.lua"), encoding="ascii") as file:
            self.sha = self.cli("-x", "script", "load", stdin=file.read())
        self.used = 0

    def load(self, **given):
        """At most what is free; a new pool when little is left."""
        if self.used + given["count"] > self.size:
            self.fill()
        first = self.next_session
        self.next_session += given["count"]
        given["lpop"] = self.script == "lpop"
        lines = run_lines([program("bench_redis"), self.socket, self.sha]
                          + options(first=first, **given))
        self.used += lines[0]["count"]
        return lines

    def memory(self):
        info = self.cli("info", "memory")
        return int(info.split("used_memory:")[1].split()[0])

    def stop(self, keep=False):
        process.stop(self.server)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Replica(Redis):
    """An empty Redis that follows another one."""

    def follow(self, master):
        began = time.monotonic()
        self.cli("replicaof", "127.0.0.1", master.port)
        while "master_link_status:up" not in self.cli("info", "replication"):
            time.sleep(0.005)
        return time.monotonic() - began


def sqlite(folder, size, durability, batch, seconds):
    path = tempfile.mkdtemp(dir=folder)
    try:
        return run_lines([program("bench_sqlite"), path, size, durability, batch, seconds, SERVER])
    finally:
        shutil.rmtree(path, ignore_errors=True)
