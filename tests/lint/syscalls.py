#!/usr/bin/env python3
"""The system calls of the daemon: those that were seen, its own filter, and the filter of its unit.

    syscalls.py                   compares the three
    syscalls.py --record FOLDER   makes the list of what was seen anew, of traces that the system tests have
                                  written there:  IPSPD_STRACE=FOLDER IPSPD_BUILD=... python3 tests/e2e/run.py

It fails where a call that was seen is in the way of a filter, and where the daemon's own allows one as seen
that was not.
"""

import collections
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SEEN = os.path.join(HERE, "syscalls.seen")
HEADER = os.path.join(TOP, "src", "daemon", "syscalls.h")
UNIT = os.path.join(TOP, "conf", "ipspd.service")
CALL = re.compile(r"([a-z_0-9]+)\(")
# Answers of the filter, not of the kernel: whoever asked went on without. clone3: the C library takes clone.
REFUSED = {"clone3"}
# What root's daemon does, and the unit's does by other means (access.c: an access list).
BY_ROOT = {"chown"}


def lists():
    """Of the header: which list -> its names."""
    with open(HEADER, encoding="utf-8") as file:
        text = file.read()
    found = {}
    for word in ("seen", "unseen", "deadly"):
        found[word] = re.findall(r'"(\w+)"', re.search(rf"ipspd_syscalls_{word}\[\] = \{{(.*?)\}};", text, re.S)[1])
    found["partly"] = re.findall(r'"(\w+)"', re.search(r"define IPSPD_SYSCALLS_PARTLY(.*?)\n\n", text, re.S)[1])
    return found


def seen():
    with open(SEEN, encoding="utf-8") as file:
        return {line.split()[0] for line in file if line.strip() and not line.startswith("#")}


# ---------------------------------------------------------------- recording


def traces(folder):
    """The traces of each daemon: pid -> its file, by the name that its strace was given."""
    daemons = collections.defaultdict(dict)
    for name in os.listdir(folder):
        start, _, pid = name.rpartition(".")
        if pid.isdigit():
            daemons[start][int(pid)] = os.path.join(folder, name)
    return daemons


def calls_of(path):
    """(name, line) of each call."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = CALL.match(line)
            if match:
                yield match[1], line


def children(path):
    for name, line in calls_of(path):
        if name in ("clone", "clone3", "fork", "vfork"):
            match = re.search(r"= (\d+)", line)
            if match:
                yield int(match[1])


def family(start, files):
    """The process @start and all that came of it."""
    found, new = set(), {start}
    while new:
        pid = new.pop()
        found.add(pid)
        if pid in files:
            new |= set(children(files[pid])) - found
    return found


def calls_inside(files):
    """The calls of one daemon from its sandbox on, in all its threads; how often each, and those that were refused."""
    count, refused = collections.Counter(), collections.Counter()
    aside = set()
    for pid, path in files.items():
        if any(name == "prctl" and "ipspd-launcher" in line for name, line in calls_of(path)):
            aside |= family(pid, files)
    for pid, path in files.items():
        if pid in aside:
            continue
        lines = list(calls_of(path))
        begins = [at for at, (name, line) in enumerate(lines) if name in ("seccomp", "prctl") and
                  re.search(r"SECCOMP_(SET_)?MODE_FILTER.*= 0", line)]
        programs = [at for at, (name, line) in enumerate(lines) if name == "execve" and " = 0" in line]
        if begins:
            lines = lines[begins[-1] + 1:]
        elif programs:  # it never came that far: -t, or a wrong option
            continue
        for name, line in lines:
            (refused if "= -1 ENOSYS" in line else count)[name] += 1
    return count, refused


def record(folder):
    total, refused, n = collections.Counter(), collections.Counter(), 0
    for files in traces(folder).values():
        count, no = calls_inside(files)
        n += bool(count)
        total += count
        refused += no
    print(f"{n} daemons made {sum(total.values())} system calls, of {len(total)} kinds")
    for name, times in sorted(refused.items()):
        print(f"refused: {name}, {times} times")
    with open(SEEN, "w", encoding="utf-8") as file:
        file.write("# Written by tests/lint/syscalls.py --record: what daemons called once they had started, while the\n"
                   "# system tests ran.\n")
        file.writelines(f"{name}\n" for name in sorted(total))
    return [f"{name} was refused {times} times" for name, times in refused.items() if name not in REFUSED]


# ---------------------------------------------------------------- comparing


def group(name):
    """The calls of a group of systemd's, those of the groups in it too."""
    done = subprocess.run(["systemd-analyze", "syscall-filter", name], text=True, capture_output=True, check=True)
    found = set()
    for line in done.stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= group(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def unit_filter():
    allowed = set()
    with open(UNIT, encoding="utf-8") as file:
        for line in file:
            if not line.startswith("SystemCallFilter="):
                continue
            value = line.partition("=")[2].strip()
            words = value.lstrip("~").split()
            names = set().union(*(group(word) if word.startswith("@") else {word} for word in words))
            allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed | group("@default")


def compare():
    faults = []
    own, observed = lists(), seen()
    allowed = set(own["seen"]) | set(own["unseen"]) | set(own["partly"])
    for word in ("seen", "unseen"):
        twice = [name for name, n in collections.Counter(own[word]).items() if n > 1]
        faults += [f"{name} is twice in the list \"{word}\"" for name in twice]
    for name in sorted(observed - allowed):
        faults.append(f"the daemon was seen to call {name}, which its own filter does not allow")
    for name in sorted(set(own["seen"]) - observed):
        faults.append(f"its own filter allows {name} as seen, which no test has seen")
    for name in sorted(observed & set(own["unseen"])):
        faults.append(f"{name} was seen, and stands with those that were not")
    for name in sorted(allowed & set(own["deadly"])):
        faults.append(f"{name} is allowed, and deadly")
    unit = unit_filter()
    for name in sorted(observed - unit - BY_ROOT):
        faults.append(f"the daemon was seen to call {name}, which the filter of its unit does not allow")
    print(f"{len(observed)} calls were seen; its own filter allows {len(allowed)}, that of the unit {len(unit)}")
    return faults


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--record":
        faults = record(sys.argv[2]) + compare()
    elif len(sys.argv) == 1:
        faults = compare()
    else:
        sys.exit(__doc__)
    for fault in faults:
        print(f"syscalls: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
