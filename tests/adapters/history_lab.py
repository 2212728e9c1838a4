"""A clock and a deployment for the tests of the history."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from toolkit.adapters.history.history import History
from toolkit.domain.deployment.release import Attempt


class Clock:
    """Advances by one second with each call."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def at_once(acts: Iterable[Callable[[], object]]) -> list[Exception]:
    """Do everything at once, each in a thread of its own; return what was raised."""
    faults: list[Exception] = []

    def one(act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=one, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


def begin(
    history: History,
    number: int,
    *,
    model: str = "tiny",
    previous: int | None = None,
    **place: str,
) -> int:
    """Open a deployment of release `number`; return its id."""
    return history.open_deployment(
        Attempt(
            model=model,
            action="deploy",
            release=number,
            previous=previous,
            slot="blue",
            actor="ann@ops",
            **place,
        )
    )
