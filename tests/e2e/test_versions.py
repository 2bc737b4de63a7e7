#!/usr/bin/env python3
"""This build against the first version, whose commit is in tests/e2e/first-version and which is built from
git: both orders on one wire, an upgrade of one side in the middle of a drain, the old store read by the new
build. Against a later one that speaks other versions of the protocol: this build, told so in its source. And a
store that is newer than the build is refused, with words.

Each is built once, beside the build that is tested. Without the repository (a tree from an archive) there is
nothing to build the first version from, and its tests are skipped.
"""

import dataclasses
import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time

from harness import process
from harness.config import Context
from harness.host import total
from harness.pair import Case, main

SESSIONS = 300
PIPELINE = 60  # sessions that move at a time, so that an upgrade can come in between


def first_version():
    """The folder of its build; None where it can't be made."""
    with open(os.path.join(process.TOP, "tests", "e2e", "first-version"), encoding="ascii") as file:
        commit = file.read().strip()
    folder = os.path.join(os.path.dirname(process.build_folder()), f"version-{commit[:12]}")
    git = ["git", "-c", f"safe.directory={process.TOP}", "-C", process.TOP]
    if process.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"]).returncode != 0:
        return None
    with open(folder + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several of these tests may run at once
        if not os.access(os.path.join(folder, "src", "ipspctl"), os.X_OK):
            build(git, commit, folder)
    return folder


def build(git, commit, folder):
    with tempfile.TemporaryDirectory(prefix="ipspd-first.") as source:
        must("sh", "-c", '"$@" | tar -x -C "$0"', source, *git, "archive", commit)
        configure_and_build(source, folder)


def configure_and_build(source, folder):
    launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    must("cmake", "-S", source, "-B", folder, "-DIPSPD_TESTS=OFF", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", *launcher)
    must("cmake", "--build", folder, "-j", "2")


def must(*command):
    done = process.run(command, timeout=900)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")


SOURCES = ("CMakeLists.txt", "src", "include", "conf", "mibs", "docs", "LICENSE", "README.md")


def later_version():
    """The folder of a build of these sources that speaks versions 2 to 3 of the protocol, and no other."""
    folder = os.path.join(os.path.dirname(process.build_folder()), "version-later")
    stamp = digest_of_sources()
    with open(folder + ".lock", "a+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if lock.read() == stamp and os.access(os.path.join(folder, "src", "ipspctl"), os.X_OK):
            return folder
        with tempfile.TemporaryDirectory(prefix="ipspd-later.") as source:
            for name in SOURCES:
                path = os.path.join(process.TOP, name)
                if os.path.isdir(path):
                    shutil.copytree(path, os.path.join(source, name))
                elif os.path.exists(path):
                    shutil.copy2(path, source)
            speak_two_to_three(os.path.join(source, "src", "core", "wire.h"))
            shutil.rmtree(folder, ignore_errors=True)
            configure_and_build(source, folder)
        lock.truncate(0)
        lock.write(stamp)
    return folder


def digest_of_sources():
    sums = hashlib.sha256()
    for top in SOURCES:
        path = os.path.join(process.TOP, top)
        files = [path] if os.path.isfile(path) else sorted(
            os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
        for name in files:
            with open(name, "rb") as file:
                sums.update(name.encode() + b"\0" + file.read())
    return sums.hexdigest()


def speak_two_to_three(header):
    with open(header, encoding="utf-8") as file:
        text = file.read()
    text, n = re.subn(r"(#define IPSP_VERSION(_MIN)?)\s+1\b", lambda m: f"{m[1]} {2 if m[2] else 3}", text)
    if n != 2:
        raise RuntimeError(f"{header}: the versions that are spoken were not found")
    with open(header, "w", encoding="utf-8") as file:
        file.write(text)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Versions(Case):
    def setUp(self):
        super().setUp()
        self.first_build = first_version()
        if self.first_build is None:
            self.skipTest("the commit of the first version is not here")

    def pair_of(self, old):
        """A pair that shares, whose host @old runs the first version; sessions on the primary."""
        pair = self.pair()
        pair.hosts[old].build = self.first_build
        pair.start()
        for number in (0, 1):
            pair.gateway(number)
        for number in range(SESSIONS):
            pair.gateways[0].request(f"u{number}@isp", f"s{number}")
        pair.work(60, "the sessions")
        return pair

    def hand_over(self, pair, part):
        """Some of the primary's sessions move to the secondary, and new ones come up there."""
        first, second = pair.gateways
        moving = list(first.sessions().items())[:part]
        for address, (subscriber, _) in moving:
            second.request(subscriber, f"moved-{subscriber}", address)
        second.request(f"new-{len(second.sessions())}@isp", "s")
        pair.loop.until(lambda: second.idle() and first.idle(), 60, lambda: f"a handover\n{pair.story()}")
        for address, (subscriber, _) in moving:
            self.assertEqual(pair.ledger.holder(address)[:2], (second.name, subscriber))

    def upgrade(self, pair, number):
        """Host @number comes back as this build, with the store of the first version."""
        host, gateway = pair.hosts[number], pair.gateways[number]
        before = host.sessions()
        self.assertEqual(host.stop(), 0)
        host.build = None
        host.start()
        self.assertEqual(host.sessions(), before, "the old store was not read as it was")
        pair.loop.until(lambda: not gateway.connected(), 20, "the gateway to notice")
        gateway.attach()
        pair.loop.until(lambda: gateway.attached, 20, "the gateway to attach")
        pair.loop.until(lambda: self.together(pair), 30, lambda: f"the two versions\n{pair.story()}")

    def together(self, pair):
        """Both active, also where one drains."""
        return all(status and status["state"] == "active" and status["peer"]["state"] == "up"
                   for status in (host.status_or_none() for host in pair.hosts))

    def in_the_middle_of_a_drain(self, old):
        pair = self.pair_of(old)
        versions = [host.status()["peer"]["version"] for host in pair.hosts]
        self.assertTrue(all(versions), versions)
        pair.hosts[0].do("drain")
        while len(pair.gateways[0].sessions()) > SESSIONS // 2:
            self.hand_over(pair, PIPELINE)
        pair.settle()
        self.upgrade(pair, old)
        pair.wait_roles("primary", "secondary")  # lent while it was away, as any stop lends it
        pair.hosts[0].do("drain")  # which ended with a clean stop, or goes on
        while pair.gateways[0].sessions():
            self.hand_over(pair, PIPELINE)
        pair.wait_roles("secondary", "primary")
        pair.loop.until(lambda: pair.traps(0, "starIPSPAllAddrsFree"), 30, "the trap")
        self.assertEqual(total(pair.hosts[0].status(), "used"), 0)
        pair.hosts[0].do("undrain")
        pair.settle()
        pair.check_ledger()

    def test_old_primary_is_upgraded_in_the_middle_of_a_drain(self):
        self.in_the_middle_of_a_drain(old=0)

    def test_old_secondary_is_upgraded_in_the_middle_of_a_drain(self):
        self.in_the_middle_of_a_drain(old=1)

    def test_this_ipspctl_and_an_older_daemon(self):
        """The package is new, the daemon runs on until it is restarted: that is when it is drained."""
        pair = self.pair_of(old=0)
        host = pair.hosts[0]
        host.build = None  # its ipspctl is this one, the daemon is not
        for words in (["show", "ip", "ipsp"], ["show", "ip", "ipsp", "brief"], ["show", "sessions"],
                      ["show", "log"], ["show", "counters"], ["show", "ip", "pool"]):
            host.do(*words)
        self.assertIn("not drained", host.ctl("ok-to-stop").stdout)
        drain = process.spawn([process.program("ipspctl"), "-s", host.socket, "drain", "--wait", "--timeout", "60"],
                              stdout=process.subprocess.DEVNULL)
        while pair.gateways[0].sessions():
            self.hand_over(pair, SESSIONS)
        pair.loop.until(lambda: drain.poll() is not None, 60, lambda: f"the drain to end\n{pair.story()}")
        self.assertEqual(drain.returncode, 0)
        self.assertEqual(host.ctl("ok-to-stop").returncode, 0)

    def test_a_whole_way_with_each_as_it_is(self):
        """There and back without an upgrade, in both orders."""
        for old in (0, 1):
            with self.subTest(old=old):
                pair = self.pair_of(old)
                self.hand_over(pair, SESSIONS)
                pair.wait_roles("secondary", "primary")
                pair.hosts[0].do("takeover")
                pair.wait_roles("primary", "secondary")
                pair.gateways[0].request("later@isp", "s")
                pair.work(20, "a session")
                pair.settle()
                pair.check_ledger()

    def test_found_again_after_a_takeover(self):
        """Killed past the dead interval's end, and back: the two versions heal."""
        for old in (0, 1):
            with self.subTest(old=old):
                pair = self.pair(trapd=False)
                pair.hosts[old].build = self.first_build
                pair.start(dead_interval_ms=3000, hello_interval_ms=100, request_timeout_ms=1500,
                           release_timeout_ms=500)
                for number in (0, 1):
                    pair.gateway(number).request(f"u{number}@isp", "s")
                pair.work(20, "the sessions")
                pair.settle()
                pair.hosts[0].kill9()
                address = next(iter(pair.gateways[0].sessions()))
                pair.loop.until(lambda p=pair: p.hosts[1].status()["state"] == "peer-down", 20, "a takeover")
                pair.ledger.drop(address, pair.gateways[0].name)  # the gateway's host went with it
                pair.gateways[1].request("u0@isp", "moved", address)
                pair.loop.until(pair.gateways[1].idle, 20, "the session")
                pair.hosts[0].launch()
                pair.hosts[0].wait_ready()
                pair.gateways[0].attach()
                pair.loop.until(lambda p=pair: p.gateways[0].attached, 20, "the gateway to attach")
                pair.wait_sharing(60)
                pair.wait_roles("secondary", "primary")
                pair.work(20, "the gateways")
                pair.settle()
                pair.check_ledger()


class Handshake(Case):
    """The first version's handshake is bound to nothing but the secret: it is spoken with a peer that speaks no
    other, and only where that can harm nobody."""

    SHORT = {"dead_interval_ms": 20000, "hello_interval_ms": 100}

    def setUp(self):
        super().setUp()
        self.first_build = first_version()
        if self.first_build is None:
            self.skipTest("the commit of the first version is not here")

    def test_a_peer_is_set_back_in_order(self):
        """It was heard with the new handshake, and has said goodbye: what comes back may be older."""
        pair = self.pair(trapd=False)
        pair.start(**self.SHORT)
        for old in (0, 1):
            host = pair.hosts[old]
            self.assertEqual(host.stop(), 0)
            host.build = self.first_build
            host.launch()
            host.wait_ready()
            pair.wait_sharing(10)
            self.assertEqual(host.stop(), 0)
            host.build = None
            host.launch()
            host.wait_ready()
            pair.wait_sharing(10)

    def test_a_peer_that_was_killed_and_set_back(self):
        """Refused, with words that say what to do; and heard when that was done."""
        pair = self.pair(trapd=False)
        pair.start(**self.SHORT)
        here, peer = pair.hosts
        peer.kill9()
        peer.build = self.first_build
        peer.launch()
        peer.wait_ready()
        pair.loop.until(lambda: "old-handshake = true" in here.log(), 10, lambda: f"the words\n{here.tail()}")
        self.assertIn("upgrade ipspd on its host again", here.do("show", "log"))
        here.kill9()  # it is not forgotten by a restart
        here.launch()
        here.wait_ready()
        pair.loop.until(lambda: here.log().count("old-handshake = true") == 2, 10, "the words again")
        here.config.ipsp.options["old-handshake"] = True
        here.write_config()
        here.do("reload")
        pair.wait_sharing(10)

    def test_one_secret_for_two_contexts(self):
        """Both share; with an older peer nothing does, as nobody could tell the two contexts apart, and it is said."""
        pair = self.pair(trapd=False)
        for number, role in enumerate(("primary", "secondary")):
            pair.ipsp(number, role, **self.SHORT)
            config = pair.hosts[number].config
            second = dataclasses.replace(config.ipsp, port=config.ipsp.port + 1, interface="lan-2")
            config.others = [Context(context="isp2", ipsp=second)]
        for host in pair.hosts:
            host.start()
        def sharing(host, context):
            status = host.status(context)
            return status["state"] == "active" and status["serving"] and status["peer"]["key-match"]
        for context in ("isp1", "isp2"):
            pair.loop.until(lambda c=context: all(sharing(host, c) for host in pair.hosts), 20,
                            lambda: pair.story())
        here, peer = pair.hosts
        self.assertEqual(peer.stop(), 0)
        peer.build = self.first_build
        peer.launch()
        for context in ("isp1", "isp2"):
            pair.loop.until(lambda c=context: f"{c}: a handshake of the first version came" in here.log(), 10,
                            lambda: here.tail())
        self.assertIn("another context here has the same secret", here.log())
        peer.kill9()


class Later(Case):
    """One host has a build with which no version is common."""

    SHORT = {"dead_interval_ms": 3000, "hello_interval_ms": 100, "request_timeout_ms": 1500,
             "release_timeout_ms": 500}

    def setUp(self):
        super().setUp()
        self.later_build = later_version()

    def assert_said(self, pair, later):
        """On both sides, in the log, the show and check-config: both ranges, and which host to upgrade."""
        for number, host in enumerate(pair.hosts):
            remedy = "the peer's" if number == later else "this"
            mine, its = ("2 to 3", "1") if number == later else ("1", "2 to 3")
            log = host.do("show", "log")
            self.assertIn(f"speaks {mine}, the peer (ipspd", log)
            self.assertIn(f"{its}: nothing is shared until ipspd on {remedy} host is upgraded", log)
            self.assertIn(f"upgrade ipspd on {remedy} host", host.do("show", "ip", "ipsp"))
            checked = host.ctl("check-config")
            self.assertEqual(checked.returncode, 1, checked.stdout)
            self.assertIn(f"here {mine}, peer {its}", checked.stdout + checked.stderr)
            status = host.status()
            self.assertIsNone(status["protocol"])
            self.assertEqual(status["peer"]["state"], "up")
            self.assertEqual(status["counters"]["takeovers"], 0)

    def mismatch(self, pair):
        def found():
            states = [status and status["state"] for status in (host.status_or_none() for host in pair.hosts)]
            return states == ["config-mismatch"] * 2
        pair.loop.until(found, 20, lambda: f"the mismatch\n{pair.story()}")

    def killed_and_upgraded(self, pair, number):
        """A stop would lend the role."""
        host, gateway = pair.hosts[number], pair.gateways[number]
        host.kill9()
        host.build = self.later_build
        host.launch()
        host.wait_ready()
        pair.loop.until(lambda: not gateway.connected(), 20, "the gateway to notice")
        gateway.attach()
        pair.loop.until(lambda: gateway.attached, 20, "the gateway to attach")

    def test_from_the_first_meeting(self):
        for later in (0, 1):
            with self.subTest(later=later):
                pair = self.pair(trapd=False)
                pair.hosts[later].build = self.later_build
                pair.launch(**self.SHORT)
                self.mismatch(pair)
                self.assertEqual(pair.hosts[0].ctl("request", "u1@isp").returncode, 0)
                refused = pair.hosts[1].ctl("request", "u2@isp")
                self.assertEqual(refused.returncode, 1)
                self.assertIn("config-mismatch", refused.stderr)
                self.assert_said(pair, later)

    def test_an_upgrade_that_goes_too_far(self):
        """Shared out, with sessions on both sides: each serves on for longer than a dead interval, nothing moves,
        and when the other host is upgraded as well all goes on."""
        for later in (0, 1):
            with self.subTest(later=later):
                pair = self.pair(trapd=False)
                pair.start(**self.SHORT)
                for number in (0, 1):
                    gateway = pair.gateway(number)
                    for session in range(20):
                        gateway.request(f"u{number}-{session}@isp", "s")
                pair.work(20, "the sessions")
                pair.settle()
                self.killed_and_upgraded(pair, later)
                self.mismatch(pair)
                end = time.monotonic() + 3 * self.SHORT["dead_interval_ms"] / 1000
                pair.loop.until(lambda e=end: time.monotonic() > e, 60, "time to pass")
                self.assert_said(pair, later)
                for host in pair.hosts:
                    self.assertTrue(host.status()["serving"], pair.story())
                    self.assertEqual(len(host.sessions()), 20)
                self.killed_and_upgraded(pair, 1 - later)
                pair.wait_sharing(60)
                pair.wait_roles("primary", "secondary")
                self.assertEqual([host.status()["protocol"] for host in pair.hosts], [3, 3])
                address, (subscriber, _) = next(iter(pair.gateways[0].sessions().items()))
                pair.gateways[1].request(subscriber, "moved", address)
                pair.work(20, "a session that moves")
                pair.settle()
                pair.check_ledger()


class Store(Case):
    def test_a_newer_one_is_refused(self):
        host = self.host()
        host.start()
        host.do("request", "u1@isp")
        self.assertEqual(host.stop(), 0)
        log = os.path.join(host.config.state, "store")
        with open(log, "r+b") as file:
            header = bytearray(file.read(32))
            self.assertEqual(crc32c(header[:28]), int.from_bytes(header[28:], "big"))
            header[9] += 1  # its version
            header[28:] = crc32c(header[:28]).to_bytes(4, "big")
            file.seek(0)
            file.write(header)
        before = os.stat(log).st_mtime_ns
        done = process.run([process.program("ipspd"), "-f", "-c", host.file], timeout=20)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("newer", done.stderr)
        self.assertIn(log, done.stderr)
        self.assertEqual(os.stat(log).st_mtime_ns, before, "it was written to")


if __name__ == "__main__":
    sys.exit(main())
