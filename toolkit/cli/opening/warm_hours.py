"""The warm hours of the schedule beside which a command runs, for commands that go on without one."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolkit.cli.arguments.options import DEFAULT_SCHEDULE
from toolkit.cli.terminal.output import note
from toolkit.domain.deployment.schedule import Schedule, SleepRule, WarmHours
from toolkit.errors import InputError

_NONE = Schedule({}, {})


@dataclass(frozen=True, slots=True)
class KnownHours:
    """A schedule, and why it is not known; empty where it is, or where there is none."""

    schedule: Schedule = _NONE
    fault: str = ""

    @property
    def of(self) -> Mapping[str, WarmHours]:
        """The hours of models, by name."""
        return self.schedule.warm

    def rule(self, model: str, known: Collection[str] = ()) -> SleepRule:
        """Return when a model falls asleep, where the routes have it take turns with the models in `known`."""
        alternates = {*known, *self.schedule.alternates_of(model)}
        return SleepRule(self.of.get(model), tuple(sorted(alternates)))

    def tell(self) -> None:
        """Say to people why the hours are not known."""
        if self.fault:
            note(f"when models sleep is not known: {self.fault}")


def known_hours(path: str) -> KnownHours:
    """Return the hours of the schedule at `path`; nothing where the file of the usual name is not there."""
    if path == DEFAULT_SCHEDULE and not Path(path).exists():
        return KnownHours()
    from toolkit.workflows.schedule.install import read_schedule

    try:
        return KnownHours(read_schedule(Path(path), None, time.time()))
    except InputError as error:
        return KnownHours(fault=error.message)
