"""The documents' blocks of commands, pasted into the hosts that they are for.

A block begins with "# on HA1", "# on HA2", "# on HA1 and HA2" or "# on HA2 first, then HA1". Its lines go to the
root shell of each, one after the other, as somebody would paste them: the first that fails fails the test.
"""

import os
import re

from . import process
from .boxes import ADDRESSES

HEAD = re.compile(r"# on (HA\d)(?:(?: and| first, then) (HA\d))?")


def section(document, title):
    """The text below the heading @title, up to the next one of its level or above (in blocks, comments begin small)."""
    with open(os.path.join(process.TOP, document), encoding="utf-8") as file:
        text = file.read()
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    if not found:
        raise AssertionError(f"{document} has no section {title!r}")
    rest = text[found.end():]
    end = re.search(rf"^#{{1,{len(found.group(1))}}} [A-Z]", rest, re.MULTILINE)
    return rest[:end.start()] if end else rest


def blocks(text):
    """The blocks for hosts: ([0], [line, ...]) with the numbers of the hosts, in their order."""
    found = []
    for block in re.findall(r"^[ ]*```\w*\n(.*?)^[ ]*```", text, re.MULTILINE | re.DOTALL):
        lines = [line.strip() for line in block.splitlines()]
        head = HEAD.fullmatch(lines[0])
        if head:
            hosts = [int(name[2:]) - 1 for name in head.groups() if name]
            found.append((hosts, [line for line in lines[1:] if line]))
    return found


def copied(line, hosts, here):
    """scp and ssh of one line, done by the test: the hosts have no ssh. False: it is another line."""
    copy = re.fullmatch(r"scp -p (\S+) root@([\d.]+):(\S+)", line)
    if copy:
        there = hosts[ADDRESSES.index(copy.group(2))]
        there.write(copy.group(3), hosts[here].read(copy.group(1)),
                    os.stat(hosts[here].path(copy.group(1))).st_mode & 0o7777)
        return True
    remote = re.fullmatch(r"ssh root@([\d.]+) (.+)", line)
    if remote:
        hosts[ADDRESSES.index(remote.group(1))].paste(remote.group(2))
    return bool(remote)


def paste(found, hosts, say, instead=None):
    """Pastes blocks. @instead: what the test does in place of a line, by a part of that line."""
    transcript = []
    for numbers, lines in found:
        for number in numbers:
            for line in lines:
                mine = next((do for part, do in (instead or {}).items() if part in line), None)
                say(f"{hosts[number].name}# {line}")
                if mine:
                    mine(hosts[number])
                elif not copied(line, hosts, number):
                    out = hosts[number].paste(line, timeout=120)
                    transcript.append((hosts[number].name, line, out))
    return transcript
