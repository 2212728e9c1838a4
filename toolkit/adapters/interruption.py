"""What a command's threads wait for, and how they are told not to.

Ctrl-C and SIGTERM reach Python's main thread alone. A thread that waits for a host, a transfer or a playbook would go
on until that has ended, and what the command has begun would only be undone then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolkit.errors import HostError


class Interruption:
    """One for all adapters of a command. What raises here raises HostError."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._begun = threading.Event()
        self._ends: list[Callable[[], None]] = []

    def begin(self) -> None:
        """End whatever is waited for now, and turn away what would be waited for, until `over`."""
        with self._guard:
            self._begun.set()
            for end in self._ends:
                end()

    def over(self) -> None:
        """All threads have noticed; what is asked for from now on, such as to undo, is waited for again."""
        self._begun.clear()

    @property
    def begun(self) -> bool:
        """Whether there is one now."""
        return self._begun.is_set()

    def check(self) -> None:
        """Raise where an interruption has begun."""
        if self.begun:
            raise HostError("interrupted")

    def sleep(self, seconds: float) -> None:
        """Return after so long; raises as soon as an interruption begins."""
        self._begun.wait(seconds)
        self.check()

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Have `end` called, by another thread and at most once, where an interruption begins in this context.

        `end` must return at once. Raises where one has begun already.
        """
        with self._guard:
            self.check()
            self._ends.append(end)
        try:
            yield
        finally:
            with self._guard:
                self._ends.remove(end)
