"""A name server for one name: answers A and AAAA questions, run as a program inside of a namespace.

    python3 dns.py ADDRESS NAME RECORD...
"""

import ipaddress
import socket
import struct
import sys

A, AAAA = 1, 28


def question(packet):
    """The name, the type, and where the question ends."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii"))
        at += 1 + packet[at]
    return ".".join(labels), struct.unpack_from("!H", packet, at + 1)[0], at + 5


def answer(packet, name, records):
    asked, kind, end = question(packet)
    found = []
    if asked.lower() == name:
        found = [r for r in records if (A if r.version == 4 else AAAA) == kind]
    code = 0 if asked.lower() == name else 3
    reply = packet[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(found), 0, 0) + packet[12:end]
    for record in found:
        reply += struct.pack("!HHHIH", 0xC00C, kind, 1, 1, len(record.packed)) + record.packed
    return reply


def serve(address, name, records):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    while True:
        packet, sender = sock.recvfrom(1500)
        sock.sendto(answer(packet, name, records), sender)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2].lower(), [ipaddress.ip_address(r) for r in sys.argv[3:]])
