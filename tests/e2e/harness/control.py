"""Frames of the control socket, for tests that say what ipspctl and libipsp never would. See src/base/ctlmsg.h."""

import struct

HELLO_TYPE, ATTACH, REQUEST, RELEASE, LIST, COMMAND, SHOW, ANSWER, DONE = 1, 2, 3, 4, 6, 7, 8, 65, 66
NO_ADDRESS = b"\0" * 16


def frame(kind, body):
    return struct.pack("!IB", len(body) + 1, kind) + body


def text(word):
    return bytes([len(word)]) + word.encode()


HELLO = frame(HELLO_TYPE, struct.pack("!IHH", 0x49505350, 1, 1) + text("test"))


def attach(number, name):
    return frame(ATTACH, struct.pack("!Q", number) + text("") + text(name))


def request(number, subscriber, pool="", address=NO_ADDRESS):
    return frame(REQUEST, struct.pack("!Q", number) + address + text(subscriber) + text("") + text(pool) + text(""))


def release(number, address):
    return frame(RELEASE, struct.pack("!Q", number) + address)


def ask_list(number):
    return frame(LIST, struct.pack("!Q", number))


def command(number, name):
    return frame(COMMAND, struct.pack("!QB", number, 0) + text("") + text(name) + text(""))


def show(number, name):
    return frame(SHOW, struct.pack("!QI", number, 0) + text("") + text(name) + text("") + text(""))


def reader(sock):
    """(type, number, body) of each frame that comes; the number is that of frames that have one in front."""
    buffer = bytearray()
    while True:
        while len(buffer) < 5 or len(buffer) < 4 + int.from_bytes(buffer[:4], "big"):
            data = sock.recv(1 << 16)
            if not data:
                raise ConnectionError("the daemon has closed the connection")
            buffer += data
        end = 4 + int.from_bytes(buffer[:4], "big")
        body = bytes(buffer[5:end])
        kind = buffer[4]
        del buffer[:end]
        yield kind, int.from_bytes(body[:8], "big"), body


def answer(body):
    """(error, address) of an ANSWER."""
    return struct.unpack_from("!i", body, 8)[0], body[12:28]
