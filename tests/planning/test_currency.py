"""Whether a model is what its source holds now: facts of the source and of the registry, and the exact words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.registry.model import (
    HubSource,
    LocalSource,
    Model,
    Openness,
    Policy,
    Resources,
    Source,
    Version,
)
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.domain.registry.upstream import Sighting, Upstream
from toolkit.planning.upkeep.currency import (
    EngineCurrency,
    State,
    age_of,
    behind_words,
    judge,
    version_order,
)

DAY = 86_400.0
OLD, NEW = "1" * 40, "2" * 40
POLICY = Policy(("mit",))


def version(
    name: str, revision: str, *, candidate: bool = False, source: Source | None = None
) -> Version:
    return Version(
        "tiny",
        name,
        source or HubSource("acme/tiny"),
        revision,
        "mit",
        Openness.OPEN_WEIGHTS,
        EngineSpec("vllm", "0.32.0"),
        Resources((Accelerator.CPU,), 10**9),
        candidate=candidate,
    )


MODEL = Model("tiny", "", (version("v1", OLD),))
SAME = Upstream(OLD, "mit", name="acme/tiny", behind=0)

CASES = {
    "nothing to do": (SAME, State.CURRENT, ()),
    "a newer commit": (replace(SAME, revision=NEW, behind=3), State.OUTDATED, ()),
    "another licence that policy allows not": (
        replace(SAME, licence="other"), State.CHANGED, ("licence: mit -> other",),
    ),
    "a licence that is not told": (replace(SAME, licence=""), State.CURRENT, ()),
    "a new revision that tells no licence, as ever": (
        replace(SAME, revision=NEW, licence="", seen_pinned=Sighting(0, gated=False)), State.OUTDATED, (),
    ),
    "a new revision that tells no licence any more": (
        replace(SAME, revision=NEW, licence="", seen_pinned=Sighting(0, gated=False, licence="mit")),
        State.OUTDATED, ("licence: mit -> none is named",),
    ),
    "another name": (
        replace(SAME, name="acme/tiny-2"), State.CHANGED, ("renamed: acme/tiny -> acme/tiny-2",),
    ),
    "gated since": (
        replace(SAME, gated=True, seen_pinned=Sighting(0, gated=False)), State.CHANGED,
        ("gated now: its terms must be accepted on the Hub",),
    ),
    "gated as ever": (
        replace(SAME, gated=True, seen_pinned=Sighting(0, gated=True)), State.CURRENT, (),
    ),
    "gated no more": (
        replace(SAME, seen_pinned=Sighting(0, gated=True)), State.CHANGED, ("gated no more",),
    ),
    "the branch vanished": (
        Upstream("", "mit", name="acme/tiny"), State.CHANGED, ("main is gone from acme/tiny",),
    ),
    "the pinned commit vanished": (
        replace(SAME, revision=NEW, gone=True), State.OUTDATED,
        ("its pinned commit is gone: keep its files, they cannot be downloaded again",),
    ),
    "no safe format any more": (
        replace(SAME, revision=NEW, refusal="it has no safetensors weights, only bin"), State.OUTDATED,
        ("formats: it has no safetensors weights, only bin",),
    ),
    "other formats": (
        replace(SAME, revision=NEW, formats=("bin", "safetensors")), State.OUTDATED,
        ("formats: safetensors -> bin, safetensors",),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("upstream", "state", "changes"), CASES.values(), ids=CASES.keys())
def test_a_model_is_judged_by_what_its_source_answers(
    upstream: Upstream, state: State, changes: tuple[str, ...]
) -> None:
    found = judge(MODEL, upstream, ("safetensors",), POLICY)
    assert (found.state, found.changes) == (state, changes)


@pytest.mark.parametrize(
    ("upstream", "hint"),
    [
        (SAME, ""),
        # An update takes over what has changed together with a newer commit.
        (replace(SAME, revision=NEW, name="acme/tiny-2"), ""),
        (
            replace(SAME, licence="other"),
            "read the licence, then write `licence: other`",
        ),
        (
            replace(SAME, name="acme/tiny-2"),
            "where acme/tiny-2 is meant, write `repo: acme/tiny-2` in its `source`, "
            "then toolkit registry pin tiny --lock-only",
        ),
        (
            replace(SAME, gated=True, seen_pinned=Sighting(0, gated=False)),
            "accept its terms with the account of the token, then toolkit update tiny",
        ),
        (replace(SAME, seen_pinned=Sighting(0, gated=True)), "toolkit update tiny"),
        (
            Upstream("", "mit", name="acme/tiny"),
            "write the branch or tag to follow as `track` in its `source`",
        ),
        # The first of several.
        (
            replace(SAME, licence="other", name="acme/tiny-2"),
            "read the licence, then write `licence: other`",
        ),
    ],
)
def test_a_change_besides_the_revision_has_a_way_to_end_it(upstream: Upstream, hint: str) -> None:
    assert judge(MODEL, upstream, ("safetensors",), POLICY).hint == hint


def test_a_candidate_of_the_same_commit_is_named_and_does_not_make_the_model_current() -> None:
    model = replace(MODEL, versions=(version("v1", OLD), version("v2", NEW, candidate=True)))
    found = judge(model, replace(SAME, revision=NEW), (), POLICY)
    assert (found.state, found.version.name, found.candidate) == (State.OUTDATED, "v1", "v2")


def test_a_branch_that_went_back_is_no_newer_version() -> None:
    model = replace(MODEL, versions=(version("v1", OLD), version("v2", NEW)))
    found = judge(model, SAME, (), POLICY)
    assert found.changes == ("its source is back at v1, an older version",)
    assert found.hint == "toolkit upgrade tiny --to v1, then take v2 out of the registry"
    assert judge(model, replace(SAME, revision=NEW), (), POLICY).changes == ()


def test_a_directory_with_other_files_is_outdated() -> None:
    local = Model("tiny", "", (version("v1", OLD, source=LocalSource("/m", "tiny")),))
    assert judge(local, Upstream(OLD), (), POLICY).state is State.CURRENT
    found = judge(local, Upstream(NEW), (), POLICY)
    assert (found.state, found.changes, found.tracked) == (State.OUTDATED, (), "")


def test_a_revision_is_as_old_as_its_first_sighting_and_no_older_than_its_date() -> None:
    seen = replace(SAME, revision=NEW, seen=Sighting(10 * DAY, gated=False))
    assert age_of(replace(SAME, seen=None), 20 * DAY) is None
    # A branch that was moved to a commit of last year is new all the same.
    assert age_of(replace(seen, date=1 * DAY), 20 * DAY) == 10 * DAY
    assert age_of(replace(seen, date=15 * DAY), 20 * DAY) == 5 * DAY
    assert age_of(replace(seen, date=99 * DAY), 20 * DAY) == 0


def test_the_distance_is_told_in_commits_and_days() -> None:
    assert behind_words(None) == "-"
    assert behind_words(replace(SAME, behind=None)) == "-"
    assert behind_words(replace(SAME, behind=0)) == "-"
    assert behind_words(replace(SAME, behind=2)) == "2"
    assert behind_words(replace(SAME, behind=2, date=9 * DAY, pinned_date=2 * DAY)) == "2, 7 d"
    assert behind_words(replace(SAME, behind=1, date=90.0, pinned_date=30.0)) == "1, 1 min 00 s"


ENGINES = [
    ("0.32.0", "0.33.0", State.OUTDATED),
    ("0.32.0", "0.32.0+cpu", State.CURRENT),
    ("0.9.0", "0.10.0", State.OUTDATED),
    ("0.33.0", "0.32.1", State.CURRENT),
]


@pytest.mark.parametrize(("locked", "newest", "state"), ENGINES)
def test_an_engine_is_outdated_where_the_index_has_a_higher_version(
    locked: str, newest: str, state: State
) -> None:
    assert EngineCurrency("vllm", "cpu", locked, newest).state is state
    assert EngineCurrency("vllm", "cpu", locked, "", fault="no index").state is State.UNKNOWN


def test_versions_without_numbers_come_first() -> None:
    assert version_order("unknown") < version_order("0.1")
