"""One pair under chaos: two hosts, two contexts with opposite roles, a gateway for each on both sides.

A lane carries out its plan, episode by episode: the faults, then healing, then the questions that must
have good answers once everything is whole again. What is wrong is written down and the lane goes on.
"""

import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from harness import process
from harness.agent import Loop
from harness.config import Context, Ipsp
from harness.host import Host
from harness.pair import COUNTS, write_key

from .cable import Cable, Cable6
from .faults import Disk, Faults, Orders, Side, compiled, preloaded
from .judge import LATE_S, Judge
from .load import Ha, Load
from .plan import CONTEXTS, SILENCES, Plan

SESSIONS = 70  # of a gateway when all is well, in a pool of 254
SESSIONS_ALONE = 125  # under a licence: the addresses of its own run out
RATE = 12  # steps of load a second, each gateway
MANY = 12  # violations: it is clear then that something is wrong
ANEW_S = 20.0  # what a side is given anew after a loss of its state is kept back for its HAs so long at most


@dataclass
class Variant:
    protocol: dict = field(default_factory=dict)  # of pool-share-protocol
    pool: dict = field(default_factory=dict)
    addresses: str = "10.{}.0.0/24"  # of context n
    cable: type = Cable
    longer: float = 1.0  # the second side's dead interval, by the first one's
    disabled: bool = False  # no dead interval: ten hello intervals of silence are a loss, and the end


# The pairs in turn, so that each dead interval meets each; the seed says which is the first.
VARIANTS = (
    Variant(),
    Variant({"block-size": 1, "reserved-free-percentage": 10}, longer=1.6),
    Variant({"durability": "power"}, {"address-hold-timer": 2}, disabled=True),
    Variant({}, {"length": 64}, "2001:db8:{}::/56", Cable6),
)
TAKES_OVER = re.compile(r" (c\d): (the dead interval has run out: taking over|forced takeover)")
HEALS = re.compile(r" (c\d): the peer is heard again: its addresses are its own again")
MEETS = re.compile(r" (c\d): the peer is up")
FOUND = re.compile(r" (c\d): duplicate: (\S+) is used here by")
ANEW = re.compile(r" (c\d): (its state was lost: until|what was given anew is given)")
RESOLVED = re.compile(r" (c\d): duplicate resolved: (\S+) was dropped here")
BY_RIGHT = re.compile(r" (c\d): (\S+) is no duplicate any more")


class Licence:
    """What the log of one side says of its takeovers in one context."""

    def __init__(self):
        self.since = None
        self.until = 0.0  # of the last one that has ended
        self.forced = False


class Lane:
    def __init__(self, folder, number, options):
        self.folder = folder
        self.number = number
        self.variant = VARIANTS[(number // len(options.dead) + options.seed) % len(VARIANTS)]
        shorter_s = options.dead[number % len(options.dead)]
        self.dead_of = (shorter_s, shorter_s * self.variant.longer)
        self.dead_s = max(self.dead_of)
        self.hello_s = shorter_s / 10 if self.variant.disabled else min(0.2, shorter_s / 40)
        # Till both serve again once all is whole. Three hello intervals of listening after a restart, four
        # until the next handshake begins, three until each has the other's promise and its echo; 2 s, the
        # longest pause before an item is said again; 1 s, how often a full disk is looked at.
        self.serve_bound_s = 10 * self.hello_s + 3.0
        # Till one side serves while the fault lasts: the dead interval, and the same again.
        self.alone_bound_s = self.dead_s + self.serve_bound_s
        self.patience = options.patience
        self.slack_s = options.slack
        self.plan = Plan(options.seed, number, options.pairs, self.dead_s, options.only)
        self.loop = Loop()
        self.violations = []
        self.judge = Judge(self._classify, self.fault)
        self.cable = self.variant.cable([4187 + i for i in range(CONTEXTS)], f"{options.seed} relay {number}")
        self.key_file = write_key(os.path.join(folder, "pair.key"), b"\x5a" * 32)
        library = compiled(folder)
        self.sides = [self._side(i, library) for i in (0, 1)]
        self.gateways = [
            [Ha(i, c, self.sides[i].host, self.loop, self.judge, self.fault)
             for c in range(CONTEXTS)] for i in (0, 1)
        ]
        for ha in (ha for row in self.gateways for ha in row):
            ha.on_new = self._served
        self.loads = [
            Load(ha, self.gateways[1 - ha.side][ha.number],
                 random.Random(f"{options.seed} load {number} {ha.name}"), RATE,
                 lambda ha=ha: self._goal(ha))
            for row in self.gateways for ha in row
        ]
        self.faults = Faults(self.sides, self.cable, self.gateways)
        self.licences = {(s, c): Licence() for s in (0, 1) for c in range(CONTEXTS)}
        self.counts = Counter()  # of faults, by kind
        self.log_counts = Counter()
        self.serve = (0.0, 0)  # the longest until both served again, and the episode
        self.alone = (0.0, 0)  # the longest time without any side serving, and the episode
        self.kept_back_at = [0.0] * CONTEXTS
        self.losses = 0
        self.episode = None
        self.began_at = 0.0
        self.changed_at = 0.0
        self.broken_since = None
        self.aways = []  # (side, from, to) of this episode
        self.lines = [[], []]  # the logs of this episode
        self._log_at = [0, 0]
        self._log_rest = ["", ""]
        self._last_starts = [0, 0]
        self._counted = []
        self.loop.each_turn(self._turn)

    def _side(self, number, library):
        host = Host(f"ha{number + 1}", self.folder, self.cable.prefix(number))
        disk = Disk(os.path.join(host.folder, "state"))
        orders = Orders(os.path.join(host.folder, "orders"))
        host.environment = preloaded(host.folder, library, orders)
        contexts = [self._context(number, c) for c in range(CONTEXTS)]
        host.config.context, host.config.pools, host.config.ipsp = (
            contexts[0].context, contexts[0].pools, contexts[0].ipsp)
        host.config.others = contexts[1:]
        return Side(number, host, disk, orders, self.variant.protocol.get("durability") == "power")

    def _context(self, side, number):
        primary = side == number % 2
        pool, dead_s = self.variant.pool, self.dead_of[side]
        settings = {"hello-interval-ms": int(self.hello_s * 1000), **self.variant.protocol}
        if self.variant.disabled:
            settings["dead-interval"] = "no"
        elif dead_s >= 25:
            settings["dead-interval"] = int(dead_s)
        else:
            settings["dead-interval-ms"] = int(dead_s * 1000)
        return Context(
            context=f"c{number}",
            pools=[{"name": f"pool-{number}", **pool,
                    "prefix" if "length" in pool else "network": self.variant.addresses.format(number + 1)}],
            ipsp=Ipsp(
                role="primary" if primary else "secondary", address=self.cable.addresses[side],
                peer=self.cable.addresses[1 - side], prefix_length=self.cable.prefix_length, port=4187 + number,
                interface=f"lan-{number}", key_file=self.key_file, options=settings),
        )

    # ---------------------------------------------------------------- what goes on all the time

    def _turn(self):
        now = time.monotonic()
        self._read_logs()
        self._keep_up(now)
        for row in self.gateways:
            for ha in row:
                if self.sides[ha.side].live() and not ha.hanging:
                    ha.keep_attached(now)
        for load in self.loads:
            load.turn(now)
        self.faults.turn()
        for number in range(CONTEXTS):
            self._measure_alone(number, now)

    def _goal(self, ha):
        return SESSIONS_ALONE if self.licences[ha.side, ha.number].since else SESSIONS

    def _keep_up(self, now):
        """Starts the daemons that are to run, and notes what has ended."""
        for side in self.sides:
            if side.host.starts > 0 and not side.host.running():
                self._has_ended(side, now)
                if side.wanted:
                    side.host.launch()
                    side.expected = None
            if side.away_since and side.live() and side.wanted:
                self.aways.append((side.number, side.away_since, now))
                side.away_since = None

    def _has_ended(self, side, now):
        status = side.host.ended()
        if side.expected is None or status != side.expected:
            self.fault(f"{side.host.name}'s ipspd ended with {status}\n{side.host.tail(30)}")
        side.expected = status  # once for each end
        side.away_since = side.away_since or now
        for ha in self.gateways[side.number]:
            ha.stuck_since = ha.stuck_since or now

    def _measure_alone(self, number, now):
        """How long no side of a context has served, of those times in which one could have."""
        served = [self.changed_at, self.kept_back_at[number]]
        able = []
        for side in self.sides:
            ha = self.gateways[side.number][number]
            served.append(ha.served_at)
            if side.live() and not side.full and not side.drains and ha.able():
                able.append(side)
        if not able or self.episode is None:
            self.changed_at = now
            return
        gap = now - max(served)
        if gap > self.dead_s + 1 and self._kept_back(number, able):
            self.kept_back_at[number] = now
            self.log_counts["kept back by S6"] += 1
            return
        most = self.alone_bound_s + self.slack_s + self._anew_s()
        if gap > most >= self.alone[0]:  # said once
            self.fault(f"c{number}: nobody serves for {gap:.1f} s\n{self.story()}")
        if not self._anew_s():
            self.alone = max(self.alone, (gap, self.episode.number))

    @staticmethod
    def _kept_back(number, able):
        """Declared: a secondary that gave no session an address since it became one (S6) doesn't take over."""
        statuses = [side.host.status(f"c{number}") for side in able]
        return all(one["role"] == "secondary" and not one["may-take-over"] for one in statuses)

    def _read_logs(self):
        for side in self.sides:
            try:
                with open(side.host.log_file, "rb") as file:
                    file.seek(self._log_at[side.number])
                    data = file.read()
            except FileNotFoundError:
                continue
            if not data:
                continue
            self._log_at[side.number] += len(data)
            text = self._log_rest[side.number] + data.decode(errors="replace")
            *lines, self._log_rest[side.number] = text.split("\n")
            for line in lines:
                self.lines[side.number].append(line)
                self._log_line(side.number, line)

    def _log_line(self, side, line):
        now = time.monotonic()
        match = TAKES_OVER.search(line)
        if match:
            licence = self.licences[side, int(match[1][1])]
            licence.since = licence.since or now
            licence.forced = match[2] == "forced takeover"
            self.log_counts["forced takeovers" if licence.forced else "takeovers"] += 1
            silent_s = now - (self.broken_since or now)
            # the silence is counted from the last hello, one interval before the break at most
            if not licence.forced and silent_s < self.dead_of[side] - self.hello_s - self.slack_s:
                self.fault(f"ha{side + 1} took over after {silent_s:.1f} s: {line}")
        match = HEALS.search(line)
        if match:
            licence = self.licences[side, int(match[1][1])]
            licence.since, licence.until = None, now
            self.log_counts["healings"] += 1
        match = MEETS.search(line)
        if match and self.licences[side, int(match[1][1])].since:
            # a kill took the line with it: whoever has a licence has not met its peer
            licence = self.licences[side, int(match[1][1])]
            licence.since, licence.until = None, now
        if FOUND.search(line):
            self.log_counts["duplicates found"] += 1
        if RESOLVED.search(line):
            self.log_counts["duplicates resolved"] += 1

    def _anew_s(self):
        return ANEW_S if any(fault.kind == "wipe" for fault in self.episode.faults) else 0.0

    def _anew_is_over(self):
        """The last word of each context on it, where it has said anything, is that it is over."""
        words = {}
        for side in (0, 1):
            for line in self.lines[side]:
                if match := ANEW.search(line):
                    words[side, match[1]] = match[2]
        return not any(word.startswith("its state") for word in words.values())

    def _classify(self, first, second, address):
        """The declared exception that a second holder falls under, or None. Names are ha1-c0."""
        self._read_logs()
        f, s, c = int(first[2]) - 1, int(second[2]) - 1, int(second[5])
        of_first, of_second = self.licences[f, c], self.licences[s, c]
        read_since = min(self.gateways[s][c].stuck_since or time.monotonic(), time.monotonic())
        if of_second.since or of_second.until > read_since - LATE_S:
            if of_second.forced:
                return "forced"
            if of_first.since or of_first.until > read_since - LATE_S:
                return "forced" if of_first.forced else "apart"
            if self._was_away(f):
                return "away"
            return "one way" if self.faults.deaf[s] and not self.faults.deaf[f] else "alone"
        if of_first.forced and (of_first.since or of_first.until > read_since - LATE_S):
            return "forced"
        return "lost" if address in self.gateways[f][c].recovers else None

    def _served(self, ha, asked_at):
        """This is the lease: a side assigns nothing new once the other has taken over."""
        self._read_logs()
        here = self.licences[ha.side, ha.number]
        there = self.licences[1 - ha.side, ha.number]
        if there.since is None or there.forced or here.since:
            return
        if asked_at > max(there.since, here.until):
            self.fault(f"{ha.name} gave an address to a session that came {asked_at - there.since:.1f} s "
                       f"after the other side had taken over\n{self.story()}")

    def _was_away(self, number):
        now = time.monotonic()
        away = [to - since for side, since, to in self.aways if side == number]
        if self.sides[number].away_since:
            away.append(now - self.sides[number].away_since)
        return any(length >= self.dead_of[1 - number] - self.slack_s for length in away)

    # ---------------------------------------------------------------- the run

    def fault(self, text):
        number = self.episode.number if self.episode else 0
        self.violations.append(f"pair {self.number}, episode {number}: {text}")
        self.say(f"VIOLATION: {text.splitlines()[0]}")

    def say(self, text):
        print(f"    pair {self.number}: {text}", file=sys.stderr, flush=True)

    def story(self):
        words = [self.episode.words()] if self.episode else []
        return "\n".join(words + [side.host.tail(25) for side in self.sides])

    def start(self):
        for side in reversed(self.sides):
            side.host.start()
        self._serve_all("the first sharing")
        self._load(True)
        # A side without a session gives its role away (P6): everyone has some before the first fault.
        everyone = [ha for row in self.gateways for ha in row]
        self._until(lambda: all(len(ha.sessions()) > SESSIONS // 3 for ha in everyone), self.patience,
                    lambda: f"the first sessions: {self._states()}")
        self._serve_all("the first sessions")

    def run(self, seconds):
        """Episodes until the time is over; the last one is brought to its end."""
        end = time.monotonic() + seconds
        self.start()
        for episode in self.plan.episodes():
            if time.monotonic() > end or len(self.violations) >= MANY:
                return
            self._episode(episode)

    def _episode(self, episode):
        self.episode = episode
        self._forget()
        began = time.monotonic()
        todo = [(fault.at, 1, fault) for fault in episode.faults]
        todo += [(fault.end, 0, fault) for fault in episode.faults]
        begun = []
        for at, begins, fault in sorted(todo, key=lambda step: step[:2]):
            self._wait(began + at - time.monotonic())
            self._step(fault, begins, begun)
        healed = time.monotonic()
        served = self._serve_all(f"both to serve after episode {episode.number}")
        if served is not None:
            took = served - healed
            if not self._anew_s():
                self.serve = max(self.serve, (took, episode.number))
            if took > self.serve_bound_s + self.slack_s + self._anew_s():
                self.fault(f"both served again after {took:.1f} s\n{self.story()}")
            if self._anew_s():
                self._until(self._anew_is_over, self.patience, "what was given anew to be given to all")
            self._come_to_rest()
        self._load(True)
        self._wait(episode.rest)
        # A peer counts as up for ten hellos: that silence must not be taken for the next episode's.
        self._until(self._all_hear, self.patience, "each side to hear a hello of the other")

    def _step(self, fault, begins, begun):
        if not begins:
            if fault in begun and fault.lasts:
                self.faults.end(fault)
        else:
            if fault.kind in SILENCES:
                self.broken_since = self.broken_since or time.monotonic()
            if fault.kind == "HA hangs" or fault.kind.startswith("HA c"):
                ha = self.gateways[fault.side][fault.context]
                ha.stuck_since = ha.stuck_since or time.monotonic()
            if self.faults.begin(fault):
                begun.append(fault)
                past = fault.lasts > self.dead_s
                self.counts[fault.kind + (", past the dead interval" if past else "")] += 1
        self.changed_at = time.monotonic()

    def _forget(self):
        """A new episode begins with everything whole."""
        self.changed_at = self.began_at = time.monotonic()
        self.broken_since = None
        self.aways.clear()
        self.judge.closed.clear()
        self.lines = [[], []]
        self._last_starts = [side.host.starts for side in self.sides]
        self._counted = [self._counters_of(side) for side in self.sides]
        for row in self.gateways:
            for ha in row:
                ha.stuck_since = None

    def _wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.loop.turn(min(0.05, max(0.0, end - time.monotonic())))

    def _load(self, on):
        for load in self.loads:
            load.paused = not on

    def _until(self, condition, seconds, what):
        """False, and a violation, where it does not come about."""
        try:
            self.loop.until(condition, seconds, what, least=0)  # the bound is what is judged
            return True
        except process.TooLate as late:
            self.fault(f"{late}\n{self.story()}")
            return False

    # ---------------------------------------------------------------- once everything is whole

    def _serve_all(self, what):
        """Waits until both sides of both contexts serve; when that was, or None."""
        if not self._until(self._all_active, self.patience, lambda: f"{what}: {self._states()}"):
            return None
        active = time.monotonic()
        everyone = [ha for row in self.gateways for ha in row]
        if not self._until(lambda: all(ha.served_at > active for ha in everyone), self.patience,
                           lambda: f"{what}: a new session on each gateway"):
            return None
        return max(ha.served_at for ha in everyone)

    def _statuses(self):
        """[side][context] of show ip ipsp, or None."""
        rows = []
        for side in self.sides:
            if not side.live():
                return None
            done = side.host.ctl("--json", "show", "ip", "ipsp", timeout=20)
            if done.returncode != 0:
                return None
            rows.append(json.loads(done.stdout)["contexts"])
        return rows

    def _states(self):
        return [
            [(one["role"], one["state"], one["waiting-for"]) for one in row]
            for row in self._statuses() or []
        ]

    def _all_active(self):
        rows = self._statuses() if self.faults.wait_orders() else None
        if not rows or not all(ha.able() for row in self.gateways for ha in row):
            return False
        for here, there in zip(*rows):
            if {here["role"], there["role"]} != {"primary", "secondary"}:
                return False
            if here["epoch"] != there["epoch"]:
                return False
        return all(
            one["state"] == "active" and one["serving"] and one["peer"]["state"] == "up"
            for row in rows for one in row
        )

    def _all_hear(self):
        peers = [one["peer"] for row in self._statuses() or [] for one in row]
        return bool(peers) and all(
            peer["last-heard-ms"] is not None and peer["last-heard-ms"] <= self.hello_s * 1000
            for peer in peers)

    def _come_to_rest(self):
        self._load(False)
        everyone = [ha for row in self.gateways for ha in row]
        self._until(lambda: all(ha.quiet() for ha in everyone), self.patience,
                    lambda: f"the gateways' requests: {[ha.open_words() for ha in everyone]}")
        if not self._until(self._books_fit, self.patience,
                           lambda: f"one owner for each address: {self._book_words()}"):
            self.losses += self._missing()
        self._check_lists(everyone)
        self._check_doubles()
        self._check_counters()
        for note in self.faults.notes:
            self.fault(note)
        self.faults.notes.clear()

    def _pools(self):
        rows = self._statuses()
        return list(zip(*[[pool for one in row for pool in one["pools"]] for row in rows])) \
            if rows else None

    def _books_fit(self):
        pools = self._pools()
        return pools is not None and all(
            sum(pool[count] for count in COUNTS) == pool["size"] and pool["in-transit"] == 0
            and pool["reclaimed"] == 0
            for pair in pools for pool in pair
        ) and all(here["released"] + there["released"] == here["size"] for here, there in pools)

    def _missing(self):
        return sum(abs(here["size"] - here["released"] - there["released"])
                   for here, there in self._pools() or [])

    def _book_words(self):
        return [[{count: pool[count] for count in COUNTS} for pool in pair]
                for pair in self._pools() or []]

    def _check_lists(self, everyone):
        for ha in everyone:
            ha.ask_list()
        if not self._until(lambda: all(ha.listed() is not None for ha in everyone), self.patience,
                           "the lists"):
            return
        for ha in everyone:
            # probes go on; they are in the ledger from the answer to the release
            mine = {address: who for address, who in ha.sessions().items() if who[1] != "probe"}
            listed = {address: who for address, who in ha.listed().items() if who[1] != "probe"}
            gone, strange = set(mine.items()) - set(listed.items()), set(listed.items()) - set(mine.items())
            if gone or strange:
                self.losses += len(gone)
                self.fault(f"{ha.name} has {sorted(gone)} beyond what ipspd lists, ipspd lists "
                           f"{sorted(strange)} beyond\n{self.story()}")
            if ha.lost:
                self.losses += len(ha.lost)
                self.fault(f"{ha.name}: ipspd had forgotten {ha.lost}\n{self.story()}")
                ha.lost.clear()

    def _check_doubles(self):
        for double in list(self.judge.open.values()):
            self.fault(f"not resolved: {double.words()}\n{self.story()}")
            self.judge.open.pop(double.address)
        for double in self.judge.closed:
            told = [gateway for gateway, reason in double.asked if reason == "duplicate"]
            if not told:
                continue
            if double.same:
                # what is left of a handoff for a gateway that was not attached when healing asked for it:
                # no duplicate to the daemons, which say nothing of it
                continue
            side = int(told[0][2]) - 1
            resolved = [line for line in self.lines[side]
                        if (m := RESOLVED.search(line) or BY_RIGHT.search(line)) and m[2] == double.address]
            found = [line for line in self.lines[1 - side]
                     if (m := FOUND.search(line)) and m[2] == double.address]
            if not resolved or not found:
                self.fault(f"not in the logs ({len(found)} found, {len(resolved)} resolved): "
                           f"{double.words()}\n{self.story()}")
            self.log_counts["duplicates reported"] += 1

    def _counters_of(self, side):
        rows = json.loads(side.host.ctl("--json", "show", "counters").stdout)["contexts"]
        return [row["counters"] for row in rows]

    def _check_counters(self):
        """A side that wasn't restarted says by counter and by show log what it has logged."""
        for side, starts, before in zip(self.sides, self._last_starts, self._counted):
            if side.host.starts != starts:
                continue
            after = self._counters_of(side)
            events = json.loads(side.host.ctl("--json", "show", "log").stdout)["contexts"]
            for number in range(CONTEXTS):
                for pattern, name in ((RESOLVED, "duplicates-resolved"), (FOUND, "duplicates-found")):
                    logged = [m[2] for line in self.lines[side.number]
                              if (m := pattern.search(line)) and m[1] == f"c{number}"]
                    counted = after[number][name] - before[number][name]
                    # (an owner counts also what its session has left meanwhile, without a line)
                    if counted != len(logged) and not (name == "duplicates-found" and counted > len(logged)):
                        self.fault(f"{side.host.name} c{number}: {name} grew by {counted}, the log has "
                                   f"{logged}")
                    text = " ".join(event["text"] for event in events[number]["events"])
                    missing = [address for address in logged if address not in text]
                    if missing:
                        self.fault(f"{side.host.name} c{number}: show log lacks {missing}")
                if after[number]["duplicates-open"]:
                    self.fault(f"{side.host.name} c{number}: duplicates-open is "
                               f"{after[number]['duplicates-open']}")

    # ---------------------------------------------------------------- the end

    def close(self):
        for row in self.gateways:
            for ha in row:
                ha.close()
        for side in self.sides:
            if side.host.running():
                side.host.signal(signal.SIGCONT)
                status = side.host.stop()
                if status != 0:
                    self.fault(f"{side.host.name}'s ipspd ended with {status}\n{side.host.tail(30)}")
        self.cable.maltreat()
        relay = dict(self.cable.counts)
        self.cable.close()
        self.loop.close()
        return relay

    def result(self, relay):
        gateways = [ha for row in self.gateways for ha in row]
        return {
            "pair": self.number, "dead-interval-s": self.dead_s, "hello-ms": int(self.hello_s * 1000),
            "episodes": self.episode.number if self.episode else 0,
            "faults": dict(self.counts),
            "grants": sum(ha.grants for ha in gateways),
            "recovered": sum(ha.recovered for ha in gateways),
            "moves": sum(load.moves for load in self.loads),
            "duplicates": dict(self.judge.duplicates), "same-node": dict(self.judge.same),
            "losses": self.losses,
            "serve-s": self.serve[0], "serve-bound-s": self.serve_bound_s,
            "serve-episode": self.serve[1],
            "alone-s": self.alone[0], "alone-bound-s": self.alone_bound_s,
            "alone-episode": self.alone[1],
            "log": dict(self.log_counts),
            "starts": sum(side.host.starts for side in self.sides),
            "relay": relay, "lost-datagrams": self.faults.lost,
            "orders": dict(self.faults.obeyed),
            "refusals": dict(sum((ha.refusals for ha in gateways), Counter())),
            "violations": self.violations,
        }
