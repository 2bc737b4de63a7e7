"""`ipspctl agent` as a process: lines of JSON both ways, never blocking."""

import json
import os
import selectors

from . import process


class Loop:
    """Serves the agents' pipes; the tests spend all their waiting in it."""

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._every_turn = []

    def add(self, file, events, callback):
        self._selector.register(file, events, callback)

    def remove(self, file):
        self._selector.unregister(file)

    def each_turn(self, callback):
        self._every_turn.append(callback)

    def turn(self, seconds=0.05):
        for callback in self._every_turn:
            callback()
        for key, events in self._selector.select(seconds):
            key.data(events)

    def until(self, condition, seconds, what, least=process.LEAST_S):
        """Like process.until; the condition is looked at after every turn."""
        return process.until(condition, seconds, what, step=0.02, idle=self.turn, least=least)

    def close(self):
        self._selector.close()


class Agent:
    """One connection of a gateway. @on_line gets every answer and event, @on_end the exit status."""

    def __init__(self, loop, host, name, on_line, on_end, context=None):
        self._loop = loop
        self._on_line = on_line
        self._on_end = on_end
        self._unread = b""
        self._unsent = bytearray()
        with open(os.path.join(host.folder, f"{name}.err"), "ab") as errors:
            self._process = process.spawn(
                [process.program("ipspctl"), "-s", host.socket, "-c", context or host.config.context,
                 "agent", "--name", name],
                stdin=process.subprocess.PIPE, stdout=process.subprocess.PIPE, stderr=errors,
                bufsize=0,
            )
        self._in = self._process.stdin
        self._out = self._process.stdout
        self._open = True
        self._writing = False
        for pipe in (self._in, self._out):
            os.set_blocking(pipe.fileno(), False)
        loop.add(self._out, selectors.EVENT_READ, self._readable)

    @property
    def pid(self):
        return self._process.pid

    def unsent(self):
        """How many bytes wait for the pipe to have room."""
        return len(self._unsent)

    def send(self, *messages):
        """Sends them in one piece."""
        for message in messages:
            self._unsent += json.dumps(message).encode() + b"\n"
        if self._open and not self._writing:
            self._loop.add(self._in, selectors.EVENT_WRITE, self._writable)
            self._writing = True

    def _writable(self, _events):
        if not self._open:
            return  # the end came in the same turn
        try:
            sent = os.write(self._in.fileno(), self._unsent[:65536])
            del self._unsent[:sent]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent.clear()  # the end comes by the other pipe
        if not self._unsent:
            self._loop.remove(self._in)
            self._writing = False

    def _readable(self, _events):
        try:
            data = os.read(self._out.fileno(), 1 << 20)
        except BlockingIOError:
            return
        if not data:
            self._end()
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._on_line(json.loads(line))

    def _end(self):
        self._shut()
        self._on_end(self._process.wait())

    def _shut(self):
        if not self._open:
            return
        self._open = False
        self._loop.remove(self._out)
        if self._writing:
            self._loop.remove(self._in)
            self._writing = False
        self._in.close()
        self._out.close()

    def close(self):
        self._shut()
        process.stop(self._process)
