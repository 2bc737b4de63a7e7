"""G7 to G11, G13: what needs both hosts."""

import os
import shutil
import signal
import subprocess
import time

import measure
from contenders import BASE, FAR, Ipspd, Redis, Replica, SkeletonPair
from control import Control, Refused
from measure import options, program, run_lines
from rows_state import add_hello_late

from harness import net, process

STATIC = {"name": "pool-s", "network": "10.200.0.0/16", "include-nw-bcast": True, "type": "static"}


class Asked:
    """A pair whose second side is asked for addresses that the first one owns, each one once."""

    def __init__(self, bench, durability):
        self.bench = bench
        self.durability = durability
        self.ipspd = None
        self.next = 1  # address 0 is the anchor's

    def start(self):
        self.ipspd = Ipspd(self.bench.folder, self.bench.size, durability=self.durability).start()
        self.next = 1
        return self

    def load(self, count, **given):
        if self.next + count > self.bench.size:
            self.stop()
            self.start()
        first = self.next
        self.next += count
        return self.ipspd.load(1, first=first, at=BASE, size=self.bench.size, cpu=FAR, count=count,
                               **given)

    def stop(self):
        self.ipspd.stop()


def asked(bench):
    """G7 G8: the peer must be asked for each address."""
    size = bench.size
    network = net.VethNet()
    bench.defer(network.close)
    measures = []

    def rate(who, contender, depth, most, connections=1):
        goal = "G7" if depth * connections == 1 else "G8"

        def sample():
            given = {} if connections == 1 else {"connections": connections}
            line = contender.load(depth=depth, seconds=bench.seconds, count=most, **given)[0]
            cell = f"{goal} {who} D{depth * connections}"
            return {f"{cell} /s": line["rate"], f"{cell} p50 us": line["p50-us"],
                    f"{cell} p99 us": line["p99-us"]}
        measures.append((goal, sample))

    for journal, durability in (("cache", "crash"), ("power", "power")):
        ipspd = bench.open(Asked(bench, durability).start())
        skeleton = bench.open(SkeletonPair(bench.folder, network, size, journal).start())
        for depth in (1, 64, 256):
            most = min(size // 4, int(30000 * bench.seconds) if depth == 1 else size)
            rate(f"ipspd-{journal}", ipspd, depth, most)
            rate(f"skeleton-{journal}", skeleton, depth, most)
    if bench.rivals:
        master = bench.open(Redis(bench.folder, size, "none", "pool", port=26379).start())
        replica = bench.open(Replica(bench.folder, size, "none", "pool", port=26380))
        master.cli("config", "set", "repl-diskless-sync-delay", "0")
        replica.launch()
        replica.follow(master)
        measure.pin(master.server.pid, FAR)  # a core a host: the load is on the master's

        class Waiting:
            @staticmethod
            def load(**given):
                return master.load(wait=True, cpu=FAR, **given)
        rate("redis-wait", Waiting, 1, int(20000 * bench.seconds))
        rate("redis-wait", Waiting, 1, min(size // 4, int(100000 * bench.seconds)), connections=64)
    bench.rounds_of(measures)


# ---------------------------------------------------------------- moves


def counts(control):
    status = control.status()
    pool = next(pool for pool in status["pools"] if pool["name"] == "pool-a")
    return status, pool


def until_moved(here, there, seconds=120, step=0.004):
    """Until @here owns nothing that no session uses, and has heard that all has arrived."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _, pool = counts(here)
        if pool["free"] + pool["hold"] + pool["quarantine"] + pool["in-transit"] == 0:
            _, other = counts(there)
            if other["in-transit"] == 0:
                return
        time.sleep(step)
    raise RuntimeError(f"nothing has moved: {counts(here)[1]} {counts(there)[1]}")


class Moves:
    """A pair between which everything unused goes to and fro: by agreed takeovers."""

    def __init__(self, bench, held, durability):
        self.ipspd = Ipspd(bench.folder, bench.size, durability=durability, hold_s=36000 if held else 0)
        for host in self.ipspd.hosts:
            host.config.pools = host.config.pools + [dict(STATIC)]
        self.held = held
        self.owner = 0
        self.controls = []
        self.first_static = 0

    def start(self):
        self.ipspd.start()
        self.ipspd.anchor(1)
        self.controls = [Control(host.socket) for host in self.ipspd.hosts]
        if self.held:  # all are taken, and then held for their subscribers
            _, pool = counts(self.controls[0])
            self.ipspd.load(depth=1024, count=pool["free"], release=True)
        return self

    def held_now(self):
        return counts(self.controls[self.owner])[1]["hold"]

    def move(self):
        """Seconds, until the giver knows that it has arrived."""
        giver, taker = self.controls[self.owner], self.controls[1 - self.owner]
        began = time.monotonic()
        err = taker.command("takeover")
        if err:
            raise RuntimeError(f"takeover: {err}")
        until_moved(giver, taker)
        self.owner = 1 - self.owner
        return time.monotonic() - began

    def one_at_a_time(self, host, seconds):
        """D1 on a static pool: the loop's own latency, whatever happens to the others."""
        first = self.first_static
        self.first_static += 20000
        return run_lines([program("bench_load"), self.ipspd.hosts[host].socket]
                         + options(depth=1, count=20000, seconds=seconds, at="10.200.0.0",
                                   size=1 << 16, first=first % 40000, release=True))[0]["p99-us"]

    def p99_while_moving(self, host):
        argv = [program("bench_load"), self.ipspd.hosts[host].socket]
        argv += map(str, options(depth=1, count=40000, seconds=0.6, at="10.200.0.0", size=1 << 16,
                                 release=True))
        load = process.spawn(argv, stdout=subprocess.PIPE, text=True)
        time.sleep(0.1)
        self.move()
        out = load.communicate()[0]
        return float(out.split('"p99-us": ')[1].split(",")[0])

    def stop(self):
        for control in self.controls:
            control.close()
        self.ipspd.stop()


def moves(bench):
    """G9 G10 G11: addresses go to the other side."""
    size = bench.size
    measures = []
    network = net.VethNet()
    bench.defer(network.close)
    wants = bench.wants
    moved = None
    if wants("G9") or wants("G11"):
        for durability in ("crash", "power"):
            free = bench.open(Moves(bench, False, durability).start())
            held = bench.open(Moves(bench, True, durability).start())
            skeleton = bench.open(SkeletonPair(bench.folder, network, size,
                                               "cache" if durability == "crash" else "power"))
            bench.results.note(f"G9: {held.held_now()} of {size} addresses are held")

            def sample(free=free, held=held, skeleton=skeleton, durability=durability):
                took = held.move()
                return {f"G9 ipspd-{durability} free s": free.move(),
                        f"G9 ipspd-{durability} held s": took,
                        f"G9 ipspd-{durability} held us each": took / size * 1e6,
                        f"G9 skeleton-{durability} s": skeleton.move()}
            measures.append(("G9", sample))
            if durability == "power":
                moved = held
                def latency(held=held):
                    taken = {}
                    for host in (0, 1):
                        taken[f"G11 ipspd idle {host} p99 us"] = held.one_at_a_time(host, 0.5)
                        taken[f"G11 ipspd moving {host} p99 us"] = held.p99_while_moving(host)
                    return taken
                measures.append(("G11", latency))
    if wants("G10"):
        measures.append(("G10", lambda: handoff(bench)))
    bench.rounds_of(measures)
    if moved:
        add_hello_late(bench.results, "move", moved.ipspd)
    if bench.rivals and wants("G9"):
        redis_sync(bench)


def handoff(bench):
    """Every session goes on at the other side: the peer is asked, its HA ends it, D256."""
    count = min(bench.size // 2, int(200000 * bench.seconds))
    ipspd = Ipspd(bench.folder, bench.size, durability="power").start()
    try:
        named = {"first": 1, "count": count, "at": BASE, "size": bench.size}
        agent = ipspd.attend(0, depth=1024, **named)
        try:
            line = ipspd.load(1, depth=256, cpu=FAR, **named)[0]
        finally:
            agent.kill()
            agent.wait()
        return {"G10 ipspd-power /s": line["rate"], "G10 ipspd-power p99 us": line["p99-us"]}
    finally:
        ipspd.stop()


def redis_sync(bench):
    master = Redis(bench.folder, bench.size, "none", "pool", port=26379).start()
    replica = Replica(bench.folder, bench.size, "none", "pool", port=26380)
    try:
        master.cli("config", "set", "repl-diskless-sync-delay", "0")
        master.load(depth=256, count=bench.size - 1)
        for _ in range(min(bench.rounds, 3)):
            replica.launch()
            bench.results.add("G9 redis full sync s", replica.follow(master))
            replica.stop(keep=True)
    finally:
        master.stop()
        shutil.rmtree(replica.folder, ignore_errors=True)


# ---------------------------------------------------------------- a peer that comes back


def back(bench):
    """G13: the second side owned all; it comes back, with its state and without."""
    ipspd = bench.open(Ipspd(bench.folder, bench.size, durability="power"))
    for host in ipspd.hosts:
        host.config.pools = host.config.pools
    ipspd.pair.start(dead_interval=3600, hello_interval_ms=100, durability="power")
    ipspd.place()
    ipspd.anchor(0)
    here, there = Control(ipspd.hosts[0].socket), Control(ipspd.hosts[1].socket)
    bench.defer(here.close)
    if there.command("takeover"):
        raise RuntimeError("takeover")
    until_moved(here, there)
    owned = counts(there)[1]["free"]
    bench.results.note(f"G13: the peer owns {owned} addresses; hellos each 100 ms")
    there.close()

    def comes_back(wipe):
        host = ipspd.hosts[1]
        host.signal(signal.SIGKILL)
        process.until(lambda: not host.running(), 10, "the end of a killed daemon", 0.001)
        if wipe:
            state = host.config.state
            for name in os.listdir(state):
                os.unlink(os.path.join(state, name))
        began = time.monotonic()
        host.launch()
        wait_active(host, here, owned)
        took = time.monotonic() - began
        ipspd.place()
        return took

    bench.rounds_of([("G13", lambda: {"G13 ipspd rejoin s": comes_back(False)}),
                     ("G13", lambda: {"G13 ipspd wiped s": comes_back(True)})])
    add_hello_late(bench.results, "resync", ipspd)


def wait_active(host, here, owned, seconds=60):
    end = time.monotonic() + seconds
    control = None
    while time.monotonic() < end:
        try:
            control = control or Control(host.socket)
            status, pool = counts(control)
            if status["state"] == "active" and pool["free"] >= owned \
                    and counts(here)[1]["in-transit"] == 0:
                control.close()
                return
        except Refused:
            control = None
        time.sleep(0.002)
    raise RuntimeError(f"{host.name} did not come back: {host.tail()}")


SCENES = {"asked": (("G7", "G8"), asked), "moves": (("G9", "G10", "G11"), moves),
          "back": (("G13",), back)}
