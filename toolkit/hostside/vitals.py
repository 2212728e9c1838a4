"""The state of a replica now: its process, memory, engine's counters, and the lines of its log since a place."""

from __future__ import annotations

import os

import accelerators
import completion
import logs
import processes
import signs
from directory import open_plain
from wire import Document

# Lines and bytes of a log that one look takes at most, and characters of a line.
_LINES, _BYTES, _WIDTH = 500, 2**18, 400


def vitals(root: str, program: str, port: int, log: str) -> Document:
    """Return the vitals of a replica, `program` being model and slot joined by a dash.

    `log` is the place in its log from which on lines are wanted: one that a former call returned, or nothing for no
    lines. {"state", "pid", "started_at", "memory" (bytes), "device_memory" (None where nobody says), "preemptions"
    (None where its engine does not answer), "cache" (lines of metrics), "log", "lines"}.
    """
    process, known = processes.state(root, program), signs.of_slot(root, program)
    taken, family = accelerators.users(), processes.Family()
    mine = [taken[each] for each in processes.tree(process["pid"], family) if each in taken]
    counted = completion.counters(port, known["metrics"], [known["preemptions"]])
    file = logs.path(root, program)
    return {
        "state": process["state"],
        "pid": process["pid"],
        "started_at": process["started_at"],
        "memory": processes.resident(process["pid"], family),
        "device_memory": sum(mine) if mine else None,
        "preemptions": None if counted is None else counted.get(known["preemptions"], 0.0),
        "cache": completion.cache_info(port, known),
        **_since(file, log),
    }


def _since(file: str, place: str) -> Document:
    """Return the place of a log's end and its lines since `place`; those of a log that was begun anew count too."""
    try:
        with open(open_plain(file), "rb") as log:
            inode, end = str(os.fstat(log.fileno()).st_ino), log.seek(0, os.SEEK_END)
            former, _, text = place.partition(":")
            start = int(text) if former == inode and text.isdecimal() else 0
            # Its rotation empties it, and the watch cuts one that is too long.
            start = start if start <= end else 0
            # Lines written meanwhile come after the place and are reported next time.
            begin = log.seek(max(start, end - _BYTES)) if place else end
            said = log.read(max(0, end - begin)).decode("utf-8", "replace").splitlines()
    except OSError:
        return {"log": "", "lines": []}
    return {"log": "%s:%d" % (inode, end), "lines": [line[:_WIDTH] for line in said[-_LINES:]]}
