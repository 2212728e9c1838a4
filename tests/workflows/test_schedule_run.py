"""A run with nobody present: what it does in its window, what stops it, and that it happens once.

The desk is one in memory; the decisions, the record and the lock are those of the product.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from tests.planning.test_currency import MODEL, NEW, OLD, version
from toolkit.adapters.schedule_record import ScheduleRecord
from toolkit.domain.facts import FleetFacts, HostFacts, ProcessState, SlotFacts
from toolkit.domain.guard import Guard, ShareStep
from toolkit.domain.model import Policy
from toolkit.domain.probe import LockOwner
from toolkit.domain.release import Deployment, Outcome, StepRecord
from toolkit.domain.schedule import Rule, Schedule, Upkeep, Window
from toolkit.domain.upstream import Sighting, Upstream
from toolkit.errors import (
    BusyError,
    HostError,
    InputError,
    RefusedError,
    SourceError,
    ToolkitError,
    UnattendedError,
)
from toolkit.planning.upkeep.currency import Currency, State, judge
from toolkit.planning.upkeep.idle_after import Counted
from toolkit.planning.upkeep.unattended import Action, Seen, expected_seconds
from toolkit.workflows.schedule.desk import Ended, RunReport, Site
from toolkit.workflows.schedule.run import preview, run_schedule

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
    windows: list[str] = field(default_factory=list)
    begin_error: ToolkitError | None = None
    adapters: dict[str, str] = field(default_factory=dict)
    any_window: bool = False
    counts: dict[str, Counted] | None = None

    def begin(self, window: str) -> None:
        if self.begin_error:
            raise self.begin_error
        self.windows.append(window)

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

    def counted(self) -> Mapping[str, Counted]:
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

    def upgrade(self, model: str, version: str, reason: str, until: float) -> Ended:
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


def test_a_run_pins_a_new_revision_and_upgrades_to_it(night: Night) -> None:
    report = night.run()
    assert night.desk.done == ["pin tiny", "upgrade tiny@v2"]
    assert (report.upgraded, report.failure) == (["tiny@v2"], None)
    (run,) = night.record.read().runs
    assert (run.window, run.opens, run.code) == ("night", OPENS, 0)
    assert "tiny: upgraded to v2" in run.lines


def test_a_second_run_in_the_same_opening_does_nothing_and_says_so(night: Night) -> None:
    night.run()
    night.desk.done.clear()
    night.said.clear()
    report = night.run()
    assert (night.desk.done, report.openings, report.failure) == ([], [], None)
    assert night.said == ["the window night had its run at Tue 2026-12-01 02:01 UTC"]
    night.clock[0] += DAY
    assert [each.opens for each in night.run().openings] == [OPENS + DAY]


def test_a_current_model_and_one_to_pin_only_are_not_upgraded(night: Night) -> None:
    night.desk.states["other"] = upstream(OLD)
    report = night.run(schedule(Rule("tiny", Upkeep.PIN_ONLY), Rule("other", Upkeep.AUTO)))
    assert (night.desk.done, night.desk.windows) == (["pin tiny"], ["night"])
    assert [each.action for each in report.decisions.values()] == [Action.NOTHING, Action.NOTHING]
    assert report.failure is None


def test_a_revision_that_is_not_known_long_enough_waits(night: Night) -> None:
    night.desk.states["tiny"] = upstream(NEW, seen=OPENS - DAY)
    report = night.run()
    assert night.desk.done == ["pin tiny"]
    assert report.decisions["tiny"].words == "v2 is known for 24 h 01 min, of 3 d"
    assert report.failure is None


def test_an_adapter_is_upgraded_to_by_a_version_of_its_model(night: Night) -> None:
    night.desk.adapters = {"sql": "tiny"}
    report = night.run(schedule(Rule("sql", Upkeep.AUTO, (), 3 * DAY)))
    assert night.desk.done == ["pin sql", "upgrade tiny@v2"]
    assert (report.upgraded, report.failure) == (["tiny@v2"], None)
    assert "sql: upgraded to v2" in night.record.read().runs[0].lines


def test_a_model_has_one_upgrade_in_a_window_and_its_own_comes_before_its_adapters(
    night: Night,
) -> None:
    night.desk.adapters = {"sql": "tiny", "law": "tiny"}
    night.desk.seen = serving("tiny", "other")
    rules = [Rule(name, Upkeep.AUTO) for name in ("sql", "law", "tiny", "other")]
    report = night.run(schedule(*rules, most=9))
    assert report.upgraded == ["tiny@v2", "other@v2"]
    # Nothing is pinned that the upgrade would make out of date.
    assert night.desk.done[:2] == ["pin tiny", "pin other"]
    for name in ("sql", "law"):
        assert report.decisions[name].action is Action.WAIT
        assert report.decisions[name].words == "tiny is upgraded to v2 first"
    night.clock[0] += DAY
    night.desk.done.clear()
    night.desk.states.update(tiny=upstream(OLD), other=upstream(OLD))
    assert night.run(schedule(*rules, most=9)).upgraded == ["tiny@v2"]
    assert night.desk.done == ["pin sql", "upgrade tiny@v2"]


def test_a_second_window_that_is_open_begins_anew(night: Night) -> None:
    night.desk.adapters = {"sql": "tiny"}
    night.desk.seen = serving("tiny", "other")
    rules = (Rule("sql", Upkeep.AUTO, ("night",)), Rule("other", Upkeep.AUTO, ("late",)))
    late = replace(NIGHT, name="late", at=time(1))
    given = schedule(*rules, windows={"night": NIGHT, "late": late})
    night.desk.any_window = True
    assert sorted(night.run(given).upgraded) == ["other@v2", "tiny@v2"]


def test_what_stops_a_model_stops_its_adapters_and_one_that_failed_is_remembered(
    night: Night,
) -> None:
    night.desk.adapters = {"sql": "tiny"}
    given = schedule(Rule("sql", Upkeep.AUTO))
    night.desk.seen = serving("other")
    report = night.run(given)
    assert report.decisions["sql"].words == "tiny serves on no host, so there is nothing to upgrade"
    night.clock[0] += DAY
    night.desk.seen = SOUND
    night.desk.ended["tiny"] = Ended(8, "answers of sql: 3 lost")
    assert "tiny@v2: answers of sql: 3 lost" in str(night.run(given).failure)
    night.clock[0] += DAY
    night.desk.done.clear()
    report = night.run(given)
    assert night.desk.done == []
    assert report.decisions["sql"].action is Action.PERSON
    assert (
        "v2 failed before and is not tried again: answers of sql" in report.decisions["sql"].words
    )


def test_no_more_models_than_allowed_are_upgraded_in_one_window(night: Night) -> None:
    rules = [Rule(name, Upkeep.AUTO) for name in ("tiny", "second", "third")]
    night.desk.seen = serving("tiny", "second", "third")
    report = night.run(schedule(*rules, most=2))
    assert report.upgraded == ["tiny@v2", "second@v2"]
    assert report.decisions["third"].words == "2 of 2 models are done in this window"
    assert report.failure is None


def serving(*models: str) -> Seen:
    slots = tuple(replace(SERVING, model=name) for name in models)
    return Seen(FleetFacts({"gpu1": HostFacts("gpu1", 0.0, slots=slots)}, {}, {"gpu1": "gpu1"}))


def host(**changes: object) -> Seen:
    facts = replace(HostFacts("gpu1", 0.0, slots=(SERVING,)), **changes)  # type: ignore[arg-type]
    return Seen(FleetFacts({"gpu1": facts}, {}, {"gpu1": "gpu1"}))


def silent(number: int) -> Seen:
    errors = {f"gpu{each}": HostError(f"gpu{each}: no answer") for each in range(2, 2 + number)}
    return Seen(FleetFacts(SOUND.fleet.facts, errors, {}))


OPEN = Deployment(
    id=7,
    model="tiny",
    action="deploy",
    release=2,
    previous=1,
    slot="green",
    actor="ann@ops",
    outcome=Outcome.RUNNING,
    reason="",
    started_at=0.0,
    host="gpu1",
)
UNEXPECTED: dict[str, tuple[Callable[[FakeDesk], None], str]] = {
    "drift": (lambda desk: at(desk, replace(SOUND, drift=("gpu1: tiny blue",))), "drift: gpu1: tiny blue"),
    "an unfinished deployment": (
        lambda desk: at(desk, replace(SOUND, unfinished=(OPEN,))),
        "unfinished: deployment 7, deploy tiny by ann@ops",
    ),
    "a locked fleet": (
        lambda desk: at(desk, host(held_by=LockOwner("bob@ops", "toolkit deploy", 1))),
        "gpu1 is held by bob@ops: toolkit deploy",
    ),
    "an unreachable host": (lambda desk: at(desk, silent(1)), "gpu2 is unreachable: no answer"),
    "a router behind": (
        lambda desk: at(desk, replace(SOUND, behind=("gpu1",))), "the router of gpu1 has missed a change",
    ),
    "a history with damage": (
        lambda desk: at(desk, replace(SOUND, history_fault="damaged")), "the history cannot be read in full",
    ),
    "a model that serves nowhere": (lambda desk: at(desk, serving("other")), "tiny serves on no host"),
    "another licence": (
        lambda desk: of(desk, upstream(NEW, licence="other")), "licence: mit -> other",
    ),
    "another owner": (
        lambda desk: of(desk, upstream(NEW, name="mallory/tiny")), "renamed: acme/tiny -> mallory/tiny",
    ),
    "a vanished branch": (lambda desk: of(desk, upstream("")), "main is gone from acme/tiny"),
    "a version that failed before": (
        lambda desk: desk.failed.update({NEW: "canary: 5 % errors"}),
        "v2 failed before and is not tried again: canary: 5 % errors",
    ),
    "a licence that a pin refuses": (
        lambda desk: setattr(desk, "pin_error", InputError("says its licence is 'other'")),
        "says its licence is 'other'",
    ),
}  # fmt: skip


def at(desk: FakeDesk, seen: Seen) -> None:
    desk.seen = seen


def of(desk: FakeDesk, found: Upstream) -> None:
    desk.states["tiny"] = found


@pytest.mark.parametrize(("change", "words"), UNEXPECTED.values(), ids=UNEXPECTED.keys())
def test_a_run_that_meets_the_unexpected_changes_no_host_and_says_why(
    night: Night, change: Callable[[FakeDesk], None], words: str
) -> None:
    change(night.desk)
    report = night.run()
    assert [each for each in night.desk.done if each.startswith("upgrade")] == []
    assert isinstance(report.failure, UnattendedError)
    assert report.failure.exit_code == 10
    assert words in report.failure.message
    assert "nothing was changed on any host" in report.failure.message
    assert night.record.read().runs[0].code == 10
    assert report.decisions["tiny"].action is Action.PERSON


def test_as_many_silent_hosts_as_the_schedule_allows_are_no_reason_to_stop(night: Night) -> None:
    night.desk.seen = silent(1)
    assert night.run(schedule(unreachable=1)).upgraded == ["tiny@v2"]


def test_a_source_that_does_not_answer_stops_its_model_alone(night: Night) -> None:
    night.desk.unknown = {"tiny"}
    night.desk.seen = serving("tiny", "other")
    report = night.run(schedule(Rule("tiny", Upkeep.AUTO), Rule("other", Upkeep.AUTO)))
    assert report.upgraded == ["other@v2"]
    assert isinstance(report.failure, SourceError)
    assert "tiny: its source is not known: no connection" in report.failure.message


def test_a_version_that_a_guard_returned_is_never_tried_again(night: Night) -> None:
    night.desk.ended["tiny"] = Ended(8, "the canary failed: 5 % errors\n  the hosts now: restored")
    report = night.run()
    assert report.failure is not None
    assert report.failure.exit_code == 8
    night.desk.done.clear()
    for day in (1, 2, 30):
        night.clock[0] = OPENS + day * DAY + 60
        again = night.run()
        assert night.desk.done == []
        assert again.failure is not None
        assert again.failure.exit_code == 10
        assert again.failure.message.endswith(
            "v2 failed before and is not tried again: the canary failed: 5 % errors"
        )


def test_after_a_failure_no_further_model_is_touched(night: Night) -> None:
    night.desk.seen = serving("tiny", "other")
    night.desk.ended["tiny"] = Ended(8, "it failed")
    rules = schedule(Rule("tiny", Upkeep.AUTO), Rule("other", Upkeep.AUTO), most=5)
    night.run(rules)
    assert [each for each in night.desk.done if each.startswith("upgrade")] == ["upgrade tiny@v2"]


CODES = [(4, 10), (7, 7), (3, 10), (130, 130), (1, 10), (-9, 10)]


@pytest.mark.parametrize(("code", "told"), CODES)
def test_the_end_of_an_upgrade_becomes_a_stable_exit_code(
    night: Night, code: int, told: int
) -> None:
    night.desk.ended["tiny"] = Ended(code, "so it ended")
    report = night.run()
    assert report.failure is not None
    assert report.failure.exit_code == told
    # Only a failed release is given up for good.
    assert night.record.read().failed == {}


def test_outside_its_windows_a_run_refuses_and_names_the_next_opening(night: Night) -> None:
    night.clock[0] = OPENS - 60
    with pytest.raises(RefusedError, match="night opens Tue 2026-12-01 02:00 UTC") as caught:
        night.run()
    assert caught.value.exit_code == 3
    assert night.desk.done == []
    # The timer's own start is silent: it fires once more than a window needs.
    assert night.run(by_timer=True).failure is None
    assert (night.desk.done, night.said) == ([], [])


def test_the_end_of_a_window_is_outside_of_it(night: Night) -> None:
    night.clock[0] = OPENS + 3 * 3600
    with pytest.raises(RefusedError):
        night.run()


def test_an_upgrade_that_would_not_end_within_the_window_is_not_begun(night: Night) -> None:
    night.clock[0] = OPENS + 3 * 3600 - 90
    night.desk.takes = 100.0
    report = night.run()
    assert night.desk.done == ["pin tiny"]
    assert report.decisions["tiny"].words == (
        "1 min 30 s are left of the window, and it takes 1 min 40 s"
    )
    assert report.failure is None


def test_a_timer_waits_for_its_part_of_the_jitter(night: Night) -> None:
    given = schedule(windows={"night": replace(NIGHT, jitter=3600.0)})
    night.clock[0] = OPENS
    night.run(given, by_timer=True)
    (waited,) = night.slept
    assert 0 < waited < 3600
    assert night.desk.done == ["pin tiny", "upgrade tiny@v2"]
    # A person's run begins at once.
    night.clock[0] = OPENS + DAY
    night.desk.states["tiny"] = upstream(OLD)
    night.run(given)
    assert len(night.slept) == 1


def test_openings_without_a_run_are_told_once_and_not_made_up_for(night: Night) -> None:
    night.run()
    night.desk.done.clear()
    night.said.clear()
    night.clock[0] = OPENS + 3 * DAY + 12 * 3600
    report = night.run(by_timer=True)
    assert [each.opens for each in report.missed] == [OPENS + day * DAY for day in (1, 2, 3)]
    assert night.said[0] == "missed: the window night of Wed 2026-12-02 02:00 UTC; not made up for"
    assert night.desk.done == []
    assert night.run(by_timer=True).missed == ()
    assert len(night.record.read().missed) == 3


def test_a_run_that_was_killed_is_not_begun_again_in_its_window(night: Night) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> Ended:
        raise Killed

    night.desk.upgrade = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        night.run()
    assert night.record.read().runs[0].code == 130
    report = night.run()
    assert (report.openings, night.desk.done) == ([], ["pin tiny"])


def test_two_runs_at_once_are_one(night: Night, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, over = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path / "home", held, over))
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(BusyError) as caught:
            night.run()
        assert caught.value.exit_code == 4
        assert night.desk.done == []
    finally:
        over.set()
        other.join(30)
    assert night.run().upgraded == ["tiny@v2"]


def hold(home: Path, held: object, over: object) -> None:
    with ScheduleRecord(home).locked():
        held.set()  # type: ignore[attr-defined]
        over.wait(30)  # type: ignore[attr-defined]


def test_a_night_with_nothing_to_do_is_put_on_no_record(night: Night) -> None:
    night.desk.states["tiny"] = upstream(OLD)
    assert night.run().failure is None
    assert (night.desk.done, night.desk.windows) == ([], [])
    assert night.record.read().runs[0].code == 0


def test_a_run_that_cannot_be_put_on_record_does_nothing(night: Night) -> None:
    night.desk.begin_error = RefusedError("the audit log takes nothing")
    report = night.run()
    assert (night.desk.done, night.desk.windows) == ([], [])
    assert isinstance(report.failure, RefusedError)
    assert night.record.read().runs[0].code == 3


def test_a_damaged_record_stops_the_run_before_anything(night: Night, tmp_path: Path) -> None:
    night.run(schedule(Rule("tiny", Upkeep.PIN_ONLY)))
    (tmp_path / "home" / "schedule.json").write_text("{")
    night.desk.done.clear()
    with pytest.raises(ToolkitError, match="cannot be read"):
        night.run()
    assert night.desk.done == []


def test_a_preview_decides_and_does_nothing(night: Night) -> None:
    found = preview(schedule(), "night", night.site)
    assert found["tiny"].action is Action.PIN
    assert night.desk.done == []
    assert night.record.read().runs == ()


def test_a_window_on_the_day_that_the_clocks_change_is_worked_in_once(night: Night) -> None:
    berlin = Window("night", time(2, 30), 3600.0, "Europe/Berlin", (6,), jitter=0.0)
    given = schedule(Rule("tiny", Upkeep.PIN_ONLY), windows={"night": berlin})
    # Clocks go back on 2026-10-25: 02:30 comes at 00:30 and at 01:30 UTC.
    begin = datetime(2026, 10, 25, tzinfo=UTC).timestamp()
    night.clock[0] = begin
    worked = []
    for minute in range(0, 240, 10):
        night.clock[0] = begin + minute * 60
        if night.run(given, by_timer=True).openings:
            worked.append(minute)
    assert worked == [30]


def deployment(number: int, started: float, ended: float | None, outcome: Outcome) -> Deployment:
    return Deployment(
        id=number,
        model="tiny",
        action="upgrade",
        release=2,
        previous=1,
        slot="green",
        actor="a",
        outcome=outcome,
        reason="",
        started_at=started,
        ended_at=ended,
        rollout="r1",
    )


def test_an_upgrade_is_expected_to_take_as_long_as_the_last_one() -> None:
    guard = Guard(steps=(ShareStep(0.01, 300.0), ShareStep(0.5, 60.0)), bake=40.0)
    assert expected_seconds([], guard) == 600 + 300 + 60 + 40
    known = [
        deployment(3, 500.0, None, Outcome.FAILED),
        deployment(2, 150.0, 400.0, Outcome.LIVE),
        deployment(1, 100.0, 140.0, Outcome.LIVE),
    ]
    assert expected_seconds(known, guard) == 300.0
    interrupted = replace(deployment(4, 1000.0, 1900.0, Outcome.UNDONE), rollout="r2")
    assert expected_seconds([interrupted, *known], guard) == 900.0
    assert expected_seconds([replace(interrupted, ended_at=4000.0)], guard) == 3000.0


def test_an_exchange_of_adapters_says_nothing_of_a_start() -> None:
    def ended(number: int, kind: str, seconds: float) -> Deployment:
        step = StepRecord(1, kind, "", Outcome.LIVE, 0.0, seconds)
        done = deployment(number, 1000.0 * number, 1000.0 * number + seconds, Outcome.LIVE)
        return replace(done, rollout=f"r{number}", steps=(step,))

    known = [ended(3, "adapt", 4.0), ended(2, "start", 240.0), ended(1, "adapt", 9.0)]
    assert expected_seconds(known, Guard()) == 240.0
    assert expected_seconds(known, Guard(), of_adapter=True) == 4.0
