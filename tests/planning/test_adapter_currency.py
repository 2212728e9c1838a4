"""Which candidates of a model bring a newer revision of one adapter, and which versions bring back an older one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.test_currency import NEW, OLD, POLICY, version
from toolkit.domain.registry.model import Adapter, HubSource, Model, Registry, Version
from toolkit.domain.registry.release_parts import Check, EngineSpec
from toolkit.domain.registry.upstream import Upstream
from toolkit.planning.upkeep.adapter_currency import adapter_models, adapters_to_schedule
from toolkit.planning.upkeep.currency import State, judge

A, B, C = "a" * 40, "b" * 40, "c" * 40


def tiny(name: str, revision: str, *, candidate: bool = False, **adapters: str) -> Version:
    found = tuple(Adapter(each, HubSource(f"acme/{each}"), at) for each, at in adapters.items())
    return replace(version(name, revision, candidate=candidate), adapters=found)


def checked(found: Version, name: str) -> Version:
    """Return the version with a check of the adapter `name`."""
    return replace(
        found,
        adapters=tuple(
            replace(each, checks=(Check("hi"),)) if each.name == name else each
            for each in found.adapters
        ),
    )


V1 = tiny("v1", OLD, sql=A, law=A)
ITS_OWN = tiny("v1-sql", OLD, candidate=True, sql=B, law=A)
# What follows the newest version in the file -> the candidate that has the revision B of `sql`, if any.
CANDIDATES = {
    "none": ((), ""),
    "its own": ((ITS_OWN,), "v1-sql"),
    "the newest of two": (
        (tiny("x", OLD, candidate=True, sql=B, law=A), tiny("y", OLD, candidate=True, sql=B, law=A)), "y",
    ),
    "an older revision of it": ((tiny("v1-sql", OLD, candidate=True, sql=C, law=A),), ""),
    "of another base": ((tiny("v2", NEW, candidate=True, sql=B, law=A),), ""),
    "of another adapter as well": ((tiny("both", OLD, candidate=True, sql=B, law=B),), ""),
    "of another engine": ((replace(ITS_OWN, engine=EngineSpec("vllm", "0.31.0")),), ""),
    "with other options": ((replace(ITS_OWN, serving={"max-model-len": 512}),), ""),
    "with another adapter's former checks": ((checked(ITS_OWN, "law"),), ""),
    "with its own former checks": ((checked(ITS_OWN, "sql"),), ""),
    "without another adapter": ((tiny("less", OLD, candidate=True, sql=B),), ""),
}  # fmt: skip


@pytest.mark.parametrize(("others", "named"), CANDIDATES.values(), ids=CANDIDATES.keys())
def test_a_candidate_of_an_adapter_differs_from_the_newest_version_in_it_alone(
    others: tuple[Version, ...], named: str
) -> None:
    model = Model("tiny", "", (V1, *others))
    sql, law = adapter_models(model)
    assert (sql.name, law.name, sql.newest.adapter_of, sql.newest.revision) == (
        "sql", "law", "tiny", A,
    )  # fmt: skip
    found = judge(sql, Upstream(B, "mit", name="acme/sql"), (), POLICY)
    assert (found.state, found.candidate, found.base) == (State.OUTDATED, named, "tiny")
    assert judge(law, Upstream(A, "mit", name="acme/law"), (), POLICY).state is State.CURRENT


def test_a_candidate_of_the_base_with_older_adapters_counts_as_none() -> None:
    later = tiny("v1-sql", OLD, sql=B, law=A)
    before = tiny("v2", NEW, candidate=True, sql=A, law=A)
    found = judge(Model("tiny", "", (V1, before)), Upstream(NEW, "mit"), (), POLICY)
    assert (found.state, found.candidate) == (State.OUTDATED, "v2")
    found = judge(Model("tiny", "", (V1, before, later)), Upstream(NEW, "mit"), (), POLICY)
    assert (found.version.name, found.state, found.candidate) == ("v1-sql", State.OUTDATED, "")
    again = tiny("v2-again", NEW, candidate=True, sql=B, law=A)
    found = judge(Model("tiny", "", (V1, before, later, again)), Upstream(NEW, "mit"), (), POLICY)
    assert found.candidate == "v2-again"


def test_a_candidate_of_the_base_with_another_engine_counts_as_none() -> None:
    before = tiny("v2", NEW, candidate=True, sql=A, law=A)
    newer = replace(tiny("v3", OLD, sql=A, law=A), engine=EngineSpec("vllm", "0.33.0"))
    found = judge(Model("tiny", "", (V1, before, newer)), Upstream(NEW, "mit"), (), POLICY)
    assert (found.version.name, found.state, found.candidate) == ("v3", State.OUTDATED, "")


def test_a_candidate_of_an_adapter_is_none_of_its_base() -> None:
    model = Model("tiny", "", (V1, tiny("v1-sql", OLD, candidate=True, sql=B, law=A)))
    found = judge(model, Upstream(OLD, "mit", name="acme/tiny"), (), POLICY)
    assert (found.state, found.candidate, found.base) == (State.CURRENT, "", "tiny")


def test_a_schedule_may_name_the_adapters_of_newest_versions() -> None:
    models = {
        "tiny": Model("tiny", "", (tiny("v0", OLD, gone=A), V1)),
        "new": Model("new", "", ()),
    }
    assert adapters_to_schedule(Registry(models, POLICY, "")) == {"sql": "tiny", "law": "tiny"}
