"""Headless Chromium: what it makes of a page, as a picture, as figures, on paper."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.programs import own_temporary

CHROMIUM = "/usr/bin/chromium"
_OPTIONS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    " disable-component-update disable-sync hide-scrollbars disable-dev-shm-usage"
)


class Tab:
    """A page in a browser, over the protocol of its developers' tools: a WebSocket with JSON (RFC 6455)."""

    def __init__(self, address: str) -> None:
        host, _, path = address.removeprefix("ws://").partition("/")
        name, _, port = host.partition(":")
        self._socket = socket.create_connection((name, int(port)), 180)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (f"GET /{path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "")  # fmt: skip
        self._socket.sendall("\r\n".join(lines).encode())
        self._file = self._socket.makefile("rb")
        while self._file.readline().strip():
            pass
        self._number = 0
        self.said: list[dict[str, Any]] = []

    def __call__(self, method: str, **given: Any) -> dict[str, Any]:
        """Call a method and return its result; what the page says meanwhile is kept in `said`."""
        self._number += 1
        self._send(json.dumps({"id": self._number, "method": method, "params": given}).encode())
        while True:
            message = json.loads(self._receive())
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.said.append(message)

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        found = self("Runtime.evaluate", expression=expression, returnByValue=True)["result"]
        return found.get("value")

    def show(self, file: Path, *, width: int, dark: bool = False, height: int = 900) -> None:
        """Load a file at a width in pixels, in a scheme of colours."""
        self("Page.enable")
        self("Log.enable")
        self("Network.enable")
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])
        self("Page.navigate", url=file.resolve().as_uri())
        ends = time.monotonic() + 60
        while self.value("document.readyState") != "complete":
            assert time.monotonic() < ends
            time.sleep(0.02)

    def picture(self, *, whole: bool = True) -> bytes:
        """Return a PNG of the page, the whole of it or what is in view."""
        return base64.b64decode(
            self(
                "Page.captureScreenshot",
                format="png",
                captureBeyondViewport=whole,
                **self._clip(whole),
            )["data"]
        )

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self("Page.getLayoutMetrics")["cssContentSize"]
        return {
            "clip": {
                "x": 0,
                "y": 0,
                "width": size["width"],
                "height": min(size["height"], 8000),
                "scale": 1,
            }
        }

    def printed(self) -> bytes:
        """Return the page as a PDF."""
        return base64.b64decode(self("Page.printToPDF", preferCSSPageSize=True)["data"])

    def close(self) -> None:
        """End the conversation."""
        self._file.close()
        self._socket.close()

    def _send(self, data: bytes) -> None:
        size = (
            struct.pack("!BH", 0x80 | 126, len(data))
            if len(data) < 2**16
            else struct.pack("!BQ", 0x80 | 127, len(data))
        )
        # A client masks what it sends; a mask of zeros changes nothing.
        self._socket.sendall(b"\x81" + size + b"\0\0\0\0" + data)

    def _receive(self) -> bytes:
        whole = b""
        while True:
            first, second = self._file.read(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self._file.read(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._file.read(8))
            whole += self._file.read(size)
            if first & 0x80:
                return whole


@contextmanager
def browser() -> Iterator[Tab]:
    """Start a browser with an empty page."""
    with own_temporary() as temporary:
        profile = f"{temporary['TMPDIR']}/profile"
        command = [CHROMIUM, *(f"--{each}" for each in _OPTIONS.split()), "--remote-debugging-port=0",
                   "--remote-allow-origins=*", f"--user-data-dir={profile}", "about:blank"]  # fmt: skip
        with subprocess.Popen(
            command,
            env={**os.environ, **temporary},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                tab = Tab(_address(Path(profile), process))
                try:
                    yield tab
                finally:
                    tab.close()
            finally:
                process.terminate()
                process.wait(30)


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Return where the empty page is debugged, once the browser says so."""
    file, ends = profile / "DevToolsActivePort", time.monotonic() + 60
    while time.monotonic() < ends:
        assert process.poll() is None, "the browser ended"
        if file.exists() and len(lines := file.read_text().splitlines()) == 2:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{lines[0]}/json/list", timeout=30
            ) as answer:
                pages = [each for each in json.load(answer) if each["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise AssertionError("the browser did not start in time")


def picture(file: Path, to: Path, *, width: int, dark: bool = False, height: int = 0) -> None:
    """Write a picture of a page at a width; with `height` what is in view."""
    with browser() as tab:
        tab.show(file, width=width, dark=dark, height=height or 900)
        to.write_bytes(tab.picture(whole=not height))


def printed(file: Path, to: Path) -> None:
    """Write a page as PDF."""
    with browser() as tab:
        tab.show(file, width=1000)
        to.write_bytes(tab.printed())
