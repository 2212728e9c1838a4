"""The warm hours of the schedule beside which a command runs, for commands that go on without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.options import DEFAULT_SCHEDULE
from toolkit.cli.output import note
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.domain.schedule import WarmHours


@dataclass(frozen=True, slots=True)
class KnownHours:
    """The hours of models, by name, and why they are not known; empty where they are, or where there is no schedule."""

    of: Mapping[str, WarmHours] = field(default_factory=dict)
    fault: str = ""

    def tell(self) -> None:
        """Say to people why the hours are not known."""
        if self.fault:
            note(f"when models sleep is not known: {self.fault}")


def known_hours(path: str) -> KnownHours:
    """Return the hours of the schedule at `path`; nothing where the file of the usual name is not there."""
    if path == DEFAULT_SCHEDULE and not Path(path).exists():
        return KnownHours()
    from toolkit.config.schedule import load_schedule

    try:
        return KnownHours(load_schedule(Path(path)).schedule.warm)
    except InputError as error:
        return KnownHours(fault=error.message)
