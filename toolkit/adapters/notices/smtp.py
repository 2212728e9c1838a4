"""A conversation with a mail server whose answers are bounded: `smtplib` reads them to an end that may never come."""

from __future__ import annotations

import smtplib
import socket
import time

# All answers of one conversation: a dozen lines, and one for each receiver.
MOST_BYTES = 2**18
# The whole conversation: a greeting that is held back is 5 s late, and each answer has a few more.
MOST_SECONDS = 10.0


class _Answers:
    """The answers of a server, in the place of a file of the connection. Raises OSError where there are too many."""

    def __init__(self, connection: socket.socket, bound: _Bound, each: float) -> None:
        self._connection, self._bound, self._each = connection, bound, each
        self._rest = b""

    def readline(self, size: int) -> bytes:
        while b"\n" not in self._rest and len(self._rest) < size:
            left = self._bound.until - time.monotonic()
            if left <= 0 or self._bound.left <= 0:
                raise OSError("its answers have no end")
            self._connection.settimeout(min(self._each, left))
            piece = self._connection.recv(4096)
            if not piece:
                break
            self._bound.left -= len(piece)
            self._rest += piece
        end = min(self._rest.find(b"\n") + 1 or len(self._rest), size)
        line, self._rest = self._rest[:end], self._rest[end:]
        return line

    def close(self) -> None:
        """Do nothing: the connection is its owner's."""


class _Bound:
    """What is left to a conversation: bytes of answers, and the end of its time by the monotonic clock."""

    def __init__(self) -> None:
        self.left, self.until = MOST_BYTES, time.monotonic() + MOST_SECONDS


class BoundedSmtp(smtplib.SMTP):
    """`smtplib.SMTP` with bounded answers."""

    def getreply(self) -> tuple[int, bytes]:
        """Return code and text of the next answer; raises SMTPServerDisconnected where it has no end."""
        self.__dict__.setdefault("bound", _Bound())
        # After STARTTLS there is none, and a rest that came before it does not count.
        if self.file is None and self.sock is not None:
            self.file = _Answers(self.sock, self.__dict__["bound"], float(self.timeout))
        return super().getreply()


class BoundedSmtpOverTls(BoundedSmtp, smtplib.SMTP_SSL):
    """`smtplib.SMTP_SSL` with bounded answers."""
