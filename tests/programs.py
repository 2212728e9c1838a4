"""Programs that run beside a test."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def running(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, whose output is thrown away, until the context ends."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            end(process)


@contextmanager
def own_temporary() -> Iterator[dict[str, str]]:
    """Yield the variable with which programs put their temporary files, sockets too, where they end with the context.

    The path is short, because that of a socket must be.
    """
    with tempfile.TemporaryDirectory(prefix="tk-", ignore_cleanup_errors=True) as place:
        yield {"TMPDIR": place}


def kill_group(process: subprocess.Popen[Any]) -> None:
    """Kill a program that leads a process group, with all of the group, and leave nothing of it in shared memory.

    Python's tracker of such memory removes it once all others have ended, so it is the only one that ends by itself.
    """
    trackers = []
    for pid in _group(process.pid):
        words = _read(pid, "cmdline")
        if b"multiprocessing.resource_tracker" in words:
            trackers.append(pid)
        else:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 10
    while any(_read(pid, "cmdline") for pid in trackers) and time.monotonic() < until:
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _group(number: int) -> list[int]:
    pids = (int(each.name) for each in Path("/proc").glob("[0-9]*"))
    # The command's name stands in brackets and may hold any character; state, parent and group follow it.
    return [
        pid
        for pid in pids
        if _read(pid, "stat").rpartition(b")")[2].split()[2:3] == [b"%d" % number]
    ]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def end(process: subprocess.Popen[Any]) -> None:
    """End a program; one that still has a client's request to answer, or a busy machine, does not do so at once."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
