"""A host that missed a command and changed its routes itself meanwhile brings nothing back that the command ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.workflows.world import TIMING, World, release
from toolkit.adapters.fakes.host import FakeHost
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.errors import HostError
from toolkit.hostside import routes_file, sleeping
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.routing.agreement import fleet_routes
from toolkit.workflows.change.repair import repair
from toolkit.workflows.change.sleep import put_to_sleep
from toolkit.workflows.change.stop import stop_model
from toolkit.workflows.change.wanted import Order

OTHER = replace(release(1), model="other", args=("--served-model-name", "other"))


def changes(host: FakeHost, *edits: Callable[[dict[str, object]], dict[str, object]]) -> None:
    """Let the host change its routes itself, as its watch does."""
    routes = routes_file.parsed(host.files["routes.json"])
    for edit in edits:
        routes = routes_file.edited(routes, edit)
    host.files["routes.json"] = host.loaded = json.dumps(routes, indent=2) + "\n"


def silent() -> HostFacts:
    raise HostError("gpu1: no route to host")


@pytest.mark.parametrize("seen", [False, True], ids=["it alone has changed", "all have changed"])
def test_a_stopped_model_stays_stopped(fleet: World, seen: bool) -> None:
    fleet.deploy(release(1), named=("gpu1", "gpu2"))
    wanted = Wanted("deploy", OTHER)
    fleet.order(Order("deploy", "other", lambda _: wanted, None, TIMING, named=("gpu2", "gpu3")))
    put_to_sleep(fleet.command(), "tiny", WhenAsleep.WAKE, lambda _: True, TIMING)
    gpu1 = fleet.hosts["gpu1"]
    observe = gpu1.observe
    gpu1.observe = silent  # type: ignore[method-assign]
    try:
        stop_model(fleet.command(), "other", lambda _: True, named=(), timing=TIMING)
    except HostError as error:
        assert "gpu1: unreachable" in error.message
    # Clients wake the model. Each host sees replicas come up in its own time, and so in another number of changes.
    waking = sleeping.waking("tiny", 2000)
    up = [sleeping.awake("tiny", [f"{name}.blue"]) for name in ("gpu1", "gpu2")]
    both = sleeping.awake("tiny", ["gpu1.blue", "gpu2.blue"])
    changes(gpu1, waking, *up)
    for name in ("gpu2", "gpu3") if seen else ():
        changes(fleet.hosts[name], waking, both)
    gpu1.observe = observe  # type: ignore[method-assign]
    found = fleet_routes({name: each.observe() for name, each in fleet.hosts.items()})
    assert [each.model for each in found.routes] == ["tiny"]
    repair(fleet.command(), lambda _: True)
    for name in fleet.hosts:
        assert [each.model for each in fleet.routes(name).routes] == ["tiny"]
        tiny = fleet.routes(name).of("tiny")
        awake = {each.host for each in tiny.targets if each.weight} if tiny else set()
        assert awake == ({"gpu1", "gpu2"} if seen else set())
