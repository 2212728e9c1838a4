"""Waiting for what comes about by itself."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float) -> None:
    """Return once `condition` holds; fails where it does not within `seconds`."""
    end = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if condition():
            return
        looked = time.monotonic()
        assert looked < end, f"not within {seconds} s"
        # A look is often a command over a whole fleet, which takes the processors that the awaited work needs.
        time.sleep(max(0.2, looked - began))
