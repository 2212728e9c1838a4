"""A model's other names, its kind and its context, from the release to the router's files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.planning.facts import release
from toolkit.domain.deployment.release import Release
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.gates.golden import Kind
from toolkit.errors import InputError
from toolkit.planning.routing.edits import told
from toolkit.planning.routing.files import render_files
from toolkit.planning.routing.routes import Route, Routes, Target

BLUE = Target("blue", 8100, 100)
GREEN = Target("green", 8101)


def route(*targets: Target) -> Route:
    return Route("tiny", targets, created=1700000000)


def test_a_target_says_what_its_release_does() -> None:
    able = replace(release(1), aliases=("Acme/Tiny",), does=Capabilities(Kind.CHAT, context=4096))
    assert told(BLUE, able) == replace(BLUE, aliases=("Acme/Tiny",), kind="chat", context=4096)
    assert told(BLUE, release(1)) == BLUE
    hears = replace(able, does=Capabilities(Kind.CHAT, audio=True))
    assert told(BLUE, hears).kind == "chat/transcription"


def test_a_release_without_other_names_is_written_as_before() -> None:
    assert "aliases" not in release(1).as_json()
    named = replace(release(1), aliases=("Acme/Tiny",))
    assert Release.from_json(named.as_json()) == named


def test_clients_find_a_model_by_its_other_names_and_read_its_size() -> None:
    target = replace(BLUE, aliases=("Acme/Tiny",), kind="chat", context=4096)
    files = render_files(Routes((route(target),)))
    assert files["aliases.map"] == "Acme/Tiny tiny\n"
    assert files["kinds.map"] == "tiny chat\n"
    assert files["models.map"] == "tiny model.tiny\n"
    model = {
        "id": "tiny",
        "object": "model",
        "created": 1700000000,
        "owned_by": "toolkit",
        "max_model_len": 4096,
        "kind": "chat",
        "root": "tiny",
    }
    alias = {**model, "id": "Acme/Tiny"}
    assert json.loads(files["models.json"])["data"] == [model, alias]
    described = dict(line.split(" ", 1) for line in files["models-described.map"].splitlines())
    assert {name: json.loads(text) for name, text in described.items()} == {
        "tiny": model,
        "Acme/Tiny": alias,
    }
    assert Routes.from_json(json.loads(files["routes.json"])) == Routes((route(target),))


@pytest.mark.parametrize(
    ("blue", "green", "names"),
    [
        # The target with the traffic decides: a replica that starts beside it knows its names only later.
        (replace(BLUE, aliases=("a",)), replace(GREEN, aliases=("a", "b")), ("a",)),
        # A canary gets requests under each name, so that a name that it does not know has no place.
        (replace(BLUE, aliases=("a", "b")), replace(GREEN, aliases=("b",), share=100), ("b",)),
        # Requests wait while nothing serves: each name that is known may wait.
        (replace(BLUE, weight=0, aliases=("a",)), replace(GREEN, aliases=("b",)), ("a", "b")),
    ],
)
def test_a_name_is_there_once_each_target_with_traffic_knows_it(
    blue: Target, green: Target, names: tuple[str, ...]
) -> None:
    assert route(blue, green).aliases == names


@pytest.mark.parametrize("fault", [{"aliases": ("a b",)}, {"aliases": ("",)}, {"kind": "chat\nx"}])
def test_a_target_has_no_name_that_breaks_a_file(fault: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(BLUE, **fault)
