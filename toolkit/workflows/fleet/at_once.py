"""One function for many hosts, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# A Ctrl-C just before the main thread begins to wait does not wake it: the wait must end by itself.
_TICK_SECONDS = 0.2


def at_once(
    workers: int,
    items: Sequence[T],
    do: Callable[[T], R],
    stop: Callable[[], None] = lambda: None,
) -> tuple[R, ...]:
    """Return the result of `do` for each item, in their order, with at most `workers` threads; no thread for one item.

    An exception of `do` is raised once all threads have ended. An interruption starts no further items, calls `stop`,
    which tells the threads, and is raised once they have ended; a second interruption is raised at once.
    """
    if len(items) == 1:
        return (do(items[0]),)
    # Here and not above: a change of one host needs no threads, and a rollback must start at once.
    from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
    from threading import Event

    all_known, given_up = Event(), Event()

    def begin(item: T) -> R:
        # An interruption while threads are being started must not leave an unknown one at work.
        all_known.wait()
        if given_up.is_set():
            raise CancelledError
        return do(item)

    # A pool has at least one worker, also where there are no items.
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
