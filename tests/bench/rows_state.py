"""G12, G14, G17: restart, memory, instructions; and what a compaction holds up."""

import collections
import os
import re
import signal
import subprocess
import time

from contenders import BASE, FAR, SERVER, Ipspd, Redis, Skeleton
from control import Control, wait_for
from measure import program, rss_bytes, run_lines

from harness import process

REST_S = 90  # the index of bindings shrinks when it was too large for a minute


def restart(bench):
    """G12: killed with all of the pool in use; until a new session has an address."""
    size = bench.size
    ipspd = bench.open(Ipspd(bench.folder, size).start())
    ipspd.load(depth=1024, count=size - 64)
    store = os.path.join(ipspd.hosts[0].config.state, "store")
    bench.results.add("G12 ipspd store MiB", os.path.getsize(store) / (1 << 20))
    n = 0

    def again():
        nonlocal n
        host = ipspd.hosts[0]
        host.signal(signal.SIGKILL)
        process.until(lambda: not host.running(), 10, "the end of a killed daemon", 0.001)
        n += 1
        began = time.monotonic()
        host.launch()
        wait_for(host.socket, "after", f"after-{n}")
        took = time.monotonic() - began
        while ipspd.anchors[0]:  # they went with the daemon
            ipspd.anchors[0].pop().close()
        return {"G12 ipspd s": took}

    def skeleton():
        line = run_lines([program("bench_skeleton"), "restart", size, bench.folder, SERVER])[0]
        return {"G12 skeleton s": line["seconds"]}

    measures = [("G12", again), ("G12", skeleton)]
    if bench.rivals and not bench.quick:
        redis = bench.open(Redis(bench.folder, size, "everysec", "pool").start())
        redis.load(depth=256, count=size - 1)
        time.sleep(1.5)

        def redis_again():
            process.stop(redis.server, 60)
            began = time.monotonic()
            redis.launch()
            while redis.cli("info", "persistence").split("loading:")[1][0] != "0":
                time.sleep(0.01)
            return {"G12 redis s": time.monotonic() - began}
        measures.append(("G12", redis_again))
    bench.rounds_of(measures)


def compaction(bench):
    """One request in flight while the log of nearly a full pool is written anew, beside many others'."""
    size = bench.size
    ipspd = bench.open(Ipspd(bench.folder, size).start())
    ipspd.load(depth=1024, count=size - size // 8)
    host = ipspd.hosts[0]
    store = os.path.join(host.config.state, "store")
    few = size // 8 - 64

    def sample():
        """Takes and ends until the log has been replaced; the file is another one then."""
        for _ in range(20):
            before = os.stat(store).st_ino
            late = ipspd.load(depth=64, cpu=FAR, count=few, cycles=2, release=True)[0]
            if os.stat(store).st_ino != before:
                return {"BULK compaction p99 us": late["p99-us"],
                        "BULK compaction most us": late["max-us"]}
        raise RuntimeError("the log was not compacted")
    bench.rounds_of([("BULK", sample)])
    add_hello_late(bench.results, "compaction", ipspd)


def add_hello_late(results, while_what, ipspd):
    """How late a hello was at most since the daemons began, on each host."""
    for number, host in enumerate(ipspd.hosts):
        control = Control(host.socket)
        late = control.show("counters")["counters"]["hello-late-max-ms"]
        control.close()
        results.add(f"BULK {while_what} hello late {number} ms", late)


def memory(bench):
    """G14: resident memory by what the addresses are; no rounds, for it repeats. Returns what is to be
    done when the daemon has had time to rest: what is larger than it needs to be goes after a minute."""
    size = 1 << 20
    ipspd = bench.open(Ipspd(bench.folder, size).start())
    results, pid = bench.results, ipspd.hosts[0].pid
    results.add("G14 ipspd fresh MiB", rss_bytes(pid) / (1 << 20))
    results.add("G14 ipspd free, never used B", rss_bytes(pid) / size)
    named = {"first": 1, "at": BASE, "size": size, "count": size - 1, "depth": 1024}
    ipspd.load(**named)  # address 0 is the anchor's
    results.add("G14 ipspd bound B", rss_bytes(pid) / size)
    ipspd.load(end=True, **named)
    ended = time.monotonic()
    if bench.rivals:
        redis = bench.open(Redis(bench.folder, size, "none", "pool").start())
        free = redis.memory()
        results.add("G14 redis free B", free / size)
        redis.load(depth=256, count=size - 1)
        results.add("G14 redis bound B", redis.memory() / size)

    def rested():
        time.sleep(max(0, ended + REST_S - time.monotonic()))
        results.add("G14 ipspd free, used before B", rss_bytes(pid) / size)
    return rested


def repeats(bench):
    """G14 and G17."""
    rested = memory(bench) if bench.wants("G14") else None
    if bench.wants("G17"):
        instructions(bench)
    if rested:
        rested()


# ---------------------------------------------------------------- instructions


def instructions(bench):
    """G17, and G16: what valgrind counts in user space between two moments; it repeats."""
    count = 40960
    for who in ("ipspd", "skeleton"):
        folder = os.path.join(bench.folder, f"callgrind-{who}")
        os.makedirs(folder, exist_ok=True)
        counted = ipspd_counted if who == "ipspd" else skeleton_counted
        for cell, total in counted(bench, folder, count).items():
            bench.results.add(f"G17 {who} {cell}", total)


def callgrind(folder):
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--dump-instr=no",
            "--quiet", "--error-exitcode=0"]


def counted_since(pid, folder, run):
    """Instructions of the process while @run() runs."""
    control(pid, "-z")
    run()
    control(pid, "-d")
    dumps = [name for name in os.listdir(folder) if re.fullmatch(r"out\.\d+", name)]
    newest = max(dumps, key=lambda name: int(name.split(".")[1]))
    with open(os.path.join(folder, newest), encoding="utf-8") as file:
        text = file.read()
    totals = re.findall(r"^(?:totals|summary): (\d+)", text, re.M)
    return int(totals[-1]), os.path.join(folder, newest)


def control(pid, option):
    for _ in range(20):
        done = subprocess.run(["callgrind_control", option, str(pid)], capture_output=True,
                              text=True, check=False)
        if done.returncode == 0 and "OK" in done.stdout:
            return
        time.sleep(0.2)
    raise RuntimeError(f"callgrind_control {option}: {done.stdout} {done.stderr}")


def profile(dump, count):
    """The functions of a dump by their own instructions a grant, with how often each is called.

    callgrind_annotate loses its way in what was zeroed while it ran.
    """
    names, own, calls = {}, collections.Counter(), collections.Counter()
    function = called = None
    inclusive = False  # the line behind a call has the cost of what was called

    def name(word):
        number, _, text = word.partition(" ")
        if text:
            names[number] = text
        return names.get(number, word)

    with open(dump, encoding="utf-8") as file:
        for line in file:
            if line.startswith("fn="):
                function = name(line[3:].strip())
            elif line.startswith("cfn="):
                called = name(line[4:].strip())
            elif line.startswith("calls="):
                calls[called] += int(line[6:].split()[0])
                inclusive = True
            elif line[:1] in "0123456789+-*" and len(line.split()) > 1:
                if not inclusive:
                    own[function] += int(line.split()[-1])
                inclusive = False
    lines = [f"{sum(own.values()) / count:9.1f}                all"]
    lines += [f"{cost / count:9.1f} {calls[function] / count:9.2f} calls {function}"
              for function, cost in own.most_common(100)]
    return "\n".join(lines) + "\n"


def without_filter(folder):
    """An environment in which the daemon's filter of system calls is not put in force: nofilter.c."""
    library = os.path.join(folder, "nofilter.so")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nofilter.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return dict(os.environ, LD_PRELOAD=library)


def ipspd_counted(bench, folder, count):
    """A daemon with its peer: both with a lease, as they always are."""
    ipspd = Ipspd(bench.folder, 1 << 16)
    host = ipspd.hosts[0]
    launch = host.launch
    environment = without_filter(folder)

    def launch_counted():
        with open(host.log_file, "ab") as log:
            host._daemon = process.spawn(  # pylint: disable=protected-access
                [*ipspd.net.prefix(0), *callgrind(folder), process.program("ipspd"), "-f", "-c",
                 host.file], stdout=log, stderr=log, env=environment)
    host.launch = launch_counted
    try:
        ipspd.start()
        took = fill_counted(ipspd, folder)
        # in use, as it is for most of its life: a quarter of the pool stays taken, and what grows with
        # the sessions has grown
        ipspd.load(depth=64, count=ipspd.size // 4)
        ipspd.load(depth=64, count=count, release=True)
        both, _ = counted_since(host.pid, folder,
                                lambda: ipspd.load(depth=64, count=count, release=True))
        # the least of four parts: where the processor is shared, batches are smaller, which only adds
        parts = []
        for _ in range(4):
            parts.append(counted_since(host.pid, folder, lambda: ipspd.load(depth=64, count=count // 4)))
        total, dump = min(parts)
        took["D64 a grant"] = total / (count // 4)
        took["an end"] = (both - sum(part for part, _ in parts)) / count
        if bench.out:
            with open(os.path.join(bench.out, "callgrind.txt"), "w", encoding="utf-8") as file:
                file.write(profile(dump, count // 4))
        total, _ = counted_since(host.pid, folder, lambda: ipspd.load(depth=1, count=2000))
        took["D1 a grant"] = total / 2000
        return took
    finally:
        host.launch = launch
        ipspd.stop()


def fill_counted(ipspd, folder):
    """Takes and ends where half of the pool is in use, and where all but a thousandth is."""
    few, cycles, took = ipspd.size // 1024 - 4, 40, {}
    taken, at = 1, []  # address 0 is the anchor's
    for name, used in (("half", ipspd.size // 2), ("full", ipspd.size - ipspd.size // 1024)):
        # names that nobody else uses; the address goes by the low bits
        at.append({"first": (1 << 27) + taken, "at": BASE, "size": ipspd.size, "count": used - taken})
        ipspd.load(depth=256, **at[-1])
        taken = used
        total, _ = counted_since(ipspd.hosts[0].pid, folder,
                                 lambda: ipspd.load(depth=32, count=few, cycles=cycles, release=True))
        took[f"{name} taken, a grant and an end"] = total / few / cycles
    for named in at:
        ipspd.load(depth=256, end=True, **named)
    return took


def skeleton_counted(bench, folder, count):
    skeleton = Skeleton(bench.folder, 1 << 16, "cache")
    skeleton.server = process.spawn(
        [*callgrind(folder), program("bench_skeleton"), "local", skeleton.socket, str(skeleton.size),
         skeleton.journal, skeleton.folder, str(SERVER)])
    try:
        process.until(lambda: os.path.exists(skeleton.socket), 60, "the skeleton")
        time.sleep(0.5)
        total, _ = counted_since(skeleton.server.pid, folder,
                                 lambda: skeleton.load(depth=64, count=count))
        return {"D64 a grant": total / count}
    finally:
        skeleton.stop()


SCENES = {"restart": (("G12",), restart), "repeats": (("G14", "G17"), repeats),
          "compaction": (("BULK",), compaction)}
