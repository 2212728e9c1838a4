"""Clients ask a model by its other names: each way of asking leads to the model's replica, held requests too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import router_socket

from tests.hostside.router_lab import Backend, Lab, lab, until
from toolkit.planning.routing.edits import with_model, with_weights
from toolkit.planning.routing.routes import Routes, Target

CHAT = "/v1/chat/completions"
NAME = "Acme/Tiny-Chat"


@pytest.fixture
def blue() -> Iterator[Backend]:
    backend = Backend("blue")
    yield backend
    backend.stop()


@pytest.fixture
def router(blue: Backend) -> Iterator[Lab]:
    target = Target("blue", blue.port, 100, aliases=(NAME, "former"), kind="chat", context=2048)
    with lab() as running:
        running.apply(with_model(Routes(), "tiny", (target,), created=5))
        running.up("tiny", "blue")
        yield running


@pytest.mark.parametrize("room", [0, 20_000], ids=["small", "read elsewhere"])
@pytest.mark.parametrize("name", ["tiny", NAME, "former"])
def test_each_name_leads_to_the_model(router: Lab, name: str, room: int) -> None:
    status, answer, headers = router.ask(CHAT, {"model": name, "room": "x" * room})
    assert (status, answer["slot"], headers["X-Toolkit-Slot"]) == (200, "blue", "blue")
    line = until(router.requests)[-1]
    assert (line["model"], line["slot"]) == ("tiny", "blue")


def test_a_path_may_have_the_name_encoded(router: Lab) -> None:
    assert router.ask("/m/Acme%2FTiny-Chat" + CHAT, {"model": NAME})[0] == 200
    for path in ("/v1/models/Acme/Tiny-Chat", "/v1/models/Acme%2FTiny-Chat"):
        status, described, _ = router.ask(path)
        assert (status, described["id"], described["root"]) == (200, NAME, "tiny")
        assert described["max_model_len"] == 2048
    listed = router.ask("/v1/models")[1]["data"]
    assert [each["id"] for each in listed] == ["tiny", NAME, "former"]


def test_each_name_is_described_with_the_version_that_serves(router: Lab) -> None:
    slot = router.root / "slots/tiny-blue"
    slot.mkdir(parents=True)
    release = {"version": "v1.5", "number": 12}
    manifest = {"model": "tiny", "slot": "blue", "release": release}
    (slot / "manifest.json").write_text(json.dumps(manifest))
    router.apply(with_weights(router.routes, "tiny", {"blue": 99}))
    for name in ("tiny", NAME, "former"):
        found = router.ask(f"/v1/models/{name}")[1]
        assert (found["id"], found["version"], found["release"]) == (name, "v1.5", 12)
    listed = router.ask("/v1/models")[1]["data"]
    assert {(each["version"], each["release"]) for each in listed} == {("v1.5", 12)}


def test_models_may_be_more_than_a_buffer_of_the_router_holds(router: Lab) -> None:
    target = Target("blue", router.routes.routes[0].targets[0].port, 0)
    routes = router.routes
    for number in range(300):
        routes = with_model(routes, f"model-{number}", (target,), created=number)
    router.apply(routes)
    listed = {each["id"]: each for each in router.ask("/v1/models")[1]["data"]}
    assert len(listed) == 303
    assert router.ask("/v1/models/model-299")[1] == listed["model-299"]


def test_what_the_model_does_not_do_is_refused_under_each_name(router: Lab) -> None:
    for name in ("tiny", NAME):
        status, answer, _ = router.ask("/v1/embeddings", {"model": name, "input": "a"})
        assert (status, answer["error"]["code"]) == (400, "unsupported_by_model")


def test_a_name_that_is_taken_away_leads_nowhere(router: Lab, blue: Backend) -> None:
    left = replace(router.routes.routes[0].targets[0], aliases=(NAME,))
    router.apply(with_model(router.routes, "tiny", (left,), created=5))
    assert router.ask(CHAT, {"model": "former"})[0] == 404
    assert router.ask("/v1/models/former")[0] == 404
    assert router.ask(CHAT, {"model": NAME})[0] == 200


def test_a_change_of_weights_alone_reloads_nothing(router: Lab) -> None:
    before = router_socket.processes(router.directory)["current"]
    router.apply(with_weights(router.routes, "tiny", {"blue": 50}))
    assert router_socket.processes(router.directory)["current"] == before


@pytest.mark.parametrize("new", ["alpha", "zeta"])
def test_a_name_leads_to_the_model_that_got_it_last_and_is_listed_once(
    router: Lab, blue: Backend, new: str
) -> None:
    target = Target("blue", blue.port, 100, aliases=("tiny", "former"))
    router.apply(with_model(router.routes, new, (target,), created=9))
    router.up(new, "blue")
    for name in ("tiny", "former"):
        assert router.ask(CHAT, {"model": name})[0] == 200
        assert router.ask(f"/v1/models/{name}")[1]["root"] == new
    listed = [(each["id"], each["root"]) for each in router.ask("/v1/models")[1]["data"]]
    mine = [(new, new), ("tiny", new), ("former", new)]
    assert sorted(listed) == sorted([*mine, (NAME, "tiny")])
    assert router.ask(CHAT, {"model": NAME})[0] == 200
    asked = until(
        lambda: (
            len(found := [each for each in router.requests() if each["path"] == CHAT]) == 3
            and found
        )
    )
    assert sorted(each["model"] for each in asked) == sorted([new, new, "tiny"])
    assert router.observe()["drift"] == []
