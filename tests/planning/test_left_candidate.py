"""Which candidate a command left in the registry although all hosts serve it: tables of versions and of the history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import release, version
from tests.planning.test_rollback import FAILED, LIVE, OPEN, UNDONE, Entry, fleet, told
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.gates.verdict import GateResult, GuardPhase, Verdict
from toolkit.domain.hosts.facts import FleetFacts, GuardFacts
from toolkit.domain.registry.model import Model
from toolkit.planning.upkeep.left_candidate import left_candidate, with_outcomes

RELEASES = {number: release(number) for number in range(1, 5)}
FIRST: Entry = ("r1", "deploy", 1, None, (LIVE, LIVE, LIVE))
SECOND: Entry = ("r2", "upgrade", 2, 1, (LIVE, LIVE, LIVE))
GATED: Entry = ("r3", "gate", 2, 1, (Outcome.DONE, None, None))
STOPPED: Entry = ("r3", "stop", 2, None, (Outcome.DONE, None, None))


def model(*names: str, candidates: str = "") -> Model:
    """Return a model with the versions of the releases `names`; those in `candidates` wait to be accepted."""
    found = []
    for name in names:
        made = RELEASES[int(name[1:])]
        found.append(
            replace(
                version(), model="tiny", name=made.version, revision=made.revision,
                candidate=name in candidates.split(),
            )
        )  # fmt: skip
    return Model("tiny", "", tuple(found))


@pytest.mark.parametrize(
    ("entries", "left"),
    [
        pytest.param((), None, id="nothing was ever deployed"),
        pytest.param((FIRST,), None, id="it was never tried"),
        pytest.param((FIRST, SECOND), "v2", id="it is live on all hosts"),
        pytest.param((FIRST, ("r2", "upgrade", 2, 1, (LIVE, None, None))), None, id="it is on trial on one host"),
        pytest.param((FIRST, ("r2", "upgrade", 2, 1, (LIVE, LIVE, FAILED))), None, id="it failed on one host"),
        pytest.param((FIRST, ("r2", "upgrade", 2, 1, (UNDONE,) * 3)), None, id="it was undone"),
        pytest.param((FIRST, SECOND, ("r3", "rollback", 1, 2, (LIVE,) * 3)), None, id="a person went back"),
        pytest.param((FIRST, SECOND, STOPPED), "v2", id="one host stopped it since"),
        pytest.param((FIRST, SECOND, ("r3", "upgrade", 3, 2, (FAILED,) * 3)), "v2", id="a later one failed"),
        pytest.param((FIRST, GATED, ("r3", "upgrade", 2, 1, (None, LIVE, LIVE))), None, id="a host ran gates alone"),
        pytest.param((FIRST, SECOND, GATED), "v2", id="its gates ran again"),
        pytest.param((FIRST, SECOND, ("r3", "gate", 3, 2, (Outcome.DONE,) * 3)), "v2", id="other gates ran"),
        pytest.param((FIRST, ("r2", "gate", 2, 1, (Outcome.DONE,) * 3)), None, id="its gates alone ran everywhere"),
    ],
)  # fmt: skip
def test_a_candidate_that_serves_everywhere_was_left(
    entries: tuple[Entry, ...], left: str | None
) -> None:
    found = left_candidate(model("v1", "v2", candidates="v2"), told(*entries), RELEASES)
    assert (found.name if found else None) == left


def test_one_that_was_passed_over_by_a_newer_version_is_none() -> None:
    passed = model("v1", "v2", "v3", candidates="v2")
    assert left_candidate(passed, told(FIRST, SECOND), RELEASES) is None


def test_the_name_alone_is_not_enough() -> None:
    other = model("v1", "v2", candidates="v2")
    changed = replace(other.versions[1], revision="f" * 40)
    named = replace(other, versions=(other.versions[0], changed))
    assert left_candidate(named, told(FIRST, SECOND), RELEASES) is None


CUT: Entry = ("r2", "upgrade", 2, 1, (LIVE, OPEN, OPEN))


def returned(host: str, seen: FleetFacts) -> FleetFacts:
    """Return the facts with a guard on one host that has given the traffic of rollout r2 back."""
    verdict = GateResult("bake", Verdict.FAILED, "its process ended")
    guard = GuardFacts(
        "tiny", "green", "blue", 2, "v2", "r2", GuardPhase.BAKE, 1.0, 30.0, 0, verdict=verdict
    )
    facts = replace(seen.facts[host], guards=(guard,))
    return FleetFacts({**seen.facts, host: facts})


@pytest.mark.parametrize(
    ("seen", "left"),
    [
        pytest.param(FleetFacts(fleet(2, 2, 2)), "v2", id="its release has the traffic everywhere"),
        pytest.param(FleetFacts(fleet(2, 2, 1)), None, id="one host serves the former one"),
        pytest.param(FleetFacts(fleet(2, 2)), None, id="one host does not answer"),
        pytest.param(returned("b", FleetFacts(fleet(2, 2, 2))), None, id="one host gave it back"),
    ],
)
def test_a_command_that_died_in_the_bake_left_its_candidate(
    seen: FleetFacts, left: str | None
) -> None:
    found = with_outcomes(told(FIRST, CUT), seen)
    live = left_candidate(model("v1", "v2", candidates="v2"), found, RELEASES)
    assert (live.name if live else None) == left


def test_gates_under_way_make_no_candidate_live() -> None:
    running: Entry = ("r3", "gate", 2, 1, (OPEN, None, None))
    found = with_outcomes(told(FIRST, running), FleetFacts(fleet(2)))
    assert left_candidate(model("v1", "v2", candidates="v2"), found, RELEASES) is None
