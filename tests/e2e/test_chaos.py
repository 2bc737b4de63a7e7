#!/usr/bin/env python3
"""System chaos, the short form: a minute and a half of chaos.py. The seed is printed; IPSPD_SEED=N repeats
the plan of faults (not the machine's timing)."""

import json
import os
import random
import sys

from harness import process
from harness.pair import Case, main

CHAOS = os.path.join(process.TOP, "tests", "e2e", "chaos.py")


class Chaos(Case):
    namespaces = True
    lasts = 95

    def test_short(self):
        seed = os.environ.get("IPSPD_SEED") or str(random.SystemRandom().randrange(1 << 32))
        self.say(f"seed {seed}")
        results = os.path.join(self.folder, "chaos.json")
        # One pair of each variant. The dead interval is shorter than any in service, so that it passes often.
        # The slack is for the sanitizers on a machine that has other work.
        done = process.run(
            [sys.executable, CHAOS, "--minutes", "1.2", "--seed", seed, "--pairs", "4", "--dead", "5",
             "--slack", "4", "--json", results], timeout=400)
        print(done.stdout, file=sys.stderr)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(results, encoding="utf-8") as file:
            whole = json.load(file)
        self.assertGreaterEqual(len(whole["faults"]), 15, "kinds of faults")
        self.assertGreater(whole["log"].get("takeovers", 0), 0, "nobody took over")
        self.assertGreater(whole["log"].get("healings", 0), 0, "nothing healed")
        self.assertGreater(whole["grants"], 1000)

    def test_same_seed_same_plan(self):
        words = [sys.executable, CHAOS, "--plan", "--minutes", "30", "--seed"]
        first, second, other = (process.run([*words, seed]).stdout for seed in ("7", "7", "8"))
        self.assertEqual(first, second)
        self.assertNotEqual(first, other)
        self.assertGreater(len(first.splitlines()), 500)


if __name__ == "__main__":
    sys.exit(main())
