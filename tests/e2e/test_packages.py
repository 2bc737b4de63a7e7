#!/usr/bin/env python3
"""The Debian packages: built twice, looked at by lintian, and an operator's life with them under a real systemd.

With IPSPD_ROOT=FOLDER the hosts are boxes of the Debian that lies there: tests/e2e/packages.sh.
"""

import glob
import hashlib
import json
import os
import re
import shutil
import sys
import time

from harness import debs, process
from harness.boxes import CONFIG, DOCUMENTS, EXAMPLES, KEY, BoxCase, Installed
from harness.pair import Case, main

INSTALL = "apt install -y ./build/package/*.deb"
HELLO_MS = 1000  # as in the examples; three of them without a word, and the peer says lost
STATE = "/var/lib/ipspd"


def sums(folder):
    found = {}
    for path in glob.glob(os.path.join(folder, "upload", "*")):
        if path.endswith((".deb", ".dsc", ".tar.xz")):
            with open(path, "rb") as file:
                found[os.path.basename(path)] = hashlib.sha256(file.read()).hexdigest()
    return found


class Built(Case):
    lasts = 90

    def test_twice_and_equal(self):
        """...in another folder, with another user's habits."""
        first = debs.built()
        again = os.path.join(self.folder, "a-longer-name", "of-a-folder")
        os.environ.update(TZ="Pacific/Auckland", LC_ALL="C.UTF-8")
        os.umask(0o007)
        debs.build(again, debs.version(first))
        for name in ("ipspd", "ipspd-dbgsym", "ipsp-monitor", "libipsp1", "libipsp1-dbgsym", "libipsp-dev"):
            self.assertTrue([deb for deb in sums(first) if deb.startswith(name + "_") and deb.endswith(".deb")], name)
        self.assertEqual(sums(again), sums(first))

    def test_what_it_is_built_with(self):
        """...is the same for dpkg as for docs/packages.sh."""
        with open(os.path.join(process.TOP, "docs", "packages.sh"), encoding="utf-8") as file:
            ours = re.search(r"^build='(.*?)'", file.read(), re.MULTILINE | re.DOTALL).group(1).split()
        with open(os.path.join(process.TOP, "conf", "debian", "control"), encoding="utf-8") as file:
            theirs = re.search(r"^Build-Depends:\n(( .*\n)+)", file.read(), re.MULTILINE).group(1)
        theirs = [line.split()[0].rstrip(",") for line in theirs.splitlines()]
        self.assertEqual(sorted(set(ours) - {"build-essential"}),
                         sorted(name for name in theirs if not name.startswith(("debhelper", "dh-"))))

    def test_lintian_finds_nothing(self):
        if not shutil.which("lintian"):
            self.skipTest("lintian is not installed")
        upload = os.path.join(debs.built(), "upload")
        done = process.run(["lintian", "--fail-on", "error,warning", "--allow-root",
                            *glob.glob(os.path.join(upload, "*.dsc")), *glob.glob(os.path.join(upload, "*.deb"))],
                           timeout=300)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


class Packaged(Installed):
    """A box whose ipspd comes from packages."""

    def put(self, folder=None):
        debs.put(self.box, folder or debs.built())
        if os.listdir(self.path("/var/lib/dpkg/updates")):  # the box was made while the host's dpkg was at work
            self.check("dpkg", "--configure", "-a", timeout=300)

    def install(self, folder=None):
        """Returns what apt and the packages said."""
        self.put(folder)
        return self.paste(f"{INSTALL} 2>&1", timeout=300)

    def apt(self, *words):
        return self.paste(f"apt {' '.join(words)} 2>&1", timeout=300)


class PackageCase(BoxCase):
    lasts = 60

    def host(self, name="ha1", hierarchy=None):
        host = Packaged(name, hierarchy)
        self.addCleanup(host.close)
        host.said = host.install()
        host.make_key()
        return host

    def pair(self):
        """Two that share, on one cable, with the shipped examples, enabled."""
        hosts = self.hosts()
        for host in reversed(hosts):
            host.check("systemctl", "enable", "--now", "ipspd")
        self.wait_sharing(hosts)
        return hosts

    def next_version(self):
        return debs.built("package-next", debs.version(debs.built()) + "+next")


class Installing(PackageCase):
    def test_nothing_starts_before_there_is_a_configuration(self):
        host = self.host()
        self.assertNotRegex(host.said, r"(?i)fail|error|warning: (?!.*apt does not have)", host.said)
        self.assertEqual(host.property("ActiveState"), "inactive")
        self.assertEqual(host.run("systemctl", "is-enabled", "ipspd").stdout, "disabled\n")
        self.assertFalse(os.path.exists(host.path(CONFIG)))
        self.assertEqual(host.check("stat", "-c", "%a %U %G", "/etc/ipspd"), "750 ipsp ipsp\n")
        for group in ("ipsp", "ipsp-gateway", "ipsp-status"):
            host.check("getent", "group", group)
        host.check("dpkg", "--verify", "ipspd", "ipsp-monitor", "libipsp1", "libipsp-dev")
        for package in ("ipspd", "ipsp-monitor", "libipsp1", "libipsp-dev"):
            self.assertIn("ISC", host.read(f"/usr/share/doc/{package}/copyright"))

    def test_a_start_without_a_configuration_says_what_to_do(self):
        host = self.host()
        self.assertNotEqual(host.run("systemctl", "start", "ipspd").returncode, 0)
        host.wait_log(f"{CONFIG}:0: file: No such file or directory; ipspd.conf(5) says where examples are")
        for example in EXAMPLES:
            host.read(f"{DOCUMENTS}/examples/{example}")


class Upgrade(PackageCase):
    lasts = 90

    def test_under_a_running_pair(self):
        """Sessions live on, on both sides; the peer never says lost; nothing is used twice."""
        hosts = self.pair()
        later = self.next_version()
        books = [self.fill(host, number) for number, host in enumerate(hosts)]
        for number, host in enumerate(hosts):
            with self.subTest(host.name):
                self.upgrade(hosts, number, later)
        self.wait_sharing(hosts)
        for host, sessions in zip(hosts, books):
            self.assertEqual(self.sessions(host), sessions)
            self.assertEqual(host.check("dpkg-query", "-W", "-f", "${Version}", "ipspd"), debs.version(later))
            for word in ("lost", "duplicate", "used twice"):
                self.assertNotIn(word, host.log())
            counters = host.status()["counters"]
            self.assertEqual((counters["duplicates-resolved"], counters["duplicates-open"]), (0, 0))
        self.assertFalse(set(books[0]) & set(books[1]))
        for number, host in enumerate(hosts):  # and both go on
            host.do("request", f"after{number}@isp")

    def fill(self, host, number):
        for n in range(20):
            host.do("request", f"u{n}@side{number}")
        return self.sessions(host)

    def sessions(self, host):
        found = json.loads(host.do("--json", "show", "sessions"))["sessions"]
        return {session["address"]: session["subscriber"] for session in found
                if not session["subscriber"].startswith("after")}

    def upgrade(self, hosts, number, later):
        """One side gets the next version. How long it is silent for the peer, and for its own gateways, is said."""
        host, peer = hosts[number], hosts[1 - number]
        before = host.property("MainPID")
        host.put(later)
        going = host.box.spawn("bash", "-c", f"{INSTALL} >/run/apt.log 2>&1")
        states, silent, unserved, last = set(), 0, 0.0, time.monotonic()
        ended = None
        while ended is None or time.monotonic() < ended + 5:
            status = peer.status()
            states.add(status["peer"]["state"])
            silent = max(silent, status["peer"]["last-heard-ms"] or 0)
            served = host.ctl("request", "after@isp", "--session", "s", timeout=20).returncode == 0
            now = time.monotonic()
            if served:
                unserved, last = max(unserved, now - last), now
            if ended is None and going.poll() is not None:
                ended = now
        self.assertEqual(going.returncode, 0, host.read("/run/apt.log"))
        self.assertNotEqual(host.property("MainPID"), before, host.read("/run/apt.log"))
        self.say(f"{host.name}: upgraded; at most {silent} ms without a word for the peer, {1000 * unserved:.0f} ms "
                 f"without an answer for a gateway; the peer said {', '.join(sorted(states))}")
        self.assertNotIn("lost", states)
        self.assertNotIn("down", states)

    def test_what_is_stopped_stays_so(self):
        """Its operator may be in the middle of something."""
        host = self.lone()
        host.check("systemctl", "enable", "--now", "ipspd")
        host.check("systemctl", "stop", "ipspd")
        host.install(self.next_version())
        self.assertEqual(host.property("ActiveState"), "inactive")

    def test_a_file_that_the_new_version_refuses(self):
        """The daemon that serves goes on, and the operator is told."""
        host = self.lone()
        host.start()
        pid = host.property("MainPID")
        good = host.read(CONFIG)
        host.write(CONFIG, good + "rubbish = 1;\n")
        said = host.install(self.next_version())
        self.assertIn("rubbish", said)
        self.assertIn("systemctl restart ipspd", said)
        self.assertEqual((host.property("ActiveState"), host.property("MainPID")), ("active", pid))
        host.write(CONFIG, good)
        host.check("systemctl", "restart", "ipspd")
        self.assertNotEqual(host.property("MainPID"), pid)


class Removal(PackageCase):
    lasts = 60

    def test_remove_install_again_purge(self):
        """A removal leaves the peer in order, and keeps books, secret and file; a purge leaves nothing."""
        hosts = self.pair()
        host, peer = hosts
        address = host.do("request", "u@isp").strip()
        said = host.apt("remove", "-y", "ipspd")
        self.assertIn("was not ready for that", said)
        self.assertRegex(said, r"ipspd:   .*1 session")
        peer.wait_log("the peer has stopped in order")
        self.assertNotIn("lost", peer.log())
        for path in (STATE, KEY, CONFIG):
            self.assertTrue(os.path.exists(host.path(path)), path)
        host.paste(INSTALL, timeout=300)
        host.check("systemctl", "start", "ipspd")
        self.wait_sharing(hosts)
        self.assertIn(address + " ", host.do("show", "sessions"))
        host.do("release", address)
        self.assertEqual(host.ctl("drain", "--wait", "--timeout", "60").returncode, 0)
        host.write("/etc/systemd/system/ipspd.service.d/ours.conf", "[Service]\nNice=0\n")
        said = host.apt("purge", "-y", "ipspd", "ipsp-monitor", "libipsp1", "libipsp-dev")
        self.assertNotIn("was not ready", said)
        self.assertNotRegex(said, r"(?i)not empty|cannot|failed|error", said)
        for path in (STATE, "/etc/ipspd", CONFIG, "/lib/systemd/system/ipspd.service", "/usr/sbin/ipspd",
                     "/etc/systemd/system/multi-user.target.wants/ipspd.service"):
            self.assertFalse(os.path.lexists(host.path(path)), path)
        self.assertTrue(os.path.exists(host.path("/etc/systemd/system/ipspd.service.d/ours.conf")))
        self.assertEqual(host.check("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n").count("ipsp"), 0)
        host.paste(INSTALL, timeout=300)
        self.assertEqual(host.property("ActiveState"), "inactive")
        self.assertEqual(host.run("systemctl", "is-enabled", "ipspd").stdout, "disabled\n")


class AsInstalled(PackageCase):
    """The tests that the source package brings for installed packages (autopkgtest)."""

    def test_each(self):
        host = self.host()
        tests = os.path.join(process.TOP, "conf", "debian", "tests")
        with open(os.path.join(tests, "control"), encoding="ascii") as file:
            names = re.findall(r"^Tests: (\w+)$", file.read(), re.MULTILINE)
        self.assertTrue(names)
        for name in names:
            if name == "library" and host.run("which", "gcc", "pkg-config").returncode != 0:
                continue  # a minimal Debian
            with self.subTest(name):
                shutil.copy(os.path.join(tests, name), host.path("/opt"))
                host.check("mkdir", "-p", f"/tmp/{name}")
                host.check("env", f"AUTOPKGTEST_TMP=/tmp/{name}", "sh", f"/opt/{name}", timeout=200)


if __name__ == "__main__":
    sys.exit(main())
