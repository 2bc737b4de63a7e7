"""The control socket from Python: for looking and waiting without a process for each look."""

import json
import socket
import struct
import time

HELLO, ATTACH, REQUEST, SHOW, COMMAND = 1, 2, 3, 8, 7
ANSWER, DONE, TEXT, BYE = 65, 66, 67, 72
MAGIC = 0x49505350


class Refused(Exception):
    """The daemon's error, or its end."""


def text(word):
    data = word.encode()
    return bytes([len(data)]) + data


class Control:
    def __init__(self, path, name=None, context=""):
        self.socket = socket.socket(socket.AF_UNIX)
        self.buffer = b""
        self.next_id = 0
        try:
            self.socket.connect(path)
            self._send(HELLO, struct.pack(">IHH", MAGIC, 1, 1) + text("bench"))
            self._receive()
            if name is not None:
                self._call(ATTACH, text(context) + text(name))
        except OSError as err:
            self.socket.close()
            raise Refused(str(err)) from err

    def close(self):
        self.socket.close()

    def request(self, subscriber, session="", address=None):
        """Takes an address for a session; the error's number, 0 when it has one."""
        addr = bytes(16)
        if address:
            addr = bytes(10) + b"\xff\xff" + socket.inet_aton(address)
        body = self._call(REQUEST, addr + text(subscriber) + text(session) + text("") + text(""))
        return struct.unpack_from(">i", body, 8)[0]

    def command(self, name, argument="", flags=0):
        body = self._call(COMMAND, bytes([flags]) + text("") + text(name) + text(argument))
        return struct.unpack_from(">i", body, 8)[0]

    def status(self):
        """show ip ipsp, of the one context."""
        return self.show("ipsp")

    def show(self, what):
        self.next_id += 1
        self._send(SHOW, struct.pack(">QI", self.next_id, 0) + text("") + text(what) + text("")
                   + text(""))
        slices = []
        while True:
            kind, body = self._receive()
            if kind == TEXT:
                slices.append(body[10:])
            elif kind == DONE and struct.unpack_from(">Q", body)[0] == self.next_id:
                return json.loads(b"".join(slices))["contexts"][0]

    def _call(self, kind, fields):
        self.next_id += 1
        self._send(kind, struct.pack(">Q", self.next_id) + fields)
        while True:
            kind, body = self._receive()
            if kind in (ANSWER, DONE) and struct.unpack_from(">Q", body)[0] == self.next_id:
                return body

    def _send(self, kind, body):
        self.socket.sendall(struct.pack(">IB", 1 + len(body), kind) + body)

    def _receive(self):
        while True:
            if len(self.buffer) >= 4:
                length = struct.unpack_from(">I", self.buffer)[0]
                if len(self.buffer) >= 4 + length:
                    frame, self.buffer = self.buffer[4:4 + length], self.buffer[4 + length:]
                    if frame[0] == BYE:
                        raise Refused("the daemon says bye")
                    return frame[0], frame[1:]
            got = self.socket.recv(262144)
            if not got:
                raise Refused("the daemon is gone")
            self.buffer += got


def wait_for(path, name, subscriber, seconds=60, step=0.0005):
    """Connects and asks for an address, again and again, until a session has one."""
    end = time.monotonic() + seconds
    while True:
        try:
            control = Control(path, name)
            try:
                if control.request(subscriber) == 0:
                    return
            finally:
                control.close()
        except Refused:
            pass
        if time.monotonic() > end:
            raise Refused(f"{path}: no session got an address within {seconds} s")
        time.sleep(step)
