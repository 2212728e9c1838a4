"""What runs and has left the registry, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import host, release, slot, version
from toolkit.domain.registry.model import HubSource, Model, Policy, Registry, Version
from toolkit.planning.upkeep.departed import departed

RELEASE = replace(release(1), version="v1", source="acme/tiny", revision="a" * 40)
HERE = host(slot("blue", RELEASE, weight=100))
STANDBY = host(slot("blue", RELEASE))
KNOWN = version(model=RELEASE.model, name="v1", source=HubSource("acme/tiny"), revision="a" * 40)


def registry(*versions: Version) -> Registry:
    models = {RELEASE.model: Model(RELEASE.model, "", versions)} if versions else {}
    return Registry(models, Policy(), "r.yaml")


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ((KNOWN,), ()),
        ((), (f"and the model {RELEASE.model} has left the registry",)),
        ((replace(KNOWN, name="v2"),), ("and the version v1 has left the registry",)),
        (
            (replace(KNOWN, source=HubSource("mallory/tiny")),),
            ("and the registry has mallory/tiny for it, not acme/tiny",),
        ),
        (
            (replace(KNOWN, revision="b" * 40),),
            (f"and the registry has revision {'b' * 12} for it, not {'a' * 12}",),
        ),
    ],
)
def test_what_has_left_the_registry(versions: tuple[Version, ...], words: tuple[str, ...]) -> None:
    serving = departed([HERE], registry(*versions))
    assert serving == tuple(f"{RELEASE.title} serves on {HERE.name}, {each}" for each in words)
    standby = departed([STANDBY], registry(*versions))
    assert standby == tuple(f"{RELEASE.title} stands by on {HERE.name}, {each}" for each in words)


@pytest.mark.parametrize(
    ("state", "does"),
    [
        ({"asleep": "asleep", "serves_awake": True, "rests": True}, "sleeps"),
        ({"asleep": "waking", "rests": True}, "sleeps"),
        ({"dozes": True, "healthy": False}, "dozes"),
        ({"rests": True, "healthy": False}, "rests"),
    ],
)
def test_what_neither_serves_nor_stands_by_is_said_to_do_neither(
    state: dict[str, Any], does: str
) -> None:
    there = host(replace(slot("blue", RELEASE), **state))
    left = f"and the model {RELEASE.model} has left the registry"
    assert departed([there], registry()) == (f"{RELEASE.title} {does} on {there.name}, {left}",)


def test_a_host_without_replicas_has_nothing_that_left() -> None:
    assert departed([host()], registry()) == ()
