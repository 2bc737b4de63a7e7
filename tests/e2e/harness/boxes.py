"""ipspd installed in boxes as an administrator does it: two hosts, each with a systemd of its own."""

import json
import os

from . import box, process
from .pair import Case

ADDRESSES = ("192.0.2.1", "192.0.2.2")
NAMES = ("ha1", "ha2")
UNIT = "ipspd.service"
CONFIG = "/etc/ipspd.conf"
KEY = "/etc/ipspd/isp1.key"
DOCUMENTS = "/usr/share/doc/ipspd"
EXAMPLES = ("ipspd.conf", "ipspd-secondary.conf")  # as shipped: for the primary, for the secondary


class Installed:
    """A box with ipspd in it."""

    def __init__(self, name, hierarchy=None):
        self.box = box.Box(name, hierarchy)
        self.name = name
        self.path, self.read, self.write = self.box.path, self.box.read, self.box.write
        self.run, self.check, self.paste = self.box.run, self.box.check, self.box.paste

    def put(self):
        """cmake --install into the box."""
        done = process.run(["cmake", "--install", process.packaged_folder(), "--prefix", "/usr"],
                           env=dict(os.environ, DESTDIR=self.path("")))
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def install(self):
        """All of it, as README says."""
        self.put()
        self.paste("ldconfig; systemd-sysusers; systemd-tmpfiles --create; systemctl daemon-reload")

    def make_key(self, text="5a" * 32):
        self.write(KEY, text + "\n", 0o600)
        self.check("chown", "ipsp", KEY)

    def configure(self, example, **changed):
        """The shipped example, with "old": "new" texts exchanged, each exactly once."""
        text = self.read(f"{DOCUMENTS}/examples/{example}")
        for old, new in changed.items():
            assert text.count(old) == 1, f"{example} has {text.count(old)} times {old!r}"
            text = text.replace(old, new)
        self.write(CONFIG, text)

    # ---------------------------------------------------------------- the unit

    def drop_in(self, text, name="test"):
        self.write(f"/run/systemd/system/{UNIT}.d/{name}.conf", f"[Service]\n{text}\n")
        self.check("systemctl", "daemon-reload")

    def start(self):
        done = self.run("systemctl", "start", "ipspd")
        if done.returncode != 0:
            raise AssertionError(f"{self.name}: {done.stderr}\n{self.log()}")

    def property(self, name):
        return self.check("systemctl", "show", "-P", name, UNIT).strip()

    def entries(self, *words):
        """The journal's entries of the unit's processes: dicts."""
        out = self.check("journalctl", "-u", UNIT, "-o", "json", "--no-pager", *words)
        return [json.loads(line) for line in out.splitlines()]

    def log(self):
        return self.check("journalctl", "-u", UNIT, "-o", "cat", "--no-pager", "-n", "60")

    def wait_log(self, text, seconds=20):
        process.until(lambda: text in self.log(), seconds,
                      lambda: f"{self.name} to log {text!r}; it has:\n{self.log()}", 0.2)

    # ---------------------------------------------------------------- ipspctl

    def ctl(self, *words, user=None, timeout=60):
        return self.run(*(["runuser", "-u", user, "--"] if user else []), "ipspctl", *words,
                        timeout=timeout)

    def do(self, *words, user=None):
        done = self.ctl(*words, user=user)
        if done.returncode != 0:
            raise AssertionError(f"{self.name}: ipspctl {' '.join(words)} ended with "
                                 f"{done.returncode}: {done.stderr}\n{self.log()}")
        return done.stdout

    def status(self):
        """What show ip ipsp says of the one context; None while it can't be asked."""
        done = self.ctl("--json", "show", "ip", "ipsp")
        return json.loads(done.stdout)["contexts"][0] if done.returncode == 0 else None

    def close(self):
        self.box.close()


class BoxCase(Case):
    """A test with boxes, which end with it."""

    lasts = 15

    def setUp(self):
        if box.why_not():
            self.skipTest(box.why_not())
        super().setUp()

    def host(self, name="ha1", hierarchy=None):
        """A box with the product installed, and 192.0.2.1 on its loopback."""
        host = Installed(name, hierarchy)
        self.addCleanup(host.close)
        host.install()
        host.make_key()
        return host

    def lone(self, name="ha1", hierarchy=None, **changed):
        """One host with the shipped example, whose peer is not there."""
        host = self.host(name, hierarchy)
        host.check("ip", "address", "add", f"{ADDRESSES[0]}/24", "dev", "lo")
        host.configure(EXAMPLES[0], **changed)
        return host

    def hosts(self, **changed):
        """Two on one cable, with the shipped examples; none is started."""
        hosts = [self.host(name) for name in NAMES]
        box.join([host.box for host in hosts], ADDRESSES)
        for host, example in zip(hosts, EXAMPLES):
            host.configure(example, **changed)
        return hosts

    def wait_sharing(self, hosts, seconds=30):
        process.until(
            lambda: all(self.shares(host) for host in hosts), seconds,
            lambda: "both sides to share\n" + "\n".join(host.log() for host in hosts), 0.2,
        )

    @staticmethod
    def shares(host):
        status = host.status()
        return bool(status) and status["state"] == "active" and status["serving"] \
            and status["peer"]["state"] == "up"

    def wait(self, condition, seconds, what):
        return process.until(condition, seconds, what, 0.2)
