#!/usr/bin/env python3
"""The cable's middle: copies Ethernet frames between two interfaces and maltreats the datagrams in them.

    relay.py LEFT RIGHT SEED PORT...

A line of JSON on standard input sets what is done to UDP datagrams for one of the ports, from then on:
{"delay": [least, most] in milliseconds, "repeat": p, "corrupt": p, "replay": p}, all optional, p the
probability for each datagram. Datagrams with different delays overtake each other. A replayed one is any
of some thousand that came by since the start, from this direction. The answer to each line is a line with
the counts so far. The end of standard input ends the program.

TTL and addresses stay as they are: the two sides are still on one link.
"""

import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
IPV4, IPV6, UDP = b"\x08\x00", b"\x86\xdd", 17
OUTGOING = 4  # PACKET_OUTGOING: what this program sent itself
KEPT = 2000  # datagrams of each direction, for replays


class Relay:
    def __init__(self, names, seed, ports):
        self.sockets = []
        for name in names:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            sock.bind((name, 0))
            sock.setblocking(False)
            self.sockets.append(sock)
        self.chance = random.Random(seed)
        self.ports = ports
        self.rules = {}
        self.counts = {"datagrams": 0, "delayed": 0, "overtook": 0, "repeated": 0, "corrupted": 0,
                       "replayed": 0}
        self.late = []  # (when, number, to, frame)
        self.number = 0
        self.last_due = [0.0, 0.0]
        self.old = ([], [])
        self.seen = [0, 0]

    def datagram_at(self, frame):
        """Where the UDP header of a datagram for one of the ports begins, or None."""
        if len(frame) >= 42 and frame[12:14] == IPV4 and frame[23] == UDP:
            at = 14 + 4 * (frame[14] & 15)
        elif len(frame) >= 62 and frame[12:14] == IPV6 and frame[20] == UDP:
            at = 54
        else:
            return None
        if len(frame) < at + 8:
            return None
        return at if struct.unpack_from("!H", frame, at + 2)[0] in self.ports else None

    @staticmethod
    def checksum(frame, at):
        """One that the sender left to its interface was never made, nor is it right for what was corrupted."""
        frame[at + 6:at + 8] = b"\0\0"
        if frame[12:14] == IPV4:
            return  # 0: there is none
        data = frame[22:54] + frame[at:] + bytes((len(frame) - at) % 2)
        total = sum(struct.unpack(f"!{len(data) // 2}H", data)) + len(frame) - at + UDP
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        struct.pack_into("!H", frame, at + 6, ~total & 0xffff or 0xffff)

    def keep(self, side, frame):
        """An even choice of all that ever came by, so that some are of sessions long gone."""
        self.seen[side] += 1
        if len(self.old[side]) < KEPT:
            self.old[side].append(frame)
        elif self.chance.random() < KEPT / self.seen[side]:
            self.old[side][self.chance.randrange(KEPT)] = frame

    def happens(self, what):
        return self.chance.random() < self.rules.get(what, 0)

    def came(self, side, frame):
        frame = bytearray(frame)
        at = self.datagram_at(frame)
        if at is None:
            self.send(1 - side, bytes(frame))
            return
        self.checksum(frame, at)
        self.counts["datagrams"] += 1
        self.keep(side, bytes(frame))
        if self.happens("corrupt") and len(frame) > at + 8:
            for _ in range(self.chance.randint(1, 3)):
                frame[self.chance.randrange(at + 8, len(frame))] ^= 1 << self.chance.randrange(8)
            self.checksum(frame, at)
            self.counts["corrupted"] += 1
        copies = [bytes(frame)]
        if self.happens("repeat"):
            copies *= self.chance.randint(2, 4)
            self.counts["repeated"] += 1
        if self.happens("replay"):
            copies.append(self.chance.choice(self.old[side]))
            self.counts["replayed"] += 1
        for copy in copies:
            self.pass_on(1 - side, copy)

    def pass_on(self, side, frame):
        least, most = self.rules.get("delay", (0, 0))
        if most <= 0 and not self.late:
            self.send(side, frame)
            return
        due = time.monotonic() + self.chance.uniform(least, most) / 1000
        self.counts["delayed"] += most > 0
        self.counts["overtook"] += due < self.last_due[side]
        self.last_due[side] = max(due, self.last_due[side])
        self.number += 1
        heapq.heappush(self.late, (due, self.number, side, frame))

    def send(self, side, frame):
        try:
            self.sockets[side].send(frame)
        except OSError:
            pass  # the link is down, or full: a cable may lose

    def send_late(self):
        now = time.monotonic()
        while self.late and self.late[0][0] <= now:
            _, _, side, frame = heapq.heappop(self.late)
            self.send(side, frame)

    def receive(self, side):
        for _ in range(200):
            try:
                frame, whence = self.sockets[side].recvfrom(65535)
            except OSError:
                return
            if whence[2] != OUTGOING:
                self.came(side, frame)

    def run(self):
        poll = select.poll()
        poll.register(0, select.POLLIN)
        numbers = {sock.fileno(): side for side, sock in enumerate(self.sockets)}
        for number in numbers:
            poll.register(number, select.POLLIN)
        commands = b""
        while True:
            wait = None
            if self.late:
                wait = max(0, (self.late[0][0] - time.monotonic()) * 1000)
            for number, _ in poll.poll(wait):
                if number in numbers:
                    self.receive(numbers[number])
                    continue
                data = os.read(0, 65536)
                if not data:
                    return
                *lines, commands = (commands + data).split(b"\n")
                for line in lines:
                    self.rules.clear()
                    self.rules.update(json.loads(line))
                    print(json.dumps(self.counts), flush=True)
            self.send_late()


if __name__ == "__main__":
    Relay(sys.argv[1:3], sys.argv[3], {int(word) for word in sys.argv[4:]}).run()
