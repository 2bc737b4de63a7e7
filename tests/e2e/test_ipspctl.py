#!/usr/bin/env python3
"""ipspctl itself: words, help, what it says where it can't go on, sessions by the hundred thousand, and output
that can't be written."""

import json
import os
import pty
import pwd
import re
import socket
import stat
import subprocess
import sys
import termios
import time

from harness import process
from harness.pair import Case, main

MANY = 100_000


class Words(Case):
    """No daemon: nothing of this asks one."""

    def said(self, *words):
        done = self.host().ctl(*words)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_what_was_meant(self):
        cases = {
            ("drian",): 'did you mean "drain"',
            ("show", "sesions"): 'did you mean "sessions"',
            ("show", "ip", "ipps"): 'did you mean "ipsp"',
            ("show", "rubbish"): "there are ip, sessions",
            ("t",): "terminate and takeover",
            ("re",): "request, release and reload",
            ("show", "ip"): "a word is missing",
            (): "a command is missing",
            ("--forse", "takeover"): "did you mean --force",
            ("-x", "show"): "no option -x",
            ("--rubbish", "show"): "no option --rubbish",
            ("show", "sessions", "--limit"): "--limit wants a value",
            ("--json=1", "drain"): "--json takes no value",
            ("show", "log", "--wait"): "show log has no --wait",
            ("request",): "usage: ipspctl request SUBSCRIBER",
            ("request", "a", "b"): '"b" is too much',
            ("drain", "now"): '"now" is too much',
            ("show", "sessions", "--limit", "0"): "--limit",
            ("show", "log", "-n", "none"): "-n wants a number",
            ("show", "sessions", "10.0.0"): "neither an address nor a prefix",
            ("show", "sessions", "10.0.0.0/33"): "neither an address nor a prefix",
            ("show", "sessions", "10.0.0.0/"): "neither an address nor a prefix",
            ("show", "sessions", "--state", "duplicates"): 'did you mean "duplicate"',
            ("show", "sessions", "--state", "odd"): "used, releasing or duplicate",
            ("pool-share-protocol", "mode", "activ3"): 'did you mean "active"',
            ("pool-share-protocol", "mode", "on"): "active, inactive or check-config",
            ("help", "rubbish"): 'no "rubbish"',
        }
        for words, sentence in cases.items():
            with self.subTest(words):
                self.assertIn(sentence, self.said(*words))

    def test_help(self):
        host = self.host()
        whole = host.do("help")
        self.assertEqual(host.do("--help"), whole)
        commands = [line.strip() for line in whole.splitlines() if re.match("  [a-z]", line)]
        self.assertGreater(len(commands), 15)
        for command in commands:
            words = re.split(r" (?=[\[A-Z]|active)", command)[0].split()
            with self.subTest(command):
                text = host.do("help", *words)
                self.assertIn(command, text)
                self.assertEqual(host.do(*words, "--help"), text)
                for option in re.findall(r"--[a-z]+", command):
                    self.assertIn(f"\n  {option}", text)
        self.assertIn("show ip pool", host.do("help", "show", "ip"))

    def test_every_command_is_in_the_manual(self):
        with open(os.path.join(process.TOP, "docs/man/ipspctl.8"), encoding="utf-8") as file:
            manual = file.read()
        for line in self.host().do("help").splitlines():
            if re.match("  [a-z]", line):
                words = re.split(r" (?=[\[A-Z]|active)", line.strip())[0]
                self.assertRegex(manual, r"\.It Cm " + words)


class Unreachable(Case):
    def said(self, path, **options):
        done = process.run([process.program("ipspctl"), "-s", path, "show", "ip", "ipsp"], **options)
        self.assertEqual(done.returncode, 3, done)
        return done.stderr

    def test_why(self):
        host = self.host()
        self.assertIn("does ipspd run", self.said(host.socket))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.bind(host.socket)
            self.assertIn("nobody listens", self.said(host.socket))
        host.write_config()
        self.assertIn("no socket", self.said(host.file))
        self.assertIn("107 bytes", self.said("/" + "x" * 120))

    def test_the_group(self):
        """Somebody else's user: it is told which group the socket is for."""
        nobody = pwd.getpwnam("nobody")
        host = self.host()
        host.start()
        for folder in (host.folder, os.path.dirname(host.folder)):
            os.chmod(folder, os.stat(folder).st_mode | stat.S_IXOTH | stat.S_IXGRP)
        # (the programs may lie where only their builder may look)
        copies = os.path.dirname(host.folder)
        ipspctl = os.path.join(copies, "ipspctl")
        library = os.path.join(process.build_folder(), "src")
        for name in ("ipspctl", "libipsp.so.1"):
            with open(os.path.join(library, name), "rb") as file, \
                    open(os.path.join(copies, name), "wb") as copy:
                copy.write(file.read())
            os.chmod(os.path.join(copies, name), 0o755)

        def said():
            done = process.run([ipspctl, "-s", host.socket, "show", "ip", "ipsp"], user=nobody.pw_uid,
                               group=nobody.pw_gid, extra_groups=[],
                               env={"LD_LIBRARY_PATH": copies, "ASAN_OPTIONS": "detect_leaks=0"})
            self.assertEqual(done.returncode, 3, done)
            return done.stderr
        self.assertIn("only root and the daemon's own user", said())
        os.chown(host.socket, -1, 1)  # daemon, everywhere
        os.chmod(host.socket, 0o660)
        self.assertIn("usermod -aG daemon nobody", said())
        os.chmod(host.folder, 0o700)
        self.assertIn("may not look into its folder", said())


class Contexts(Case):
    def test_which_there_are(self):
        host = self.host()
        host.start()
        done = host.ctl("-c", "elsewhere", "show", "ip", "ipsp")
        self.assertEqual(done.returncode, 1)
        self.assertIn('unknown-context: there is no context "elsewhere"; there is isp1', done.stderr)


class MakeKey(Case):
    def test_a_pair_runs_with_it(self):
        pair = self.pair()
        host = pair.hosts[0]
        path = os.path.join(host.folder, "made.key")
        said = host.do("make-key", path)  # no daemon runs yet
        status = os.stat(path)
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o600)
        self.assertIn(pwd.getpwuid(status.st_uid).pw_name, ("ipsp", pwd.getpwuid(os.geteuid()).pw_name))
        with open(path, encoding="ascii") as file:
            secret = file.read()
        self.assertRegex(secret, r"\A[0-9a-f]{64}\n\Z")
        self.assertNotIn(secret.strip(), said)
        finger = re.search("key fingerprint ([0-9a-f]{8})", said).group(1)
        os.chown(path, os.geteuid(), os.getegid())  # this daemon runs as whoever runs the test
        for number, role in enumerate(("primary", "secondary")):
            pair.ipsp(number, role, key_file=path)
            pair.hosts[number].start()
        pair.wait_sharing()
        self.assertEqual(host.status()["key-fingerprint"], finger)
        self.assertNotIn("is weak", process.run([process.program("ipspd"), "-t", "-c", host.file]).stderr)

    def test_an_old_one_stays(self):
        host = self.host()
        path, link = (os.path.join(host.folder, name) for name in ("old.key", "link.key"))
        with open(path, "w", encoding="ascii") as file:
            file.write("what is in use\n")
        os.symlink(os.path.join(host.folder, "elsewhere"), link)
        for there in (path, link):
            done = host.ctl("--json", "make-key", there)
            self.assertEqual(done.returncode, 1)
            self.assertIn("exists already", done.stderr)
            self.assertEqual(json.loads(done.stdout)["ok"], False)
        self.assertIn("No such file", host.ctl("make-key", "/nowhere/key").stderr)
        self.assertFalse(os.path.exists(os.path.join(host.folder, "elsewhere")))
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "what is in use\n")
        made = json.loads(host.do("--json", "make-key", os.path.join(host.folder, "new.key")))
        self.assertRegex(made["key-fingerprint"], "^[0-9a-f]{8}$")

    def test_none_that_is_half(self):
        host = self.host()
        path = os.path.join(host.folder, "half.key")
        done = process.run(["sh", "-c", f"ulimit -f 0; exec {process.program('ipspctl')} make-key {path}"])
        self.assertEqual(done.returncode, 1, done)
        self.assertFalse(os.path.exists(path))


class Configuration(Case):
    def test_in_force(self):
        pair = self.pair()
        host = pair.hosts[0]
        pair.ipsp(0, "primary", block_size=7, mode="inactive")
        host.config.pools.append({"name": "fixed", "network": "10.9.0.0/24", "type": "static"})
        host.start()
        shown = host.look("show", "configuration")
        self.assertEqual(shown["socket"], host.socket)
        self.assertEqual(shown["file"], host.file)
        self.assertEqual(shown["sinks"][0]["host"], pair.trapd.address)
        context = shown["contexts"][0]
        wanted = {"name": "isp1", "interface": "lan-ha1", "address": pair.net.addresses[0],
                  "port": pair.net.port, "configured-role": "primary", "mode": "inactive",
                  "dead-interval-ms": 25000, "hello-interval-ms": 200, "block-size": 7, "durability": "crash",
                  "peer": {"address": pair.net.addresses[1], "port": pair.net.port}}
        self.assertEqual({name: context[name] for name in wanted}, wanted)
        # The same as beside the peer's, and nothing of the key itself.
        self.assertEqual(context["key-fingerprint"], host.status()["key-fingerprint"])
        self.assertRegex(context["key-fingerprint"], "^[0-9a-f]{8}$")
        self.assertIsNone(context["session-key-age-ms"])  # there is no session
        self.assertEqual([pool["name"] for pool in context["pools"]],
                         sorted(pool["name"] for pool in host.config.pools))
        # In force is what a command has changed, too.
        host.do("pool-share-protocol", "mode", "check-config")
        self.assertEqual(host.look("show", "configuration")["contexts"][0]["mode"], "check-config")
        text = host.do("show", "configuration")
        for words in ("mode                      check-config", f"{pair.net.addresses[1]} port {pair.net.port}",
                      "10.9.0.254", host.file):
            self.assertIn(words, text)
        for secret in ("public\"", "community", "5a5a"):
            self.assertNotIn(secret, host.do("--json", "show", "configuration").replace('"type":"public"', ""))

    def test_brief(self):
        host = self.host()
        host.config.pools = [{"name": "a", "network": "10.1.0.0/24"}, {"name": "b", "network": "10.2.0.0/24"}]
        host.start()
        host.do("request", "u1@isp")
        brief = host.look("show", "ip", "ipsp", "brief")
        self.assertEqual(len(brief["contexts"]), 1)
        self.assertEqual((brief["contexts"][0]["name"], brief["contexts"][0]["used"]), ("isp1", 1))
        self.assertEqual((brief["total"]["contexts"], brief["total"]["serving"], brief["total"]["size"]),
                         (1, 1, 508))
        lines = host.do("show", "ip", "ipsp", "brief").splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["context", "isp1", "total"])
        # Several pools have a line for their sum in the long form.
        self.assertIn("  total", host.do("show", "ip", "ipsp"))


class Sessions(Case):
    def many(self, count, build=None):
        host = self.host()
        host.build = build
        host.config.pools = [{"name": "pool-a", "network": "10.0.0.0/14"}]
        host.start()
        lines = "".join(json.dumps({"id": i, "op": "request", "subscriber": f"u{i}@isp", "session": "s"}) + "\n"
                        for i in range(count))
        done = process.run([process.program("ipspctl", build), "-s", host.socket, "agent"], input=lines,
                           timeout=300, stdin=None)
        self.assertEqual(done.stdout.count('"ok":true'), count)
        return host

    def test_filters(self):
        host = self.many(300)
        count = lambda *words: int(host.do("show", "sessions", "--count", *words))
        self.assertEqual(count(), 300)
        self.assertEqual(host.look("show", "sessions", "--count"), {"count": 300})
        self.assertEqual(count("10.0.0.5"), 1)
        self.assertEqual(count("--address", "10.0.0.0/28"), 15)  # .0 is none of the pool
        self.assertEqual(count("--prefix", "10.0.0.9/31"), 2)
        self.assertEqual(count("172.16.0.0/12"), 0)
        self.assertEqual(count("--subscriber", "u7@isp"), 1)
        self.assertEqual(count("--state", "used"), 300)
        self.assertEqual(count("--state", "duplicate"), 0)
        self.assertEqual(count("--limit", "7"), 7)
        self.assertEqual(len(host.look("show", "sessions", "--limit", "7")["sessions"]), 7)
        self.assertEqual(len(host.do("show", "sessions", "--limit", "7").splitlines()), 8)
        self.assertEqual(len(host.do("show", "sessions").splitlines()), 301)
        host.do("release", "10.0.0.5")  # its HA is not there: it waits
        self.assertEqual(count("--state", "releasing"), 1)
        refused = host.ctl("show", "sessions", "--pool", "pool-b")
        self.assertIn('there is no pool "pool-b"; there are: pool-a', refused.stderr)
        # Words that are cut short are the same ones.
        self.assertEqual(host.do("sh", "sess", "--count", "10.0.0.5"), "1\n")

    measures = True
    lasts = 30

    def test_a_hundred_thousand(self):
        build = process.packaged_folder()  # sanitizers need longer for main() alone
        host = self.many(MANY, build)
        for words in ((), ("--json",)):
            first, last = [], []
            for _ in range(5):
                began = time.monotonic()
                show = process.spawn([process.program("ipspctl", build), "-s", host.socket, "show", "sessions",
                                      *words], stdout=subprocess.PIPE)
                text = show.stdout.read1(1)
                first.append(time.monotonic() - began)
                text += show.stdout.read()
                self.assertEqual(show.wait(), 0)
                last.append(time.monotonic() - began)
                show.stdout.close()
                self.assertEqual(text.count(b"@isp"), MANY)
            self.say(f"{words}: the first byte after {min(first) * 1000:.0f} ms, the last after {min(last) * 1000:.0f}")
            self.assertLess(min(first), max(0.05, min(last) / 4))


class Json(Case):
    def test_every_answer(self):
        """One JSON value on standard output, of a refusal too; the exit code and the sentence are as without."""
        pair = self.pair(trapd=False)
        host = pair.hosts[0]
        pair.ipsp(0, "primary", mode="inactive")
        host.start()
        pair.loop.until(lambda: host.status()["serving"], 10, "it to serve")
        good = (["show", "ip", "ipsp"], ["show", "ip", "ipsp", "brief"], ["show", "ip", "pool"],
                ["show", "sessions"], ["show", "sessions", "--count"], ["show", "counters"], ["show", "log"],
                ["show", "configuration"], ["request", "u1@isp"], ["reload"])
        for words in good:
            with self.subTest(words):
                self.assertIsInstance(host.look(*words), dict)
        refused = {
            ("show", "ip", "pool", "none"): "unknown-pool",
            ("show", "sessions", "--pool", "none"): "unknown-pool",
            ("request", "u2@isp", "--pool", "none"): "unknown-pool",
            ("request", "u2@isp", "--address", "203.0.113.1"): "not-in-pool",
            ("release", "10.1.0.200"): "no-such-session",
            ("drain",): "disabled",
            ("takeover",): "disabled",
            ("check-config",): "disabled",
            ("-c", "elsewhere", "show", "log"): "unknown-context",
            ("-c", "elsewhere", "ok-to-stop"): "unknown-context",
            ("-c", "elsewhere", "drain", "--wait"): "unknown-context",
        }
        for words, error in refused.items():
            with self.subTest(words):
                done, plain = host.ctl("--json", *words), host.ctl(*words)
                self.assertEqual((done.returncode, plain.returncode), (1, 1))
                self.assertEqual(done.stderr, plain.stderr)
                answer = json.loads(done.stdout)
                if error:
                    self.assertEqual((answer["ok"], answer["error"]), (False, error))
                    self.assertTrue(done.stderr.startswith(f"ipspctl: {error}: {answer['message']}"), done.stderr)


class Shown(Case):
    """Characters that hide, reorder or are obeyed: JSON has them as they are, text by their numbers."""

    def test_names_in_text_and_json(self):
        host = self.host()
        host.start()
        name, text = "bob\u202egnp\u200b\u2066@isp", "bob<U+202E>gnp<U+200B><U+2066>@isp"
        address = host.do("request", name).strip()
        self.assertEqual(host.look("show", "sessions")["sessions"][0]["subscriber"], name)
        shown = host.do("show", "sessions")
        self.assertIn(text, shown)
        refused = host.ctl("release", address, "--subscriber", name + "x")
        self.assertNotEqual(refused.returncode, 0)
        everything = [shown, refused.stderr] + [
            host.do("show", *words.split()) for words in ("ip ipsp", "log", "ip pool", "duplicates", "configuration")]
        for char in "\u202e\u200b\u2066":
            for said in everything:
                self.assertNotIn(char, said)
        # A fault in the file quotes what stands there.
        with open(host.file, encoding="utf-8") as file:
            conf = file.read()
        bad = os.path.join(host.folder, "bad.conf")
        with open(bad, "w", encoding="utf-8") as file:
            file.write(conf.replace('"isp1"', '"isp\u202e1"') + "\nodd\u202e = 1;\n")
        done = process.run([process.program("ipspd"), "-t", "-c", bad])
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("\u202e", done.stderr)


class Tables(Case):
    def test_wide_cells(self):
        """One long name moves its own row, and no other; what comes later does not know the widths of before."""
        host = self.host()
        host.config.pools = [{"name": "p" * 31, "network": "10.1.0.0/16", "group": "g" * 31},
                             {"name": "v6", "prefix": "2001:db8:1234:5600::/56", "length": 64}]
        host.start()
        lines = "".join(json.dumps({"id": i, "op": "request", "subscriber": f"u{i}", "address": f"10.1.{i // 250}.{i % 250 + 1}"})
                        + "\n" for i in range(250))
        lines += json.dumps({"id": 251, "op": "request", "subscriber": "w" * 253, "session": "s" * 253}) + "\n"
        lines += json.dumps({"id": 252, "op": "request", "subscriber": "six", "pool": "v6"}) + "\n"
        done = process.run([process.program("ipspctl"), "-s", host.socket, "agent"], input=lines)
        self.assertEqual(done.stdout.count('"ok":true'), 252, done.stdout[-300:])
        head, *rows = host.do("show", "sessions").splitlines()
        self.assertEqual(len(rows), 252)
        for name in ("pool", "subscriber", "HA", "state"):
            self.assertGreater(head.index(name), 0)
        places = {len(row) for row in rows if "w" * 253 not in row and "2001:" not in row}
        self.assertEqual(len(places), 1, places)
        self.assertLess(len(head), 120)
        [wide] = [row for row in rows if "w" * 253 in row]
        self.assertEqual(wide.split()[2:4], ["w" * 253, "s" * 253])
        self.assertIn("w  s", wide)  # (nothing is filled up behind a cell that is too wide)
        for text in (host.do("show", "sessions", "--subscriber", "w" * 253), host.do("show", "ip", "pool"),
                     host.do("show", "ip", "ipsp"), host.do("show", "configuration")):
            for line in text.splitlines():
                self.assertEqual(line, line.rstrip())
                self.assertLess(len(line), 650)


class Disabled(Case):
    def test_texts(self):
        """A context that is disabled says so, and nothing of a port or a peer that it does not talk to."""
        pair = self.pair(trapd=False)
        pair.start(hello_interval_ms=100)
        first, second = pair.hosts
        first.do("drain", "--wait", "--timeout", "30")
        for host in pair.hosts:
            process.until(lambda h=host: h.ctl("no", "pool-share-protocol").returncode == 0, 30, pair.story)
        for host in pair.hosts:
            text = host.do("show", "ip", "ipsp")
            self.assertIn(", IPSP is disabled\n", text)
            self.assertNotIn("-1", text)
            self.assertNotIn("  peer ", text)
            self.assertNotIn("undrain", text)
            self.assertNotIn("undrain", host.do("ok-to-stop"))
            self.assertNotIn("-1", host.do("show", "configuration"))
            self.assertNotIn("-1", host.do("show", "ip", "ipsp", "brief"))
        # The one that owned nothing refuses, and says why and what to do.
        self.assertFalse(first.status()["serving"])
        self.assertIn("no pool-share-protocol --force", " ".join(first.status()["notes"]))
        self.assertEqual((second.status()["serving"], second.status()["notes"]), (True, []))
        first.do("no", "pool-share-protocol", "--force")
        self.assertEqual((first.status()["serving"], first.status()["notes"]), (True, []))


class Watch(Case):
    def test_lines(self):
        """No terminal: a line when something has changed; SIGTERM is a good end."""
        host = self.host()
        host.start()
        watch = process.spawn([process.program("ipspctl"), "-s", host.socket, "watch"], stdout=subprocess.PIPE,
                              text=True)
        self.assertIn("isp1: none, disabled, peer unknown, serving yes, used 0", watch.stdout.readline())
        host.do("request", "u1@isp")
        self.assertIn("used 1", watch.stdout.readline())
        watch.terminate()
        self.assertEqual(watch.wait(10), 0)
        watch.stdout.close()

    def test_on_a_terminal(self):
        host = self.host()
        host.start()
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)
        watch = process.spawn([process.program("ipspctl"), "-s", host.socket, "watch"], stdin=slave, stdout=slave)
        text = b""
        while text.count(b"context isp1") < 2:
            text += os.read(master, 65536)
        os.write(master, b"q")
        self.assertEqual(watch.wait(10), 0)
        while not text.endswith(b"\033[?1049l"):
            text += os.read(master, 65536)
        self.assertEqual(termios.tcgetattr(slave), before)
        os.close(slave)
        os.close(master)

    def test_the_daemon_goes_away(self):
        host = self.host()
        host.start()
        watch = process.spawn([process.program("ipspctl"), "-s", host.socket, "watch"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
        watch.stdout.readline()
        host.stop()
        self.assertEqual(watch.wait(10), 3)
        watch.stdout.close()


class Output(Case):
    COMMANDS = (["show", "ip", "ipsp"], ["show", "ip", "pool"], ["show", "sessions"], ["show", "counters"],
                ["show", "log"], ["show", "sessions", "--count"], ["ok-to-stop"], ["help"], ["request", "u1@isp"],
                ["release", "10.1.0.1", "--json"], ["--version"])

    def run_to(self, host, words, output):
        return subprocess.run([process.program("ipspctl"), "-s", host.socket, *words], stdout=output,
                              stdin=subprocess.PIPE if words[0] == "agent" else subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    def test_a_full_disk(self):
        host = self.host()
        host.start()
        with open("/dev/full", "wb") as full:
            for words in self.COMMANDS:
                for json_too in ([], ["--json"]):
                    with self.subTest((words, json_too)):
                        done = self.run_to(host, [*words, *json_too], full)
                        self.assertEqual(done.returncode, 1)
                        self.assertIn("No space left on device", done.stderr)
            lines = '{"id":1,"op":"list"}\n'
            done = subprocess.run([process.program("ipspctl"), "-s", host.socket, "agent"], input=lines,
                                  stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("No space left on device", done.stderr)

    def test_a_closed_one(self):
        """No descriptor at all: nothing that is printed goes to the daemon instead."""
        host = self.host()
        host.start()
        for closed in ("1>&-", "0<&- 1>&- 2>&-"):
            for words in self.COMMANDS:
                with self.subTest((words, closed)):
                    line = f'"$0" -s "$1" {" ".join(words)} {closed}'
                    done = process.run(["sh", "-c", line, process.program("ipspctl"), host.socket])
                    self.assertEqual(done.returncode, 1)
        self.assertNotIn("begin like a client", host.log())

    def test_a_reader_that_has_gone(self):
        host = self.host()
        host.start()
        for words in self.COMMANDS:
            with self.subTest(words):
                reader, writer = os.pipe()
                os.close(reader)
                done = self.run_to(host, words, writer)
                os.close(writer)
                self.assertEqual((done.returncode, done.stderr), (1, ""))

    def test_the_environment(self):
        host = self.host()
        host.start()
        normal = host.do("show", "ip", "ipsp")
        for name, value in (("LANG", "de_DE.UTF-8"), ("LC_ALL", "no_such"), ("TERM", ""), ("TERM", "rubbish"),
                            ("COLUMNS", "1"), ("COLUMNS", "-7"), ("NO_COLOR", "1"), ("POSIXLY_CORRECT", "1")):
            with self.subTest((name, value)):
                done = process.run([process.program("ipspctl"), "show", "ip", "ipsp", "-s", host.socket],
                                   env={**os.environ, name: value})
                self.assertEqual((done.returncode, done.stdout), (0, normal))


class BrokenLines(Case):
    def test_answered_with_their_id(self):
        host = self.host()
        host.start()
        cases = {
            b'{"id":1,"op":"request","subscriber":"u\xff"}': 1,
            b'{"id":"x","op":"list"': "x",
            b'{"subscriber":"\\"id\\":5","id" : 9,}': 9,
            b'{"a":{"id":3},"id":-4,"b":nonsense}': -4,
            b'{"id":7,"id":8}': 7,
            b'{"op":"request","id":11,"subscriber":"' + b"x" * (2 << 20): 11,
            b'{"a":{"id":3}': None,
            b'"id":3': None,
            b"nonsense": None,
            b'[{"id":3}]': None,
            b'{"id":"cut o': None,
            b'{"id":': None,
            b"\xff\xfe{": None,
        }
        lines = b"\n".join(cases) + b"\n"
        done = subprocess.run([process.program("ipspctl"), "-s", host.socket, "agent"], input=lines,
                              stdout=subprocess.PIPE, timeout=60, check=False)
        answers = [json.loads(line) for line in done.stdout.splitlines() if b'"id"' in line]
        self.assertEqual([answer["id"] for answer in answers], list(cases.values()))
        self.assertEqual({answer["error"] for answer in answers}, {"invalid"})


if __name__ == "__main__":
    sys.exit(main())
