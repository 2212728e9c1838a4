"""The same for many hosts, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# A Ctrl-C that comes just before the main thread begins to wait wakes nobody: the wait must end by itself.
_TICK_SECONDS = 0.2


def at_once(
    workers: int,
    items: Iterable[T],
    do: Callable[[T], R],
    stop: Callable[[], None] = lambda: None,
) -> tuple[R, ...]:
    """Return what `do` returned for each item, in their order, with at most `workers` at work.

    What `do` raises is raised here once all have ended. An interruption starts no more of them, calls `stop`, which
    tells those at work, and is raised once they have ended; another one meanwhile is raised at once.
    """
    all_known, given_up = Event(), Event()

    def begin(item: T) -> R:
        # An interruption while threads are being started must not leave one at work that nobody knows of.
        all_known.wait()
        if given_up.is_set():
            raise CancelledError
        return do(item)

    # which takes no pool without workers, also where there are no items
    with ThreadPoolExecutor(max(1, workers)) as pool:
        futures: list[Future[R]] = []
        try:
            futures += [pool.submit(begin, item) for item in items]
            all_known.set()
            while wait(futures, timeout=_TICK_SECONDS).not_done:
                pass
        except BaseException:
            if not all_known.is_set():
                given_up.set()
                all_known.set()
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return tuple(future.result() for future in futures)
