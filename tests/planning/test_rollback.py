"""One target for the whole fleet: tables of what hosts serve and what the history has, and where a rollback goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import host, release, slot
from toolkit.domain.deployment.release import Deployment, Outcome, Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import InputError
from toolkit.planning.change.rollback import Past, former_releases

LIVE, FAILED, UNDONE, OPEN = Outcome.LIVE, Outcome.FAILED, Outcome.UNDONE, Outcome.RUNNING
# rollout, action, release, previous, and how it ended on hosts a, b and c
Entry = tuple[str, str, int, int | None, tuple[Outcome | None, ...]]

FIRST: Entry = ("r1", "deploy", 1, None, (LIVE, LIVE, LIVE))
SECOND: Entry = ("r2", "upgrade", 2, 1, (LIVE, LIVE, LIVE))


def told(*entries: Entry) -> list[Deployment]:
    """Return the deployments of the entries, the newest first; the entries are the oldest first."""
    found: list[Deployment] = []
    for rollout, action, number, previous, outcomes in entries:
        for name, outcome in zip("abc", outcomes, strict=False):
            if outcome is not None:
                found.append(
                    Deployment(
                        id=len(found) + 1,
                        model="tiny",
                        action=action,
                        release=number,
                        previous=previous,
                        slot="blue",
                        actor="ann",
                        outcome=outcome,
                        reason="",
                        started_at=1.0,
                        host=name,
                        rollout=rollout,
                    )
                )
    return found[::-1]


def fleet(*serving: int, standbys: tuple[int | None, ...] = ()) -> dict[str, HostFacts]:
    """Return facts of hosts a, b, … that serve these releases, and hold others ready."""
    found = {}
    for index, number in enumerate(serving):
        slots = [slot("blue", release(number), weight=100)]
        if index < len(standbys) and (other := standbys[index]):
            slots.append(slot("green", release(other)))
        name = "abc"[index]
        found[name] = replace(host(*slots), name=name)
    return found


KNOWN = {number: release(number) for number in range(1, 6)}


def goals(
    facts: dict[str, HostFacts], *entries: Entry, unreachable: tuple[str, ...] = ()
) -> dict[str, int]:
    found = former_releases("tiny", facts, unreachable, Past(told(*entries), KNOWN))
    return {name: each.number for name, each in found.items()}


@pytest.mark.parametrize(
    ("serving", "entries", "expected"),
    [
        # all changed, all go back
        ((2, 2, 2), (FIRST, SECOND), (1, 1, 1)),
        # half done: the hosts that the upgrade did not reach stay
        ((3, 2, 2), (FIRST, SECOND, ("r3", "upgrade", 3, 2, (LIVE, FAILED, UNDONE))), (2, 2, 2)),
        ((3, 3, 2), (FIRST, SECOND, ("r3", "upgrade", 3, 2, (LIVE, LIVE, FAILED))), (2, 2, 2)),
        # half done at the first upgrade: there is no release before #1
        ((2, 1, 1), (FIRST, ("r2", "upgrade", 2, 1, (LIVE, FAILED, UNDONE))), (1, 1, 1)),
        # half done, then done by the same command again
        (
            (3, 3, 3),
            (
                FIRST, SECOND,
                ("r3", "upgrade", 3, 2, (LIVE, FAILED, UNDONE)),
                ("r4", "upgrade", 3, 2, (None, LIVE, LIVE)),
            ),
            (2, 2, 2),
        ),
        # half done, cut short, and left so by a change to another release
        (
            (4, 4, 4),
            (
                FIRST, SECOND,
                ("r3", "upgrade", 3, 2, (LIVE, LIVE, UNDONE)),
                ("r4", "deploy", 4, 3, (LIVE, LIVE)),
                ("r4", "deploy", 4, 2, (None, None, LIVE)),
            ),
            (2, 2, 2),
        ),
        # the same, where the half-done one had been everywhere before
        (
            (4, 4, 4),
            (
                FIRST, SECOND,
                ("r3", "deploy", 1, 2, (LIVE, UNDONE, UNDONE)),
                ("r4", "deploy", 4, 1, (LIVE,)),
                ("r4", "deploy", 4, 2, (None, LIVE, LIVE)),
            ),
            (2, 2, 2),
        ),
        # the same, and the second change cut short too
        (
            (4, 2, 2),
            (
                FIRST, SECOND,
                ("r3", "upgrade", 3, 2, (LIVE, UNDONE, UNDONE)),
                ("r4", "deploy", 4, 3, (LIVE,)),
                ("r4", "deploy", 4, 2, (None, OPEN, UNDONE)),
            ),
            (2, 2, 2),
        ),
        # one host after the other, by hand
        (
            (2, 2, 2),
            (
                FIRST,
                ("r2", "upgrade", 2, 1, (LIVE,)),
                ("r3", "upgrade", 2, 1, (None, LIVE)),
                ("r4", "upgrade", 2, 1, (None, None, LIVE)),
            ),
            (1, 1, 1),
        ),
        # cut short, and not yet ended: the release from before it
        ((2, 2, 2), (FIRST, SECOND, ("r3", "upgrade", 3, 2, (OPEN, OPEN, OPEN))), (2, 2, 2)),
        ((3, 2, 2), (FIRST, SECOND, ("r3", "upgrade", 3, 2, (OPEN, UNDONE, UNDONE))), (2, 2, 2)),
        # a rollback that was cut short, or failed on a host, goes on
        ((1, 2, 2), (FIRST, SECOND, ("r3", "rollback", 1, 2, (LIVE, OPEN, OPEN))), (1, 1, 1)),
        ((1, 2, 2), (FIRST, SECOND, ("r3", "rollback", 1, 2, (LIVE, FAILED, UNDONE))), (1, 1, 1)),
        # a rollback that came to its end is undone by the next
        ((1, 1, 1), (FIRST, SECOND, ("r3", "rollback", 1, 2, (LIVE, LIVE, LIVE))), (2, 2, 2)),
        # a failed upgrade that was restored everywhere is no change
        ((2, 2, 2), (FIRST, SECOND, ("r3", "upgrade", 3, 2, (FAILED, UNDONE, UNDONE))), (1, 1, 1)),
        # half done, and its one host brought back by a deployment: the others never had the release
        (
            (2, 2, 2),
            (
                FIRST, SECOND,
                ("r3", "upgrade", 3, 2, (LIVE, FAILED, UNDONE)),
                ("r4", "deploy", 2, 3, (LIVE,)),
            ),
            (1, 1, 1),
        ),
        # the same at the first upgrade
        (
            (1, 1, 1),
            (
                FIRST,
                ("r2", "upgrade", 2, 1, (LIVE, FAILED, UNDONE)),
                ("r3", "deploy", 1, 2, (LIVE,)),
            ),
            (),
        ),
        # three releases at once
        (
            (3, 2, 1),
            (
                FIRST,
                ("r2", "upgrade", 2, 1, (LIVE, LIVE, FAILED)),
                ("r3", "upgrade", 3, 2, (LIVE, FAILED, UNDONE)),
            ),
            (2, 2, 2),
        ),
        # a host that was deployed later has the same target
        (
            (2, 2, 2),
            (
                ("r1", "deploy", 1, None, (LIVE, LIVE)),
                ("r2", "upgrade", 2, 1, (LIVE, LIVE)),
                ("r3", "deploy", 2, None, (None, None, LIVE)),
            ),
            (1, 1, 1),
        ),
    ],
)  # fmt: skip
def test_all_hosts_have_one_target(
    serving: tuple[int, ...], entries: tuple[Entry, ...], expected: tuple[int, ...]
) -> None:
    if not expected:
        # Nor is the one that stands by since then a release from before.
        for standbys in ((), (2,)):
            with pytest.raises(InputError, match="tiny has no release before #1 on a"):
                goals(fleet(*serving, standbys=standbys), *entries)
        return
    assert tuple(goals(fleet(*serving), *entries).values()) == expected


def test_a_clock_that_was_ahead_makes_no_change_the_latest() -> None:
    """A rollback that failed goes on only until another change came, whatever the clock said at each."""
    entries = [
        FIRST,
        SECOND,
        ("r3", "rollback", 1, 2, (FAILED, FAILED, FAILED)),
        ("r4", "upgrade", 3, 2, (LIVE, LIVE, LIVE)),
    ]
    known = [
        replace(each, started_at=86_400.0 if each.rollout == "r3" else 1.0)
        for each in told(*entries)
    ]
    found = former_releases("tiny", fleet(3, 3, 3), (), Past(known, KNOWN))
    assert {each.number for each in found.values()} == {2}


def test_a_silent_host_counts_with_what_the_history_says_of_it() -> None:
    facts = fleet(3, 2, 2)
    del facts["a"]
    half = ("r3", "upgrade", 3, 2, (LIVE, FAILED, UNDONE))
    assert goals(facts, FIRST, SECOND, half, unreachable=("a",)) == {"b": 2, "c": 2}


@pytest.mark.parametrize(
    ("serving", "standbys", "expected"),
    [
        ((2, 2, 2), (1, 1, 1), (1, 1, 1)),
        ((3, 2, 2), (2, 1, 1), (2, 2, 2)),
        ((3, 3, 2), (2, 2, 1), (2, 2, 2)),
        ((3, 2, 2), (2, None, None), (2, 2, 2)),
        ((1, 2, 2), (2, 1, 1), (1, 1, 1)),
        ((2, 2, 2), (1, None, None), (1, 1, 1)),
    ],
)
def test_without_a_history_the_hosts_tell(
    serving: tuple[int, ...], standbys: tuple[int | None, ...], expected: tuple[int, ...]
) -> None:
    assert tuple(goals(fleet(*serving, standbys=standbys)).values()) == expected


def on(accelerator: str, number: int, version: str) -> Release:
    return replace(release(number), version=version, revision=version * 20, accelerator=accelerator)


def test_hosts_with_other_devices_have_the_same_version_as_a_release_of_their_own() -> None:
    known = {
        1: on("cuda", 1, "v1"), 2: on("cpu", 2, "v1"), 3: on("cuda", 3, "v2"), 4: on("cpu", 4, "v2"),
    }  # fmt: skip
    facts = {
        "a": replace(host(slot("blue", known[3], weight=100)), name="a"),
        "b": replace(host(slot("blue", known[2], weight=100)), name="b"),
    }
    past = told(("r1", "deploy", 1, None, (LIVE,)), ("r2", "upgrade", 3, 1, (LIVE, FAILED)))
    found = former_releases("tiny", facts, (), Past(past, known))
    assert {name: each.number for name, each in found.items()} == {"a": 1, "b": 2}


def test_a_model_without_a_past_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="tiny has no release before #1 on a"):
        goals(fleet(1, 1, 1), FIRST)
    with pytest.raises(InputError, match="tiny is not deployed here"):
        goals({"a": replace(host(), name="a")})
