"""A real Chromium without a window, driven through its debugging pipe: no library, no port."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.programs import own_temporary

_OPTIONS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    " disable-component-update disable-sync remote-debugging-pipe"
)


class Page:
    """The page of a browser. `complaints` are the errors that it met: of scripts, of loading, of its policy."""

    def __init__(self, into: int, out: int) -> None:
        self._into, self._out = into, out
        self._buffer, self._number, self._session = b"", 0, ""
        self.complaints: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for name in ("Page", "Runtime", "Log"):
            self._ask(f"{name}.enable")

    def prefer(self, scheme: str) -> None:
        """Ask for `light` or `dark`, as a visitor's system does."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._ask("Emulation.setEmulatedMedia", features=[feature])

    def open(self, url: str) -> None:
        """Open an address."""
        self._ask("Page.navigate", url=url)
        self.until("document.readyState == 'complete' && location.href != 'about:blank'")

    def see(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        found = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str, seconds: float = 60.0) -> Any:
        """Return the first true value of an expression in the page."""
        end = time.monotonic() + seconds
        while not (found := self.see(script)):
            assert time.monotonic() < end, (script, self.see("document.body.innerText"))
            time.sleep(0.05)
        return found

    def press(self, text: str) -> None:
        """Press the keys of `text` one after the other; a line's end is the key Enter."""
        for sign in text:
            key: dict[str, Any] = {"key": sign, "text": sign}
            if sign == "\n":
                key = {"key": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}
            self._ask("Input.dispatchKeyEvent", type="keyDown", **key)
            self._ask("Input.dispatchKeyEvent", type="keyUp", **{**key, "text": ""})

    def corner(self) -> tuple[int, int, int]:
        """Return red, green and blue of the first point of the page as it is drawn."""
        picture = base64.b64decode(self._ask("Page.captureScreenshot")["data"])
        packed, at = b"", 8
        while at < len(picture):
            size = int.from_bytes(picture[at : at + 4])
            if picture[at + 4 : at + 8] == b"IDAT":
                packed += picture[at + 8 : at + 8 + size]
            at += size + 12
        # Each filter of the format leaves the first point of the first row as it is.
        _, red, green, blue = zlib.decompress(packed)[:4]
        return red, green, blue

    def _ask(self, method: str, **given: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": given}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._into, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._number:
                assert "error" not in told, (method, told)
                found: dict[str, Any] = told["result"]
                return found
            self._hear(told)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._out, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        told: dict[str, Any] = json.loads(text)
        return told

    def _hear(self, event: dict[str, Any]) -> None:
        if event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(event["params"]["exceptionDetails"]))
        elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            entry = event["params"]["entry"]
            self.complaints.append(f"{entry['text']} {entry.get('url', '')}")


@contextlib.contextmanager
def browser(place: Path) -> Iterator[Page]:
    """A page of a browser whose profile lies below `place`."""
    theirs_in, into = os.pipe()
    out, theirs_out = os.pipe()
    command = ["/usr/bin/chromium", *(f"--{each}" for each in _OPTIONS.split())]
    # The browser reads descriptor 3 and writes descriptor 4. Neither end may be one of them before the other is moved.
    script = f'exec 5<&{theirs_in} 6>&{theirs_out} 3<&5 4>&6; exec "$@"'
    with own_temporary() as temporary:
        process = subprocess.Popen(
            ["/bin/bash", "-c", script, "-", *command, f"--user-data-dir={place}/driven"],
            env={**os.environ, **temporary},
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Page(into, out)
        finally:
            os.close(into)
            os.close(out)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait(10)
