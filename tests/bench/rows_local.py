"""G1 to G6: grants from what a side owns; and G15, G16: large pools and full ones."""

import os

from contenders import FAR, NEAR, SERVER, Ipspd, Redis, Skeleton, sqlite
from measure import program, run_lines

PLACES = {"two": FAR, "same": NEAR}


def local(bench):
    """G1 G2 G4 G6: in the page cache before the answer."""
    size = bench.size
    ipspd = bench.open(Ipspd(bench.folder, size).start())
    ipspd.age()
    skeleton = bench.open(Skeleton(bench.folder, size, "cache").start())
    redis = {}
    if bench.rivals:
        for name, durability, script in (("redis", "everysec", "pool"), ("lean", "everysec", "lean"),
                                         ("lpop", "none", "lpop")):
            redis[name] = bench.open(Redis(bench.folder, size, durability, script).start())
    measures = []

    def rate(goal, place, depth, connections, who, contender, most, **more):
        def sample():
            line = contender.load(depth=depth, connections=connections, cpu=PLACES[place],
                                  seconds=bench.seconds, count=most, **more)[0]
            return {f"{goal} {who} {place} /s": line["rate"],
                    f"{goal} {who} {place} p50 us": line["p50-us"],
                    f"{goal} {who} {place} p99 us": line["p99-us"]}
        measures.append((goal, sample))

    for place in PLACES:
        for goal, depth, connections in (("G1", 64, 1), ("G2", 256, 1), ("G6", 1, 64), ("G4", 1, 1)):
            most = size // 2
            rate(goal, place, depth, connections, "ipspd", ipspd, most, release=True)
            rate(goal, place, depth, connections, "skeleton", skeleton, most, release=True)
            for who in redis if goal == "G1" else ["redis"] if redis else []:
                rate(goal, place, depth, connections, who, redis[who],
                     min(size // 4, int(400000 * bench.seconds)))
        measures.append(("G4", lambda place=place: trip(bench, f"G4 trip {place}", place)))
        measures.append(("G1", lambda place=place: stream(bench, f"G1 stream {place}", place, 64)))
    bench.rounds_of(measures)


def trip(bench, cell, place):
    line = run_lines([program("bench_probe"), "trip", bench.seconds / 2, PLACES[place], SERVER])[0]
    return {f"{cell} p50 us": line["p50-us"], f"{cell} p99 us": line["p99-us"]}


def stream(bench, cell, place, depth):
    line = run_lines([program("bench_probe"), "stream", bench.seconds / 2, depth, PLACES[place],
                      SERVER])[0]
    return {f"{cell} /s": line["rate"]}


def power(bench):
    """G3 G5: flushed before the answer."""
    size = bench.size
    ipspd = bench.open(Ipspd(bench.folder, size, durability="power").start())
    ipspd.age()
    skeleton = bench.open(Skeleton(bench.folder, size, "power").start())
    redis = bench.rivals and bench.open(Redis(bench.folder, size, "always", "pool").start())
    measures = []

    def rate(goal, depth, who, contender, most, **more):
        def sample():
            line = contender.load(depth=depth, cpu=FAR, seconds=bench.seconds, count=most, **more)[0]
            return {f"{goal} {who} D{depth} /s": line["rate"],
                    f"{goal} {who} D{depth} p50 us": line["p50-us"],
                    f"{goal} {who} D{depth} p99 us": line["p99-us"]}
        measures.append((goal, sample))

    for goal, depth in (("G3", 64), ("G3", 256), ("G3", 1024), ("G5", 1)):
        rate(goal, depth, "ipspd", ipspd, size // 2, release=True)
        rate(goal, depth, "skeleton", skeleton, size // 2, release=True)
        if redis and depth < 1024:
            rate(goal, depth, "redis", redis, min(size // 4, int(60000 * bench.seconds)))
    if bench.rivals and os.path.exists(program("bench_sqlite")):
        measures.append(("G3", lambda: {
            "G3 sqlite 64 a txn /s": sqlite(bench.folder, size, "full", 64, bench.seconds)[0]["rate"]}))
    measures.append(("G5", lambda: trip(bench, "G5 trip two", "two")))

    def flush():
        line = run_lines([program("bench_probe"), "flush", bench.folder, bench.seconds / 2])[0]
        return {"G5 flush p50 us": line["p50-us"], "G5 flush p99 us": line["p99-us"]}
    measures.append(("G5", flush))
    bench.rounds_of(measures)


def growth(bench):
    """G15: a large pool against a small one, 256 in flight, two cores; and many contexts."""
    small, large = 1 << 16, 1 << 20 if bench.quick else 1 << 24
    measures = []

    def rate(who, name, contender):
        def sample():
            line = contender.load(depth=256, cpu=FAR, seconds=bench.seconds, count=small - 1024,
                                  cycles=2, release=True)[0]
            return {f"G15 {who} {name} /s": line["rate"], f"G15 {who} {name} p99 us": line["p99-us"]}
        measures.append(("G15", sample))

    sizes = [("small", small), ("large", large)]
    if not bench.quick:
        sizes.insert(1, ("middle", 1 << 20))
    for name, size in sizes:
        ipspd = bench.open(Ipspd(bench.folder, size).start())
        ipspd.age()
        rate("ipspd", name, ipspd)
        rate("skeleton", name, bench.open(Skeleton(bench.folder, size, "cache").start()))
    bench.results.note(f"G15: {large} against {small} addresses")
    for number in (1, 8) if bench.quick else (1, 8, 64):
        ipspd = bench.open(Ipspd(bench.folder, small, contexts=number).start())

        def spread(number=number, ipspd=ipspd):
            line = ipspd.load(depth=4, connections=64, contexts=number, cpu=FAR, cycles=2, release=True,
                              seconds=bench.seconds, count=small - 1024)[0]
            return {f"G15 ipspd {number} contexts /s": line["rate"],
                    f"G15 ipspd {number} contexts p99 us": line["p99-us"]}
        measures.append(("G15", spread))
    bench.rounds_of(measures)


def fill(bench):
    """G16: half of the pool taken, and all but a thousandth of it; 256 in flight, two cores."""
    size = bench.size
    few = size // 1024 - 32
    measures = []
    for name, taken in (("half", size // 2), ("full", size - size // 1024)):
        ipspd = bench.open(Ipspd(bench.folder, size).start())
        ipspd.age()
        ipspd.load(depth=1024, count=taken)

        def sample(name=name, ipspd=ipspd):
            cycles = max(4, int(200000 * bench.seconds) // few)
            line = ipspd.load(depth=min(256, few), cpu=FAR, count=few, cycles=cycles, release=True)[0]
            return {f"G16 ipspd {name} /s": line["rate"]}
        measures.append(("G16", sample))
    bench.rounds_of(measures)


SCENES = {"local": (("G1", "G2", "G4", "G6"), local), "power": (("G3", "G5"), power),
          "growth": (("G15",), growth), "fill": (("G16",), fill)}
