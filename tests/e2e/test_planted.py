#!/usr/bin/env python3
"""A lease file that somebody else has laid into a state directory that others could write to."""

import os
import struct
import time

from harness.pair import Case, main


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Planted(Case):
    def test_by_another_user(self):
        self.plant(lambda state, lease: os.chown(lease, 65534, 65534))

    def test_in_a_directory_of_all(self):
        self.plant(lambda state, lease: os.chmod(state, 0o777))

    def plant(self, how):
        pair = self.pair(trapd=False)
        pair.start(hello_interval_ms=100)
        pair.wait_sharing()
        host = pair.hosts[1]
        self.assertEqual(host.ctl("request", "mn-1").returncode, 0)
        for each in pair.hosts:
            each.kill9()
        state = host.config.state
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = file.read().strip()
        note = b"IPSPLEAS" + struct.pack(">HB", 1, 4) + b"isp1".ljust(31, b"\0") + boot
        note += struct.pack(">QQQII", now + 3000000, now, now, 3600000, 3600000)
        note = note.ljust(124, b"\0")
        lease = os.path.join(state, "lease.isp1")
        os.unlink(lease)
        with open(lease, "wb") as file:
            file.write(note + struct.pack(">I", crc32c(note)))
        how(state, lease)
        host.start()
        time.sleep(1)
        self.assertFalse(host.status()["serving"], "it serves by a lease that others wrote")


if __name__ == "__main__":
    main()
