#!/usr/bin/env python3
"""A local user of the control socket, as a program: one that behaves and is measured, and those that don't.

    python3 localuser.py SOCKET measure SECONDS     prints how long its requests took, in ms: median p99 max
    python3 localuser.py SOCKET KIND                until it is killed
"""

import gc
import select
import socket
import sys
import time

from harness import control

SHOWS = ("log", "sessions", "counters", "pool", "configuration", "ipsp", "duplicates")


def connected(path, name=None):
    """A connection that has greeted, and has attached as @name if there is one."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(path)
    sock.sendall(control.HELLO + (control.attach(1, name) if name else b""))
    return sock


# ---------------------------------------------------------------- who behaves


def measure(path, seconds):
    """One request and one release after the other, with a pause between them."""
    sock, number, took = connected(path, "good"), 1, []
    read = control.reader(sock)
    while next(read)[:2] != (control.DONE, 1):
        pass
    gc.disable()
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        number += 1
        began = time.perf_counter()
        sock.sendall(control.request(number, "good@isp"))
        kind, answered, body = next(read)
        while answered != number:
            kind, answered, body = next(read)
        took.append(time.perf_counter() - began)
        err, address = control.answer(body)
        if kind != control.ANSWER or err != 0:
            sys.exit(f"the request was refused: {err}")
        number += 1
        sock.sendall(control.release(number, address))
        while next(read)[1] != number:
            pass
        time.sleep(0.001)
    took.sort()
    print(*(round(took[int(len(took) * part)] * 1000, 3) for part in (0.5, 0.99)), round(took[-1] * 1000, 3))


# ---------------------------------------------------------------- who does not


class Pipes:
    """Many connections, each of which says @next_bytes() again and again, as fast as it is taken."""

    def __init__(self, path, number, next_bytes, reads=True, name=None):
        self._path, self._next, self._reads, self._name = path, next_bytes, reads, name
        self._unsent = {}
        for n in range(number):
            self._open(n)

    def _open(self, number):
        try:
            sock = connected(self._path, self._name and f"{self._name}{number}")
        except OSError:
            time.sleep(0.01)
            return
        sock.setblocking(False)
        self._unsent[sock] = (number, b"")

    def _again(self, sock):
        number, _ = self._unsent.pop(sock)
        sock.close()
        self._open(number)

    def run(self):
        while True:
            readable, writable, _ = select.select(self._unsent if self._reads else [], self._unsent, [], 1)
            for sock in readable:
                self._try(sock, self._read)
            for sock in writable:
                if sock in self._unsent:
                    self._try(sock, self._write)

    def _try(self, sock, what):
        try:
            what(sock)
        except BlockingIOError:
            pass
        except OSError:
            self._again(sock)

    @staticmethod
    def _read(sock):
        if not sock.recv(1 << 20):
            raise ConnectionError

    def _write(self, sock):
        number, unsent = self._unsent[sock]
        unsent = unsent or self._next()
        self._unsent[sock] = (number, unsent[sock.send(unsent):])


def outside(path):
    """Of no group: it gets no connection, and tries again."""
    while True:
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(path)
            except PermissionError:
                continue
            sys.exit("it got in")


def everything(path):
    """Reads the file again, shows and compares and asks for single addresses without an end."""
    bytes_ = b"".join(
        [control.command(n, "reload") for n in range(4)] + [control.command(9, "check-config")] +
        [control.show(n, name) for n, name in enumerate(SHOWS)] +
        [control.request(n, f"one-shot{n}@isp") for n in range(100)])
    Pipes(path, 8, lambda: bytes_).run()


def gateway(path):
    """Asks for addresses as fast as it gets them, under eight names."""
    bytes_ = b"".join(control.request(n, f"more{n % 2000}@isp") for n in range(20000))
    Pipes(path, 8, lambda: bytes_, name="greedy").run()


def status(path):
    bytes_ = b"".join(control.show(n, name) for n, name in enumerate(SHOWS))
    Pipes(path, 32, lambda: bytes_).run()


def flood(path):
    """Asks for what it is refused, on many connections."""
    bytes_ = b"".join(control.request(n, "flood@isp", pool="none") for n in range(5000))
    Pipes(path, 100, lambda: bytes_, name="flood").run()


def half(path):
    """Sends half a frame, on as many connections as it gets, and stays; where it is closed it comes again."""
    held = []
    while True:
        try:
            sock = connected(path)
            sock.sendall(control.frame(control.REQUEST, b"\0" * 60000)[:30000])
            held.append(sock)
        except OSError:
            time.sleep(0.001)
        if len(held) > 400:
            held.pop(0).close()


def deaf(path):
    """Asks for the most that it can, and reads nothing."""
    bytes_ = b"".join(control.ask_list(n) + control.request(n, "deaf@isp", pool="none") for n in range(500))
    Pipes(path, 50, lambda: bytes_, reads=False, name="deaf").run()


if __name__ == "__main__":
    globals()[sys.argv[2]](sys.argv[1], *sys.argv[3:])
