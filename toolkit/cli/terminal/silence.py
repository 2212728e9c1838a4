"""Say what a command waits for while it prints nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.cli.terminal.output import note

# Seconds without a word that a person waits at first, and then between two words.
_FIRST, _EACH = 2.0, 10.0


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Say what the block waits for where it takes longer than two seconds, and then every ten."""
    over = threading.Event()

    def remind() -> None:
        seconds = _FIRST
        while not over.wait(seconds):
            note(f"waiting for {what}")
            seconds = _EACH

    reminding = threading.Thread(target=remind, daemon=True)
    reminding.start()
    try:
        yield
    finally:
        over.set()
        reminding.join()
