#!/usr/bin/env python3
"""Every requirement, invariant and scenario has its row in docs/requirements.md, and every test named there
exists and is run. The same holds for the claims of docs/SECURITY.md, and for every test that the other
documents name in this way.

A row is | id | in short | tests |. The tests are in backquotes, each as one of
    unit: pool/test_x     test_x in tests/unit/test_pool.c, in its list of tests
    story: x              test_x in tests/sim/stories*.c, in its list of tests, the file in the program
    system: upgrade/x     a method x, or Class.x, in tests/e2e/test_upgrade.py, as unittest finds it
    judge: x              the function x of tests/sim/check.c, kept.c or rest.c, which looks at
                          every run of the simulator
    fault: X              the point X of tests/sim/fault.h, which a swarm must have hit
    fuzz: x               the target tests/fuzz/fuzz_x.c
    lint: x               the script tests/lint/x.sh or x.py, run by tests/run.sh
    sim: swarm            the swarm of the simulator that tests/run.sh runs
    sim: attacker         the same of two pairs with an attacker between them
No row may be without one, or stand on judge and fault alone.
"""

import glob
import os
import re
import sys
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = "docs/requirements.md"
SECURITY = "docs/SECURITY.md"
ENTRIES = re.compile(r"`((?:unit|story|system|judge|fault|fuzz|lint|sim): [^`]*)`")
IDS = (
    [f"P{n}" for n in range(1, 7)] + [f"S{n}" for n in range(1, 7)] + [f"B{n}" for n in range(1, 14)]
    + [f"O{n}" for n in range(1, 9)] + [f"I{n}" for n in range(1, 6)]
    + [str(n) for n in range(1, 44)] + ["43a", "43b", "43c", "51a", "51b", "51c", "51d", "51e"] + [str(n) for n in range(44, 59)]
)
RUNS = ("unit", "story", "system", "sim", "fuzz", "lint")  # what runs by itself and can fail

# One entry of a table of cmocka tests: cmocka_unit_test(x), or a file's own short word for it.
ENTRY = re.compile(r"\b(?:cmocka_unit_test\w*|[A-Z][A-Z_]*)\(\s*(\w+)")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def cmocka_tests(path):
    """The functions that @path defines as tests and has in a table of tests."""
    text = without_comments(read(path))
    defined = set(re.findall(r"^static void (\w+)\(void \*\*\w+\)\s*\{", text, flags=re.M))
    listed = set()
    for table in re.findall(r"struct CMUnitTest \w+\[\]\s*=\s*\{(.*?)\n\s*\};", text, flags=re.S):
        listed |= set(ENTRY.findall(table))
    return defined & listed


class Tree:
    """What there is to name."""

    def __init__(self):
        self.unit = {
            os.path.basename(path)[len("test_"):-2]: cmocka_tests(path)
            for path in self._files("tests/unit/test_*.c")
        }
        programs = read("tests/sim/CMakeLists.txt")
        books = read("tests/sim/stories.c")
        self.stories = set()
        for path in self._files("tests/sim/stories*.c"):
            name = os.path.basename(path)[:-2]
            if f"{name}.c" in programs and (name == "stories" or f"{name}()" in books):
                self.stories |= cmocka_tests(path)
        self.system = self._system()
        judges = ("check", "kept", "rest")
        judge = without_comments("".join(read(f"tests/sim/{name}.c") for name in judges))
        self.judge = set(re.findall(r"^[a-z][\w \*]*?(\w+)\([^;{]*\)\s*\{", judge, flags=re.M))
        self.faults = set(re.findall(r"\bX\((\w+),", read("tests/sim/fault.h")))
        self.fuzz = {
            os.path.basename(path)[len("fuzz_"):-2] for path in self._files("tests/fuzz/fuzz_*.c")
        }
        self.run = read("tests/run.sh")
        self.errors = []

    @staticmethod
    def pages(pattern):
        return Tree._files(pattern)

    @staticmethod
    def _files(pattern):
        return [os.path.relpath(path, TOP) for path in sorted(glob.glob(os.path.join(TOP, pattern)))]

    def _system(self):
        """What unittest would run of each file, as tests/e2e/run.py asks it to."""
        sys.dont_write_bytecode = True
        sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))
        found = {}
        for path in self._files("tests/e2e/test_*.py"):
            module = os.path.basename(path)[:-3]
            suite = unittest.defaultTestLoader.loadTestsFromName(module)
            names = [case.id().split(".")[-2:] for case in flat(suite)]
            found[module[len("test_"):]] = {name for of_class, name in names}
            found[module[len("test_"):]] |= {f"{of_class}.{name}" for of_class, name in names}
        return found

    def fault_of(self, kind, name):
        """None, or what is wrong with a test named @kind: @name."""
        place, _, function = name.partition("/")
        if kind == "unit":
            ok = function in self.unit.get(place, ())
        elif kind == "story":
            ok = f"test_{name}" in self.stories
        elif kind == "system":
            ok = function in self.system.get(place, ())
        elif kind == "judge":
            ok = name in self.judge
        elif kind == "fault":
            ok = name in self.faults
        elif kind == "fuzz":
            ok = name in self.fuzz
        elif kind == "sim":
            ok = name in ("swarm", "attacker") and f"--{name}" in self.run
        elif kind == "lint":
            ok = any(
                os.path.exists(os.path.join(TOP, "tests/lint", name + end)) and f"/{name}{end}" in self.run
                for end in (".sh", ".py")
            )
        else:
            return f"there is no kind of test {kind}"
        return None if ok else "there is no such test, or it is not run"


def flat(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flat(item)
        else:
            yield item


def rows(text):
    """(line number, id, tests) of each row of the page's tables."""
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and not cells[0] and not cells[4] and re.fullmatch(r"[A-Z]?\d+[a-e]?", cells[1]):
            yield number, cells[1], cells[3]


def faults_of_row(tree, tests):
    named = re.findall(r"`([^`]*)`", tests)
    kinds = set()
    for entry in named:
        kind, _, name = entry.partition(": ")
        fault = tree.fault_of(kind, name)
        if fault:
            yield f"`{entry}`: {fault}"
        kinds.add(kind)
    if not kinds & set(RUNS):
        yield "no test"


def claims(text):
    """(line number, id, evidence) of each claim: | C1 | the claim | because | shown by |."""
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.split("|")]
        if re.fullmatch(r"C\d+", cells[1] if len(cells) > 1 else ""):
            yield number, cells[1], cells[4] if len(cells) == 6 else ""


def faults_of_security(tree):
    """Each claim has its evidence, and a number that follows the one before."""
    expected = 1
    for number, claim, evidence in claims(read(SECURITY)):
        yield from (f"{SECURITY}:{number}: {claim}: {fault}" for fault in faults_of_row(tree, evidence))
        if claim != f"C{expected}":
            yield f"{SECURITY}:{number}: {claim} stands where C{expected} should"
        expected += 1
    if expected == 1:
        yield f"{SECURITY}: there is no claim"


def faults_of_page(tree, page):
    for number, line in enumerate(read(page).splitlines(), 1):
        for entry in ENTRIES.findall(line):
            kind, _, name = entry.partition(": ")
            fault = tree.fault_of(kind, name) if not re.search(r"/?test_x$|\bx$|\bX$", name) else None
            if fault:
                yield f"{page}:{number}: `{entry}`: {fault}"


def main():
    tree = Tree()
    faults = list(faults_of_security(tree))
    for page in tree.pages("docs/*.md"):
        faults += faults_of_page(tree, page) if page not in (PAGE, SECURITY) else []
    seen = {}
    for number, row, tests in rows(read(PAGE)):
        if row in seen:
            faults.append(f"{PAGE}:{number}: {row} is there twice, first in line {seen[row]}")
        seen[row] = number
        faults += [f"{PAGE}:{number}: {row}: {fault}" for fault in faults_of_row(tree, tests)]
    faults += [f"{PAGE}: {row} is missing" for row in IDS if row not in seen]
    faults += [f"{PAGE}:{seen[row]}: {row} is no number that there is" for row in seen if row not in IDS]
    for fault in faults:
        print(fault)
    print(f"trace: {len(seen)} of {len(IDS)} numbers have their row, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
