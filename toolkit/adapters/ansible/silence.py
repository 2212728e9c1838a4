"""A host while its playbook says nothing: a task may take hours, and a host that hangs looks the same from here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolkit.errors import HostError

# Seconds without an event, after which the host is asked whether it still answers, and again after as many.
SECONDS = 180.0
_TICK_SECONDS = 1.0


class Silence:
    """What is known of the host. `fault` is the error of one that no longer answers."""

    def __init__(self) -> None:
        self.fault: HostError | None = None
        self._heard = 0
        self._over = threading.Event()

    def heard(self) -> None:
        """Note an event of the playbook."""
        self._heard += 1

    @contextmanager
    def watched(
        self, ask: Callable[[Callable[[float], None]], None], end: Callable[[], None]
    ) -> Iterator[None]:
        """Call `ask` within this context after each SECONDS of silence; where it raises HostError, call `end`.

        `ask` gets a function to sleep by, which raises once the context is left.
        """
        watch = threading.Thread(target=self._watch, args=(ask, end), daemon=True)
        watch.start()
        try:
            yield
        finally:
            self._over.set()
            watch.join()

    def _watch(
        self, ask: Callable[[Callable[[float], None]], None], end: Callable[[], None]
    ) -> None:
        # Looks are counted, not a clock's seconds: while a person has stopped the command, nobody listens.
        silent, heard = 0, self._heard
        while not self._over.wait(_TICK_SECONDS):
            silent = silent + 1 if heard == self._heard else 0
            heard = self._heard
            if silent * _TICK_SECONDS <= SECONDS:
                continue
            silent = 0
            try:
                ask(self._sleep)
            except HostError as error:
                if not self._over.is_set():
                    self.fault = error
                    end()
                return

    def _sleep(self, seconds: float) -> None:
        if self._over.wait(seconds):
            raise HostError("its playbook has ended")
