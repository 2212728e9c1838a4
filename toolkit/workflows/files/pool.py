"""Run jobs in a few threads; the first failure, or Ctrl-C, stops them all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

Job = Callable[[threading.Event], None]
# How long a stopped job may take to notice; a connection that is silent would take longer.
GRACE = 2.0


class Stopped(Exception):
    """A job failed and the others were stopped; `cause` is the error of that job."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class StopAskedError(Exception):
    """Raised inside a job that noticed the request to stop; never leaves this module."""


def run_all(jobs: Sequence[Job], workers: int) -> None:
    """Run every job with the event that asks it to stop; raises Stopped with the first failure.

    The threads are daemons: one that hangs in a silent connection does not keep the process.
    """
    waiting = deque(jobs)
    stop = threading.Event()
    failures: list[Exception] = []

    def work() -> None:
        while not stop.is_set():
            try:
                job = waiting.popleft()
            except IndexError:
                return
            try:
                job(stop)
            except StopAskedError:
                return
            except Exception as error:
                failures.append(error)
                stop.set()

    threads = [
        threading.Thread(target=work, daemon=True, name=f"pull-{number}")
        for number in range(min(workers, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            # With a timeout, so that Ctrl-C is seen while threads run.
            while thread.is_alive() and not stop.is_set():
                thread.join(0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join(GRACE / len(threads))
    if failures:
        raise Stopped(failures[0])
