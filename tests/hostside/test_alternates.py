"""Which alternates of a model a host waits for before it wakes the model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO
from toolkit.planning.routing.edits import with_sleep
from toolkit.planning.routing.routes import Alternate, Route, Routes, Sleep, Target

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import alternates

SLEEP = Sleep("a1", "wait", 9, alternates=(Alternate("other", 8, 0), Alternate("later", 60, 0)))


def on(host: str, weight: int = 100) -> Target:
    return Target("blue", 8100, weight, host=host, relay="10.0.0.1:8090")


@pytest.mark.parametrize(("where", "ready"), [("gpu2", True), ("gpu1", False)])
def test_a_model_of_other_hosts_or_of_none_yet_has_no_memory_of_this_one(
    tmp_path: Path, where: str, ready: bool
) -> None:
    routes = with_sleep(
        Routes((Route("other", (on(where),)), Route("tiny", (on("gpu1"),)))), "tiny", SLEEP, 0
    )
    document = routes.as_json("gpu1")
    (sleeper,) = (each for each in document["routes"] if each["model"] == "tiny")
    found = alternates.Alternates(str(tmp_path), lambda *_: True)
    assert found.ready(document, sleeper) == (ready, [])
