"""A guard over LoRA adapters on a real router with a real process behind it: the host gives the former one back."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.guard_lab import (
    PATH,
    Crowd,
    Guarded,
    guard,
    guard_order,
    guard_probes,
    guarded,
    guards,
    processes,
)
from tests.hostside.router_lab import router, router_socket, until
from tests.pace import Pace
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


def call(path: str, name: str, weights: str = "", *, may_fail: bool = False) -> dict[str, Any]:
    payload = {"lora_name": name, **({"lora_path": weights} if weights else {})}
    return {"path": path, "payload": payload, "may_fail": may_fail}


# Seconds for an answer on a busy machine. A request that waits for an exchange which nobody ends gets none in these.
PATIENCE = 20.0
# `sql` has new weights, and `law` is a new name.
ADAPTERS = {
    "names": ["law", "sql"],
    "back": [
        call(UNLOAD, "law", may_fail=True), call(UNLOAD, "sql", may_fail=True), call(LOAD, "sql", "old"),
    ],
    "after": [call(UNLOAD, "sql@old", may_fail=True)],
}  # fmt: skip


def probe(name: str, former: str) -> dict[str, Any]:
    payload = {"model": name, "prompt": "2+2", "temperature": 0}
    return {"path": PATH, "payload": payload, "contains": "4", "same": False, "former": former}


@pytest.fixture(scope="module")
def standing() -> Iterator[Guarded]:
    patch = pytest.MonkeyPatch()
    with guarded(patch) as lab:
        lab.router.apply(
            with_model(
                Routes(), "tiny",
                (Target("blue", lab.ports["blue"], 100, adapters=("law", "sql")),), created=1,
            )
        )  # fmt: skip
        yield lab
    patch.undo()


@pytest.fixture
def lab(standing: Guarded, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    """The lab with the new weights in the replica of blue, a guard over them, and no command alive."""
    monkeypatch.setattr(guards, "LOOK", 0.1)
    monkeypatch.setattr(guard, "SELDOM", 0.25)
    monkeypatch.setattr(guard_probes, "PAUSE", 0.05)
    standing.tick = 0.05
    standing.said.clear()
    for name, weights in (("law", "new"), ("sql", "new"), ("sql@old", "old")):
        ask(standing, UNLOAD, {"lora_name": name})
        ask(standing, LOAD, {"lora_name": name, "lora_path": weights})
    order = {
        "rollout": "r1", "model": "tiny", "slot": "blue", "former": "", "release": 1, "version": "v1",
        "phase": "bake", "seconds": 600.0, "requests": 0, "share": 0, "patience": 60.0, "unsure": "return",
        "hosts": 1, "tolerance": {"slower": 1.15, "errors": 0.005, "growth": 1.5}, "adapters": ADAPTERS,
        "probes": [probe("sql", "sql@old"), probe("law", "")],
    }  # fmt: skip
    standing.held.update(held=True, owner={"token": "t1"})
    guard_order.begin(standing.root, order, "t1")
    standing.held.update(held=False, owner=None)
    standing.watch()
    yield standing
    standing.unwatch()
    standing.thread = None
    standing.fault("", "blue")
    standing.forget()


def ask(lab: Guarded, path: str, payload: dict[str, Any] | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", lab.ports["blue"], timeout=60)
    with contextlib.closing(connection):
        connection.request("POST" if payload else "GET", path, json.dumps(payload or {}))
        return json.loads(connection.getresponse().read() or b"{}")


def weights(lab: Guarded) -> dict[str, str]:
    found: dict[str, str] = ask(lab, "/adapters")
    return found


def test_a_breach_gives_the_former_weights_back_with_nobody_there(lab: Guarded, pace: Pace) -> None:
    until(lambda: lab.found()["probes"] > 4, 60)
    assert lab.found()["verdict"] is None
    crowd = Crowd(lab.router.port, 20, "sql", PATIENCE)
    lab.fault("500", "blue")
    began = pace()
    verdict = lab.verdict()
    assert pace() - began <= 5.5
    assert (verdict["gate"], verdict["verdict"]) == ("bake", "failed")
    # The guard says so after the routes are in place.
    until(lambda: lab.said[-1:] == ["law, sql of tiny-blue is what it was before"], 60)
    assert weights(lab) == {"sql": "old"}
    assert lab.found()["withdrawn"] == verdict["reason"]
    # The former one answers, and nobody waits any more.
    assert not any(waits(lab, name) for name in ("law", "sql"))
    after = Crowd(lab.router.port, 20, "sql", PATIENCE)
    until(lambda: len(after.seen) >= 10, 60)
    answers, before = after.stop(), crowd.stop()
    assert answers["bad"] == 0, after.seen
    assert before["bad"] > 0, crowd.seen
    assert {status for status, _ in crowd.seen} == {200, 500}
    assert Path(lab.router.directory, "holds.map").read_text() == ""


def waits(lab: Guarded, name: str) -> bool:
    """Whether the newest worker lets requests for an adapter wait; a hold that has ended begins with 0."""
    pid = router_socket.processes(lab.router.directory)["current"][-1]
    held = router_socket.read_map(lab.router.directory, pid, "holds.map") or {}
    return not held.get(name, "0:").startswith("0:")


def test_requests_wait_no_more_where_the_router_did_not_follow_the_end_of_their_wait(
    lab: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: lab.found()["probes"] > 4, 60)
    tell, failed = router.tell, 0

    def fails(directory: str, routes: dict[str, Any]) -> tuple[int, int]:
        nonlocal failed
        if not failed and not any(each.get("waiting") for each in routes["routes"]):
            failed += 1
            raise router_socket.RouterError("the router did not answer within 5 s")
        done: tuple[int, int] = tell(directory, routes)
        return done

    monkeypatch.setattr(router, "tell", fails)
    guard_order.wish(lab.root, "tiny", "abort", "ann@ops")
    lab.verdict()
    until(lambda: failed)
    until(lambda: not waits(lab, "sql"), 60)
    crowd = Crowd(lab.router.port, 20, "sql", PATIENCE)
    until(lambda: len(crowd.seen) >= 5, 60)
    assert crowd.stop()["bad"] == 0, crowd.seen


@pytest.mark.parametrize("fault", ["empty", "garbage"])
def test_answers_alone_are_a_breach_and_the_former_ones_are_compared(
    lab: Guarded, fault: str
) -> None:
    until(lambda: lab.found()["probes"] > 4, 60)
    lab.fault(fault, "blue")
    verdict = lab.verdict()
    assert verdict["verdict"] == "failed"
    assert "none of the serving release in the same time" in verdict["reason"]
    until(lambda: weights(lab) == {"sql": "old"}, 60)


def test_a_bake_that_passes_keeps_the_new_weights_and_forgets_the_others(lab: Guarded) -> None:
    order = guard_order.read(lab.root, "tiny")
    assert order is not None
    guard_order.end(lab.root, "tiny", "r1")
    lab.held.update(held=True, owner={"token": "t1"})
    guard_order.begin(lab.root, {**order, "seconds": 1.0}, "t1")
    lab.held.update(held=False, owner=None)
    assert lab.verdict()["verdict"] == "passed"
    until(lambda: weights(lab) == {"law": "new", "sql": "new"}, 60)
    assert lab.found()["withdrawn"] == ""


def test_a_replica_that_starts_again_is_given_the_former_weights_again(
    lab: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Crowd(lab.router.port, 20, "sql", PATIENCE)
    until(lambda: crowd.seen, 60)
    guard_order.wish(lab.root, "tiny", "abort", "ann@ops")
    assert lab.verdict()["reason"] == "aborted by ann@ops"
    until(lambda: weights(lab) == {"sql": "old"}, 60)
    # Requests waited while the engine did not know the name.
    until(lambda: len(crowd.seen) > 15, 60)
    assert crowd.stop()["bad"] == 0, crowd.seen
    # Its slot names the new ones: so would a replica that starts.
    ask(lab, UNLOAD, {"lora_name": "sql"})
    ask(lab, LOAD, {"lora_name": "sql", "lora_path": "new"})
    monkeypatch.setattr(processes, "started", lambda _: "boot 2 2")
    until(lambda: weights(lab) == {"sql": "old"}, 60)
