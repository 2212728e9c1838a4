"""A model's other names, its kind and its context, from the release to the router's files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.planning.facts import release
from tests.planning.rendered import render_files
from toolkit.domain.deployment.release import Release
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.gates.kind import Kind
from toolkit.errors import InputError
from toolkit.planning.routing.edits import told, with_model, with_weights, without_model
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


def leading(routes: Routes, name: str) -> list[str]:
    """Return the models that a name leads to and is listed for: one, wherever clients look."""
    files = render_files(routes)
    found = dict(line.split(" ") for line in files["aliases.map"].splitlines())
    assert len(found) == files["aliases.map"].count("\n")
    described = dict(line.split(" ", 1) for line in files["models-described.map"].splitlines())
    assert len(described) == files["models-described.map"].count("\n")
    listed = {each["id"]: each["root"] for each in json.loads(files["models.json"])["data"]}
    assert len(listed) == len(json.loads(files["models.json"])["data"])
    told = json.loads(described[name])["root"]
    return [*{found.get(name, name), told, listed[name]}]


def serving(routes: Routes, model: str, *aliases: str) -> Routes:
    return with_model(routes, model, (replace(BLUE, aliases=aliases),), created=1)


@pytest.mark.parametrize("new", ["alpha", "zeta"])
def test_the_former_name_leads_to_the_model_that_was_renamed_while_the_former_one_serves(
    new: str,
) -> None:
    routes = serving(serving(Routes(), "tiny"), new, "tiny")
    assert leading(routes, "tiny") == [new]
    assert leading(routes, new) == [new]
    assert leading(without_model(routes, "tiny"), "tiny") == [new]


def test_a_new_model_has_its_name_which_was_the_alias_of_another() -> None:
    routes = serving(serving(Routes(), "alpha", "tiny"), "tiny")
    assert leading(routes, "tiny") == ["tiny"]
    # an edit that gives nobody a name
    assert leading(with_weights(routes, "alpha", {"blue": 50}), "tiny") == ["tiny"]


@pytest.mark.parametrize(("former", "new"), [("alpha", "beta"), ("beta", "alpha")])
def test_an_alias_that_moved_leads_to_its_new_model_once_that_serves(former: str, new: str) -> None:
    routes = serving(serving(Routes(), former, "x"), new)
    starting = replace(GREEN, aliases=("x",))
    routes = with_model(routes, new, (BLUE, starting), created=1)
    assert leading(routes, "x") == [former]
    live = with_weights(routes, new, {"blue": 0, "green": 100})
    assert leading(live, "x") == [new]
    # The former model sleeps and wakes meanwhile, and the routes are read from a host.
    asleep = with_weights(live, former, {"blue": 0})
    awake = with_weights(Routes.from_json(asleep.as_json()), former, {"blue": 100})
    assert leading(awake, "x") == [new]
    # What failed gives the name back, as it gives the traffic back.
    assert leading(with_weights(live, new, {"blue": 100, "green": 0}), "x") == [former]


def test_a_model_that_starts_takes_no_name_before_it_serves() -> None:
    starting = replace(BLUE, weight=0, aliases=("tiny",))
    routes = with_model(serving(Routes(), "tiny"), "alpha", (starting,), created=1)
    assert leading(routes, "tiny") == ["tiny"]
    assert leading(with_weights(routes, "alpha", {"blue": 1}), "tiny") == ["alpha"]
