"""A request to a replica of this host whose answer ends in time, its head too.

The timeout of a socket is for each of its bytes alone. A replica that was taken over could send its head byte by byte,
and the program that waits for it, such as the watch, would do nothing else for hours.

Python's own library for this loads the parsers of mail and TLS, which takes longer than a look at a host.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping

# The bytes of a line of the head, the number of its lines, and the bytes that are read at once.
_LINE, _LINES, _PIECE = 2**17, 100, 2**16
_STATUS = re.compile(rb"HTTP/[0-9.]{1,8} +([1-9][0-9]{2})(?: .*)?\Z", re.DOTALL)
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\Z", re.DOTALL)
_PATH = re.compile(r"/[!-~]*\Z")
_BODILESS = (204, 304)


class NoAnswer(OSError):
    """What came is no answer of HTTP, or breaks off."""


class RemoteDisconnected(NoAnswer):
    """The replica closed the connection and said nothing."""


class Connection:
    """A connection to `port` on loopback for one request, which takes at most `timeout` seconds. Raises OSError."""

    def __init__(self, port: int, timeout: float) -> None:
        self._port, self._ends = port, time.monotonic() + timeout
        self._socket: socket.socket | None = None

    def request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """Send a request; return the answer, of which status and headers have come."""
        if not _PATH.match(path):
            raise NoAnswer(f"no path of an engine: {path[:80]!r}")
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}"]
        lines += ["Accept-Encoding: identity", *(f"{name}: {headers[name]}" for name in headers)]
        lines += [f"Content-Length: {len(body)}"] if body is not None else []
        made = self._socket = socket.create_connection(("127.0.0.1", self._port), self._left())
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(self._left())
        made.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + (body or b""))
        return Answer(_Reader(made, self._ends))

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()

    def _left(self) -> float:
        return _left(self._ends)


class Answer:
    """An answer: its `status`, and `length`, the bytes of its body, None where the head does not say."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self.status = 100
        # A server may say first that it goes on.
        while self.status == 100:
            self.status, headers = _head(reader)
        self._chunked = headers.get(b"transfer-encoding", b"").lower() == b"chunked"
        length = headers.get(b"content-length", b"")
        self.length = int(length) if _LENGTH.match(length) and not self._chunked else None
        if self.status in _BODILESS or self.status < 200:
            self.length, self._chunked = 0, False
        # The bytes that are to come of the body or of a chunk; None up to the end of the connection.
        self._left = 0 if self._chunked else self.length
        self._over = self._left == 0 and not self._chunked

    def part(self) -> bytes:
        """Return the next part of the body; nothing at its end."""
        if self._chunked and not self._left and not self._over:
            self._begin_chunk()
        if self._over:
            return b""
        piece = self._reader.some(_PIECE if self._left is None else min(_PIECE, self._left))
        if not piece and self._chunked:
            raise NoAnswer("the answer breaks off")
        if self._left is not None:
            self._left -= len(piece)
            if self._chunked and not self._left and self._reader.line():
                raise NoAnswer("a part of the answer has another size than it says")
        self._over = not piece or (self._left == 0 and not self._chunked)
        return piece

    def _begin_chunk(self) -> None:
        line = self._reader.line()
        found = _CHUNK.match(line)
        if found is None:
            raise NoAnswer(f"no size of a part: {line[:80]!r}")
        self._left = int(found[1], 16)
        self._over = not self._left


def _head(reader: _Reader) -> tuple[int, dict[bytes, bytes]]:
    """Return status and headers of an answer, names in small letters."""
    line = reader.line(first=True)
    found = _STATUS.match(line)
    if found is None:
        raise NoAnswer(f"no answer of HTTP: {line[:80]!r}")
    headers: dict[bytes, bytes] = {}
    for _ in range(_LINES):
        line = reader.line()
        if not line:
            return int(found[1]), headers
        name, _, value = line.partition(b":")
        headers.setdefault(name.strip().lower(), value.strip())
    raise NoAnswer(f"its head has more than {_LINES} lines")


class _Reader:
    """The bytes that a socket gives until `ends`."""

    def __init__(self, sock: socket.socket, ends: float) -> None:
        self._socket, self._ends, self._kept = sock, ends, b""

    def some(self, most: int) -> bytes:
        """Return at least one byte and at most `most`; nothing at the end."""
        piece = self._kept or self._receive()
        self._kept = piece[most:]
        return piece[:most]

    def line(self, *, first: bool = False) -> bytes:
        """Return a line without its end; raises NoAnswer where it is cut short or too long."""
        while b"\n" not in self._kept:
            piece = self._receive()
            if first and not self._kept and not piece:
                raise RemoteDisconnected("it closed the connection without an answer")
            if not piece:
                raise NoAnswer(f"the answer breaks off: {self._kept[:80]!r}")
            self._kept += piece
            if len(self._kept) > _LINE:
                raise NoAnswer("a line of the answer is too long")
        found, _, self._kept = self._kept.partition(b"\n")
        return found[:-1] if found.endswith(b"\r") else found

    def _receive(self) -> bytes:
        self._socket.settimeout(_left(self._ends))
        return self._socket.recv(_PIECE)


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("its answer did not end in time")
    return left
