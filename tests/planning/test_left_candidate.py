"""Which candidate a command left in the registry although all hosts serve it: tables of versions and of the history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import release, version
from tests.planning.test_rollback import FAILED, LIVE, UNDONE, Entry, told
from toolkit.domain.model import Model
from toolkit.domain.release import Outcome
from toolkit.planning.upkeep.left_candidate import left_candidate

RELEASES = {number: release(number) for number in range(1, 5)}
FIRST: Entry = ("r1", "deploy", 1, None, (LIVE, LIVE, LIVE))
SECOND: Entry = ("r2", "upgrade", 2, 1, (LIVE, LIVE, LIVE))
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
