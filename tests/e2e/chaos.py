#!/usr/bin/env python3
"""System chaos: pairs of real daemons under load, faults from a seed, a ledger that is judged all the time.

    python3 tests/e2e/chaos.py --minutes 30 --seed 1
    python3 tests/e2e/chaos.py --minutes 30 --seed 1 --plan     only shows what would be done

IPSPD_BUILD names the build folder. Needs root, for network namespaces and a small file system. Each pair
runs in a process of its own. Ends with 0 when no rule was broken, 1 otherwise; the folder is then kept.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from chaos import faults, lane, plan, table  # noqa: E402  the path comes first
from harness import process  # noqa: E402

FIRST_S = 15  # seconds for what a pair needs to start and to stop


def arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, help="default: a random one, which is printed")
    parser.add_argument("--pairs", type=int, default=8, help="at once (default 8)")
    parser.add_argument("--dead", default="25,8", metavar="S,...",
                        help="dead intervals in seconds, the pairs in turn (default 25,8)")
    parser.add_argument("--patience", type=float, default=40,
                        help="seconds to wait for what must come about, before it is given up")
    parser.add_argument("--only", metavar="KIND", help="this chief fault in each episode")
    parser.add_argument("--slack", type=float, default=0.3,
                        help="seconds that this program's own looking may add (default 0.3)")
    parser.add_argument("--json", metavar="FILE", help="writes all results there")
    parser.add_argument("--markdown", action="store_true", help="prints the table for a page")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--lane", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    if options.only and options.only not in [card[0] for card in plan.DECK]:
        parser.error("--only: there are " + ", ".join(sorted({card[0] for card in plan.DECK})))
    options.dead = [float(word) for word in options.dead.split(",")]
    return options


def run_lane(options):
    faults.own_mounts()
    one = lane.Lane(options.folder, options.lane, options)
    try:
        one.run(options.minutes * 60)
    except Exception as error:  # pylint: disable=broad-except  whatever it is, it is told
        one.fault(f"{type(error).__name__}: {error}\n{one.story()}")
        raise
    finally:
        result = one.result(one.close())
        with open(os.path.join(options.folder, "result.json"), "w", encoding="utf-8") as file:
            json.dump(result, file)


def show_plan(options):
    for number in range(options.pairs):
        dead = options.dead[number % len(options.dead)]
        print(f"pair {number}, dead interval {dead:g} s")
        seconds = 0.0
        for episode in plan.Plan(options.seed, number, options.pairs, dead, options.only).episodes():
            if seconds > options.minutes * 60:
                break
            seconds += episode.lasts() + episode.rest
            print(episode.words())


def start_lane(number, folder, options):
    own = os.path.join(folder, f"pair{number}")
    os.makedirs(own)
    words = [
        "--lane", str(number), "--folder", own, "--minutes", str(options.minutes),
        "--seed", str(options.seed), "--pairs", str(options.pairs),
        "--dead", ",".join(map(str, options.dead)), "--patience", str(options.patience),
        "--slack", str(options.slack),
    ]
    if options.only:
        words += ["--only", options.only]
    return own, process.spawn([sys.executable, os.path.abspath(__file__), *words])


def result_of(own, status):
    try:
        with open(os.path.join(own, "result.json"), encoding="utf-8") as file:
            result = json.load(file)
    except (OSError, ValueError):
        return None
    if status != 0 and not result["violations"]:
        result["violations"].append(f"pair {result['pair']} ended with {status}")
    return result


def run(options):
    """Returns all pairs' results as one, None when a pair left none."""
    folder = tempfile.mkdtemp(prefix="ipspd-chaos.")
    os.chmod(folder, 0o755)
    print(f"seed {options.seed}, {options.pairs} pairs, {options.minutes:g} minutes, "
          f"{process.program('ipspd')}", file=sys.stderr, flush=True)
    began = time.monotonic()
    lanes = [start_lane(number, folder, options) for number in range(options.pairs)]
    results = [result_of(own, child.wait()) for own, child in lanes]
    seconds = time.monotonic() - began
    if None in results:
        print(f"a pair has left no result; kept: {folder}", file=sys.stderr)
        return None
    whole = table.total_of(results)
    times = os.times()
    whole.update(seed=options.seed, seconds=round(seconds),
                 cores=round((times.children_user + times.children_system) / seconds, 2))
    for text in whole["violations"]:
        print(f"VIOLATION: {text}", file=sys.stderr)
    if whole["violations"] or os.environ.get("IPSPD_KEEP"):
        print(f"kept: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return whole


def main():
    options = arguments()
    if options.plan:
        show_plan(options)
        return 0
    if options.lane is not None:
        run_lane(options)
        return 0
    whole = run(options)
    if whole is None:
        return 1
    print(table.markdown(whole) if options.markdown else table.text(whole))
    print(f"seed {whole['seed']}, {whole['pairs']} pairs, {whole['seconds']} s, "
          f"{whole['cores']} cores worked")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(whole, file, indent=1)
    return 1 if whole["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
