"""Run jobs in a few threads; the first failure, or Ctrl-C, stops them all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

Job = Callable[[threading.Event], None]
# Seconds for a stopped job to end. A job that waits for a silent connection takes longer and is left behind.
GRACE = 2.0


class StopAskedError(Exception):
    """Ends a job that was asked to stop; never leaves this module."""


def run_all(jobs: Sequence[Job], workers: int) -> None:
    """Run every job with the event that asks it to stop; raises the error of the first job that failed.

    The threads are daemons, so a job that waits for a silent connection does not keep the process alive.
    """
    work = _Work(jobs)
    threads = [
        threading.Thread(target=work.run, daemon=True, name=f"pull-{number}")
        for number in range(min(workers, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            # The timeout lets the main thread see Ctrl-C while threads run.
            while thread.is_alive() and not work.stop.is_set():
                thread.join(0.2)
    finally:
        work.stop.set()
        for thread in threads:
            thread.join(GRACE / len(threads))
    if work.failures:
        raise work.failures[0]


class _Work:
    """The jobs that wait, shared by the threads that do them."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.stop = threading.Event()
        self.failures: list[Exception] = []
        self._waiting = deque(jobs)

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                job = self._waiting.popleft()
            except IndexError:
                return
            try:
                job(self.stop)
            except StopAskedError:
                return
            except Exception as error:
                self.failures.append(error)
                self.stop.set()
