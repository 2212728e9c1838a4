"""A replica's log on this host."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TextIO

from directory import open_plain
from wire import Document, Report


def path(root: str, program: str) -> str:
    """Return the log file of a replica."""
    return os.path.join(root, "logs", program + ".log")


def tail(file: str, count: int) -> list[str]:
    """Return the last `count` lines, without reading more than 256 KiB."""
    try:
        with open(open_plain(file), "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 2**18))
            return log.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []


def having(file: str, words: list[str]) -> list[str]:
    """Return the lines that contain any of `words`: at most a hundred, each cut at 400 characters."""
    lines = (line for line in tail(file, 10**6) if any(each in line for each in words))
    return [line[:400] for line in lines][:100]


def follow(request: Document, report: Report) -> Document:
    """Report the last `lines` lines, and with `follow` every new line until the ops machine hangs up."""
    file = path(request["root"], request["program"]) + (".1" if request.get("previous") else "")
    if not os.path.isfile(file) or os.path.islink(file):
        return {"found": False}
    for line in tail(file, request["lines"]):
        report({"line": line})
    if not request["follow"]:
        return {"found": True}
    log = _opened(file)
    log.seek(0, os.SEEK_END)
    while True:
        line = log.readline()
        if line:
            report({"line": line.rstrip("\n")})
            continue
        time.sleep(0.2)
        # After a restart of the replica, its log is a new file under the same name.
        with contextlib.suppress(OSError):
            if os.lstat(file).st_ino != os.fstat(log.fileno()).st_ino:
                fresh = _opened(file)
                log.close()
                log = fresh


def _opened(file: str) -> TextIO:
    return open(open_plain(file), encoding="utf-8", errors="replace")
