"""One dialog with a host of the many that share a process there, see `channel.py`."""

from __future__ import annotations

import subprocess
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from toolkit.domain.bounds import LINE

_KILLED = -9
# The bytes that a host may say beyond what is read.
_UNREAD = 2 * LINE


class Strand:
    """One dialog of a channel, in the manner of `subprocess.Popen`: its own standard input and output."""

    def __init__(
        self, number: int, write: Callable[[bytes], None], end: Callable[[], None]
    ) -> None:
        self.number, self.words = number, ""
        self.stdin, self.stdout, self.stderr = self, self, None
        self._write, self._end = write, end
        self._lines, self._unread = deque[bytes](), 0
        self._changed = threading.Condition()
        self._code: int | None = None
        self._open = True

    def write(self, data: bytes | memoryview) -> None:
        """Write whole lines; raises BrokenPipeError where the process has ended."""
        if self._code is not None or not self._open:
            raise BrokenPipeError
        for line in bytes(data).split(b"\n")[:-1]:
            self._write(b"%d line %s\n" % (self.number, line))

    def flush(self) -> None:
        """Do nothing: each line is sent at once."""

    def close(self) -> None:
        """End the standard input of the process."""
        if self._open:
            self._open = False
            with suppress(BrokenPipeError):
                self._write(b"%d close\n" % self.number)

    def readline(self, _limit: int) -> bytes:
        """Return the next line of the process, or nothing once it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._code is not None)
            line = self._lines.popleft() if self._lines else b""
            self._unread -= len(line)
            return line

    def poll(self) -> int | None:
        """Return the exit code, or None where the process runs."""
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once there is one; raises TimeoutExpired."""
        with self._changed:
            self._changed.wait_for(lambda: self._code is not None, timeout)
        if self._code is None:
            raise subprocess.TimeoutExpired("a dialog", timeout or 0)
        return self._code

    def kill(self) -> None:
        """Take the process for ended, at once. On the host its standard input ends, and what is carried through."""
        self.over(_KILLED, "")
        threading.Thread(target=self._end, daemon=True).start()

    def hear(self, line: bytes) -> None:
        """Take a line that the process said."""
        with self._changed:
            self._unread += len(line)
            self._lines.append(line)
            self._changed.notify_all()
        if self._unread > _UNREAD:
            self.kill()

    def over(self, code: int, words: str) -> None:
        """Take note that the process has ended with that `code`, and `words` on its standard error."""
        with self._changed:
            if self._code is None:
                self._code, self.words = code, words
                self._changed.notify_all()
