"""A connection to a replica of this host whose answer ends in time, its head too.

The timeout of a socket is for each of its bytes alone. A replica that was taken over could send its head byte by byte,
and the program that waits for it, such as the watch, would do nothing else for hours.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any


class Connection(http.client.HTTPConnection):
    """A connection to `port` on loopback for one request, which takes at most `timeout` seconds."""

    def __init__(self, port: int, timeout: float) -> None:
        super().__init__("127.0.0.1", port, timeout=timeout)
        ends = time.monotonic() + timeout

        def answer(sock: socket.socket, *given: Any, **named: Any) -> http.client.HTTPResponse:
            return http.client.HTTPResponse(_InTime(sock, ends), *given, **named)  # type: ignore[arg-type]

        self.response_class = answer  # type: ignore[assignment]


class _InTime:
    """A socket as the library reads an answer from it."""

    def __init__(self, sock: socket.socket, ends: float) -> None:
        self._socket, self._ends = sock, ends

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Bytes(self._socket, self._ends))


class _Bytes(io.RawIOBase):
    def __init__(self, sock: socket.socket, ends: float) -> None:
        self._socket, self._ends = sock, ends
        # The library may close the socket before the answer is read; its file keeps it.
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("its answer did not end in time")
        self._socket.settimeout(left)
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()
