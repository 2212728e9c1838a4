"""End the waits of a command's threads on Ctrl-C and SIGTERM.

Both signals reach Python's main thread alone. Without this module, other threads would wait for their host, transfer or
playbook to end, and the command could undo its change only after that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolkit.errors import HostError


class Interruption:
    """Shared by all adapters of a command. Its methods raise HostError once an interruption has begun."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._begun = threading.Event()
        self._ends: list[Callable[[], None]] = []

    def begin(self) -> None:
        """End all current waits and refuse new ones, until `over`."""
        with self._guard:
            self._begun.set()
            for end in self._ends:
                end()

    def over(self) -> None:
        """Allow waits again, once all threads have noticed: undoing the change has to wait for hosts as well."""
        self._begun.clear()

    @property
    def begun(self) -> bool:
        """Whether an interruption has begun and is not over."""
        return self._begun.is_set()

    def check(self) -> None:
        """Raise if an interruption has begun."""
        if self.begun:
            raise HostError("interrupted")

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds; raises as soon as an interruption begins."""
        self._begun.wait(seconds)
        self.check()

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Call `end`, from another thread and at most once, if an interruption begins within this context.

        `end` must return at once. Raises if an interruption has begun already.
        """
        with self._guard:
            self.check()
            self._ends.append(end)
        try:
            yield
        finally:
            with self._guard:
                self._ends.remove(end)
