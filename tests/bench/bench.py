#!/usr/bin/env python3
"""Measures ipspd, what users would take instead, and what the machine can do, in turn.

Every round takes one sample of everything, in another order each time; what is compared is compared
within a round. Prints one table on stdout, what it does on stderr. See --help, and
docs/performance.md for what the rows mean.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import goals  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402
import rivals_kea  # noqa: E402
import rows_local  # noqa: E402
import rows_pair  # noqa: E402
import rows_state  # noqa: E402
from measure import say  # noqa: E402

SCENES = {**rows_state.SCENES, **rows_local.SCENES, **rows_pair.SCENES, **rivals_kea.SCENES}
ORDER = ("repeats", "local", "power", "asked", "moves", "back", "restart",
         "compaction", "growth", "fill", "kea")


class Bench:
    def __init__(self, given):
        self.quick = given.quick
        self.gate = given.gate
        self.rounds = given.rounds or (1 if given.quick else 5)
        self.seconds = given.seconds or (0.2 if given.quick else 1.0)
        self.size = 1 << 16 if given.quick else 1 << 20
        self.rivals = not given.alone
        self.rows = given.rows
        self.out = given.out
        self.results = measure.Results()
        self.quiet = measure.Quiet(0 if given.quick else 120)
        self.folder = ""
        self._open = []

    def wants(self, goal):
        return not self.rows or goal in self.rows

    def open(self, thing):
        """@thing is stopped at the end of its scene, whatever happens."""
        self._open.append(thing.stop)
        return thing

    def defer(self, close):
        self._open.append(close)

    def rounds_of(self, measures):
        """(goal, function that returns samples by their cells), in another order each round."""
        wanted = [sample for goal, sample in measures if self.wants(goal)]
        for number in range(self.rounds):
            say(f"  round {number + 1} of {self.rounds}")
            start = number * len(wanted) // self.rounds
            for sample in wanted[start:] + wanted[:start]:
                quiet = self.quiet.wait()
                for cell, value in sample().items():
                    self.results.add(cell, value)
                    if not quiet:
                        self.results.busy.append(cell)

    def run(self, name):
        goals, scene = SCENES[name]
        if not any(self.wants(goal) for goal in goals):
            return True
        began = time.monotonic()
        say(f"{name}: {' '.join(goals)}")
        self.folder = tempfile.mkdtemp(prefix="ipspd-bench.", dir=os.environ.get("IPSPD_BENCH_DISK"))
        os.chmod(self.folder, 0o755)
        try:
            scene(self)
            return True
        except Exception as err:  # pylint: disable=broad-except  the other scenes are still of use
            self.results.note(f"{name}: {type(err).__name__}: {err}")
            return False
        finally:
            while self._open:
                close = self._open.pop()
                try:
                    close()
                except Exception as err:  # pylint: disable=broad-except
                    self.results.note(f"{name}, ending: {err}")
            shutil.rmtree(self.folder, ignore_errors=True)
            say(f"{name}: {time.monotonic() - began:.0f} s")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true",
                        help="one short round, pools of 65,536: to see that it works")
    parser.add_argument("--rounds", type=int, help="samples of each cell (5; quick: 1)")
    parser.add_argument("--seconds", type=float, help="how long one sample takes (1; quick: 0.2)")
    parser.add_argument("--rows", type=lambda text: text.upper().split(","), default=[],
                        help="only these, as in G1,G17")
    parser.add_argument("--gate", action="store_true",
                        help="memory and instructions only, which repeat: fails beyond a goal, or what was reached of it")
    parser.add_argument("--alone", action="store_true", help="without Redis, SQLite and Kea")
    parser.add_argument("--out", help="a folder for results.json, table.txt, callgrind.txt, plots")
    parser.add_argument("--document", help="also writes the figures into this Markdown file")
    given = parser.parse_args()
    if given.gate:
        given.rows, given.alone = list(goals.GATE), True
    return given


def main():
    given = arguments()
    if given.out:
        os.makedirs(given.out, exist_ok=True)
    bench = Bench(given)
    began = time.time()
    good = all([bench.run(name) for name in ORDER])  # all of them, whatever one does
    met = report.write(bench, began, given.document)
    return 0 if good and (met or not given.gate) else 1


if __name__ == "__main__":
    sys.exit(main())
