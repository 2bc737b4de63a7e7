#!/usr/bin/env python3
"""What a running daemon has of secrets in its memory, and who can get at it."""

import hashlib
import os
import re
import secrets
import sys
import time

from harness import process
from harness.pair import Case, main

PASSPHRASES = ("the authentication phrase", "the privacy phrase, another")


def snmp_key(passphrase):
    """The key of a user of SNMP version 3 with SHA (RFC 3414, A.2.2)."""
    times = 1048576 // len(passphrase) + 1
    return hashlib.sha1((passphrase.encode() * times)[:1048576]).digest()


def localized(key, engine):
    return hashlib.sha1(key + engine + key).digest()


def maps(pid):
    """Each readable, writable piece of memory: where, and the kernel's flags of it."""
    pieces, at = [], None
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as file:
        for line in file:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                at = (int(head.group(1), 16), int(head.group(2), 16)) if head else None
            elif at and line.startswith("VmFlags:"):
                pieces.append((*at, line.split()[1:]))
    return pieces


def copies(pid, what):
    """Where @what stands in the memory of the process: each time the flags of the piece."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, flags in maps(pid):
            memory.seek(start)
            try:
                text = memory.read(end - start)
            except OSError:
                continue
            found += [flags + [hex(start)]] * text.count(what)
    return found


class Secrets(Case):
    """On the build that is installed: the address sanitizer keeps copies, and needs to look in."""

    def start_pair(self):
        pair = self.pair(trapd=False)
        for host in pair.hosts:
            host.build = process.packaged_folder()
        host = pair.hosts[0]
        key, secret = os.path.join(pair.folder, "made.key"), secrets.token_hex(32)
        files = [os.path.join(pair.folder, name) for name in ("auth", "priv")]
        for path, text in zip([key, *files], [secret, *PASSPHRASES]):
            with open(path, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(text + "\n")
        host.config.extra = (
            'snmp = { sinks = ( { host = "127.0.0.1"; port = 16299; version = "3"; user = "u"; '
            f'auth-protocol = "SHA"; auth-passphrase-file = "{files[0]}"; '
            f'priv-protocol = "AES"; priv-passphrase-file = "{files[1]}"; }} ); }};\n')
        for number, role in enumerate(("primary", "secondary")):
            pair.ipsp(number, role, hello_interval_ms=100, key_file=key)
            pair.hosts[number].start()
        pair.wait_sharing()
        return pair, secret

    def count(self, pid, secret):
        """How often each of them is found; all that stays is locked, and in no dump."""
        key = hashlib.blake2b(secret.encode(), digest_size=32).digest()
        found = {name: copies(pid, what) for name, what in {
            "the text of the secret": secret.encode(), "the hash that is the key": key,
            "passphrase 1": PASSPHRASES[0].encode(), "passphrase 2": PASSPHRASES[1].encode()}.items()}
        self.tell(found)
        return found

    def needs_a_look_in(self, host):
        """Its memory can't be dumped: only who may trace everybody reads it."""
        try:
            with open(f"/proc/{host.pid}/mem", "rb"):
                pass
        except PermissionError:
            self.skipTest("needs CAP_SYS_PTRACE, to read the memory of a process that can't be dumped")

    def tell(self, found):
        for name, places in found.items():
            self.say(f"{name}: {len(places)} in memory, {sum('dd' in p and 'lo' in p for p in places)} "
                     "of them locked and in no dump")

    def assert_guarded(self, host, found):
        allowed = "secrets may be swapped" not in host.log()  # the machine's limit forbids to lock
        for name, places in found.items():
            for flags in places:
                self.assertIn("dd", flags, f"{name}: it would be in a dump")
                self.assertTrue("lo" in flags or not allowed, f"{name}: it may be swapped: {flags}")

    def test_copies_in_memory(self):
        pair, secret = self.start_pair()
        pid = pair.hosts[0].pid
        self.needs_a_look_in(pair.hosts[0])
        for when in ("at the start", "after a reload", "after ten"):
            with self.subTest(when):
                found = self.count(pid, secret)
                self.assertEqual(found["the text of the secret"], [])
                # the configuration that was read, and the one that the context is run with
                self.assertLessEqual(len(found["the hash that is the key"]), 2)
                # the configuration, and the sink
                self.assertLessEqual(len(found["passphrase 1"]), 2)
                self.assertLessEqual(len(found["passphrase 2"]), 2)
                self.assert_guarded(pair.hosts[0], found)
            for _ in range(1 if when == "at the start" else 9):
                pair.hosts[0].do("reload")
            time.sleep(0.5)
        self.assertTrue(pair.sharing())

    def test_what_the_snmp_library_keeps(self):
        """Keys of passphrases, which it makes for itself: as well kept as the passphrases."""
        pair, _ = self.start_pair()
        host = pair.hosts[0]
        self.needs_a_look_in(host)
        with open(os.path.join(host.config.state, "snmp-engine"), encoding="ascii") as file:
            engine = bytes.fromhex(file.read().split()[1])
        keys = {}
        for number, passphrase in enumerate(PASSPHRASES, 1):
            keys[f"the key of passphrase {number}"] = snmp_key(passphrase)
            # (AES takes 16 bytes of it)
            keys[f"its key for our engine, {number}"] = localized(snmp_key(passphrase), engine)[:16]
        # "the peer is up" goes to the sink
        process.until(lambda: copies(host.pid, keys["its key for our engine, 2"]), 30, "a notification")
        found = {name: copies(host.pid, key) for name, key in keys.items()}
        self.tell(found)
        self.assert_guarded(host, found)
        host.config.extra = ""
        host.write_config()
        host.do("reload")
        for name, key in keys.items():
            self.assertEqual(copies(host.pid, key), [], f"{name}: it is not needed any more")

    def test_a_limit_that_forbids_locking_is_said(self):
        """It serves all the same, and an operator can know that secrets may be swapped."""
        host = self.host()
        host.build = process.packaged_folder()
        host.limit("--memlock=0")
        host.start()
        self.assertRegex(host.log(), r"warning: secrets may be swapped: .*LimitMEMLOCK")
        host.do("reload")
        self.assertEqual(host.log().count("secrets may be swapped"), 1)

    def test_no_core(self):
        pair, _ = self.start_pair()
        with open(f"/proc/{pair.hosts[0].pid}/limits", encoding="ascii") as file:
            self.assertRegex(file.read(), r"Max core file size +0 ")

    def test_nobody_of_its_user_looks_in(self):
        """/proc/PID of a process that can't be dumped is root's, whoever runs it."""
        if os.geteuid() != 0:
            self.skipTest("needs root, to be somebody else")
        host = self.host()
        host.build = process.packaged_folder()
        host.write_config()
        uid = 65534
        for place, folders, files in os.walk(host.folder):
            for name in [place, *(os.path.join(place, one) for one in folders + files)]:
                os.chown(name, uid, uid)
        above = host.folder
        while (above := os.path.dirname(above)) not in ("/", "/tmp"):
            os.chmod(above, os.stat(above).st_mode | 0o011)
        host.run_as(uid)
        host.launch()
        host.wait_ready()
        self.assertEqual(os.stat(f"/proc/{host.pid}/mem").st_uid, 0)
        done = process.run(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups",
                            "head", "-c", "1", f"/proc/{host.pid}/mem"])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Permission denied", done.stderr)


if __name__ == "__main__":
    sys.exit(main())
