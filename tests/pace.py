"""Seconds as on a machine of one's own, for limits that a test sets to what it waits for.

Where more tasks want to run than there are processors, each gets a part of one, and all that a test waits for takes as
many times longer. So a limit in seconds of the clock fails on a busy machine and says nothing of the product. Seconds
of a `Pace` count less then: on an idle machine they are those of the clock.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

STAT = Path("/proc/stat")
PAUSE = 0.05
_RUNNING = re.compile(r"^procs_running (\d+)$", re.MULTILINE)


class Pace:
    """Counts the seconds since its start. Where the system does not tell its running tasks, all seconds count."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        running: Callable[[], int] | None = None,
        processors: int = 0,
    ) -> None:
        self._clock, self._running = clock, running or _running
        self._processors = processors or len(os.sched_getaffinity(0))
        self._lock, self._seconds, self._last = threading.Lock(), 0.0, clock()

    def skip(self, seconds: float) -> None:
        """Leave out `seconds` in which the machine stood still."""
        with self._lock:
            self._last += seconds

    def __call__(self) -> float:
        """Return the seconds until now. The tasks that run now stand for the time since the last call."""
        with self._lock:
            now = self._clock()
            share = min(1.0, self._processors / max(1, self._running()))
            self._seconds += (now - self._last) * share
            self._last = now
            return self._seconds


@contextlib.contextmanager
def paced() -> Iterator[Pace]:
    """Yield a pace that looks at the machine all the time."""
    pace, ended = Pace(), threading.Event()

    def look() -> None:
        clock, busy = time.monotonic(), time.process_time()
        while not ended.wait(PAUSE):
            now, used = time.monotonic(), time.process_time()
            # This thread overslept while no other one of the process computed: the machine stood still.
            if (passed := now - clock) > 10 * PAUSE and used - busy < passed / 2:
                pace.skip(passed - PAUSE)
            clock, busy = now, used
            pace()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield pace
    finally:
        ended.set()
        thread.join()


def _running() -> int:
    try:
        found = _RUNNING.search(STAT.read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0
