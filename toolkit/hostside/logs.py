"""A replica's log on this host."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Optional, TextIO

from directory import open_plain
from wire import Document, Report

_TAIL_BYTES = 2**18


def path(root: str, program: str) -> str:
    """Return the log file of a replica."""
    return os.path.join(root, "logs", program + ".log")


def tail(file: str, count: int) -> list[str]:
    """Return the last `count` lines, without reading more than 256 KiB."""
    try:
        with open(open_plain(file), "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _TAIL_BYTES))
            lines = log.read(_TAIL_BYTES).decode("utf-8", "replace").splitlines()
            return lines[max(0, len(lines) - count) :]
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
    if not request["follow"]:
        for line in tail(file, request["lines"]):
            report({"line": line})
        return {"found": True}
    log = _opened(file)
    try:
        # One reader from here on, so it reports lines written meanwhile too, and a half-written line once it ends.
        log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
        *lines, begun = log.read(_TAIL_BYTES).split("\n")
        for line in lines[max(0, len(lines) - request["lines"]) :]:
            report({"line": line})
        while True:
            begun = _told(log, begun, report)
            time.sleep(0.2)
            fresh = _begun_anew(file, log)
            if fresh is not None:
                # A last line without a line end is told as far as it came.
                former, log = log, fresh
                with former:
                    if begun := _told(former, begun, report):
                        report({"line": begun})
                begun = ""
            elif _is_cut(log):
                log.seek(0)
                begun = ""
    finally:
        log.close()


def _told(log: TextIO, begun: str, report: Report) -> str:
    """Report what the log has more; return the line that has begun. A line without an end is told in parts."""
    while piece := log.readline(_TAIL_BYTES):
        begun += piece
        if begun.endswith("\n"):
            report({"line": begun[:-1]})
        elif len(begun) >= _TAIL_BYTES:
            report({"line": begun})
        else:
            continue
        begun = ""
    return begun


def _begun_anew(file: str, log: TextIO) -> Optional[TextIO]:
    """Return the log of the replica's next start, where there is one: a new file under the same name."""
    with contextlib.suppress(OSError):
        if os.lstat(file).st_ino != os.fstat(log.fileno()).st_ino:
            return _opened(file)
    return None


def _is_cut(log: TextIO) -> bool:
    """Whether a log has less than was read of it: its rotation empties it, and the watch cuts one that is too long."""
    return os.fstat(log.fileno()).st_size < os.lseek(log.fileno(), 0, os.SEEK_CUR)


def _opened(file: str) -> TextIO:
    return open(open_plain(file), encoding="utf-8", errors="replace")
