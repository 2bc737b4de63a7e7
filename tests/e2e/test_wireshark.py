#!/usr/bin/env python3
"""docs/wireshark/ipsp.lua with tshark: what a pair says, with and without its key log, and every message, item and
form of docs/protocol.md."""

import os
import shutil
import socket
import stat
import struct
import sys
import threading
import time
import unittest

from harness import process
from harness.config import POOL_A
from harness.pair import Case, main

SCRIPT = os.path.join(process.TOP, "docs", "wireshark", "ipsp.lua")
PORT = 4187
WORD = 0xffffffff


class Capture:
    """What goes over the loopback with the port of the pair, into a file of pcap."""

    def __init__(self, path, port=PORT):
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.1)
        self._port, self._file, self._ends = port, open(path, "wb"), False
        self._file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._ends:
            try:
                frame, where = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            port = struct.pack("!H", self._port)
            if where[2] == socket.PACKET_OUTGOING and frame[12:14] == b"\x08\0" and frame[36:38] == port:
                put(self._file, frame)

    def close(self):
        self._ends = True
        self._thread.join()
        self._socket.close()
        self._file.close()


def put(file, frame):
    now = time.time()
    file.write(struct.pack("<IIII", int(now), int(now % 1 * 1000000), len(frame), len(frame)) + frame)


def rotate(word, n):
    return (word << n | word >> 32 - n) & WORD


def chacha20(key, counter, nonce, data):
    """RFC 8439, another time: the script's own would not find its faults."""
    out = bytearray()
    for at in range(0, len(data), 64):
        start = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, *struct.unpack("<8I", key), counter + at // 64,
                 *struct.unpack("<3I", nonce)]
        s = list(start)
        for _ in range(10):
            for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12),
                               (2, 7, 8, 13), (3, 4, 9, 14)):
                for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                    s[x] = (s[x] + s[y]) & WORD
                    s[z] = rotate(s[z] ^ s[x], n)
        stream = struct.pack("<16I", *((x + y) & WORD for x, y in zip(s, start)))
        out += bytes(x ^ y for x, y in zip(data[at:at + 64], stream))
    return bytes(out)


def message(kind, body):
    return struct.pack("!BH", kind, len(body)) + body


def str8(text):
    return bytes([len(text)]) + text.encode()


def item(number, kind, flags, request, pool, form, entries):
    return message(6, struct.pack("!IQBBQHBH", 0xabcd1234, number, kind, flags, request, pool, form, len(entries)) + entries)


def datagram(body):
    """In a frame of Ethernet, from 127.0.0.1 to 127.0.0.2."""
    udp = struct.pack("!HHHH", PORT, PORT, 8 + len(body), 0) + body
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 255, 17, 0, bytes([127, 0, 0, 1]), bytes([127, 0, 0, 2]))
    return bytes(12) + b"\x08\0" + ip + udp


def sealed(key, sequence, plain):
    nonce = struct.pack("!IQ", 0, sequence)
    return struct.pack("!2sBBIQ", b"IP", 2, 2, 0x01020304, sequence) + chacha20(key, 1, nonce, plain) + bytes(16)


@unittest.skipUnless(shutil.which("tshark"), "tshark is not installed")
class Wireshark(Case):
    def setUp(self):
        super().setUp()
        self.capture = os.path.join(self.folder, "capture.pcap")
        self.key_log = os.path.join(self.folder, "keys")

    def text(self, *words):
        done = process.run(["tshark", "-X", f"lua_script:{SCRIPT}", "-r", self.capture, *words], timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def craft(self, *plains):
        key = bytes(range(32))
        with open(self.capture, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
            for number, plain in enumerate(plains, 1):
                put(file, datagram(sealed(key, number, plain)))
        with open(self.key_log, "w", encoding="ascii") as file:
            file.write(f"ipsp 01020304 127.0.0.1 {PORT} {key.hex()} {bytes(32).hex()} isp1\n")
        return self.text("-o", f"ipsp.key_log:{self.key_log}", "-V")

    @unittest.skipIf(os.geteuid() != 0, "only root captures")
    def test_what_a_pair_says(self):
        """Without the key log the headers, with that of one side all of both."""
        two = self.pair(trapd=False)
        folder = os.path.join(self.folder, "private")
        os.mkdir(folder, 0o700)
        self.key_log = os.path.join(folder, "keys")
        two.hosts[0].options = ["--key-log", self.key_log]
        for host in two.hosts:
            host.config.pools = [dict(POOL_A)]
        capture = Capture(self.capture, two.net.port)
        try:
            two.start(hello_interval_ms=100, block_size=1)
            first, second = two.gateway(0), two.gateway(1)
            first.request("one@isp", "s1")
            first.request("stays@isp", "s0")  # so that the role does not go by itself
            two.work(20, "two sessions")
            second.request("one@isp", "s2", next(a for a, who in first.sessions().items() if who[1] == "s1"))
            second.request("two@isp", "s3")
            two.work(20, "a session that moves")
            two.hosts[1].do("takeover")
            two.wait_roles("secondary", "primary")
        finally:
            capture.close()
        self.assertIn(f"the keys of all sessions with peers are written to {self.key_log}", two.hosts[0].log())
        self.assertEqual(stat.S_IMODE(os.stat(self.key_log).st_mode), 0o600)
        plain = self.text("-d", f"udp.port=={two.net.port},ipsp")
        self.assertIn("SHAKE with key", plain)
        self.assertIn("SEALED 2", plain)
        self.assertNotIn("HELLO", plain)
        opened = self.text("-d", f"udp.port=={two.net.port},ipsp", "-o", f"ipsp.key_log:{self.key_log}", "-V")
        for words in ("HELLO ", "REQUEST one@isp", "Session: s2", "GIVE 1", "ACK ", "TAKEOVER epoch", ": PRIMARY ROLE",
                      "Subscriber: two@isp"):
            with self.subTest(words):
                self.assertIn(words, opened)
        self.assertNotIn("Malformed", opened)
        self.assertNotIn("has another key", opened)

    def test_every_message(self):
        hello = struct.pack("!BBI16sIQQQQIIIIIIII32sQQQQII", 1, 1, 7, b"1.0.0", 0x7ffff, 1, 2, 7, 6, 9, 8, 7, 25000, 25000,
                            200, 2000, 1000, b"d" * 32, 5, 4, 3, 2, 17, 18)
        self.assertEqual(len(hello), 162)
        pool = (str8("pool-a") + str8("dyn") + struct.pack("!BB", 0, 3) + bytes(10) + b"\xff\xff\x0a\1\0\0" +
                struct.pack("!IBBBIIB", 65536, 0, 32, 16, 60, 30, 0))
        definitions = struct.pack("!BH", 1, 1) + pool
        text = self.craft(
            message(1, hello),
            message(2, struct.pack("!I", 1024)) + message(3, struct.pack("!IIH", 0, len(definitions), len(definitions)) + definitions),
            message(4, struct.pack("!QQBHHII", 11, 7, 1, 0, 65535, 0, 1) + str8("u1@isp") + str8("s1")) +
            message(5, struct.pack("!QQi", 11, 7, -6)) + message(7, struct.pack("!IQ", 0xabcd1234, 41)) +
            message(8, struct.pack("!Q", 7)) + message(9, struct.pack("!Q", 11)) +
            message(10, b"\1" + b"p" * 32),
            item(1, 1, 1, 0, 0, 1, struct.pack("!IIII", 10, 20, 40, 1)) +
            item(2, 1, 0, 11, 0, 2, struct.pack("!IH", 64, 2) + b"\x81\x01") +
            item(3, 1, 0, 0, 0, 3, struct.pack("!IBI", 77, 2, 60) + str8("held@isp") +
                 struct.pack("!IBI", 78, 3, 30) + str8("cooled@isp")),
            item(4, 2, 1, 0, 0, 4, struct.pack("!I", 99) + str8("used@isp")) +
            item(5, 3, 0, 0, 0, 4, struct.pack("!I", 98) + str8("dropped@isp")) +
            item(6, 4, 0, 0, 65535, 4, b"") + item(7, 200, 0, 0, 0, 9, b"later") + message(77, b"later"),
        )
        for words in ("HELLO 9 epoch 7", "Program: 1.0.0", ": PRIMARY ROLE", "LEFT: True", "DISK_FULL: True",
                      "dead_ms: 25000", "CONF_ASK from 1024", "CONF_PART 0+", "Pool: pool-a", "Group: dyn", "First address: ::ffff:10.1.0.0",
                      "Hold timer, s: 60", "REQUEST u1@isp", "Session: s1", "Select: pool (1)", "REFUSE -6", "ACK 41",
                      "TAKEOVER epoch 7", "CANCEL", "RENEW", "HAS: True", "RENEWS: True", "GIVE 1", "FIRST: True", "Start: 40", "Form of the set: BITS (2)", "Bits: 8101",
                      "Use: hold (2)", "Use: quarantine (3)", "Subscriber: cooled@isp", "Seconds left: 30", "REPORT 4",
                      "END: True", "Subscriber: used@isp", "DROP 5", "DROPPED 6", "ITEM of type 200 7", "Unknown message"):
            with self.subTest(words):
                self.assertIn(words, text)
        self.assertNotIn("Malformed", text)
        self.assertNotIn("Lua Error", text)

    def test_a_row_of_datagrams(self):
        """The kernel takes several at once: a capture of the sender's host has them in one."""
        key = bytes(range(32))
        self.craft(message(9, bytes(8)))
        row = b"".join(sealed(key, number, message(8, struct.pack("!Q", number)) * 5) for number in (254, 255, 256, 257))
        shake = b"IP\2\1" + bytes(148)
        with open(self.capture, "ab") as file:
            put(file, datagram(row + sealed(key, 258, message(8, struct.pack("!Q", 258)))))
            put(file, datagram(shake + sealed(key, 259, b"")))
        text = self.text("-o", f"ipsp.key_log:{self.key_log}", "-V")
        for number in range(254, 259):
            self.assertIn(f"TAKEOVER epoch {number}", text)
        self.assertIn("Sequence number: 259", text)
        self.assertNotIn("as long as", text)
        self.assertNotIn("Lua Error", text)

    def test_what_is_wrong_is_said(self):
        text = self.craft(message(4, b"\0" * 10), b"\1\0\2no row")
        self.assertIn("Malformed message", text)
        self.assertIn("another key for this session", text)
        self.assertNotIn("Lua Error", text)
        with open(self.capture, "ab") as file:
            for body in (b"IP\2\1short", b"IP" + bytes(13), b"IP\2\1" + bytes(20), b"IP\2\2" + bytes(12), b"IP\2\2" + bytes(28),
                         b"IP\2\7" + bytes(28), b"XX" + bytes(40)):
                put(file, datagram(body))
        text = self.text("-o", f"ipsp.key_log:{self.key_log}", "-V")
        self.assertIn("Not as long as its kind", text)
        self.assertNotIn("Lua Error", text)

    def test_a_key_log_that_others_can_read(self):
        """It does not start."""
        host = self.host()
        host.write_config()
        private = os.path.join(self.folder, "private")
        os.mkdir(private, 0o700)
        readable = os.path.join(private, "readable")
        with open(readable, "w", encoding="ascii"):
            os.chmod(readable, 0o644)
        linked = os.path.join(private, "linked")
        os.symlink(os.path.join(private, "elsewhere"), linked)
        for path, words in ((self.key_log, "mode 0700"), (readable, "chmod 600"), (linked, "symbolic links"),
                            (os.path.join(private, "none", "keys"), "mode 0700")):
            with self.subTest(path):
                done = process.run([process.program("ipspd"), "-f", "-k", path, "-c", host.file])
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(words, done.stderr)


if __name__ == "__main__":
    sys.exit(main())
