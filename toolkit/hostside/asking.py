"""Ask a replica on this host's loopback, and say when each part of its answer came."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from typing import Any

import bounds
import completion
from documents import parsed
from wire import Document

# The router's log and the counts of use have no such request: it goes to the replica's own port. The header tells the
# probes of the toolkit from requests of clients in an engine's own log.
PROBE = "X-Toolkit-Probe"


def ask(port: int, path: str, payload: Document, timeout: float) -> Document:
    """Send one POST and read its answer to the end, at most 4 MiB and `timeout` seconds.

    A payload with `file` ({"name", "type", "data" in base64}) is sent as a form. Return {"status", "body", "events",
    "first", "gaps", "seconds", "error"}. With `stream` in the payload, `events` has the texts of the server-sent
    events, `first` the seconds until the first one with a part of the answer, and `gaps` the seconds between those;
    otherwise `body` has the text. `status` is 0 where there is no answer, `error` then says why.
    """
    import http.client

    import in_time

    started = time.monotonic()
    found = _Stream(started) if payload.get("stream") else _Body()
    status, error = 0, ""
    connection = in_time.Connection(port, timeout)
    try:
        kind, body = _encoded(payload)
        connection.request("POST", path, body, {"Content-Type": kind, PROBE: "1"})
        socket = connection.sock
        with connection.getresponse() as response:
            status = response.status
            if status != 200:
                found = _Body()
            for part in completion.parts(response, socket, started + timeout):
                found.take(part)
        error = found.fault() if status == 200 else found.text()[:500]
    except (OSError, http.client.HTTPException, ValueError) as fault:
        status, error = 0, "%s: %s" % (type(fault).__name__, str(fault)[: bounds.WORDS])
    finally:
        connection.close()
    return {"status": status, "seconds": time.monotonic() - started, "error": error, **found.said()}


class _Body:
    """An answer in one piece."""

    def __init__(self) -> None:
        self._body = bytearray()

    def take(self, part: bytes) -> None:
        self._body += part

    def text(self) -> str:
        return bytes(self._body).decode("utf-8", "replace")

    def fault(self) -> str:
        return ""

    def said(self) -> Document:
        return {"body": self.text(), "events": [], "first": None, "gaps": []}


class _Stream(_Body):
    """An answer in server-sent events, ended by `[DONE]`."""

    def __init__(self, started: float) -> None:
        super().__init__()
        self._started = started
        self._events: list[str] = []
        self._times: list[float] = []
        self._done = False

    def take(self, part: bytes) -> None:
        *lines, rest = (bytes(self._body) + part).split(b"\n")
        self._body = bytearray(rest)
        now = time.monotonic()
        for line in lines:
            self._line(line.rstrip(b"\r"), now)

    def _line(self, line: bytes, now: float) -> None:
        if not line.startswith(b"data:"):
            return
        text = line[5:].strip().decode("utf-8", "replace")
        if text == "[DONE]":
            self._done = True
            return
        self._events.append(text)
        if len(self._times) < bounds.TOKENS and _carries(text):
            self._times.append(now)

    def fault(self) -> str:
        return "" if self._done else "a stream that breaks off"

    def said(self) -> Document:
        times = self._times
        gaps = [times[place] - times[place - 1] for place in range(1, len(times))]
        first = times[0] - self._started if times else None
        return {"body": "", "events": self._events, "first": first, "gaps": gaps}


def _carries(text: str) -> bool:
    """Return whether an event has a part of the answer, under whatever name, and not only its beginning or its end."""
    try:
        choices = parsed(text)["choices"]
        parts = [each.get("delta", each) for each in choices]
        kept = ("index", "role", "finish_reason", "stop_reason", "logprobs")
        return any(value for part in parts for key, value in part.items() if key not in kept)
    except (ValueError, LookupError, TypeError, AttributeError):
        return False


def _encoded(payload: Document) -> tuple[str, bytes]:
    """Return the type and the bytes of a request: JSON, or a form (RFC 7578) where it has a file."""
    file = payload.get("file")
    if not isinstance(file, dict):
        return "application/json", json.dumps(payload).encode()
    try:
        data = base64.b64decode(file["data"], validate=True)
        head = 'name="file"; filename="%s"\r\nContent-Type: %s' % (
            _word(file["name"]),
            _word(file["type"]),
        )
    except (binascii.Error, LookupError, TypeError, AttributeError) as error:
        raise ValueError("no file: %s" % error)
    # 128 random bits stand in no file.
    border = "toolkit-" + secrets.token_hex(16)
    parts = [(head, data)] + [
        ('name="%s"' % _word(name), _plain(value).encode())
        for name, value in payload.items()
        if name != "file"
    ]
    body = b"".join(
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n"
        % (border.encode(), head.encode(), data)
        for head, data in parts
    )
    return "multipart/form-data; boundary=" + border, body + b"--%s--\r\n" % border.encode()


def _word(text: str) -> str:
    return "".join(each for each in text if each.isprintable() and each not in '"\\')


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
