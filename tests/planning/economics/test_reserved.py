"""When replicas held hosts, from the steps of deployments."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from toolkit.domain.deployment.release import Deployment, Outcome, StepRecord
from toolkit.planning.economics.reserved import reserved

_IDS = count(1)
Steps = list[tuple[str, str, int, int]]


def deployment(  # noqa: PLR0913  (a deployment has so many facts)
    action: str, slot: str, steps: Steps, *, release: int = 1, previous: int | None = None,
    outcome: Outcome = Outcome.LIVE, fails: str = "", ended: int | None = None, host: str = "gpu1",
) -> Deployment:  # fmt: skip
    """Return a deployment with steps (kind, slot, begin, end); the one of kind `fails` fails."""
    records = tuple(
        StepRecord(seq, kind, name, Outcome.FAILED if kind == fails else Outcome.DONE, begin, end)
        for seq, (kind, name, begin, end) in enumerate(steps, start=1)
    )
    last = steps[-1][3] if ended is None else ended
    return Deployment(
        id=next(_IDS),
        model="small",
        action=action,
        release=release,
        previous=previous,
        slot=slot,
        actor="ann",
        outcome=outcome,
        reason="",
        started_at=steps[0][2],
        ended_at=None if outcome is Outcome.RUNNING else last,
        steps=records,
        host=host,
    )


FIRST: Steps = [
    ("start", "blue", 100, 150),
    ("gate", "blue", 150, 160),
    ("shift", "blue", 160, 161),
]
UPGRADE: Steps = [
    ("start", "green", 300, 350), ("gate", "green", 350, 360), ("shift", "green", 360, 370),
    ("drain", "blue", 370, 380),
]  # fmt: skip


def first() -> Deployment:
    return replace(deployment("deploy", "blue", FIRST), id=0)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        # It serves to the end. While it started, it held the host too.
        ([], [(1, 100, 161, False), (1, 161, 1000, True)]),
        # The former release stands by.
        ([deployment("upgrade", "green", [*UPGRADE, ("standby", "blue", 380, 380)], release=2, previous=1)],
         [(1, 100, 161, False), (1, 161, 370, True), (1, 370, 1000, False),
          (2, 300, 370, False), (2, 370, 1000, True)]),
        # The former release is stopped.
        ([deployment("upgrade", "green", [*UPGRADE, ("stop", "blue", 380, 390)], release=2, previous=1)],
         [(1, 100, 161, False), (1, 161, 370, True), (1, 370, 390, False),
          (2, 300, 370, False), (2, 370, 1000, True)]),
        # A rollback to the standby starts nothing.
        ([deployment("upgrade", "green", UPGRADE, release=2, previous=1),
          deployment("rollback", "blue", [("gate", "blue", 500, 505), ("shift", "blue", 505, 510)],
                     release=1, previous=2)],
         [(1, 100, 161, False), (1, 161, 370, True), (1, 370, 510, False), (1, 510, 1000, True),
          (2, 300, 370, False), (2, 370, 510, True), (2, 510, 1000, False)]),
        # One that dozes holds nothing until it wakes.
        ([deployment("upgrade", "green", [("doze", "blue", 300, 320), ("start", "green", 320, 350),
                                          ("gate", "green", 350, 360), ("shift", "green", 360, 370)],
                     release=2, previous=1),
          deployment("rollback", "blue", [("stop", "green", 500, 510), ("wake", "blue", 510, 511),
                                          ("gate", "blue", 511, 512), ("shift", "blue", 512, 513)],
                     release=1, previous=2)],
         [(1, 100, 161, False), (1, 161, 320, True), (1, 510, 513, False), (1, 513, 1000, True),
          (2, 320, 370, False), (2, 370, 510, True)]),
        # An upgrade whose gate fails holds the host until it is undone.
        ([deployment("upgrade", "green", [("start", "green", 300, 350), ("gate", "green", 350, 400),
                                          ("stop", "green", 400, 410)],
                     release=2, previous=1, outcome=Outcome.FAILED, fails="gate")],
         [(1, 100, 161, False), (1, 161, 1000, True), (2, 300, 410, False)]),
        # Its undoing was not recorded: the deployment's end is the end.
        ([deployment("upgrade", "green", [("start", "green", 300, 350)], release=2, previous=1,
                     outcome=Outcome.UNDONE, ended=420)],
         [(1, 100, 161, False), (1, 161, 1000, True), (2, 300, 420, False)]),
        # A swap that fails restores the former release in its own slot.
        ([deployment("upgrade", "blue", [("stop", "blue", 300, 310), ("start", "blue", 310, 350),
                                         ("stop", "blue", 350, 360), ("start", "blue", 360, 390),
                                         ("shift", "blue", 390, 391)],
                     release=2, previous=1, outcome=Outcome.FAILED)],
         [(1, 100, 161, False), (1, 161, 310, True), (1, 360, 391, False), (1, 391, 1000, True),
          (2, 310, 360, False)]),
        # A stop ends all of it.
        ([deployment("stop", "", [("remove", "", 500, 501), ("stop", "blue", 501, 520)], outcome=Outcome.DONE)],
         [(1, 100, 161, False), (1, 161, 520, True)]),
        # A host that left the fleet has nothing any more, though no step says so.
        ([deployment("forget", "", [("none", "", 600, 600)], release=0, outcome=Outcome.DONE)],
         [(1, 100, 161, False), (1, 161, 600, True)]),
        # A change of adapters is another release in the same replica.
        ([deployment("deploy", "blue", [("adapt", "blue", 500, 510)], release=2, previous=1)],
         [(1, 100, 161, False), (1, 161, 510, True), (2, 510, 1000, True)]),
        # A deployment under way.
        ([deployment("upgrade", "green", [("start", "green", 300, 350)], release=2, previous=1,
                     outcome=Outcome.RUNNING)],
         [(1, 100, 161, False), (1, 161, 1000, True), (2, 300, 1000, False)]),
    ],
)  # fmt: skip
def test_replicas_hold_their_host(
    later: list[Deployment], expected: list[tuple[int, int, int, bool]]
) -> None:
    found, notes = reserved([*reversed(later), first()], {("small", 1): 7}, 1000)
    assert notes == ()
    held = [(each.release, each.span.begins, each.span.ends, each.live) for each in found]
    assert sorted(held) == sorted(expected)
    assert {each.weight for each in found if each.release == 1} == {7}


def test_nothing_counts_beyond_the_end() -> None:
    found, _ = reserved([first()], {}, 200)
    assert [(each.span.begins, each.span.ends) for each in found] == [(100, 161), (161, 200)]


def test_hosts_are_apart() -> None:
    there = [first(), deployment("deploy", "blue", FIRST, host="gpu2")]
    found, _ = reserved(there, {}, 1000)
    assert [each.host for each in found] == ["gpu1", "gpu1", "gpu2", "gpu2"]


def test_a_clock_that_went_back_is_said() -> None:
    stop = deployment("stop", "", [("stop", "blue", 120, 130)], outcome=Outcome.DONE)
    found, notes = reserved([first(), stop], {}, 1000)
    assert [(each.span.begins, each.span.ends) for each in found] == [(100, 161)]
    assert notes == (
        "small at gpu1: 4 records are earlier than those before them; a clock went back",
    )
