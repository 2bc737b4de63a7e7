#!/usr/bin/env python3
"""Nobody reads the log: a full pipe at standard error, a syslog daemon that stands still. The daemon goes on,
its peer keeps it, and what was lost is counted and said once somebody reads again."""

import os
import re
import signal
import socket
import sys
import time

from harness import process
from harness.pair import Case, main



def environment():
    """Of a daemon that goes into the background: no supervisor has started it."""
    outer = ("NOTIFY_SOCKET", "JOURNAL_STREAM", "INVOCATION_ID")
    return {name: thing for name, thing in os.environ.items() if name not in outer}


class Unread(Case):
    def pair_of_which_the_second_is_unread(self):
        pair = self.pair(trapd=False)
        pair.ipsp(0, "primary", hello_interval_ms=100)
        pair.ipsp(1, "secondary", hello_interval_ms=100)
        pair.hosts[0].start()
        pair.hosts[1].write_config()
        return pair

    def fill(self, pair, number=1):
        """Reloads and commands of an operator, which have lines, until many can't have been taken."""
        host = pair.hosts[number]
        end = time.monotonic() + 60
        while host.counters()["log-lines-lost"] < 20:
            self.assertLess(time.monotonic(), end, "nothing was lost")
            began = time.monotonic()
            host.do("pool-share-protocol", "mode", "active")
            self.assertLess(time.monotonic() - began, 25, "ipspctl waits for a reader of the log")
            for _ in range(40):
                host.signal(signal.SIGHUP)
                time.sleep(0.02)

    def check_alive(self, pair):
        """Many hello intervals later the peer has lost nothing."""
        time.sleep(1)
        status = pair.hosts[0].status()
        self.assertEqual(status["peer"]["state"], "up")
        self.assertLess(status["peer"]["last-heard-ms"], 5000)
        self.assertEqual(pair.hosts[0].counters()["peer-losses"], 0)


class Pipe(Unread):
    def test_full_pipe(self):
        pair = self.pair_of_which_the_second_is_unread()
        host = pair.hosts[1]
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self.addCleanup(os.close, reader)
        # (what anybody has set for the pipe that it shares must not matter, and must not be changed)
        host.spawn(writer, "-v", "-v")
        os.close(writer)
        host.wait_ready()
        pair.wait_sharing()
        self.fill(pair)
        self.check_alive(pair)
        lost = host.counters()["log-lines-lost"]

        text = ""
        end = time.monotonic() + 60
        while "lost here" not in text and time.monotonic() < end:
            try:
                text += os.read(reader, 65536).decode()
            except BlockingIOError:
                time.sleep(0.02)
        said = [int(n) for n in re.findall(r"(\d+) lines were lost here", text)]
        self.assertTrue(said, "the losses are said")
        self.assertGreaterEqual(sum(said), lost)
        self.assertRegex(text.splitlines()[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z notice: ")

    def test_ends_without_a_reader(self):
        pair = self.pair_of_which_the_second_is_unread()
        host = pair.hosts[1]
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.set_blocking(writer, False)
        try:
            while os.write(writer, b"x" * 4096):
                pass
        except BlockingIOError:
            pass
        os.set_blocking(writer, True)
        host.spawn(writer)  # the pipe is full before its first line
        os.close(writer)
        host.wait_ready()
        pair.wait_sharing()
        self.assertEqual(host.stop(), 0)


class Syslog(Unread):
    """In a mount namespace with a /dev of its own."""

    namespaces = True

    def test_syslog_stands_still(self):
        pair = self.pair_of_which_the_second_is_unread()
        host = pair.hosts[1]
        folder = os.path.join(pair.folder, "dev")
        os.mkdir(folder)
        path = os.path.join(folder, "log")
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(log.close)
        log.bind(path)
        # (a file in place of /dev/log, which may be missing: all of /dev is what it was, and this)
        script = (
            'dev=$1; shift; mkdir "$dev/new" && mount -t tmpfs tmpfs "$dev/new" && '
            'for x in null zero urandom random; do cp -a "/dev/$x" "$dev/new/"; done && '
            'ln -s "$dev/log" "$dev/new/log" && mount --bind "$dev/new" /dev && exec "$@"'
        )
        prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", folder]
        argv = [*pair.net.prefix(1), *prefix, process.program("ipspd"), "-v", "-v", "-c", host.file]
        started = process.run(argv, env=environment())
        self.assertEqual(started.returncode, 0, started.stderr)
        with open(os.path.join(host.config.state, "lock"), encoding="ascii") as file:
            pid = int(file.read())
        self.addCleanup(self.end, pid)
        host.signal = lambda number: os.kill(pid, number)
        pair.wait_sharing()
        self.fill(pair)
        self.check_alive(pair)

        lines = self.read(log, 15, "lost here")
        self.assertRegex(lines[0], r"^<\d+>\w{3} [ \d]\d \d\d:\d\d:\d\d ipspd\[%d\]: " % pid)
        # A syslog daemon that is started anew is found again.
        log.close()
        os.unlink(path)
        lost = host.counters()["log-lines-lost"]
        host.do("pool-share-protocol", "mode", "active")
        pair.loop.until(lambda: host.counters()["log-lines-lost"] > lost, 10, "a line to be lost")
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(log.close)
        log.bind(path)
        host.do("pool-share-protocol", "mode", "active")
        self.read(log, 15, "lost here")

    def read(self, log, seconds, word):
        log.settimeout(1)
        lines = []
        end = time.monotonic() + seconds
        while not lines or word not in lines[-1]:
            self.assertLess(time.monotonic(), end, f"no line with {word!r} in {len(lines)}: {lines[:3]} {lines[-3:]}")
            try:
                lines.append(log.recv(4096).decode())
            except TimeoutError:
                continue
        return lines

    @staticmethod
    def end(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


if __name__ == "__main__":
    sys.exit(main())
