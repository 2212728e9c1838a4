"""The same for many hosts, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def at_once(
    workers: int,
    items: Iterable[T],
    do: Callable[[T], R],
    stop: Callable[[], None] = lambda: None,
) -> tuple[R, ...]:
    """Return what `do` returned for each item, in their order, with at most `workers` at work.

    What `do` raises is raised here once all have ended. An interruption starts no more of them and calls `stop`, which
    tells those at work.
    """
    # which takes no pool without workers, also where there are no items
    with ThreadPoolExecutor(max(1, workers)) as pool:
        futures = [pool.submit(do, item) for item in items]
        try:
            wait(futures)
        except BaseException:
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return tuple(future.result() for future in futures)
