"""Tell a person how far the start of a replica is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from toolkit.planning.engines.port import Engine

_EACH = 10  # seconds


class Starting:
    """Takes the reports of a start; says each phase as it begins, and every ten seconds that it goes on.

    A report is {"seconds", "line"}, with the newest line of the log. Phases only go forward: a late line of an earlier
    one comes from another process of the engine.
    """

    def __init__(self, engine: Engine, say: Callable[[str], None]) -> None:
        self._engine, self._say = engine, say
        self._phase, self._said = -1, 0

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one report."""
        seconds = round(event["seconds"])
        phase = max(self._phase, self._engine.phase_of(event["line"]))
        if phase == self._phase and seconds < self._said + _EACH:
            return
        self._phase, self._said = phase, seconds
        self._say(f"  starting for {seconds} s: {self._engine.phases[phase]}")
