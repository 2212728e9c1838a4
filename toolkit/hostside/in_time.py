"""Answers over HTTP that end in time, their heads too.

The timeout of a socket is for each of its bytes alone. A replica that was taken over could send its head byte by byte,
and the program that waits for it, such as the watch, would do nothing else for hours. The ops machine reads the answers
of routers, of a Prometheus and of package indexes the same way.
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
        end_in_time(self, timeout)


class End:
    """The end of the time in which something must come: `seconds` from now, and from each call of `again` on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.again()

    def again(self) -> None:
        """Give another piece of the answer the same time."""
        self._at = time.monotonic() + self._seconds

    def left(self) -> float:
        """Return the seconds that are left; raises TimeoutError where there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("its answer did not end within %g s" % self._seconds)
        return left


def end_in_time(connection: http.client.HTTPConnection, seconds: float) -> End:
    """Let the answers of a connection end within `seconds`; return that end.

    Whoever reads an answer in pieces gives each of them as long. Reading raises OSError where it takes longer.
    """
    end = End(seconds)

    def answer(sock: socket.socket, *given: Any, **named: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_InTime(sock, end), *given, **named)  # type: ignore[arg-type]

    connection.response_class = answer  # type: ignore[assignment]
    return end


class _InTime:
    """A socket as the library reads an answer from it."""

    def __init__(self, sock: socket.socket, ends: End) -> None:
        self._socket, self._ends = sock, ends

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Bytes(self._socket, self._ends))


class _Bytes(io.RawIOBase):
    def __init__(self, sock: socket.socket, ends: End) -> None:
        self._socket, self._ends = sock, ends
        # The library may close the socket before the answer is read; its file keeps it.
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._ends.left())
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()
