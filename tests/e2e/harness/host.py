"""One host: its folder, its configuration file, its ipspd, and ipspctl to look at it."""

import json
import os
import signal

from . import process, shape
from .config import Config

START_S = 20  # the sanitizers' build on a busy machine


class Host:
    def __init__(self, name, folder, prefix=()):
        self.name = name
        self.folder = os.path.join(folder, name)
        os.makedirs(os.path.join(self.folder, "state"), mode=0o700)
        self.socket = os.path.join(self.folder, "control")
        self.file = os.path.join(self.folder, "ipspd.conf")
        self.log_file = os.path.join(self.folder, "log")
        self.config = Config(socket=self.socket, state=os.path.join(self.folder, "state"))
        self.starts = 0
        self.environment = None  # of the daemon; None: the test's own
        self.build = None  # another build's folder, for its ipspd and ipspctl
        self.options = []  # of the command line
        self._prefix = list(prefix)
        self._daemon = None

    # ---------------------------------------------------------------- the daemon

    def write_config(self):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(self.config.text())

    def launch(self):
        """Starts ipspd without waiting for it."""
        with open(self.log_file, "ab") as log:
            self.spawn(log)

    def spawn(self, log, *options):
        """The same, with its output to @log."""
        self._daemon = process.spawn(
            [*process.traced(), *self._prefix, process.program("ipspd", self.build), "-f", *self.options, *options,
             "-c", self.file],
            stdout=log, stderr=log, env=self.environment,
        )
        self.starts += 1

    def run_as(self, uid):
        """From the next start on the daemon is this user's."""
        self._prefix += ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]

    def run_under(self, *words):
        """From the next start on these words stand before the daemon's."""
        self._prefix += words

    def limit(self, option):
        """From the next start on it has this limit too: one option of prlimit. Not root's way around it."""
        self._prefix += ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "prlimit", option]

    def start(self):
        """Writes the configuration file, starts ipspd and waits until it answers."""
        self.write_config()
        self.launch()
        self.wait_ready()

    def wait_ready(self):
        process.until(
            self._answers, START_S, lambda: f"{self.name}'s ipspd to answer\n{self.tail()}"
        )

    def _answers(self):
        if self._daemon.poll() is not None:
            raise AssertionError(
                f"{self.name}'s ipspd ended with {self._daemon.returncode}\n{self.tail()}"
            )
        return os.path.exists(self.socket) and self.ctl("show", "ip", "ipsp").returncode == 0

    @property
    def pid(self):
        return self._daemon.pid

    def running(self):
        return self._daemon is not None and self._daemon.poll() is None

    def ended(self):
        """The exit status of an ipspd that has ended, or None."""
        return self._daemon.poll()

    def kill9(self):
        self._daemon.send_signal(signal.SIGKILL)
        self._daemon.wait()

    def signal(self, number):
        self._daemon.send_signal(number)

    def stop(self):
        """SIGTERM; returns the exit status, which the sanitizers make non-zero for a leak."""
        self.signal(signal.SIGCONT)  # a test that failed may have left it stopped
        return process.stop(self._daemon, timeout=30)

    def close(self):
        if self.running():
            self.stop()

    def log(self):
        try:
            with open(self.log_file, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def tail(self, lines=15):
        return "\n".join(f"    {self.name}: {line}" for line in self.log().splitlines()[-lines:])

    # ---------------------------------------------------------------- ipspctl

    def ctl(self, *words, timeout=60):
        return process.run([process.program("ipspctl", self.build), "-s", self.socket, *words], timeout=timeout)

    def do(self, *words):
        """A command that must succeed; returns what it printed."""
        done = self.ctl(*words)
        if done.returncode != 0:
            raise AssertionError(
                f"{self.name}: ipspctl {' '.join(words)} ended with {done.returncode}: "
                f"{done.stderr.strip()}\n{self.tail()}"
            )
        return done.stdout

    def look(self, *words):
        return json.loads(self.do("--json", *words))

    def status(self, context=None):
        """What show ip ipsp says of the one context, or of @context."""
        words = ["-c", context] if context else []
        return self._checked(self.look(*words, "show", "ip", "ipsp")["contexts"][0])

    def status_or_none(self):
        """The same, None while ipspd can't be asked."""
        done = self.ctl("--json", "show", "ip", "ipsp")
        return self._checked(json.loads(done.stdout)["contexts"][0]) if done.returncode == 0 else None

    def _checked(self, status):
        """Every test of every state sees whether all is there that programs hold on to."""
        return status if self.build else shape.check(status)

    def counters(self):
        """All counters of the one context, flat: name -> number."""
        return numbers(self.look("show", "counters"))

    def sessions(self):
        """What show sessions says: address -> (subscriber, session)."""
        return {
            row["address"]: (row["subscriber"], row["session"])
            for row in self.look("show", "sessions")["sessions"]
        }


def numbers(tree):
    """The leaves of a JSON tree that are numbers, by their own names."""
    found = {}
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for name, thing in items:
        if isinstance(thing, (dict, list)):
            found.update(numbers(thing))
        elif isinstance(thing, (int, float)) and not isinstance(thing, bool):
            found[name] = thing
    return found


def total(status, count):
    """The sum of one count over the pools of a status."""
    return sum(pool[count] for pool in status["pools"])
