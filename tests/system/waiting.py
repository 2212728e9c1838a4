"""Waiting for what comes about by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
# Characters of what was seen last that a failure shows: the end, which says most where it is a log.
SHOWN = 3000


def until(
    look: Callable[[], Found],
    seconds: float,
    holds: Callable[[Found], object] = bool,
    *,
    pause: float = 0.2,
) -> Found:
    """Return what `look` finds once `holds` is true of it; without `holds`, once it finds anything at all.

    It looks again after `pause` seconds, or after as long as a look takes. Raises AssertionError, with what was seen
    last, where that is not so within `seconds`.
    """
    end = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        found = look()
        if holds(found):
            return found
        # The last look begins after the end, so that a machine that stood still till then has one.
        assert began < end, f"not within {seconds} s; seen last: {_text(found)[-SHOWN:]}"
        # A look is often a command over a whole fleet, which takes the processors that the awaited work needs.
        time.sleep(max(pause, time.monotonic() - began))


def _text(found: object) -> str:
    return found if isinstance(found, str) else repr(found)
