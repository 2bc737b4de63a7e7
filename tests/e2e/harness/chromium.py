"""A Chromium without a window, driven over its debugging pipe: no more than the page's check needs."""

import base64
import json
import os
import select
import shutil
import tempfile
import time

from . import process


class Chromium:
    def __init__(self):
        self._profile = tempfile.mkdtemp(prefix="ipspd-chromium.")
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()
        # the browser has its pipe on 3 and 4, whatever the numbers are here
        program = ('exec chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars '
                   '--remote-debugging-pipe --no-first-run --user-data-dir="$1" about:blank '
                   f'3<&{to_child} 4>&{from_child}')
        self._browser = process.spawn(["bash", "-c", program, "bash", self._profile],
                                      pass_fds=(to_child, from_child), stderr=open(os.devnull, "wb"))
        os.close(to_child)
        os.close(from_child)
        self._bytes = b""
        self._id = 0
        self.events = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def _read(self, seconds):
        end = time.monotonic() + seconds
        while b"\0" not in self._bytes:
            if not select.select([self._in], [], [], max(0, end - time.monotonic()))[0]:
                return None
            more = os.read(self._in, 1 << 20)
            if not more:
                raise RuntimeError("chromium has ended")
            self._bytes += more
        one, self._bytes = self._bytes.split(b"\0", 1)
        return json.loads(one)

    def _call(self, method, **params):
        self._id += 1
        message = {"id": self._id, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read(60)
            if answer is None:
                raise RuntimeError(f"{method}: no answer of chromium")
            if answer.get("id") == self._id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def size(self, width, height, dark=False):
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                   deviceScaleFactor=1, mobile=width < 600)
        self._call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def go(self, url):
        self._call("Page.navigate", url=url)

    def value(self, expression):
        """What the expression gives in the page; a promise is waited for."""
        done = self._call("Runtime.evaluate", expression=expression, awaitPromise=True,
                          returnByValue=True)
        if "exceptionDetails" in done:
            raise AssertionError(done["exceptionDetails"])
        return done["result"].get("value")

    def until(self, expression, seconds=30):
        return process.until(lambda: self.value(expression), seconds, expression, step=0.1)

    def key(self, key, code):
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                       windowsVirtualKeyCode=code)

    def screenshot(self, path, whole=True):
        done = self._call("Page.captureScreenshot", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(done["data"]))

    def complaints(self):
        """What the page has thrown, or the browser has refused it."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("text", ""))
            elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(params["entry"]["text"])
        return found

    def close(self):
        os.close(self._out)
        process.stop(self._browser)
        os.close(self._in)
        shutil.rmtree(self._profile, ignore_errors=True)
