"""Tell a person how far the start of a replica is, and keep how long each of its phases took."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from toolkit.domain.deployment.release import Release
from toolkit.domain.quantity import format_seconds
from toolkit.domain.replicas.start import StartRecord, usual_phases
from toolkit.errors import ToolkitError
from toolkit.planning.engines import engine_of
from toolkit.planning.engines.port import Engine
from toolkit.workflows.tools import Tools

_EACH = 10  # seconds


class Starting:
    """Takes the reports of a start; says each phase as it begins, and every ten seconds that it goes on.

    A report is {"seconds", "line"}, with the newest line of the log. Phases only go forward: a late line of an earlier
    one comes from another process of the engine. `usual` are the seconds that each phase takes by former starts.
    """

    def __init__(
        self, engine: Engine, say: Callable[[str], None], usual: Mapping[str, float] | None = None
    ) -> None:
        self._engine, self._say, self._usual = engine, say, usual or {}
        self._phase, self._said = -1, 0
        self._begun: dict[str, float] = {}

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one report."""
        seconds = round(event["seconds"])
        phase = max(self._phase, self._engine.phase_of(event["line"]))
        if phase == self._phase and seconds < self._said + _EACH:
            return
        name = self._engine.phases[phase]
        self._begun.setdefault(name, event["seconds"])
        self._phase, self._said = phase, seconds
        usual = f", usually {format_seconds(self._usual[name])}" if name in self._usual else ""
        self._say(f"  starting for {seconds} s: {name}{usual}")

    def phases(self, seconds: float) -> dict[str, float]:
        """Return the seconds of each phase that was seen, for a start that took `seconds` in all."""
        # The first report comes after the first phase has begun.
        begun = [0.0, *list(self._begun.values())[1:], seconds]
        return {name: begun[at + 1] - begun[at] for at, name in enumerate(self._begun)}


def usual_starting(tools: Tools, release: Release, host: str) -> Starting:
    """Return the teller of a start that knows former ones. Without a history it tells the phases alone."""
    try:
        usual = usual_phases(tools.history.starts(release.model), release.engine, host)
    except ToolkitError:
        usual = {}
    return Starting(engine_of(release.engine), tools.say, usual)


def keep_phases(
    tools: Tools, release: Release, host: str, starting: Starting, seconds: float
) -> None:
    """Record how long each phase of a start of `seconds` took.

    Never fails: a deployment does not end because of its figures.
    """
    phases = starting.phases(seconds)
    if not phases:
        return
    try:
        tools.history.add_start(
            StartRecord(release.model, release.number, host, release.engine, phases, tools.clock())
        )
    except ToolkitError as error:
        tools.say(f"the phases of the start of {release.title} were not kept: {error}")
