"""A desk in memory and a night at it, for the tests of runs with nobody present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from tests.planning.test_currency import MODEL, NEW, OLD, version
from toolkit.adapters.schedule_record import ScheduleRecord
from toolkit.domain.deployment.schedule import Rule, Schedule, Upkeep, Window
from toolkit.domain.hosts.facts import FleetFacts, HostFacts, ProcessState, SlotFacts
from toolkit.domain.registry.model import Policy
from toolkit.domain.registry.upstream import Sighting, Upstream
from toolkit.errors import (
    HostError,
    ToolkitError,
)
from toolkit.planning.upkeep.currency import Currency, State, judge
from toolkit.planning.upkeep.idle_after import Activity
from toolkit.planning.upkeep.unattended import Seen
from toolkit.workflows.schedule.desk import Ended, RunReport, Site
from toolkit.workflows.schedule.run import run_schedule

DAY = 86_400.0

# 02:00 in UTC on a Tuesday: the window is open until 05:00.
OPENS = datetime(2026, 12, 1, 2, tzinfo=UTC).timestamp()

NIGHT = Window("night", time(2), 3 * 3600.0, "UTC", tuple(range(7)))

SERVING = SlotFacts("tiny", "blue", 1, process=ProcessState.RUNNING, healthy=True, weight=100)

SOUND = Seen(FleetFacts({"gpu1": HostFacts("gpu1", 0.0, slots=(SERVING,))}, {}, {"gpu1": "gpu1"}))


@dataclass
class FakeDesk:
    """A desk at which everything is at hand; a test takes things away."""

    clock: list[float]
    states: dict[str, Upstream] = field(default_factory=dict)
    candidates: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    seen: Seen = SOUND
    failed: dict[str, str] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    pin_error: ToolkitError | None = None
    takes: float = 60.0
    done: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    begin_error: ToolkitError | None = None
    adapters: dict[str, str] = field(default_factory=dict)
    any_window: bool = False
    counts: dict[str, Activity] | None = None
    rollouts: list[str] = field(default_factory=list)

    def begin(self, why: str) -> None:
        if self.begin_error:
            raise self.begin_error
        self.reasons.append(why)

    def currencies(self, models: Sequence[str]) -> Mapping[str, Currency]:
        return {name: self._currency(name) for name in models}

    def _currency(self, name: str) -> Currency:
        base = self.adapters.get(name, "")
        old = replace(version("v1", OLD), model=name, adapter_of=base)
        model = replace(MODEL, name=name, versions=(old,))
        if name in self.unknown:
            return Currency(model.newest, State.UNKNOWN, None, fault="no connection")
        if candidate := self.candidates.get(name):
            new = replace(version(candidate, NEW, candidate=True), model=name)
            model = replace(model, versions=(*model.versions, new))
        found = self.states.get(name, upstream(NEW))
        return judge(model, found, (), Policy(("mit",)))

    def pin(self, model: str) -> str:
        if self.pin_error:
            raise self.pin_error
        self.done.append(f"pin {model}")
        self.candidates[model] = "v2"
        return "v2"

    def look(self) -> Seen:
        return self.seen

    def failures(self, model: str) -> Mapping[str, str]:
        return self.failed

    def duration(self, model: str) -> float:
        return self.takes

    def start_seconds(self, model: str) -> float:
        return 240.0

    def wake(self, model: str, reason: str) -> Ended:
        assert reason == "schedule, its warm hours begin"
        self.done.append(f"wake {model}")
        return self.ended.get(model, Ended(0))

    def counted(self) -> Mapping[str, Activity]:
        if self.counts is None:
            raise HostError("gpu1 does not answer")
        return self.counts

    def put_to_sleep(self, model: str, policy: str, reason: str) -> Ended:
        assert reason in (
            "schedule, its warm hours are over",
            "schedule, no request for 30 min 00 s",
        )
        self.done.append(f"sleep {model} {policy}")
        return self.ended.get(model, Ended(0))

    def upgrade(self, model: str, version: str, reason: str, until: float, rollout: str) -> Ended:
        self.rollouts.append(rollout)
        self.done.append(f"upgrade {model}@{version}")
        if not self.any_window:
            assert (until - OPENS) % DAY == 3 * 3600
            assert reason == "schedule, window night"
        self.clock[0] += self.takes
        return self.ended.get(model, Ended(0))


def upstream(revision: str, *, seen: float = OPENS - 9 * DAY, **changes: object) -> Upstream:
    found = Upstream(revision, "mit", name="acme/tiny", seen=Sighting(seen, gated=False))
    return replace(found, **changes)  # type: ignore[arg-type]


def schedule(*rules: Rule, **changes: object) -> Schedule:
    rules = rules or (Rule("tiny", Upkeep.AUTO, (), 3 * DAY),)
    found = Schedule({"night": NIGHT}, {rule.model: rule for rule in rules})
    return replace(found, **changes)  # type: ignore[arg-type]


class Night:
    """An ops machine in the middle of an open window."""

    def __init__(self, home: Path) -> None:
        self.clock = [OPENS + 60]
        self.desk = FakeDesk(self.clock)
        self.record = ScheduleRecord(home)
        self.said: list[str] = []
        self.slept: list[float] = []

    @property
    def site(self) -> Site:
        return Site(
            self.desk, self.record, "ops1", lambda: self.clock[0], self.sleep, self.said.append
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock[0] += seconds

    def run(self, given: Schedule | None = None, *, by_timer: bool = False) -> RunReport:
        return run_schedule(given or schedule(), self.site, by_timer=by_timer)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path / "home")


def serving(*models: str) -> Seen:
    slots = tuple(replace(SERVING, model=name) for name in models)
    return Seen(FleetFacts({"gpu1": HostFacts("gpu1", 0.0, slots=slots)}, {}, {"gpu1": "gpu1"}))
