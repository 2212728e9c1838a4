"""Models that share a device in turn: the largest of them counts, not their sum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import release, slot
from tests.planning.test_fit import GIB, candidate, card, gpu_host
from toolkit.domain.hosts.facts import GuardFacts, GuardPhase, HostFacts
from toolkit.planning.change.rollout import Limits
from toolkit.planning.fit.fleet import Upgrade, plan_upgrade
from toolkit.planning.fit.host_fit import fit_host
from toolkit.planning.routing.edits import with_model, with_sleep
from toolkit.planning.routing.routes import Routes, Sleep, Target

WATCHES = GuardFacts("other", "blue", "", 1, "v1", "r1", GuardPhase.BAKE, 0.0, 60.0)
ASKED = replace(candidate(), alternates=("other", "third"))


def other(model: str = "other", gib: int = 22, **more: Any) -> Any:
    held = replace(release(1, memory=gib * GIB, gpu=True), model=model)
    told = {"model": model, "weight": 100, "devices": (0,), "can_rest": True, **more}
    return slot("blue", held, **told)


def shared(*slots: Any, free: float = 2, **more: Any) -> HostFacts:
    return gpu_host(card(24, free=free), slots=slots, watched=True, **more)


def test_beside_a_model_that_makes_place_the_larger_of_the_two_counts() -> None:
    assert not fit_host(candidate(), shared(other())).fits
    found = fit_host(ASKED, shared(other()))
    assert (found.fits, found.in_turn_with, found.devices) == (True, ("other",), (0,))
    assert found.why == (
        "in turn with other: one of them is awake at a time, and the largest counts, 22GiB (23.6 GB);"
        " first: toolkit sleep other"
    )
    assert found.as_json()["in_turn_with"] == ["other"]
    assert found.wanted is not None


def test_of_three_the_largest_counts_and_all_that_are_awake_sleep_first() -> None:
    found = fit_host(ASKED, shared(other(gib=10), other("third", 12), free=2))
    assert (found.fits, found.in_turn_with) == (True, ("other", "third"))
    assert "the largest counts, 20GiB (21.5 GB)" in found.why
    assert found.why.endswith("first: toolkit sleep other and toolkit sleep third")


def test_what_sleeps_already_needs_no_turn() -> None:
    asleep = other(weight=0, asleep="asleep", rests=True, healthy=False)
    found = fit_host(ASKED, shared(asleep, free=24))
    assert (found.fits, found.in_turn_with) == (True, ())
    assert found.why == "nothing of this model serves here"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (shared(other(can_rest=False)),
         "other cannot make room: localhost: a replica of other was started by an older"),
        (replace(shared(other()), watched=False), "other cannot make room: localhost: its watch does not run"),
        (shared(other(), guards=(WATCHES,)),
         "other cannot make room: localhost: a guard watches other"),
        (shared(other(gib=4), other("apart", 18), free=2),
         "not in turn with other either: needs 20GiB (21.5 GB) on 1 device(s), 6.44 GB free on the emptiest then"),
    ],
)  # fmt: skip
def test_a_turn_that_cannot_be_is_refused_by_name(facts: HostFacts, words: str) -> None:
    found = fit_host(ASKED, facts)
    assert not found.fits
    assert words in found.why
    assert found.wanted is None


def test_an_upgrade_of_a_model_that_sleeps_is_refused_with_the_next_command() -> None:
    asleep = slot("blue", release(1, memory=20 * GIB, gpu=True), devices=(0,), can_rest=True)
    facts = shared(other(), replace(asleep, asleep="asleep", rests=True, healthy=False))
    routes = with_model(Routes(), "tiny", (Target("blue", 8100, 100),), created=1)
    routes = with_sleep(routes, "tiny", Sleep("a1", "wait", 9), 120)
    found = fit_host(ASKED, facts)
    assert (found.fits, found.in_turn_with) == (True, ("other",))
    _, outlook = plan_upgrade(
        "tiny", [found], {"localhost": facts}, routes, limits=Limits(), unreachable={}
    )
    assert outlook == Upgrade("refused", "tiny sleeps; toolkit wake tiny, then the same again")
