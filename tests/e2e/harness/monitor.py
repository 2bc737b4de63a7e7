"""ipsp-monitor beside a host's ipspd, and requests to it that show every header."""

import http.client
import json
import os
import socket

from . import process

START_S = 20


class Answer:
    def __init__(self, response):
        self.code = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class Monitor:
    def __init__(self, host, *options, prefix=()):
        self.host = host
        self.port = free_port()
        self.log_file = os.path.join(host.folder, "monitor.log")
        host.config.extra += f'http = {{ listen = "127.0.0.1:{self.port}"; names = ( "ha1.example.net" ); }};\n'
        self._options = options
        self._prefix = list(prefix)
        self._process = None

    def start(self):
        with open(self.log_file, "ab") as log:
            self._process = process.spawn(
                [*self._prefix, process.program("ipsp-monitor"), "-c", self.host.file, *self._options],
                stdout=log, stderr=log,
            )
        process.until(self._listens, START_S, lambda: f"ipsp-monitor to listen\n{self.log()}")

    def _listens(self):
        if self._process.poll() is not None:
            raise AssertionError(f"ipsp-monitor ended with {self._process.returncode}\n{self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True

    @property
    def pid(self):
        return self._process.pid

    def stop(self):
        """Its exit status, which the sanitizers make non-zero for a leak."""
        return process.stop(self._process) if self._process else 0

    def log(self):
        with open(self.log_file, encoding="utf-8", errors="replace") as file:
            return file.read()

    def get(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def up(self):
        return self.get("/page.json").json()["up"]

    def wait_up(self, wanted=True, seconds=40):
        process.until(lambda: self.up() is wanted, seconds,
                      lambda: f"up to be {wanted}\n{self.log()}\n{self.host.tail()}", step=0.2)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
