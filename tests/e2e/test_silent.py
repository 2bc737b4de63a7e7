#!/usr/bin/env python3
"""A daemon that is there and does not answer: no command hangs, each says so and ends with 4. One that is slow
is waited for as long as something comes."""

import json
import socket
import struct
import subprocess
import sys
import threading
import time

from harness import process
from harness.pair import Case, main

LOOK_S = 10  # what is waited for a first word, and for each piece of what is shown
COMMANDS = (
    ("show", "ip", "ipsp"), ("show", "ip", "ipsp", "brief"), ("show", "ip", "pool"), ("show", "sessions"),
    ("show", "sessions", "--count"), ("show", "configuration"), ("show", "duplicates"), ("show", "counters"),
    ("show", "log"), ("show", "log", "-f"), ("metrics",), ("ok-to-stop",), ("check-config",), ("watch",),
    ("request", "u@isp"), ("release", "10.1.0.1"), ("release", "10.1.0.1", "--force"), ("release", "--ha", "x"),
    ("drain",), ("drain", "--wait"), ("undrain",), ("terminate",), ("takeover",),
    ("pool-share-protocol", "mode", "active"), ("no", "pool-share-protocol"), ("reload",), ("save", "configuration"),
)


def ipspctl(path, *words):
    return process.spawn([process.program("ipspctl"), "-s", path, *words], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)


class Silent(Case):
    lasts = LOOK_S + 5

    def test_stopped(self):
        host = self.host()
        host.start()
        host.signal(process.signal.SIGSTOP)
        began = time.monotonic()
        try:
            asked = {}
            for words in COMMANDS:
                asked[words] = ipspctl(host.socket, *words)
                asked[("--json", *words)] = ipspctl(host.socket, "--json", *words)
            for words, asks in asked.items():
                with self.subTest(words):
                    out, err = asks.communicate(timeout=120)
                    self.assertEqual(asks.returncode, 4, err)
                    self.assertTrue(err.startswith("ipspctl: timeout: the daemon is there, but has not answered"),
                                    err)
                    self.assertIn("systemctl status ipspd", err)
                    if words[0] != "--json":
                        self.assertEqual(out, "")
                        continue
                    answer = json.loads(out)
                    self.assertEqual((answer["ok"], answer["error"]), (False, "timeout"))
                    self.assertEqual(err, f"ipspctl: timeout: {answer['message']}\n")
            self.assertLess(time.monotonic() - began, 6 * LOOK_S)
        finally:
            host.signal(process.signal.SIGCONT)


def frame(kind, body):
    return struct.pack("!IB", len(body) + 1, kind) + body


HELLO = frame(1, b"IPSP" + struct.pack("!HH", 1, 1) + b"\0")


def text(number, words):
    return frame(67, struct.pack("!QH", number, len(words)) + words)


def asked_for(connection):
    """The id of the SHOW that comes."""
    unread = b""
    while True:
        while len(unread) >= 4 and len(unread) >= 4 + struct.unpack("!I", unread[:4])[0]:
            size = struct.unpack("!I", unread[:4])[0]
            body, unread = unread[4:4 + size], unread[4 + size:]
            if body[0] == 8:
                return struct.unpack("!Q", body[1:9])[0]
        more = connection.recv(4096)
        if not more:
            raise ConnectionError("it has gone")
        unread += more


class Slow(Case):
    lasts = LOOK_S + 10

    def serve(self, connection, pieces):
        with connection:
            connection.sendall(HELLO)
            number = asked_for(connection)
            for piece in pieces:
                connection.sendall(text(number, piece))
                time.sleep(LOOK_S * 0.45)
            connection.sendall(frame(66, struct.pack("!QiH", number, 0, 0)))
            connection.recv(1)

    def test_a_long_answer(self):
        """As long as something comes it goes on, longer than the limit in all."""
        host = self.host()
        empty = [b'{"contexts"', b":", b"[]}"]
        cases = {("show", "ip", "ipsp"): empty, ("show", "ip", "pool"): empty, ("ok-to-stop",): empty,
                 ("show", "sessions"): [b'{"sessions"', b":[", b"]}"]}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(host.socket)
            listener.listen(16)
            asked, threads = {}, []
            for words, pieces in cases.items():
                asked[words] = ipspctl(host.socket, *words)
                threads.append(threading.Thread(target=self.serve, args=(listener.accept()[0], pieces)))
                threads[-1].start()
            for words, asks in asked.items():
                with self.subTest(words):
                    _, err = asks.communicate(timeout=120)
                    self.assertEqual((asks.returncode, err), (0, ""))
            for thread in threads:
                thread.join()


if __name__ == "__main__":
    sys.exit(main())
