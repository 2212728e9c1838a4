"""Wait for another command that holds a host of the fleet, with one deadline for all hosts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from toolkit.domain.quantity import format_seconds
from toolkit.errors import BusyError

T = TypeVar("T")

_EVERY = 1.0
_SAY_EVERY = 30.0


class Patience:
    """Waits for up to `seconds` in all, from the first time that something is busy; 0 waits for nothing.

    `sleep` ends the wait by an exception where a person interrupts the command; `clock` returns seconds.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._sleep, self._say, self._clock = sleep, say, clock
        self._guard = threading.Lock()
        self._deadline: float | None = None
        self._said: float | None = None
        # The error that ended the wait. An outer wait raises it again instead of waiting a second time.
        self._last: BusyError | None = None

    def until_free(self, take: Callable[[], T]) -> T:
        """Return the result of `take`; try again where it raises BusyError, and raise that error at the deadline.

        `take` must hold nothing where it raises: two waiting commands would else wait for each other.
        """
        while True:
            try:
                return take()
            except BusyError as error:
                left = self._left()
                if left <= 0:
                    raise self._given_up(error) from None
                self._tell(error, left)
                self._sleep(min(_EVERY, left))

    def _left(self) -> float:
        with self._guard:
            now = self._clock()
            if self._deadline is None:
                self._deadline = now + self.seconds
            return self._deadline - now

    def _tell(self, error: BusyError, left: float) -> None:
        with self._guard:
            now = self._clock()
            if self._said is not None and now - self._said < _SAY_EVERY:
                return
            self._said = now
        self._say(f"waiting for up to {format_seconds(left)}: {error.message}")

    def _given_up(self, error: BusyError) -> BusyError:
        if not self.seconds or error is self._last:
            return error
        waited = format_seconds(self.seconds)
        self._last = BusyError(f"{error.message}; waited {waited} for it", hint=error.hint)
        return self._last


NO_PATIENCE = Patience()
