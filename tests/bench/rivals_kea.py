"""Kea 2.2, DHCPv4 with its leases in memory and in a file: restart, memory, and a hot-standby pair.

One allocation is a DORA, two round trips, driven by perfdhcp as a relay. So these figures are what a
pair gives its users, and not how quick its allocator is.
"""

import json
import os
import random
import re
import socket
import statistics
import subprocess
import time

from measure import rss_bytes, say

from harness import net, process

HOOKS = "/usr/lib/x86_64-linux-gnu/kea/hooks"
ADDRESSES = ("10.8.0.1", "10.8.0.2")
RELAY = "10.8.0.3"
# 1,048,576 addresses that are not those of the three
POOL = "10.16.0.0 - 10.31.255.255"


class Switch:
    """Three hosts on one bridge, which the relay has."""

    def __init__(self):
        self.relay = net.Namespace()
        self.relay.run("ip", "link", "add", "br0", "type", "bridge")
        self.relay.run("ip", "address", "add", f"{RELAY}/8", "dev", "br0")
        self.relay.run("ip", "link", "set", "br0", "up")
        self.sides = []
        for number, address in enumerate(ADDRESSES):
            side = net.Namespace()
            side.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", f"port{number}",
                     "netns", str(self.relay.pid))
            side.run("ip", "address", "add", f"{address}/8", "dev", "eth0")
            side.run("ip", "link", "set", "eth0", "up")
            self.relay.run("ip", "link", "set", f"port{number}", "master", "br0", "up")
            self.sides.append(side)

    def close(self):
        for side in (*self.sides, self.relay):
            side.close()


class Kea:
    def __init__(self, folder, switch, number, pair):
        self.name = "ab"[number]
        self.prefix = switch.sides[number].prefix
        self.leases = os.path.join(folder, f"{self.name}.csv")
        self.socket = os.path.join(folder, f"{self.name}.socket")
        self.conf = os.path.join(folder, f"{self.name}.json")
        self.log = os.path.join(folder, f"{self.name}.log")
        self.folder = folder
        self.server = None
        with open(self.conf, "w", encoding="ascii") as file:
            json.dump(self.configuration(pair), file)

    def configuration(self, pair):
        conf = {
            "interfaces-config": {"interfaces": ["eth0"], "dhcp-socket-type": "udp"},
            "lease-database": {"type": "memfile", "persist": True, "name": self.leases,
                               "lfc-interval": 0},
            "valid-lifetime": 7200,
            "control-socket": {"socket-type": "unix", "socket-name": self.socket},
            "multi-threading": {"enable-multi-threading": True, "thread-pool-size": 2,
                                "packet-queue-size": 64},
            "subnet4": [{"id": 1, "subnet": "10.0.0.0/8", "pools": [{"pool": POOL}],
                         "relay": {"ip-addresses": [RELAY]}}],
            "loggers": [{"name": "kea-dhcp4", "severity": "ERROR",
                         "output_options": [{"output": self.log}]}],
        }
        if pair:
            peers = [{"name": name, "url": f"http://{address}:8000/", "role": role,
                      "auto-failover": True}
                     for name, address, role in zip("ab", ADDRESSES, ("primary", "standby"))]
            conf["hooks-libraries"] = [
                {"library": f"{HOOKS}/libdhcp_lease_cmds.so"},
                {"library": f"{HOOKS}/libdhcp_ha.so", "parameters": {"high-availability": [{
                    "this-server-name": self.name, "mode": "hot-standby", "heartbeat-delay": 500,
                    "max-response-delay": 3000, "max-ack-delay": 2000, "max-unacked-clients": 0,
                    "sync-page-limit": 10000, "sync-timeout": 60000, "peers": peers,
                    "multi-threading": {"enable-multi-threading": True,
                                        "http-dedicated-listener": True,
                                        "http-listener-threads": 2, "http-client-threads": 2}}]}}]
        return {"Dhcp4": conf}

    def launch(self):
        environment = dict(os.environ, KEA_LOCKFILE_DIR="none", KEA_PIDFILE_DIR=self.folder)
        self.server = process.spawn([*self.prefix, "kea-dhcp4", "-c", self.conf], env=environment,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self):
        """Seconds until it answers."""
        began = time.monotonic()
        self.launch()
        process.until(lambda: self.ask("version-get"), 90, f"kea {self.name}", 0.01)
        return time.monotonic() - began

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            try:
                sock.connect(self.socket)
                sock.sendall(json.dumps({"command": command}).encode())
                answer = b""
                while part := sock.recv(65536):
                    answer += part
                return json.loads(answer)
            except (OSError, ValueError):
                return None

    def shares(self):
        answer = self.ask("ha-heartbeat")
        return bool(answer) and answer.get("arguments", {}).get("state") == "hot-standby"

    def make_leases(self, count):
        ends = int(time.time()) + 7200
        with open(self.leases, "w", encoding="ascii") as file:
            file.write("address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,"
                       "hostname,state,user_context\n")
            for i in range(count):
                file.write(f"10.{16 + (i >> 16)}.{i >> 8 & 255}.{i & 255},02:00:00:{i >> 16:02x}:"
                           f"{i >> 8 & 255:02x}:{i & 255:02x},,7200,{ends},1,0,0,,0,\n")

    def forget(self):
        for name in os.listdir(self.folder):
            if name.startswith(f"{self.name}.csv"):
                os.unlink(os.path.join(self.folder, name))

    def stop(self):
        if self.server:
            process.stop(self.server)


def perfdhcp(switch, rate, seconds):
    """Finished allocations a second, and p50 and p99 of REQUEST to ACK in us."""
    mac = f"00:0c:{random.randrange(256):02x}:{random.randrange(256):02x}:{random.randrange(256):02x}:00"
    done = process.run([*switch.relay.prefix, "perfdhcp", "-4", "-l", "br0", "-r", str(rate), "-R",
                        "900000", "-b", f"mac={mac}", "-p", str(seconds), "-W", "200000", "-x", "t",
                        ADDRESSES[0]], timeout=seconds + 20)
    finished = re.search(r"REQUEST-ACK.*?received packets: (\d+)", done.stdout, re.S)
    stamps = done.stdout.split("***Timestamps for packets: REQUEST-ACK***")
    times = sorted(float(there) - float(sent) for sent, there in
                   re.findall(r"^sent / received: ([\d.]+) / ([\d.]+)$", stamps[-1], re.M)) \
        if len(stamps) > 1 else []
    if not finished or not times:
        raise RuntimeError(f"perfdhcp: {done.stdout[-300:]} {done.stderr[-300:]}")
    return (int(finished.group(1)) / seconds, statistics.median(times) * 1e6,
            times[int((len(times) - 1) * 0.99)] * 1e6)


def kea(bench):
    """Not in turn with the others: it takes both cores for itself, and minutes."""
    if not bench.rivals:
        return
    switch = Switch()
    bench.defer(switch.close)
    seconds = 1 if bench.quick else 2
    count = 1 << (14 if bench.quick else 20)
    results = bench.results
    if bench.wants("G12") or bench.wants("G14"):
        alone = bench.open(Kea(bench.folder, switch, 0, pair=False))
        empty = bench.open(Kea(bench.folder, switch, 1, pair=False))
        empty.start()
        alone.make_leases(count)
        for _ in range(min(bench.rounds, 2)):
            alone.stop()
            results.add("G12 kea s", alone.start())
        results.add("G14 kea bound B",
                    (rss_bytes(alone.server.pid) - rss_bytes(empty.server.pid)) / count)
        results.note(f"kea's restart and memory: {count} leases")
        alone.stop()
        empty.stop()
        alone.forget()
        empty.forget()
    if not any(bench.wants(goal) for goal in ("G7", "G8", "G9")):
        return
    pair = [bench.open(Kea(bench.folder, switch, number, pair=True)) for number in (0, 1)]
    if bench.wants("G7") or bench.wants("G8"):
        for server in pair:
            server.start()
        process.until(lambda: all(server.shares() for server in pair), 60, "kea's pair")
        for _ in range(min(bench.rounds, 3)):
            bench.quiet.wait()
            _, p50, p99 = perfdhcp(switch, 500, seconds)
            results.add("G7 kea pair 500/s p50 us", p50)
            results.add("G7 kea pair 500/s p99 us", p99)
            results.add("G8 kea pair most /s", perfdhcp(switch, 4000, seconds)[0])
        for server in pair:
            server.stop()
            server.forget()
    if bench.wants("G9"):
        sync(bench, pair, 1 << (14 if bench.quick else 18))


def sync(bench, pair, count):
    """An empty standby comes: until both share again. Some of it is the states that they go through."""
    first, second = pair
    first.make_leases(count)
    first.start()
    began = time.monotonic()
    second.start()
    process.until(lambda: first.shares() and second.shares(), 120, "kea's full sync", 0.02)
    took = time.monotonic() - began
    say(f"  kea: {count} leases in {took:.1f} s")
    bench.results.add("G9 kea sync us a lease", took / count * 1e6)


SCENES = {"kea": (("G7", "G8", "G9", "G12", "G14"), kea)}
