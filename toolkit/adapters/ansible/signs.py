"""Signs of life to a run of a playbook: it changes a host for as long as its command has the lock of that host.

A command that was stopped (Ctrl-Z, a machine that slept) loses the lock, and another one may be at work there by the
time that it goes on. The run is a process of its own, which may have been stopped with the command, or not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolkit.adapters.hosts.heartbeat import FIRST_LOSS
from toolkit.errors import HostError

SECONDS = 1.0
# The run ends its playbook after so many without a sign: before anybody else can have the lock.
SILENCE_SECONDS = FIRST_LOSS - 2 * SECONDS


@contextmanager
def signs_of_life(
    send: Callable[[], None], require: Callable[[], None], end: Callable[[], None]
) -> Iterator[None]:
    """Call `send` each SECONDS within this context while `require` does not raise HostError; then call `end`, once."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(SECONDS):
            try:
                require()
            except HostError:
                end()
                return
            send()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
