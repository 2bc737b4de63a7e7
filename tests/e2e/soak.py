#!/usr/bin/env python3
"""Soak: very many sessions and reconnects; descriptors and resident memory of both daemons stay flat.

    python3 tests/e2e/soak.py           50,000 sessions, 100 reconnects of each kind, some restarts
    python3 tests/e2e/soak.py --long    1,000,000 sessions, 1,000 reconnects of each kind

The work is done in rounds that are all alike: sessions are opened and released on both sides; HAs attach,
take sessions, and end in order or by kill -9, so that the next one finds sessions of its name; the peer link
is cut until both call the peer lost, and healed; HA2's daemon is stopped or killed and started again. After
each round, at rest, both daemons' descriptors and resident memory are read. The first rounds are warm-up;
the last round may not have more descriptors than they, nor more memory but for the tolerance.

IPSPD_BUILD names the build folder: one without sanitizers, whose memory isn't the daemon's. Needs root, for
network namespaces. Ends with 0 when both stayed flat.
"""

import argparse
import json
import os
import select
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from harness import net, pair, process  # noqa: E402  the path comes first

BATCH = 500
WARM_UP = 3  # rounds of ten
ROUNDS = 10
TOLERANCE_KIB = 256
NETWORK = "10.1.0.0/20"  # every address has been used once by the end of the first rounds
PER_ATTACH = 20  # sessions that each reconnecting HA has
HELLO_MS = 20  # ten of them without a hello: the peer is lost


class Pump:
    """`ipspctl agent`, a batch of lines at a time."""

    def __init__(self, host, name):
        self._process = process.spawn(
            [process.program("ipspctl"), "-s", host.socket, "agent", "--name", name],
            stdin=process.subprocess.PIPE, stdout=process.subprocess.PIPE, bufsize=0)
        self._rest = b""
        self._number = 0

    def say(self, messages):
        lines = []
        for message in messages:
            self._number += 1
            lines.append(json.dumps({"id": self._number, **message}))
        self._process.stdin.write(("\n".join(lines) + "\n").encode())
        return len(lines)

    def hear(self, count, seconds=60):
        """@count answers; what is not an answer is passed over."""
        answers = []
        end = time.monotonic() + seconds
        while len(answers) < count:
            if not select.select([self._process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise process.TooLate(f"{count - len(answers)} answers have not come")
            data = os.read(self._process.stdout.fileno(), 1 << 20)
            if not data:
                raise process.TooLate(f"the agent ended with {self._process.wait()}")
            *lines, self._rest = (self._rest + data).split(b"\n")
            answers += [answer for answer in map(json.loads, lines) if "id" in answer]
        return answers

    def list(self):
        self.say([{"op": "list"}])
        return [row["address"] for row in self.hear(1)[0]["sessions"]]

    def release(self, addresses):
        done = self.hear(self.say({"op": "release", "address": one} for one in addresses))
        assert all(answer["ok"] for answer in done), done[:3]

    def end(self, kill):
        if kill:
            self._process.kill()
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Soak:
    def __init__(self, folder, options):
        self.options = options
        self.pair = pair.Pair(folder, net.VethNet(), trapd=False)
        self.samples = {host.name: [] for host in self.pair.hosts}
        self.done = {"sessions": 0, "HA reconnects": 0, "link cuts": 0, "restarts of ha2": 0}
        self.began = time.monotonic()
        self._names = 0

    def say(self, text):
        print(f"    {time.monotonic() - self.began:6.1f} s  {text}", file=sys.stderr, flush=True)

    def start(self):
        """One session on each side stays, or the roles would be exchanged whenever one has none (P6)."""
        for host in self.pair.hosts:
            host.config.pools[0]["network"] = NETWORK
        self.pair.start(**{"hello-interval-ms": HELLO_MS})
        for host in self.pair.hosts:
            pump = Pump(host, "resident")
            assert pump.hear(pump.say(self.requests(1)))[0]["ok"]
            pump.end(kill=False)

    def run(self):
        self.start()
        for number in range(ROUNDS):
            self.restart(self.share(self.options.restarts, number))
            self.sessions(self.share(self.options.sessions, number))
            self.reconnects(self.share(self.options.reconnects, number))
            self.cuts(self.share(self.options.reconnects, number))
            self.sample()
            self.say(f"round {number + 1}: " + ", ".join(
                f"{name} {rows[-1][0]} descriptors, {rows[-1][1]} KiB"
                for name, rows in self.samples.items()))

    @staticmethod
    def share(whole, number):
        return whole * (number + 1) // ROUNDS - whole * number // ROUNDS

    # ---------------------------------------------------------------- one round

    def sessions(self, count):
        pumps = [Pump(host, "pump") for host in self.pair.hosts]
        while count > 0:
            batch = min(BATCH, count)
            for pump in pumps:
                pump.say(self.requests(batch))
            for pump in pumps:
                answers = pump.hear(batch)
                assert all(answer["ok"] for answer in answers), [a for a in answers if not a["ok"]][:3]
                pump.say({"op": "release", "address": answer["address"]} for answer in answers)
            for pump in pumps:
                assert all(answer["ok"] for answer in pump.hear(batch))
            count -= batch * len(pumps)
            self.done["sessions"] += batch * len(pumps)
        for pump in pumps:
            pump.end(kill=False)

    def requests(self, count):
        for _ in range(count):
            self._names += 1
            yield {"op": "request", "subscriber": f"node-{self._names}@isp", "session": "s1"}

    def reconnects(self, count):
        """Each HA ends the sessions that its predecessor left, and leaves its own."""
        for number in range(count):
            pump = Pump(self.pair.hosts[number % 2], f"ha-{number % 4}")
            pump.release(pump.list())
            answers = pump.hear(pump.say(self.requests(PER_ATTACH)))
            assert all(answer["ok"] for answer in answers), answers
            pump.end(kill=number // 4 % 2 == 0)
            self.done["HA reconnects"] += 1
            self.done["sessions"] += PER_ATTACH
        for number in range(min(count, 4)):
            pump = Pump(self.pair.hosts[number % 2], f"ha-{number % 4}")
            pump.release(pump.list())
            pump.end(kill=False)

    def cuts(self, count):
        for _ in range(count):
            self.pair.net.lose(100)
            process.until(lambda: self.states() == ["peer-lost"] * 2, 20, "both to lose the other", 0.02)
            self.pair.net.lose(0)
            process.until(lambda: self.states() == ["active"] * 2, 20, "both to meet again", 0.02)
            self.done["link cuts"] += 1

    def states(self):
        return [(host.status_or_none() or {}).get("state") for host in self.pair.hosts]

    def restart(self, count):
        second = self.pair.hosts[1]
        for number in range(count):
            if number % 2:
                second.kill9()
            else:
                assert second.stop() == 0
            second.launch()
            second.wait_ready()
            self.pair.wait_sharing()
            self.done["restarts of ha2"] += 1

    def sample(self):
        """At rest: what is flushed within a second is flushed, connections that ended are closed."""
        self.pair.settle()
        time.sleep(1.5)
        for host in self.pair.hosts:
            with open(f"/proc/{host.pid}/status", encoding="ascii") as file:
                status = dict(line.split(":", 1) for line in file)
            self.samples[host.name].append(
                (len(os.listdir(f"/proc/{host.pid}/fd")), int(status["VmRSS"].split()[0])))

    # ---------------------------------------------------------------- the end

    def faults(self):
        found = self.pair.close()
        for name, rows in self.samples.items() if len(self.samples["ha1"]) == ROUNDS else ():
            warm, last = rows[:WARM_UP], rows[-1]
            if last[0] > max(row[0] for row in warm):
                found.append(f"{name}: {last[0]} descriptors, {max(row[0] for row in warm)} at first")
            if last[1] > max(row[1] for row in warm) + TOLERANCE_KIB:
                found.append(f"{name}: {last[1]} KiB, {max(row[1] for row in warm)} at first")
        return found

    def table(self):
        lines = ["| what | how much |", "|---|---|"]
        lines += [f"| {what} | {count} |" for what, count in self.done.items()]
        for name, rows in self.samples.items():
            lines.append(f"| {name}: descriptors in each of {len(rows)} rounds | "
                         f"{' '.join(str(row[0]) for row in rows)} |")
            lines.append(f"| {name}: resident KiB | {' '.join(str(row[1]) for row in rows)} |")
        return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--sessions", type=int)
    parser.add_argument("--reconnects", type=int, help="of HAs, and as many cuts of the peer link")
    parser.add_argument("--restarts", type=int)
    options = parser.parse_args()
    long, short = (1000000, 1000, 100), (50000, 100, 10)
    for name, number in zip(("sessions", "reconnects", "restarts"), long if options.long else short):
        if getattr(options, name) is None:
            setattr(options, name, number)
    return options


def main():
    options = arguments()
    folder = tempfile.mkdtemp(prefix="ipspd-soak.")
    soak = Soak(folder, options)
    try:
        soak.run()
    finally:
        faults = soak.faults()
    print(soak.table())
    print(f"{time.monotonic() - soak.began:.0f} s; at most {TOLERANCE_KIB} KiB more than in the first "
          f"{WARM_UP} rounds, no descriptor more: {'no' if faults else 'yes'}")
    for text in faults:
        print(f"FAULT: {text}", file=sys.stderr)
    if not faults:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
