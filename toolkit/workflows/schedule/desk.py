"""The questions and the work of a run of the schedule, and its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from toolkit.adapters.schedule_record import ScheduleRecord
from toolkit.domain.deployment.schedule import Opening
from toolkit.errors import ToolkitError
from toolkit.planning.upkeep.currency import Currency
from toolkit.planning.upkeep.idle_after import Activity
from toolkit.planning.upkeep.unattended import Decision, Seen


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of the command of an upgrade: its exit code, and its message."""

    code: int
    message: str = ""


class Desk(Protocol):
    """The questions and the work of a run; the command line has them with the real adapters."""

    def begin(self, why: str) -> None:
        """Put on record, once, that a run has something to do or to say; raises ToolkitError where it must not."""

    def currencies(self, models: Sequence[str]) -> Mapping[str, Currency]:
        """Return how each model stands to its source, by name."""

    def pin(self, model: str) -> str:
        """Pin what the source of a model holds as a candidate, and return its name; raises ToolkitError."""

    def look(self) -> Seen:
        """Observe the fleet."""

    def failures(self, model: str) -> Mapping[str, str]:
        """Return why revisions of a model failed, by revision, as the history has it."""

    def duration(self, model: str) -> float:
        """Return how long an upgrade of a model takes, in seconds."""

    def start_seconds(self, model: str) -> float:
        """Return how long a start of a model usually takes, in seconds."""

    def counted(self) -> Mapping[str, Activity]:
        """Return the requests that all hosts count, by model; raises HostError where one does not answer."""

    def wake(self, model: str, reason: str) -> Ended:
        """Wake a model that sleeps."""

    def put_to_sleep(self, model: str, policy: str, reason: str) -> Ended:
        """Put a model to sleep; `policy` says what its requests get."""

    def upgrade(self, model: str, version: str, reason: str, until: float, rollout: str) -> Ended:
        """Upgrade a model, as `rollout` in the history; interrupt that at `until` (seconds since the epoch).

        An interruption undoes it. The upgrade first ends a change that an earlier command left open.
        """


@dataclass(frozen=True, slots=True)
class Site:
    """The site of a run: the desk, the record of former runs, and the clock of this `machine`.

    `now` returns seconds since the epoch; `sleep` waits for seconds, and an interruption ends it. `say` reports.
    """

    desk: Desk
    record: ScheduleRecord
    machine: str
    now: Callable[[], float]
    sleep: Callable[[float], None]
    say: Callable[[str], None]


@dataclass(slots=True)
class RunReport:
    """The report of a run. `openings` are the windows that it worked in; the decision of each model is its last one.

    `warm` has what was done for the warm hours of a model, in words.
    """

    openings: list[Opening] = field(default_factory=list)
    decisions: dict[str, Decision] = field(default_factory=dict)
    upgraded: list[str] = field(default_factory=list)
    warm: dict[str, str] = field(default_factory=dict)
    missed: tuple[Opening, ...] = ()
    failure: ToolkitError | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "openings": [each.as_json() for each in self.openings],
            "models": {
                name: {"action": str(each.action), "version": each.version, "words": each.words}
                for name, each in self.decisions.items()
            },
            "upgraded": list(self.upgraded),
            "warm": dict(self.warm),
            "missed": [each.as_json() for each in self.missed],
        }
