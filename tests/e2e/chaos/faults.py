"""The single fault: how each kind begins and how it ends. plan.py says when."""

import ctypes
import errno
import mmap
import os
import signal
import socket
import struct
import time
from collections import Counter

from harness import process

HERE = os.path.dirname(os.path.abspath(__file__))
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE = 0x20000, 0x4000, 0x40000
DISK = "24m"


def own_mounts():
    """From here on this process and its children have mounts that nobody else sees and that end with them."""
    if _LIBC.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "a mount namespace")
    # EINVAL: in a chroot the root is no mount point, and there is nothing to be made private
    if _LIBC.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) and ctypes.get_errno() != errno.EINVAL:
        raise OSError(ctypes.get_errno(), "mounts of one's own")


class Disk:
    """A small file system for a state directory."""

    def __init__(self, folder):
        self._folder = folder
        self._fill = os.path.join(folder, "fill")
        options = f"size={DISK},mode=0700".encode()
        if _LIBC.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, options):
            raise OSError(ctypes.get_errno(), f"a tmpfs at {folder}")

    def fill(self):
        with open(self._fill, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def wipe(self):
        for name in os.listdir(self._folder):
            os.unlink(os.path.join(self._folder, name))

    def clear(self):
        if os.path.exists(self._fill):
            os.unlink(self._fill)


class Orders:
    """What faults.c does to one daemon; see `struct orders` there."""

    FORM = struct.Struct("=qiiIII")

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(self.FORM.size))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), self.FORM.size)

    def set(self, at, form, value):
        struct.pack_into(form, self._map, at, value)

    def wall(self, seconds):
        self.set(0, "=q", seconds * 1000)

    def flush_fails(self, number):
        self.set(8, "=i", number)

    def flush_takes(self, milliseconds):
        self.set(12, "=i", milliseconds)

    def counts(self):
        """How many flushes there were, and how many failed."""
        return self.FORM.unpack(self._map)[3:5]

    def reboot(self):
        """From the next start on the daemon finds itself on another boot of its host."""
        self.set(24, "=I", self.FORM.unpack(self._map)[5] + 1)


def preloaded(folder, library, orders):
    """An environment for a daemon that obeys @orders."""
    return dict(
        os.environ, LD_PRELOAD=library, CHAOS_FAULTS=orders.path,
        ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
    )


def compiled(folder):
    library = os.path.join(folder, "faults.so")
    built = process.run(["cc", "-shared", "-fPIC", "-O1", "-o", library,
                         os.path.join(HERE, "faults.c")])
    if built.returncode != 0:
        raise RuntimeError(built.stderr)
    return library


class SlowReader:
    """A client of the control socket that asks and asks and reads nothing, until it is cut off."""

    def __init__(self, path, context):
        self.was_cut_off = False
        self._unsent = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(2)
        try:
            self._socket.connect(path)
            # base/ctlmsg.h: HELLO, ATTACH, then requests for a pool that there isn't
            self._socket.sendall(self._frame(1, b"IPSP\0\1\0\1" + self._text("slow")))
            self._socket.sendall(
                self._frame(2, bytes(8) + self._text(context) + self._text("slow")))
        except OSError:
            self.close()
            return
        self._socket.setblocking(False)
        names = b"".join(self._text(word) for word in ("slow", "s", "nowhere", ""))
        self._flood = self._frame(3, bytes(8) + bytes(16) + names) * 3000

    @staticmethod
    def _text(word):
        return bytes([len(word)]) + word.encode()

    @staticmethod
    def _frame(kind, body):
        return (len(body) + 1).to_bytes(4, "big") + bytes([kind]) + body

    def turn(self):
        if self._socket is None:
            return
        self._unsent = self._unsent or self._flood
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent[:1 << 18]):]
        except BlockingIOError:
            pass
        except OSError:
            self.was_cut_off = True
            self.close()

    def close(self):
        if self._socket:
            self._socket.close()
            self._socket = None


class Side:
    """One host of a lane, as far as faults go."""

    def __init__(self, number, host, disk, orders, keeps):
        self.number = number
        self.keeps = keeps  # sessions, over a reboot: durability = "power"
        self.host = host
        self.disk = disk
        self.orders = orders
        self.wanted = True  # a daemon that isn't running is to be started
        self.expected = None  # the exit status that the fault of the moment brings
        self.failed_before = 0  # flushes
        self.stopped = False
        self.full = False
        self.drains = False
        self.undrain = False
        self.away_since = None  # the daemon is dead or stopped

    def live(self):
        return self.host.running() and not self.stopped


def method_of(kind):
    """"kill -9" -> "_kill_9"."""
    return "_" + "_".join(kind.replace("-", " ").lower().split())


class Faults:
    """Begins and ends the faults of one lane."""

    def __init__(self, sides, cable, gateways):
        self._sides = sides
        self._cable = cable
        self._gateways = gateways  # [side][context]
        self._slow = {}
        self._orders = []  # (kind, processes)
        self.obeyed = Counter()
        self.lost = 0
        self.deaf = [0, 0]  # how many faults keep a host from hearing the other
        self.notes = []

    def begin(self, fault):
        """False: there was nothing to do it to."""
        name = method_of(fault.kind)
        return getattr(self, name)(fault, True) is not False

    def end(self, fault):
        name = method_of(fault.kind)
        getattr(self, name)(fault, False)

    def turn(self):
        for reader in self._slow.values():
            reader.turn()
        for entry in [entry for entry in self._orders if None not in [p.poll() for p in entry[1]]]:
            self._orders.remove(entry)
            if any(order.returncode == 0 for order in entry[1]):
                self.obeyed[entry[0]] += 1
        for side in self._sides:
            if side.undrain and side.live() and not self._orders:
                side.undrain = not self._undrained(side)

    def _undrained(self, side):
        return all(
            side.host.ctl("-c", context, "undrain", timeout=20).returncode == 0
            for context in ("c0", "c1")
        )

    def wait_orders(self):
        """Commands to daemons that were killed or stopped meanwhile may still wait."""
        return not self._orders and not any(side.undrain for side in self._sides)

    # ---------------------------------------------------------------- the network

    def _cut(self, _fault, begins):
        for number in (0, 1):
            self._deafen(number, begins)
            self.lost += self._cable.lose_at(number, 100 if begins else 0)

    def _deafen(self, number, begins):
        self.deaf[number] += 1 if begins else -1

    def _cut_one_way(self, fault, begins):
        self._deafen(fault.side, begins)
        self.lost += self._cable.lose_at(fault.side, 100 if begins else 0)

    def _loss(self, fault, begins):
        self.lost += self._cable.lose_at(fault.side, fault.how["percent"] if begins else 0)

    def _link_down(self, fault, begins):
        for number in (0, 1):
            self._deafen(number, begins)
        self._cable.link(fault.side, "down" if begins else "up")

    def _relay(self, fault, begins):
        self._cable.maltreat(**(fault.how if begins else {}))

    # ---------------------------------------------------------------- the daemon

    def _gone(self, side, begins):
        side.wanted = not begins
        if begins:
            side.away_since = time.monotonic()

    def _kill_9(self, fault, begins):
        side = self._sides[fault.side]
        if begins and not side.host.running():
            return False
        self._gone(side, begins)
        if begins:
            side.expected = -signal.SIGKILL
            side.host.kill9()
        return True

    def _reboot(self, fault, begins):
        """The sessions of its HAs live on elsewhere; the clock that counts from the boot goes on, too."""
        side = self._sides[fault.side]
        if self._kill_9(fault, begins) is False:
            return False
        if begins:
            side.orders.reboot()
            if not side.keeps:
                self._forgets(fault.side)
        return True

    def _wipe(self, fault, begins):
        side = self._sides[fault.side]
        if self._kill_9(fault, begins) is False:
            return False
        if begins:
            side.disk.wipe()
            self._forgets(fault.side)
        return True

    def _forgets(self, side):
        for ha in self._gateways[side]:
            ha.forgotten()

    def _sigterm(self, fault, begins):
        side = self._sides[fault.side]
        if begins and not side.host.running():
            return False
        self._gone(side, begins)
        if begins:
            side.expected = 0
            side.host.signal(signal.SIGTERM)
        return True

    def _sigstop(self, fault, begins):
        side = self._sides[fault.side]
        if begins and not side.host.running():
            return False
        side.stopped = begins
        if begins:
            side.away_since = time.monotonic()
        side.host.signal(signal.SIGSTOP if begins else signal.SIGCONT)
        return True

    # ---------------------------------------------------------------- disk and clock

    def _failing_flush(self, fault, begins):
        """The daemon is to end by itself: nothing can be promised any more."""
        side = self._sides[fault.side]
        if begins and not side.host.running():
            return False
        self._gone(side, begins)
        side.orders.flush_fails(errno.EIO if begins else 0)
        if begins:
            side.expected, side.failed_before = 1, side.orders.counts()[1]
        elif side.orders.counts()[1] == side.failed_before:
            side.expected = None  # no flush came: the daemon runs on
        return True

    def _slow_flush(self, fault, begins):
        self._sides[fault.side].orders.flush_takes(fault.how["ms"] if begins else 0)

    def _full_disk(self, fault, begins):
        side = self._sides[fault.side]
        side.full = begins
        if begins:
            side.disk.fill()
        else:
            side.disk.clear()

    def _clock_step(self, fault, begins):
        if begins:
            self._sides[fault.side].orders.wall(fault.how["seconds"])

    # ---------------------------------------------------------------- HAs and operators

    def _ha(self, fault):
        return self._gateways[fault.side][fault.context]

    def _ha_crash(self, fault, begins):
        if begins:
            self._ha(fault).crash()

    def _ha_cut_off(self, fault, begins):
        if begins:
            self._ha(fault).cut_off()

    def _ha_hangs(self, fault, begins):
        if begins:
            self._ha(fault).hang()
        else:
            self._ha(fault).go_on()

    def _slow_reader(self, fault, begins):
        if begins:
            self._slow[fault.side] = SlowReader(self._sides[fault.side].host.socket, "c0")
            return
        reader = self._slow.pop(fault.side)
        reader.close()
        if not reader.was_cut_off and self._sides[fault.side].live():
            self.notes.append("a slow reader was not cut off")

    def _ordered(self, fault, *words):
        """A command, in both contexts; nobody waits for it, and it may be refused."""
        side = self._sides[fault.side]
        if not side.live():
            return False
        orders = [
            process.spawn([process.program("ipspctl"), "-s", side.host.socket, "-c", context, *words],
                          stdout=process.subprocess.DEVNULL, stderr=process.subprocess.DEVNULL)
            for context in ("c0", "c1")
        ]
        self._orders.append((fault.kind, orders))
        return True

    def _takeover_force(self, fault, begins):
        return self._ordered(fault, "takeover", "--force") if begins else None

    def _takeover(self, fault, begins):
        return self._ordered(fault, "takeover") if begins else None

    def _drain(self, fault, begins):
        side = self._sides[fault.side]
        side.drains = begins
        if not begins:
            side.undrain = True  # as soon as there is a daemon that can be told
            return None
        return self._ordered(fault, "drain")
