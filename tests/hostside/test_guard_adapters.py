"""A guard over LoRA adapters on a real router with a real process behind it: the host gives the former one back."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.guard_lab import PATH, Crowd, Guarded, guard, guard_order, guard_probes, guarded
from tests.hostside.router_lab import until
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


def call(path: str, name: str, weights: str = "", *, may_fail: bool = False) -> dict[str, Any]:
    payload = {"lora_name": name, **({"lora_path": weights} if weights else {})}
    return {"path": path, "payload": payload, "may_fail": may_fail}


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
    monkeypatch.setattr(guard, "LOOK", 0.2)
    monkeypatch.setattr(guard, "SELDOM", 0.5)
    monkeypatch.setattr(guard_probes, "PAUSE", 0.1)
    standing.tick = 0.1
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
    connection = http.client.HTTPConnection("127.0.0.1", lab.ports["blue"], timeout=5)
    with contextlib.closing(connection):
        connection.request("POST" if payload else "GET", path, json.dumps(payload or {}))
        return json.loads(connection.getresponse().read() or b"{}")


def weights(lab: Guarded) -> dict[str, str]:
    found: dict[str, str] = ask(lab, "/adapters")
    return found


def test_a_breach_gives_the_former_weights_back_with_nobody_there(lab: Guarded) -> None:
    until(lambda: lab.found()["probes"] > 4)
    assert lab.found()["verdict"] is None
    crowd = Crowd(lab.router.port, 20, "sql")
    lab.fault("500", "blue")
    began = time.monotonic()
    verdict = lab.verdict(6)
    assert (verdict["gate"], verdict["verdict"]) == ("bake", "failed")
    until(lambda: weights(lab) == {"sql": "old"}, 2)
    took = time.monotonic() - began
    assert lab.found()["withdrawn"] == verdict["reason"]
    # The guard says so after the routes are in place.
    until(lambda: lab.said[-1:] == ["law, sql of tiny-blue is what it was before"], 10)
    # The former one answers, and nobody waits any more.
    time.sleep(0.3)
    bad = crowd.stop()["bad"]
    after = Crowd(lab.router.port, 20, "sql")
    time.sleep(0.5)
    answers = after.stop()
    print({"seconds": round(took, 2), "bad": bad})
    assert answers["bad"] == 0 and answers["good"] > 0
    assert took <= 5 and bad <= 20 * 5.5
    assert Path(lab.router.directory, "holds.map").read_text() == ""


@pytest.mark.parametrize("fault", ["empty", "garbage"])
def test_answers_alone_are_a_breach_and_the_former_ones_are_compared(
    lab: Guarded, fault: str
) -> None:
    until(lambda: lab.found()["probes"] > 4)
    lab.fault(fault, "blue")
    verdict = lab.verdict(20)
    assert verdict["verdict"] == "failed"
    assert "none of the serving release in the same time" in verdict["reason"]
    until(lambda: weights(lab) == {"sql": "old"}, 2)


def test_a_bake_that_passes_keeps_the_new_weights_and_forgets_the_others(lab: Guarded) -> None:
    order = guard_order.read(lab.root, "tiny")
    assert order is not None
    guard_order.end(lab.root, "tiny", "r1")
    lab.held.update(held=True, owner={"token": "t1"})
    guard_order.begin(lab.root, {**order, "seconds": 1.0}, "t1")
    lab.held.update(held=False, owner=None)
    assert lab.verdict(6)["verdict"] == "passed"
    until(lambda: weights(lab) == {"law": "new", "sql": "new"}, 2)
    assert lab.found()["withdrawn"] == ""


def test_a_replica_that_starts_again_is_given_the_former_weights_again(
    lab: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Crowd(lab.router.port, 20, "sql")
    time.sleep(0.3)
    guard_order.wish(lab.root, "tiny", "abort", "ann@ops")
    assert lab.verdict(3)["reason"] == "aborted by ann@ops"
    until(lambda: weights(lab) == {"sql": "old"}, 2)
    time.sleep(0.3)
    # Requests waited while the engine did not know the name.
    answers = crowd.stop()
    assert answers["bad"] == 0 and answers["good"] > 5
    # Its slot names the new ones: so would a replica that starts.
    ask(lab, UNLOAD, {"lora_name": "sql"})
    ask(lab, LOAD, {"lora_name": "sql", "lora_path": "new"})
    monkeypatch.setattr(guard, "started", lambda _: "boot 2 2")
    until(lambda: weights(lab) == {"sql": "old"}, 4)
