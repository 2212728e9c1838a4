"""What evidence says of the licences of a release: of its model, and of each of its adapters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release, ReleaseAdapter
from toolkit.domain.registry.model import Adapter, HubSource, Openness, Policy, Resources, Version
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.planning.evidence.decision import LicenceDecision, decide

BASE, SQL, NEWER = "a" * 40, "b" * 40, "c" * 40
POLICY = Policy(allowed=("mit",), denied=("cc-by-nc-4.0",))
MIT = "mit is allowed for every model"
RELEASE = Release("tiny", 3, "v1", "acme/tiny", BASE, "0" * 64, "engine", "cpu", 2**30, 1, (), {})


def version(**more: Any) -> Version:
    given: dict[str, Any] = {
        "model": "tiny", "name": "v1", "source": HubSource("acme/tiny"), "revision": BASE, "licence": "mit",
        "openness": Openness.OPEN_WEIGHTS, "engine": EngineSpec("vllm", "0.32.0"),
        "resources": Resources((Accelerator.CPU,), 2**30),
    }  # fmt: skip
    return Version(**{**given, **more})


def with_sql(licence: str, revision: str = SQL) -> Version:
    return version(adapters=(Adapter("sql", HubSource("acme/sql"), revision, licence),))


ADAPTED = replace(RELEASE, adapters=(ReleaseAdapter("sql", "acme/sql", SQL, "1" * 64),))
GONE = "the registry has this version no more"
CASES = {
    "a model alone": (RELEASE, version(), True, MIT),
    "an adapter of the model's licence": (
        ADAPTED, with_sql(""), True, f"{MIT}; adapter sql: {MIT}",
    ),
    "an adapter whose licence was denied since": (
        ADAPTED, with_sql("cc-by-nc-4.0"), False,
        f"{MIT}; adapter sql: the licence cc-by-nc-4.0 of sql@{SQL[:12]} is denied by policy",
    ),
    "an adapter of the registry that the release has not": (
        RELEASE, with_sql("cc-by-nc-4.0"), True, MIT,
    ),
    "an adapter that the registry has no more": (
        ADAPTED, version(), None, f"{MIT}; adapter sql: the registry has it no more",
    ),
    "an adapter of another revision": (
        ADAPTED, with_sql("mit", NEWER), None, f"{MIT}; adapter sql: the registry has it no more",
    ),
    "a model that is refused, whose adapter nobody knows": (
        ADAPTED, version(licence="cc-by-nc-4.0"), False,
        "the licence cc-by-nc-4.0 of tiny@v1 is denied by policy; adapter sql: the registry has it no more",
    ),
    "a version of that name with another revision": (RELEASE, version(revision=NEWER), None, GONE),
    "a version of another name": (RELEASE, version(name="v2"), None, GONE),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_all_parts_of_a_release_are_judged(case: str) -> None:
    release, there, allowed, reason = CASES[case]
    found = decide(release, (there,), POLICY, registry="r", lock="l")
    known = None if reason == GONE else there
    assert found == LicenceDecision(known, allowed, reason, "r", "l")
