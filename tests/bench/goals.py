"""What each row is to reach. A check compares medians of ratios: each round's sample with that of the
other in the same round, so that a noisy machine moves both sides."""

import statistics


class Check:
    """The value of @cell, or its ratio to @other, against @least or @most. @reached: where a goal is
    not met yet, what was reached: a change may not fall behind it."""

    def __init__(self, goal, what, cell, other=None, least=None, most=None, reached=None):
        self.goal = goal
        self.what = what
        self.cell = cell
        self.other = other
        self.least = least
        self.most = most
        self.reached = reached

    def value(self, results):
        """None where a cell was not measured."""
        ours = results.get(self.cell)
        if not ours:
            return None
        if self.other is None:
            return statistics.median(ours)
        theirs = results.get(self.other)
        if not theirs:
            return None
        if len(theirs) == len(ours):
            return statistics.median(a / b for a, b in zip(ours, theirs))
        return statistics.median(ours) / statistics.median(theirs)

    def met(self, value):
        if self.least is not None:
            return value >= self.least
        if self.most is not None:
            return value <= self.most
        return None

    def passes(self, value):
        """What a gate asks for: the goal, or at least what was reached."""
        if self.reached is not None:
            return value <= self.reached
        return self.met(value) is not False

    def wanted(self):
        if self.least is not None:
            return f">= {self.least:g}"
        if self.most is not None:
            return f"<= {self.most:g}"
        return ""


def ceiling(goal, what, cell, **limits):
    """@cell against the same cell of the skeleton."""
    return Check(goal, f"{what}, of the ceiling", cell, cell.replace("ipspd", "skeleton"), **limits)


def local_rates():
    checks = []
    for goal, depth, two, same in (("G1", 64, (15, 8, 1.8), (35, 8, None)), ("G2", 256, (25,), (60,))):
        for place, times, floor in (("two", two, {"G1": 0.8e6, "G2": 1.7e6}[goal]),
                                    ("same", same, {"G1": 2.0e6, "G2": 4.0e6}[goal])):
            cell = f"{goal} ipspd {place} /s"
            what = f"grants, D{depth}, kill, {place}"
            checks.append(Check(goal, f"{what}, a second", cell, least=floor))
            checks.append(ceiling(goal, what, cell, least=0.7))
            for who, least in zip(("redis", "lean", "lpop"), times):
                names = {"redis": "Redis everysec", "lean": "lean Redis everysec",
                         "lpop": "bare LPOP, no AOF"}
                if least:
                    checks.append(Check(goal, f"{what}, of {names[who]}", cell,
                                        f"{goal} {who} {place} /s", least=least))
    return checks


def power_rates():
    checks = []
    for depth, floor, redis in ((64, 175e3, 5), (256, 600e3, 12), (1024, 1.8e6, None)):
        cell = f"G3 ipspd D{depth} /s"
        checks.append(Check("G3", f"grants, D{depth}, power, a second", cell, least=floor))
        checks.append(ceiling("G3", f"grants, D{depth}, power", cell, least=0.7))
        if redis:
            checks.append(Check("G3", f"grants, D{depth}, power, of Redis always", cell,
                                f"G3 redis D{depth} /s", least=redis))
    checks.append(Check("G3", "grants, D64, power, of SQLite FULL, 64 a transaction",
                        "G3 ipspd D64 /s", "G3 sqlite 64 a txn /s"))
    return checks


def one_in_flight():
    checks = []
    for place, floor, redis in (("two", 75, 0.85), ("same", 16, 0.6)):
        cell = f"G4 ipspd {place} p50 us"
        checks.append(Check("G4", f"D1, kill, {place}, p50 us", cell, most=floor))
        checks.append(Check("G4", f"D1, kill, {place}, p50, of Redis everysec", cell,
                            f"G4 redis {place} p50 us", most=redis))
        checks.append(Check("G4", f"D1, kill, {place}, p50, of a raw round trip", cell,
                            f"G4 trip {place} p50 us"))
    checks += [
        Check("G5", "D1, power, two, p50 us", "G5 ipspd D1 p50 us", most=260),
        Check("G5", "D1, power, two, p99 us", "G5 ipspd D1 p99 us", most=450),
        Check("G5", "D1, power, p50, of Redis always", "G5 ipspd D1 p50 us", "G5 redis D1 p50 us",
              most=0.75),
        ceiling("G5", "D1, power, p50", "G5 ipspd D1 p50 us"),
    ]
    for place, floor, redis in (("two", 200e3, 3.5), ("same", 105e3, None)):
        cell = f"G6 ipspd {place} /s"
        checks.append(Check("G6", f"64 connections, kill, {place}, a second", cell, least=floor))
        checks.append(ceiling("G6", f"64 connections, kill, {place}", cell, least=0.7))
        checks.append(Check("G6", f"64 connections, kill, {place}, of Redis everysec", cell,
                            f"G6 redis {place} /s", least=redis))
    return checks


def asked():
    checks = []
    for journal, word, p50, p99 in (("cache", "kill", 140, 250), ("power", "power", 300, 550)):
        cell = f"G7 ipspd-{journal} D1"
        checks += [
            Check("G7", f"peer asked, D1, {word}, p50 us", f"{cell} p50 us", most=p50),
            Check("G7", f"peer asked, D1, {word}, p99 us", f"{cell} p99 us", most=p99),
            ceiling("G7", f"peer asked, D1, {word}, p50", f"{cell} p50 us", most=1.4),
        ]
    checks.append(Check("G7", "peer asked, D1, kill, p99, of Redis WAIT 1", "G7 ipspd-cache D1 p99 us",
                        "G7 redis-wait D1 p99 us", most=1))
    checks.append(Check("G7", "peer asked, D1, power, p99, of Kea's pair at 500/s",
                        "G7 ipspd-power D1 p99 us", "G7 kea pair 500/s p99 us", most=0.35))
    for journal, word, floors in (("cache", "kill", (375e3, 1.4e6)), ("power", "power", (130e3, 400e3))):
        for depth, floor in zip((64, 256), floors):
            cell = f"G8 ipspd-{journal} D{depth} /s"
            what = f"peer asked, D{depth}, {word}"
            checks.append(Check("G8", f"{what}, a second", cell, least=floor))
            checks.append(ceiling("G8", what, cell, least=0.7))
    checks.append(Check("G8", "peer asked, D64, kill, of Redis WAIT 1", "G8 ipspd-cache D64 /s",
                        "G8 redis-wait D64 /s", least=10))
    checks.append(Check("G8", "peer asked, D64, power, of Kea's pair", "G8 ipspd-power D64 /s",
                        "G8 kea pair most /s", least=50))
    return checks


def moves():
    checks = []
    for durability, word, floor in (("crash", "kill", 0.3), ("power", "power", 0.6)):
        cell = f"G9 ipspd-{durability} held s"
        checks.append(Check("G9", f"all kept for subscribers move, {word}, s", cell, most=floor))
        checks.append(Check("G9", f"all kept for subscribers move, {word}, of the ceiling", cell,
                            f"G9 skeleton-{durability} s", most=1.5))
        checks.append(Check("G9", f"all free move, {word}, s", f"G9 ipspd-{durability} free s"))
    checks += [
        Check("G9", "all kept move, power, of Redis's full sync", "G9 ipspd-power held s",
              "G9 redis full sync s", most=0.1),
        Check("G9", "Kea's full sync a lease, of ours", "G9 kea sync us a lease",
              "G9 ipspd-power held us each", least=150),
        Check("G10", "hand-offs of sessions, D256, power, a second", "G10 ipspd-power /s", least=390e3),
        Check("G11", "D1 p99 while all moves, the giver, us", "G11 ipspd moving 0 p99 us", most=1000),
        Check("G11", "D1 p99 while all moves, the giver, of idle", "G11 ipspd moving 0 p99 us",
              "G11 ipspd idle 0 p99 us", most=5),
        Check("G11", "D1 p99 while all moves, the taker, us", "G11 ipspd moving 1 p99 us", most=1000),
        Check("G11", "D1 p99 while all moves, the taker, of idle", "G11 ipspd moving 1 p99 us",
              "G11 ipspd idle 1 p99 us", most=5),
        Check("G12", "restart with all in use, s", "G12 ipspd s", most=0.15),
        Check("G12", "restart, of reading alone", "G12 ipspd s", "G12 skeleton s", most=2.5),
        Check("G12", "restart of Redis from its AOF, of ours", "G12 redis s", "G12 ipspd s", least=40),
        Check("G12", "restart of Kea, of ours", "G12 kea s", "G12 ipspd s", least=50),
        Check("G13", "peer without its state owns all again, s", "G13 ipspd wiped s", most=0.6),
        Check("G13", "peer with its state comes back, s", "G13 ipspd rejoin s"),
    ]
    return checks


def bulk():
    """A turn is never held up by bulk work: hellos go out within 100 ms of their time, a local request
    is answered within 5 ms."""
    checks = []
    for number, who in enumerate(("the giver", "the taker")):
        checks.append(Check("BULK", f"D1 p99 while all kept move, {who}, us",
                            f"G11 ipspd moving {number} p99 us", most=5000))
    checks += [
        Check("BULK", "D64 p99 while the log is compacted, us", "BULK compaction p99 us", most=5000),
        Check("BULK", "D64, the longest, while the log is compacted, us", "BULK compaction most us"),
    ]
    for what, words in (("move", "all kept move"), ("resync", "the peer comes back"),
                        ("compaction", "the log is compacted")):
        for number in (0, 1):
            checks.append(Check("BULK", f"the latest hello while {words}, host {number + 1}, ms late",
                                f"BULK {what} hello late {number} ms", most=100))
    return checks


def state():
    return [
        Check("G14", "RSS an address, bound, B", "G14 ipspd bound B", most=64),
        Check("G14", "RSS an address, free, never used, B", "G14 ipspd free, never used B", most=16),
        Check("G14", "RSS an address, free, used before, B", "G14 ipspd free, used before B", most=16),
        Check("G14", "bound, of Redis", "G14 ipspd bound B", "G14 redis bound B", most=1 / 6),
        Check("G14", "bound, of Kea", "G14 ipspd bound B", "G14 kea bound B", most=1 / 7),
        Check("G15", "large pool against small, D256, rate", "G15 ipspd large /s", "G15 ipspd small /s",
              least=0.55),
        Check("G15", "large pool against small, D256, p99", "G15 ipspd large p99 us",
              "G15 ipspd small p99 us", most=2),
        Check("G15", "the ceiling's large pool against small, rate", "G15 skeleton large /s",
              "G15 skeleton small /s"),
        Check("G15", "middle pool against small, D256, rate", "G15 ipspd middle /s", "G15 ipspd small /s"),
        Check("G15", "8 contexts against 1, 64 connections, 4 in flight each, rate",
              "G15 ipspd 8 contexts /s", "G15 ipspd 1 contexts /s"),
        Check("G15", "64 contexts against 1, the same, rate", "G15 ipspd 64 contexts /s",
              "G15 ipspd 1 contexts /s"),
        Check("G16", "99.9 % taken against 50 %, rate", "G16 ipspd full /s", "G16 ipspd half /s",
              least=0.9),
        Check("G17", "instructions a grant, D64", "G17 ipspd D64 a grant", most=1000, reached=1035),
        Check("G17", "instructions a grant and an end, half taken, of 99.9 % taken",
              "G17 ipspd half taken, a grant and an end", "G17 ipspd full taken, a grant and an end",
              least=0.9),
        Check("G17", "instructions a grant, D1", "G17 ipspd D1 a grant"),
        Check("G17", "instructions an end, D1024", "G17 ipspd an end"),
        Check("G17", "instructions a grant of the skeleton, D64", "G17 skeleton D64 a grant"),
    ]


# What repeats whatever else the machine does, so that a change may be refused by it.
GATE = ("G14", "G17")

CHECKS = local_rates() + power_rates() + one_in_flight() + asked() + moves() + state()
CHECKS.sort(key=lambda check: int(check.goal[1:]))
CHECKS += bulk()
