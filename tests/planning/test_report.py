"""What a report says of a period: tables of records and the exact changes, reigns, times and sums."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from toolkit.domain.clients.use import PROBE, UseRow
from toolkit.domain.deployment.release import Deployment, Outcome
from toolkit.domain.gates.verdict import Figure, GateRecord, GateResult, Verdict
from toolkit.planning.report.changes import ChangeEnd, GateSummary, Reign, changes, reigns
from toolkit.planning.report.latency import leading, measured
from toolkit.planning.report.use import columns, sums, total

VERSIONS = {("tiny", 1): "v1", ("tiny", 2): "v2"}
ONE = Deployment(
    id=1,
    model="tiny",
    action="deploy",
    release=1,
    previous=None,
    slot="blue",
    actor="ann@ops",
    outcome=Outcome.LIVE,
    reason="",
    started_at=10.0,
    ended_at=20.0,
    host="a",
    rollout="r1",
)
TWO = replace(
    ONE,
    id=2,
    action="upgrade",
    release=2,
    previous=1,
    slot="green",
    started_at=30.0,
    ended_at=40.0,
    rollout="r2",
)
FAILED = {"outcome": Outcome.FAILED, "reason": "too slow"}


def gate(
    name: str, verdict: Verdict, host: str = "a", *figures: Figure, at: float = 35.0
) -> GateRecord:
    reason = "" if verdict is Verdict.PASSED else f"{name} on {host}"
    return GateRecord("tiny", 2, host, "r2", at, GateResult(name, verdict, reason, figures))


def test_all_hosts_of_a_command_are_one_change() -> None:
    other = replace(TWO, id=3, host="b", ended_at=44.0)
    gates = [gate("speed", Verdict.PASSED), gate("speed", Verdict.UNKNOWN, "b")]
    first, second = changes([ONE, TWO, other], gates, VERSIONS)
    assert (first.action, first.version, first.hosts, first.former) == ("deploy", "v1", ("a",), "")
    assert (second.release, second.version, second.previous, second.former) == (2, "v2", 1, "v1")
    assert (second.hosts, second.started, second.ended) == (("a", "b"), 30.0, 44.0)
    assert second.gates == (GateSummary("speed", Verdict.UNKNOWN, "speed on b"),)


@pytest.mark.parametrize(
    ("fields", "gates", "ending"),
    [
        ({}, [], ChangeEnd.LIVE),
        ({"outcome": Outcome.RUNNING, "ended_at": None}, [], ChangeEnd.RUNNING),
        (FAILED, [], ChangeEnd.FAILED),
        (FAILED, [gate("speed", Verdict.FAILED)], ChangeEnd.FAILED),
        (FAILED, [gate("canary", Verdict.FAILED)], ChangeEnd.RETURNED),
        (FAILED, [gate("canary", Verdict.UNKNOWN)], ChangeEnd.RETURNED),
        (
            FAILED,
            [gate("canary", Verdict.PASSED), gate("bake", Verdict.FAILED)],
            ChangeEnd.RETURNED,
        ),
        (FAILED, [gate("canary", Verdict.PASSED)], ChangeEnd.FAILED),
        ({"outcome": Outcome.UNDONE}, [], ChangeEnd.UNDONE),
        ({"action": "stop"}, [], ChangeEnd.STOPPED),
    ],
)
def test_how_a_change_ended(
    fields: dict[str, object], gates: list[GateRecord], ending: ChangeEnd
) -> None:
    (found,) = changes([replace(TWO, **fields)], gates, VERSIONS)  # type: ignore[arg-type]
    assert found.ending is ending


def test_a_change_is_as_bad_as_its_worst_host_and_says_why() -> None:
    other = replace(TWO, id=3, host="b", outcome=Outcome.FAILED, reason="its disk is full")
    (found,) = changes([TWO, other], [], {})
    assert (found.ending, found.reason, found.version) == (ChangeEnd.FAILED, "its disk is full", "")


def test_what_changes_no_release_is_left_out_and_no_rollout_is_a_change_of_its_own() -> None:
    forgotten = replace(ONE, id=7, action="forget", rollout="")
    alone = [replace(ONE, id=each, rollout="") for each in (8, 9)]
    assert len(changes([forgotten, *alone], [], {})) == 2


def test_a_release_reigns_until_the_next_one_is_live() -> None:
    returned = replace(TWO, id=3, rollout="r3", started_at=21.0, ended_at=25.0, **FAILED)  # type: ignore[arg-type]
    known = changes([ONE, returned, TWO], [], VERSIONS)
    assert reigns(known, 90.0) == (
        Reign("tiny", 1, "v1", 20.0, 40.0),
        Reign("tiny", 2, "v2", 40.0, None),
    )


def test_a_stop_ends_a_reign_and_the_same_release_again_does_not() -> None:
    again = replace(ONE, id=3, rollout="r3", started_at=25.0, ended_at=26.0)
    stop = replace(ONE, id=4, rollout="r4", action="stop", started_at=50.0, ended_at=51.0)
    assert reigns(changes([ONE, again, stop], [], VERSIONS), 90.0) == (
        Reign("tiny", 1, "v1", 20.0, 51.0),
    )
    assert reigns((), 90.0) == ()


def test_a_reign_lasts_as_long_as_a_host_has_the_model() -> None:
    other = replace(ONE, id=3, host="b")
    stops = [
        replace(ONE, id=4 + at, rollout=f"s{at}", host=host, action="stop", outcome=Outcome.DONE,
                started_at=50.0 + at, ended_at=51.0 + at)
        for at, host in enumerate(("a", "b"))
    ]  # fmt: skip
    first, last = stops
    live, over = Reign("tiny", 1, "v1", 20.0, None), Reign("tiny", 1, "v1", 20.0, 52.0)
    assert reigns(changes([ONE, other, first], [], VERSIONS), 90.0) == (live,)
    assert reigns(changes([ONE, other, *stops], [], VERSIONS), 90.0) == (over,)
    # A host that left the fleet has it no more.
    gone = replace(last, action="forget", release=0, rollout="")
    assert reigns(changes([ONE, other, first], [], VERSIONS), 90.0, [gone]) == (over,)
    # Deployed there again, it lives on that host alone.
    again = replace(ONE, id=8, rollout="r8", started_at=51.5, ended_at=51.7)
    assert reigns(changes([ONE, other, first, again, last], [], VERSIONS), 90.0) == (live,)
    # An old record names no host.
    everywhere = replace(first, host="")
    assert reigns(changes([ONE, other, everywhere], [], VERSIONS), 90.0) == (
        Reign("tiny", 1, "v1", 20.0, 51.0),
    )


def test_the_times_of_an_upgrade_are_medians_over_its_hosts() -> None:
    times = ((40.0, 50.0), (60.0, 52.0), (44.0, 70.0))
    first = [Figure("time to first token", new, old, "ms") for new, old in times]
    gates = [
        gate("speed", Verdict.PASSED, host, each) for host, each in zip("abc", first, strict=True)
    ]
    found = measured(changes([TWO], gates, VERSIONS))
    assert [(each.gate, each.name, each.old, each.new) for each in found] == [
        ("speed", "time to first token", 52.0, 44.0)
    ]


@pytest.mark.parametrize(
    "figure",
    [
        Figure("probe", None, 40.0, "ms"),
        Figure("probe", 40.0, None, "ms"),
        Figure("probe", 0.0, 40.0, "ms"),
        Figure("probe", -1.0, 40.0, "ms"),
        Figure("memory", 3.0, 2.0, "GiB"),
    ],
)
def test_a_figure_of_one_release_or_of_no_time_is_no_comparison(figure: Figure) -> None:
    assert measured(changes([TWO], [gate("speed", Verdict.PASSED, "a", figure)], {})) == ()


def test_the_time_until_the_first_token_stands_for_an_upgrade() -> None:
    names = ("time of an answer", "time between tokens", "time to first token", "first byte")
    figures = [Figure(name, 40.0, 50.0, "ms") for name in names]
    found = measured(changes([TWO], [gate("speed", Verdict.PASSED, "a", *figures)], {}))
    assert len(found) == 4
    (best,) = leading(found)
    assert (best.name, best.ratio) == ("time to first token", 0.8)
    assert [each.name for each in leading(found[:2])] == ["time of an answer"]


ROW = UseRow("2026-11-02", "a", "ann", "tiny", "v1", 1, 10, 100, 20, 50, 5, 0, ended="whole")


def test_use_is_summed_by_name_without_probes() -> None:
    rows = [
        ROW,
        replace(ROW, key="ben", ended="failed", requests=2, unknown=2),
        replace(ROW, ended="left", requests=3),
        replace(ROW, model="big", tokens_in=900),
        replace(ROW, key=PROBE, requests=999),
    ]
    by_model = sums(rows, lambda row: row.model)
    assert [each.name for each in by_model] == ["big", "tiny"]
    tiny = by_model[1]
    assert (
        tiny.requests,
        tiny.tokens_in,
        tiny.tokens_out,
        tiny.failed,
        tiny.left,
        tiny.unknown,
    ) == (
        15,
        300,
        150,
        2,
        3,
        2,
    )
    assert [each.name for each in sums(rows, lambda row: row.key)] == ["ann", "ben"]
    assert total(by_model, "all").requests == 25
    assert sums([], lambda row: row.model) == ()


def test_columns_have_every_day_and_no_other() -> None:
    rows = [
        ROW,
        replace(ROW, model="other"),
        replace(ROW, day="2026-10-31"),
        replace(ROW, day="no day"),
        replace(ROW, key=PROBE),
    ]
    found, step = columns(rows, date(2026, 11, 1), date(2026, 11, 3), ("tiny",), "others")
    assert step == 1
    assert [(each.day.day, dict(each.tokens), each.total) for each in found] == [
        (1, {}, 0),
        (2, {"tiny": 150, "others": 150}, 300),
        (3, {}, 0),
    ]


@pytest.mark.parametrize(
    ("days", "step", "number"),
    [(1, 1, 1), (62, 1, 62), (63, 7, 9), (365, 7, 53), (1000, 30, 34), (4000, 65, 62)],
)
def test_a_long_period_has_columns_of_several_days(days: int, step: int, number: int) -> None:
    last = date.fromordinal(date(2026, 1, 1).toordinal() + days - 1)
    found, each = columns([], date(2026, 1, 1), last, (), "others")
    assert (each, len(found)) == (step, number)
