#!/usr/bin/env python3
"""A late key file with the secret of another context: the handshake of version 1 is spoken in neither."""

import os
import socket
import subprocess
import tempfile
import time
import unittest

from harness import process
from harness.pair import write_key

CONF = """control = {{ socket = "{dir}/control"; }};
state-directory = "{dir}/state";
contexts = ({contexts});
"""
CONTEXT = """{{ name = "isp{n}"; pools = ( {{ name = "pool-{n}"; network = "10.{n}.0.0/24"; }} );
 interfaces = ( {{ name = "lan{n}"; address = "127.0.7{n}.1/24"; pool-share-protocol = {{
  secondary = "127.0.7{n}.2"; key-file = "{dir}/{n}.key"; hello-interval-ms = 100; }}; }} ); }}"""


class LateSecret(unittest.TestCase):
    def test_version_1(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(folder + "/state", 0o700)
            with open(folder + "/conf", "w", encoding="ascii") as file:
                file.write(CONF.format(dir=folder, contexts=",".join(
                    CONTEXT.format(n=n, dir=folder) for n in (1, 2))))
            write_key(f"{folder}/1.key", b"\x5a" * 32)
            peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in (1, 2)]
            for n, peer in enumerate(peers, 1):
                peer.bind((f"127.0.7{n}.2", 4187))
                peer.setblocking(False)
            daemon = subprocess.Popen([process.program("ipspd"), "-f", "-c", folder + "/conf"],
                                      stderr=subprocess.DEVNULL)
            try:
                time.sleep(1)
                write_key(f"{folder}/2.key", b"\x5a" * 32)
                process.until(lambda: self.both_speak_two(peers), 10, "the new handshake of both, and no other",
                              step=1)
            finally:
                daemon.terminate()
                daemon.wait()
                for peer in peers:
                    peer.close()

    def both_speak_two(self, peers):
        """In the time since the last look, which began before the second key was there."""
        return [self.versions(peer) for peer in peers] == [{2}, {2}]

    @staticmethod
    def versions(peer):
        seen = set()
        while True:
            try:
                seen.add(peer.recv(2000)[2])
            except BlockingIOError:
                return seen


if __name__ == "__main__":
    unittest.main()
