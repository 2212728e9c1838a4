"""A replica under guard: whether its process still is the one that was started, its memory, its log, its own times."""

from __future__ import annotations

import os
import time

import completion
import hang
import logs
import processes
import signs
from directory import open_plain

# A host that has just booted starts its replicas one after the other.
GRACE = 120.0
_MOST_LOG = 2**18
# Seconds within which the server of an engine that gave up says so, or ends.
DOUBT = 30.0


class Replica:
    """One replica. `known` is the identity of its process that a former guard has kept, "" where none has."""

    def __init__(self, root: str, program: str, known: str = "") -> None:
        self.root, self.program, self.known = root, program, known
        self.signs = signs.of_slot(root, program)
        # Whether the host has booted since the former guard looked.
        self.booted = bool(known) and known.split()[0] != processes.boot()
        self.pid, self.since = 0, time.monotonic()
        self._log = logs.path(root, program)
        self._place = _end_of(self._log)
        # The last line that may be the engine's last, and when it was seen.
        self._doubt = "", 0.0
        self._sums: dict[str, tuple[float, float]] = {}

    def gone(self) -> str:
        """Return in words that the process has ended or is another one than before; empty where all is well."""
        if self.pid and processes.started(self.pid) == self.known:
            return ""
        found = processes.state(self.root, self.program)
        pid = found["pid"] if found["state"] == "running" else 0
        now = processes.started(pid) if pid else ""
        # One that was started by the boot of the host has not failed.
        if not self.known or self.known.split()[0] != processes.boot():
            if now:
                self.pid, self.known = pid, now
            elif found["state"] == "running":
                # Its start is checked, or waits for a device that another replica starts on.
                self.since = time.monotonic()
            elif time.monotonic() - self.since > GRACE:
                return "its process does not run"
            return ""
        if now == self.known:
            self.pid = pid
            return ""
        return self._why(restarted=bool(now))

    def memory(self) -> int | None:
        """Return the bytes that its processes have in memory, None where it has none."""
        return sum(map(_resident, processes.tree(self.pid))) or None if self.pid else None

    def last_words(self, port: int) -> str:
        """Return the line with which the engine gave up, where its log has one and its server says so too.

        A log may repeat what a client has sent, so a line alone ends nothing.
        """
        now = time.monotonic()
        if line := self._fatal_line():
            self._doubt = line, now
        line, since = self._doubt
        if not line or now - since > DOUBT:
            return ""
        if completion.healthy(port, self.signs["health"], 0.5):
            return ""
        self._doubt = "", 0.0
        return line

    def _fatal_line(self) -> str:
        """Return the first of the log's new lines that has the words of an engine's end."""
        try:
            handle = open_plain(self._log)
        except OSError:
            return ""
        with open(handle, "rb") as log:
            size = os.fstat(log.fileno()).st_size
            # A shorter log is a new one under the same name. Of a flood, or of holes, the end is read alone.
            start = self._place if self._place <= size else 0
            log.seek(max(start, size - _MOST_LOG))
            new = log.read(_MOST_LOG)
            self._place = log.tell()
        for line in new.splitlines():
            text = line.decode("utf-8", "replace")
            if any(each in text for each in self.signs["fatal"]):
                return text.strip("\0 ")[:300].strip()
        return ""

    def times(self, port: int) -> dict[str, tuple[float, float]]:
        """Return {"first", "between": (seconds in all, their number)} by the engine's metrics since the last call."""
        names = self.signs["times"]
        now = completion.sums(port, self.signs["metrics"], list(names.values()))
        before, self._sums = self._sums, now
        found = {}
        for name, metric in names.items():
            if metric in now and metric in before:
                seconds, number = (now[metric][each] - before[metric][each] for each in (0, 1))
                if number > 0 and seconds >= 0:
                    found[name] = (seconds, number)
        return found

    def _why(self, *, restarted: bool) -> str:
        hung = hang.recorded(self.root, self.program)
        if hung and time.time() - float(hung.get("at", 0)) < 60:
            return f"it hung and was restarted: {hung.get('why', '')}"
        return "its process ended and was started again" if restarted else "its process ended"


def _resident(pid: int) -> int:
    # Not the share of pages (PSS), as facts have it: the kernel walks through all pages for that.
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _end_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
