"""Standard output and error that never abort a change: a reader may go away, a disk may be full, a terminal may close.

Progress is for people, and a command that changes hosts goes on without them. Lines that cannot be written are dropped.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import select
import signal
import sys
from types import FrameType
from typing import Any, TextIO


class _Raw(io.FileIO):
    """A descriptor that takes everything. `fault` is the first error of the descriptor."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.fault: OSError | None = None

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        if self.fault is not None:
            return size
        try:
            # A descriptor that does not block takes nothing for a moment.
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            self.fault = error
            return size
        return written


_raw: dict[str, _Raw] = {}


def guard() -> None:
    """Replace the process's standard output and error by streams that raise nothing, and take a hang-up as Ctrl-C."""
    sys.stdout = _guarded("stdout", sys.stdout, sys.__stdout__)
    sys.stderr = _guarded("stderr", sys.stderr, sys.__stderr__)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _hang_up)


def output_is_lost() -> bool:
    """Whether nobody reads standard output any more: a command that only prints may end."""
    return "stdout" in _raw and _raw["stdout"].fault is not None


def lost_result() -> str:
    """Return why the result could not be written; empty where it was, or where its reader wanted no more."""
    sys.stdout.flush()
    fault = _raw["stdout"].fault if "stdout" in _raw else None
    if fault is None or fault.errno == errno.EPIPE:
        return ""
    return os.strerror(fault.errno or errno.EIO)


def hear_no_more() -> None:
    """Ignore what would interrupt the command, from its exit on: connections are ended then, within seconds."""
    # Registered last it is called first, before whatever the command has left to be ended.
    atexit.unregister(_ignore)
    atexit.register(_ignore)


def _ignore() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _guarded(name: str, stream: TextIO | None, original: TextIO | None) -> TextIO:
    if stream is None:
        # Closed by the caller. Its number must not become that of another file.
        return io.TextIOWrapper(io.BufferedWriter(_Raw(os.open(os.devnull, os.O_WRONLY))))
    if stream is not original:
        return stream
    stream.flush()
    raw = _raw[name] = _Raw(stream.fileno())
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        # A name with unusual characters is no reason to stop either.
        errors="backslashreplace",
        line_buffering=name == "stderr" or stream.isatty(),
        write_through=name == "stderr",
    )


def _hang_up(_: int, frame: FrameType | None) -> None:
    """Interrupt once: the terminal, its shell and the kernel may all send the signal, and the undoing must go on."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.default_int_handler(signal.SIGHUP, frame)
