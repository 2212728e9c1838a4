"""The router's access log on this host: the lines of one request.

Under systemd the router logs to the journal, elsewhere to <root>/supervisor/router.log, of which supervisord keeps the
former ones. A request's id may be the client's own, so several requests can have the same.
"""

from __future__ import annotations

import calendar
import os
import re
import subprocess

import processes
from directory import open_plain
from documents import mapping
from wire import Document

MOST_LINES = 16
_JOURNAL = (
    *("journalctl", "--output", "cat", "--no-pager", "--quiet", "--reverse"),
    "--case-sensitive=true",
)
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SECONDS = 60
_FORMER = 3
_LONGEST = 64 * 2**10
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
# Without the key's name and the client's address: evidence is about the answer, not about the person who asked.
_FIELDS = ("at", "model", "version", "release", "slot", "path", "status", "request_id")


def find(root: str, id: str) -> Document:
    """Return {"lines": [...]}, what the log has of the request `id`, the newest first and at most MOST_LINES.

    Raises ValueError where `id` is none, and OSError or a subprocess's error where the log cannot be searched.
    """
    if not _ID.fullmatch(id):
        raise ValueError("not the id of a request")
    if processes.init_system() == "systemd":
        lines = journal(root, '"request_id":"%s"' % id.replace(".", "[.]"), MOST_LINES)
    else:
        lines = _files(root, id)
    found = [each for each in map(_parsed, lines) if each and each["request_id"] == id]
    return {"lines": found[:MOST_LINES]}


def ended(line: Document) -> tuple[int, str]:
    """Return status and reason of a line, with those of an answer that was cut amid its body.

    HAProxy tells the cut in `end` alone: two letters, who ended it (`C` the client, `S` the server, small where it fell
    silent) and when (`D` amid the body).
    """
    status, reason, end = line["status"], line["reason"], line["end"]
    if reason == "-" and end[1:2] == "D":
        if end[0] in "Ss":
            return status, "replica_broke_off"
        if end[0] in "Cc":
            return 499, "client_left_answer"
    return status, reason


def seconds(at: str) -> int:
    """Return the time of a line, such as `27/Nov/2026:02:00:00 +0000`, in seconds since the epoch.

    Raises ValueError, KeyError or TypeError where it is none.
    """
    day, month, year = int(at[:2]), _MONTHS[at[3:6]], int(at[7:11])
    return calendar.timegm((year, month, day, int(at[12:14]), int(at[15:17]), int(at[18:20])))


def journal(root: str, pattern: str, most: int) -> list[str]:
    """Return the last `most` lines of the router's journal that match `pattern`, the newest first.

    Raises OSError where the journal cannot be searched.
    """
    try:
        done = subprocess.run(
            [*_JOURNAL, "--unit", unit(root), "--grep", pattern, "--lines", str(most)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise OSError("journalctl is not installed") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"journalctl did not end within {_SECONDS} s") from None
    # journalctl ends with 1 and without a word where it finds nothing.
    if done.returncode and done.stderr.strip():
        raise OSError(done.stderr.decode("utf-8", "replace").strip()[:400])
    return done.stdout.decode("utf-8", "replace").splitlines()


def unit(root: str) -> str:
    """Return the name of the router's unit."""
    return os.path.basename(os.path.normpath(root)) + "-router.service"


def names(root: str) -> list[str]:
    """Return the paths of the log's files where there is no journal, the newest first."""
    path = os.path.join(root, "supervisor", "router.log")
    return [path] + ["%s.%d" % (path, number) for number in range(1, _FORMER + 1)]


def _files(root: str, id: str) -> list[str]:
    found: list[str] = []
    words = b'"request_id":"%s"' % id.encode()
    for name in names(root):
        try:
            handle = open_plain(name)
        except FileNotFoundError:
            continue
        with open(handle, "rb") as file:
            mine = [line for line in iter(lambda: file.readline(_LONGEST), b"") if words in line]
        found += reversed([line.decode("utf-8", "replace") for line in mine[-MOST_LINES:]])
    return found


def _parsed(line: str) -> Document:
    """Return the fields of a request's line; nothing of one that another host handed on, or of anything else."""
    found = mapping(line)
    if not all(name in found for name in _FIELDS):
        return {}
    return {name: found[name] for name in _FIELDS}
